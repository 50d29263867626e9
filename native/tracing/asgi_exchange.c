#include "asgi_exchange.h"
#include "answers.h"
#include "arguments.h"
#include "asgi.h"
#include "compat.h"
#include "ports.h"
#include "relays.h"
#include "span_recording.h"
#include "task_spans.h"

static PyObject *str_app = NULL; /* owned */

/* ---- What is sent and received -------------------------------------------------------- */

/* A server that begins the connection's next request while it sends, or anything else, does not do so
   for this request. */
static int
pause_task_spans(Relay *self)
{
    task_spans_pause();
    return 0;
}

static void
resume_task_spans(Relay *self)
{
    task_spans_resume();
}

static int
body_sent(Relay *self, PyObject *result)
{
    return asgi_follow_body((Answer *)self->owner, self->subject);
}

static int
received(Relay *self, PyObject *message)
{
    return asgi_follow_received((Answer *)self->owner, message);
}

static const RelayActs SENDING = {.enter = pause_task_spans, .leave = resume_task_spans};
static const RelayActs SENDING_BODY = {
    .enter = pause_task_spans, .leave = resume_task_spans, .returned = body_sent};
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
    bool is_body;
    PyObject *message = /* owned */
        asgi_message_to_send(self->answer, args[0], &is_body);
    if (message == NULL) {
        return NULL;
    }
    PyObject *awaitable = PyObject_CallOneArg(self->function, message); /* owned */
    PyObject *relay = awaitable != NULL
                          ? relay_make(is_body ? &SENDING_BODY : &SENDING, awaitable,
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
static const RelayActs UNTRACED = {0};

enum { APP, SCOPE, RECEIVE, SEND, ARGUMENT_COUNT };

/* Calls the application for a request that is in force. Returns: what to await, new, or NULL with an
   exception set. May run Python code: yes. */
static PyObject *
call_application(Answer *answer, PyObject *arguments)
{
    PyObject *given_receive = PyTuple_GET_ITEM(arguments, RECEIVE); /* borrowed */
    /* Owned. */
    PyObject *receive = span_is_open((Span *)answer->request->span)
                            ? port_make(answer, given_receive, call_receive)
                            : Py_NewRef(given_receive); /* nothing is to be learned */
    PyObject *send = receive != NULL
                         ? port_make(answer, PyTuple_GET_ITEM(arguments, SEND), call_send)
                         : NULL;
    PyObject *awaitable = NULL;
    if (send != NULL) {
        PyObject *given[] = {PyTuple_GET_ITEM(arguments, SCOPE), receive, send};
        awaitable = PyObject_Vectorcall(PyTuple_GET_ITEM(arguments, APP), given, 3, NULL);
    }
    Py_XDECREF(receive);
    Py_XDECREF(send);
    return awaitable;
}

/* Steals: awaitable; NULL: an exception is set. Returns: 0, or -1 with an exception set. */
static int
stand_for(Relay *self, PyObject *awaitable)
{
    int status = awaitable != NULL ? relay_stand_for(self, awaitable) : -1;
    Py_XDECREF(awaitable);
    return status;
}

/* Calls the application as if we were not there, since ours has failed, as the exception says that is
   set. Returns: 0, or -1 with an exception set. */
static int
step_aside(Relay *self)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyObject *helper = ((Wrapper *)self->owner)->helper; /* borrowed */
    PyObject *trouble = PyErr_GetRaisedException();      /* owned */
    PyObject *told = PyObject_CallOneArg(helper, trouble);
    if (told == NULL) {
        PyErr_WriteUnraisable(helper);
    }
    Py_XDECREF(told);
    Py_DECREF(trouble);
    self->acts = &UNTRACED;
    PyObject *const *arguments = &PyTuple_GET_ITEM(self->subject, 0);
    return stand_for(self,
                     PyObject_Vectorcall(arguments[APP], arguments + SCOPE, 3, NULL));
}

static int
begin_call(Relay *self)
{
    Request *request = /* owned */
        (Request *)asgi_start(NULL, PyTuple_GET_ITEM(self->subject, SCOPE));
    Answer *answer = request != NULL ? answer_make(request) : NULL; /* owned */
    Py_XDECREF(request);
    if (answer == NULL || answer_enter(answer) < 0) {
        Py_XDECREF(answer);
        return step_aside(self);
    }
    self->acts = &CALLING;
    Py_SETREF(self->owner, (PyObject *)answer);
    int status = stand_for(self, call_application(answer, self->subject));
    if (status < 0) {
        call_raised(self);
    }
    return status;
}

static const RelayActs BEGINNING = {.begin = begin_call};

static Signature call_signature = {
    .function = "__call__",
    .required = 4,
    .positional = 4,
    .count = 4,
    .names = {"self", "scope", "receive", "send"},
};

PyObject *
asgi_call(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *given[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&call_signature, args, PyVectorcall_NARGS(nargsf), kwnames,
                       given) < 0) {
        PyErr_Clear(); /* the original says what is wrong with them */
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    int is_http = asgi_is_http(given[1]);
    if (is_http <= 0) {
        return is_http < 0 ? NULL : wrapper_call_original(self, args, nargsf, kwnames);
    }
    /* Owned. */
    PyObject *app = PyObject_GetAttr(given[0], str_app);
    PyObject *subject =
        app != NULL ? PyTuple_Pack(ARGUMENT_COUNT, app, given[1], given[2], given[3])
                    : NULL;
    PyObject *relay =
        subject != NULL ? relay_make_later(&BEGINNING, (PyObject *)self, subject) : NULL;
    Py_XDECREF(app);
    Py_XDECREF(subject);
    return relay;
}

int
asgi_exchange_prepare(void)
{
    str_app = PyUnicode_InternFromString("app");
    return str_app != NULL ? 0 : -1;
}
