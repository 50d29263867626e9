#include "spans.h"
#include "arguments.h"
#include "clock.h"
#include "compat.h"
#include "free_list.h"
#include "random_ids.h"
#include "requests.h"
#include "sites.h"
#include "span_export.h"
#include "span_recording.h"
#include "span_views.h"

#include <stddef.h>
#include <string.h>

PyTypeObject *span_type = NULL;

static FreeList free_spans;

/* Owned, or NULL. */
static PyObject *sampler = NULL;
static PyObject *sink = NULL;
static PyObject *gate = NULL;
static bool sampler_decides_children = false;

/* ---- Beginning ---------------------------------------------------------------------- */

static void
inherit(Span *self, const Identity *parent)
{
    self->identity.trace_high = parent->trace_high;
    self->identity.trace_low = parent->trace_low;
    self->identity.flags = parent->flags;
    self->identity.trace_state = Py_XNewRef(parent->trace_state);
    self->parent_id = parent->span_id;
    self->parent_flags = parent->flags;
    self->parent_is_remote = parent->is_remote;
}

/* Takes what the sampler says: whether, or (whether, attributes, trace_state).
   Returns: 0, or -1 with an exception set. */
static int
take_decision(Span *self, PyObject *decision)
{
    PyObject *trace_state = NULL; /* borrowed */
    if (PyTuple_Check(decision) && PyTuple_GET_SIZE(decision) == 3) {
        trace_state = PyTuple_GET_ITEM(decision, 2);
        if (attributes_update(&self->attributes, PyTuple_GET_ITEM(decision, 1),
                              span_limits.attributes) < 0) {
            return -1;
        }
        decision = PyTuple_GET_ITEM(decision, 0);
    }
    int is_sampled = PyObject_IsTrue(decision);
    if (is_sampled < 0) {
        return -1;
    }
    if (is_given(trace_state)) {
        PyObject *text = text_of(trace_state); /* owned */
        if (text == NULL) {
            return -1;
        }
        Py_XSETREF(self->identity.trace_state, text);
    }
    self->is_sampled = is_sampled;
    self->identity.flags = (uint8_t)((self->identity.flags & ~TRACE_FLAG_SAMPLED) |
                                     (is_sampled ? TRACE_FLAG_SAMPLED : 0));
    return 0;
}

/* Asks sampler(name, kind, parent, trace_id, attributes). One that fails is reported, and all is
   sampled. Returns: 0, or -1 with an exception set, which is no Exception. May run Python code:
   yes. */
static int
ask_sampler(Span *self, const SpanOptions *options)
{
    int status = -1;
    /* Owned. */
    PyObject *asked = Py_NewRef(sampler);
    PyObject *decision = NULL;
    PyObject *kind = span_view_kind(self, NULL);
    PyObject *parent = span_view_parent(self, NULL);
    PyObject *trace_id = span_view_trace_id(&self->identity);
    if (kind != NULL && parent != NULL && trace_id != NULL) {
        PyObject *attributes =
            is_given(options->attributes) ? options->attributes : Py_None;
        PyObject *arguments[] = {self->name, kind, parent, trace_id, attributes};
        decision = PyObject_Vectorcall(asked, arguments, 5, NULL);
    }
    if (decision != NULL) {
        status = take_decision(self, decision);
    }
    if (status < 0 && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_WriteUnraisable(asked);
        status = 0;
    }
    Py_XDECREF(trace_id);
    Py_XDECREF(parent);
    Py_XDECREF(kind);
    Py_XDECREF(decision);
    Py_DECREF(asked);
    return status;
}

/* Its identity: the parent's trace, or a new one. Returns: 0, or -1 with an exception set. */
static int
identify(Span *self, const SpanOptions *options)
{
    bool is_child = is_given(options->parent);
    if (is_given(options->context)) {
        if (span_view_identity(options->context, &self->identity) < 0) {
            return -1;
        }
        self->is_sampled = self->identity.flags & TRACE_FLAG_SAMPLED;
        self->is_foreign = self->has_ended = true;
        return 0;
    }
    if (!is_child) {
        self->identity.trace_high = random_id();
        self->identity.trace_low = random_id();
        self->identity.flags = TRACE_FLAG_SAMPLED;
    } else if (span_check(options->parent)) {
        inherit(self, &((Span *)options->parent)->identity);
    } else {
        Identity parent = {0}; /* owns its trace_state */
        if (span_view_identity(options->parent, &parent) < 0) {
            return -1;
        }
        inherit(self, &parent);
        Py_XDECREF(parent.trace_state);
    }
    self->identity.span_id = random_id();
    if (options->is_suppressed) {
        self->identity.flags &= (uint8_t)~TRACE_FLAG_SAMPLED;
    }
    self->is_sampled = self->identity.flags & TRACE_FLAG_SAMPLED;
    if (sampler != NULL && !options->is_suppressed &&
        (!is_child || self->parent_is_remote || sampler_decides_children)) {
        return ask_sampler(self, options);
    }
    return 0;
}

