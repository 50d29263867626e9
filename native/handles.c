#include "handles.h"
#include "compat.h"
#include "free_list.h"
#include "hooks.h"
#include "internals.h"
#include "live.h"
#include "records.h"
#include "steps.h"
#include "tasks.h"
#include "tracked.h"

#include <structmember.h>

static PyTypeObject *handle_type = NULL; /* owned */
static PyTypeObject *timer_type = NULL;  /* owned */
/* Owned; NULL before 3.14: what call_soon_threadsafe makes (handle_layout.threadsafe_type). */
static PyTypeObject *threadsafe_type = NULL;

/* The base class's `_run`, a Python function, owned: it speaks when a callback fails. */
static PyObject *base_run = NULL;
/* The base classes' `cancel`, owned. */
static PyObject *base_cancel = NULL;
static PyObject *base_cancel_timer = NULL;
static PyObject *threadsafe_run = NULL;  /* owned: as base_run, of _ThreadSafeHandle */
static PyObject *threadsafe_init = NULL; /* owned: its __init__ */
static PyObject *threading = NULL;       /* owned: the module */
static PyObject *str_RLock = NULL;       /* owned */
static PyObject *str_acquire = NULL;     /* owned */
static PyObject *str_release = NULL;     /* owned */
static PyObject *str_timer_handle_cancelled = NULL; /* owned */
static PyObject *str_get_debug = NULL;              /* owned */
static PyObject *str_debug = NULL;                  /* owned */
static PyObject *str_context = NULL;                /* owned */
static PyObject *base_get_debug = NULL;             /* owned: BaseEventLoop.get_debug */
static PyObject *extract_stack = NULL;              /* owned: asyncio.format_helpers' */

/* Of what kind the handles are that this thread makes now, but for timers. */
static FAST_THREAD_LOCAL Kind kind_of_handles = KIND_HANDLE;

static Py_ssize_t debug_stack_depth; /* asyncio.constants.DEBUG_STACK_DEPTH */

/* Our record lies behind the base class's slots. */
static inline LiveRecord *
live_of(PyObject *self)
{
    return (LiveRecord *)((char *)self + Py_TYPE(self)->tp_basicsize) - 1;
}

#define HANDLE_SLOT(self, name) SLOT_AT(self, handle_layout.name)

/* ---- Memory ------------------------------------------------------------------------ */

static FreeList free_handles;
static FreeList free_timers;
static FreeList free_threadsafes;

static inline FreeList *
free_list_of(PyTypeObject *type)
{
    return type == handle_type  ? &free_handles
           : type == timer_type ? &free_timers
                                : &free_threadsafes;
}

/* Returns: new, with every slot NULL and the record zero, not yet tracked by the garbage
   collector; or NULL with MemoryError set. */
static PyObject *
allocate(PyTypeObject *type)
{
    PyObject *self = free_list_take(free_list_of(type), type);
    if (self == NULL) {
        return NULL;
    }
    memset((char *)self + sizeof(PyObject), 0,
           (size_t)type->tp_basicsize - sizeof(PyObject));
    return self;
}

static int
handle_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(HANDLE_SLOT(self, callback));
    Py_VISIT(HANDLE_SLOT(self, args));
    Py_VISIT(HANDLE_SLOT(self, context));
    Py_VISIT(HANDLE_SLOT(self, loop));
    Py_VISIT(HANDLE_SLOT(self, source_traceback));
    return 0;
}

static int
handle_clear(PyObject *self)
{
    Py_CLEAR(HANDLE_SLOT(self, callback));
    Py_CLEAR(HANDLE_SLOT(self, args));
    Py_CLEAR(HANDLE_SLOT(self, context));
    Py_CLEAR(HANDLE_SLOT(self, loop));
    Py_CLEAR(HANDLE_SLOT(self, source_traceback));
    return 0;
}

static void
handle_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    bool was_alive = live_remove(live_of(self));
    if (SLOT_AT(self, type->tp_weaklistoffset) != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    Record *record = &live_of(self)->record;
    if (was_alive) {
        hooks_record_died(record);
    }
    (void)handle_clear(self);
    Py_CLEAR(HANDLE_SLOT(self, cancelled));
    Py_CLEAR(HANDLE_SLOT(self, repr));
    if (type == timer_type) {
        Py_CLEAR(HANDLE_SLOT(self, when));
        Py_CLEAR(HANDLE_SLOT(self, scheduled));
    } else if (type == threadsafe_type) {
        Py_CLEAR(HANDLE_SLOT(self, lock));
    }
    free_list_put(free_list_of(type), self);
}

