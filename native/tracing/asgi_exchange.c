#include "asgi_exchange.h"
#include "answers.h"
#include "asgi.h"
#include "compat.h"
#include "relays.h"
#include "span_recording.h"

#include <stddef.h>
#include <structmember.h>

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

/* ---- Port: the server's `send` or `receive`, as the application is given it ------------- */

typedef struct Port {
    PyObject_HEAD PyObject *answer; /* owned: an Answer */
    PyObject *function;             /* owned: the server's */
    vectorcallfunc vectorcall;
} Port;

static PyTypeObject *port_type = NULL; /* owned */

/* send(message) */
static PyObject *
call_send(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Port *self = (Port *)op;
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL) { /* the server judges it */
        return PyObject_Vectorcall(self->function, args, nargsf, kwnames);
    }
    PyObject *message = asgi_message_to_send((Answer *)self->answer, args[0]); /* owned */
    if (message == NULL) {
        return NULL;
    }
    PyObject *awaitable = PyObject_CallOneArg(self->function, message); /* owned */
    PyObject *relay =
        awaitable != NULL ? relay_make(&SENDING, awaitable, self->answer, args[0]) : NULL;
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
    PyObject *relay =
        awaitable != NULL ? relay_make(&RECEIVING, awaitable, self->answer, NULL) : NULL;
    Py_XDECREF(awaitable);
    return relay;
}

/* Returns: new, or NULL with an exception set. */
static PyObject *
make_port(Answer *answer, PyObject *function, vectorcallfunc vectorcall)
{
    Port *self = PyObject_GC_New(Port, port_type);
    if (self != NULL) {
        self->answer = Py_NewRef((PyObject *)answer);
        self->function = Py_NewRef(function);
        self->vectorcall = vectorcall;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
Port_traverse(Port *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->answer);
    Py_VISIT(self->function);
    return 0;
}

static void
Port_dealloc(Port *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->answer);
    Py_CLEAR(self->function);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

/* What else is asked of it is asked of the server's. */
static PyObject *
Port_getattro(Port *self, PyObject *name)
{
    return PyObject_GetAttr(self->function, name);
}

static PyMemberDef Port_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Port, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Port_slots[] = {
    {Py_tp_doc, "A server's `send` or `receive`, followed."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getattro, Port_getattro},
    {Py_tp_traverse, Port_traverse},
    {Py_tp_dealloc, Port_dealloc},
    {Py_tp_members, Port_members},
    {0, NULL},
};

static PyType_Spec Port_spec = {
    .name = "asynchooks._native.Port",
    .basicsize = sizeof(Port),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Port_slots,
};

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
                            ? make_port(answer, args[2], call_receive)
                            : Py_NewRef(args[2]); /* nothing is to be learned from it */
    PyObject *send = receive != NULL ? make_port(answer, args[3], call_send) : NULL;
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

int
asgi_exchange_add_type(PyObject *module)
{
    port_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Port_spec, NULL);
    return port_type != NULL ? PyModule_AddType(module, port_type) : -1;
}
