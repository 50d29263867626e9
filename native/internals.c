#include "internals.h"
#include "compat.h"
#include "internals_frames.h"

#include <string.h>
#include <structmember.h>

HandleLayout handle_layout;
PyTypeObject *task_type = NULL;
PyTypeObject *future_type = NULL;

/* _asynciomodule.c's TaskStepMethWrapper, the callable that a task schedules to begin or
   to go on after a bare yield. It is private there; its first field is checked when it is
   learnt. The same from 3.11 to 3.15. */
typedef struct StepWrapper {
    PyObject_HEAD PyObject *task;
} StepWrapper;

static PyTypeObject *step_wrapper_type = NULL; /* owned */
static PyMethodDef *wakeup_definition =
    NULL; /* of the builtin method that wakes a task */
Py_ssize_t code_extra_index = -1;

/* ---- Learning ---------------------------------------------------------------------- */

/* Returns: new, or NULL with an exception set. May run Python code: yes (import). */
static PyTypeObject *
import_type(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *type = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    if (type != NULL && !PyType_Check(type)) {
        PyErr_Format(PyExc_RuntimeError, "%s.%s is %R, expected a class", module_name,
                     name, type);
        Py_CLEAR(type);
    }
    return (PyTypeObject *)type;
}

/* Returns: 0, or -1 with RuntimeError set. */
static int
learn_slot(PyTypeObject *type, const char *name, Py_ssize_t *offset)
{
    PyObject *dict = PyType_GetDict(type);
    PyObject *descriptor = PyDict_GetItemString(dict, name); /* borrowed */
    Py_DECREF(dict);
    if (descriptor == NULL || !Py_IS_TYPE(descriptor, &PyMemberDescr_Type)) {
        PyErr_Format(PyExc_RuntimeError, "%s has no slot `%s`", type->tp_name, name);
        return -1;
    }
    *offset = ((PyMemberDescrObject *)descriptor)->d_member->offset;
    return 0;
}

/* Whether a code object gives back, where we look, the number that it is to keep.
   Returns: 0, or -1 with RuntimeError set. */
static int
check_code_extra(void)
{
    PyCodeObject *code = PyCode_NewEmpty("asynchooks", "probe", 1); /* owned */
    if (code == NULL) {
        return -1;
    }
    uintptr_t before = code_get_extra(code);
    code_set_extra(code, 3);
    bool is_kept = before == 0 && code_get_extra(code) == 3;
    Py_DECREF(code);
    if (!is_kept) {
        PyErr_SetString(PyExc_RuntimeError,
                        "code objects do not keep a number as expected");
        return -1;
    }
    return 0;
}

int
internals_learn_frames(void)
{
    int status = -1;
    InterpreterFrame *walked = frame_current();
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get()); /* owned */
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame); /* owned until compared */
        bool is_same = walked != NULL && frame_code(walked) == code &&
                       frame_instruction(walked) == PyFrame_GetLasti(frame);
        Py_DECREF(code);
        if (!is_same) {
            PyErr_SetString(PyExc_RuntimeError,
                            "the interpreter's frames are not linked as expected");
            goto error;
        }
        walked = frame_previous(walked);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    if (code_extra_index < 0) {
        code_extra_index = PyUnstable_Eval_RequestCodeExtraIndex(NULL);
    }
    if (code_extra_index < 0) {
        PyErr_SetString(PyExc_RuntimeError,
                        "code objects have no room for a number of ours");
        goto error;
    }
    status = check_code_extra();
error:
    Py_XDECREF(frame);
    return status;
}

#if PY_VERSION_HEX >= 0x030e0000

/* From 3.14 on call_soon_threadsafe makes handles of a class of its own: a Handle with a
   lock. Returns: 0, or -1 with an exception set. */
