#include "callbacks.h"
#include "compat.h"
#include "free_list.h"
#include "hooks.h"
#include "internals.h"
#include "live.h"
#include "steps.h"
#include "tasks.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* ---- Callback ---------------------------------------------------------------------- */

typedef struct Callback {
    PyObject_HEAD PyObject *callback; /* owned */
    PyObject
        *context; /* owned: like the one that it is to run in; NULL of a plain handle */
    vectorcallfunc vectorcall;
    PyObject *weak_references;
    LiveRecord live;
} Callback;

static PyTypeObject *callback_type = NULL; /* owned */
static FreeList free_callbacks;

static PyObject *
Callback_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Callback *self = (Callback *)op;
    PyObject *result = NULL;
    Step step;
    step_begin(&step, &self->live.record, op);
    if (step_tell(&step, EVENT_BEFORE) == 0) {
        result = PyObject_Vectorcall(self->callback, args, nargsf, kwnames);
    }
    return step_finish(&step, result);
}

/* Steals: context, which may be NULL.
   Returns: new, or NULL with an exception set. May run Python code: yes (an init hook). */
static PyObject *
make_callback(PyObject *callback, Kind kind, PyObject *context)
{
    Callback *self = (Callback *)free_list_take(&free_callbacks, callback_type);
    if (self == NULL) {
        Py_XDECREF(context);
        return NULL;
    }
    self->callback = Py_NewRef(callback);
    self->context = context;
    self->vectorcall = Callback_call;
    self->weak_references = NULL;
    PyObject_GC_Track(self);
    live_add(&self->live, (PyObject *)self);
    record_born(&self->live.record, kind);
    if (hooks_want(EVENT_INIT, kind) &&
        hooks_emit_init(&self->live.record, KIND_NAMES[kind], (PyObject *)self) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

Record *
callbacks_record_of(PyObject *object)
{
    return Py_IS_TYPE(object, callback_type) ? &((Callback *)object)->live.record : NULL;
}

static int
Callback_traverse(Callback *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    return 0;
}

static int
Callback_clear(Callback *self)
{
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    return 0;
}

static void
Callback_dealloc(Callback *self)
{
    PyObject_GC_UnTrack(self);
    bool was_alive = live_remove(&self->live);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    if (was_alive) {
        hooks_record_died(&self->live.record);
    }
    (void)Callback_clear(self);
    free_list_put(&free_callbacks, (PyObject *)self);
}

/* Whoever looks at the callback (a repr, a debugger, a slow-callback warning) sees the one
   that was scheduled. */
static PyObject *
Callback_getattro(Callback *self, PyObject *name)
{
    return PyObject_GetAttr(self->callback, name);
}

static PyObject *
Callback_repr(Callback *self)
{
    return PyObject_Repr(self->callback);
}

static PyObject *
Callback_richcompare(PyObject *self, PyObject *other, int op)
{
    if (Py_IS_TYPE(other, callback_type)) {
        other = ((Callback *)other)->callback;
    }
    return PyObject_RichCompare(((Callback *)self)->callback, other, op);
}

static Py_hash_t
Callback_hash(Callback *self)
{
    return PyObject_Hash(self->callback);
}

static PyMemberDef Callback_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Callback, vectorcall), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Callback, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Callback_slots[] = {
    {Py_tp_call, PyVectorcall_Call},           {Py_tp_dealloc, Callback_dealloc},
    {Py_tp_traverse, Callback_traverse},       {Py_tp_clear, Callback_clear},
    {Py_tp_getattro, Callback_getattro},       {Py_tp_repr, Callback_repr},
    {Py_tp_richcompare, Callback_richcompare}, {Py_tp_hash, Callback_hash},
    {Py_tp_members, Callback_members},         {0, NULL},
};

static PyType_Spec Callback_spec = {
    .name = "asynchooks._native.Callback",
    .basicsize = sizeof(Callback),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Callback_slots,
};

/* ---- Schedulers -------------------------------------------------------------------- */

/* A loop's methods that are given a callback. `leading` counts the arguments before it: the
   time, the file, the signal. */
typedef enum Scheduler {
    CALL_SOON,
    CALL_SOON_THREADSAFE,
    CALL_LATER,
    CALL_AT,
    ADD_READER,
    ADD_WRITER,
    ADD_SIGNAL_HANDLER,
    SCHEDULER_COUNT,
} Scheduler;

typedef _PyCFunctionFastWithKeywords Method;

static struct {
    const char *name;
    int leading;
    Kind kind;
    PyMethodDef *definition; /* borrowed: the loop type's own; NULL: not exchanged */
    Method original;
} schedulers[SCHEDULER_COUNT] = {
    [CALL_SOON] = {"call_soon", 0, KIND_HANDLE, NULL, NULL},
    [CALL_SOON_THREADSAFE] = {"call_soon_threadsafe", 0, KIND_HANDLE, NULL, NULL},
    [CALL_LATER] = {"call_later", 1, KIND_TIMER_HANDLE, NULL, NULL},
    [CALL_AT] = {"call_at", 1, KIND_TIMER_HANDLE, NULL, NULL},
    [ADD_READER] = {"add_reader", 1, KIND_READER, NULL, NULL},
    [ADD_WRITER] = {"add_writer", 1, KIND_WRITER, NULL, NULL},
    [ADD_SIGNAL_HANDLER] = {"add_signal_handler", 1, KIND_SIGNAL_HANDLER, NULL, NULL},
};

/* The type that the exchanged methods are of, owned. */
static PyTypeObject *loop_type = NULL;

#define MAXIMUM_ARGUMENTS 16

/* What uvloop makes the context of a callback from, which it keeps where nobody can look: for
   those who ask what a callback that may wait for long holds.
   Returns: new, or NULL without an exception. May run Python code: no. */
static PyObject *
context_of_call(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *value = args[nargs + i]; /* borrowed */
        if (PyContext_CheckExact(value)) {
            return Py_NewRef(value);
        }
    }
    PyObject *context = PyContext_CopyCurrent();
    if (context == NULL) {
        PyErr_Clear();
    }
    return context;
}

