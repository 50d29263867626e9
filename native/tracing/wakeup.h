/* Wakeup: has one thread wait, without the GIL, until others have enough for it, until what they
   have is old enough, or until it is asked for. It takes the GIL again once, when that is so. */

#ifndef ASYNCHOOKS_WAKEUP_H
#define ASYNCHOOKS_WAKEUP_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Never freed, only used again: who gives one may hold it without the GIL. */
typedef struct Wakeup {
    struct Wakeup *next;
    PyThread_type_lock lock; /* held, but for the moment between giving and taking */
    atomic_bool is_given;
    atomic_bool is_urgent;  /* it is asked for, until it comes */
    atomic_bool is_full;    /* there is enough */
    _Atomic uint64_t since; /* monotonic ns, of the oldest thing; 0: there is nothing */
} Wakeup;

/* Returns: one that nobody has given, or NULL where memory is short. */
Wakeup *wakeup_new(void);

/* Has who waits, or who next does, look at what there is. Needs no GIL. */
void wakeup_give(Wakeup *self);

/* Has it come back whatever there is. Needs no GIL. */
void wakeup_urge(Wakeup *self);

/* Waits until there is enough, until the oldest thing is `interval` ns old, or until it is urged.
   Lets go of the GIL, unless that is so already. */
void wakeup_wait(Wakeup *self, uint64_t interval);

/* Keeps it for the next. Nobody waits for it any more. */
void wakeup_free(Wakeup *self);

#endif
