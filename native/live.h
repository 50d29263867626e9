/* The list of live resources that carry their record inside: handles, callbacks and
   AsyncResources. Those of tasks and futures are in the side table (records.h). */

#ifndef ASYNCHOOKS_LIVE_H
#define ASYNCHOOKS_LIVE_H

#include "core.h"

typedef struct LiveRecord {
    struct LiveRecord *previous, *next; /* NULL: not in the list */
    PyObject *object;                   /* borrowed: what this is inside of */
    Record record;
} LiveRecord;

/* The list's head: a circle, with nothing in it but itself when nobody lives. */
extern LiveRecord live_list;

static inline void
live_add(LiveRecord *live, PyObject *object)
{
    live->object = object;
    live->previous = live_list.previous;
    live->next = &live_list;
    live_list.previous->next = live;
    live_list.previous = live;
}

/* To be called before anything in the object's dealloc that may run Python code.
   Returns: whether it was alive until now. Not so what was made before a fork. */
static inline bool
live_remove(LiveRecord *live)
{
    if (live->next == NULL) {
        return false;
    }
    live->previous->next = live->next;
    live->next->previous = live->previous;
    live->next = NULL;
    core.live[live->record.kind]--;
    return true;
}

/* Forgets all, in a forked child: they live on, but it is the parent that knows them. */
void live_forget_all(void);

#endif
