#include "calls.h"
#include "clock.h"
#include "compat.h"
#include "relays.h"
#include "span_recording.h"
#include "start_span.h"

/* ---- The helper ------------------------------------------------------------------------ */

enum { BEGIN, FINISH, FAIL, RESTORE, REPORT, IS_GATED, IS_WHOLE, PART_COUNT };

bool
call_takes_helper(PyObject *helper)
{
    return helper != NULL && PyTuple_CheckExact(helper) &&
           PyTuple_GET_SIZE(helper) == PART_COUNT;
}

static inline PyObject *
part(const Wrapper *self, int which)
{
    return PyTuple_GET_ITEM(self->helper, which);
}

/* The arguments of a call. Borrowed. */
typedef struct Arguments {
    PyObject *const *args;
    size_t nargs;
    PyObject *kwnames;
} Arguments;

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
begin(Wrapper *self, Arguments given)
{
    if (part(self, IS_GATED) == Py_True) {
        PyObject *recording = start_span_recording(NULL, NULL); /* owned */
        if (recording == NULL || recording == Py_None) {
            return recording;
        }
        Py_DECREF(recording);
    }
    PyObject *span =
        PyObject_Vectorcall(part(self, BEGIN), given.args, given.nargs, given.kwnames);
    if (span == NULL && report_trouble(self) == 0) {
        return Py_NewRef(Py_None);
    }
    return span;
}

/* The call is over. Returns: 0, or -1 with an exception set, which is no Exception. May run Python
   code: yes. */
static int
restore(Wrapper *self, Arguments given)
{
    if (part(self, RESTORE) == Py_None) {
        return 0;
    }
    PyObject *restored = PyObject_Vectorcall(part(self, RESTORE), given.args, given.nargs,
                                             given.kwnames); /* owned */
    int status = restored == NULL ? report_trouble(self) : 0;
    Py_XDECREF(restored);
    return status;
}

/* The call has returned. Returns: 0, or -1 with an exception set, which is no Exception. May run
   Python code: yes. */
static int
succeed(Wrapper *self, Span *span, PyObject *result, Arguments given)
{
    if (part(self, FINISH) != Py_None) {
        PyObject *arguments[] = {(PyObject *)span, result};
        PyObject *finished = /* owned */
            PyObject_Vectorcall(part(self, FINISH), arguments, 2, NULL);
        if (finished == NULL && report_trouble(self) < 0) {
            return -1;
        }
        Py_XDECREF(finished);
    }
    if (span_is_open(span)) {
        span_end_at(span, clock_realtime_ns());
    }
    return restore(self, given);
}

/* The call has raised: the exception that is set stays so. May run Python code: yes. */
static void
fail(Wrapper *self, Span *span, Arguments given)
{
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    PyObject *arguments[] = {(PyObject *)span, raised};
    PyObject *failed =
        PyObject_Vectorcall(part(self, FAIL), arguments, 2, NULL); /* owned */
    if (failed == NULL || restore(self, given) < 0) {
        PyErr_WriteUnraisable(self->original);
    }
    Py_XDECREF(failed);
    PyErr_SetRaisedException(raised);
}

/* ---- A function ------------------------------------------------------------------------ */

PyObject *
call_unrecorded(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Scope *scope = scope_entered(scope_suppressing()); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    PyObject *result = wrapper_call_original(self, args, nargsf, kwnames);
    scope_exit(scope);
    return result;
}

PyObject *
call_in_span(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Arguments given = {args, (size_t)PyVectorcall_NARGS(nargsf), kwnames};
    PyObject *span = begin(self, given); /* owned */
    if (span == NULL) {
        return NULL;
    }
    bool is_whole = span_check(span) && part(self, IS_WHOLE) == Py_True;
    PyObject *result = is_whole ? call_unrecorded(self, args, nargsf, kwnames)
                                : wrapper_call_original(self, args, nargsf, kwnames);
    if (span_check(span)) {
        if (result == NULL) {
            fail(self, (Span *)span, given);
        } else if (succeed(self, (Span *)span, result, given) < 0) {
            Py_CLEAR(result);
        }
    }
    Py_DECREF(span);
    return result;
}

