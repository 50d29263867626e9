/* Roots: what a request begins is the root of all that it causes. */

#ifndef ASYNCHOOKS_ROOTS_H
#define ASYNCHOOKS_ROOTS_H

#include "core.h"

/* Returns: the record of a resource of any kind, or NULL without an exception. */
Record *record_of(PyObject *object);

/* What executes now begins a request: it, and all that it creates from here on, have a new root.
   Returns: its id. */
uint64_t root_begin(void);

#endif
