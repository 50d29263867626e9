/* The names of requests' spans: a method and a route's template, put together once. */

#ifndef ASYNCHOOKS_REQUEST_NAMES_H
#define ASYNCHOOKS_REQUEST_NAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Returns: `GET /orders/{order_id}`, new, or NULL with an exception set. Both are exact str. May run
   Python code: yes (a finalizer, where a dict is made). */
PyObject *request_name(PyObject *method, PyObject *route);

#endif
