#include "core.h"
#include "live.h"

const char *const KIND_NAMES[KIND_COUNT] = {
    [KIND_TASK] = "Task",
    [KIND_FUTURE] = "Future",
    [KIND_HANDLE] = "Handle",
    [KIND_TIMER_HANDLE] = "TimerHandle",
    [KIND_RESOURCE] = "AsyncResource",
    [KIND_EXECUTOR_JOB] = "ExecutorJob",
    [KIND_THREAD] = "Thread",
};

Core core = {.next_async_id = ASYNC_ID_MAIN + 1};
_Thread_local Frame *execution_top = NULL;
LiveRecord live_list = {.previous = &live_list, .next = &live_list};

void
live_forget_all(void)
{
    while (live_list.next != &live_list) {
        (void)live_remove(live_list.next);
    }
}
