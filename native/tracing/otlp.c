#include "otlp.h"

#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

#define FIRST_CAPACITY 4096

/* ---- Writing backwards ------------------------------------------------------------- */

/* Returns: 0, or -1 where memory is short. */
static int
grow(Writer *self, size_t wanted)
{
    size_t capacity = self->capacity > 0 ? self->capacity : FIRST_CAPACITY;
    while (capacity - self->size < wanted) {
        capacity *= 2;
    }
    char *buffer = PyMem_RawMalloc(capacity);
    if (buffer == NULL) {
        self->has_failed = true;
        return -1;
    }
    if (self->size > 0) {
        memcpy(buffer + capacity - self->size, writer_bytes(self), self->size);
    }
    PyMem_RawFree(self->buffer);
    self->buffer = buffer;
    self->capacity = capacity;
    return 0;
}

/* Returns: `count` bytes before what is written, borrowed, or NULL where memory is short. */
static inline char *
claim(Writer *self, size_t count)
{
    if (self->capacity - self->size < count && grow(self, count) < 0) {
        return NULL;
    }
    self->size += count;
    return self->buffer + self->capacity - self->size;
}

void
writer_free(Writer *self)
{
    PyMem_RawFree(self->buffer);
    *self = (Writer){0};
}

static inline void
write_varint(Writer *self, uint64_t value)
{
    char *place = claim(self, varint_size(value));
    if (place != NULL) {
        (void)varint_put(place, value);
    }
}

static inline void
write_tag(Writer *self, unsigned field, unsigned wire_type)
{
    write_varint(self, field << 3 | wire_type);
}

static inline void
write_raw(Writer *self, const void *bytes, size_t size)
{
    char *place = claim(self, size);
    if (place != NULL && size > 0) {
        memcpy(place, bytes, size);
    }
}

/* Protobuf's fixed numbers are little-endian. */
static inline void
write_little(Writer *self, uint64_t value, size_t size)
{
    char *place = claim(self, size);
    for (size_t i = 0; place != NULL && i < size; i++) {
        place[i] = (char)(value >> 8 * i);
    }
}

/* Ids are big-endian. */
static inline void
write_big(Writer *self, uint64_t value)
{
    char *place = claim(self, 8);
    for (size_t i = 0; place != NULL && i < 8; i++) {
        place[i] = (char)(value >> (56 - 8 * i));
    }
}

static inline void
write_message(Writer *self, unsigned field, size_t mark)
{
    write_varint(self, self->size - mark);
    write_tag(self, field, BYTES);
}

void
otlp_write_message(Writer *self, unsigned field, size_t mark)
{
    write_message(self, field, mark);
}

static inline void
write_bytes(Writer *self, unsigned field, const void *bytes, size_t size)
{
    size_t mark = self->size;
    write_raw(self, bytes, size);
    write_message(self, field, mark);
}

/* A number that is left out where it is 0, as proto3 does. */
static inline void
write_number(Writer *self, unsigned field, uint64_t value)
{
    if (value != 0) {
        write_varint(self, value);
        write_tag(self, field, VARINT);
    }
}

static inline void
write_fixed64(Writer *self, unsigned field, uint64_t value)
{
    write_little(self, value, 8);
    write_tag(self, field, FIXED64);
}

/* UTF-8, with a question mark for what has none (half of a surrogate pair): protobuf's strings
   must be valid. */
static void
write_utf8(Writer *self, PyObject *text)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = PyUnicode_GET_LENGTH(text); i-- > 0;) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        if (c >= 0xD800 && c <= 0xDFFF) {
            c = '?';
        }
        size_t count = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        char *place = claim(self, count);
        if (place == NULL) {
            return;
        }
        for (size_t k = count; k-- > 1; c >>= 6) {
            place[k] = (char)(0x80 | (c & 0x3F));
        }
        place[0] = (char)(count == 1 ? c : (0xF00u >> count & 0xFF) | c);
    }
}

/* Also where it is empty: what is one of several in a oneof is written all the same. */
static inline void
write_text(Writer *self, unsigned field, PyObject *text)
{
    size_t mark = self->size;
    if (PyUnicode_IS_ASCII(text)) {
        write_raw(self, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
    } else {
        write_utf8(self, text);
    }
    write_message(self, field, mark);
}

void
otlp_write_text(Writer *self, unsigned field, PyObject *text)
{
    if (text != NULL && PyUnicode_GET_LENGTH(text) > 0) {
        write_text(self, field, text);
    }
}

/* ---- Attributes -------------------------------------------------------------------- */

static void write_key_value(Writer *self, unsigned field, PyObject *key, PyObject *value);

/* KeyValueList, which says nothing of an order: they stand the other way round. */
static void
write_dict(Writer *self, PyObject *dict)
{
    /* Borrowed. */
    PyObject *key, *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(dict, &position, &key, &value)) {
        write_key_value(self, 1, key, value);
    }
}

/* The one field of an AnyValue; none for None. */
static void
write_value(Writer *self, PyObject *value)
{
    size_t mark = self->size;
    if (PyUnicode_CheckExact(value)) {
        write_text(self, 1, value);
    } else if (PyBool_Check(value)) {
        write_varint(self, value == Py_True);
        write_tag(self, 2, VARINT);
    } else if (PyLong_CheckExact(value)) {
        write_varint(self, (uint64_t)PyLong_AsLongLong(value));
        write_tag(self, 3, VARINT);
    } else if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        write_fixed64(self, 4, bits);
    } else if (PyTuple_CheckExact(value)) {
        for (Py_ssize_t i = PyTuple_GET_SIZE(value); i-- > 0;) {
            size_t item_mark = self->size;
            write_value(self, PyTuple_GET_ITEM(value, i));
            write_message(self, 1, item_mark);
        }
        write_message(self, 5, mark);
    } else if (PyDict_CheckExact(value)) {
        write_dict(self, value);
        write_message(self, 6, mark);
    } else if (PyBytes_CheckExact(value)) {
        write_bytes(self, 7, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
    }
}

