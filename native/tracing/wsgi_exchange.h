/* One request of a WSGI application: the call that serves it, `start_response`, and the body, which
   lasts until the server closes it. */

#ifndef ASYNCHOOKS_WSGI_EXCHANGE_H
#define ASYNCHOOKS_WSGI_EXCHANGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *wsgi_exchange(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* Adds the type of bodies to the module. Returns: 0, or -1 with an exception set. */
int wsgi_exchange_add_type(PyObject *module);

#endif
