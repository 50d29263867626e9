/* start_span(): a span below the one that is current here. */

#ifndef ASYNCHOOKS_START_SPAN_H
#define ASYNCHOOKS_START_SPAN_H

#include "spans.h"

/* Python's functions: see module.c. */
PyObject *start_span_recording(PyObject *module, PyObject *unused);
PyObject *start_span_current(PyObject *module, PyObject *unused);
/* Returns: a span below `parent`, a Span, a SpanContext or None; new, or NULL with an exception set.
   `options` says what is not of the parent. May run Python code: yes. */
PyObject *start_span_below(PyObject *parent, PyObject *name, SpanOptions *options);

PyObject *start_span(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames);

#endif