/* ---- A coroutine function, or a generator function ---------------------------------------- */

/* Returns: the arguments of a call, to be kept: (kwnames or None, *args), new, or NULL with an
   exception set. */
static PyObject *
keep(Arguments given)
{
    Py_ssize_t named = given.kwnames != NULL ? PyTuple_GET_SIZE(given.kwnames) : 0;
    Py_ssize_t count = (Py_ssize_t)given.nargs + named;
    PyObject *kept = PyTuple_New(count + 1);
    if (kept != NULL) {
        PyTuple_SET_ITEM(kept, 0,
                         Py_NewRef(given.kwnames != NULL ? given.kwnames : Py_None));
        for (Py_ssize_t i = 0; i < count; i++) {
            PyTuple_SET_ITEM(kept, i + 1, Py_NewRef(given.args[i]));
        }
    }
    return kept;
}

/* Returns: what was kept, borrowed. */
static Arguments
kept_by(const Relay *relay)
{
    PyObject *kept = relay->subject;
    PyObject *kwnames = PyTuple_GET_ITEM(kept, 0);
    Py_ssize_t named = kwnames != Py_None ? PyTuple_GET_SIZE(kwnames) : 0;
    return (Arguments){
        .args = &PyTuple_GET_ITEM(kept, 1),
        .nargs = (size_t)(PyTuple_GET_SIZE(kept) - 1 - named),
        .kwnames = kwnames != Py_None ? kwnames : NULL,
    };
}

/* Returns: the span of a call that has begun, borrowed; NULL where there is none. */
static Span *
span_of(const Relay *relay)
{
    return relay->mark != NULL && span_check(relay->mark) ? (Span *)relay->mark : NULL;
}

static int
begin_span(Relay *relay)
{
    relay->mark = begin((Wrapper *)relay->owner, kept_by(relay));
    return relay->mark != NULL ? 0 : -1;
}

static int
enter_unrecorded(Relay *relay)
{
    return relay_enter_scope(relay, scope_suppressing());
}

static int
enter_whole(Relay *relay)
{
    return span_of(relay) != NULL ? enter_unrecorded(relay) : 0;
}

static int
succeed_in_step(Relay *relay, PyObject *result)
{
    Span *span = span_of(relay);
    return span != NULL ? succeed((Wrapper *)relay->owner, span, result, kept_by(relay))
                        : 0;
}

static void
fail_in_step(Relay *relay)
{
    Span *span = span_of(relay);
    if (span != NULL) {
        fail((Wrapper *)relay->owner, span, kept_by(relay));
    }
}

static const RelayActs IN_SPAN = {
    .begin = begin_span,
    .returned = succeed_in_step,
    .raised = fail_in_step,
};
static const RelayActs IN_SPAN_AS_A_WHOLE = {
    .begin = begin_span,
    .enter = enter_whole,
    .leave = relay_leave_scope,
    .returned = succeed_in_step,
    .raised = fail_in_step,
};
static const RelayActs UNRECORDED = {
    .enter = enter_unrecorded,
    .leave = relay_leave_scope,
};

PyObject *
call_in_span_steps(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Arguments given = {args, (size_t)PyVectorcall_NARGS(nargsf), kwnames};
    const RelayActs *acts =
        part(self, IS_WHOLE) == Py_True ? &IN_SPAN_AS_A_WHOLE : &IN_SPAN;
    PyObject *steps = wrapper_call_original(self, args, nargsf, kwnames); /* owned */
    PyObject *kept = steps != NULL ? keep(given) : NULL;                  /* owned */
    PyObject *relay =
        kept != NULL ? relay_make(acts, steps, (PyObject *)self, kept) : NULL;
    Py_XDECREF(kept);
    Py_XDECREF(steps);
    return relay;
}

PyObject *
call_unrecorded_steps(Wrapper *self, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames)
{
    return relay_call(&UNRECORDED, self, args, nargsf, kwnames);
}