bool
span_has_unsampled_children(const Span *self)
{
    bool is_asked =
        sampler != NULL && (self->identity.is_remote || sampler_decides_children);
    return !self->is_sampled && !is_asked;
}

/* Returns: a span without a name, tracked by the garbage collector, new, or NULL with an
   exception set. */
static Span *
allocate(PyTypeObject *type)
{
    if (type != span_type) {
        return (Span *)type->tp_alloc(type, 0);
    }
    Span *self = (Span *)free_list_take(&free_spans, type);
    if (self != NULL) {
        memset((char *)self + sizeof(PyObject), 0, sizeof(Span) - sizeof(PyObject));
        PyObject_GC_Track(self);
    }
    return self;
}

/* Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
describe(Span *self, const SpanOptions *options)
{
    if (options->described != NULL && self->attributes.count == 0) {
        attributes_share(&self->attributes, options->described, options->description);
        return 0;
    }
    return attributes_update(&self->attributes, options->attributes,
                             span_limits.attributes);
}

PyObject *
span_begin(PyTypeObject *type, PyObject *name, const SpanOptions *options)
{
    Span *self = allocate(type);
    if (self == NULL) {
        return NULL;
    }
    self->kind = SPAN_KIND_INTERNAL;
    self->name = text_of(name);
    if (self->name == NULL) {
        goto error;
    }
    if (is_given(options->kind)) {
        int kind = span_number_of(options->kind, SPAN_KIND_COUNT, "SpanKind");
        if (kind < 0) {
            goto error;
        }
        self->kind = (uint8_t)kind;
    }
    if (is_given(options->request)) {
        if (!request_check(options->request)) {
            PyErr_Format(PyExc_TypeError, "expected a Request, got %R", options->request);
            goto error;
        }
        self->request = Py_NewRef(options->request);
    }
    if (identify(self, options) < 0) {
        goto error;
    }
    if (is_given(options->context)) {
        return (PyObject *)self;
    }
    if (!self->is_sampled) {
        if (is_given(options->start_time) &&
            span_time_of(options->start_time, &self->start_time) < 0) {
            goto error;
        }
        return (PyObject *)self;
    }
    if (is_given(options->scope)) {
        if (!PyBytes_CheckExact(options->scope)) {
            PyErr_Format(PyExc_TypeError, "%R is no scope of encode_scope()",
                         options->scope);
            goto error;
        }
        self->scope = Py_NewRef(options->scope);
    }
    if (options->wants_site) {
        self->site = site_with_callers_here();
    }
    if (span_time_of(options->start_time, &self->start_time) < 0 ||
        describe(self, options) < 0) {
        goto error;
    }
    return (PyObject *)self;
error:
    Py_DECREF(self);
    return NULL;
}

static Signature constructor = {
    .function = "Span",
    .required = 1,
    .positional = 1,
    .count = 9,
    .names = {"name", "kind", "parent", "request", "attributes", "start_time",
              "call_site", "scope", "context"},
};

static PyObject *
begin_with(PyTypeObject *type, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&constructor, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    int wants_site = values[6] != NULL ? PyObject_IsTrue(values[6]) : 0;
    if (wants_site < 0) {
        return NULL;
    }
    SpanOptions options = {
        .kind = values[1],
        .parent = values[2],
        .request = values[3],
        .attributes = values[4],
        .start_time = values[5],
        .wants_site = wants_site,
        .scope = values[7],
        .context = values[8],
    };
    return span_begin(type, values[0], &options);
}

static PyObject *
Span_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return begin_with((PyTypeObject *)type, args, PyVectorcall_NARGS(nargsf), kwnames);
}

/* For subclasses. */
static PyObject *
Span_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *all[1 + MAXIMUM_PARAMETERS]; /* borrowed */
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    Py_ssize_t nkwargs = kwargs != NULL ? PyDict_GET_SIZE(kwargs) : 0;
    if (nargs > 1 || nkwargs > MAXIMUM_PARAMETERS) {
        PyErr_SetString(PyExc_TypeError, "Span() takes a name and keyword arguments");
        return NULL;
    }
    PyObject *kwnames = PyTuple_New(nkwargs); /* owned */
    if (kwnames == NULL) {
        return NULL;
    }
    if (nargs > 0) {
        all[0] = PyTuple_GET_ITEM(args, 0);
    }
    PyObject *key; /* borrowed */
    Py_ssize_t position = 0;
    for (Py_ssize_t k = 0; k < nkwargs; k++) {
        (void)PyDict_Next(kwargs, &position, &key, &all[nargs + k]);
        PyTuple_SET_ITEM(kwnames, k, Py_NewRef(key));
    }
    PyObject *self = begin_with(type, all, nargs, kwnames);
    Py_DECREF(kwnames);
    return self;
}