static int
learn_threadsafe_handle(HandleLayout *layout)
{
    PyTypeObject *type = import_type("asyncio.events", "_ThreadSafeHandle");
    layout->threadsafe_type = type;
    if (type == NULL || learn_slot(type, "_lock", &layout->lock) < 0) {
        return -1;
    }
    Py_ssize_t expected = layout->type->tp_basicsize + (Py_ssize_t)sizeof(PyObject *);
    if (type->tp_base != layout->type || type->tp_basicsize != expected ||
        type->tp_dictoffset != 0) {
        PyErr_Format(PyExc_RuntimeError,
                     "asyncio's thread-safe handles have %zd bytes, expected %zd",
                     type->tp_basicsize, expected);
        return -1;
    }
    return 0;
}

#else

static int
learn_threadsafe_handle(HandleLayout *layout)
{
    layout->threadsafe_type = NULL;
    return 0;
}

#endif

/* Returns: 0, or -1 with RuntimeError set. */
static int
learn_handles(void)
{
    HandleLayout *layout = &handle_layout;
    layout->type = import_type("asyncio.events", "Handle");
    layout->timer_type = import_type("asyncio.events", "TimerHandle");
    if (layout->type == NULL || layout->timer_type == NULL) {
        return -1;
    }
    /* Only type itself, and not a metaclass, makes objects by a class's vectorcall. */
    if (!Py_IS_TYPE(layout->type, &PyType_Type) ||
        !Py_IS_TYPE(layout->timer_type, &PyType_Type) ||
        layout->type->tp_vectorcall != NULL ||
        layout->timer_type->tp_vectorcall != NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "somebody else makes asyncio's handles already");
        return -1;
    }
    const struct {
        PyTypeObject *type;
        const char *name;
        Py_ssize_t *offset;
    } slots[] = {
        {layout->type, "_callback", &layout->callback},
        {layout->type, "_args", &layout->args},
        {layout->type, "_cancelled", &layout->cancelled},
        {layout->type, "_context", &layout->context},
        {layout->type, "_loop", &layout->loop},
        {layout->type, "_repr", &layout->repr},
        {layout->type, "_source_traceback", &layout->source_traceback},
        {layout->timer_type, "_when", &layout->when},
        {layout->timer_type, "_scheduled", &layout->scheduled},
    };
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
        if (learn_slot(slots[i].type, slots[i].name, slots[i].offset) < 0) {
            return -1;
        }
    }
    /* Seven slots, and a list of weak references, which stands before the object from 3.12
       on; one more is one that we would leave unset. */
    Py_ssize_t pointers = layout->type->tp_weaklistoffset > 0 ? 8 : 7;
    Py_ssize_t expected =
        (Py_ssize_t)sizeof(PyObject) + pointers * (Py_ssize_t)sizeof(PyObject *);
    if (layout->type->tp_basicsize != expected ||
        layout->timer_type->tp_basicsize != expected + 2 * (Py_ssize_t)sizeof(void *) ||
        layout->type->tp_dictoffset != 0) {
        PyErr_Format(PyExc_RuntimeError,
                     "asyncio's handles have %zd and %zd bytes, expected %zd and %zd",
                     layout->type->tp_basicsize, layout->timer_type->tp_basicsize,
                     expected, expected + 2 * (Py_ssize_t)sizeof(void *));
        return -1;
    }
    return learn_threadsafe_handle(layout);
}

int
check_init(PyTypeObject *type)
{
    PyObject *dict = PyType_GetDict(type);
    PyObject *wrapper = PyDict_GetItemString(dict, "__init__"); /* borrowed */
    Py_DECREF(dict);
    if (wrapper == NULL || !Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) ||
        ((PyWrapperDescrObject *)wrapper)->d_wrapped != (void *)type->tp_init) {
        PyErr_Format(PyExc_RuntimeError, "%s.__init__ does not stand for its slot",
                     type->tp_name);
        return -1;
    }
    return 0;
}

/* A future's loop is its first field. All else has to be as it was allocated: zero. */
#define FUTURE_LOOP ((Py_ssize_t)sizeof(PyObject))

