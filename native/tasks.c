#include "tasks.h"
#include "compat.h"
#include "handles.h"
#include "hooks.h"
#include "internals.h"
#include "records.h"
#include "steps.h"

static initproc original_task_init, original_future_init;
static destructor original_task_dealloc, original_future_dealloc;
static PyObject *future_done = NULL; /* owned: the method Future.done */
/* Owned: names of arguments of Task(). */
static PyObject *str_eager_start = NULL;
static PyObject *str_coro = NULL;
static PyObject *str_context = NULL;
static PyObject *str_loop = NULL;

/* ---- Birth ------------------------------------------------------------------------- */

static inline bool
should_track(PyObject *object)
{
    return core.is_enabled && is_of_our_interpreter(object);
}

/* Returns: the record of an object that is being made, or NULL, without an exception, where
   there is no room for one: it then lives untracked. Also NULL where the original refuses
   to make it a second time, as from 3.15 on. */
static inline Record *
give_birth(PyObject *object, Kind kind)
{
    Record *record = records_add(object);
    if (record == NULL) {
        return NULL;
    }
    if (record->async_id != 0) {
        if (PY_VERSION_HEX >= 0x030f0000) {
            return NULL;
        }
        /* __init__ called again makes a new resource in the old one's place. */
        core.live[record->kind]--;
        hooks_record_died(record);
    }
    record_born(record, kind);
    return record;
}

/* Runs `original` and tells init. The record is copied, since the side table may go away
   meanwhile.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
init_and_tell(initproc original, const Record *record, PyObject *self, PyObject *args,
              PyObject *kwargs)
{
    Record born = *record;
    if (original(self, args, kwargs) < 0) {
        Record failed;
        if (records_remove(self, &failed)) {
            core.live[failed.kind]--; /* never lived: neither init nor destroy */
        }
        return -1;
    }
    if (hooks_want(EVENT_INIT, born.kind)) {
        return hooks_emit_init(&born, KIND_NAMES[born.kind], self);
    }
    return 0;
}

#if PY_VERSION_HEX >= 0x030c0000

/* Returns: the argument of Task() that has this name, or this place, borrowed, or NULL where
   it is not given, or is None. */
static PyObject *
argument_of(PyObject *args, Py_ssize_t place, PyObject *kwargs, PyObject *name)
{
    PyObject *value = NULL;
    if (place < PyTuple_GET_SIZE(args)) { /* the original takes but the first so */
        value = PyTuple_GET_ITEM(args, place);
    } else if (kwargs != NULL) {
        value = PyDict_GetItemWithError(kwargs, name);
        PyErr_Clear(); /* the original says what is wrong with it */
    }
    return value != Py_None ? value : NULL;
}

/* Has a task that is not made yet look as if it were, for hooks.
   Returns: 0, or -1 without an exception where that cannot be: it cannot be made either. */
static int
dress(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *coroutine = argument_of(args, 0, kwargs, str_coro);
    PyObject *loop = argument_of(args, 1, kwargs, str_loop);
    PyObject *context = argument_of(args, 3, kwargs, str_context);
    /* Owned. */
    PyObject *given = context != NULL ? Py_NewRef(context) : PyContext_CopyCurrent();
    if (coroutine == NULL || given == NULL) {
        PyErr_Clear();
        Py_XDECREF(given);
        return -1;
    }
    task_dress(self, coroutine, given, loop);
    Py_DECREF(given);
    return 0;
}

/* An eager task runs its first step inside __init__: it is told before that, and
   is what executes.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
eager_task_init(const Record *record, PyObject *self, PyObject *args, PyObject *kwargs)
{
    Record born = *record;
    if (dress(self, args, kwargs) < 0) {
        return init_and_tell(original_task_init, record, self, args, kwargs);
    }
    int status = hooks_want(EVENT_INIT, KIND_TASK)
                     ? hooks_emit_init(&born, KIND_NAMES[KIND_TASK], self)
                     : 0;
    /* NULL where the hook has called disable(). */
    Record *found = status == 0 ? records_find(self) : NULL;
    if (found == NULL) {
        PyObject *exception = PyErr_GetRaisedException(); /* owned */
        task_undress(self);
        PyErr_SetRaisedException(exception);
        return status < 0 ? -1 : original_task_init(self, args, kwargs);
    }
    Step step;
    step_begin_listed(&step, found, self);
    status = step_tell(&step, EVENT_BEFORE);
    PyObject *exception = PyErr_GetRaisedException(); /* owned */
    task_undress(self);
    PyErr_SetRaisedException(exception);
    if (status == 0) {
        status = original_task_init(self, args, kwargs);
    }
    status |= step_tell(&step, EVENT_AFTER);
    status |= step_end(&step);
    return status;
}

