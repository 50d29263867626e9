#include "hooks.h"
#include "compat.h"
#include "interrupts.h"

#include <stddef.h>
#include <structmember.h>

/* ---- Hook: one create_hook() ------------------------------------------------------- */

typedef struct Hook {
    PyObject_HEAD PyObject *callbacks[EVENT_COUNT]; /* owned; NULL: not asked for */
    HookFilter filter;                              /* or NULL */
    uint32_t kinds;
    bool raises;
    bool is_enabled;
    bool is_failing; /* raised since it was enabled: not called again, at once */
} Hook;

static PyTypeObject *hook_type = NULL; /* owned */

/* The enabled hooks, in the order of enabling. Never changed while an event is told
   (Node's copy on write): a change is made on a copy that takes its place when the
   outermost event of the thread that made it is over, at the latest. A thread that tells
   an event meanwhile goes on with the list that it has begun with. */
typedef struct HookList {
    size_t users; /* threads that tell an event, and one for being current */
    Py_ssize_t count;
    Hook *hooks[]; /* owned */
} HookList;

static HookList *current_list = NULL;
static HookList *next_list = NULL; /* NULL: no change waits */

/* Of this thread alone: one that is held up inside a callback, or that a fork has left
   behind, keeps nobody else from anything. */
static _Thread_local int telling_depth = 0;

uint32_t hooks_wanted[EVENT_COUNT];
uint32_t hooks_steps_heard = 0;
void (*hooks_wanted_changed)(void) = NULL;

static bool are_hooks_muted = false;

/* May run Python code: yes (a dropped hook's dealloc). */
static void
list_release(HookList *list)
{
    if (list == NULL || --list->users > 0) {
        return;
    }
    for (Py_ssize_t i = 0; i < list->count; i++) {
        Py_DECREF(list->hooks[i]);
    }
    PyMem_Free(list);
}

/* Returns: a copy of `list` with room for one more, or NULL with MemoryError set. */
static HookList *
list_copy(const HookList *list, const Hook *without)
{
    Py_ssize_t count = list != NULL ? list->count : 0;
    HookList *copy =
        PyMem_Malloc(sizeof(HookList) + (size_t)(count + 1) * sizeof(Hook *));
    if (copy == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    copy->users = 1;
    copy->count = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (list->hooks[i] != without) {
            copy->hooks[copy->count++] = (Hook *)Py_NewRef((PyObject *)list->hooks[i]);
        }
    }
    return copy;
}

void
hooks_count_wishes(void)
{
    bool are_heard = core.is_enabled && !are_hooks_muted;
    Py_ssize_t count = are_heard && current_list != NULL ? current_list->count : 0;
    memset(hooks_wanted, 0, sizeof(hooks_wanted));
    for (Py_ssize_t i = 0; i < count; i++) {
        Hook *hook = current_list->hooks[i];
        for (int event = 0; event < EVENT_COUNT; event++) {
            if (hook->callbacks[event] != NULL) {
                hooks_wanted[event] |= hook->kinds;
            }
        }
    }
    hooks_steps_heard = hooks_wanted[EVENT_BEFORE] | hooks_wanted[EVENT_AFTER] |
                        (hooks_wanted[EVENT_SETTLED] & KIND_BIT(KIND_TASK));
    if (hooks_wanted_changed != NULL) {
        hooks_wanted_changed();
    }
}

/* Puts next_list in force. May run Python code: yes (a dropped hook's dealloc). */
static void
apply_next_list(void)
{
    HookList *old = current_list;
    current_list = next_list;
    next_list = NULL;
    hooks_count_wishes();
    list_release(old);
}

PyObject *
hooks_call_unheard(PyObject *function)
{
    are_hooks_muted = true;
    hooks_count_wishes();
    PyObject *result = PyObject_CallNoArgs(function);
    are_hooks_muted = false;
    hooks_count_wishes();
    return result;
}

/* Adds or removes `hook`. Returns: 0, or -1 with an exception set. */
static int
change_list(Hook *hook, bool add)
{
    HookList *latest = next_list != NULL ? next_list : current_list;
    HookList *changed = list_copy(latest, add ? NULL : hook);
    if (changed == NULL) {
        return -1;
    }
    if (add) {
        changed->hooks[changed->count++] = (Hook *)Py_NewRef((PyObject *)hook);
    }
    hook->is_enabled = add;
    hook->is_failing = hook->is_failing && !add;
    HookList *overtaken = next_list;
    next_list = changed;
    list_release(overtaken);
    if (telling_depth == 0) {
        apply_next_list();
    }
    return 0;
}

