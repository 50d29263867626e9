/* Spans as Python sees them: what is asked of one is made when it is asked for. */

#ifndef ASYNCHOOKS_SPAN_VIEWS_H
#define ASYNCHOOKS_SPAN_VIEWS_H

#include "spans.h"

extern PyGetSetDef span_view_getset[];

PyObject *span_view_repr(Span *self);

/* Returns: a SpanKind; a SpanContext or None; new, or NULL with an exception set. */
PyObject *span_view_kind(Span *self, void *unused);
PyObject *span_view_parent(Span *self, void *unused);

/* Returns: an int, new, or NULL with an exception set. */
PyObject *span_view_trace_id(const Identity *identity);

/* Reads a SpanContext. `identity` is to own its trace_state. Returns: 0, or -1 with an exception
   set. May run Python code: yes. */
int span_view_identity(PyObject *context, Identity *identity);

/* Returns: (type, message, a dict of attributes) of an exception, new, or NULL with an exception
   set. May run Python code: yes. */
PyObject *span_view_exception(PyObject *exception);

#endif
