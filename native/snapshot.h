/* What is alive at one moment. */

#ifndef ASYNCHOOKS_SNAPSHOT_H
#define ASYNCHOOKS_SNAPSHOT_H

#include "core.h"

/* Gives the module its KINDS, the names by number.
   Returns: 0, or -1 with an exception set. */
int snapshot_prepare(PyObject *module);

/* Takes all live resources of `kinds` (a mask) and, unless it is 0, of `root`, in one go
   under the GIL: nothing is born or dies in between. Costs some 20 ns for each.
   Returns: a new sequence, or NULL with an exception set. An item is made when it is asked
   for: a tuple of (object, async_id, kind's name, created_by, root, woken_by, cancelled_by,
   site, state's name, steps, age, run time, ready time, cpu time, is_adopted), times in
   seconds. */
PyObject *snapshot_take(uint32_t kinds, uint64_t root);

#endif