/* ---- Its life ----------------------------------------------------------------------- */

static int
Span_traverse(Span *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    if (!self->borrows_request) {
        Py_VISIT(self->request);
    }
    Py_VISIT(self->context);
    return 0;
}

static int
Span_clear(Span *self)
{
    if (self->borrows_request) {
        self->request = NULL;
    }
    Py_CLEAR(self->request);
    Py_CLEAR(self->context);
    return 0;
}

static void
clear_events(Span *self)
{
    SpanEvent *events = self->events;
    uint32_t count = self->event_count;
    self->events = NULL;
    self->event_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        Py_DECREF(events[i].name);
        attributes_clear(&events[i].attributes);
    }
    PyMem_Free(events);
}

static void
clear_links(Span *self)
{
    SpanLink *links = self->links;
    uint32_t count = self->link_count;
    self->links = NULL;
    self->link_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        Py_XDECREF(links[i].identity.trace_state);
        attributes_clear(&links[i].attributes);
    }
    PyMem_Free(links);
}

static void
Span_dealloc(Span *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Span_clear(self);
    attributes_clear(&self->attributes);
    if (self->events != NULL) {
        clear_events(self);
    }
    if (self->links != NULL) {
        clear_links(self);
    }
    Py_CLEAR(self->name);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->status_description);
    Py_CLEAR(self->identity.trace_state);
    if (type == span_type) {
        free_list_put(&free_spans, (PyObject *)self);
    } else {
        type->tp_free(self);
        Py_DECREF(type);
    }
}

/* What it raises is reported. Sets no exception. May run Python code: yes. */
static void
tell(PyObject *function, Span *self)
{
    PyObject *told = Py_NewRef(function);
    PyObject *result = PyObject_CallOneArg(told, (PyObject *)self);
    if (result == NULL) {
        PyErr_WriteUnraisable(told);
    }
    Py_XDECREF(result);
    Py_DECREF(told);
}

/* Tells those that keep spans. Trouble of theirs is reported, and nobody else's. */
static void
tell_end(Span *self)
{
    if (self->request != NULL) {
        request_add_span((Request *)self->request, (PyObject *)self);
    }
    if (gate != NULL) {
        tell(gate, self);
    } else {
        span_export(self);
    }
    if (sink != NULL) {
        tell(sink, self);
    }
}

void
span_end_at(Span *self, uint64_t time)
{
    self->has_ended = true;
    self->end_time = time;
    tell_end(self);
}

static Signature end_signature = {
    .function = "end", .positional = 1, .count = 1, .names = {"end_time"}};

static PyObject *
span_end(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *end_time; /* borrowed */
    uint64_t time;
    if (!self->is_sampled) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&end_signature, args, nargs, kwnames, &end_time) < 0) {
        return NULL;
    }
    if (!self->has_ended) {
        if (span_time_of(end_time, &time) < 0) {
            return NULL;
        }
        span_end_at(self, time);
    }
    Py_RETURN_NONE;
}

/* ---- The type ------------------------------------------------------------------------ */

#define METHOD(name, flags) #name, (PyCFunction)(void (*)(void))span_##name, flags
#define FASTCALL METH_FASTCALL | METH_KEYWORDS

