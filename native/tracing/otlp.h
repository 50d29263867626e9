/* OTLP protobuf, written by hand: an ExportTraceServiceRequest and nothing else.

   An agent that brings a protobuf library brings a version conflict. Field numbers are those of
   opentelemetry/proto/trace/v1/trace.proto; the tests decode our bytes with its generated code.

   A message is written from its end to its beginning, so that the length of what is inside is
   known when it has to be written, in one pass. */

#ifndef ASYNCHOOKS_OTLP_H
#define ASYNCHOOKS_OTLP_H

#include "spans.h"

/* What is written are the last `size` bytes of the buffer. All zero: nothing yet. */
typedef struct Writer {
    char *buffer; /* owned */
    size_t capacity;
    size_t size;
    bool has_failed; /* memory was short: what is there is of no use */
} Writer;

static inline const char *
writer_bytes(const Writer *self)
{
    return self->buffer + self->capacity - self->size;
}

void writer_free(Writer *self);

/* Writes the field of a ScopeSpans that is `span`. `site_attributes` are bytes of
   otlp_write_attributes(), or NULL. May run Python code: no. */
void otlp_write_span(Writer *self, const Span *span, PyObject *site_attributes);

/* Writes `attributes` as this field, once for each. May run Python code: no. */
void otlp_write_attributes(Writer *self, unsigned field, const Attributes *attributes);

/* Writes a string field. May run Python code: no. */
void otlp_write_text(Writer *self, unsigned field, PyObject *text);

/* Makes what was written since the size was `mark` the message in this field. */
void otlp_write_message(Writer *self, unsigned field, size_t mark);

#define OTLP_SPAN_ATTRIBUTES 9

/* Python's functions: see module.c. */
PyObject *otlp_encode_resource(PyObject *module, PyObject *mapping);
PyObject *otlp_encode_scope(PyObject *module, PyObject *args, PyObject *kwargs);

/* How many bytes a varint takes. */
static inline size_t
varint_size(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

/* Writes one forwards. Returns: behind its end. */
static inline char *
varint_put(char *place, uint64_t value)
{
    while (value >= 0x80) {
        *place++ = (char)(value | 0x80);
        value >>= 7;
    }
    *place++ = (char)value;
    return place;
}

#endif
