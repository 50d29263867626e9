#include "answers.h"
#include "clock.h"
#include "compat.h"
#include "incoming.h"
#include "names.h"
#include "span_recording.h"

#include <stddef.h>
#include <structmember.h>

/* What runs on after the last byte for less than this (ns), and does nothing, is no background. */
#define WORTH_A_SPAN 1000000

#define SERVER_ERROR 500

PyTypeObject *answer_type = NULL;

/* Owned. */
static PyObject *str_status_code = NULL;
static PyObject *str_size = NULL;
static PyObject *str_chunks = NULL;
static PyObject *str_error_type = NULL;
static PyObject *str_disconnected = NULL;
static PyObject *str_is_background = NULL;
static PyObject *str_record_exception = NULL;
static PyObject *str_add_link = NULL;

/* Returns: the server span, borrowed. */
static inline Span *
span_of(const Answer *self)
{
    return (Span *)self->request->span;
}

/* Sets an attribute to a number. Returns: 0, or -1 with an exception set. */
static int
set_number(Span *span, PyObject *key, uint64_t value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value); /* owned */
    int status = number != NULL ? attributes_set(&span->attributes, key, number,
                                                 span_limits.attributes)
                                : -1;
    Py_XDECREF(number);
    return status;
}

/* What the server has answered, 500 and above, is a failure, whose type is the status where
   nothing else has said more. Returns: 0, or -1 with an exception set. */
static int
describe_failure(Span *span, int status)
{
    if (!attributes_have_prefix(&span->attributes, "error.type")) {
        PyObject *type = PyUnicode_FromFormat("%d", status); /* owned */
        int set = type != NULL ? attributes_set(&span->attributes, str_error_type, type,
                                                span_limits.attributes)
                               : -1;
        Py_XDECREF(type);
        if (set < 0) {
            return -1;
        }
    }
    if (span->status_code == STATUS_UNSET) {
        span->status_code = STATUS_ERROR;
    }
    return 0;
}

/* Returns: 0, or -1 with an exception set. */
static int
describe(const Answer *self, Span *span)
{
    if (self->chunks > 0 && (set_number(span, str_size, self->size) < 0 ||
                             set_number(span, str_chunks, self->chunks) < 0)) {
        return -1;
    }
    if (self->status > 0 &&
        set_number(span, str_status_code, (uint64_t)self->status) < 0) {
        return -1;
    }
    return self->status >= SERVER_ERROR ? describe_failure(span, self->status) : 0;
}

int
answer_begin(Answer *self, int status, PyObject *headers)
{
    self->status = status;
    return incoming_record_headers(span_of(self), "response", headers);
}

int
answer_end(Answer *self)
{
    Span *span = span_of(self); /* borrowed: of the request */
    if (self->request->answered_at != 0 || !span_is_open(span)) {
        return 0;
    }
    self->request->answered_at = clock_realtime_ns();
    if (self->status >= SERVER_ERROR) {
        return 0; /* the exception behind it may still come this way */
    }
    if (describe(self, span) < 0) {
        return -1;
    }
    self->request->runs_on = true;
    span_end_at(span, self->request->answered_at);
    return 0;
}

int
answer_disconnect(Answer *self)
{
    Span *span = span_of(self);
    return self->request->answered_at == 0 && span_is_open(span)
               ? attributes_set(&span->attributes, str_disconnected, Py_True,
                                span_limits.attributes)
               : 0;
}