static PyMethodDef Span_methods[] = {
    {METHOD(is_recording, METH_NOARGS), "is_recording($self, /)\n--\n\n"
                                        "Whether what is set still is recorded: until "
                                        "the span ends, and never of one that is "
                                        "not sampled."},
    {METHOD(set_attribute, FASTCALL),
     "set_attribute($self, key, value)\n--\n\n"
     "Set one attribute. A str longer than 16 KiB is cut; the 129th key is counted as "
     "dropped.\nNothing happens after the end."},
    {METHOD(set_attributes, METH_O),
     "set_attributes($self, attributes, /)\n--\n\nSet several attributes."},
    {METHOD(add_event, FASTCALL),
     "add_event($self, name, attributes=None, timestamp=None)\n--\n\n"
     "Record that something happened, at `timestamp` (ns since the epoch) or now.\n\n"
     "After the end, when the span may have been sent already, the event comes as a "
     "child "
     "span\nof no length, so that it is not lost."},
    {METHOD(add_link, FASTCALL), "add_link($self, context, attributes=None)\n--\n\n"
                                 "Relate this span to another that is not its parent."},
    {METHOD(record_exception, FASTCALL),
     "record_exception($self, exception, attributes=None, timestamp=None)\n--\n\n"
     "Record `exception` as the reason why this span failed."},
    {METHOD(set_status, FASTCALL),
     "set_status($self, code, description=None)\n--\n\n"
     "Say how the span went. OK is final; only an ERROR has a description."},
    {METHOD(update_name, METH_O),
     "update_name($self, name, /)\n--\n\nGive the span another name."},
    {METHOD(end, FASTCALL), "end($self, end_time=None)\n--\n\n"
                            "End the span now, or at `end_time` (ns since the epoch), "
                            "and hand it to the exporter.\n"
                            "Only the first call does."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Span_slots[] = {
    {Py_tp_doc, "One span. Made by `start_span`; any thread may use it, one at a time."},
    {Py_tp_new, Span_new},
    {Py_tp_traverse, Span_traverse},
    {Py_tp_clear, Span_clear},
    {Py_tp_dealloc, Span_dealloc},
    {Py_tp_repr, span_view_repr},
    {Py_tp_methods, Span_methods},
    {Py_tp_getset, span_view_getset},
    {0, NULL},
};

static PyType_Spec Span_spec = {
    .name = "asynchooks._native.Span",
    .basicsize = sizeof(Span),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Span_slots,
};

PyObject *
spans_set_sampler(PyObject *module, PyObject *args)
{
    PyObject *function; /* borrowed */
    int decides_children = 0;
    if (!PyArg_ParseTuple(args, "O|p:set_sampler", &function, &decides_children)) {
        return NULL;
    }
    sampler_decides_children = decides_children;
    Py_XSETREF(sampler, function != Py_None ? Py_NewRef(function) : NULL);
    Py_RETURN_NONE;
}

PyObject *
spans_set_sink(PyObject *module, PyObject *function)
{
    Py_XSETREF(sink, function != Py_None ? Py_NewRef(function) : NULL);
    Py_RETURN_NONE;
}

PyObject *
spans_set_gate(PyObject *module, PyObject *function)
{
    Py_XSETREF(gate, function != Py_None ? Py_NewRef(function) : NULL);
    Py_RETURN_NONE;
}

PyObject *
spans_release(PyObject *module, PyObject *span)
{
    if (!span_check(span)) {
        PyErr_Format(PyExc_TypeError, "expected a Span, got %R", span);
        return NULL;
    }
    span_export((Span *)span);
    Py_RETURN_NONE;
}

PyObject *
spans_set_limits(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {
        "attributes",      "events",         "links",        "event_attributes",
        "link_attributes", "log_attributes", "value_length", NULL};
    SpanLimits limits = span_limits;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$IIIIIIn:set_span_limits", names,
                                     &limits.attributes, &limits.events, &limits.links,
                                     &limits.event_attributes, &limits.link_attributes,
                                     &limits.log_attributes, &limits.value_length)) {
        return NULL;
    }
    if (limits.value_length < 0) {
        PyErr_SetString(PyExc_ValueError, "`value_length` is negative");
        return NULL;
    }
    span_limits = limits;
    Py_RETURN_NONE;
}

int
spans_add_type(PyObject *module)
{
    span_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Span_spec, NULL);
    if (span_type == NULL || span_recording_prepare() < 0) {
        return -1;
    }
    span_type->tp_vectorcall = Span_vectorcall;
    return PyModule_AddType(module, span_type);
}
