#include "steps.h"
#include "records.h"
#include "resources.h"
#include "tasks.h"

static inline void
begin(Step *step, Record *record, PyObject *resource)
{
    step->record = record;
    step->kind = record->kind;
    record->steps++;
    step->async_id = record->async_id;
    step->resource = resource;
    step->frame = frame_push(record, resource);
    step->is_nested = record->state == STATE_RUNNING;
    if (KINDS_UNTIMED & KIND_BIT(record->kind)) {
        record->state = STATE_RUNNING;
        if (step->frame != NULL) {
            step->frame->started_at = STARTED_JUST_NOW;
        }
        return;
    }
    uint64_t now = clock_ticks();
    step->started_at = now;
    if (step->frame != NULL) {
        step->frame->started_at = now;
    }
    if (step->is_nested) {
        return;
    }
    if (record->state == STATE_READY) {
        record->ready_time += clock_elapsed(record->since, now);
    }
    record->state = STATE_RUNNING;
    record->since = now;
    if (core.counts_cpu_time) {
        step->cpu_started_at = clock_thread_cpu_ns();
    }
}

void
step_begin(Step *step, Record *record, PyObject *resource)
{
    step->generation = 0;
    begin(step, record, resource);
}

void
step_begin_listed(Step *step, Record *record, PyObject *object)
{
    step->generation = records_generation + 1;
    begin(step, record, object);
}

/* `step` ends, and its record is still what it was. */
static inline void
end(Step *step, Record *record)
{
    if (KINDS_UNTIMED & KIND_BIT(record->kind)) {
        record->state = STATE_DONE;
        return;
    }
    record->since = clock_ticks();
    record->run_time += clock_elapsed(step->started_at, record->since);
    record->state = record->is_rescheduled                         ? STATE_READY
                    : KINDS_THAT_RUN_ONCE & KIND_BIT(record->kind) ? STATE_DONE
                                                                   : STATE_WAITING;
    record->is_rescheduled = false;
    if (core.counts_cpu_time) {
        record->cpu_time += clock_thread_cpu_ns() - step->cpu_started_at;
    }
}

/* Whether nothing executes but, at most, a thread or a job as a whole: the loop inside it may
   run for ever, and so is where the deaths are told. */
static bool
is_top_level(void)
{
    if (execution_top == NULL) {
        return true;
    }
    PyObject *resource = execution_top->resource; /* borrowed */
    const Record *record = resource != NULL ? resources_record_of(resource) : NULL;
    return record != NULL &&
           (record->kind == KIND_THREAD || record->kind == KIND_EXECUTOR_JOB);
}

int
step_end(Step *step)
{
    frame_pop(step->frame);
    /* disable() inside the step has thrown the side table away. */
    if (!step->is_nested &&
        (step->generation == 0 || step->generation == records_generation + 1)) {
        end(step, step->record);
    }
    return hooks_destroys_queued > 0 && is_top_level() ? hooks_flush_destroys() : 0;
}

int
step_tell_hooks(Step *step, Event event)
{
    int status = 0;
    if (event == EVENT_AFTER && step->kind == KIND_TASK &&
        hooks_want(EVENT_SETTLED, KIND_TASK)) {
        status = tasks_tell_settled(step->resource);
    }
    if (hooks_want(event, step->kind)) {
        status |= hooks_emit(event, step->async_id, step->kind);
    }
    return status;
}