int
answer_fail(Answer *self, PyObject *exception)
{
    Request *request = self->request;
    PyObject *span = request->span; /* borrowed */
    if (request->runs_on) {
        span = request_background(request);
        if (span == NULL) {
            return -1;
        }
    } else if (self->status == 0 &&
               PyObject_TypeCheck(exception, (PyTypeObject *)PyExc_Exception)) {
        self->status = SERVER_ERROR; /* what the server answers now */
    }
    PyObject *result =
        PyObject_CallMethodOneArg(span, str_record_exception, exception); /* owned */
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* Whether what ran on after the answer is worth telling. */
static bool
did_something(const Request *request, const Span *background, uint64_t now)
{
    return background->event_count > 0 || now - request->answered_at >= WORTH_A_SPAN ||
           request_has_child(request, background->identity.span_id);
}

/* Ends the background of a request, or forgets it. Returns: 0, or -1 with an exception set. May
   run Python code: yes. */
static int
finish_background(Request *request)
{
    uint64_t now = clock_realtime_ns();
    if (request->background == NULL && now - request->answered_at < WORTH_A_SPAN) {
        return 0;
    }
    Span *background = (Span *)request_background(request);
    if (background == NULL) {
        return -1;
    }
    if (!span_is_open(background) || !did_something(request, background, now)) {
        return 0;
    }
    PyObject *linked = NULL; /* owned */
    Py_INCREF(background);   /* what is called may make others */
    if (attributes_set(&background->attributes, str_is_background, Py_True,
                       span_limits.attributes) == 0) {
        linked = PyObject_CallMethodOneArg((PyObject *)background, str_add_link,
                                           request->span);
    }
    if (linked != NULL) {
        span_end_at(background, now);
    }
    Py_DECREF(background);
    Py_XDECREF(linked);
    return linked != NULL ? 0 : -1;
}

int
answer_finish(Answer *self)
{
    Request *request = self->request;
    Span *span = span_of(self);
    int status = 0;
    if (span_is_open(span)) { /* a websocket, a failure, an answer that was cut short */
        status = describe(self, span);
        span_end_at(span, request->answered_at != 0 ? request->answered_at
                                                    : clock_realtime_ns());
    } else if (request->runs_on) {
        status = finish_background(request);
    }
    request->runs_on = false;
    if (self->scope == NULL) { /* else there are more that hold the span */
        request_let_go(request);
    }
    return status;
}

int
answer_enter(Answer *self)
{
    Scope *scope = /* owned */
        scope_entered(scope_of_request(self->request->span, self->request->baggage));
    if (scope == NULL) {
        return -1;
    }
    Py_XSETREF(self->scope, scope);
    return 0;
}

int
answer_leave(Answer *self, PyObject *exception)
{
    int status = exception != NULL ? answer_fail(self, exception) : 0;
    PyObject *trouble = PyErr_GetRaisedException(); /* owned: the first is told */
    if (answer_finish(self) < 0) {
        status = -1;
    }
    Scope *scope = self->scope; /* owned */
    self->scope = NULL;
    if (scope != NULL && scope_leave(scope) < 0) {
        status = -1;
    }
    Py_XDECREF(scope);
    request_let_go(self->request);
    if (trouble != NULL) {
        PyErr_SetRaisedException(trouble);
    }
    return status;
}

/* ---- Methods -------------------------------------------------------------------------- */

static PyObject *
none_or_null(int status)
{
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Answer_begin(Answer *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "begin() takes a status and headers, %zd given",
                     nargs);
        return NULL;
    }
    long status = PyLong_AsLong(args[0]);
    if (status == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return none_or_null(answer_begin(self, (int)status, args[1]));
}

static PyObject *
Answer_add(Answer *self, PyObject *size)
{
    Py_ssize_t bytes = PyLong_AsSsize_t(size);
    if (bytes == -1 && PyErr_Occurred()) {
        return NULL;
    }
    answer_add(self, bytes);
    Py_RETURN_NONE;
}

static PyObject *
Answer_end(Answer *self, PyObject *unused)
{
    return none_or_null(answer_end(self));
}

static PyObject *
Answer_disconnect(Answer *self, PyObject *unused)
{
    return none_or_null(answer_disconnect(self));
}

static PyObject *
Answer_fail(Answer *self, PyObject *exception)
{
    return none_or_null(answer_fail(self, exception));
}

static PyObject *
Answer_finish(Answer *self, PyObject *unused)
{
    return none_or_null(answer_finish(self));
}

/* Takes the frame that the `with` stands in out of the traceback. Returns: 0, or -1 with an
   exception set. */
static int
step_out(PyObject *exception)
{
    PyTracebackObject *entry =
        (PyTracebackObject *)PyException_GetTraceback(exception); /* owned */
    if (entry == NULL) {
        return 0;
    }
    PyObject *next = entry->tb_next != NULL ? (PyObject *)entry->tb_next : Py_None;
    int status = PyException_SetTraceback(exception, next);
    Py_DECREF(entry);
    return status;
}

static PyObject *
Answer_enter(Answer *self, PyObject *unused)
{
    return answer_enter(self) < 0 ? NULL : Py_NewRef((PyObject *)self);
}

static PyObject *
Answer_exit(Answer *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *exception = nargs > 1 && args[1] != Py_None ? args[1] : NULL; /* borrowed */
    if (exception != NULL && step_out(exception) < 0) {
        PyErr_Clear();
    }
    return none_or_null(answer_leave(self, exception));
}

static PyObject *
get_status(Answer *self, void *unused)
{
    return self->status != 0 ? PyLong_FromLong(self->status) : Py_NewRef(Py_None);
}

static int
set_status(Answer *self, PyObject *value, void *unused)
{
    long status = value != NULL ? PyLong_AsLong(value) : 0;
    if (status == -1 && PyErr_Occurred()) {
        return -1;
    }
    self->status = (int)status;
    return 0;
}

/* ---- The type ------------------------------------------------------------------------- */

Answer *
answer_make(Request *request)
{
    Answer *self = (Answer *)answer_type->tp_alloc(answer_type, 0);
    if (self != NULL) {
        self->request = (Request *)Py_NewRef((PyObject *)request);
    }
    return self;
}

static PyObject *
Answer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"request", NULL};
    PyObject *request; /* borrowed */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!:Answer", names, request_type,
                                     &request)) {
        return NULL;
    }
    if (((Request *)request)->span == NULL) {
        PyErr_SetString(PyExc_ValueError,
                        "the request has no span: start_request() begins one");
        return NULL;
    }
    return (PyObject *)answer_make((Request *)request);
}

