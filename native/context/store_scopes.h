/* StoreScope, the C base of what `with storage.use(store):` enters, and Use, one entering of it. */

#ifndef ASYNCHOOKS_STORE_SCOPES_H
#define ASYNCHOOKS_STORE_SCOPES_H

#include "core.h"

/* Adds the types StoreScope and Use to the module.
   Returns: 0, or -1 with an exception set. */
int store_scopes_add_types(PyObject *module);

/* From now on `entered` is told of each use that a generator may have begun, and of the frame that
   has entered it; `left` of the end of each use that has a generator. NULL: nobody.
   May run Python code: yes (who was told before dies). */
void store_scopes_watch(PyObject *entered, PyObject *left);

#endif
