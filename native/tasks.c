#include "tasks.h"
#include "compat.h"
#include "hooks.h"
#include "internals.h"
#include "records.h"
#include "steps.h"

static initproc original_task_init, original_future_init;
static destructor original_task_dealloc, original_future_dealloc;
static PyObject *future_done = NULL;     /* owned: the method Future.done */
static PyObject *str_eager_start = NULL; /* owned */

/* ---- Birth ------------------------------------------------------------------------- */

/* Forgets `object`. Returns: whether it was known, and then its last state. */
static bool
forget(PyObject *object, Record *last)
{
    bool was_known = records_remove(object, last);
    if (was_known) {
        core.live[last->kind]--;
    }
    return was_known;
}

/* Forgets `object` and queues its destroy. Never runs Python code. */
static void
bury(PyObject *object)
{
    Record last;
    if (forget(object, &last) && hooks_want(EVENT_DESTROY, last.kind)) {
        hooks_queue_destroy(last.async_id, last.kind);
    }
}

/* Returns: the record of an object that is being made, or NULL without an exception where
   memory is short: it then lives untracked. */
static Record *
give_birth(PyObject *object, Kind kind)
{
    bury(object); /* __init__ called again makes a new resource in the old one's place */
    Record *record = records_add(object);
    if (record == NULL) {
        PyErr_Clear();
        return NULL;
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
        Record unused;
        (void)forget(self, &unused); /* never lived: neither init nor destroy */
        return -1;
    }
    if (hooks_want(EVENT_INIT, born.kind)) {
        return hooks_emit_init(&born, KIND_NAMES[born.kind], self);
    }
    return 0;
}

/* An eager task (3.12) runs its first step inside __init__: it is told before that, and
   is what executes.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
eager_task_init(const Record *record, PyObject *self, PyObject *args, PyObject *kwargs)
{
    Record born = *record;
    Frame frame;
    if (hooks_want(EVENT_INIT, KIND_TASK) &&
        hooks_emit_init(&born, KIND_NAMES[KIND_TASK], self) < 0) {
        return -1;
    }
    frame_push(&frame, &born, self);
    int status = 0;
    if (hooks_want(EVENT_BEFORE, KIND_TASK)) {
        status = hooks_emit(EVENT_BEFORE, born.async_id, KIND_TASK);
    }
    if (status == 0) {
        status = original_task_init(self, args, kwargs);
        if (status == 0 && hooks_want(EVENT_SETTLED, KIND_TASK)) {
            status = tasks_tell_settled(self);
        }
    }
    if (hooks_want(EVENT_AFTER, KIND_TASK)) {
        status |= hooks_emit(EVENT_AFTER, born.async_id, KIND_TASK);
    }
    frame_pop(&frame);
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

/* Sub-interpreters of 3.11 share the types of tasks and futures with us; their objects must
   reach neither our table nor our hooks. From 3.12 on each interpreter has its own. */
static inline bool
is_our_interpreter(void)
{
#if PY_VERSION_HEX < 0x030c0000
    return PyInterpreterState_Get() == PyInterpreterState_Main();
#else
    return true;
#endif
}

static int
task_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Record *record =
        core.is_enabled && is_our_interpreter() ? give_birth(self, KIND_TASK) : NULL;
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
    Record *record =
        core.is_enabled && is_our_interpreter() ? give_birth(self, KIND_FUTURE) : NULL;
    if (record == NULL) {
        return original_future_init(self, args, kwargs);
    }
    return init_and_tell(original_future_init, record, self, args, kwargs);
}

Record *
tasks_record_of(PyObject *task)
{
    Record *record = records_find(task);
    if (record != NULL) {
        return record;
    }
    record = records_add(task);
    if (record == NULL) {
        PyErr_Clear();
        return NULL;
    }
    record_born(record, KIND_TASK);
    record->created_by = ASYNC_ID_NONE;
    record->is_adopted = true;
    return record;
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
        record->woken_by = execution_async_id();
    }
    return true;
}

/* The function behind a wake-up is the same in all interpreters, in every version. Those
   that do not share our GIL must not even look at the table. */
static inline bool
is_our_task(PyObject *task)
{
    return (Py_IS_TYPE(task, task_type) || PyType_IsSubtype(Py_TYPE(task), task_type)) &&
           is_our_interpreter();
}

/* Returns: 0, or -1 with the exception of a hook that may raise; the step then does not
   run. May run Python code: yes. */
static inline int
begin_step(Step *step, PyObject *task)
{
    Record *record = core.is_enabled && is_our_task(task) ? tasks_record_of(task) : NULL;
    if (record == NULL) {
        step->task = NULL;
        return 0;
    }
    step_begin_task(step, record, task);
    return step_tell(step, EVENT_BEFORE);
}

