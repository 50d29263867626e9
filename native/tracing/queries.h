/* QuerySpans: the spans of queries of one kind of database. What is said of a statement is found out
   once, and shared from then on. */

#ifndef ASYNCHOOKS_QUERIES_H
#define ASYNCHOOKS_QUERIES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int queries_add_type(PyObject *module);

#endif
