/* From a line of a log to its bytes in the buffer of log records. */

#ifndef ASYNCHOOKS_LOG_EXPORT_H
#define ASYNCHOOKS_LOG_EXPORT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *log_export_is_on(PyObject *module, PyObject *unused);
PyObject *log_export(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
