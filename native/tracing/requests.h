/* Request: the root of everything that it causes, and its server span. */

#ifndef ASYNCHOOKS_REQUESTS_H
#define ASYNCHOOKS_REQUESTS_H

#include "spans.h"

/* A request keeps its newest spans for whoever asks; all of them are exported all the same. */
#define MAXIMUM_KEPT_SPANS 1000

typedef struct Request {
    PyObject_HEAD struct Request *previous, *next; /* the list of those that live */
    uint64_t root;
    /* Owned: exact strs. */
    PyObject *id;
    PyObject *method;
    PyObject *path;
    /* Owned, or NULL. */
    PyObject *route;
    PyObject *user;
    PyObject *baggage;    /* a mapping */
    PyObject *span;       /* a Span, once there is one */
    PyObject *background; /* a Span, once something asks for it */
    PyObject *waiting;    /* tail sampling's */
    PyObject *is_kept;
    PyObject *weak_references;
    /* Those that have ended, owned: a ring once it is full. */
    PyObject **spans;
    uint32_t span_count;
    uint32_t span_capacity;
    uint32_t oldest_span;
    /* In ns since the epoch: when the last byte was sent; 0: not yet. */
    uint64_t answered_at;
    /* Whether the call that serves it goes on after that: what it does is background. */
    bool runs_on;
} Request;

extern PyTypeObject *request_type; /* owned: the base of tracing.Request */

static inline bool
request_check(PyObject *object)
{
    return PyObject_TypeCheck(object, request_type);
}

/* What a request begins with. Borrowed, and NULL where not given. */
typedef struct RequestOptions {
    PyObject *id;
    PyObject *method;
    PyObject *path;
    PyObject *parent; /* a SpanContext */
    PyObject *baggage;
    PyObject *attributes;
    PyObject *kind; /* SERVER */
} RequestOptions;

/* Returns: a request and its span, begun; new, or NULL with an exception set. May run Python code:
   yes. */
Request *request_begin(const RequestOptions *options);

/* Keeps a span that has ended. Never fails: without memory it is not kept. May run Python code: yes
   (the end of the one that is dropped for it). */
void request_add_span(Request *self, PyObject *span);

/* Returns: the span that code of an answered request runs for, made when it is first asked for,
   borrowed; or NULL with an exception set. May run Python code: yes. */
PyObject *request_background(Request *self);

/* Breaks the circles between a request that is over and those of its spans that nobody else holds:
   they then hold it no more, and it dies with the last that does, not when the garbage collector
   comes by. May run Python code: yes. */
void request_let_go(Request *self);

/* Whether a span below `parent_id` has ended. */
bool request_has_child(const Request *self, uint64_t parent_id);

/* Python's functions: see module.c. */
PyObject *requests_start(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);
PyObject *requests_use(PyObject *module, PyObject *request);
PyObject *requests_set_class(PyObject *module, PyObject *class);
PyObject *requests_of_root(PyObject *module, PyObject *root);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int requests_add_type(PyObject *module);

#endif