static PyObject *
Hook_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"init",    "before", "after",  "destroy",
                            "settled", "kinds",  "raises", NULL};
    PyObject *callbacks[EVENT_COUNT]; /* borrowed */
    unsigned int kinds;
    int raises;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOIp:Hook", names, &callbacks[0],
                                     &callbacks[1], &callbacks[2], &callbacks[3],
                                     &callbacks[4], &kinds, &raises)) {
        return NULL;
    }
    Hook *self = (Hook *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    for (int event = 0; event < EVENT_COUNT; event++) {
        if (callbacks[event] != Py_None) {
            self->callbacks[event] = Py_NewRef(callbacks[event]);
        }
    }
    self->kinds = kinds;
    self->raises = raises;
    return (PyObject *)self;
}

PyObject *
hooks_make_filtered(PyObject *init, PyObject *settled, Kind kind, HookFilter filter)
{
    Hook *self = (Hook *)hook_type->tp_alloc(hook_type, 0);
    if (self != NULL) {
        self->callbacks[EVENT_INIT] = Py_NewRef(init);
        self->callbacks[EVENT_SETTLED] = Py_NewRef(settled);
        self->kinds = KIND_BIT(kind);
        self->filter = filter;
    }
    return (PyObject *)self;
}

static int
Hook_traverse(Hook *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (int event = 0; event < EVENT_COUNT; event++) {
        Py_VISIT(self->callbacks[event]);
    }
    return 0;
}

static int
Hook_clear(Hook *self)
{
    for (int event = 0; event < EVENT_COUNT; event++) {
        Py_CLEAR(self->callbacks[event]);
    }
    return 0;
}

