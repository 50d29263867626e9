#include "wrappers.h"
#include "asgi_exchange.h"
#include "calls.h"
#include "compat.h"
#include "handles.h"
#include "jobs.h"
#include "otel_context.h"
#include "pool_waits.h"
#include "records.h"
#include "routes.h"
#include "steps.h"
#include "tracked.h"

#include <frameobject.h>
#include <stddef.h>
#include <string.h>
#include <structmember.h>

static PyTypeObject *wrapper_type = NULL; /* owned */
static PyObject *str_wrapped = NULL;      /* owned: "__wrapped__" */
static PyObject *str_get = NULL;          /* owned: "__get__" */
static PyObject *str_reduce = NULL;       /* owned: "__reduce_ex__" */
static PyObject *str_qualname = NULL;     /* owned: "__qualname__" */
static PyObject *str_state = NULL;        /* owned: "_state" */

static PyObject *Wrapper_call(PyObject *op, PyObject *const *args, size_t nargsf,
                              PyObject *kwnames);

#define SMALL 8

/* fn(first, *args, **kwargs). Returns: new, or NULL with an exception set. */
static PyObject *
call_with_first(PyObject *fn, PyObject *first, PyObject *const *args, size_t nargsf,
                PyObject *kwnames)
{
    PyObject *small[SMALL]; /* borrowed */
    PyObject **all = small;
    size_t nargs = (size_t)PyVectorcall_NARGS(nargsf);
    size_t total = nargs + (kwnames != NULL ? (size_t)PyTuple_GET_SIZE(kwnames) : 0);
    if (total + 1 > SMALL) {
        all = PyMem_Malloc((total + 1) * sizeof(PyObject *));
        if (all == NULL) {
            return PyErr_NoMemory();
        }
    }
    all[0] = first;
    if (total > 0) {
        memcpy(all + 1, args, total * sizeof(PyObject *));
    }
    PyObject *result = PyObject_Vectorcall(fn, all, nargs + 1, kwnames);
    if (all != small) {
        PyMem_Free(all);
    }
    return result;
}

/* So few are looked through, which takes no key. */
#define MAXIMUM_SCANNED 4

/* What `values` has for the id of an owner. Returns: new; NULL where it has nothing, or with an
   exception set. */
static PyObject *
value_by_id(PyObject *values, PyObject *owner)
{
    if (PyDict_GET_SIZE(values) <= MAXIMUM_SCANNED) {
        PyObject *id, *value; /* borrowed */
        Py_ssize_t position = 0;
        while (PyDict_Next(values, &position, &id, &value)) {
            if (PyLong_CheckExact(id) && PyLong_AsVoidPtr(id) == owner) {
                return Py_NewRef(value);
            }
        }
        return NULL;
    }
    PyObject *id = PyLong_FromVoidPtr(owner); /* owned */
    PyObject *value = id != NULL ? Py_XNewRef(PyDict_GetItemWithError(values, id)) : NULL;
    Py_XDECREF(id);
    return value;
}

/* A helper (attribute, values): what `values` has for the first argument's attribute, by its identity
   (see integrations/beside.py). Returns: new; NULL where it has nothing, or with an exception set. */
static PyObject *
look_beside(PyObject *helper, PyObject *first)
{
    PyObject *owner = PyObject_GetAttr(first, PyTuple_GET_ITEM(helper, 0)); /* owned */
    PyObject *value =
        owner != NULL ? value_by_id(PyTuple_GET_ITEM(helper, 1), owner) : NULL;
    Py_XDECREF(owner);
    return value;
}

/* What the helper says. Returns: new, NULL for None or where there is none; or NULL with an
   exception set. */
static PyObject *
ask(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    size_t nargs = (size_t)PyVectorcall_NARGS(nargsf);
    PyObject *said;
    if (self->helper == NULL) {
        return NULL;
    }
    if (PyUnicode_Check(self->helper)) {
        said = nargs > 0 ? PyObject_GetAttr(args[0], self->helper) : NULL;
    } else if (PyTuple_Check(self->helper)) {
        said = nargs > 0 ? look_beside(self->helper, args[0]) : NULL;
    } else {
        said = PyObject_Vectorcall(self->helper, args, nargs, kwnames);
    }
    if (said == Py_None) {
        Py_CLEAR(said);
    }
    return said;
}