/* Returns: whether `eager_start` is given and true. */
static bool
is_eager(PyObject *kwargs)
{
    if (kwargs == NULL) {
        return false;
    }
    PyObject *value = PyDict_GetItemWithError(kwargs, str_eager_start); /* borrowed */
    int is_true = value != NULL ? PyObject_IsTrue(value) : 0;
    if (is_true < 0 || (value == NULL && PyErr_Occurred())) {
        PyErr_Clear(); /* the original says what is wrong with it */
        return false;
    }
    return is_true;
}

#else

static int
eager_task_init(const Record *record, PyObject *self, PyObject *args, PyObject *kwargs)
{
    return -1; /* nobody calls it */
}

static bool
is_eager(PyObject *kwargs)
{
    return false; /* there are none before 3.12 */
}

#endif

static int
task_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Record *record = should_track(self) ? give_birth(self, KIND_TASK) : NULL;
    if (record == NULL) {
        return original_task_init(self, args, kwargs);
    }
    if (is_eager(kwargs)) {
        return eager_task_init(record, self, args, kwargs);
    }
    return init_and_tell(original_task_init, record, self, args, kwargs);
}

static int
future_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Record *record = should_track(self) ? give_birth(self, KIND_FUTURE) : NULL;
    if (record == NULL) {
        return original_future_init(self, args, kwargs);
    }
    return init_and_tell(original_future_init, record, self, args, kwargs);
}

/* Future(loop=loop) is how every loop makes its futures. __init__ of one that is new and has
   no debugging to do only notes the loop; to call it would take a dict of the arguments. */
static PyObject *
construct_future(PyObject *class, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 0 || kwnames == NULL ||
        PyTuple_GET_SIZE(kwnames) != 1 || PyTuple_GET_ITEM(kwnames, 0) != str_loop ||
        args[0] == Py_None || !core.is_enabled || !futures_can_be_made()) {
        return call_class_as_ever(class, args, nargsf, kwnames);
    }
    int is_debug = loop_is_in_debug_mode(args[0]);
    if (is_debug != 0) {
        return is_debug < 0 ? NULL : call_class_as_ever(class, args, nargsf, kwnames);
    }
    PyObject *self = make_future(args[0]);
    if (self == NULL) {
        return NULL;
    }
    Record *record = should_track(self) ? give_birth(self, KIND_FUTURE) : NULL;
    if (record != NULL && hooks_want(EVENT_INIT, KIND_FUTURE)) {
        Record born = *record;
        if (hooks_emit_init(&born, KIND_NAMES[KIND_FUTURE], self) < 0) {
            Py_CLEAR(self);
        }
    }
    return self;
}

/* `object` was born before enable(), and is met now for the first time.
   Returns: its record, or NULL without an exception where there is no room for one. */
static Record *
adopt(PyObject *object, Kind kind)
{
    Record *record = records_add(object);
    if (record != NULL) {
        record_born(record, kind);
        record->created_by = ASYNC_ID_NONE;
        record->site = SITE_UNKNOWN;
        record->is_adopted = true;
    }
    return record;
}

Record *
tasks_record_of(PyObject *task)
{
    Record *record = records_find(task);
    if (record != NULL) {
        return record;
    }
    return adopt(task, KIND_TASK);
}

/* ---- Steps ------------------------------------------------------------------------- */

/* CPython's own. */
static StepFunctions original_steps;

bool
tasks_is_step(PyObject *callback)
{
    PyObject *task = task_of_step(callback);
    if (task == NULL) {
        return false;
    }
    Record *record = records_find(task);
    if (record != NULL) {
        record_scheduled(record);
    }
    return true;
}

/* Returns: 0, or -1 with the exception of a hook that may raise; the step then does not
   run. `step->record` is NULL where the task is not tracked. May run Python code: yes. */
static inline int
begin_step(Step *step, PyObject *task)
{
    step->record = should_track(task) ? tasks_record_of(task) : NULL;
    if (step->record == NULL) {
        return 0;
    }
    step_begin_listed(step, step->record, task);
    return step_tell(step, EVENT_BEFORE);
}

/* Steals and returns: result. May run Python code: yes. */
static inline PyObject *
end_step(Step *step, PyObject *result)
{
    return step->record != NULL ? step_finish(step, result) : result;
}

