#include "span_views.h"
#include "compat.h"
#include "sites.h"

/* The Python classes that a span is seen through. Owned. */
static struct Faces {
    PyObject *
        context; /* SpanContext(trace_id, span_id, trace_flags, trace_state, is_remote) */
    PyObject *event;     /* Event(name, timestamp, attributes) */
    PyObject *link;      /* Link(context, attributes) */
    PyObject *kinds;     /* tuple: SpanKind by number */
    PyObject *statuses;  /* tuple: StatusCode by number */
    PyObject *exception; /* from an exception to (type, message, attributes) */
} faces;

PyObject *
spans_set_faces(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"context",  "event",     "link", "kinds",
                            "statuses", "exception", "site", NULL};
    struct Faces found; /* borrowed */
    PyObject *site;     /* borrowed */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$O!O!O!O!O!OO:set_span_faces", names,
                                     &PyType_Type, &found.context, &PyType_Type,
                                     &found.event, &PyType_Type, &found.link,
                                     &PyTuple_Type, &found.kinds, &PyTuple_Type,
                                     &found.statuses, &found.exception, &site)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(found.kinds) != SPAN_KIND_COUNT ||
        PyTuple_GET_SIZE(found.statuses) != STATUS_COUNT) {
        PyErr_SetString(PyExc_ValueError, "set_span_faces() got the wrong enumerations");
        return NULL;
    }
    Py_XSETREF(faces.context, Py_NewRef(found.context));
    Py_XSETREF(faces.event, Py_NewRef(found.event));
    Py_XSETREF(faces.link, Py_NewRef(found.link));
    Py_XSETREF(faces.kinds, Py_NewRef(found.kinds));
    Py_XSETREF(faces.statuses, Py_NewRef(found.statuses));
    Py_XSETREF(faces.exception, Py_NewRef(found.exception));
    sites_set_describer(site);
    Py_RETURN_NONE;
}

/* Returns: whether tracing's Python part has been imported; else with an exception set. */
static bool
have_faces(void)
{
    if (faces.context == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the core knows no span classes yet; import asynchooks.tracing");
    }
    return faces.context != NULL;
}

/* ---- Identities ---------------------------------------------------------------------- */

PyObject *
span_view_trace_id(const Identity *identity)
{
    PyObject *result = NULL;
    /* Owned. */
    PyObject *high = PyLong_FromUnsignedLongLong(identity->trace_high);
    PyObject *low = PyLong_FromUnsignedLongLong(identity->trace_low);
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = NULL;
    if (high != NULL && low != NULL && bits != NULL) {
        shifted = PyNumber_Lshift(high, bits);
    }
    if (shifted != NULL) {
        result = PyNumber_Or(shifted, low);
    }
    Py_XDECREF(shifted);
    Py_XDECREF(bits);
    Py_XDECREF(low);
    Py_XDECREF(high);
    return result;
}

/* Returns: a SpanContext, new, or NULL with an exception set. */
static PyObject *
context_of(const Identity *identity)
{
    if (!have_faces()) {
        return NULL;
    }
    PyObject *trace_id = span_view_trace_id(identity); /* owned */
    if (trace_id == NULL) {
        return NULL;
    }
    PyObject *trace_state = identity->trace_state != NULL
                                ? Py_NewRef(identity->trace_state)
                                : PyUnicode_FromString(""); /* owned */
    PyObject *result = NULL;
    if (trace_state != NULL) {
        result = PyObject_CallFunction(
            faces.context, "OKiOO", trace_id, (unsigned long long)identity->span_id,
            identity->flags, trace_state, identity->is_remote ? Py_True : Py_False);
    }
    Py_XDECREF(trace_state);
    Py_DECREF(trace_id);
    return result;
}

/* The two halves of a 128-bit number. Returns: 0, or -1 with an exception set. */
static int
read_trace_id(PyObject *number, Identity *identity)
{
    int status = -1;
    /* Owned. */
    PyObject *bits = PyLong_FromLong(64);
    PyObject *shifted = bits != NULL ? PyNumber_Rshift(number, bits) : NULL;
    if (shifted != NULL) {
        identity->trace_high = PyLong_AsUnsignedLongLong(shifted);
        if (!PyErr_Occurred()) {
            identity->trace_low = PyLong_AsUnsignedLongLongMask(number);
            status = PyErr_Occurred() ? -1 : 0;
        }
    }
    Py_XDECREF(shifted);
    Py_XDECREF(bits);
    return status;
}

