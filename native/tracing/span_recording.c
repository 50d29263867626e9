#include "span_recording.h"
#include "arguments.h"
#include "clock.h"
#include "compat.h"
#include "span_views.h"

/* Owned. */
static PyObject *str_exception = NULL;
static PyObject *str_error_type = NULL;
static PyObject *str_late = NULL;

int
span_time_of(PyObject *argument, uint64_t *time)
{
    if (!is_given(argument)) {
        *time = clock_realtime_ns();
        return 0;
    }
    *time = PyLong_AsUnsignedLongLong(argument);
    return *time == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

int
span_number_of(PyObject *argument, int count, const char *what)
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

/* ---- The methods --------------------------------------------------------------------- */

PyObject *
span_is_recording(Span *self, PyObject *unused)
{
    return PyBool_FromLong(span_is_open(self));
}

static Signature set_attribute_signature = {.function = "set_attribute",
                                            .required = 2,
                                            .positional = 2,
                                            .count = 2,
                                            .names = {"key", "value"}};

PyObject *
span_set_attribute(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!span_is_open(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&set_attribute_signature, args, nargs, kwnames, values) < 0 ||
        attributes_set(&self->attributes, values[0], values[1], span_limits.attributes) <
            0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
span_set_attributes(Span *self, PyObject *mapping)
{
    if (span_is_open(self) &&
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
            span_end_at(late, time);
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

PyObject *
span_add_event(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[3]; /* borrowed */
    uint64_t time;
    if (!self->is_sampled) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&add_event_signature, args, nargs, kwnames, values) < 0 ||
        span_time_of(values[2], &time) < 0) {
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

PyObject *
span_add_link(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!span_is_open(self)) {
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

PyObject *
span_set_status(Span *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *values[2]; /* borrowed */
    if (!span_is_open(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&set_status_signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    int code = span_number_of(values[0], STATUS_COUNT, "StatusCode");
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

PyObject *
span_record_exception(Span *self, PyObject *const *args, Py_ssize_t nargs,
                      PyObject *kwnames)
{
    PyObject *values[3]; /* borrowed */
    uint64_t time;
    int status = -1;
    if (!span_is_open(self)) {
        Py_RETURN_NONE;
    }
    if (arguments_bind(&record_exception_signature, args, nargs, kwnames, values) < 0 ||
        span_time_of(values[2], &time) < 0) {
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

PyObject *
span_update_name(Span *self, PyObject *name)
{
    if (span_is_open(self)) {
        PyObject *text = text_of(name);
        if (text == NULL) {
            return NULL;
        }
        Py_SETREF(self->name, text);
    }
    Py_RETURN_NONE;
}

int
span_recording_prepare(void)
{
    str_exception = PyUnicode_InternFromString("exception");
    str_error_type = PyUnicode_InternFromString("error.type");
    str_late = PyUnicode_InternFromString("asynchooks.late");
    return str_exception != NULL && str_error_type != NULL && str_late != NULL ? 0 : -1;
}
