#include "requests.h"
#include "arguments.h"
#include "clock.h"
#include "compat.h"
#include "request_names.h"
#include "roots.h"
#include "scopes.h"
#include "span_recording.h"

#include <stddef.h>
#include <structmember.h>

#define FIRST_CAPACITY 4
/* So many a server span has in the end. */
#define USUAL_ATTRIBUTES 16

PyTypeObject *request_type = NULL;

/* Owned: what is made; a subclass of request_type. */
static PyTypeObject *request_class = NULL;
/* Owned. */
static PyObject *deque_type = NULL;
static PyObject *no_baggage = NULL;
static PyObject *str_request_id = NULL;
static PyObject *str_route = NULL;
static PyObject *str_user = NULL;
static PyObject *str_background = NULL;
static PyObject *server_kind = NULL;

/* Borrowed: the last that was made, and through it all that live. */
static Request *newest = NULL;

static void drop_span(Request *self, PyObject *object);

/* ---- The spans that it keeps ---------------------------------------------------------- */

void
request_add_span(Request *self, PyObject *span)
{
    if (self->span_count == MAXIMUM_KEPT_SPANS) {
        PyObject *dropped = self->spans[self->oldest_span]; /* owned */
        self->spans[self->oldest_span] = Py_NewRef(span);
        self->oldest_span = (self->oldest_span + 1) % MAXIMUM_KEPT_SPANS;
        drop_span(self, dropped);
        return;
    }
    if (self->span_count == self->span_capacity) {
        uint32_t capacity =
            self->span_capacity > 0 ? self->span_capacity * 2 : FIRST_CAPACITY;
        if (capacity > MAXIMUM_KEPT_SPANS) {
            capacity = MAXIMUM_KEPT_SPANS;
        }
        PyObject **spans = PyMem_Realloc(self->spans, capacity * sizeof(PyObject *));
        if (spans == NULL) {
            return;
        }
        self->spans = spans;
        self->span_capacity = capacity;
    }
    self->spans[self->span_count++] = Py_NewRef(span);
}

bool
request_has_child(const Request *self, uint64_t parent_id)
{
    for (uint32_t i = 0; i < self->span_count; i++) {
        if (((Span *)self->spans[i])->parent_id == parent_id) {
            return true;
        }
    }
    return false;
}

/* ---- Its end --------------------------------------------------------------------------- */

/* `held` is how often the request holds the span, beside the buffer that it may wait in. */
static void
let_go_of(Request *self, PyObject *object, Py_ssize_t held)
{
    Span *span = (Span *)object;
    if (Py_REFCNT(span) == held + span->is_unwritten && !span->borrows_request &&
        span->request == (PyObject *)self) {
        span->borrows_request = true;
        Py_DECREF(self); /* not the last: the caller's */
    }
}

void
request_let_go(Request *self)
{
    PyObject *own[] = {self->span, self->background};
    Py_ssize_t held[] = {1, 1};
    for (uint32_t i = 0; i < self->span_count; i++) {
        if (self->spans[i] == own[0]) {
            held[0]++;
        } else if (self->spans[i] == own[1]) {
            held[1]++;
        } else {
            let_go_of(self, self->spans[i], 1);
        }
    }
    for (int i = 0; i < 2; i++) {
        if (own[i] != NULL) {
            let_go_of(self, own[i], held[i]);
        }
    }
}

/* A span that somebody has taken from the request lives on without it. Steals: span, or NULL. May
   run Python code: yes. */
static void
drop_span(Request *self, PyObject *object)
{
    Span *span = (Span *)object;
    if (span != NULL && span->borrows_request && span->request == (PyObject *)self) {
        span->request = NULL;
        span->borrows_request = false;
    }
    Py_XDECREF(object);
}

static PyObject *
get_spans(Request *self, void *unused)
{
    PyObject *spans = PyTuple_New(self->span_count);
    if (spans == NULL) {
        return NULL;
    }
    /* To make the tuple may have run a finalizer, which ended one more. */
    for (uint32_t i = 0; i < (uint32_t)PyTuple_GET_SIZE(spans); i++) {
        uint32_t place = (self->oldest_span + i) % self->span_count;
        PyTuple_SET_ITEM(spans, i, Py_NewRef(self->spans[place]));
    }
    return spans;
}