static int
Answer_traverse(Answer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->request);
    Py_VISIT(self->scope);
    return 0;
}

static void
Answer_dealloc(Answer *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->request);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef Answer_methods[] = {
    {"begin", (PyCFunction)(void (*)(void))Answer_begin, METH_FASTCALL,
     "begin($self, status, headers, /)\n--\n\n"
     "The answer's status and headers are known."},
    {"add", (PyCFunction)Answer_add, METH_O,
     "add($self, size, /)\n--\n\nSo many bytes of the body were sent, in one piece."},
    {"disconnect", (PyCFunction)Answer_disconnect, METH_NOARGS,
     "disconnect($self, /)\n--\n\nThe client has gone away. That is no failure, and no "
     "news "
     "once all was answered."},
    {"end", (PyCFunction)Answer_end, METH_NOARGS,
     "end($self, /)\n--\n\nThe last byte was sent: the server span is over. Code of this "
     "call\nthat runs on from here is background, in a span of its own."},
    {"fail", (PyCFunction)Answer_fail, METH_O,
     "fail($self, exception, /)\n--\n\nThe application raised."},
    {"finish", (PyCFunction)Answer_finish, METH_NOARGS,
     "finish($self, /)\n--\n\nThe application is done with the request."},
    {"__enter__", (PyCFunction)Answer_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Answer_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Answer_members[] = {
    {"request", T_OBJECT_EX, offsetof(Answer, request), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Answer_getset[] = {
    {"status", (getter)get_status, (setter)set_status,
     "What is answered, once that is known.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Answer_slots[] = {
    {Py_tp_doc, "Follows the answer to one request. `with Answer(request) as answer:` "
                "stands around the "
                "one call that\nserves it, in a wrapper whose frame is taken out of the "
                "traceback of "
                "what is raised."},
    {Py_tp_new, Answer_new},
    {Py_tp_traverse, Answer_traverse},
    {Py_tp_dealloc, Answer_dealloc},
    {Py_tp_methods, Answer_methods},
    {Py_tp_getset, Answer_getset},
    {Py_tp_members, Answer_members},
    {0, NULL},
};

static PyType_Spec Answer_spec = {
    .name = "asynchooks._native.Answer",
    .basicsize = sizeof(Answer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = Answer_slots,
};

int
answers_add_type(PyObject *module)
{
    const Name names[] = {
        {&str_status_code, "http.response.status_code"},
        {&str_size, "http.response.body.size"},
        {&str_chunks, "asynchooks.response.chunks"},
        {&str_error_type, "error.type"},
        {&str_disconnected, "asynchooks.client_disconnected"},
        {&str_is_background, "asynchooks.background"},
        {&str_record_exception, "record_exception"},
        {&str_add_link, "add_link"},
    };
    if (INTERN(names) < 0) {
        return -1;
    }
    answer_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Answer_spec, NULL);
    return answer_type != NULL ? PyModule_AddType(module, answer_type) : -1;
}
