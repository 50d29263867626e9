/* WSGI: what is read of an environ, and of the status and headers of an answer. */

#ifndef ASYNCHOOKS_WSGI_H
#define ASYNCHOOKS_WSGI_H

#include "answers.h"

/* The arguments of `start_response`, of whatever type. Borrowed; `exc_info` may be NULL. */
typedef struct WSGIStart {
    PyObject *status;
    PyObject *headers;
    PyObject *exc_info;
} WSGIStart;

/* The application begins its answer. Returns: the headers to give to the server, the request's id
   among them, new, or NULL with an exception set. May run Python code: yes. */
PyObject *wsgi_headers_to_send(Answer *answer, const WSGIStart *start);

/* Python's functions: see module.c. */
PyObject *wsgi_start(PyObject *module, PyObject *environ);

/* To be called once. Returns: 0, or -1 with an exception set. */
int wsgi_prepare(void);

#endif
