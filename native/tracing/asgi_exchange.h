/* One HTTP request of an ASGI application: the call that serves it, and what it receives and sends. */

#ifndef ASYNCHOOKS_ASGI_EXCHANGE_H
#define ASYNCHOOKS_ASGI_EXCHANGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *asgi_exchange(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

#endif
