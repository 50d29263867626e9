/* Objects of Python classes, or of a loop's own C types, that a record is kept for:
   transports, servers, subprocesses. Their death is seen by a weak reference or, where the
   type allows none, by its tp_dealloc. */

#ifndef ASYNCHOOKS_TRACKED_H
#define ASYNCHOOKS_TRACKED_H

#include "core.h"

/* What made an object, where that is not what executes when it is met. */
typedef struct Origin {
    uint64_t created_by;
    uint64_t root;
    uint16_t site;
} Origin;

/* Returns: 0, or -1 with an exception set. */
int tracked_prepare(void);

/* Makes `object` a resource born here and now, and tells nobody yet.
   Returns: 1, or 0 where it is one already or there is no room, or -1 with an exception set. */
int tracked_begin(PyObject *object, Kind kind);

/* Tells init of what tracked_begin() has made a resource.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
int tracked_tell(PyObject *object, const char *type_name);

/* Takes tracked_begin() back. */
void tracked_forget(PyObject *object);

/* Both in one; `origin` may be NULL, for here and now.
   Returns: 0, or -1 with an exception set. May run Python code: yes. */
int tracked_add(PyObject *object, Kind kind, const char *type_name, const Origin *origin);

/* `callback(*args)` is to be run by a loop. Returns: the tracked object whose step that is,
   borrowed: the one that it is a method of, or that `connection_made` introduces; or NULL. */
PyObject *tracked_owner_of(PyObject *callback, PyObject *args);

/* Forgets all. Tells nobody. */
void tracked_clear(void);

#endif
