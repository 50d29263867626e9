#include "asgi_exchange.h"
#include "answers.h"
#include "asgi.h"
#include "compat.h"
#include "ports.h"
#include "relays.h"
#include "span_recording.h"

/* ---- What is sent and received -------------------------------------------------------- */

/* A server that begins the connection's next request while it sends, or a timer, does not do so for
   this request. */
static int
enter_without_tasks(Relay *self)
{
    Scope *scope = scope_copy(); /* owned, given away */
    if (scope != NULL) {
        scope->records_tasks = false;
    }
    return relay_enter_scope(self, scope);
}

static int
sent(Relay *self, PyObject *result)
{
    return asgi_follow_sent((Answer *)self->owner, self->subject);
}

static int
received(Relay *self, PyObject *message)
{
    return asgi_follow_received((Answer *)self->owner, message);
}

static const RelayActs SENDING = {
    .enter = enter_without_tasks, .leave = relay_leave_scope, .returned = sent};
static const RelayActs RECEIVING = {.returned = received};

/* ---- The server's `send` and `receive`, as the application is given them ------------------- */

/* send(message) */
static PyObject *
call_send(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Port *self = (Port *)op;
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL) { /* the server judges it */
        return PyObject_Vectorcall(self->function, args, nargsf, kwnames);
    }
    PyObject *message = asgi_message_to_send(self->answer, args[0]); /* owned */
    if (message == NULL) {
        return NULL;
    }
    PyObject *awaitable = PyObject_CallOneArg(self->function, message); /* owned */
    PyObject *relay = awaitable != NULL ? relay_make(&SENDING, awaitable,
                                                     (PyObject *)self->answer, args[0])
                                        : NULL;
    Py_XDECREF(awaitable);
    Py_DECREF(message);
    return relay;
}

/* receive() */
static PyObject *
call_receive(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Port *self = (Port *)op;
    PyObject *awaitable = /* owned */
        PyObject_Vectorcall(self->function, args, nargsf, kwnames);
    PyObject *relay = awaitable != NULL ? relay_make(&RECEIVING, awaitable,
                                                     (PyObject *)self->answer, NULL)
                                        : NULL;
    Py_XDECREF(awaitable);
    return relay;
}

/* ---- The call ------------------------------------------------------------------------- */

/* The call is over, by `exception` or, with NULL, by returning. Trouble of ours is reported. */
static void
end_call(Relay *self, PyObject *exception)
{
    if (answer_leave((Answer *)self->owner, exception) < 0) {
        PyErr_WriteUnraisable(self->owner);
    }
}

static int
call_returned(Relay *self, PyObject *result)
{
    end_call(self, NULL);
    return 0;
}

static void
call_raised(Relay *self)
{
    PyObject *exception = PyErr_GetRaisedException(); /* owned */
    end_call(self, exception);
    PyErr_SetRaisedException(exception);
}

static const RelayActs CALLING = {.returned = call_returned, .raised = call_raised};

/* Calls the application in the scope of the request. Returns: what to await, new, or NULL with an
   exception set. May run Python code: yes. */
static PyObject *
call_application(Answer *answer, PyObject *const *args)
{
    /* Owned. */
    PyObject *receive = span_is_open((Span *)answer->request->span)
                            ? port_make(answer, args[2], call_receive)
                            : Py_NewRef(args[2]); /* nothing is to be learned from it */
    PyObject *send = receive != NULL ? port_make(answer, args[3], call_send) : NULL;
    PyObject *awaitable = NULL;
    if (send != NULL) {
        PyObject *given[] = {args[1], receive, send};
        awaitable = PyObject_Vectorcall(args[0], given, 3, NULL);
    }
    PyObject *relay = awaitable != NULL
                          ? relay_make(&CALLING, awaitable, (PyObject *)answer, NULL)
                          : NULL;
    Py_XDECREF(receive);
    Py_XDECREF(send);
    Py_XDECREF(awaitable);
    return relay;
}

PyObject *
asgi_exchange(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 5 || !answer_check(args[0])) {
        PyErr_SetString(
            PyExc_TypeError,
            "asgi_exchange() takes an Answer, the application, and its arguments");
        return NULL;
    }
    Answer *answer = (Answer *)args[0];
    if (answer_enter(answer) < 0) {
        return NULL;
    }
    PyObject *relay = call_application(answer, args + 1);
    if (relay == NULL) {
        PyObject *exception = PyErr_GetRaisedException(); /* owned */
        if (answer_leave(answer, exception) < 0) {
            PyErr_WriteUnraisable((PyObject *)answer);
        }
        PyErr_SetRaisedException(exception);
    }
    return relay;
}