PyObject *
wrapper_ask(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *said = ask(self, args, nargsf, kwnames);
    if (said == NULL && PyErr_Occurred()) {
        if (!PyCallable_Check(self->helper)) {
            PyErr_Clear(); /* an object of another make: it is left alone */
        } else {
            PyErr_WriteUnraisable(self->helper);
        }
    }
    return said;
}

/* ---- What a wrapper does ----------------------------------------------------------- */

/* The one handle that is made inside is of this kind. */
static PyObject *
act_kind(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return handles_call_with_kind(self->kind, self->original, args, nargsf, kwnames);
}

/* What is made inside was made by the tracked object that the helper names; nothing is told
   of that. */
static PyObject *
act_cause(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *object = wrapper_ask(self, args, nargsf, kwnames); /* owned */
    const Record *record =
        object != NULL && core.is_enabled ? records_find(object) : NULL;
    PyObject *result;
    if (record != NULL) {
        Frame *frame = frame_push(record, object);
        result = wrapper_call_original(self, args, nargsf, kwnames);
        frame_pop(frame);
    } else {
        result = wrapper_call_original(self, args, nargsf, kwnames);
    }
    Py_XDECREF(object);
    return result;
}

/* A step of the tracked object that the helper names. */
static PyObject *
act_step(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *object = wrapper_ask(self, args, nargsf, kwnames); /* owned */
    Record *record = object != NULL && core.is_enabled ? records_find(object) : NULL;
    PyObject *result = NULL;
    if (record != NULL) {
        Step step;
        step_begin_listed(&step, record, object);
        if (step_tell(&step, EVENT_BEFORE) == 0) {
            result = wrapper_call_original(self, args, nargsf, kwnames);
        }
        result = step_finish(&step, result);
    } else {
        result = wrapper_call_original(self, args, nargsf, kwnames);
    }
    Py_XDECREF(object);
    return result;
}

/* An __init__: the object is a resource from here on, of the type that the helper names, and
   told of when it is whole. One whose __init__ fails has never been. */
static PyObject *
act_birth(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) < 1 || !core.is_enabled) {
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    /* Owned. */
    PyObject *object = Py_NewRef(args[0]);
    PyObject *type_name = wrapper_ask(self, args, nargsf, kwnames);
    PyObject *result = NULL;
    int status = 0;
    if (type_name != NULL && PyUnicode_Check(type_name)) {
        status = tracked_begin(object, self->kind);
        if (status < 0) {
            PyErr_WriteUnraisable(self->original);
        }
    }
    result = wrapper_call_original(self, args, nargsf, kwnames);
    if (status > 0) {
        if (result == NULL) {
            tracked_forget(object);
        } else if (tracked_tell(object, PyUnicode_AsUTF8(type_name)) < 0) {
            Py_CLEAR(result);
        }
    }
    Py_XDECREF(type_name);
    Py_DECREF(object);
    return result;
}

/* Takes the helper's own frame, which stands first, out of the traceback of the exception that
   is set. */
static void
step_out(Wrapper *self)
{
    PyObject *exception = PyErr_GetRaisedException(); /* owned */
    PyTracebackObject *entry =
        (PyTracebackObject *)PyException_GetTraceback(exception); /* owned */
    if (entry != NULL) {
        PyCodeObject *code = PyFrame_GetCode(entry->tb_frame); /* owned */
        PyObject *next = entry->tb_next != NULL ? (PyObject *)entry->tb_next : Py_None;
        if (PyFunction_Check(self->helper) &&
            (PyObject *)code == PyFunction_GetCode(self->helper) &&
            PyException_SetTraceback(exception, next) < 0) {
            PyErr_Clear();
        }
        Py_DECREF(code);
        Py_DECREF(entry);
    }
    PyErr_SetRaisedException(exception);
}

/* helper(original, *args, **kwargs): whatever a function in Python does. */
static PyObject *
act_through(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *result =
        call_with_first(self->helper, self->original, args, nargsf, kwnames);
    if (result == NULL) {
        step_out(self);
    }
    return result;
}

