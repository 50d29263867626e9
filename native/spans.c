#include "spans.h"
#include "arguments.h"
#include "clock.h"
#include "compat.h"
#include "free_list.h"
#include "random_ids.h"
#include "sites.h"
#include "span_buffer.h"
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

/* Owned. */
static PyObject *str_add_span = NULL;
static PyObject *str_exception = NULL;
static PyObject *str_error_type = NULL;
static PyObject *str_late = NULL;

/* ---- Times and numbers from Python -------------------------------------------------- */

static inline bool
is_given(PyObject *argument)
{
    return argument != NULL && argument != Py_None;
}

/* Of `argument`, or now. Returns: 0, or -1 with an exception set. */
static int
time_of(PyObject *argument, uint64_t *time)
{
    if (!is_given(argument)) {
        *time = clock_realtime_ns();
        return 0;
    }
    *time = PyLong_AsUnsignedLongLong(argument);
    return *time == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* Returns: a number below `count`, or -1 with an exception set. */
static int
number_of(PyObject *argument, int count, const char *what)
{
    long number = PyLong_AsLong(argument);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (number < 0 || number >= count) {
        PyErr_Format(PyExc_ValueError, "%R is no %s", argument, what);
        return -1;
    }
    return (int)number;
}

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
        self->has_ended = true; /* for us: nothing can be set on it */
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
        int kind = number_of(options->kind, SPAN_KIND_COUNT, "SpanKind");
        if (kind < 0) {
            goto error;
        }
        self->kind = (uint8_t)kind;
    }
    if (is_given(options->request)) {
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
            time_of(options->start_time, &self->start_time) < 0) {
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
    if (time_of(options->start_time, &self->start_time) < 0 ||
        attributes_update(&self->attributes, options->attributes,
                          span_limits.attributes) < 0) {
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
    Py_VISIT(self->request);
    Py_VISIT(self->context);
    return 0;
}

static int
Span_clear(Span *self)
{
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

static inline bool
is_recording(const Span *self)
{
    return self->is_sampled && !self->has_ended;
}

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
    PyObject *result;
    if (self->request != NULL) {
        result = PyObject_CallMethodOneArg(self->request, str_add_span, (PyObject *)self);
        if (result == NULL) {
            PyErr_WriteUnraisable(self->request);
        }
        Py_XDECREF(result);
    }
    if (gate != NULL) {
        tell(gate, self);
    } else if (span_buffer != NULL) {
        span_buffer_add(self);
    }
    if (sink != NULL) {
        tell(sink, self);
    }
}

static void
end_at(Span *self, uint64_t time)
{
    self->has_ended = true;
    self->end_time = time;
    tell_end(self);
}

static Signature end_signature = {
    .function = "end", .positional = 1, .count = 1, .names = {"end_time"}};

static PyObject *
Span_end(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
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
        if (time_of(end_time, &time) < 0) {
            return NULL;
        }
        end_at(self, time);
    }
    Py_RETURN_NONE;
}

/* ---- What is set on it -------------------------------------------------------------- */

static PyObject *
Span_is_recording(Span *self, PyObject *unused)
{
    return PyBool_FromLong(is_recording(self));
}

static Signature set_attribute_signature = {.function = "set_attribute",
                                            .required = 2,
                                            .positional = 2,
                                            .count = 2,
                                            .names = {"key", "value"}};

