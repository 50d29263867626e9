/* Span: one thing that was done on behalf of a request. Its rules are those of OpenTelemetry's
   trace API.

   One that is not sampled has an identity, a name and a request, and nothing else: no clock is
   read for it, nothing is looked for, kept, or encoded. It never ends, and start_span() gives it
   for what would be its children. */

#ifndef ASYNCHOOKS_SPANS_H
#define ASYNCHOOKS_SPANS_H

#include "attributes.h"

#define TRACE_FLAG_SAMPLED 1

/* What OTLP calls StatusCode and SpanKind. */
enum { STATUS_UNSET, STATUS_OK, STATUS_ERROR, STATUS_COUNT };
enum { SPAN_KIND_INTERNAL = 1, SPAN_KIND_SERVER, SPAN_KIND_CLIENT, SPAN_KIND_COUNT = 6 };

/* What identifies a span, also in another process: W3C Trace Context. */
typedef struct Identity {
    uint64_t trace_high;
    uint64_t trace_low;
    uint64_t span_id;
    PyObject *trace_state; /* owned: an exact str, or NULL where it is empty */
    uint8_t flags;
    bool is_remote;
} Identity;

typedef struct SpanEvent {
    PyObject *name; /* owned: an exact str */
    uint64_t timestamp;
    Attributes attributes;
} SpanEvent;

typedef struct SpanLink {
    Identity identity;
    Attributes attributes;
} SpanLink;

typedef struct Span {
    PyObject_HEAD Identity identity;
    uint64_t parent_id;  /* 0: none */
    uint64_t start_time; /* ns since the epoch; 0 of one that is not sampled */
    uint64_t end_time;
    PyObject *name;    /* owned: an exact str */
    PyObject *request; /* owned: a Request, or NULL */
    PyObject *scope;   /* owned: bytes of encode_scope(), or NULL */
    PyObject *context; /* owned: a SpanContext, once somebody has asked; or NULL */
    PyObject *status_description; /* owned: an exact str, or NULL where it is empty */
    Attributes attributes;
    SpanEvent *events; /* owned */
    SpanLink *links;   /* owned */
    uint32_t event_count;
    uint32_t link_count;
    uint32_t dropped_events;
    uint32_t dropped_links;
    uint16_t site; /* where it was started (sites.h) */
    uint8_t kind;
    uint8_t status_code;
    uint8_t parent_flags;
    bool parent_is_remote;
    bool is_sampled;
    bool has_ended;
    bool is_unwritten;    /* the buffer of spans holds it, to be encoded */
    bool borrows_request; /* it is not owned: see request_let_go() */
    bool is_foreign;      /* somebody else records it; for us it is over from the start */
} Span;

/* What a span is begun with. All borrowed, and NULL where not given. */
typedef struct SpanOptions {
    PyObject *kind;
    PyObject *parent; /* a Span, a SpanContext or None */
    PyObject *request;
    PyObject *attributes;
    const Attributes *described; /* what `attributes` says, made clean already */
    PyObject *description;       /* whose that is */
    PyObject *start_time;
    PyObject *scope;
    PyObject *context; /* a SpanContext: of a span that somebody else records */
    bool wants_site;
    bool
        is_suppressed; /* not sampled, whatever its parent is and the sampler would say */
} SpanOptions;

extern PyTypeObject *span_type; /* owned */

static inline bool
span_check(PyObject *object)
{
    return PyObject_TypeCheck(object, span_type);
}

/* Whether nothing below this span is recorded, and nobody has to be asked about that. */
bool span_has_unsampled_children(const Span *self);

/* Returns: a span of `type`, new, or NULL with an exception set. May run Python code: yes. */
PyObject *span_begin(PyTypeObject *type, PyObject *name, const SpanOptions *options);

/* Ends an open span and tells those that keep spans. May run Python code: yes. */
void span_end_at(Span *self, uint64_t time);

/* Python's functions: see module.c. */
PyObject *spans_set_faces(PyObject *module, PyObject *args, PyObject *kwargs);
PyObject *spans_set_sampler(PyObject *module, PyObject *args);
PyObject *spans_set_sink(PyObject *module, PyObject *sink);
PyObject *spans_set_gate(PyObject *module, PyObject *gate);
PyObject *spans_release(PyObject *module, PyObject *span);
PyObject *spans_set_limits(PyObject *module, PyObject *args, PyObject *kwargs);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int spans_add_type(PyObject *module);

#endif
