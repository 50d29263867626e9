#include "task_spans.h"
#include "compat.h"
#include "hooks.h"
#include "requests.h"
#include "scopes.h"

/* Owned, or NULL before tracing/current.py is imported: a dict of async id to (its span, the span
   at birth). */
static PyObject *spans_of_tasks = NULL;

PyObject *
task_spans_set(PyObject *module, PyObject *tasks)
{
    if (!PyDict_CheckExact(tasks)) {
        PyErr_Format(PyExc_TypeError, "expected a dict, got %R", tasks);
        return NULL;
    }
    Py_XSETREF(spans_of_tasks, Py_NewRef(tasks));
    Py_RETURN_NONE;
}

static bool
is_any_recorded(void)
{
    return spans_of_tasks != NULL && PyDict_GET_SIZE(spans_of_tasks) > 0;
}

/* Returns: the entry of a task, borrowed; NULL where there is none, or with an exception set. */
static PyObject *
find_entry(uint64_t async_id)
{
    if (!is_any_recorded()) {
        return NULL;
    }
    PyObject *id = PyLong_FromUnsignedLongLong(async_id); /* owned */
    PyObject *entry = id != NULL ? PyDict_GetItemWithError(spans_of_tasks, id) : NULL;
    Py_XDECREF(id);
    return entry;
}

PyObject *
task_spans_find(PyObject *inherited)
{
    PyObject *entry = find_entry(execution_async_id()); /* borrowed */
    bool is_its = entry != NULL && PyTuple_Check(entry) && PyTuple_GET_SIZE(entry) == 2 &&
                  PyTuple_GET_ITEM(entry, 1) == inherited;
    return is_its ? Py_NewRef(PyTuple_GET_ITEM(entry, 0)) : NULL;
}

/* In this thread: how many calls are in force in which tasks get no span. */
static _Thread_local int pauses = 0;

void
task_spans_pause(void)
{
    pauses++;
}

void
task_spans_resume(void)
{
    pauses--;
}

/* Whether a task that is born here is to have a span: it belongs to a request that is recorded. */
static bool
is_to_have_a_span(void)
{
    if (pauses > 0) {
        return false;
    }
    Scope *scope = scope_current(); /* owned */
    bool is = scope != NULL && scope->records_tasks && !scope->is_suppressed &&
              scope->span != NULL && span_check(scope->span) &&
              ((Span *)scope->span)->request != NULL && ((Span *)scope->span)->is_sampled;
    Py_XDECREF(scope);
    return is;
}

/* Most tasks belong to no request, as those that servers make for them. */
static bool
concerns_spans(Event event, uint64_t async_id)
{
    if (event != EVENT_INIT && !is_any_recorded()) {
        return false;
    }
    PyObject *outer = PyErr_GetRaisedException(); /* owned */
    bool does = event == EVENT_INIT ? is_to_have_a_span() : find_entry(async_id) != NULL;
    PyErr_SetRaisedException(
        outer); /* in the place of trouble of ours: then there is no span */
    return does;
}

PyObject *
task_spans_hook(PyObject *module, PyObject *args)
{
    PyObject *init, *settled; /* borrowed */
    if (!PyArg_ParseTuple(args, "OO:task_span_hook", &init, &settled)) {
        return NULL;
    }
    return hooks_make_filtered(init, settled, KIND_TASK, concerns_spans);
}
