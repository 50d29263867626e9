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
#include "sites.h"

/* The kinds of resource. The order is that of `KIND_NAMES` in core.c and of `KINDS` in
   Python; a hook's `kinds` is a bit mask over it. */
typedef enum Kind {
    KIND_TASK,
    KIND_FUTURE,
    KIND_HANDLE,
    KIND_TIMER_HANDLE,
    KIND_READER,
    KIND_WRITER,
    KIND_SIGNAL_HANDLER,
    KIND_RESOURCE, /* AsyncResource; the kinds from here on may be made from Python */
    KIND_EXECUTOR_JOB,
    KIND_THREAD,
    KIND_SUBPROCESS,
    KIND_TRANSPORT,
    KIND_SERVER,
    KIND_DNS_LOOKUP,
    KIND_ASYNC_GENERATOR,
    KIND_COUNT,
} Kind;

#define KIND_BIT(kind) (1u << (kind))

/* What runs once, and is ready from its birth: all of these but timers. */
#define KINDS_THAT_RUN_ONCE                                                              \
    (KIND_BIT(KIND_HANDLE) | KIND_BIT(KIND_TIMER_HANDLE) | KIND_BIT(KIND_EXECUTOR_JOB) | \
     KIND_BIT(KIND_THREAD))
/* A handle dies when it has run: nobody could ask how long that was, nor since when. */
#define KINDS_UNTIMED (KIND_BIT(KIND_HANDLE) | KIND_BIT(KIND_TIMER_HANDLE))
/* What is made so often that the step's own time has to do for its birth. */
#define KINDS_BORN_ROUGHLY                                                               \
    (KIND_BIT(KIND_FUTURE) | KIND_BIT(KIND_HANDLE) | KIND_BIT(KIND_TIMER_HANDLE))
#define KINDS_BORN_READY (KINDS_THAT_RUN_ONCE & ~KIND_BIT(KIND_TIMER_HANDLE))

extern const char *const KIND_NAMES[KIND_COUNT];

/* What it does now; tokio-console's three. A task is ready from the moment when its wake-up
   is scheduled, and waits otherwise; jobs and threads are ready until they begin. */
typedef enum State {
    STATE_WAITING,
    STATE_READY,
    STATE_RUNNING,
    STATE_DONE, /* of tasks and futures found out when a snapshot is taken */
    STATE_COUNT,
} State;

/* What is known of one asynchronous operation, kept inside the object where we own its
   memory layout (handles, resources) and in the side table where we do not (tasks,
   futures, transports). All zero: no resource of its own. */
typedef struct Record {
    uint64_t async_id;       /* process-unique, never reused; 0: not a resource */
    uint64_t created_by;     /* Node's trigger: what executed when it was made */
    uint64_t root;           /* the request, job or main at the top of created_by */
    uint64_t woken_by;       /* what executed when its last step was scheduled */
    uint64_t cancelled_by;   /* what executed when it was last cancelled; 0: nobody did */
    uint64_t created_at;     /* ticks of clock.h */
    uint64_t since;          /* ticks: when it came into its present state */
    uint64_t run_time;       /* ticks inside its steps, all together */
    uint64_t ready_time;     /* ticks between being scheduled and running, all together */
    uint64_t cpu_time;       /* ns of its thread's processor, if core.counts_cpu_time */
    uint32_t steps;          /* how many steps have begun */
    uint16_t site;           /* where it was made (sites.h) */
    uint8_t kind;            /* a Kind */
    uint8_t state : 2;       /* a State */
    bool is_adopted : 1;     /* born before enable(): no init was told, created_by is 0 */
    bool is_settled : 1;     /* hooks were told that it is done */
    bool is_rescheduled : 1; /* its next step was scheduled while it runs */
} Record;

/* One entry of a thread's execution stack. On the heap, not in the C frame of whoever runs
   the step: a greenlet's C stack is moved away while another runs. */
typedef struct Frame {
    struct Frame *previous;
    PyObject *resource; /* owned, or NULL */
    uint64_t async_id;
    uint64_t created_by;
    uint64_t root;
    uint64_t started_at; /* ticks, or one of the two below */
} Frame;

#define STARTED_LONG_AGO 0 /* no step, but a scope, a thread or a job */
#define STARTED_JUST_NOW                                                                 \
    1 /* a step that is not timed: whoever asks first reads the clock */

