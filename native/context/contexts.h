/* Contexts of contextvars, as they are found in objects, and put back as they were. */

#ifndef ASYNCHOOKS_CONTEXTS_H
#define ASYNCHOOKS_CONTEXTS_H

#include "core.h"

/* Adds the type ContextState to the module.
   Returns: 0, or -1 with an exception set. */
int contexts_add_type(PyObject *module);

/* What a task, handle, future, resource or async generator runs in, or has run in: the
   contexts that it holds itself.
   Returns: a new list, or NULL with an exception set. May run Python code: no. */
PyObject *contexts_of(PyObject *object);

#endif
