/* SpanBuffer: ended spans, encoded, until a background thread takes them. Bounded: what does not
   fit is dropped, and counted. */

#ifndef ASYNCHOOKS_SPAN_BUFFER_H
#define ASYNCHOOKS_SPAN_BUFFER_H

#include "spans.h"

/* Whether there is a buffer that spans go to. */
extern PyObject *span_buffer; /* owned, or NULL */

/* Encodes `span` into the buffer, or counts it as dropped. Sets no exception. May run Python
   code: yes (the first span starts a thread). */
void span_buffer_add(const Span *span);

/* Has the thread that waits for spans look for what else there is to do. May run Python code:
   no. Needs no GIL. */
void span_buffer_wake(void);

/* Python's functions: see module.c. */
PyObject *span_buffer_set(PyObject *module, PyObject *buffer);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int span_buffer_add_type(PyObject *module);

#endif