/* The ids of code that no resource executes: the main thread's top level, as Node's main
   module, and other threads' top level, as Node's "from C++ with no JS above". */
#define ASYNC_ID_MAIN 1
#define ASYNC_ID_NONE 0

typedef struct Core {
    bool is_enabled;
    bool counts_cpu_time;
    uint64_t next_async_id;
    unsigned long main_thread;
    Py_ssize_t live[KIND_COUNT];
    uint64_t untracked; /* born without a record, since the budget was used up */
} Core;

/* In the thread's own block, at a fixed place: no function call to find it. */
#define FAST_THREAD_LOCAL _Thread_local __attribute__((tls_model("initial-exec")))

extern Core core;
extern FAST_THREAD_LOCAL Frame *execution_top;

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

/* When what is made here is born. What lives for a step or two need not know its age more
   exactly than its step. */
static inline uint64_t
birth_time(Kind kind)
{
    Frame *step = execution_top;
    if (!(KINDS_BORN_ROUGHLY & KIND_BIT(kind)) || step == NULL ||
        step->started_at == STARTED_LONG_AGO) {
        return clock_ticks();
    }
    if (step->started_at == STARTED_JUST_NOW) {
        step->started_at = clock_ticks();
    }
    return step->started_at;
}

/* Makes `record` a resource born here and now. `created_by` and root come from the execution
   stack; what nothing created is its own root. */
static inline void
record_born(Record *record, Kind kind)
{
    uint64_t async_id = core.next_async_id++;
    uint64_t created_by, root;
    if (execution_top != NULL) {
        created_by = execution_top->async_id;
        root = execution_top->root;
    } else {
        created_by = root = execution_async_id();
    }
    uint64_t now = birth_time(kind);
    *record = (Record){
        .async_id = async_id,
        .created_by = created_by,
        .root = root != ASYNC_ID_NONE ? root : async_id,
        .created_at = now,
        .since = now,
        .site = sites_kinds & KIND_BIT(kind) ? site_here() : SITE_UNKNOWN,
        .kind = (uint8_t)kind,
        .state = KINDS_BORN_READY & KIND_BIT(kind) ? STATE_READY : STATE_WAITING,
    };
    core.live[kind]++;
}

/* Somebody has asked for the next step of `record`. */
static inline void
record_scheduled(Record *record)
{
    record->woken_by = execution_async_id();
    if (record->state == STATE_WAITING) {
        record->state = STATE_READY;
        /* A new task is scheduled as it is born. */
        if (record->steps > 0) {
            record->since = clock_ticks();
        }
    } else {
        record->is_rescheduled = record->state == STATE_RUNNING;
    }
}

/* Frames that nobody uses, and a new one where there is none: NULL where memory is short. */
extern Frame *free_frames;
Frame *frame_allocate(void);

/* Returns: the frame, for frame_pop(), or NULL where memory is short. May run Python code:
   no. */
static inline Frame *
frame_push(const Record *record, PyObject *resource)
{
    Frame *frame = free_frames;
    if (frame != NULL) {
        free_frames = frame->previous;
    } else if ((frame = frame_allocate()) == NULL) {
        return NULL;
    }
    *frame = (Frame){
        .started_at = STARTED_LONG_AGO,
        .previous = execution_top,
        .resource = Py_XNewRef(resource),
        .async_id = record->async_id,
        .created_by = record->created_by,
        .root = record->root,
    };
    execution_top = frame;
    return frame;
}

/* Takes a frame out that is not the top: greenlets leave in another order than they came. */
void frame_unlink(Frame *frame);

/* Ends the life of `frame`, which may be NULL. */
static inline void
frame_pop(Frame *frame)
{
    if (frame == NULL) {
        return;
    }
    if (execution_top == frame) {
        execution_top = frame->previous;
    } else {
        frame_unlink(frame);
    }
    PyObject *resource = frame->resource;
    frame->previous = free_frames;
    free_frames = frame;
    Py_XDECREF(resource);
}

/* Exits a context. Steals: result, of what ran in it, NULL: it raised, and that stays set.
   Returns: result, or NULL with an exception set. */
PyObject *leave_context(PyObject *context, PyObject *result);

#endif
