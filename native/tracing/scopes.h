/* Scope: what is in force in a piece of code: its span, its baggage, whether anything is
   recorded. One context variable holds all of it, so that asyncio, threads and pools carry one
   thing. */

#ifndef ASYNCHOOKS_SCOPES_H
#define ASYNCHOOKS_SCOPES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

/* All owned, and NULL for None. */
typedef struct Scope {
    PyObject_HEAD PyObject *span;
    PyObject *baggage;
    PyObject *attached;
    PyObject *composed;
    struct Scope *outer; /* what was in force when this was entered */
    PyObject *token;     /* the context variable's, until it is left */
    bool is_suppressed;
    bool records_tasks;
    bool is_misplaced; /* left where it could not be taken back: what is outside shows */
} Scope;

/* Returns: the innermost scope that is in force here, new, or NULL with an exception set. There
   always is one. May run Python code: no. */
Scope *scope_current(void);

/* Whether nothing is in force: it is the default. */
bool scope_is_outermost(const Scope *self);

/* Returns: a scope that is as what is in force here, not entered yet, new, or NULL with an exception
   set. */
Scope *scope_copy(void);

/* Returns: the same, in which nothing that is started is recorded. */
Scope *scope_suppressing(void);

/* Returns: a scope of this span, and of nothing that is in force here, new, or NULL with an
   exception set. `baggage` may be NULL. */
Scope *scope_of_request(PyObject *span, PyObject *baggage);

/* Puts a scope in force. Returns: 0, or -1 with an exception set. */
int scope_enter(Scope *self);

/* Puts in force again what was before. Returns: 0, or -1 with an exception set. May run Python
   code: yes (the end of what is let go). */
int scope_leave(Scope *self);

/* For a call or a step: puts a scope in force. Steals: scope; NULL: an exception is set. Returns: it,
   owned, or NULL with an exception set. */
Scope *scope_entered(Scope *scope);

/* For the end of that: an exception that is set stays so, trouble is told of. Steals: scope, which may be
   NULL. */
void scope_exit(Scope *scope);

/* Python's functions: see module.c. */
PyObject *scopes_in(PyObject *module, PyObject *context);
PyObject *scopes_current(PyObject *module, PyObject *unused);
PyObject *scopes_suppress_tracing(PyObject *module, PyObject *unused);
PyObject *scopes_record_tasks(PyObject *module, PyObject *recorded);

/* Adds the type to the module, and makes the outermost scope. Returns: 0, or -1 with an exception
   set. */
int scopes_add_type(PyObject *module);

#endif