/* ---- Construction ------------------------------------------------------------------ */

int
loop_is_in_debug_mode(PyObject *loop)
{
    /* Owned. */
    PyObject *debug;
    if (lookup_in_type(Py_TYPE(loop), str_get_debug) == base_get_debug) {
        debug = PyObject_GetAttr(loop, str_debug);
    } else {
        debug = PyObject_CallMethodNoArgs(loop, str_get_debug);
    }
    if (debug == NULL) {
        return -1;
    }
    int is_true = PyObject_IsTrue(debug);
    Py_DECREF(debug);
    return is_true;
}

/* Returns: the stack of the caller as asyncio's debug mode keeps it, new, or NULL. It has a
   limited depth, of which a timer's own __init__ takes one. May run Python code: yes. */
static PyObject *
source_traceback(bool is_timer)
{
    PyFrameObject *frame = PyThreadState_GetFrame(PyThreadState_Get());
    if (frame == NULL) {
        return Py_NewRef(Py_None);
    }
    PyObject *stack = PyObject_CallOneArg(extract_stack, (PyObject *)frame);
    Py_DECREF(frame);
    if (stack != NULL && is_timer && PyObject_Size(stack) == debug_stack_depth &&
        PySequence_DelItem(stack, 0) < 0) {
        Py_CLEAR(stack);
    }
    return stack;
}

/* Makes `self` the resource that it is, unless it is only to run a task's step.
   Returns: 0, or -1 with an exception set. May run Python code: yes (an init hook). */
static int
bear(PyObject *self, PyObject *callback, PyObject *args, Kind kind)
{
    if (tasks_is_step(callback) || tracked_owner_of(callback, args) != NULL) {
        return 0;
    }
    Record *record = &live_of(self)->record;
    live_add(live_of(self), self);
    record_born(record, kind);
    return hooks_want(EVENT_INIT, kind) ? hooks_emit_init(record, KIND_NAMES[kind], self)
                                        : 0;
}

