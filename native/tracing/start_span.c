#include "start_span.h"
#include "arguments.h"
#include "requests.h"
#include "scopes.h"
#include "task_spans.h"

/* Returns: what stands for a span from its request's answer on, while the call that serves the
   request goes on, borrowed; NULL where that is the span itself, or with an exception set. May run
   Python code: yes. */
static PyObject *
find_background(PyObject *span)
{
    if (!span_check(span) || !((Span *)span)->has_ended) {
        return NULL;
    }
    Request *request = (Request *)((Span *)span)->request; /* borrowed */
    return request != NULL && request->runs_on && request->span == span
               ? request_background(request)
               : NULL;
}

/* Returns: the span that what runs in a scope belongs to, new, or None, or NULL with an exception
   set. May run Python code: yes. */
static PyObject *
find_current(const Scope *scope)
{
    if (scope->span == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *span = Py_NewRef(scope->span); /* owned */
    PyObject *own = task_spans_find(span);   /* owned */
    if (own != NULL) {
        Py_DECREF(span);
        return own;
    }
    PyObject *background = PyErr_Occurred() ? NULL : Py_XNewRef(find_background(span));
    if (background != NULL || PyErr_Occurred()) {
        Py_DECREF(span);
        return background;
    }
    return span;
}

PyObject *
start_span_current(PyObject *module, PyObject *unused)
{
    Scope *scope = scope_current(); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    PyObject *span = find_current(scope);
    Py_DECREF(scope);
    return span;
}

PyObject *
start_span_recording(PyObject *module, PyObject *unused)
{
    Scope *scope = scope_current(); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    PyObject *span =
        scope->is_suppressed ? Py_NewRef(Py_None) : find_current(scope); /* owned */
    Py_DECREF(scope);
    if (span != NULL && span != Py_None &&
        (!span_check(span) || !((Span *)span)->is_sampled)) {
        Py_SETREF(span, Py_NewRef(Py_None));
    }
    return span;
}

/* Marks a span whose parent is over: what goes on after a request, or a task, and nobody waits for.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
mark_late(PyObject *span, PyObject *parent)
{
    int status = -1;
    PyObject *context = PyObject_GetAttrString(parent, "context"); /* owned */
    PyObject *result = PyObject_CallMethod(span, "set_attribute", "sO",
                                           "asynchooks.outlives_parent", Py_True);
    if (context == NULL || result == NULL) {
        goto error;
    }
    /* In parentheses: a context is a tuple, which would be taken for all the arguments. */
    Py_SETREF(result, PyObject_CallMethod(span, "add_link", "(O)", context));
    status = result != NULL ? 0 : -1;
error:
    Py_XDECREF(context);
    Py_XDECREF(result);
    return status;
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
    Scope *scope = scope_current(); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    bool is_suppressed = scope->is_suppressed;
    PyObject *parent =
        values[3] != NULL ? Py_NewRef(values[3]) : find_current(scope); /* owned */
    Py_DECREF(scope);
    if (parent == NULL) {
        return NULL;
    }
    if (span_check(parent) && span_has_unsampled_children((Span *)parent)) {
        return parent; /* nothing is known of either that would tell them apart */
    }
    SpanOptions options = {
        .kind = values[1],
        .attributes = values[2],
        .parent = parent,
        .request = span_check(parent) ? ((Span *)parent)->request : NULL,
        .start_time = values[4],
        .scope = values[5],
        .wants_site = true,
        .is_suppressed = is_suppressed,
    };
    PyObject *span = span_begin(span_type, values[0], &options);
    if (span != NULL && span_check(parent) && ((Span *)parent)->has_ended &&
        !((Span *)parent)->is_foreign && ((Span *)span)->is_sampled &&
        mark_late(span, parent) < 0) {
        Py_CLEAR(span);
    }
    Py_DECREF(parent);
    return span;
}
