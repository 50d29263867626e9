/* Wakeup: has one thread wait, without the GIL, until another has something for it. */

#ifndef ASYNCHOOKS_WAKEUP_H
#define ASYNCHOOKS_WAKEUP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Never freed, only used again: who gives one may hold it without the GIL. */
typedef struct Wakeup {
    struct Wakeup *next;
    PyThread_type_lock lock; /* held, but for the moment between giving and taking */
    atomic_bool is_given;
    atomic_bool is_urgent; /* for who waits to read and to clear */
} Wakeup;

/* Returns: one that nobody has given, or NULL where memory is short. */
Wakeup *wakeup_new(void);

/* Wakes who waits, or who next does. Needs no GIL. */
void wakeup_give(Wakeup *self);

/* Waits, for at most so long; -1: for ever. Lets go of the GIL meanwhile. */
void wakeup_take(Wakeup *self, long long microseconds);

/* Keeps it for the next. Nobody waits for it any more. */
void wakeup_free(Wakeup *self);

#endif
