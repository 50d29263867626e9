#include "start_span.h"
#include "arguments.h"
#include "core.h"
#include "spans.h"

/* What tracing/current.py keeps. Owned, or NULL before it is imported. */
static PyObject *current_variable = NULL;    /* ContextVar: a Span or None */
static PyObject *suppressed_variable = NULL; /* ContextVar: bool */
static PyObject *task_spans = NULL; /* dict: async id to (its span, the span at birth) */

PyObject *
start_span_set_sources(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *current, *suppressed, *tasks;
    if (!PyArg_ParseTuple(args, "O!O!O!:set_span_sources", &PyContextVar_Type, &current,
                          &PyContextVar_Type, &suppressed, &PyDict_Type, &tasks)) {
        return NULL;
    }
    Py_XSETREF(current_variable, Py_NewRef(current));
    Py_XSETREF(suppressed_variable, Py_NewRef(suppressed));
    Py_XSETREF(task_spans, Py_NewRef(tasks));
    Py_RETURN_NONE;
}

/* Returns: the span that what runs here belongs to, new, or None, or NULL with an exception set.
   May run Python code: no. */
static PyObject *
find_current(void)
{
    PyObject *span = NULL; /* owned */
    if (current_variable == NULL) {
        Py_RETURN_NONE;
    }
    if (PyContextVar_Get(current_variable, Py_None, &span) < 0) {
        return NULL;
    }
    if (span == Py_None || PyDict_GET_SIZE(task_spans) == 0) {
        return span;
    }
    PyObject *id = PyLong_FromUnsignedLongLong(execution_async_id()); /* owned */
    PyObject *entry =
        id != NULL ? PyDict_GetItemWithError(task_spans, id) : NULL; /* borrowed */
    Py_XDECREF(id);
    /* One that has entered a scope of its own since its birth runs for that. */
    if (entry != NULL && PyTuple_Check(entry) && PyTuple_GET_SIZE(entry) == 2 &&
        PyTuple_GET_ITEM(entry, 1) == span) {
        Py_SETREF(span, Py_NewRef(PyTuple_GET_ITEM(entry, 0)));
    } else if (PyErr_Occurred()) {
        Py_CLEAR(span);
    }
    return span;
}

PyObject *
start_span_current(PyObject *module, PyObject *unused)
{
    return find_current();
}

/* Returns: whether, or -1 with an exception set. */
static int
is_suppressed(void)
{
    PyObject *value = NULL; /* owned */
    if (suppressed_variable == NULL) {
        return 0;
    }
    if (PyContextVar_Get(suppressed_variable, Py_False, &value) < 0) {
        return -1;
    }
    int result = value == Py_True;
    Py_DECREF(value);
    return result;
}

static Signature signature = {
    .function = "start_span",
    .required = 1,
    .positional = 1,
    .count = 6,
    .names = {"name", "kind", "attributes", "parent", "start_time", "scope"},
};

PyObject *
start_span(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    PyObject *parent =
        values[3] != NULL ? Py_NewRef(values[3]) : find_current(); /* owned */
    if (parent == NULL) {
        return NULL;
    }
    if (span_check(parent) && span_has_unsampled_children((Span *)parent)) {
        return parent; /* nothing is known of either that would tell them apart */
    }
    int suppressed = is_suppressed();
    if (suppressed < 0) {
        Py_DECREF(parent);
        return NULL;
    }
    SpanOptions options = {
        .kind = values[1],
        .attributes = values[2],
        .parent = parent,
        .request = span_check(parent) ? ((Span *)parent)->request : NULL,
        .start_time = values[4],
        .scope = values[5],
        .wants_site = true,
        .is_suppressed = suppressed,
    };
    PyObject *span = span_begin(span_type, values[0], &options);
    Py_DECREF(parent);
    return span;
}