/* The original, with the arguments that the helper says: (args, kwargs), or None for the given
   ones. */
static PyObject *
act_arguments(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *said = ask(self, args, nargsf, kwnames); /* owned */
    if (said == NULL) {
        if (PyErr_Occurred()) {
            if (!PyErr_ExceptionMatches(PyExc_Exception)) {
                return NULL; /* Ctrl-C, say: it is the application's */
            }
            PyErr_WriteUnraisable(self->helper);
        }
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    PyObject *result = NULL;
    if (PyTuple_CheckExact(said) && PyTuple_GET_SIZE(said) == 2 &&
        PyTuple_Check(PyTuple_GET_ITEM(said, 0)) &&
        PyDict_Check(PyTuple_GET_ITEM(said, 1))) {
        result = PyObject_Call(self->original, PyTuple_GET_ITEM(said, 0),
                               PyTuple_GET_ITEM(said, 1));
    } else {
        PyErr_Format(PyExc_TypeError, "a helper said %R, expected (args, kwargs)", said);
    }
    Py_DECREF(said);
    return result;
}

/* The original in `context`, which nobody else has entered. Steals: context; NULL: an exception
   is set. */
static PyObject *
call_in_context(Wrapper *self, PyObject *context, PyObject *const *args, size_t nargsf,
                PyObject *kwnames)
{
    if (context == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(context);
        return NULL;
    }
    PyObject *result =
        leave_context(context, wrapper_call_original(self, args, nargsf, kwnames));
    Py_DECREF(context);
    return result;
}

/* In a copy of a context: any number of threads and nested calls may be inside. The context is
   the helper, or what the helper says; where it says anything else, it is the caller's. */
static PyObject *
act_context(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *context = PyContext_CheckExact(self->helper)
                            ? Py_NewRef(self->helper)
                            : wrapper_ask(self, args, nargsf, kwnames); /* owned */
    if (context == NULL || !PyContext_CheckExact(context)) {
        Py_XDECREF(context);
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    PyObject *copy = PyContext_Copy(context);
    Py_DECREF(context);
    return call_in_context(self, copy, args, nargsf, kwnames);
}

/* The same, for a job: with what the pool's initializer has set in this thread. */
static PyObject *
act_job(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *copy = PyContext_Copy(self->helper); /* owned */
    if (copy != NULL && jobs_add_own_of_thread(copy) < 0) {
        PyErr_WriteUnraisable(self->original);
    }
    return call_in_context(self, copy, args, nargsf, kwnames);
}

/* Returns: `fn`, bound to `context`, new, or NULL with an exception set. */
static PyObject *
bind(PyObject *fn, PyObject *context)
{
    Wrapper *self = (Wrapper *)wrapper_type->tp_alloc(wrapper_type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->original = Py_NewRef(fn);
    self->helper = Py_NewRef(context);
    self->vectorcall = Wrapper_call;
    self->act = act_context;
    self->kind = KIND_RESOURCE;
    return (PyObject *)self;
}

/* Returns: whether a future of concurrent.futures will call back later, by its state: one that
   is done does so at once. */
static bool
is_pending(PyObject *future)
{
    PyObject *state = PyObject_GetAttr(future, str_state); /* owned */
    bool is = state != NULL && PyUnicode_Check(state) &&
              (PyUnicode_CompareWithASCIIString(state, "PENDING") == 0 ||
               PyUnicode_CompareWithASCIIString(state, "RUNNING") == 0);
    PyErr_Clear();
    Py_XDECREF(state);
    return is;
}

/* add_done_callback(future, fn): fn is bound to the caller's context, unless it is called at
   once. */
static PyObject *
act_done_callback(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t total =
        PyVectorcall_NARGS(nargsf) + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    if (!core.is_enabled || total != 2 || PyVectorcall_NARGS(nargsf) < 1 ||
        !PyCallable_Check(args[1]) || !is_pending(args[0])) {
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    PyObject *result = NULL;
    PyObject *context = PyContext_CopyCurrent();                       /* owned */
    PyObject *bound = context != NULL ? bind(args[1], context) : NULL; /* owned */
    if (bound != NULL) {
        PyObject *given[] = {args[0], bound};
        result = wrapper_call_original(self, given, (size_t)PyVectorcall_NARGS(nargsf),
                                       kwnames);
    }
    Py_XDECREF(bound);
    Py_XDECREF(context);
    return result;
}

static const struct {
    const char *name;
    Act act;
} ACTIONS[] = {
    {"kind", act_kind},
    {"cause", act_cause},
    {"step", act_step},
    {"birth", act_birth},
    {"through", act_through},
    {"call", wrapper_call_original},
    {"arguments", act_arguments},
    {"context", act_context},
    {"submit", jobs_submit},
    {"run", jobs_run},
    {"done_callback", act_done_callback},
    {"job", act_job},
    {"span", call_in_span},
    {"span_steps", call_in_span_steps},
    {"unrecorded", call_unrecorded},
    {"unrecorded_steps", call_unrecorded_steps},
    {"pool_wait", wait_for_pool},
    {"pool_wait_steps", wait_for_pool_steps},
    {"route", route_handle},
    {"asgi", asgi_call},
    {"get_value", otel_get_value},
};

/* ---- The type ---------------------------------------------------------------------- */

static PyObject *
Wrapper_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Wrapper *self = (Wrapper *)op;
    PyObject *result = self->act(self, args, nargsf, kwnames);
    if (self->then != NULL && result != NULL) {
        PyObject *unused = call_with_first(self->then, result, args, nargsf, kwnames);
        if (unused == NULL) {
            PyErr_WriteUnraisable(self->then);
        }
        Py_XDECREF(unused);
    }
    return result;
}

/* Whether a helper is (attribute, values). */
static bool
is_beside(PyObject *helper)
{
    return PyTuple_GET_SIZE(helper) == 2 &&
           PyUnicode_Check(PyTuple_GET_ITEM(helper, 0)) &&
           PyDict_Check(PyTuple_GET_ITEM(helper, 1));
}

/* Whether an act can do with a helper. */
static bool
takes_helper(Act act, PyObject *helper)
{
    if (act == call_in_span || act == call_in_span_steps) {
        return call_takes_helper(helper);
    }
    if (act == wait_for_pool || act == wait_for_pool_steps) {
        return wait_takes_helper(helper);
    }
    if (act == asgi_call) {
        return PyCallable_Check(helper);
    }
    if (act == route_handle) {
        return route_takes_helper(helper);
    }
    if (act == otel_get_value) {
        return PyAnySet_Check(helper);
    }
    if (act == act_job) {
        return PyContext_CheckExact(helper);
    }
    if (PyTuple_Check(helper)) {
        return is_beside(helper);
    }
    return act != act_context || helper != Py_None;
}

static PyObject *
Wrapper_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"original", "action", "kind", "helper", "then", NULL};
    /* Borrowed. */
    PyObject *original;
    const char *action;
    PyObject *helper = Py_None;
    PyObject *then = Py_None;
    int kind = KIND_RESOURCE;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "Os|iOO:Wrapper", names, &original,
                                     &action, &kind, &helper, &then)) {
        return NULL;
    }
    Act act = NULL;
    for (size_t i = 0; i < sizeof(ACTIONS) / sizeof(ACTIONS[0]); i++) {
        if (strcmp(ACTIONS[i].name, action) == 0) {
            act = ACTIONS[i].act;
        }
    }
    if (act == NULL || kind < 0 || kind >= KIND_COUNT || !takes_helper(act, helper)) {
        PyErr_Format(PyExc_ValueError, "a wrapper has no action %s for kind %d", action,
                     kind);
        return NULL;
    }
    Wrapper *self = (Wrapper *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->original = Py_NewRef(original);
    self->helper = helper != Py_None ? Py_NewRef(helper) : NULL;
    self->then = then != Py_None ? Py_NewRef(then) : NULL;
    self->vectorcall = Wrapper_call;
    self->act = act;
    self->kind = (Kind)kind;
    return (PyObject *)self;
}

