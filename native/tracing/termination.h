/* SIGTERM where the application leaves it at its default: the process still dies by it, but only
   when the spans that ended before have been sent, or after 2 seconds.

   To Python the signal has no handler: ours stands below Python's own, and goes when Python sets
   another. When the signal comes, the handler has the main thread stop where it is, as if it were
   dead already, and wakes a thread that needs no GIL, which wakes the exporter, waits for it, and
   lets the signal do what it does by default. */

#ifndef ASYNCHOOKS_TERMINATION_H
#define ASYNCHOOKS_TERMINATION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *termination_guard(PyObject *module, PyObject *unused);
PyObject *termination_restore(PyObject *module, PyObject *unused);
PyObject *termination_release(PyObject *module, PyObject *unused);
PyObject *termination_is_due(PyObject *module, PyObject *unused);
PyObject *termination_delivered(PyObject *module, PyObject *unused);

#endif