/* In debug mode _ThreadSafeHandle's own __init__ is a line of the stack that is kept, and so
   has to run.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
make_threadsafe_in_debug_mode(PyObject *callback, PyObject *args, PyObject *loop,
                              PyObject *context)
{
    PyObject *self = allocate(threadsafe_type);
    if (self == NULL) {
        return NULL;
    }
    PyObject_GC_Track(self);
    PyObject *result = PyObject_CallFunctionObjArgs(threadsafe_init, self, callback, args,
                                                    loop, context, NULL);
    Py_XDECREF(result);
    if (result == NULL || bear(self, callback, args, kind_of_handles) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

/* What the __init__ of asyncio.events' classes do, and the birth of the resource.
   `when` is NULL for a plain handle.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
static inline PyObject *
make_handle(PyTypeObject *type, PyObject *when, PyObject *callback, PyObject *args,
            PyObject *loop, PyObject *context, bool is_debug)
{
    if (is_debug && type == threadsafe_type) {
        return make_threadsafe_in_debug_mode(callback, args, loop, context);
    }
    PyObject *self = allocate(type);
    if (self == NULL) {
        return NULL;
    }
    HANDLE_SLOT(self, callback) = Py_NewRef(callback);
    HANDLE_SLOT(self, args) = Py_NewRef(args);
    HANDLE_SLOT(self, loop) = Py_NewRef(loop);
    HANDLE_SLOT(self, cancelled) = Py_NewRef(Py_False);
    HANDLE_SLOT(self, repr) = Py_NewRef(Py_None);
    HANDLE_SLOT(self, context) =
        context != Py_None ? Py_NewRef(context) : PyContext_CopyCurrent();
    HANDLE_SLOT(self, source_traceback) =
        is_debug ? source_traceback(when != NULL) : Py_NewRef(Py_None);
    if (when != NULL) {
        HANDLE_SLOT(self, when) = Py_NewRef(when);
        HANDLE_SLOT(self, scheduled) = Py_NewRef(Py_False);
    }
    PyObject_GC_Track(self);
    if (HANDLE_SLOT(self, context) == NULL ||
        HANDLE_SLOT(self, source_traceback) == NULL) {
        goto error;
    }

    if (type == threadsafe_type) {
        HANDLE_SLOT(self, lock) = PyObject_CallMethodNoArgs(threading, str_RLock);
        if (HANDLE_SLOT(self, lock) == NULL) {
            goto error;
        }
    }
    if (bear(self, callback, args, when != NULL ? KIND_TIMER_HANDLE : kind_of_handles) <
        0) {
        goto error;
    }
    return self;
error:
    Py_DECREF(self);
    return NULL;
}

PyObject *
handles_make(PyObject *callback, PyObject *args, PyObject *loop, PyObject *context)
{
    return make_handle(handle_type, NULL, callback, args, loop, context, false);
}

Record *
handles_record_of(PyObject *object)
{
    if (!Py_IS_TYPE(object, handle_type) && !Py_IS_TYPE(object, timer_type) &&
        !Py_IS_TYPE(object, threadsafe_type)) {
        return NULL;
    }
    Record *record = &live_of(object)->record;
    return record->async_id != 0 ? record : NULL;
}

PyObject *
handles_call_with_kind(Kind kind, PyObject *fn, PyObject *const *args, size_t nargsf,
                       PyObject *kwnames)
{
    Kind outer = kind_of_handles;
    kind_of_handles = kind;
    PyObject *result = PyObject_Vectorcall(fn, args, nargsf, kwnames);
    kind_of_handles = outer;
    return result;
}

/* (callback, args, loop, context=None), with `when` before them for a timer. */
static PyObject *
construct(PyObject *class, PyTypeObject *type, int leading, PyObject *const *args,
          size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf) - leading;
    Py_ssize_t nkwargs = kwnames != NULL ? PyTuple_GET_SIZE(kwnames) : 0;
    PyObject *const *rest = args + leading;
    PyObject *context = Py_None; /* borrowed */
    if (nargs == 4 && nkwargs == 0) {
        context = rest[3];
    } else if (nargs == 3 && nkwargs == 1 &&
               PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), str_context) == 0) {
        context = rest[3];
    } else if (nargs != 3 || nkwargs != 0) {
        return call_class_as_ever(class, args, nargsf, kwnames);
    }
    /* Foreign contexts with a run() of their own, and odd `args`, are the Python class's
       business. */
    if (!PyTuple_CheckExact(rest[1]) && !PyList_CheckExact(rest[1])) {
        return call_class_as_ever(class, args, nargsf, kwnames);
    }
    if (context != Py_None && !PyContext_CheckExact(context)) {
        return call_class_as_ever(class, args, nargsf, kwnames);
    }
    if (leading > 0 && !PyFloat_CheckExact(args[0]) && !PyLong_CheckExact(args[0])) {
        return call_class_as_ever(class, args, nargsf, kwnames);
    }
    int is_debug = loop_is_in_debug_mode(rest[2]);
    if (is_debug < 0) {
        return NULL;
    }
    return make_handle(type, leading > 0 ? args[0] : NULL, rest[0], rest[1], rest[2],
                       context, is_debug);
}

static PyObject *
construct_handle(PyObject *class, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return construct(class, handle_type, 0, args, nargsf, kwnames);
}

static PyObject *
construct_timer(PyObject *class, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return construct(class, timer_type, 1, args, nargsf, kwnames);
}

static PyObject *
construct_threadsafe(PyObject *class, PyObject *const *args, size_t nargsf,
                     PyObject *kwnames)
{
    return construct(class, threadsafe_type, 0, args, nargsf, kwnames);
}

/* ---- Running ----------------------------------------------------------------------- */

/* Stands in for a handle's context while the base class's `_run` is asked to deal with
   an exception that has happened already: its run() only raises it. So the message, the
   way to the loop's exception handler and the traceback's first entry are asyncio's own,
   in every version. */
typedef struct Raiser {
    PyObject_HEAD PyObject *handle; /* borrowed: lives longer */
    PyObject *callback;             /* owned: what the handle's slots are to say again */
    PyObject *args;                 /* owned */
    PyObject *context;              /* owned */
    PyObject *exception;            /* owned */
} Raiser;

static PyTypeObject *raiser_type = NULL; /* owned */

