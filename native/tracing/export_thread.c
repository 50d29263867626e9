#include "export_thread.h"
#include "compat.h"

typedef struct Start {
    PyObject *function;          /* owned */
    PyThread_type_lock is_begun; /* held, until it has begun */
} Start;

static void
run(void *argument)
{
    Start *start = argument;
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *function = start->function; /* owned, from here on */
    PyThread_release_lock(start->is_begun);
    PyObject *result = PyObject_CallNoArgs(function);
    if (result == NULL) {
        PyErr_WriteUnraisable(function);
    }
    Py_XDECREF(result);
    Py_DECREF(function);
    PyGILState_Release(state);
}

PyObject *
export_thread_start(PyObject *module, PyObject *function)
{
    if (Py_IsFinalizing()) { /* it would never begin */
        PyErr_SetString(PyExc_RuntimeError,
                        "can't start a thread at interpreter shutdown");
        return NULL;
    }
    Start start = {.is_begun = PyThread_allocate_lock()};
    if (start.is_begun == NULL) {
        return PyErr_NoMemory();
    }
    (void)PyThread_acquire_lock(start.is_begun, NOWAIT_LOCK);
    start.function = Py_NewRef(function);
    if (PyThread_start_new_thread(run, &start) == PYTHREAD_INVALID_THREAD_ID) {
        Py_DECREF(function);
        PyThread_free_lock(start.is_begun);
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
        return NULL;
    }
    /* From here on it is found by the interpreter, when that ends. */
    Py_BEGIN_ALLOW_THREADS;
    (void)PyThread_acquire_lock(start.is_begun, WAIT_LOCK);
    Py_END_ALLOW_THREADS;
    PyThread_free_lock(start.is_begun);
    Py_RETURN_NONE;
}