int
span_view_identity(PyObject *context, Identity *identity)
{
    if (!have_faces()) {
        return -1;
    }
    if (!PyObject_TypeCheck(context, (PyTypeObject *)faces.context) ||
        !PyTuple_Check(context) || PyTuple_GET_SIZE(context) != 5) {
        PyErr_Format(PyExc_TypeError, "expected a SpanContext or a Span, got %R",
                     context);
        return -1;
    }
    if (read_trace_id(PyTuple_GET_ITEM(context, 0), identity) < 0) {
        return -1;
    }
    identity->span_id = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(context, 1));
    if (PyErr_Occurred()) {
        return -1;
    }
    long flags = PyLong_AsLong(PyTuple_GET_ITEM(context, 2));
    if (flags == -1 && PyErr_Occurred()) {
        return -1;
    }
    int is_remote = PyObject_IsTrue(PyTuple_GET_ITEM(context, 4));
    if (is_remote < 0) {
        return -1;
    }
    identity->flags = (uint8_t)(flags & 0xFF);
    identity->is_remote = is_remote;
    PyObject *trace_state = text_of(PyTuple_GET_ITEM(context, 3)); /* owned */
    if (trace_state == NULL) {
        return -1;
    }
    if (PyUnicode_GET_LENGTH(trace_state) > 0) {
        identity->trace_state = trace_state;
    } else {
        Py_DECREF(trace_state);
    }
    return 0;
}

/* ---- Exceptions ---------------------------------------------------------------------- */

PyObject *
span_view_exception(PyObject *exception)
{
    if (!have_faces()) {
        return NULL;
    }
    PyObject *described = PyObject_CallOneArg(faces.exception, exception);
    if (described != NULL &&
        !(PyTuple_Check(described) && PyTuple_GET_SIZE(described) == 3 &&
          PyDict_Check(PyTuple_GET_ITEM(described, 2)))) {
        PyErr_Format(PyExc_TypeError, "%R describes no exception", described);
        Py_CLEAR(described);
    }
    return described;
}

/* ---- What may be asked of a span ------------------------------------------------------ */

static PyObject *
get_name(Span *self, void *unused)
{
    return Py_NewRef(self->name);
}

PyObject *
span_view_kind(Span *self, void *unused)
{
    return have_faces() ? Py_NewRef(PyTuple_GET_ITEM(faces.kinds, self->kind)) : NULL;
}

static PyObject *
get_context(Span *self, void *unused)
{
    if (self->context == NULL) {
        PyObject *context = context_of(&self->identity); /* owned */
        if (context == NULL) {
            return NULL;
        }
        Py_XSETREF(self->context, context);
    }
    return Py_NewRef(self->context);
}

PyObject *
span_view_parent(Span *self, void *unused)
{
    if (self->parent_id == 0) {
        Py_RETURN_NONE;
    }
    Identity parent = self->identity; /* borrows its trace_state */
    parent.span_id = self->parent_id;
    parent.flags = self->parent_flags;
    parent.is_remote = self->parent_is_remote;
    return context_of(&parent);
}

static PyObject *
get_request(Span *self, void *unused)
{
    return Py_NewRef(self->request != NULL ? self->request : Py_None);
}

static PyObject *
get_start_time(Span *self, void *unused)
{
    return PyLong_FromUnsignedLongLong(self->start_time);
}

static PyObject *
get_end_time(Span *self, void *unused)
{
    return self->has_ended ? PyLong_FromUnsignedLongLong(self->end_time)
                           : Py_NewRef(Py_None);
}

static PyObject *
get_attributes(Span *self, void *unused)
{
    return attributes_as_dict(&self->attributes);
}

/* Allocating may run a finalizer, which may add another and so move all of them: what is read of
   one is held or copied first. What a copy of its attributes points to stays. */
