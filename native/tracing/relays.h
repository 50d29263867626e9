/* Relay: in the place of a coroutine, of another awaitable, or of a generator, to which each step
   goes. It leaves no frame in tracebacks, and to whoever asks it is what it stands for. */

#ifndef ASYNCHOOKS_RELAYS_H
#define ASYNCHOOKS_RELAYS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "scopes.h"
#include "wrappers.h"

typedef struct Relay Relay;

/* What a relay does of its own. Each may run Python code. */
typedef struct RelayActs {
    /* Before the first step; not where it is thrown into, or closed, before that. May be NULL.
       Returns: 0, or -1 with an exception set. */
    int (*begin)(Relay *self);
    /* Around each step: what is in force in it. `leave` keeps an exception that is set. Both may be
       NULL. Return: 0, or -1 with an exception set. */
    int (*enter)(Relay *self);
    void (*leave)(Relay *self);
    /* It has returned `result`. May be NULL. Returns: 0, or -1 with an exception set. */
    int (*returned)(Relay *self, PyObject *result);
    /* It has raised: the exception that is set, and stays so. May be NULL. */
    void (*raised)(Relay *self);
} RelayActs;

struct Relay {
    PyObject_HEAD const RelayActs *acts;
    PyTypeObject *stands_for; /* owned: of what it is in the place of */
    PyObject *inner; /* owned: the iterator that is stepped; NULL until it begins */
    bool has_begun;
    bool is_over;
    PyObject *owner;   /* owned: the acts' */
    PyObject *subject; /* owned: the acts', or NULL */
    PyObject *mark;    /* owned: the acts', or NULL: what the first step has left */
    PyObject *scope;   /* owned: in force in this step, or NULL */
    PyObject *weak_references;
};

/* Returns: a relay of `awaitable`, new, or NULL with an exception set. `subject` may be NULL. May run
   Python code: yes. */
PyObject *relay_make(const RelayActs *acts, PyObject *awaitable, PyObject *owner,
                     PyObject *subject);

/* Returns: a relay of what the wrapper's original makes of the arguments, which the wrapper owns; new, or
   NULL with an exception set. May run Python code: yes. */
PyObject *relay_call(const RelayActs *acts, Wrapper *owner, PyObject *const *args,
                     size_t nargsf, PyObject *kwnames);

/* The same, of a coroutine that there is not yet: `begin` has to say of which, by `relay_stand_for`. */
PyObject *relay_make_later(const RelayActs *acts, PyObject *owner, PyObject *subject);

/* Returns: 0, or -1 with an exception set. May run Python code: yes. */
int relay_stand_for(Relay *self, PyObject *awaitable);

/* For `enter`: puts `scope` in force. Steals: scope; NULL: an exception is set.
   Returns: 0, or -1 with an exception set. */
int relay_enter_scope(Relay *self, Scope *scope);

/* For `leave`: puts in force again what was before. */
void relay_leave_scope(Relay *self);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int relays_add_type(PyObject *module);

#endif
