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

/* Whether a hook that the core itself has made is to hear of an event. Asked before anything is made
   for it. May run Python code: no. */
typedef bool (*HookFilter)(Event event, uint64_t async_id);

/* For each event the kinds that some enabled hook wants to hear of: none while the core is
   disabled. */
extern uint32_t hooks_wanted[EVENT_COUNT];

/* The kinds of whose steps, or as what they end, some enabled hook wants to hear: before and after, and
   settled of tasks. */
extern uint32_t hooks_steps_heard;

static inline bool
hooks_want(Event event, unsigned int kind)
{
    return (hooks_wanted[event] & KIND_BIT(kind)) != 0;
}

/* To be called whenever the core was enabled or disabled. */
void hooks_count_wishes(void);

/* Whether somebody is to be told of an event of this one: a filter may say no where hooks_want() says
   yes. */
bool hooks_is_heard(Event event, unsigned int kind, uint64_t async_id);

/* The emitters below keep an exception that is set as it is. A callback that raises is
   reported through sys.unraisablehook and its hook disabled; one whose hook was made with
   `raises` lets the exception out; what a signal handler raises inside one (interrupts.h)
   leaves the operation too.
   Returns: 0, or -1 with that exception set. May run Python code: yes. */
int hooks_emit_init(const Record *record, const char *type_name, PyObject *resource);
int hooks_emit_init_named(const Record *record, PyObject *type_name, PyObject *resource);
int hooks_emit(Event event, uint64_t async_id, unsigned int kind);

/* Disables every hook and lets go of it. May run Python code: yes (a hook's dealloc). */
void hooks_drop_all(void);

/* Puts a death on the queue. Never runs Python code: safe inside a dealloc. */
void hooks_queue_destroy(uint64_t async_id, unsigned int kind);

/* `record` is of something that dies now, and that a table or a list has forgotten. Never
   runs Python code: safe inside a dealloc. */
static inline void
hooks_record_died(const Record *record)
{
    if (hooks_want(EVENT_DESTROY, record->kind)) {
        hooks_queue_destroy(record->async_id, record->kind);
    }
}

/* Tells the queued deaths, unless a callback runs already. An exception that is set stays
   as it is.
   Returns: 0, or -1 with what a signal handler has raised. May run Python code: yes. */
int hooks_flush_destroys(void);

/* Forgets the queue, in a forked child: the deaths are the parent's to tell. */
void hooks_forget_destroys(void);

extern size_t hooks_destroys_queued;

/* Calls `function` with no argument while no hook hears of anything.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
PyObject *hooks_call_unheard(PyObject *function);

/* Switches on what Hook.enable() calls to have events made that cost something even
   unheard (settled). Set by tasks.c. */
extern void (*hooks_wanted_changed)(void);

/* Returns: a hook, off, that hears of `kind` what `filter` lets through; new, or NULL with an
   exception set. */
PyObject *hooks_make_filtered(PyObject *init, PyObject *settled, Kind kind,
                              HookFilter filter);

/* Returns: 0, or -1 with an exception set. */
int hooks_add_type(PyObject *module);

/* Learns what is asyncio's, once. Returns: 0, or -1 with an exception set. */
int hooks_prepare(void);

#endif