/* ---- Beginning ------------------------------------------------------------------------ */

static void
list_add(Request *self)
{
    self->previous = newest;
    self->next = NULL;
    if (newest != NULL) {
        newest->next = self;
    }
    newest = self;
}

static void
list_remove(Request *self)
{
    if (self->next != NULL) {
        self->next->previous = self->previous;
    } else if (newest == self) {
        newest = self->previous;
    }
    if (self->previous != NULL) {
        self->previous->next = self->next;
    }
}

/* Returns: new, without a span, or NULL with an exception set. */
static Request *
make(PyTypeObject *type, PyObject *id, PyObject *method, PyObject *path, uint64_t root)
{
    Request *self = (Request *)type->tp_alloc(type, 0); /* owned */
    if (self == NULL) {
        return NULL;
    }
    list_add(self);
    self->root = root;
    self->id = text_of(id);
    self->method = self->id != NULL ? text_of(method) : NULL;
    self->path = self->method != NULL ? text_of(path) : NULL;
    if (self->path == NULL) {
        Py_CLEAR(self);
    }
    return self;
}

static PyObject *
Request_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"request_id", "method", "path", "root_async_id", NULL};
    PyObject *id, *method, *path; /* borrowed */
    unsigned long long root;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UUUK:Request", names, &id, &method,
                                     &path, &root)) {
        return NULL;
    }
    return (PyObject *)make(type, id, method, path, root);
}

Request *
request_begin(const RequestOptions *options)
{
    PyTypeObject *class = request_class != NULL ? request_class : request_type;
    Request *self = /* owned */
        make(class, options->id, options->method, options->path, root_begin());
    if (self == NULL) {
        return NULL;
    }
    self->baggage = Py_XNewRef(options->baggage);
    SpanOptions span = {
        .kind = is_given(options->kind) ? options->kind : server_kind,
        .parent = options->parent,
        .request = (PyObject *)self,
        .attributes = options->attributes,
    };
    self->span = span_begin(span_type, self->method, &span);
    if (self->span == NULL) {
        goto error;
    }
    Span *begun = (Span *)self->span; /* borrowed */
    if (!begun->is_sampled) {         /* a request has a time all the same */
        begun->start_time = clock_realtime_ns();
    } else if (attributes_reserve(&begun->attributes, USUAL_ATTRIBUTES) < 0 ||
               attributes_set(&begun->attributes, str_request_id, self->id,
                              span_limits.attributes) < 0) {
        goto error;
    }
    return self;
error:
    Py_DECREF(self);
    return NULL;
}

static Signature start_signature = {
    .function = "start_request",
    .required = 3,
    .positional = 0,
    .count = 7,
    .names = {"request_id", "method", "path", "parent", "baggage", "attributes", "kind"},
};

PyObject *
requests_start(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    PyObject *values[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&start_signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    RequestOptions options = {
        .id = values[0],
        .method = values[1],
        .path = values[2],
        .parent = values[3],
        .baggage = values[4],
        .attributes = values[5],
        .kind = values[6],
    };
    return (PyObject *)request_begin(&options);
}

PyObject *
requests_use(PyObject *module, PyObject *object)
{
    if (!request_check(object)) {
        PyErr_Format(PyExc_TypeError, "expected a Request, got %R", object);
        return NULL;
    }
    Request *request = (Request *)object;
    return (PyObject *)scope_of_request(request->span, request->baggage);
}

PyObject *
requests_of_root(PyObject *module, PyObject *root)
{
    uint64_t id = PyLong_AsUnsignedLongLong(root);
    if (id == UINT64_MAX && PyErr_Occurred()) {
        return NULL;
    }
    for (Request *request = newest; request != NULL; request = request->previous) {
        if (request->root == id) {
            return Py_NewRef((PyObject *)request);
        }
    }
    Py_RETURN_NONE;
}

PyObject *
requests_set_class(PyObject *module, PyObject *class)
{
    if (!PyType_Check(class) || !PyType_IsSubtype((PyTypeObject *)class, request_type)) {
        PyErr_Format(PyExc_TypeError, "expected a subclass of Request, got %R", class);
        return NULL;
    }
    Py_XSETREF(request_class, (PyTypeObject *)Py_NewRef(class));
    Py_RETURN_NONE;
}

PyObject *
request_background(Request *self)
{
    if (self->background == NULL) {
        SpanOptions options = {.parent = self->span, .request = (PyObject *)self};
        PyObject *span = span_begin(span_type, str_background, &options); /* owned */
        if (span == NULL) {
            return NULL;
        }
        if (((Span *)span)->is_sampled) {
            ((Span *)span)->start_time = self->answered_at;
        }
        Py_XSETREF(self->background, span); /* to make it may have run a finalizer */
    }
    return self->background;
}

/* ---- The type ------------------------------------------------------------------------- */

static int
Request_traverse(Request *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->baggage);
    Py_VISIT(self->span);
    Py_VISIT(self->background);
    Py_VISIT(self->waiting);
    Py_VISIT(self->is_kept);
    for (uint32_t i = 0; i < self->span_count; i++) {
        Py_VISIT(self->spans[i]);
    }
    return 0;
}

