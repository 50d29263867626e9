/* Objects of Python classes, or of a loop's own C types, that a record is kept for:
   transports, servers, subprocesses. Their death is seen by a weak reference. */

#ifndef ASYNCHOOKS_TRACKED_H
#define ASYNCHOOKS_TRACKED_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int tracked_prepare(void);

/* Makes `object` a resource born here and now, unless it is one, and tells init.
   Returns: 0, or -1 with an exception set (TypeError: no weak reference to it can be made).
   May run Python code: yes. */
int tracked_add(PyObject *object, Kind kind, const char *type_name);

/* `callback` is to be run by a loop. Returns: the tracked object that it is a method of,
   borrowed, whose step it is then; or NULL. */
PyObject *tracked_owner_of(PyObject *callback);

/* Forgets all. Tells nobody. */
void tracked_clear(void);

#endif
