/* What is alive at this moment. */

#ifndef ASYNCHOOKS_SNAPSHOT_H
#define ASYNCHOOKS_SNAPSHOT_H

#include "core.h"

/* Takes all live resources of `kinds` (a mask) and, unless it is 0, of `root`, in one go
   under the GIL: nothing is born or dies in between. Costs some 100 ns for each.
   Returns: a new list of tuples (object, async_id, kind, created_by, root, woken_by, steps,
   age in s, run time in s, is_adopted), or NULL with an exception set. */
PyObject *snapshot_take(uint32_t kinds, uint64_t root);

#endif