/* A task begins, or goes on after a bare yield: whatever loop calls it. */
static PyObject *
call_step(PyObject *wrapper, PyObject *args, PyObject *kwargs)
{
    Step step;
    PyObject *task = Py_NewRef(task_of_step(wrapper));
    PyObject *result = NULL;
    if (begin_step(&step, task) == 0) {
        result = original_steps.step(wrapper, args, kwargs);
    }
    result = end_step(&step, result);
    Py_DECREF(task);
    return result;
}

/* A task goes on with what it has waited for. */
static PyObject *
call_wakeup(PyObject *task, PyObject *future)
{
    Step step;
    PyObject *result = NULL;
    if (begin_step(&step, task) == 0) {
        result = original_steps.wakeup(task, future);
    }
    return end_step(&step, result);
}

/* ---- Death ------------------------------------------------------------------------- */

/* The finalizer may report a pending task or an exception that nobody retrieved, and
   whoever hears of it may keep the object: then it lives on, and so does its record. The
   original calls the finalizer too, which is nothing the second time. */
static void
dealloc_and_bury(destructor original, PyObject *self)
{
    if (core.is_enabled) {
        if (PyObject_CallFinalizerFromDealloc(self) < 0) {
            return;
        }
        records_bury(self);
    }
    original(self);
}

static void
task_dealloc(PyObject *self)
{
    dealloc_and_bury(original_task_dealloc, self);
}

static void
future_dealloc(PyObject *self)
{
    dealloc_and_bury(original_future_dealloc, self);
}

/* ---- Settling and cancelling -------------------------------------------------------- */

bool
tasks_is_done(PyObject *future)
{
    /* Set after a step that raised SystemExit or KeyboardInterrupt. */
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *is_done = PyObject_CallOneArg(future_done, future);
    PyErr_SetRaisedException(outer); /* half made, it may have raised: that is cleared */
    Py_XDECREF(is_done);
    return is_done == Py_True;
}

int
tasks_tell_settled(PyObject *task)
{
    Record *record = records_find(task);
    if (record == NULL || record->is_settled ||
        !hooks_is_heard(EVENT_SETTLED, record->kind, record->async_id) ||
        !tasks_is_done(task)) {
        return 0;
    }
    record->is_settled = true;
    return hooks_emit(EVENT_SETTLED, record->async_id, record->kind);
}

/* The methods that settle a future, or cancel it or a task. The C functions behind them are
   ours: behind cancel() as long as we are in force, behind the two others while, and only
   while, some hook wants to hear of settled futures. Their call flags differ between
   versions, so each has a form for each. */
enum { SET_RESULT, SET_EXCEPTION, CANCEL_FUTURE, CANCEL_TASK, METHOD_COUNT };

static struct {
    const char *name;
    PyMethodDescrObject *method; /* borrowed from the type */
    PyMethodDef *original;       /* borrowed from the method */
    PyMethodDef ours;
    bool is_installed;
} methods[METHOD_COUNT] = {
    [SET_RESULT] = {.name = "set_result"},
    [SET_EXCEPTION] = {.name = "set_exception"},
    [CANCEL_FUTURE] = {.name = "cancel"},
    [CANCEL_TASK] = {.name = "cancel"},
};

/* A method has returned. Steals and returns: result. May run Python code: yes. */
static PyObject *
has_returned(int method, PyObject *future, PyObject *result)
{
    if (result == Py_True && (method == CANCEL_FUTURE || method == CANCEL_TASK)) {
        Record *record = records_find(future);
        if (record != NULL) {
            record->cancelled_by = execution_async_id();
        }
    }
    /* A task is settled by the step that ends it. */
    if (result != NULL && method != CANCEL_TASK &&
        hooks_want(EVENT_SETTLED, KIND_FUTURE) && tasks_tell_settled(future) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

#define FUNCTION_OF(method) ((void (*)(void))methods[method].original->ml_meth)

#define DEFINE_METHOD(method, suffix)                                                    \
    static PyObject *call_o_##suffix(PyObject *self, PyObject *arg)                      \
    {                                                                                    \
        return has_returned(method, self,                                                \
                            ((PyCFunction)FUNCTION_OF(method))(self, arg));              \
    }                                                                                    \
    static PyObject *call_fast_##suffix(PyObject *self, PyObject *const *args,           \
                                        Py_ssize_t nargs, PyObject *kwnames)             \
    {                                                                                    \
        return has_returned(method, self,                                                \
                            ((_PyCFunctionFastWithKeywords)FUNCTION_OF(method))(         \
                                self, args, nargs, kwnames));                            \
    }                                                                                    \
    static PyObject *call_method_##suffix(PyObject *self, PyTypeObject *class,           \
                                          PyObject *const *args, Py_ssize_t nargs,       \
                                          PyObject *kwnames)                             \
    {                                                                                    \
        return has_returned(method, self,                                                \
                            ((PyCMethod)FUNCTION_OF(method))(self, class, args,          \
                                                             (size_t)nargs, kwnames));   \
    }

