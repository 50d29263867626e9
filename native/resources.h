/* Resource: the C base of asynchooks.AsyncResource, and what stands for the jobs of
   executors and for threads. */

#ifndef ASYNCHOOKS_RESOURCES_H
#define ASYNCHOOKS_RESOURCES_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int resources_add_type(PyObject *module);

/* The C base itself, borrowed. */
PyTypeObject *resources_type(void);

/* Makes a Resource of our own, of this type: a job, a look-up. `subject` is what it runs,
   `owner` a weak reference, `inner` a Resource that made it and that runs inside it; each may
   be NULL.
   Returns: new, or NULL with an exception set. May run Python code: yes (an init hook). */
PyObject *resources_make(PyTypeObject *type, Kind kind, PyObject *type_name,
                         PyObject *subject, PyObject *owner, PyObject *inner);

/* fn(*args, **kwargs) as the one step of a Resource, and of its inner one, in its context.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
PyObject *resources_run_once(PyObject *op, PyObject *fn, PyObject *const *args,
                             size_t nargsf, PyObject *kwnames);

/* Has the memory of dead objects of `type`, a subclass that adds nothing to Resource, used again. */
void resources_keep_dead(PyTypeObject *type);

/* Returns: the context that a Resource was made in, borrowed. */
PyObject *resources_context_of(PyObject *op);

/* Returns: what a Resource runs, borrowed, or NULL. */
PyObject *resources_subject_of(PyObject *op);

/* Returns: the record of a Resource, else NULL. */
Record *resources_record_of(PyObject *object);

#endif