static PyObject *
Span_set_attribute(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!is_recording(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&set_attribute_signature, args, nargs, kwnames, values) < 0 ||
        attributes_set(&self->attributes, values[0], values[1], span_limits.attributes) <
            0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Span_set_attributes(Span *self, PyObject *mapping)
{
    if (is_recording(self) &&
        attributes_update(&self->attributes, mapping, span_limits.attributes) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Makes room for one more in an array that grows with its count: at 0, 4, 8, 16...
   Returns: 0, or -1 with MemoryError set. */
static int
make_room(void **items, uint32_t count, size_t size)
{
    bool is_full = count == 0 || (count >= 4 && (count & (count - 1)) == 0);
    if (is_full) {
        void *grown = PyMem_Realloc(*items, (count > 0 ? count * 2 : 4) * size);
        if (grown == NULL) {
            (void)PyErr_NoMemory();
            return -1;
        }
        *items = grown;
    }
    return 0;
}

/* Adds an event with the attributes of a mapping. Returns: 0, or -1 with an exception set. May
   run Python code: yes. */
static int
add_event(Span *self, PyObject *name, PyObject *mapping, uint64_t time)
{
    if (self->event_count >= span_limits.events) {
        self->dropped_events++;
        return 0;
    }
    SpanEvent event = {.name = text_of(name), .timestamp = time};
    if (event.name == NULL ||
        attributes_update(&event.attributes, mapping, span_limits.event_attributes) < 0) {
        goto error;
    }
    /* What ran for that may have added others. */
    if (self->event_count >= span_limits.events) {
        self->dropped_events++;
        Py_DECREF(event.name);
        attributes_clear(&event.attributes);
        return 0;
    }
    if (make_room((void **)&self->events, self->event_count, sizeof(SpanEvent)) < 0) {
        goto error;
    }
    self->events[self->event_count++] = event;
    return 0;
error:
    Py_XDECREF(event.name);
    attributes_clear(&event.attributes);
    return -1;
}

/* An event after the end, when the span may have been sent already, comes as a child span of no
   length, so that it is not lost. Returns: 0, or -1 with an exception set. */
static int
add_late_event(Span *self, PyObject *name, PyObject *mapping, uint64_t time)
{
    SpanOptions options = {
        .parent = (PyObject *)self, .request = self->request, .is_suppressed = false};
    Span *late = (Span *)span_begin(span_type, name, &options); /* owned */
    if (late == NULL) {
        return -1;
    }
    int status = 0;
    if (late->is_sampled) {
        late->start_time = time;
        status = attributes_set(&late->attributes, str_late, Py_True,
                                span_limits.attributes) < 0 ||
                         add_event(late, name, mapping, time) < 0
                     ? -1
                     : 0;
        if (status == 0) {
            end_at(late, time);
        }
    }
    Py_DECREF(late);
    return status;
}

static Signature add_event_signature = {.function = "add_event",
                                        .required = 1,
                                        .positional = 3,
                                        .count = 3,
                                        .names = {"name", "attributes", "timestamp"}};

static PyObject *
Span_add_event(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[3]; /* borrowed */
    uint64_t time;
    if (!self->is_sampled) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&add_event_signature, args, nargs, kwnames, values) < 0 ||
        time_of(values[2], &time) < 0) {
        return NULL;
    }
    int status = self->has_ended ? add_late_event(self, values[0], values[1], time)
                                 : add_event(self, values[0], values[1], time);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static Signature add_link_signature = {.function = "add_link",
                                       .required = 1,
                                       .positional = 2,
                                       .count = 2,
                                       .names = {"context", "attributes"}};

static PyObject *
Span_add_link(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!is_recording(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&add_link_signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    SpanLink link = {0};
    if (span_check(values[0])) {
        link.identity = ((Span *)values[0])->identity;
        Py_XINCREF(link.identity.trace_state);
    } else if (span_view_identity(values[0], &link.identity) < 0) {
        return NULL;
    }
    if (attributes_update(&link.attributes, values[1], span_limits.link_attributes) < 0) {
        goto error;
    }
    if (self->link_count >= span_limits.links) {
        self->dropped_links++;
        Py_XDECREF(link.identity.trace_state);
        attributes_clear(&link.attributes);
        Py_RETURN_NONE;
    }
    if (make_room((void **)&self->links, self->link_count, sizeof(SpanLink)) < 0) {
        goto error;
    }
    self->links[self->link_count++] = link;
    Py_RETURN_NONE;
error:
    Py_XDECREF(link.identity.trace_state);
    attributes_clear(&link.attributes);
    return NULL;
}

/* OK is final; only an ERROR has a description; nobody unsets. Returns: 0, or -1 with an
   exception set. */
static int
set_status(Span *self, int code, PyObject *description)
{
    if (self->status_code == STATUS_OK || code == STATUS_UNSET) {
        return 0;
    }
    PyObject *text = NULL; /* owned */
    if (code == STATUS_ERROR && is_given(description)) {
        text = text_of(description);
        if (text == NULL) {
            return -1;
        }
    }
    self->status_code = (uint8_t)code;
    Py_XSETREF(self->status_description, text);
    return 0;
}

static Signature set_status_signature = {.function = "set_status",
                                         .required = 1,
                                         .positional = 2,
                                         .count = 2,
                                         .names = {"code", "description"}};

static PyObject *
Span_set_status(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!is_recording(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&set_status_signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    int code = number_of(values[0], STATUS_COUNT, "StatusCode");
    if (code < 0 || set_status(self, code, values[1]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static Signature record_exception_signature = {
    .function = "record_exception",
    .required = 1,
    .positional = 3,
    .count = 3,
    .names = {"exception", "attributes", "timestamp"}};

static PyObject *
Span_record_exception(Span *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *values[3]; /* borrowed */
    uint64_t time;
    int status = -1;
    if (!is_recording(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&record_exception_signature, args, nargs, kwnames, values) < 0 ||
        time_of(values[2], &time) < 0) {
        return NULL;
    }
    /* Owned. */
    PyObject *described = span_view_exception(values[0]);
    if (described == NULL) {
        return NULL;
    }
    /* Borrowed. */
    PyObject *type = PyTuple_GET_ITEM(described, 0);
    PyObject *message = PyTuple_GET_ITEM(described, 1);
    PyObject *attributes = PyTuple_GET_ITEM(described, 2);
    if ((is_given(values[1]) && PyDict_Update(attributes, values[1]) < 0) ||
        add_event(self, str_exception, attributes, time) < 0 ||
        attributes_set(&self->attributes, str_error_type, type, span_limits.attributes) <
            0 ||
        set_status(self, STATUS_ERROR, message) < 0) {
        goto error;
    }
    status = 0;
error:
    Py_DECREF(described);
    return status == 0 ? Py_NewRef(Py_None) : NULL;
}

static PyObject *
Span_update_name(Span *self, PyObject *name)
{
    if (is_recording(self)) {
        PyObject *text = text_of(name);
        if (text == NULL) {
            return NULL;
        }
        Py_SETREF(self->name, text);
    }
    Py_RETURN_NONE;
}

/* ---- The type ------------------------------------------------------------------------ */

#define METHOD(name, flags) #name, (PyCFunction)(void (*)(void))Span_##name, flags
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
    if (span_buffer != NULL) {
        span_buffer_add((Span *)span);
    }
    Py_RETURN_NONE;
}

PyObject *
spans_set_limits(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {
        "attributes",      "events",       "links", "event_attributes",
        "link_attributes", "value_length", NULL};
    SpanLimits limits = span_limits;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$IIIIIn:set_span_limits", names,
                                     &limits.attributes, &limits.events, &limits.links,
                                     &limits.event_attributes, &limits.link_attributes,
                                     &limits.value_length)) {
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
    str_add_span = PyUnicode_InternFromString("add_span");
    str_exception = PyUnicode_InternFromString("exception");
    str_error_type = PyUnicode_InternFromString("error.type");
    str_late = PyUnicode_InternFromString("asynchooks.late");
    span_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Span_spec, NULL);
    if (str_add_span == NULL || str_exception == NULL || str_error_type == NULL ||
        str_late == NULL || span_type == NULL) {
        return -1;
    }
    span_type->tp_vectorcall = Span_vectorcall;
    return PyModule_AddType(module, span_type);
}
