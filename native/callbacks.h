/* Callback: what a loop whose handles are not asyncio's is given in place of a callback,
   so that its run is a step all the same. */

#ifndef ASYNCHOOKS_CALLBACKS_H
#define ASYNCHOOKS_CALLBACKS_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int callbacks_prepare(void);

/* A method for class `loop_type` to have in place of its own `name` (call_soon and its
   like): it wraps the callback and calls the loop's own.
   Returns: new, or NULL with an exception set. */
PyObject *callbacks_make_scheduler(PyTypeObject *loop_type, const char *name);

#endif
