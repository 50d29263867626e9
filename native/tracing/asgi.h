/* ASGI: what is read of a scope, and of the messages that answer it. */

#ifndef ASYNCHOOKS_ASGI_H
#define ASYNCHOOKS_ASGI_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's functions: see module.c. */
PyObject *asgi_start(PyObject *module, PyObject *scope);
PyObject *asgi_sending(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *asgi_sent(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* To be called once. Returns: 0, or -1 with an exception set. */
int asgi_prepare(void);

#endif
