#include "core.h"
#include "compat.h"
#include "live.h"

const char *const KIND_NAMES[KIND_COUNT] = {
    [KIND_TASK] = "Task",
    [KIND_FUTURE] = "Future",
    [KIND_HANDLE] = "Handle",
    [KIND_TIMER_HANDLE] = "TimerHandle",
    [KIND_READER] = "Reader",
    [KIND_WRITER] = "Writer",
    [KIND_SIGNAL_HANDLER] = "SignalHandler",
    [KIND_RESOURCE] = "AsyncResource",
    [KIND_EXECUTOR_JOB] = "ExecutorJob",
    [KIND_THREAD] = "Thread",
    [KIND_SUBPROCESS] = "Subprocess",
    [KIND_TRANSPORT] = "Transport",
    [KIND_SERVER] = "Server",
    [KIND_DNS_LOOKUP] = "DNSLookup",
    [KIND_ASYNC_GENERATOR] = "AsyncGenerator",
};

Core core = {.next_async_id = ASYNC_ID_MAIN + 1};
FAST_THREAD_LOCAL Frame *execution_top = NULL;
LiveRecord live_list = {.previous = &live_list, .next = &live_list};
Frame *free_frames = NULL;

Frame *
frame_allocate(void)
{
    return PyMem_RawMalloc(sizeof(Frame));
}

void
frame_unlink(Frame *frame)
{
    for (Frame *above = execution_top; above != NULL; above = above->previous) {
        if (above->previous == frame) {
            above->previous = frame->previous;
            return;
        }
    }
}

void
live_forget_all(void)
{
    while (live_list.next != &live_list) {
        (void)live_remove(live_list.next);
    }
}

PyObject *
leave_context(PyObject *context, PyObject *result)
{
    PyObject *exception = result == NULL ? PyErr_GetRaisedException() : NULL; /* owned */
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(result);
        Py_XDECREF(exception);
    } else if (exception != NULL) {
        PyErr_SetRaisedException(exception);
    }
    return result;
}