static int
Request_clear(Request *self)
{
    PyObject **spans = self->spans;
    uint32_t count = self->span_count;
    self->spans = NULL;
    self->span_count = self->span_capacity = self->oldest_span = 0;
    for (uint32_t i = 0; i < count; i++) {
        drop_span(self, spans[i]);
    }
    PyMem_Free(spans);
    PyObject *span = self->span, *background = self->background; /* owned */
    self->span = self->background = NULL;
    drop_span(self, span);
    drop_span(self, background);
    Py_CLEAR(self->baggage);
    Py_CLEAR(self->waiting);
    Py_CLEAR(self->is_kept);
    return 0;
}

static void
Request_dealloc(Request *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    list_remove(self);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)Request_clear(self);
    Py_CLEAR(self->id);
    Py_CLEAR(self->method);
    Py_CLEAR(self->path);
    Py_CLEAR(self->route);
    Py_CLEAR(self->user);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
get_route(Request *self, void *unused)
{
    return Py_NewRef(self->route != NULL ? self->route : Py_None);
}

/* Sets an attribute of the open span. Returns: 0, or -1 with an exception set. */
static int
describe(Request *self, PyObject *key, PyObject *value)
{
    Span *span = (Span *)self->span;
    return span == NULL || !span_is_open(span)
               ? 0
               : attributes_set(&span->attributes, key, value, span_limits.attributes);
}

static int
check_text(PyObject *value, const char *what)
{
    if (value == NULL || !PyUnicode_Check(value)) {
        PyErr_Format(PyExc_TypeError, "the %s of a request is a str, got %R", what,
                     value != NULL ? value : Py_None);
        return -1;
    }
    return 0;
}

int
request_set_route(Request *self, PyObject *given)
{
    PyObject *route = text_of(given); /* owned, given away */
    if (route == NULL) {
        return -1;
    }
    Py_XSETREF(self->route, route);
    Span *span = (Span *)self->span; /* borrowed */
    if (span == NULL || !span_is_open(span)) {
        return 0;
    }
    PyObject *name = request_name(self->method, route); /* owned, given away */
    if (name == NULL) {
        return -1;
    }
    Py_SETREF(span->name, name);
    return describe(self, str_route, route);
}

static int
set_route(Request *self, PyObject *value, void *unused)
{
    return check_text(value, "route") < 0 ? -1 : request_set_route(self, value);
}

static PyObject *
get_user(Request *self, void *unused)
{
    return Py_NewRef(self->user != NULL ? self->user : Py_None);
}

static int
set_user(Request *self, PyObject *value, void *unused)
{
    if (check_text(value, "user") < 0) {
        return -1;
    }
    Py_XSETREF(self->user, Py_NewRef(value));
    return describe(self, str_user, value);
}

static PyObject *
get_span(Request *self, void *unused)
{
    if (self->span == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the request has no span yet");
        return NULL;
    }
    return Py_NewRef(self->span);
}