static void
write_key_value(Writer *self, unsigned field, PyObject *key, PyObject *value)
{
    size_t mark = self->size;
    write_value(self, value);
    write_message(self, 2, mark);
    write_text(self, 1, key);
    write_message(self, field, mark);
}

void
otlp_write_attributes(Writer *self, unsigned field, const Attributes *attributes)
{
    for (uint32_t i = attributes->count; i-- > 0;) {
        write_key_value(self, field, attributes->items[i].key,
                        attributes->items[i].value);
    }
}

/* ---- Spans ------------------------------------------------------------------------- */

/* Bits 8 and 9: "it is known whether this is remote", and "it is". */
static void
write_flags(Writer *self, unsigned field, uint8_t trace_flags, bool is_remote)
{
    write_little(self, trace_flags | 0x100u | (is_remote ? 0x200u : 0), 4);
    write_tag(self, field, FIXED32);
}

/* Fields 1 and 2 of spans and links. */
static void
write_ids(Writer *self, const Identity *identity)
{
    write_big(self, identity->span_id);
    write_varint(self, 8);
    write_tag(self, 2, BYTES);
    write_big(self, identity->trace_low);
    write_big(self, identity->trace_high);
    write_varint(self, 16);
    write_tag(self, 1, BYTES);
}

static void
write_event(Writer *self, const SpanEvent *event)
{
    size_t mark = self->size;
    write_number(self, 4, event->attributes.dropped);
    otlp_write_attributes(self, 3, &event->attributes);
    otlp_write_text(self, 2, event->name);
    write_fixed64(self, 1, event->timestamp);
    write_message(self, 11, mark);
}

static void
write_link(Writer *self, const SpanLink *link)
{
    size_t mark = self->size;
    const Identity *identity = &link->identity;
    write_flags(self, 6, identity->flags, identity->is_remote);
    write_number(self, 5, link->attributes.dropped);
    otlp_write_attributes(self, 4, &link->attributes);
    otlp_write_text(self, 3, identity->trace_state);
    write_ids(self, identity);
    write_message(self, 13, mark);
}

static void
write_status(Writer *self, const Span *span)
{
    size_t mark = self->size;
    write_number(self, 3, span->status_code);
    otlp_write_text(self, 2, span->status_description);
    write_message(self, 15, mark);
}

void
otlp_write_span(Writer *self, const Span *span, PyObject *site_attributes)
{
    size_t mark = self->size;
    write_flags(self, 16, span->identity.flags, span->parent_is_remote);
    write_status(self, span);
    write_number(self, 14, span->dropped_links);
    for (uint32_t i = span->link_count; i-- > 0;) {
        write_link(self, &span->links[i]);
    }
    write_number(self, 12, span->dropped_events);
    for (uint32_t i = span->event_count; i-- > 0;) {
        write_event(self, &span->events[i]);
    }
    write_number(self, 10, span->attributes.dropped);
    otlp_write_attributes(self, OTLP_SPAN_ATTRIBUTES, &span->attributes);
    if (site_attributes != NULL) {
        write_raw(self, PyBytes_AS_STRING(site_attributes),
                  (size_t)PyBytes_GET_SIZE(site_attributes));
    }
    write_fixed64(self, 8, span->end_time);
    write_fixed64(self, 7, span->start_time);
    write_number(self, 6, span->kind);
    otlp_write_text(self, 5, span->name);
    if (span->parent_id != 0) {
        write_big(self, span->parent_id);
        write_varint(self, 8);
        write_tag(self, 4, BYTES);
    }
    otlp_write_text(self, 3, span->identity.trace_state);
    write_ids(self, &span->identity);
    write_message(self, 2, mark);
}

/* ---- What stands around the spans of a batch ---------------------------------------- */

/* Returns: what is written, new, or NULL with an exception set. Frees the writer. */
static PyObject *
finish(Writer *writer)
{
    PyObject *bytes =
        writer->has_failed
            ? PyErr_NoMemory()
            : PyBytes_FromStringAndSize(writer_bytes(writer), (Py_ssize_t)writer->size);
    writer_free(writer);
    return bytes;
}

PyObject *
otlp_encode_resource(PyObject *module, PyObject *mapping)
{
    Attributes attributes = {0};
    Writer writer = {0};
    PyObject *result = NULL;
    if (attributes_update(&attributes, mapping, UINT32_MAX) == 0) {
        otlp_write_attributes(&writer, 1, &attributes);
        otlp_write_message(&writer, 1, 0);
        result = finish(&writer);
    }
    attributes_clear(&attributes);
    return result;
}

PyObject *
otlp_encode_scope(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "version", "schema_url", "attributes", NULL};
    /* Borrowed. */
    PyObject *name;
    PyObject *version = NULL;
    PyObject *schema_url = NULL;
    PyObject *mapping = NULL;
    Attributes attributes = {0};
    Writer writer = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U|UUO:encode_scope", names, &name,
                                     &version, &schema_url, &mapping)) {
        return NULL;
    }
    if (attributes_update(&attributes, mapping, UINT32_MAX) == 0) {
        otlp_write_text(&writer, 3, schema_url);
        size_t mark = writer.size;
        otlp_write_attributes(&writer, 3, &attributes);
        otlp_write_text(&writer, 2, version);
        otlp_write_text(&writer, 1, name);
        otlp_write_message(&writer, 1, mark);
        result = finish(&writer);
    }
    attributes_clear(&attributes);
    return result;
}
