#include "wsgi_exchange.h"
#include "arguments.h"
#include "compat.h"
#include "ports.h"
#include "wsgi.h"

static PyObject *str_file_wrapper = NULL; /* owned */
static PyObject *str_close = NULL;        /* owned */

/* What of ours has gone wrong is told of, and the call goes on; what is no Exception stays set.
   Returns: 0, or -1 with that set. */
static int
step_aside(PyObject *where)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return -1;
    }
    PyErr_WriteUnraisable(where);
    return 0;
}

/* The call or the body has raised the exception that is set, which stays so. */
static void
tell_failure(Answer *answer)
{
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    if (answer_fail(answer, raised) < 0) {
        PyErr_WriteUnraisable((PyObject *)answer);
    }
    PyErr_SetRaisedException(raised);
}

/* The application is done with the request; an exception that is set stays so. */
static void
finish(Answer *answer)
{
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    if (answer_finish(answer) < 0) {
        PyErr_WriteUnraisable((PyObject *)answer);
    }
    PyErr_SetRaisedException(raised);
}

/* Returns: the scope of the request, in force, owned, or NULL with an exception set. */
static Scope *
enter_scope(const Answer *answer)
{
    return scope_entered(
        scope_of_request(answer->request->span, answer->request->baggage));
}

/* Counts a piece of the body. Its length is the server's to judge. */
static void
count(Answer *answer, PyObject *data)
{
    Py_ssize_t size = PyObject_Size(data);
    if (size < 0) {
        PyErr_Clear();
    }
    answer_add(answer, size);
}

/* ---- start_response, and what it gives ---------------------------------------------------- */

/* write(data) */
static PyObject *
call_write(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Port *self = (Port *)op;
    if (PyVectorcall_NARGS(nargsf) == 1) {
        count(self->answer, args[0]);
    }
    return PyObject_Vectorcall(self->function, args, nargsf, kwnames);
}

static Signature start_signature = {
    .function = "start_response",
    .required = 2,
    .positional = 3,
    .count = 3,
    .names = {"status", "response_headers", "exc_info"},
};

/* Returns: the server's `write`, new, or NULL with an exception set. */
static PyObject *
start_response(Port *self, const WSGIStart *start)
{
    PyObject *headers = wsgi_headers_to_send(self->answer, start); /* owned */
    if (headers == NULL) {
        if (step_aside((PyObject *)self->answer) < 0) {
            return NULL;
        }
        headers = Py_NewRef(start->headers);
    }
    PyObject *given[] = {start->status, headers, start->exc_info};
    PyObject *write =
        PyObject_Vectorcall(self->function, given, start->exc_info != NULL ? 3 : 2, NULL);
    Py_DECREF(headers);
    return write;
}

/* start_response(status, headers, exc_info=None) */
static PyObject *
call_start_response(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Port *self = (Port *)op;
    PyObject *values[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&start_signature, args, PyVectorcall_NARGS(nargsf), kwnames,
                       values) < 0) {
        return NULL;
    }
    WSGIStart start = {
        .status = values[0],
        .headers = values[1],
        .exc_info = values[2] != NULL && values[2] != Py_None ? values[2] : NULL,
    };
    PyObject *write = start_response(self, &start); /* owned */
    PyObject *port = write != NULL ? port_make(self->answer, write, call_write) : NULL;
    Py_XDECREF(write);
    return port;
}

/* ---- WSGIBody: whose steps and end belong to its request ---------------------------------- */

typedef struct Body {
    PyObject_HEAD Answer *answer; /* owned */
    PyObject *given;              /* owned: the application's */
    PyObject *iterator;           /* owned; NULL: not begun */
    bool is_whole;
} Body;

static PyTypeObject *body_type = NULL; /* owned */