static bool future_has_only_its_loop = false;

/* Looks into a future of the loop that `task` is of.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
learn_future(PyObject *task)
{
    int status = -1;
    /* Owned. */
    PyObject *loop = PyObject_GetAttrString(task, "_loop");
    PyObject *keywords = loop != NULL ? Py_BuildValue("{sO}", "loop", loop) : NULL;
    PyObject *arguments = PyTuple_New(0);
    PyObject *future = NULL;
    if (keywords == NULL || arguments == NULL) {
        goto error;
    }
    future = PyObject_Call((PyObject *)future_type, arguments, keywords);
    if (future == NULL) {
        goto error;
    }
    const char *bytes = (const char *)future;
    Py_ssize_t at = FUTURE_LOOP + (Py_ssize_t)sizeof(PyObject *);
    bool is_all_zero = true;
    for (; at < future_type->tp_basicsize; at++) {
        is_all_zero = is_all_zero && bytes[at] == 0;
    }
    future_has_only_its_loop = is_all_zero && SLOT_AT(future, FUTURE_LOOP) == loop &&
                               future_type->tp_new == PyType_GenericNew;
    status = 0;
error:
    Py_XDECREF(loop);
    Py_XDECREF(keywords);
    Py_XDECREF(arguments);
    Py_XDECREF(future);
    return status;
}

#if PY_VERSION_HEX >= 0x030c0000

/* Where a task has its coroutine and its context. */
static Py_ssize_t task_coroutine = 0;
static Py_ssize_t task_context = 0;

/* Returns: where in `task` the one pointer to `object` is, or 0. */
static Py_ssize_t
find_pointer(PyObject *task, PyObject *object)
{
    Py_ssize_t found = 0;
    Py_ssize_t size = (Py_ssize_t)sizeof(PyObject *);
    for (Py_ssize_t at = FUTURE_LOOP; at + size <= task_type->tp_basicsize; at += size) {
        if (SLOT_AT(task, at) == object) {
            if (found != 0) {
                return 0;
            }
            found = at;
        }
    }
    return found;
}

/* Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
learn_task(PyObject *task)
{
    int status = -1;
    /* Owned. */
    PyObject *coroutine = PyObject_CallMethod(task, "get_coro", NULL);
    PyObject *context = PyObject_CallMethod(task, "get_context", NULL);
    if (coroutine != NULL && context != NULL) {
        task_coroutine = find_pointer(task, coroutine);
        task_context = find_pointer(task, context);
        if (task_coroutine != 0 && task_context != 0) {
            status = 0;
        } else {
            PyErr_Format(PyExc_RuntimeError,
                         "a task keeps its coroutine and context at %zd and %zd, "
                         "expected one place for each",
                         task_coroutine, task_context);
        }
    }
    Py_XDECREF(coroutine);
    Py_XDECREF(context);
    return status;
}

void
task_dress(PyObject *task, PyObject *coroutine, PyObject *context, PyObject *loop)
{
    SLOT_AT(task, task_coroutine) = Py_NewRef(coroutine);
    SLOT_AT(task, task_context) = Py_NewRef(context);
    SLOT_AT(task, FUTURE_LOOP) = Py_XNewRef(loop);
}

void
task_undress(PyObject *task)
{
    Py_CLEAR(SLOT_AT(task, task_coroutine));
    Py_CLEAR(SLOT_AT(task, task_context));
    Py_CLEAR(SLOT_AT(task, FUTURE_LOOP));
}

#else

static int
learn_task(PyObject *task)
{
    return 0;
}

#endif

bool
futures_can_be_made(void)
{
    return future_has_only_its_loop;
}

PyObject *
make_future(PyObject *loop)
{
    PyObject *future = PyType_GenericAlloc(future_type, 0);
    if (future != NULL) {
        SLOT_AT(future, FUTURE_LOOP) = Py_NewRef(loop);
    }
    return future;
}

static void learn_nesting(void);

