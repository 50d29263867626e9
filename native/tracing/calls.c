#include "calls.h"
#include "clock.h"
#include "compat.h"
#include "span_recording.h"
#include "start_span.h"

enum { BEGIN, FINISH, FAIL, REPORT, IS_GATED, PART_COUNT };

bool
call_takes_helper(PyObject *helper)
{
    return PyTuple_CheckExact(helper) && PyTuple_GET_SIZE(helper) == PART_COUNT;
}

static inline PyObject *
part(const Wrapper *self, int which)
{
    return PyTuple_GET_ITEM(self->helper, which);
}

/* Tells of the exception that is set, which is trouble of ours, and goes on without one; what is no
   Exception stays set. Returns: 0, or -1 with that set. May run Python code: yes. */
static int
report_trouble(Wrapper *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *trouble = PyErr_GetRaisedException(); /* owned */
    PyObject *arguments[] = {self->original, trouble};
    PyObject *result =
        PyObject_Vectorcall(part(self, REPORT), arguments, 2, NULL); /* owned */
    if (result == NULL) {
        PyErr_WriteUnraisable(self->original);
    }
    Py_XDECREF(result);
    Py_DECREF(trouble);
    return 0;
}

/* Returns: the span that `begin` starts, or None, new; or NULL with an exception set, which is no
   Exception. May run Python code: yes. */
static PyObject *
begin(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (part(self, IS_GATED) == Py_True) {
        PyObject *recording = start_span_recording(NULL, NULL); /* owned */
        if (recording == NULL || recording == Py_None) {
            return recording;
        }
        Py_DECREF(recording);
    }
    PyObject *span = PyObject_Vectorcall(part(self, BEGIN), args,
                                         (size_t)PyVectorcall_NARGS(nargsf), kwnames);
    if (span == NULL && report_trouble(self) == 0) {
        return Py_NewRef(Py_None);
    }
    return span;
}

/* The call has returned. Returns: 0, or -1 with an exception set, which is no Exception. May run
   Python code: yes. */
static int
succeed(Wrapper *self, Span *span, PyObject *result)
{
    if (part(self, FINISH) != Py_None) {
        PyObject *arguments[] = {(PyObject *)span, result};
        PyObject *finished = PyObject_Vectorcall(part(self, FINISH), arguments, 2, NULL);
        if (finished == NULL && report_trouble(self) < 0) {
            return -1;
        }
        Py_XDECREF(finished);
    }
    if (span_is_open(span)) {
        span_end_at(span, clock_realtime_ns());
    }
    return 0;
}

/* The call has raised: the exception that is set stays so. May run Python code: yes. */
static void
fail(Wrapper *self, Span *span)
{
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    PyObject *arguments[] = {(PyObject *)span, raised};
    PyObject *failed =
        PyObject_Vectorcall(part(self, FAIL), arguments, 2, NULL); /* owned */
    if (failed == NULL) {
        PyErr_WriteUnraisable(self->original);
    }
    Py_XDECREF(failed);
    PyErr_SetRaisedException(raised);
}

PyObject *
call_in_span(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *span = begin(self, args, nargsf, kwnames); /* owned */
    if (span == NULL) {
        return NULL;
    }
    PyObject *result = wrapper_call_original(self, args, nargsf, kwnames);
    if (span_check(span)) {
        if (result == NULL) {
            fail(self, (Span *)span);
        } else if (succeed(self, (Span *)span, result) < 0) {
            Py_CLEAR(result);
        }
    }
    Py_DECREF(span);
    return result;
}