/* Returns: new, or NULL with an exception set. */
static PyObject *
make_body(Answer *answer, PyObject *given)
{
    Body *self = PyObject_GC_New(Body, body_type);
    if (self != NULL) {
        self->answer = (Answer *)Py_NewRef((PyObject *)answer);
        self->given = Py_NewRef(given);
        self->iterator = NULL;
        self->is_whole = false;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

/* Returns: the next piece, new; NULL at the end, or with an exception set. */
static PyObject *
take_next(Body *self)
{
    if (self->iterator == NULL) {
        self->iterator = PyObject_GetIter(self->given);
    }
    PyObject *data = self->iterator != NULL ? PyIter_Next(self->iterator) : NULL;
    if (data == NULL && !PyErr_Occurred()) {
        self->is_whole = true;
    } else if (data == NULL) {
        tell_failure(self->answer);
    }
    return data;
}

static PyObject *
Body_iternext(Body *self)
{
    Scope *scope = enter_scope(self->answer); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    PyObject *data = take_next(self);
    scope_exit(scope);
    if (data != NULL) {
        count(self->answer, data);
    }
    return data;
}

/* Returns: what the application's `close()` has, new, or NULL with an exception set. */
static PyObject *
close_given(Body *self)
{
    PyObject *close = PyObject_GetAttr(self->given, str_close); /* owned */
    if (close == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    Scope *scope = enter_scope(self->answer); /* owned */
    PyObject *closed = NULL;
    if (scope != NULL) {
        closed = PyObject_CallNoArgs(close);
        scope_exit(scope);
    }
    Py_DECREF(close);
    return closed;
}

/* Called by the server when it is done, also where the client has gone away. */
static PyObject *
Body_close(Body *self, PyObject *unused)
{
    if (self->iterator != NULL && !self->is_whole &&
        answer_disconnect(self->answer) < 0) {
        PyErr_WriteUnraisable((PyObject *)self->answer);
    }
    PyObject *closed = close_given(self);
    if (closed == NULL) {
        tell_failure(self->answer);
    }
    finish(self->answer);
    return closed;
}

static int
Body_traverse(Body *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->answer);
    Py_VISIT(self->given);
    Py_VISIT(self->iterator);
    return 0;
}

static void
Body_dealloc(Body *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->iterator);
    Py_CLEAR(self->given);
    Py_CLEAR(self->answer);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef Body_methods[] = {
    {"close", (PyCFunction)Body_close, METH_NOARGS,
     "close($self, /)\n--\n\nThe server is done with the body."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Body_slots[] = {
    {Py_tp_doc, "The body of a WSGI application's answer, followed."},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Body_iternext},
    {Py_tp_traverse, Body_traverse},
    {Py_tp_dealloc, Body_dealloc},
    {Py_tp_methods, Body_methods},
    {0, NULL},
};

static PyType_Spec Body_spec = {
    .name = "asynchooks._native.WSGIBody",
    .basicsize = sizeof(Body),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Body_slots,
};

/* ---- The call ------------------------------------------------------------------------- */

/* Calls the application in the scope of the request. Returns: its body, new, or NULL with an exception
   set. */
static PyObject *
call_application(Answer *answer, PyObject *app, PyObject *environ, PyObject *given)
{
    PyObject *start = port_make(answer, given, call_start_response); /* owned */
    Scope *scope = start != NULL ? enter_scope(answer) : NULL;       /* owned */
    PyObject *body = NULL;
    if (scope != NULL) {
        PyObject *arguments[] = {environ, start};
        body = PyObject_Vectorcall(app, arguments, 2, NULL);
        if (body == NULL) {
            tell_failure(answer);
        }
        scope_exit(scope);
    }
    Py_XDECREF(start);
    return body;
}

/* A body that is there already: nothing of the application runs on. */
static void
follow_whole(Answer *answer, PyObject *body)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(body); i++) {
        count(answer, PySequence_Fast_GET_ITEM(body, i));
    }
    finish(answer);
}

/* Returns: whether the body is a file that the server sends itself, which it knows by its type; or -1
   with an exception set. */
static int
is_file(PyObject *body, PyObject *environ)
{
    PyObject *wrapper = /* borrowed */
        PyDict_Check(environ) ? PyDict_GetItemWithError(environ, str_file_wrapper) : NULL;
    return wrapper != NULL && PyType_Check(wrapper) ? PyObject_IsInstance(body, wrapper)
                                                    : 0;
}

/* wsgi_exchange(answer, app, environ, start_response) */
PyObject *
wsgi_exchange(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4 || !answer_check(args[0])) {
        PyErr_SetString(
            PyExc_TypeError,
            "wsgi_exchange() takes an Answer, the application, and its arguments");
        return NULL;
    }
    Answer *answer = (Answer *)args[0];
    PyObject *body = call_application(answer, args[1], args[2], args[3]); /* owned */
    if (body == NULL) {
        finish(answer);
        return NULL;
    }
    if (PyList_Check(body) || PyTuple_Check(body)) {
        follow_whole(answer, body);
        return body;
    }
    int leaves_it = is_file(body, args[2]);
    PyObject *followed = leaves_it == 0  ? make_body(answer, body)
                         : leaves_it > 0 ? Py_NewRef(body)
                                         : NULL;
    Py_DECREF(body);
    return followed;
}

int
wsgi_exchange_add_type(PyObject *module)
{
    str_file_wrapper = PyUnicode_InternFromString("wsgi.file_wrapper");
    str_close = PyUnicode_InternFromString("close");
    body_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Body_spec, NULL);
    return str_file_wrapper != NULL && str_close != NULL && body_type != NULL
               ? PyModule_AddType(module, body_type)
               : -1;
}