int
internals_learn(PyObject *step, PyObject *wakeup, PyObject *task)
{
    if (internals_are_learnt()) {
        return 0;
    }
    if (learn_handles() < 0) {
        return -1;
    }
    task_type = import_type("_asyncio", "Task");
    future_type = import_type("_asyncio", "Future");
    if (task_type == NULL || future_type == NULL || check_init(task_type) < 0 ||
        check_init(future_type) < 0) {
        return -1;
    }
    if (!PyObject_TypeCheck(task, task_type)) {
        PyErr_Format(PyExc_RuntimeError, "the probe's task is %R, expected a C task",
                     task);
        return -1;
    }
    /* With its module's name from 3.12 on. */
    const char *dot = strrchr(Py_TYPE(step)->tp_name, '.');
    const char *step_name = dot != NULL ? dot + 1 : Py_TYPE(step)->tp_name;
    if (strcmp(step_name, "TaskStepMethWrapper") != 0 ||
        Py_TYPE(step)->tp_basicsize < (Py_ssize_t)sizeof(StepWrapper) ||
        ((StepWrapper *)step)->task != task) {
        PyErr_Format(PyExc_RuntimeError,
                     "a task's step is %R, expected a TaskStepMethWrapper of it", step);
        return -1;
    }
    if (!PyCFunction_CheckExact(wakeup) || PyCFunction_GET_SELF(wakeup) != task) {
        PyErr_Format(PyExc_RuntimeError,
                     "a task's wake-up is %R, expected a builtin method of it", wakeup);
        return -1;
    }
    PyMethodDef *definition = ((PyCFunctionObject *)wakeup)->m_ml;
    if (definition->ml_flags != METH_O || Py_TYPE(step)->tp_call == NULL) {
        PyErr_Format(PyExc_RuntimeError,
                     "a task's wake-up has call flags %#x, expected one argument",
                     definition->ml_flags);
        return -1;
    }
    if (learn_future(task) < 0 || learn_task(task) < 0) {
        return -1;
    }
    learn_nesting();
    step_wrapper_type = (PyTypeObject *)Py_NewRef((PyObject *)Py_TYPE(step));
    wakeup_definition = definition;
    return 0;
}

bool
internals_are_learnt(void)
{
    return wakeup_definition != NULL;
}

PyObject *
task_of_step(PyObject *callback)
{
    if (Py_IS_TYPE(callback, step_wrapper_type)) {
        return ((StepWrapper *)callback)->task;
    }
    if (PyCFunction_CheckExact(callback) &&
        ((PyCFunctionObject *)callback)->m_ml == wakeup_definition) {
        return PyCFunction_GET_SELF(callback);
    }
    return NULL;
}

StepFunctions
get_step_functions(void)
{
    return (StepFunctions){step_wrapper_type->tp_call, wakeup_definition->ml_meth};
}

void
set_step_functions(StepFunctions functions)
{
    step_wrapper_type->tp_call = functions.step;
    wakeup_definition->ml_meth = functions.wakeup;
}

/* ---- Contexts ---------------------------------------------------------------------- */

/* What a context that is entered begins with: the one that was in force before. */
typedef struct EnteredContext {
    PyObject_HEAD PyObject *previous; /* NULL: none */
} EnteredContext;

static bool nesting_is_known = false;

/* Looks whether two contexts that are entered, one in the other, are as we think. Never fails:
   where they are not, the outermost context is an empty one. */
static void
learn_nesting(void)
{
    PyObject *outer = PyContext_New(), *inner = PyContext_New(); /* owned */
    if (outer != NULL && inner != NULL && PyContext_Enter(outer) == 0) {
        if (PyContext_Enter(inner) == 0) {
            nesting_is_known = PyThreadState_Get()->context == inner &&
                               ((EnteredContext *)inner)->previous == outer;
            (void)PyContext_Exit(inner);
        }
        (void)PyContext_Exit(outer);
    }
    PyErr_Clear();
    Py_XDECREF(outer);
    Py_XDECREF(inner);
}

