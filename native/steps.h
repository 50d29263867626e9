/* A step: one run of a callback by a loop, on behalf of a resource. Begin pushes the
   execution stack and starts the clock, end pops it and adds up. */

#ifndef ASYNCHOOKS_STEPS_H
#define ASYNCHOOKS_STEPS_H

#include "core.h"
#include "hooks.h"

typedef struct Step {
    Frame *frame;            /* owned; NULL where memory is short */
    uint64_t async_id;       /* of the record */
    uint64_t started_at;     /* ticks */
    uint64_t cpu_started_at; /* ns */
    PyObject *resource;      /* borrowed: the caller holds it until the end */
    Record *record;          /* in the resource itself, or in the side table */
    uint64_t generation;     /* of the side table; 0: `record` is in the resource */
    unsigned int kind;
    bool is_nested; /* inside another step of the same resource, which counts its time */
} Step;

/* What has `record` inside itself runs now: a handle, a callback. */
void step_begin(Step *step, Record *record, PyObject *resource);

/* `object`, whose record is in the side table, runs now: a task, a transport. */
void step_begin_listed(Step *step, Record *record, PyObject *object);

/* Pops, adds up the times, and after the outermost step of a loop tells the queued deaths.
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
    return hooks_steps_heard & KIND_BIT(step->kind) ? step_tell_hooks(step, event) : 0;
}

/* What was called in the step has given `result`, NULL for an exception: tells after, and ends
   the step.
   Steals and returns: result, or NULL where a hook that may, or a signal handler, has raised.
   May run Python code: yes. */
static inline PyObject *
step_finish(Step *step, PyObject *result)
{
    if (step_tell(step, EVENT_AFTER) < 0) {
        Py_CLEAR(result);
    }
    if (step_end(step) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

#endif
