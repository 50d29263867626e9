/* A step: one run of a callback by a loop, on behalf of a resource. Begin pushes the
   execution stack and starts the clock, end pops it and adds up. */

#ifndef ASYNCHOOKS_STEPS_H
#define ASYNCHOOKS_STEPS_H

#include "core.h"
#include "hooks.h"

typedef struct Step {
    Frame frame;
    Record *record;      /* in the resource itself, or in the side table */
    uint64_t generation; /* of the side table; 0: `record` is in the resource */
    unsigned int kind;
    PyObject *task; /* borrowed from the caller; NULL: not a task's step */
} Step;

/* What has `record` inside itself runs now: a handle, a callback. */
void step_begin(Step *step, Record *record, PyObject *resource);

/* `task`, whose record is in the side table, runs now. */
void step_begin_task(Step *step, Record *record, PyObject *task);

/* Pops, adds up the times, and tells the queued deaths.
   Returns: 0, or -1 with what a signal handler has raised meanwhile. May run Python code:
   yes. */
int step_end(Step *step);

static inline bool
step_wants(const Step *step, Event event)
{
    return hooks_want(event, step->kind);
}

/* Tells hooks of EVENT_BEFORE or EVENT_AFTER. Before the after, a task that has just
   finished is told as settled.
   Returns: 0, or -1 with the exception of a hook that may raise. May run Python code. */
int step_tell_hooks(Step *step, Event event);

static inline int
step_tell(Step *step, Event event)
{
    return hooks_hear_steps ? step_tell_hooks(step, event) : 0;
}

#endif