/* Calls the loop's own method with the callback wrapped.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
call_with_wrapped(Scheduler scheduler, PyObject *self, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *small[MAXIMUM_ARGUMENTS]; /* borrowed */
    PyObject **copies = small;
    PyObject *result = NULL;
    Py_ssize_t total = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    int leading = schedulers[scheduler].leading;
    Kind kind = schedulers[scheduler].kind;
    PyObject *context =
        kind != KIND_HANDLE ? context_of_call(args, nargs, kwnames) : NULL; /* owned */
    PyObject *wrapped = make_callback(args[leading], kind, context);        /* owned */
    if (wrapped == NULL) {
        return NULL;
    }
    if (total > MAXIMUM_ARGUMENTS) {
        copies = PyMem_Malloc((size_t)total * sizeof(PyObject *));
        if (copies == NULL) {
            PyErr_NoMemory();
            goto error;
        }
    }
    memcpy(copies, args, (size_t)total * sizeof(PyObject *));
    copies[leading] = wrapped;
    result = schedulers[scheduler].original(self, copies, nargs, kwnames);
error:
    Py_DECREF(wrapped);
    if (copies != small) {
        PyMem_Free(copies);
    }
    return result;
}

/* A task's step goes through unchanged, since it tells by itself when it runs; so does what
   is wrapped already, by a method that calls another (call_at: call_later), and what does not
   look like a call that the loop would take: the error is the loop's. */
static inline PyObject *
schedule(Scheduler scheduler, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
         PyObject *kwnames)
{
    int leading = schedulers[scheduler].leading;
    if (!core.is_enabled || nargs <= leading || tasks_is_step(args[leading]) ||
        Py_IS_TYPE(args[leading], callback_type) || !PyCallable_Check(args[leading])) {
        return schedulers[scheduler].original(self, args, nargs, kwnames);
    }
    return call_with_wrapped(scheduler, self, args, nargs, kwnames);
}

#define DEFINE_SCHEDULER(function, scheduler)                                            \
    static PyObject *function(PyObject *self, PyObject *const *args, Py_ssize_t nargs,   \
                              PyObject *kwnames)                                         \
    {                                                                                    \
        return schedule(scheduler, self, args, nargs, kwnames);                          \
    }

DEFINE_SCHEDULER(call_soon, CALL_SOON)
DEFINE_SCHEDULER(call_soon_threadsafe, CALL_SOON_THREADSAFE)
DEFINE_SCHEDULER(call_later, CALL_LATER)
DEFINE_SCHEDULER(call_at, CALL_AT)
DEFINE_SCHEDULER(add_reader, ADD_READER)
DEFINE_SCHEDULER(add_writer, ADD_WRITER)
DEFINE_SCHEDULER(add_signal_handler, ADD_SIGNAL_HANDLER)

static const Method OURS[SCHEDULER_COUNT] = {
    call_soon,  call_soon_threadsafe, call_later,         call_at,
    add_reader, add_writer,           add_signal_handler,
};

int
callbacks_prepare(void)
{
    if (callback_type == NULL) {
        callback_type = (PyTypeObject *)PyType_FromSpec(&Callback_spec);
    }
    return callback_type != NULL ? 0 : -1;
}

int
callbacks_install(PyTypeObject *type)
{
    if (loop_type != NULL) {
        return 0;
    }
    PyMethodDef *definitions[SCHEDULER_COUNT]; /* borrowed */
    for (int i = 0; i < SCHEDULER_COUNT; i++) {
        PyObject *method =
            PyObject_GetAttrString((PyObject *)type, schedulers[i].name); /* owned */
        if (method == NULL) {
            return -1;
        }
        definitions[i] = cython_definition(method);
        Py_DECREF(method); /* the type has it */
        if (definitions[i] == NULL) {
            return -1;
        }
        if (definitions[i]->ml_flags != (METH_FASTCALL | METH_KEYWORDS)) {
            PyErr_Format(PyExc_RuntimeError, "%s.%s has call flags %#x, expected %#x",
                         type->tp_name, schedulers[i].name, definitions[i]->ml_flags,
                         METH_FASTCALL | METH_KEYWORDS);
            return -1;
        }
    }
    for (int i = 0; i < SCHEDULER_COUNT; i++) {
        schedulers[i].definition = definitions[i];
        schedulers[i].original = (Method)(void (*)(void))definitions[i]->ml_meth;
        definitions[i]->ml_meth = (PyCFunction)(void (*)(void))OURS[i];
    }
    loop_type = (PyTypeObject *)Py_NewRef((PyObject *)type);
    return 0;
}

void
callbacks_uninstall(void)
{
    if (loop_type == NULL) {
        return;
    }
    for (int i = 0; i < SCHEDULER_COUNT; i++) {
        schedulers[i].definition->ml_meth =
            (PyCFunction)(void (*)(void))schedulers[i].original;
    }
    Py_CLEAR(loop_type);
}
