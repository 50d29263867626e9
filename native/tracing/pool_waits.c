#include "pool_waits.h"
#include "clock.h"
#include "compat.h"
#include "relays.h"
#include "start_span.h"

enum { RECORD, WORTH, PART_COUNT };

bool
wait_takes_helper(PyObject *helper)
{
    return helper != NULL && PyTuple_CheckExact(helper) &&
           PyTuple_GET_SIZE(helper) == PART_COUNT &&
           PyLong_Check(PyTuple_GET_ITEM(helper, WORTH));
}

/* `raised` is as what the call has ended, or NULL. Returns: 0, or -1 with an exception set. May run
   Python code: yes. */
static int
record(Wrapper *self, PyObject *parent, uint64_t start_time, PyObject *raised)
{
    PyObject *time = PyLong_FromUnsignedLongLong(start_time); /* owned */
    if (time == NULL) {
        return -1;
    }
    PyObject *arguments[] = {parent, time, raised != NULL ? raised : Py_None};
    PyObject *recorded = PyObject_Vectorcall(PyTuple_GET_ITEM(self->helper, RECORD),
                                             arguments, 3, NULL); /* owned */
    int status = recorded != NULL ? 0 : -1;
    Py_XDECREF(recorded);
    Py_DECREF(time);
    return status;
}

/* Tells the helper of a wait that is over; the exception that is set, as which the call has ended,
   stays so. May run Python code: yes. */
static void
end_wait(Wrapper *self, PyObject *parent, uint64_t start_time)
{
    if (parent == Py_None) {
        return;
    }
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    uint64_t worth = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(self->helper, WORTH));
    if (clock_realtime_ns() - start_time >= worth &&
        record(self, parent, start_time, raised) < 0) {
        PyErr_WriteUnraisable(self->original);
    }
    PyErr_SetRaisedException(raised);
}

PyObject *
wait_for_pool(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *parent = start_span_recording(NULL, NULL); /* owned */
    if (parent == NULL) {
        return NULL;
    }
    uint64_t start_time = clock_realtime_ns();
    PyObject *result = wrapper_call_original(self, args, nargsf, kwnames);
    end_wait(self, parent, start_time);
    Py_DECREF(parent);
    return result;
}

/* ---- A coroutine function, or a generator function ---------------------------------------- */

static int
begin_steps(Relay *relay)
{
    relay->subject = start_span_recording(NULL, NULL);
    relay->mark =
        relay->subject != NULL ? PyLong_FromUnsignedLongLong(clock_realtime_ns()) : NULL;
    return relay->mark != NULL ? 0 : -1;
}

static void
end_steps(Relay *relay)
{
    if (relay->mark != NULL) {
        end_wait((Wrapper *)relay->owner, relay->subject,
                 PyLong_AsUnsignedLongLong(relay->mark));
    }
}

static int
return_from_steps(Relay *relay, PyObject *result)
{
    end_steps(relay);
    return 0;
}

static const RelayActs WAITING = {
    .begin = begin_steps,
    .returned = return_from_steps,
    .raised = end_steps,
};

PyObject *
wait_for_pool_steps(Wrapper *self, PyObject *const *args, size_t nargsf,
                    PyObject *kwnames)
{
    return relay_call(&WAITING, self, args, nargsf, kwnames);
}