PyObject *
context_of_thread(void)
{
    return PyThreadState_Get()->context;
}

PyObject *
outermost_context(void)
{
    PyObject *context = nesting_is_known ? context_of_thread() : NULL;
    while (context != NULL && ((EnteredContext *)context)->previous != NULL) {
        context = ((EnteredContext *)context)->previous;
    }
    return context != NULL ? PyContext_Copy(context) : PyContext_New();
}

/* ---- Exchanging -------------------------------------------------------------------- */

/* Calls `visit` for `type` and, depth first, all its subclasses. */
static void
for_each_subclass(PyTypeObject *type, void (*visit)(PyTypeObject *, void *), void *arg)
{
    visit(type, arg);
    PyObject *subclasses =
        PyObject_CallMethod((PyObject *)&PyType_Type, "__subclasses__", "O", type);
    if (subclasses == NULL) {
        PyErr_Clear();
        return;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(subclasses); i++) {
        for_each_subclass((PyTypeObject *)PyList_GET_ITEM(subclasses, i), visit, arg);
    }
    Py_DECREF(subclasses);
}

struct InitExchange {
    initproc old, new;
};

static void
exchange_init_of(PyTypeObject *type, void *arg)
{
    struct InitExchange *exchange = arg;
    if (type->tp_init == exchange->old) {
        type->tp_init = exchange->new;
        PyType_Modified(type);
    }
}

void
exchange_init(PyTypeObject *type, initproc old, initproc new)
{
    struct InitExchange exchange = {old, new};
    for_each_subclass(type, exchange_init_of, &exchange);
    /* super().__init__() of a Python subclass comes this way. */
    PyObject *dict = PyType_GetDict(type);
    PyObject *wrapper = PyDict_GetItemString(dict, "__init__"); /* borrowed */
    if (wrapper != NULL && Py_IS_TYPE(wrapper, &PyWrapperDescr_Type)) {
        ((PyWrapperDescrObject *)wrapper)->d_wrapped = (void *)new;
    }
    Py_DECREF(dict);
}

struct DeallocExchange {
    destructor old, new;
};

static void
exchange_dealloc_of(PyTypeObject *type, void *arg)
{
    struct DeallocExchange *exchange = arg;
    if (type->tp_dealloc == exchange->old) {
        type->tp_dealloc = exchange->new;
    }
}

void
exchange_dealloc(PyTypeObject *type, destructor old, destructor new)
{
    struct DeallocExchange exchange = {old, new};
    for_each_subclass(type, exchange_dealloc_of, &exchange);
}

PyObject *
call_class_as_ever(PyObject *class, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames)
{
    PyObject *result = NULL;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    /* Owned. */
    PyObject *positional = PyTuple_New(nargs);
    PyObject *keywords = PyDict_New();
    if (positional == NULL || keywords == NULL) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        PyTuple_SET_ITEM(positional, i, Py_NewRef(args[i]));
    }
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (PyDict_SetItem(keywords, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0) {
            goto done;
        }
    }
    result = PyType_Type.tp_call(class, positional, keywords);
done:
    Py_XDECREF(positional);
    Py_XDECREF(keywords);
    return result;
}

PyMethodDescrObject *
find_method(PyTypeObject *type, const char *name)
{
    PyObject *dict = PyType_GetDict(type);
    PyObject *descriptor = PyDict_GetItemString(dict, name); /* borrowed */
    Py_DECREF(dict);
    if (descriptor == NULL || !Py_IS_TYPE(descriptor, &PyMethodDescr_Type)) {
        PyErr_Format(PyExc_RuntimeError, "%s.%s is not a C method", type->tp_name, name);
        return NULL;
    }
    return (PyMethodDescrObject *)descriptor;
}

/* Learnt by get_async_generator_functions(): nothing can fail when they are set. Borrowed
   from the type, which is immortal. */
