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

/* The context variable of a storage now, until the next disable(). Returns: borrowed, or NULL,
   without an exception, of what is no storage. */
PyObject *storages_variable(PyObject *storage);

/* "No store", also as what a variable holds. Returns: borrowed. */
PyObject *storages_missing(void);

/* What a variable holds inside a scope: the store, and the use that has set it.
   Returns: new, or NULL with an exception set. */
PyObject *storages_make_entry(PyObject *store, PyObject *use);
bool storages_is_entry(PyObject *value);

/* Returns: borrowed from the entry. */
PyObject *storages_use_of(PyObject *entry);

#endif