static PyObject *
Raiser_run(Raiser *self, PyObject *const *args, Py_ssize_t nargs)
{
    Py_XSETREF(HANDLE_SLOT(self->handle, callback), Py_XNewRef(self->callback));
    Py_XSETREF(HANDLE_SLOT(self->handle, args), Py_XNewRef(self->args));
    Py_XSETREF(HANDLE_SLOT(self->handle, context), Py_XNewRef(self->context));
    PyObject *exception = self->exception;
    self->exception = NULL;
    PyErr_SetRaisedException(exception);
    return NULL;
}

static void
Raiser_dealloc(Raiser *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->callback);
    Py_XDECREF(self->args);
    Py_XDECREF(self->context);
    Py_XDECREF(self->exception);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Raiser_methods[] = {
    {"run", (PyCFunction)(void (*)(void))Raiser_run, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Raiser_slots[] = {
    {Py_tp_dealloc, Raiser_dealloc},
    {Py_tp_methods, Raiser_methods},
    {0, NULL},
};

static PyType_Spec Raiser_spec = {
    .name = "asynchooks._native.Raiser",
    .basicsize = sizeof(Raiser),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Raiser_slots,
};

/* Hands the exception that is set, raised by `callback(*args)`, to asyncio.
   Returns: 0 when asyncio dealt with it, or -1 with the exception that is to leave the
   loop (SystemExit, KeyboardInterrupt). May run Python code: yes. */
static int
handle_exception(PyObject *self, PyObject *callback, PyObject *args)
{
    int status = -1;
    /* Owned. */
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *result = NULL;
    Raiser *raiser = PyObject_New(Raiser, raiser_type);
    if (raiser == NULL) {
        Py_DECREF(exception);
        return -1;
    }
    raiser->handle = self;
    /* A callback may have cancelled its own handle: the slots are as it left them. */
    raiser->callback = HANDLE_SLOT(self, callback);
    raiser->args = HANDLE_SLOT(self, args);
    raiser->context = HANDLE_SLOT(self, context);
    raiser->exception = exception;
    HANDLE_SLOT(self, callback) = Py_NewRef(callback);
    HANDLE_SLOT(self, args) = Py_NewRef(args);
    HANDLE_SLOT(self, context) = Py_NewRef((PyObject *)raiser);
    result = PyObject_CallOneArg(base_run, self);
    if (result != NULL) {
        status = 0;
    }
    Py_XDECREF(result);
    Py_DECREF(raiser);
    return status;
}

/* As step_tell(); NULL: nobody is to be told. */
static inline int
tell(Step *step, Event event)
{
    return step != NULL ? step_tell(step, event) : 0;
}

/* A handle made in debug mode runs through the base class's own `_run`, so that stacks taken
   inside (asyncio's source tracebacks) have its frame. Its hooks run outside the context.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
run_in_debug_mode(PyObject *self, Step *step)
{
    if (tell(step, EVENT_BEFORE) < 0) {
        return -1;
    }
    PyObject *run = Py_IS_TYPE(self, threadsafe_type) ? threadsafe_run : base_run;
    PyObject *result = PyObject_CallOneArg(run, self);
    int status = result != NULL ? 0 : -1;
    Py_XDECREF(result);
    return status | tell(step, EVENT_AFTER);
}

/* The callback in its context, and asyncio's own dealing with what it raises.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
run_in_context(PyObject *self, Step *step, PyObject *callback, PyObject *args,
               PyObject *context)
{
    int status = -1;
    PyObject *result = NULL; /* owned */
    bool is_entered = PyContext_Enter(context) == 0;
    if (is_entered) {
        if (tell(step, EVENT_BEFORE) == 0) {
            result = PyObject_Vectorcall(callback, PySequence_Fast_ITEMS(args),
                                         (size_t)PySequence_Fast_GET_SIZE(args), NULL);
        }
        if (result != NULL) {
            status = tell(step, EVENT_AFTER);
            Py_DECREF(result);
        }
        if (PyContext_Exit(context) < 0) {
            status = -1;
        }
    }
    if (status < 0) {
        status = handle_exception(self, callback, args);
        if (result == NULL && is_entered && step != NULL &&
            step_wants(step, EVENT_AFTER) && PyContext_Enter(context) == 0) {
            status |= tell(step, EVENT_AFTER);
            status |= PyContext_Exit(context);
        }
    }
    return status;
}

/* Handle._run: the callback, inside its context, between the before and after of the
   resource that it is a step of. */
static PyObject *
handle_run(PyObject *self, PyObject *unused)
{
    /* Owned: the callback may cancel the handle, which drops its slots. */
    PyObject *callback = Py_XNewRef(HANDLE_SLOT(self, callback));
    PyObject *args = Py_XNewRef(HANDLE_SLOT(self, args));
    PyObject *context = Py_XNewRef(HANDLE_SLOT(self, context));
    if (callback == NULL || args == NULL || context == NULL ||
        !PyContext_CheckExact(context) ||
        !(PyTuple_CheckExact(args) || PyList_CheckExact(args))) {
        /* Somebody changed the slots: what comes of it is for asyncio to say. */
        Py_XDECREF(callback);
        Py_XDECREF(args);
        Py_XDECREF(context);
        return PyObject_CallOneArg(base_run, self);
    }

    Step step;
    Step *own = NULL; /* a task's step is the task's: it begins and ends by itself */
    Record *record = &live_of(self)->record;
    PyObject *owner = NULL; /* borrowed from callback or args */
    if (record->async_id != 0) {
        own = &step;
        step_begin(own, record, self);
    } else if ((owner = tracked_owner_of(callback, args)) != NULL) {
        own = &step;
        step_begin_listed(own, records_find(owner), owner);
    }
    int status = HANDLE_SLOT(self, source_traceback) == Py_None
                     ? run_in_context(self, own, callback, args, context)
                     : run_in_debug_mode(self, own);
    if (own != NULL && step_end(own) < 0) {
        status = -1;
    }

    Py_DECREF(callback);
    Py_DECREF(args);
    Py_DECREF(context);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* ---- Cancelling -------------------------------------------------------------------- */

/* A timer that is cancelled may stay in the loop's heap for as long as it would have taken. It
   shall not hold, as its last thing, what a finished request has in its context. One that runs
   may still fail, and is then reported in its context. */
static void
drop_context(PyObject *self)
{
    if (!Py_IS_TYPE(self, timer_type) || live_of(self)->record.state == STATE_RUNNING) {
        return;
    }
    PyObject *empty = PyContext_New();
    if (empty == NULL) {
        PyErr_Clear(); /* it holds its context for a while */
        return;
    }
    Py_XSETREF(HANDLE_SLOT(self, context), empty);
}

/* As Handle.cancel and TimerHandle.cancel, and who did it is remembered. */
static PyObject *
handle_cancel(PyObject *self, PyObject *unused)
{
    bool is_timer = Py_IS_TYPE(self, timer_type);
    PyObject *loop = HANDLE_SLOT(self, loop);
    if (HANDLE_SLOT(self, cancelled) == Py_True) {
        Py_RETURN_NONE;
    }
    Record *record = &live_of(self)->record;
    record->cancelled_by = execution_async_id();
    if (record->state != STATE_RUNNING) {
        record->state = STATE_DONE;
    }
    int is_debug = loop != NULL ? loop_is_in_debug_mode(loop) : -1;
    if (HANDLE_SLOT(self, cancelled) != Py_False || is_debug != 0) {
        /* repr()s and slots that somebody deleted are asyncio's business. */
        PyErr_Clear();
        PyObject *result =
            PyObject_CallOneArg(is_timer ? base_cancel_timer : base_cancel, self);
        if (result != NULL) {
            drop_context(self);
        }
        return result;
    }
    if (is_timer) {
        PyObject *result =
            PyObject_CallMethodOneArg(loop, str_timer_handle_cancelled, self);
        if (result == NULL) {
            return NULL;
        }
        Py_DECREF(result);
    }
    Py_XSETREF(HANDLE_SLOT(self, cancelled), Py_NewRef(Py_True));
    Py_XSETREF(HANDLE_SLOT(self, callback), Py_NewRef(Py_None));
    Py_XSETREF(HANDLE_SLOT(self, args), Py_NewRef(Py_None));
    drop_context(self);
    Py_RETURN_NONE;
}

/* _ThreadSafeHandle._run: nobody can cancel it while it runs, and what was cancelled after
   the loop has looked does not run. */
static PyObject *
handle_run_threadsafe(PyObject *self, PyObject *unused)
{
    PyObject *result = NULL;
    /* Owned. */
    PyObject *lock = Py_XNewRef(HANDLE_SLOT(self, lock));
    PyObject *acquired =
        lock != NULL ? PyObject_CallMethodNoArgs(lock, str_acquire) : NULL;
    if (acquired == NULL) {
        if (lock == NULL) {
            PyErr_SetString(PyExc_AttributeError, "_lock");
        }
        Py_XDECREF(lock);
        return NULL;
    }
    Py_DECREF(acquired);

    result = HANDLE_SLOT(self, cancelled) == Py_True ? Py_NewRef(Py_None)
                                                     : handle_run(self, NULL);

    PyObject *exception = PyErr_GetRaisedException();
    PyObject *released = PyObject_CallMethodNoArgs(lock, str_release);
    if (released == NULL) {
        Py_CLEAR(result);
        Py_XDECREF(exception);
    } else {
        Py_DECREF(released);
        PyErr_SetRaisedException(exception);
    }
    Py_DECREF(lock);
    return result;
}

/* ---- Ordering of timers ------------------------------------------------------------ */

static Py_hash_t
timer_hash(PyObject *self)
{
    if (HANDLE_SLOT(self, when) == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_when");
        return -1;
    }
    return PyObject_Hash(HANDLE_SLOT(self, when));
}

/* As TimerHandle's: by time, and equality by callback, args and cancellation too. A
   comparison may run Python code, which may empty the slots: each value is held. */
static int
compare_slots(PyObject *self, PyObject *other, Py_ssize_t offset, int op)
{
    PyObject *mine = Py_XNewRef(SLOT_AT(self, offset));
    PyObject *theirs = Py_XNewRef(SLOT_AT(other, offset));
    int result =
        mine != NULL && theirs != NULL ? PyObject_RichCompareBool(mine, theirs, op) : 0;
    Py_XDECREF(mine);
    Py_XDECREF(theirs);
    return result;
}

static PyObject *
timer_richcompare(PyObject *self, PyObject *other, int op)
{
    if (!PyObject_TypeCheck(other, handle_layout.timer_type)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const Py_ssize_t when = handle_layout.when;
    if (SLOT_AT(self, when) == NULL || SLOT_AT(other, when) == NULL) {
        PyErr_SetString(PyExc_AttributeError, "_when");
        return NULL;
    }
    if (op != Py_EQ && op != Py_NE) {
        int strict = op == Py_LT || op == Py_LE ? Py_LT : Py_GT;
        int is_true = compare_slots(self, other, when, strict);
        if (is_true != 0 || op == strict) {
            return is_true < 0 ? NULL : PyBool_FromLong(is_true);
        }
    }
    const Py_ssize_t offsets[] = {when, handle_layout.callback, handle_layout.args,
                                  handle_layout.cancelled};
    int is_equal = 1;
    for (size_t i = 0; i < 4 && is_equal == 1; i++) {
        is_equal = compare_slots(self, other, offsets[i], Py_EQ);
    }
    if (is_equal < 0) {
        return NULL;
    }
    return PyBool_FromLong(op == Py_NE ? !is_equal : is_equal);
}

/* ---- Types ------------------------------------------------------------------------- */

static PyMethodDef handle_methods[] = {
    {"_run", handle_run, METH_NOARGS, NULL},
    {"cancel", handle_cancel, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, handle_methods},
    {0, NULL},
};

static PyMethodDef threadsafe_methods[] = {
    {"_run", handle_run_threadsafe, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot threadsafe_slots[] = {
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, threadsafe_methods},
    {0, NULL},
};

static PyType_Slot timer_slots[] = {
    {Py_tp_dealloc, handle_dealloc},
    {Py_tp_traverse, handle_traverse},
    {Py_tp_clear, handle_clear},
    {Py_tp_methods, handle_methods},
    {Py_tp_richcompare, timer_richcompare},
    {Py_tp_hash, timer_hash},
    {0, NULL},
};

/* Returns: a subclass of `base` with room for a record, new, or NULL. The name is the base
   class's, which is what repr() and logs show. */
static PyTypeObject *
make_type(PyTypeObject *base, const char *name, PyType_Slot *slots)
{
    PyType_Spec spec = {
        .name = name,
        .basicsize = (int)(base->tp_basicsize + (Py_ssize_t)sizeof(LiveRecord)),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
        .slots = slots,
    };
    return (PyTypeObject *)PyType_FromSpecWithBases(&spec, (PyObject *)base);
}

/* Returns: `module.name` or, with `attribute`, `module.name.attribute`, new, or NULL. */
static PyObject *
import_object(const char *module_name, const char *name, const char *attribute)
{
    PyObject *module = PyImport_ImportModule(module_name);
    if (module == NULL) {
        return NULL;
    }
    PyObject *object = PyObject_GetAttrString(module, name);
    Py_DECREF(module);
    if (object != NULL && attribute != NULL) {
        Py_SETREF(object, PyObject_GetAttrString(object, attribute));
    }
    return object;
}

/* Returns: 0, or -1 with an exception set. */
static int
prepare_threadsafe(void)
{
    PyTypeObject *base = handle_layout.threadsafe_type;
    if (base == NULL) {
        return 0;
    }
    str_RLock = PyUnicode_InternFromString("RLock");
    str_acquire = PyUnicode_InternFromString("acquire");
    str_release = PyUnicode_InternFromString("release");
    threading = PyImport_ImportModule("threading");
    threadsafe_run = PyObject_GetAttrString((PyObject *)base, "_run");
    threadsafe_init = PyObject_GetAttrString((PyObject *)base, "__init__");
    if (str_RLock == NULL || str_acquire == NULL || str_release == NULL ||
        threading == NULL || threadsafe_run == NULL || threadsafe_init == NULL) {
        return -1;
    }
    threadsafe_type =
        make_type(base, "asyncio.events._ThreadSafeHandle", threadsafe_slots);
    return threadsafe_type != NULL ? 0 : -1;
}

int
handles_prepare(void)
{
    if (timer_type != NULL) {
        return 0;
    }
    str_get_debug = PyUnicode_InternFromString("get_debug");
    str_debug = PyUnicode_InternFromString("_debug");
    str_context = PyUnicode_InternFromString("context");
    str_timer_handle_cancelled = PyUnicode_InternFromString("_timer_handle_cancelled");
    base_run = PyObject_GetAttrString((PyObject *)handle_layout.type, "_run");
    base_cancel = PyObject_GetAttrString((PyObject *)handle_layout.type, "cancel");
    base_cancel_timer =
        PyObject_GetAttrString((PyObject *)handle_layout.timer_type, "cancel");
    base_get_debug = import_object("asyncio.base_events", "BaseEventLoop", "get_debug");
    extract_stack = import_object("asyncio.format_helpers", "extract_stack", NULL);
    raiser_type = (PyTypeObject *)PyType_FromSpec(&Raiser_spec);
    if (str_get_debug == NULL || str_debug == NULL || str_context == NULL ||
        base_run == NULL || base_cancel == NULL || base_cancel_timer == NULL ||
        str_timer_handle_cancelled == NULL || base_get_debug == NULL ||
        extract_stack == NULL || raiser_type == NULL) {
        return -1;
    }
    PyObject *depth = import_object("asyncio.constants", "DEBUG_STACK_DEPTH", NULL);
    debug_stack_depth = depth != NULL ? PyLong_AsSsize_t(depth) : -1;
    Py_XDECREF(depth);
    if (PyErr_Occurred()) {
        return -1;
    }
    handle_type = make_type(handle_layout.type, "asyncio.events.Handle", handle_slots);
    if (handle_type == NULL) {
        return -1;
    }
    if (prepare_threadsafe() < 0) {
        return -1;
    }
    timer_type =
        make_type(handle_layout.timer_type, "asyncio.events.TimerHandle", timer_slots);
    return timer_type != NULL ? 0 : -1;
}

void
handles_install(void)
{
    set_class_vectorcall(handle_layout.type, construct_handle);
    set_class_vectorcall(handle_layout.timer_type, construct_timer);
    if (threadsafe_type != NULL) {
        set_class_vectorcall(handle_layout.threadsafe_type, construct_threadsafe);
    }
}

void
handles_uninstall(void)
{
    set_class_vectorcall(handle_layout.type, NULL);
    set_class_vectorcall(handle_layout.timer_type, NULL);
    if (threadsafe_type != NULL) {
        set_class_vectorcall(handle_layout.threadsafe_type, NULL);
    }
}
