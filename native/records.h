/* The side table: from an object whose memory layout is not ours (a task, a future, a
   transport, an async generator) to its Record.

   Keyed by address. An entry is removed when the object dies, so an address is never met
   again while its entry stands. At most 122 bytes for each entry, and memory that the dead
   leave is given back. */

#ifndef ASYNCHOOKS_RECORDS_H
#define ASYNCHOOKS_RECORDS_H

#include "core.h"
#include "hooks.h"

/* How many bytes the table may take; what does not fit lives untracked and is counted in
   core.untracked. */
extern size_t records_budget;

/* Returns: the record of `object`, with only async_id set, to 0, if it was not known, or
   NULL, without an exception, where the budget or the memory is used up. It stays at its
   place until records_remove() or records_clear(). */
Record *records_add(PyObject *object);

/* Returns: the record of `object`, or NULL without an exception. */
Record *records_find(PyObject *object);

/* Forgets `object`. Returns: whether it was known, and then its last state in *last. */
bool records_remove(PyObject *object, Record *last);

/* Forgets `object`, if it was known, and queues its destroy. Never runs Python code. */
static inline void
records_bury(PyObject *object)
{
    Record last;
    if (records_remove(object, &last)) {
        record_died(&last);
    }
}

/* Counts records_clear(): whoever keeps a Record across code that may run Python compares
   it before using the record again. */
extern uint64_t records_generation;

/* Calls `visit` for every entry, in no order. It must not run Python code. */
void records_visit(void (*visit)(PyObject *object, const Record *record, void *arg),
                   void *arg);

/* The bytes that the table takes now. */
size_t records_bytes(void);

/* Forgets everything. */
void records_clear(void);

#endif
