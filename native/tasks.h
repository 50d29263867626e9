/* Tasks and futures: CPython's own C types, seen by way of a few of their slots. */

#ifndef ASYNCHOOKS_TASKS_H
#define ASYNCHOOKS_TASKS_H

#include "core.h"

/* Returns: 0, or -1 with an exception set; then nothing is installed. */
int tasks_prepare(void);
void tasks_install(void);
void tasks_uninstall(void);

/* Forgets all tasks and futures. The ones that step again are adopted. */
void tasks_forget_all(void);

/* Returns: the record of `task`, made now if it was born before enable(), or NULL without
   an exception where memory is short. */
Record *tasks_record_of(PyObject *task);

/* `callback` is handed to a loop now. Returns: whether it is the step of a task, which is
   told by itself when it runs and needs no resource of its own. */
bool tasks_is_step(PyObject *callback);

/* If `task` is done, tells hooks so, once.
   Returns: 0, or -1 with the exception of a hook that may raise. May run Python code. */
int tasks_tell_settled(PyObject *task);

#endif