static void
Hook_dealloc(Hook *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Hook_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
Hook_enable(Hook *self, PyObject *unused)
{
    if (!self->is_enabled && change_list(self, true) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Hook_disable(Hook *self, PyObject *unused)
{
    if (self->is_enabled && change_list(self, false) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

void
hooks_drop_all(void)
{
    HookList *lists[] = {current_list, next_list};
    current_list = next_list = NULL;
    hooks_count_wishes();
    for (int i = 0; i < 2; i++) {
        for (Py_ssize_t j = 0; lists[i] != NULL && j < lists[i]->count; j++) {
            lists[i]->hooks[j]->is_enabled = false;
        }
        list_release(lists[i]);
    }
}

static PyMethodDef Hook_methods[] = {
    {"enable", (PyCFunction)Hook_enable, METH_NOARGS,
     "Tell this hook of events from the end of the current event on."},
    {"disable", (PyCFunction)Hook_disable, METH_NOARGS,
     "Tell this hook of no event from the end of the current event on."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Hook_members[] = {
    {"enabled", T_BOOL, offsetof(Hook, is_enabled), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Hook_slots[] = {
    {Py_tp_doc, "One set of callbacks; see asynchooks.create_hook."},
    {Py_tp_new, Hook_new},
    {Py_tp_traverse, Hook_traverse},
    {Py_tp_clear, Hook_clear},
    {Py_tp_dealloc, Hook_dealloc},
    {Py_tp_methods, Hook_methods},
    {Py_tp_members, Hook_members},
    {0, NULL},
};

static PyType_Spec Hook_spec = {
    .name = "asynchooks._native.Hook",
    .basicsize = sizeof(Hook),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Hook_slots,
};

/* ---- Telling events ---------------------------------------------------------------- */

/* What cannot be reported where it happens, for the stack is full there: a callback that
   causes the event that it is called for. */
typedef struct Report {
    PyObject *callback;  /* owned */
    PyObject *exception; /* owned; NULL: none */
} Report;

static _Thread_local Report late_report;

/* May run Python code: yes. */
static void
report_late(void)
{
    Report report = late_report;
    late_report = (Report){NULL, NULL};
    PyErr_SetRaisedException(report.exception);
    PyErr_WriteUnraisable(report.callback);
    Py_DECREF(report.callback);
}

/* Deals with what a callback of `hook` has raised.
   Returns: the exception that is to leave the operation, new, or NULL. May run Python code:
   yes. */
static PyObject *
take_exception(Hook *hook, PyObject *callback)
{
    PyObject *exception = PyErr_GetRaisedException();
    if (hook->raises || is_interrupt(exception)) {
        return exception;
    }
    if (telling_depth > 1 && late_report.exception == NULL &&
        PyErr_GivenExceptionMatches(exception, PyExc_RecursionError)) {
        late_report = (Report){Py_NewRef(callback), exception};
    } else {
        PyErr_SetRaisedException(exception);
        PyErr_WriteUnraisable(callback);
    }
    hook->is_failing = true;
    if (hook->is_enabled && change_list(hook, false) < 0) {
        PyErr_Clear();
    }
    return NULL;
}

/* Whether a hook is to be told. */
static inline bool
hears(const Hook *hook, Event event, unsigned int kind, uint64_t async_id)
{
    return hook->callbacks[event] != NULL && !hook->is_failing &&
           (hook->kinds & KIND_BIT(kind)) != 0 &&
           (hook->filter == NULL || hook->filter(event, async_id));
}

bool
hooks_is_heard(Event event, unsigned int kind, uint64_t async_id)
{
    for (Py_ssize_t i = 0; current_list != NULL && i < current_list->count; i++) {
        if (hears(current_list->hooks[i], event, kind, async_id)) {
            return true;
        }
    }
    return false;
}

/* Calls every hook that wants `event` of `kind`. An exception that is set on entry is
   set on return.
   Returns: 0, or -1 with the exception of a hook that may raise. May run Python code. */
static int
tell(Event event, unsigned int kind, uint64_t async_id, PyObject *const *args,
     size_t nargs)
{
    /* Owned. */
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *raised = NULL;
    HookList *list = current_list;

    list->users++;
    telling_depth++;
    for (Py_ssize_t i = 0; i < list->count; i++) {
        Hook *hook = list->hooks[i];
        PyObject *callback = hook->callbacks[event];
        if (!hears(hook, event, kind, async_id)) {
            continue;
        }
        PyObject *result = PyObject_Vectorcall(callback, args, nargs, NULL);
        if (result != NULL) {
            Py_DECREF(result);
            continue;
        }
        PyObject *exception = take_exception(hook, callback); /* owned */
        if (raised == NULL) {
            raised = exception;
        } else if (exception != NULL) {
            PyErr_SetRaisedException(exception);
            PyErr_WriteUnraisable(callback);
        }
    }
    telling_depth--;
    list_release(list);
    if (telling_depth == 0 && next_list != NULL) {
        apply_next_list();
    }
    if (telling_depth == 0 && late_report.exception != NULL) {
        report_late();
    }

    if (raised != NULL) {
        Py_XDECREF(outer);
        PyErr_SetRaisedException(raised);
        return -1;
    }
    PyErr_SetRaisedException(outer);
    return 0;
}

/* Returns: as hooks_emit_init. May run Python code: yes. */
static int
tell_init(const Record *record, PyObject *type_name, PyObject *resource)
{
    int status = 0;
    /* Owned. */
    PyObject *async_id = PyLong_FromUnsignedLongLong(record->async_id);
    PyObject *created_by = PyLong_FromUnsignedLongLong(record->created_by);
    if (async_id != NULL && created_by != NULL) {
        PyObject *args[] = {async_id, type_name, created_by, resource};
        status = tell(EVENT_INIT, record->kind, record->async_id, args, 4);
    } else {
        PyErr_Clear(); /* short of memory: untold, but the application goes on */
    }
    Py_XDECREF(async_id);
    Py_XDECREF(created_by);
    return status;
}

int
hooks_emit_init_named(const Record *record, PyObject *type_name, PyObject *resource)
{
    return hooks_is_heard(EVENT_INIT, record->kind, record->async_id)
               ? tell_init(record, type_name, resource)
               : 0;
}

int
hooks_emit_init(const Record *record, const char *type_name, PyObject *resource)
{
    if (!hooks_is_heard(EVENT_INIT, record->kind, record->async_id)) {
        return 0;
    }
    PyObject *type = PyUnicode_InternFromString(type_name); /* owned */
    if (type == NULL) {
        PyErr_Clear(); /* as above */
        return 0;
    }
    int status = tell_init(record, type, resource);
    Py_DECREF(type);
    return status;
}

int
hooks_emit(Event event, uint64_t async_id, unsigned int kind)
{
    if (!hooks_is_heard(event, kind, async_id)) {
        return 0;
    }
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *id = PyLong_FromUnsignedLongLong(async_id);
    PyErr_SetRaisedException(outer);
    if (id == NULL) {
        return 0; /* short of memory: untold, but the application goes on */
    }
    int status = tell(event, kind, async_id, &id, 1);
    Py_DECREF(id);
    return status;
}

/* ---- Deaths ------------------------------------------------------------------------ */

/* Objects die inside deallocs, where no Python code may run; Node queues destroy for the
   same reason. The queue is told after the next step that ends, or, where no loop runs, by
   a pending call of the main thread. */
typedef struct Death {
    uint64_t async_id;
    unsigned int kind;
} Death;

static Death *deaths = NULL;
static size_t deaths_capacity = 0;
static bool is_flush_pending = false;
static _Thread_local bool is_flushing = false;
static PyObject *get_running_loop = NULL; /* owned: asyncio's */
size_t hooks_destroys_queued = 0;

int
hooks_prepare(void)
{
    if (get_running_loop != NULL) {
        return 0;
    }
    PyObject *asyncio = PyImport_ImportModule("_asyncio");
    if (asyncio == NULL) {
        return -1;
    }
    get_running_loop = PyObject_GetAttrString(asyncio, "_get_running_loop");
    Py_DECREF(asyncio);
    return get_running_loop != NULL ? 0 : -1;
}

/* Returns: whether a loop runs in this thread, its own code or a step. */
static bool
is_loop_running(void)
{
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *loop = PyObject_CallNoArgs(get_running_loop);
    PyErr_SetRaisedException(outer); /* where there is no memory: it is cleared */
    Py_XDECREF(loop);
    return loop != Py_None;
}

/* Not inside a step, which may hold a lock that a callback wants too, nor in the midst of a
   loop's own code, which may be going over what dies, and is kept at it for ever by a
   callback that makes more: the end of this or the next step will do. */
static int
flush_pending(void *unused)
{
    is_flush_pending = false;
    return execution_top == NULL && !is_loop_running() ? hooks_flush_destroys() : 0;
}

static void
make_flush_pending(void)
{
    if (execution_top == NULL && !is_flush_pending && !is_flushing) {
        is_flush_pending = Py_AddPendingCall(flush_pending, NULL) == 0;
    }
}

void
hooks_queue_destroy(uint64_t async_id, unsigned int kind)
{
    if (hooks_destroys_queued == deaths_capacity) {
        size_t capacity = deaths_capacity != 0 ? deaths_capacity * 2 : 256;
        Death *grown = PyMem_RawRealloc(deaths, capacity * sizeof(Death));
        if (grown == NULL) {
            return; /* out of memory: one untold death is the smallest harm */
        }
        deaths = grown;
        deaths_capacity = capacity;
    }
    deaths[hooks_destroys_queued++] = (Death){async_id, kind};
    make_flush_pending();
}

/* Takes the queue as it is, so that several threads may tell at once, and a callback that
   causes deaths does not keep itself going: those wait for the next time. */
int
hooks_flush_destroys(void)
{
    if (is_flushing || telling_depth > 0) {
        return 0;
    }
    Death *taken = deaths;
    size_t count = hooks_destroys_queued;
    size_t capacity = deaths_capacity;
    /* Owned. */
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *interrupt = NULL;
    deaths = NULL;
    deaths_capacity = hooks_destroys_queued = 0;

    is_flushing = true;
    for (size_t i = 0; i < count; i++) {
        if (hooks_want(EVENT_DESTROY, taken[i].kind) &&
            hooks_emit(EVENT_DESTROY, taken[i].async_id, taken[i].kind) < 0) {
            /* No operation stands behind a death: what a hook raises ends here. */
            PyObject *exception = PyErr_GetRaisedException();
            if (interrupt == NULL && is_interrupt(exception)) {
                interrupt = exception;
            } else {
                PyErr_SetRaisedException(exception);
                PyErr_WriteUnraisable(NULL);
            }
        }
    }
    is_flushing = false;

    if (deaths == NULL && capacity <= 4096) { /* one burst must not stay for ever */
        deaths = taken;
        deaths_capacity = capacity;
    } else {
        PyMem_RawFree(taken);
    }
    if (hooks_destroys_queued > 0) {
        make_flush_pending();
    }
    if (interrupt != NULL) {
        Py_XDECREF(outer);
        PyErr_SetRaisedException(interrupt);
        return -1;
    }
    PyErr_SetRaisedException(outer);
    return 0;
}

void
hooks_forget_destroys(void)
{
    hooks_destroys_queued = 0;
    is_flush_pending = false;
}

int
hooks_add_type(PyObject *module)
{
    hook_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Hook_spec, NULL);
    return hook_type != NULL ? PyModule_AddType(module, hook_type) : -1;
}
