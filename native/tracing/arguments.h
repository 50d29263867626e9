/* The arguments of a vectorcall, by position or by name. */

#ifndef ASYNCHOOKS_ARGUMENTS_H
#define ASYNCHOOKS_ARGUMENTS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MAXIMUM_PARAMETERS 9

/* A function's parameters. Static: the names are interned when it is first called. */
typedef struct Signature {
    const char *function;
    Py_ssize_t required;   /* the first so many must be given */
    Py_ssize_t positional; /* the first so many may be given by position */
    Py_ssize_t count;
    const char *names[MAXIMUM_PARAMETERS];
    PyObject *interned[MAXIMUM_PARAMETERS]; /* owned */
} Signature;

/* Puts what is given for each parameter into `values`, borrowed; NULL: not given.
   Returns: 0, or -1 with TypeError set. May run Python code: no. */
int arguments_bind(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
                   PyObject *kwnames, PyObject **values);

#endif
