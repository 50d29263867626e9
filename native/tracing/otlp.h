/* OTLP: spans, and what stands around them and log records in a request. Field numbers are those of
   opentelemetry/proto/{trace,common,resource}/v1; the tests decode our bytes with its generated
   code. */

#ifndef ASYNCHOOKS_OTLP_H
#define ASYNCHOOKS_OTLP_H

#include "protobuf.h"
#include "spans.h"

/* Writes the field of a ScopeSpans that is `span`. `site_attributes` are bytes of
   otlp_write_attributes(), or NULL. May run Python code: no. */
void otlp_write_span(Writer *self, const Span *span, PyObject *site_attributes);

/* Writes a trace id as this field, and a span id as the next. */
static inline void
otlp_write_ids(Writer *self, unsigned field, const Identity *identity)
{
    write_big(self, identity->span_id);
    write_varint(self, 8);
    write_tag(self, field + 1, BYTES);
    write_big(self, identity->trace_low);
    write_big(self, identity->trace_high);
    write_varint(self, 16);
    write_tag(self, field, BYTES);
}

/* Writes `attributes` as this field, once for each. May run Python code: no. */
void otlp_write_attributes(Writer *self, unsigned field, const Attributes *attributes);

#define OTLP_SPAN_ATTRIBUTES 9

/* Python's functions: see module.c. */
PyObject *otlp_encode_resource(PyObject *module, PyObject *mapping);
PyObject *otlp_encode_scope(PyObject *module, PyObject *args, PyObject *kwargs);

#endif
