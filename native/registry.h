/* asyncio's registry of tasks, a WeakSet, made fast.

   Up to 3.13 every task is put into it by C code that calls WeakSet.add, a Python function,
   and taken out of it by another when it dies; together they are a tenth of what a task
   costs. The same in C is put behind the two functions, where C code calls them: the set,
   and the functions as everybody sees them, stay what they are. */

#ifndef ASYNCHOOKS_REGISTRY_H
#define ASYNCHOOKS_REGISTRY_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. Where the registry is none that we know, nothing
   is installed later. */
int registry_prepare(void);
void registry_install(void);
void registry_uninstall(void);

#endif
