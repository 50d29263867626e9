/* A request that comes in, by whatever kind of server: what is read of its headers, and what its
   span says of it.

   It always begins a new root here, whatever the context says: on a kept connection asyncio may hand
   the context of the previous request to the next one (cpython#140947). */

#ifndef ASYNCHOOKS_INCOMING_H
#define ASYNCHOOKS_INCOMING_H

#include "requests.h"

/* What came. All borrowed, and NULL or None where it is not known. */
typedef struct Incoming {
    PyObject *method;
    PyObject *path;
    PyObject *headers; /* pairs of bytes; names in any case */
    PyObject *scheme;
    PyObject *query;
    PyObject *version; /* of HTTP */
    PyObject *server;  /* an address: a host and maybe a port */
    PyObject *client;
    bool is_websocket;
} Incoming;

/* Returns: the request, begun; new, or NULL with an exception set. May run Python code: yes. */
Request *incoming_begin(const Incoming *incoming);

/* Whether any header is asked for. */
bool incoming_records_headers(void);

/* Records those headers of an open span that are asked for; `direction` is "request" or "response".
   Returns: 0, or -1 with an exception set. May run Python code: yes, where any is asked for. */
int incoming_record_headers(Span *span, const char *direction, PyObject *headers);

/* Python's functions: see module.c. */
PyObject *incoming_start(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);
PyObject *incoming_request_id_from(PyObject *module, PyObject *given);
PyObject *incoming_set_helpers(PyObject *module, PyObject *args, PyObject *kwargs);

/* To be called once. Returns: 0, or -1 with an exception set. */
int incoming_prepare(void);

#endif
