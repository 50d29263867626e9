/* Callback: what a loop whose handles are not asyncio's is given in place of a callback,
   so that its run is a step all the same. */

#ifndef ASYNCHOOKS_CALLBACKS_H
#define ASYNCHOOKS_CALLBACKS_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int callbacks_prepare(void);

/* Puts functions of ours behind the methods of `type`, a loop's type made by Cython, that are
   given a callback (call_soon and its like): they wrap it, and call the loop's own.
   Returns: 0, or -1 with an exception set, and nothing is changed. */
int callbacks_install(PyTypeObject *type);
void callbacks_uninstall(void);

/* Returns: the record of a Callback, else NULL. */
Record *callbacks_record_of(PyObject *object);

#endif
