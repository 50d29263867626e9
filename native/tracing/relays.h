/* Relay: an awaitable in the place of another, to which each step goes, and which leaves no frame in
   tracebacks. To whoever awaits it, or makes a task of it, it is a coroutine. */

#ifndef ASYNCHOOKS_RELAYS_H
#define ASYNCHOOKS_RELAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct Relay Relay;

/* What a relay does of its own. Each may run Python code. */
typedef struct RelayActs {
    /* Around each step: what is in force in it. `leave` keeps an exception that is set. Both may be
       NULL. Return: 0, or -1 with an exception set. */
    int (*enter)(Relay *self);
    void (*leave)(Relay *self);
    /* It has returned `result`. Returns: 0, or -1 with an exception set. */
    int (*returned)(Relay *self, PyObject *result);
    /* It has raised: the exception that is set, and stays so. May be NULL. */
    void (*raised)(Relay *self);
} RelayActs;

struct Relay {
    PyObject_HEAD const RelayActs *acts;
    PyObject *inner;   /* owned: the iterator that is stepped; NULL: it is over */
    PyObject *owner;   /* owned: the acts' */
    PyObject *subject; /* owned: the acts', or NULL */
    PyObject *scope;   /* owned: the acts', or NULL */
};

/* Returns: a relay of `awaitable`, new, or NULL with an exception set. `subject` may be NULL. May run
   Python code: yes. */
PyObject *relay_make(const RelayActs *acts, PyObject *awaitable, PyObject *owner,
                     PyObject *subject);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int relays_add_type(PyObject *module);

#endif