static int
set_span(Request *self, PyObject *value, void *unused)
{
    if (value == NULL || !span_check(value)) {
        PyErr_Format(PyExc_TypeError, "the span of a request is a Span, got %R",
                     value != NULL ? value : Py_None);
        return -1;
    }
    PyObject *replaced = self->span; /* owned */
    self->span = Py_NewRef(value);
    drop_span(self, replaced);
    return 0;
}

/* Made when it is first asked for: without tail sampling nobody does. */
static PyObject *
get_waiting(Request *self, void *unused)
{
    if (self->waiting == NULL) {
        PyObject *waiting = PyObject_CallNoArgs(deque_type); /* owned */
        if (waiting == NULL) {
            return NULL;
        }
        if (self->waiting == NULL) { /* to make it may have run a finalizer */
            self->waiting = waiting;
        } else {
            Py_DECREF(waiting);
        }
    }
    return Py_NewRef(self->waiting);
}

static PyObject *
get_baggage(Request *self, void *unused)
{
    return Py_NewRef(self->baggage != NULL ? self->baggage : no_baggage);
}

static int
set_baggage(Request *self, PyObject *value, void *unused)
{
    Py_XSETREF(self->baggage, Py_XNewRef(value));
    return 0;
}

static PyGetSetDef Request_getset[] = {
    {"span", (getter)get_span, (setter)set_span,
     "The server span. It records nothing where the request is not sampled.", NULL},
    {"route", (getter)get_route, (setter)set_route,
     "The route's template, once the framework has matched it: `/orders/{order_id}`.",
     NULL},
    {"user", (getter)get_user, (setter)set_user,
     "On whose behalf the request is; set it where you authenticate.", NULL},
    {"waiting", (getter)get_waiting, NULL,
     "Tail sampling's: what has ended, until it is decided whether it is exported.",
     NULL},
    {"baggage", (getter)get_baggage, (setter)set_baggage,
     "What the caller sent along beside the trace.", NULL},
    {"spans", (getter)get_spans, NULL,
     "The spans that have ended so far, the newest 1,000.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Request_members[] = {
    {"id", T_OBJECT, offsetof(Request, id), READONLY, NULL},
    {"method", T_OBJECT, offsetof(Request, method), READONLY, NULL},
    {"path", T_OBJECT, offsetof(Request, path), READONLY, NULL},
    {"root_async_id", T_ULONGLONG, offsetof(Request, root), READONLY, NULL},
    {"is_kept", T_OBJECT, offsetof(Request, is_kept), 0, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Request, weak_references), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Request_slots[] = {
    {Py_tp_doc, "The base of asynchooks.tracing.Request."},
    {Py_tp_new, Request_new},
    {Py_tp_traverse, Request_traverse},
    {Py_tp_clear, Request_clear},
    {Py_tp_dealloc, Request_dealloc},
    {Py_tp_getset, Request_getset},
    {Py_tp_members, Request_members},
    {0, NULL},
};

static PyType_Spec Request_spec = {
    .name = "asynchooks._native.Request",
    .basicsize = sizeof(Request),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Request_slots,
};

int
requests_add_type(PyObject *module)
{
    PyObject *collections = PyImport_ImportModule("collections"); /* owned */
    deque_type =
        collections != NULL ? PyObject_GetAttrString(collections, "deque") : NULL;
    Py_XDECREF(collections);
    PyObject *empty = deque_type != NULL ? PyDict_New() : NULL; /* owned */
    no_baggage = empty != NULL ? PyDictProxy_New(empty) : NULL;
    Py_XDECREF(empty);
    str_request_id = PyUnicode_InternFromString("asynchooks.request_id");
    str_route = PyUnicode_InternFromString("http.route");
    str_user = PyUnicode_InternFromString("enduser.id");
    str_background = PyUnicode_InternFromString("background");
    server_kind = PyLong_FromLong(SPAN_KIND_SERVER);
    request_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Request_spec, NULL);
    if (no_baggage == NULL || str_request_id == NULL || str_route == NULL ||
        str_user == NULL || str_background == NULL || server_kind == NULL ||
        request_type == NULL) {
        return -1;
    }
    return PyModule_AddType(module, request_type);
}