static PyMethodDef *asend_definition;
static PyWrapperDescrObject *anext_wrapper; /* agen.__anext__() comes this way */

int
get_async_generator_functions(AsyncGeneratorFunctions *functions)
{
    PyObject *dict = PyType_GetDict(&PyAsyncGen_Type);
    PyObject *wrapper = PyDict_GetItemString(dict, "__anext__"); /* borrowed */
    Py_DECREF(dict);
    PyMethodDescrObject *method = find_method(&PyAsyncGen_Type, "asend"); /* borrowed */
    if (method == NULL) {
        return -1;
    }
    PyMethodDef *asend = method->d_method;
    if (wrapper == NULL || !Py_IS_TYPE(wrapper, &PyWrapperDescr_Type) ||
        asend->ml_flags != METH_O || PyAsyncGen_Type.tp_as_async == NULL ||
        PyAsyncGen_Type.tp_as_async->am_anext == NULL ||
        PyAsyncGen_Type.tp_finalize == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "async generators do not step and die as expected");
        return -1;
    }
    asend_definition = asend;
    anext_wrapper = (PyWrapperDescrObject *)wrapper;
    functions->anext = PyAsyncGen_Type.tp_as_async->am_anext;
    functions->asend = asend->ml_meth;
    functions->finalize = PyAsyncGen_Type.tp_finalize;
    functions->dealloc = PyAsyncGen_Type.tp_dealloc;
    return 0;
}

void
set_async_generator_functions(AsyncGeneratorFunctions functions)
{
    PyAsyncGen_Type.tp_as_async->am_anext = functions.anext;
    PyAsyncGen_Type.tp_finalize = functions.finalize;
    PyAsyncGen_Type.tp_dealloc = functions.dealloc;
    asend_definition->ml_meth = functions.asend;
    anext_wrapper->d_wrapped = (void *)functions.anext;
}

/* From 3.14 on the interpreter makes objects of a class that has a Python __init__ without
   calling the class, where that happens often, and so without looking at its vectorcall. It
   does so only for a class whose objects are allocated by PyType_GenericAlloc itself. Not
   tp_new, which would keep it from that, too: object.__new__ refuses a class that has
   another. Before 3.14 a class without a __dict__ is never made so; the exchange is harmless
   there. */
static PyObject *
allocate_as_ever(PyTypeObject *type, Py_ssize_t count)
{
    return PyType_GenericAlloc(type, count);
}

static void
keep_from_specializing(PyTypeObject *type, bool is_kept)
{
    allocfunc from = is_kept ? PyType_GenericAlloc : allocate_as_ever;
    if (type->tp_alloc == from) {
        type->tp_alloc = is_kept ? allocate_as_ever : PyType_GenericAlloc;
    }
}

void
set_class_vectorcall(PyTypeObject *type, vectorcallfunc function)
{
    type->tp_vectorcall = function;
    keep_from_specializing(type, function != NULL);
    /* Call sites that the interpreter has specialised for this class look again. */
    PyType_Modified(type);
}

vectorcallfunc
set_function_vectorcall(PyObject *function, vectorcallfunc vectorcall)
{
    vectorcallfunc before = ((PyFunctionObject *)function)->vectorcall;
#if PY_VERSION_HEX >= 0x030c0000
    PyFunction_SetVectorcall((PyFunctionObject *)function, vectorcall);
#else
    /* Python code that calls the function goes on to run its bytecode. */
    ((PyFunctionObject *)function)->vectorcall = vectorcall;
#endif
    return before;
}

PyMethodDef *
cython_definition(PyObject *function)
{
    /* Its struct begins with CPython's own for a C function. */
    const char *dot = strrchr(Py_TYPE(function)->tp_name, '.');
    if (dot == NULL || strcmp(dot + 1, "cython_function_or_method") != 0 ||
        Py_TYPE(function)->tp_basicsize < (Py_ssize_t)sizeof(PyCMethodObject)) {
        PyErr_Format(PyExc_RuntimeError, "%R is not a function of Cython's", function);
        return NULL;
    }
    return ((PyCFunctionObject *)function)->m_ml;
}