/* Steals and returns: result. May run Python code: yes. */
static inline PyObject *
end_step(Step *step, PyObject *result)
{
    if (step->task != NULL) {
        if (step_tell(step, EVENT_AFTER) < 0) {
            Py_CLEAR(result);
        }
        if (step_end(step) < 0) {
            Py_CLEAR(result);
        }
    }
    return result;
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
        bury(self);
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

/* ---- Settling ---------------------------------------------------------------------- */

int
tasks_tell_settled(PyObject *task)
{
    Record *record = records_find(task);
    if (record == NULL || record->is_settled) {
        return 0;
    }
    /* SystemExit leaves a step, and settles its task too. */
    PyObject *outer = PyErr_GetRaisedException();
    PyObject *is_done = PyObject_CallOneArg(future_done, task);
    /* NULL: half made, by a subclass that failed in its __init__. */
    PyErr_SetRaisedException(outer);
    Py_XDECREF(is_done);
    if (is_done != Py_True) {
        return 0;
    }
    record->is_settled = true;
    return hooks_emit(EVENT_SETTLED, record->async_id, record->kind);
}

/* A future is settled by one of three methods. While, and only while, some hook wants to
   hear of it, the C functions behind them are ours. Their call flags differ between
   versions, so each has a form for each. */
enum { SETTLER_RESULT, SETTLER_EXCEPTION, SETTLER_CANCEL, SETTLER_COUNT };

static const char *const SETTLER_NAMES[SETTLER_COUNT] = {"set_result", "set_exception",
                                                         "cancel"};

static struct {
    PyMethodDef *original; /* borrowed from the method; NULL: not exchanged */
    PyMethodDef ours;
} settlers[SETTLER_COUNT];

/* Steals and returns: result. */
static PyObject *
settled(PyObject *future, PyObject *result)
{
    if (result != NULL && hooks_want(EVENT_SETTLED, KIND_FUTURE) &&
        tasks_tell_settled(future) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

#define FUNCTION_OF(settler) ((void (*)(void))settlers[settler].original->ml_meth)

#define DEFINE_SETTLER(settler, suffix)                                                  \
    static PyObject *settle_o_##suffix(PyObject *self, PyObject *arg)                    \
    {                                                                                    \
        return settled(self, ((PyCFunction)FUNCTION_OF(settler))(self, arg));            \
    }                                                                                    \
    static PyObject *settle_fast_##suffix(PyObject *self, PyObject *const *args,         \
                                          Py_ssize_t nargs, PyObject *kwnames)           \
    {                                                                                    \
        return settled(self, ((_PyCFunctionFastWithKeywords)FUNCTION_OF(settler))(       \
                                 self, args, nargs, kwnames));                           \
    }                                                                                    \
    static PyObject *settle_method_##suffix(PyObject *self, PyTypeObject *class,         \
                                            PyObject *const *args, Py_ssize_t nargs,     \
                                            PyObject *kwnames)                           \
    {                                                                                    \
        return settled(self, ((PyCMethod)FUNCTION_OF(settler))(self, class, args,        \
                                                               (size_t)nargs, kwnames)); \
    }

DEFINE_SETTLER(SETTLER_RESULT, result)
DEFINE_SETTLER(SETTLER_EXCEPTION, exception)
DEFINE_SETTLER(SETTLER_CANCEL, cancel)

#define FORMS_OF(suffix)                                                                 \
    {(PyCFunction)settle_o_##suffix, (PyCFunction)(void (*)(void))settle_fast_##suffix,  \
     (PyCFunction)(void (*)(void))settle_method_##suffix}

static const PyCFunction SETTLER_FORMS[SETTLER_COUNT][3] = {
    FORMS_OF(result), FORMS_OF(exception), FORMS_OF(cancel)};

/* Returns: the method's own definition with our function behind it, or -1 with
   RuntimeError set. */
static int
prepare_settler(int settler)
{
    PyMethodDef *original = method_definition(future_type, SETTLER_NAMES[settler]);
    if (original == NULL) {
        return -1;
    }
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
        PyErr_Format(PyExc_RuntimeError,
                     "Future.%s has call flags %#x, which are unknown",
                     SETTLER_NAMES[settler], original->ml_flags);
        return -1;
    }
    settlers[settler].original = original;
    settlers[settler].ours = *original;
    settlers[settler].ours.ml_meth = SETTLER_FORMS[settler][form];
    return 0;
}

static bool settlers_are_installed = false;

static void
watch_settlers(void)
{
    bool is_wanted = core.is_enabled && hooks_want(EVENT_SETTLED, KIND_FUTURE);
    if (is_wanted == settlers_are_installed) {
        return;
    }
    for (int i = 0; i < SETTLER_COUNT; i++) {
        set_method_definition(future_type, SETTLER_NAMES[i],
                              is_wanted ? &settlers[i].ours : settlers[i].original);
    }
    settlers_are_installed = is_wanted;
}

/* ---- Installing -------------------------------------------------------------------- */

int
tasks_prepare(void)
{
    if (original_task_init != NULL) {
        return 0;
    }
    str_eager_start = PyUnicode_InternFromString("eager_start");
    future_done = PyObject_GetAttrString((PyObject *)future_type, "done");
    if (str_eager_start == NULL || future_done == NULL) {
        return -1;
    }
    for (int i = 0; i < SETTLER_COUNT; i++) {
        if (prepare_settler(i) < 0) {
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
    set_step_functions((StepFunctions){call_step, call_wakeup});
    hooks_wanted_changed = watch_settlers;
    watch_settlers();
}

void
tasks_uninstall(void)
{
    watch_settlers();
    exchange_init(task_type, task_init, original_task_init);
    exchange_init(future_type, future_init, original_future_init);
    exchange_dealloc(task_type, task_dealloc, original_task_dealloc);
    exchange_dealloc(future_type, future_dealloc, original_future_dealloc);
    set_step_functions(original_steps);
    tasks_forget_all();
}

void
tasks_forget_all(void)
{
    records_clear();
    core.live[KIND_TASK] = core.live[KIND_FUTURE] = 0;
}
