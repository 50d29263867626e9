/* start_span(): a span below the one that is current here. */

#ifndef ASYNCHOOKS_START_SPAN_H
#define ASYNCHOOKS_START_SPAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *start_span_recording(PyObject *module, PyObject *unused);
PyObject *start_span_current(PyObject *module, PyObject *unused);
PyObject *start_span(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames);

#endif
