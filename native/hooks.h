/* Python callbacks on the life of resources, and the queue of deaths.

   With no hook enabled an event costs one test of a mask. */

#ifndef ASYNCHOOKS_HOOKS_H
#define ASYNCHOOKS_HOOKS_H

#include "core.h"

typedef enum Event {
    EVENT_INIT,
    EVENT_BEFORE,
    EVENT_AFTER,
    EVENT_DESTROY,
    EVENT_SETTLED,
    EVENT_COUNT,
} Event;

/* For each event the kinds that some enabled hook wants to hear of. */
extern uint32_t hooks_wanted[EVENT_COUNT];

/* Whether some enabled hook wants to hear of before, after or settled, of any kind. */
extern bool hooks_hear_steps;

static inline bool
hooks_want(Event event, unsigned int kind)
{
    return (hooks_wanted[event] & KIND_BIT(kind)) != 0;
}

/* The emitters below keep an exception that is set as it is. A callback that raises is
   reported through sys.unraisablehook and its hook disabled; one whose hook was made with
   `raises` lets the exception out.
   Returns: 0, or -1 with that exception set. May run Python code: yes. */
int hooks_emit_init(const Record *record, const char *type_name, PyObject *resource);
int hooks_emit_init_named(const Record *record, PyObject *type_name, PyObject *resource);
int hooks_emit(Event event, uint64_t async_id, unsigned int kind);

/* Puts a death on the queue. Never runs Python code: safe inside a dealloc. */
void hooks_queue_destroy(uint64_t async_id, unsigned int kind);

/* `record` is of something that dies now. Never runs Python code: safe inside a dealloc. */
static inline void
record_died(const Record *record)
{
    core.live[record->kind]--;
    if (hooks_want(EVENT_DESTROY, record->kind)) {
        hooks_queue_destroy(record->async_id, record->kind);
    }
}

/* Tells the queued deaths, unless a callback runs already. May run Python code: yes. */
void hooks_flush_destroys(void);

extern size_t hooks_destroys_queued;

/* Calls `function` with no argument while no hook hears of anything.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
PyObject *hooks_call_unheard(PyObject *function);

/* To be called in a forked child: callbacks that other threads were in will not return. */
void hooks_after_fork(void);

/* Switches on what Hook.enable() calls to have events made that cost something even
   unheard (settled). Set by tasks.c. */
extern void (*hooks_wanted_changed)(void);

/* Returns: 0, or -1 with an exception set. */
int hooks_add_type(PyObject *module);

#endif