static int
Wrapper_traverse(Wrapper *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->helper);
    Py_VISIT(self->then);
    return 0;
}

static int
Wrapper_clear(Wrapper *self)
{
    Py_CLEAR(self->helper);
    Py_CLEAR(self->then);
    return 0;
}

static void
Wrapper_dealloc(Wrapper *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)Wrapper_clear(self);
    Py_CLEAR(self->original);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
Wrapper_get(PyObject *self, PyObject *instance, PyObject *unused)
{
    return instance == NULL || instance == Py_None ? Py_NewRef(self)
                                                   : PyMethod_New(self, instance);
}

/* Everything but how it binds is the original's, also __class__: to whoever asks, it is the
   function. */
static PyObject *
Wrapper_getattro(Wrapper *self, PyObject *name)
{
    if (PyUnicode_Compare(name, str_wrapped) == 0) {
        return Py_NewRef(self->original);
    }
    if (PyUnicode_Compare(name, str_get) == 0 ||
        PyUnicode_Compare(name, str_reduce) == 0) {
        return PyObject_GenericGetAttr((PyObject *)self, name);
    }
    return PyObject_GetAttr(self->original, name);
}

static int
Wrapper_setattro(Wrapper *self, PyObject *name, PyObject *value)
{
    return PyObject_SetAttr(self->original, name, value);
}