DEFINE_METHOD(SET_RESULT, result)
DEFINE_METHOD(SET_EXCEPTION, exception)
DEFINE_METHOD(CANCEL_FUTURE, cancel_future)
DEFINE_METHOD(CANCEL_TASK, cancel_task)

#define FORMS_OF(suffix)                                                                 \
    {(PyCFunction)call_o_##suffix, (PyCFunction)(void (*)(void))call_fast_##suffix,      \
     (PyCFunction)(void (*)(void))call_method_##suffix}

static const PyCFunction METHOD_FORMS[METHOD_COUNT][3] = {
    FORMS_OF(result), FORMS_OF(exception), FORMS_OF(cancel_future),
    FORMS_OF(cancel_task)};

/* Learns the method's own definition, and makes it with our function behind it.
   Returns: 0, or -1 with RuntimeError set. */
static int
prepare_method(int method)
{
    PyTypeObject *type = method == CANCEL_TASK ? task_type : future_type;
    const char *name = methods[method].name;
    methods[method].method = find_method(type, name);
    if (methods[method].method == NULL) {
        return -1;
    }
    PyMethodDef *original = methods[method].method->d_method;
    int form;
    switch (original->ml_flags) {
    case METH_O:
        form = 0;
        break;
    case METH_FASTCALL | METH_KEYWORDS:
        form = 1;
        break;
    case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
        form = 2;
        break;
    default:
        PyErr_Format(PyExc_RuntimeError, "%s.%s has call flags %#x, which are unknown",
                     type->tp_name, name, original->ml_flags);
        return -1;
    }
    methods[method].original = original;
    methods[method].ours = *original;
    methods[method].ours.ml_meth = METHOD_FORMS[method][form];
    return 0;
}

/* Puts our functions, or CPython's, behind the methods, as is wanted now. */
static void
install_methods(void)
{
    for (int i = 0; i < METHOD_COUNT; i++) {
        bool is_cancel = i == CANCEL_FUTURE || i == CANCEL_TASK;
        bool is_wanted =
            core.is_enabled && (is_cancel || hooks_want(EVENT_SETTLED, KIND_FUTURE));
        if (is_wanted != methods[i].is_installed) {
            set_method_definition(methods[i].method,
                                  is_wanted ? &methods[i].ours : methods[i].original);
            methods[i].is_installed = is_wanted;
        }
    }
}

/* ---- Installing -------------------------------------------------------------------- */

int
tasks_prepare(void)
{
    if (original_task_init != NULL) {
        return 0;
    }
    str_eager_start = PyUnicode_InternFromString("eager_start");
    str_coro = PyUnicode_InternFromString("coro");
    str_context = PyUnicode_InternFromString("context");
    future_done = PyObject_GetAttrString((PyObject *)future_type, "done");
    str_loop = PyUnicode_InternFromString("loop");
    if (str_eager_start == NULL || str_coro == NULL || str_context == NULL ||
        future_done == NULL || str_loop == NULL) {
        return -1;
    }
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (prepare_method(i) < 0) {
            return -1;
        }
    }
    original_steps = get_step_functions();
    original_future_init = future_type->tp_init;
    original_future_dealloc = future_type->tp_dealloc;
    original_task_dealloc = task_type->tp_dealloc;
    original_task_init = task_type->tp_init;
    return 0;
}

void
tasks_install(void)
{
    exchange_init(task_type, original_task_init, task_init);
    exchange_init(future_type, original_future_init, future_init);
    exchange_dealloc(task_type, original_task_dealloc, task_dealloc);
    exchange_dealloc(future_type, original_future_dealloc, future_dealloc);
    set_class_vectorcall(future_type, construct_future);
    set_step_functions((StepFunctions){call_step, call_wakeup});
    hooks_wanted_changed = install_methods;
    install_methods();
}

void
tasks_uninstall(void)
{
    install_methods();
    exchange_init(task_type, task_init, original_task_init);
    exchange_init(future_type, future_init, original_future_init);
    exchange_dealloc(task_type, task_dealloc, original_task_dealloc);
    exchange_dealloc(future_type, future_dealloc, original_future_dealloc);
    set_class_vectorcall(future_type, NULL);
    set_step_functions(original_steps);
}
