/* Trace and span ids: random, never zero, never the same in a forked child. */

#ifndef ASYNCHOOKS_RANDOM_IDS_H
#define ASYNCHOOKS_RANDOM_IDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

/* Returns: 64 random bits that are not all zero. Needs the GIL, which guards the generator. */
uint64_t random_id(void);

/* Returns: such an id as 16 hex digits, new, or NULL with an exception set. */
PyObject *random_id_as_text(void);

#endif