static PyObject *
Wrapper_repr(Wrapper *self)
{
    return PyObject_Repr(self->original);
}

/* As a function is pickled and copied: by the name where it is found, which is where we are. */
static PyObject *
Wrapper_reduce(PyObject *op, PyObject *unused)
{
    return PyObject_GetAttr(((Wrapper *)op)->original, str_qualname);
}

/* A function that is bound to a context equals the function, which is how the application finds it
   again (`atexit.unregister`). A patch is not what it replaces. */
static PyObject *
Wrapper_richcompare(PyObject *op, PyObject *other, int compare)
{
    Wrapper *self = (Wrapper *)op;
    if (self->act != act_context || !PyContext_CheckExact(self->helper)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    if (Py_IS_TYPE(other, wrapper_type) && ((Wrapper *)other)->act == act_context) {
        other = ((Wrapper *)other)->original;
    }
    return PyObject_RichCompare(self->original, other, compare);
}

static Py_hash_t
Wrapper_hash(PyObject *op)
{
    Wrapper *self = (Wrapper *)op;
    return self->act == act_context && PyContext_CheckExact(self->helper)
               ? PyObject_Hash(self->original)
               : PyBaseObject_Type.tp_hash(op);
}

static PyMethodDef Wrapper_methods[] = {
    {"__reduce_ex__", Wrapper_reduce, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Wrapper_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Wrapper, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Wrapper, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Wrapper_slots[] = {
    {Py_tp_doc, "A callable in the place of a function, that does something of ours."},
    {Py_tp_new, Wrapper_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, Wrapper_dealloc},
    {Py_tp_traverse, Wrapper_traverse},
    {Py_tp_clear, Wrapper_clear},
    {Py_tp_getattro, Wrapper_getattro},
    {Py_tp_setattro, Wrapper_setattro},
    {Py_tp_descr_get, Wrapper_get},
    {Py_tp_repr, Wrapper_repr},
    {Py_tp_richcompare, Wrapper_richcompare},
    {Py_tp_hash, Wrapper_hash},
    {Py_tp_methods, Wrapper_methods},
    {Py_tp_members, Wrapper_members},
    {0, NULL},
};

static PyType_Spec Wrapper_spec = {
    .name = "asynchooks._native.Wrapper",
    .basicsize = sizeof(Wrapper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = Wrapper_slots,
};

int
wrappers_add_type(PyObject *module)
{
    str_wrapped = PyUnicode_InternFromString("__wrapped__");
    str_get = PyUnicode_InternFromString("__get__");
    str_reduce = PyUnicode_InternFromString("__reduce_ex__");
    str_qualname = PyUnicode_InternFromString("__qualname__");
    str_state = PyUnicode_InternFromString("_state");
    wrapper_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Wrapper_spec, NULL);
    if (str_wrapped == NULL || str_get == NULL || str_reduce == NULL ||
        str_qualname == NULL || str_state == NULL || wrapper_type == NULL ||
        jobs_add_type(module) < 0) {
        return -1;
    }
    return PyModule_AddType(module, wrapper_type);
}
