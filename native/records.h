/* The side table: from a task or future, whose memory layout is CPython's, to its Record.

   Keyed by address. An entry is removed in the object's dealloc, so an address is never
   met again while its entry stands. */

#ifndef ASYNCHOOKS_RECORDS_H
#define ASYNCHOOKS_RECORDS_H

#include "core.h"

/* Returns: the record of `object`, made if there is none, or NULL with MemoryError set.
   It stays at its place until records_remove() or records_clear(). */
Record *records_add(PyObject *object);

/* Returns: the record of `object`, or NULL without an exception. */
Record *records_find(PyObject *object);

/* Forgets `object`; its record's memory is reused. Returns: whether it was known, and
   then its last state in *last. */
bool records_remove(PyObject *object, Record *last);

/* Counts records_clear(): whoever keeps a Record across code that may run Python compares
   it before using the record again. */
extern uint64_t records_generation;

/* Calls `visit` for every entry, in no order. It must not run Python code. */
void records_visit(void (*visit)(PyObject *object, const Record *record, void *arg),
                   void *arg);

/* Forgets everything. */
void records_clear(void);

#endif
