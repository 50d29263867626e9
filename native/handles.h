/* Handle and TimerHandle in C: subclasses of asyncio's own Python classes that keep their
   slots where the base class has them, so that everything the base class can do, from
   repr() to weak references, is the base class's own doing. Only construction, running
   and, for timers, ordering are ours. */

#ifndef ASYNCHOOKS_HANDLES_H
#define ASYNCHOOKS_HANDLES_H

#include "core.h"

/* Makes the two types. Needs internals_learn() to have succeeded.
   Returns: 0, or -1 with an exception set. */
int handles_prepare(void);

/* From now on asyncio.events.Handle(...) and TimerHandle(...) give ours, or, again,
   asyncio's. Handles that exist stay what they are and work on. */
void handles_install(void);
void handles_uninstall(void);

/* Handle(callback, args, loop, context) for a loop that is not in debug mode; context is a
   Context or None. Returns: new, or NULL with an exception set. May run Python code: yes (an
   init hook). */
PyObject *handles_make(PyObject *callback, PyObject *args, PyObject *loop,
                       PyObject *context);

/* `loop.get_debug()`, without the call where the loop has BaseEventLoop's.
   Returns: 1, 0, or -1 with an exception set. May run Python code: yes. */
int loop_is_in_debug_mode(PyObject *loop);

/* Returns: the record of a handle of ours that is a resource of its own, else NULL. */
Record *handles_record_of(PyObject *object);

/* fn(*args, **kwargs), which makes one handle, as a resource of this kind: that of a watch, or of a
   signal. Returns: new, or NULL with an exception set. May run Python code: yes. */
PyObject *handles_call_with_kind(Kind kind, PyObject *fn, PyObject *const *args,
                                 size_t nargsf, PyObject *kwnames);

#endif