void
set_method_definition(PyMethodDescrObject *method, PyMethodDef *definition)
{
    method->d_method = definition;
    PyType_Modified(PyDescr_TYPE(method));
}

PyObject *
lookup_in_type(PyTypeObject *type, PyObject *name)
{
    return _PyType_Lookup(type, name);
}

int
set_type_attribute(PyTypeObject *type, PyObject *name, PyObject *value)
{
    if (!(type->tp_flags & Py_TPFLAGS_IMMUTABLETYPE)) {
        return value != NULL ? PyObject_SetAttr((PyObject *)type, name, value)
                             : PyObject_DelAttr((PyObject *)type, name);
    }
    if (PyUnicode_GET_LENGTH(name) > 1 && PyUnicode_READ_CHAR(name, 0) == '_' &&
        PyUnicode_READ_CHAR(name, 1) == '_') {
        PyErr_Format(PyExc_TypeError,
                     "`%U` of immutable type %s may stand behind a slot; only plain "
                     "attributes can be set",
                     name, type->tp_name);
        return -1;
    }
    PyObject *dict = PyType_GetDict(type);
    int status =
        value != NULL ? PyDict_SetItem(dict, name, value) : PyDict_DelItem(dict, name);
    Py_DECREF(dict);
    PyType_Modified(type);
    return status;
}

/* ---- Code -------------------------------------------------------------------------- */

void
code_set_extra(PyCodeObject *code, uintptr_t value)
{
    if (PyUnstable_Code_SetExtra((PyObject *)code, code_extra_index, (void *)value) < 0) {
        PyErr_Clear(); /* it will be found anew */
    }
}

/* ---- Contexts ---------------------------------------------------------------------- */

/* context.c's PyContext, as far as we need it. The same from 3.11 to 3.15. */
typedef struct Context {
    PyObject_HEAD PyObject *previous;
    PyObject *variables;
} Context;

int
internals_learn_contexts(void)
{
    static bool is_learnt = false;
    if (is_learnt) {
        return 0;
    }
    /* Owned. */
    PyObject *context = PyContext_New();
    PyObject *copy = context != NULL ? PyContext_Copy(context) : NULL;
    if (copy == NULL) {
        Py_XDECREF(context);
        return -1;
    }
    const PyTypeObject *type = Py_TYPE(context);
    if (type->tp_basicsize >= (Py_ssize_t)sizeof(Context)) {
        PyObject *variables = context_variables(context);
        is_learnt = variables != NULL && variables == context_variables(copy) &&
                    ((Context *)context)->previous == NULL &&
                    strcmp(Py_TYPE(variables)->tp_name, "hamt") == 0;
    }
    Py_DECREF(context);
    Py_DECREF(copy);
    if (!is_learnt) {
        PyErr_SetString(PyExc_RuntimeError, "contexts are not laid out as expected");
        return -1;
    }
    return 0;
}

PyObject *
current_context(void)
{
    PyThreadState *thread = PyThreadState_Get();
    if (thread->context == NULL) {
        Py_XDECREF(PyContext_CopyCurrent()); /* makes one */
    }
    return Py_XNewRef(thread->context);
}

PyObject *
context_variables(PyObject *context)
{
    return ((Context *)context)->variables;
}

void
context_set_variables(PyObject *context, PyObject *variables)
{
    PyObject *old = ((Context *)context)->variables;
    ((Context *)context)->variables = Py_NewRef(variables);
    /* What variables remember of their last look-up must not be found again. */
    PyInterpreterState *interpreter = PyInterpreterState_Get();
    for (PyThreadState *thread = PyInterpreterState_ThreadHead(interpreter);
         thread != NULL; thread = PyThreadState_Next(thread)) {
        thread->context_ver++;
    }
    Py_DECREF(old);
}
