/* Storage, the C base of AsyncLocalStorage: a context variable, and what is done with it often
   enough to be worth C. */

#ifndef ASYNCHOOKS_STORAGES_H
#define ASYNCHOOKS_STORAGES_H

#include "core.h"

/* Adds the types Storage and Entry, and MISSING, to the module.
   Returns: 0, or -1 with an exception set. */
int storages_add_types(PyObject *module);

/* Gives a subclass of Storage the methods of Storage as its own.
   Returns: 0, or -1 with an exception set. */
int storages_own_methods(PyTypeObject *subclass);

#endif
