/* Async generators, seen by slots of their type: the first step of one is its birth. */

#ifndef ASYNCHOOKS_GENERATORS_H
#define ASYNCHOOKS_GENERATORS_H

#include "core.h"

/* Returns: 0, or -1 with an exception set; then nothing is installed. */
int generators_prepare(void);
void generators_install(void);
void generators_uninstall(void);

/* Returns: the context that the first step of an async generator ran in, borrowed, or NULL
   without an exception. */
PyObject *generators_context_of(PyObject *generator);

/* Forgets the contexts of all. May run Python code: yes. */
void generators_forget_contexts(void);

#endif
