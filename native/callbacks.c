#include "callbacks.h"
#include "compat.h"
#include "free_list.h"
#include "hooks.h"
#include "live.h"
#include "steps.h"
#include "tasks.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* ---- Callback ---------------------------------------------------------------------- */

typedef struct Callback {
    PyObject_HEAD PyObject *callback; /* owned */
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
    if (step_tell(&step, EVENT_AFTER) < 0) {
        Py_CLEAR(result);
    }
    if (step_end(&step) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* Returns: new, or NULL with an exception set. May run Python code: yes (an init hook). */
static PyObject *
make_callback(PyObject *callback, Kind kind)
{
    Callback *self = (Callback *)free_list_take(&free_callbacks, callback_type);
    if (self == NULL) {
        return NULL;
    }
    self->callback = Py_NewRef(callback);
    self->vectorcall = Callback_call;
    self->weak_references = NULL;
    self->live = (LiveRecord){0};
    PyObject_GC_Track(self);
    live_add(&self->live, (PyObject *)self);
    record_born(&self->live.record, kind);
    if (hooks_want(EVENT_INIT, kind) &&
        hooks_emit_init(&self->live.record, KIND_NAMES[kind], (PyObject *)self) < 0) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int
Callback_traverse(Callback *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->callback);
    return 0;
}

static int
Callback_clear(Callback *self)
{
    Py_CLEAR(self->callback);
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
    if (was_alive && hooks_want(EVENT_DESTROY, self->live.record.kind)) {
        hooks_queue_destroy(self->live.record.async_id, self->live.record.kind);
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

/* A loop's methods that schedule a callback. `leading` counts the arguments between self
   and the callback: the time, for timers. */
typedef enum Scheduler {
    CALL_SOON,
    CALL_SOON_THREADSAFE,
    CALL_LATER,
    CALL_AT,
    SCHEDULER_COUNT,
} Scheduler;

static const struct {
    const char *name;
    int leading;
    Kind kind;
} SCHEDULERS[SCHEDULER_COUNT] = {
    [CALL_SOON] = {"call_soon", 0, KIND_HANDLE},
    [CALL_SOON_THREADSAFE] = {"call_soon_threadsafe", 0, KIND_HANDLE},
    [CALL_LATER] = {"call_later", 1, KIND_TIMER_HANDLE},
    [CALL_AT] = {"call_at", 1, KIND_TIMER_HANDLE},
};

/* The loop class's own methods, owned. */
static PyObject *originals[SCHEDULER_COUNT];

#define MAXIMUM_ARGUMENTS 16

/* Calls the loop's own method with the callback wrapped. A task's step goes through
   unchanged, since it tells by itself when it runs; so does what does not look like a call
   that the loop would take: the error is the loop's. */
static PyObject *
schedule(Scheduler scheduler, PyObject *self, PyObject *const *args, Py_ssize_t nargs,
         PyObject *kwnames)
{
    PyObject *original = originals[scheduler];
    int leading = SCHEDULERS[scheduler].leading;
    Py_ssize_t total = nargs + (kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0);
    PyObject *small[MAXIMUM_ARGUMENTS + 1]; /* borrowed */
    PyObject **with_self = small;
    if (total > MAXIMUM_ARGUMENTS) {
        with_self = PyMem_Malloc((size_t)(total + 1) * sizeof(PyObject *));
        if (with_self == NULL) {
            return PyErr_NoMemory();
        }
    }
    with_self[0] = self;
    memcpy(with_self + 1, args, (size_t)total * sizeof(PyObject *));

    PyObject *wrapped = NULL; /* owned */
    PyObject *result = NULL;
    bool fits = core.is_enabled && nargs > leading && !tasks_is_step(args[leading]) &&
                PyCallable_Check(args[leading]);
    if (fits) {
        wrapped = make_callback(args[leading], SCHEDULERS[scheduler].kind);
        with_self[1 + leading] = wrapped;
    }
    if (!fits || wrapped != NULL) {
        result = PyObject_Vectorcall(original, with_self, (size_t)nargs + 1, kwnames);
    }
    Py_XDECREF(wrapped);
    if (with_self != small) {
        PyMem_Free(with_self);
    }
    return result;
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

static PyMethodDef definitions[SCHEDULER_COUNT] = {
    [CALL_SOON] = {"call_soon", (PyCFunction)(void (*)(void))call_soon,
                   METH_FASTCALL | METH_KEYWORDS, NULL},
    [CALL_SOON_THREADSAFE] = {"call_soon_threadsafe",
                              (PyCFunction)(void (*)(void))call_soon_threadsafe,
                              METH_FASTCALL | METH_KEYWORDS, NULL},
    [CALL_LATER] = {"call_later", (PyCFunction)(void (*)(void))call_later,
                    METH_FASTCALL | METH_KEYWORDS, NULL},
    [CALL_AT] = {"call_at", (PyCFunction)(void (*)(void))call_at,
                 METH_FASTCALL | METH_KEYWORDS, NULL},
};

int
callbacks_prepare(void)
{
    if (callback_type == NULL) {
        callback_type = (PyTypeObject *)PyType_FromSpec(&Callback_spec);
    }
    return callback_type != NULL ? 0 : -1;
}

PyObject *
callbacks_make_scheduler(PyTypeObject *loop_type, const char *name)
{
    for (int i = 0; i < SCHEDULER_COUNT; i++) {
        if (strcmp(SCHEDULERS[i].name, name) != 0) {
            continue;
        }
        PyObject *original = PyObject_GetAttrString((PyObject *)loop_type, name);
        if (original == NULL) {
            return NULL;
        }
        Py_XSETREF(originals[i], original);
        return PyDescr_NewMethod(loop_type, &definitions[i]);
    }
    PyErr_Format(PyExc_ValueError, "no loop schedules a callback by `%s`", name);
    return NULL;
}
