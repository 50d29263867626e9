#include "steps.h"
#include "records.h"
#include "tasks.h"

static inline void
begin(Step *step, Record *record, PyObject *resource)
{
    step->record = record;
    step->kind = record->kind;
    record->steps++;
    frame_push(&step->frame, record, resource);
    step->frame.started_at = clock_ticks();
}

void
step_begin(Step *step, Record *record, PyObject *resource)
{
    step->generation = 0;
    step->task = NULL;
    begin(step, record, resource);
}

void
step_begin_task(Step *step, Record *record, PyObject *task)
{
    step->generation = records_generation + 1;
    step->task = task;
    begin(step, record, task);
}

int
step_end(Step *step)
{
    uint64_t elapsed = clock_elapsed(step->frame.started_at, clock_ticks());
    frame_pop(&step->frame);
    /* disable() inside the step has thrown the side table away. */
    if (step->generation == 0 || step->generation == records_generation + 1) {
        step->record->run_time += elapsed;
    }
    return hooks_destroys_queued > 0 ? hooks_flush_destroys() : 0;
}

int
step_tell_hooks(Step *step, Event event)
{
    int status = 0;
    if (event == EVENT_AFTER && step->task != NULL &&
        hooks_want(EVENT_SETTLED, KIND_TASK)) {
        status = tasks_tell_settled(step->task);
    }
    if (hooks_want(event, step->kind)) {
        status |= hooks_emit(event, step->frame.async_id, step->kind);
    }
    return status;
}