static PyObject *
get_events(Span *self, void *unused)
{
    PyObject *list = have_faces() ? PyList_New(0) : NULL;
    for (uint32_t i = 0; list != NULL && i < self->event_count; i++) {
        /* Owned. */
        PyObject *name = Py_NewRef(self->events[i].name);
        unsigned long long timestamp = self->events[i].timestamp;
        Attributes held = self->events[i].attributes; /* borrowed */
        PyObject *attributes = attributes_as_dict(&held);
        PyObject *event = NULL;
        if (attributes != NULL) {
            event =
                PyObject_CallFunction(faces.event, "OKO", name, timestamp, attributes);
        }
        if (event == NULL || PyList_Append(list, event) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(event);
        Py_XDECREF(attributes);
        Py_DECREF(name);
    }
    return list;
}

static PyObject *
get_links(Span *self, void *unused)
{
    PyObject *list = have_faces() ? PyList_New(0) : NULL;
    for (uint32_t i = 0; list != NULL && i < self->link_count; i++) {
        /* Owned. */
        Identity identity = self->links[i].identity;
        Py_XINCREF(identity.trace_state);
        Attributes held = self->links[i].attributes; /* borrowed */
        PyObject *attributes = attributes_as_dict(&held);
        PyObject *context = attributes != NULL ? context_of(&identity) : NULL;
        PyObject *link = NULL;
        if (context != NULL) {
            link = PyObject_CallFunctionObjArgs(faces.link, context, attributes, NULL);
        }
        if (link == NULL || PyList_Append(list, link) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(link);
        Py_XDECREF(context);
        Py_XDECREF(identity.trace_state);
        Py_XDECREF(attributes);
    }
    return list;
}

static PyObject *
get_dropped_attributes(Span *self, void *unused)
{
    return PyLong_FromUnsignedLong(self->attributes.dropped);
}

static PyObject *
get_dropped_events(Span *self, void *unused)
{
    return PyLong_FromUnsignedLong(self->dropped_events);
}

static PyObject *
get_dropped_links(Span *self, void *unused)
{
    return PyLong_FromUnsignedLong(self->dropped_links);
}

static PyObject *
get_status_code(Span *self, void *unused)
{
    return have_faces() ? Py_NewRef(PyTuple_GET_ITEM(faces.statuses, self->status_code))
                        : NULL;
}

static PyObject *
get_status_description(Span *self, void *unused)
{
    return self->status_description != NULL ? Py_NewRef(self->status_description)
                                            : PyUnicode_FromString("");
}

static PyObject *
get_call_site(Span *self, void *unused)
{
    return site_describe(self->site);
}

static PyObject *
get_scope(Span *self, void *unused)
{
    return Py_NewRef(self->scope != NULL ? self->scope : Py_None);
}

PyGetSetDef span_view_getset[] = {
    {"name", (getter)get_name, NULL, "What was done.", NULL},
    {"kind", (getter)span_view_kind, NULL, "Which side of a call it is.", NULL},
    {"context", (getter)get_context, NULL, "What identifies it.", NULL},
    {"parent", (getter)span_view_parent, NULL, "What identifies its parent, or None.",
     NULL},
    {"request", (getter)get_request, NULL, "The request that it belongs to, or None.",
     NULL},
    {"start_time", (getter)get_start_time, NULL,
     "In ns since the epoch; 0 of a span that is not sampled.", NULL},
    {"end_time", (getter)get_end_time, NULL,
     "In ns since the epoch, or None while it is open.", NULL},
    {"attributes", (getter)get_attributes, NULL,
     "As they are now, in a dict of your own.", NULL},
    {"events", (getter)get_events, NULL, "As they are now, in a list of your own.", NULL},
    {"links", (getter)get_links, NULL, "As they are now, in a list of your own.", NULL},
    {"dropped_attributes", (getter)get_dropped_attributes, NULL,
     "How many were beyond the limit, or cannot be sent.", NULL},
    {"dropped_events", (getter)get_dropped_events, NULL,
     "How many were beyond the limit.", NULL},
    {"dropped_links", (getter)get_dropped_links, NULL, "How many were beyond the limit.",
     NULL},
    {"status_code", (getter)get_status_code, NULL, "How it went.", NULL},
    {"status_description", (getter)get_status_description, NULL,
     "Why it failed, or an empty str.", NULL},
    {"call_site", (getter)get_call_site, NULL,
     "(code, line, callers) of the user's code that started it, or None.", NULL},
    {"scope", (getter)get_scope, NULL,
     "What started it, as encode_scope() writes it; None: asynchooks.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyObject *
span_view_repr(Span *self)
{
    char id[17];
    (void)PyOS_snprintf(id, sizeof(id), "%016llx",
                        (unsigned long long)self->identity.span_id);
    return PyUnicode_FromFormat("<Span %R %s %s>", self->name, id,
                                self->has_ended ? "ended" : "open");
}
