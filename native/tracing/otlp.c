#include "otlp.h"

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
    write_fixed32(self, field, trace_flags | 0x100u | (is_remote ? 0x200u : 0));
}

static void
write_event(Writer *self, const SpanEvent *event)
{
    size_t mark = self->size;
    write_number(self, 4, event->attributes.dropped);
    otlp_write_attributes(self, 3, &event->attributes);
    write_optional_text(self, 2, event->name);
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
    write_optional_text(self, 3, identity->trace_state);
    otlp_write_ids(self, 1, identity);
    write_message(self, 13, mark);
}

static void
write_status(Writer *self, const Span *span)
{
    size_t mark = self->size;
    write_number(self, 3, span->status_code);
    write_optional_text(self, 2, span->status_description);
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
    write_optional_text(self, 5, span->name);
    if (span->parent_id != 0) {
        write_big(self, span->parent_id);
        write_varint(self, 8);
        write_tag(self, 4, BYTES);
    }
    write_optional_text(self, 3, span->identity.trace_state);
    otlp_write_ids(self, 1, &span->identity);
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
        write_message(&writer, 1, 0);
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
        write_optional_text(&writer, 3, schema_url);
        size_t mark = writer.size;
        otlp_write_attributes(&writer, 3, &attributes);
        write_optional_text(&writer, 2, version);
        write_optional_text(&writer, 1, name);
        write_message(&writer, 1, mark);
        result = finish(&writer);
    }
    attributes_clear(&attributes);
    return result;
}
