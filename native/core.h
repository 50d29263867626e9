/* What every part of the core shares: the record of a resource, the execution stack,
   and the one process-wide state.

   Contract lines, above each function that is not trivial, use fixed words:
     Returns: new | borrowed | 0, or -1 with an exception set
     Steals:  which argument's reference it takes
     May run Python code: yes | no
   Everything here needs the GIL; there is no other lock. */

#ifndef ASYNCHOOKS_CORE_H
#define ASYNCHOOKS_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

/* The kinds of resource. The order is that of `KIND_NAMES` in core.c and of `KINDS` in
   Python; a hook's `kinds` is a bit mask over it. */
typedef enum Kind {
    KIND_TASK,
    KIND_FUTURE,
    KIND_HANDLE,
    KIND_TIMER_HANDLE,
    KIND_RESOURCE,
    KIND_EXECUTOR_JOB,
    KIND_THREAD,
    KIND_COUNT,
} Kind;

#define KIND_BIT(kind) (1u << (kind))

extern const char *const KIND_NAMES[KIND_COUNT];

/* What is known of one asynchronous operation, kept inside the object where we own its
   memory layout (handles, resources) and in the side table where we do not (tasks,
   futures). All zero: no resource of its own. */
typedef struct Record {
    uint64_t async_id;   /* process-unique, never reused; 0: not a resource */
    uint64_t created_by; /* Node's trigger: what executed when it was made */
    uint64_t root;       /* the request, job or main at the top of created_by */
    uint64_t created_at; /* ticks of clock.h */
    uint64_t run_time;   /* ticks spent inside its steps, all together */
    uint64_t woken_by;   /* what executed when its last step was scheduled */
    uint32_t steps;      /* how many steps have begun */
    uint8_t kind;        /* a Kind */
    bool is_adopted;     /* born before enable(): no init was told, created_by is 0 */
    bool is_settled;     /* hooks were told that it is done */
} Record;

/* One entry of a thread's execution stack. It lives in the C frame of whoever runs the
   step, so that a push is a few stores and a pop is one. */
typedef struct Frame {
    struct Frame *previous;
    PyObject *resource; /* borrowed: the pusher holds it until the pop */
    uint64_t async_id;
    uint64_t created_by;
    uint64_t root;
    uint64_t started_at; /* ticks */
} Frame;

/* The ids of code that no resource executes: the main thread's top level, as Node's main
   module, and other threads' top level, as Node's "from C++ with no JS above". */
#define ASYNC_ID_MAIN 1
#define ASYNC_ID_NONE 0

typedef struct Core {
    bool is_enabled;
    uint64_t next_async_id;
    unsigned long main_thread;
    Py_ssize_t live[KIND_COUNT];
} Core;

extern Core core;
extern _Thread_local Frame *execution_top;

static inline uint64_t
execution_async_id(void)
{
    if (execution_top != NULL) {
        return execution_top->async_id;
    }
    return PyThread_get_thread_ident() == core.main_thread ? ASYNC_ID_MAIN
                                                           : ASYNC_ID_NONE;
}

static inline uint64_t
execution_root(void)
{
    return execution_top != NULL ? execution_top->root : execution_async_id();
}

/* Makes `record` a resource born here and now. `created_by` and root come from the
   execution stack; what nothing created is its own root. */
static inline void
record_born(Record *record, Kind kind)
{
    record->async_id = core.next_async_id++;
    record->created_by = execution_async_id();
    uint64_t root = execution_root();
    record->root = root != ASYNC_ID_NONE ? root : record->async_id;
    record->created_at = clock_ticks();
    record->run_time = 0;
    record->woken_by = 0;
    record->steps = 0;
    record->kind = (uint8_t)kind;
    record->is_adopted = false;
    record->is_settled = false;
    core.live[kind]++;
}

static inline void
frame_push(Frame *frame, const Record *record, PyObject *resource)
{
    frame->previous = execution_top;
    frame->resource = resource;
    frame->async_id = record->async_id;
    frame->created_by = record->created_by;
    frame->root = record->root;
    execution_top = frame;
}

static inline void
frame_pop(Frame *frame)
{
    execution_top = frame->previous;
}

#endif
