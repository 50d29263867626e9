#include "interrupts.h"
#include "compat.h"

#include <signal.h>

/* Returns: the code that a call of `function` begins with, borrowed, or NULL without an
   exception. */
static PyObject *
code_of(PyObject *function)
{
    if (PyMethod_Check(function)) {
        function = PyMethod_GET_FUNCTION(function);
    }
    return PyFunction_Check(function) ? PyFunction_GET_CODE(function) : NULL;
}

/* Returns: whether `exception` has passed a call of `code`. */
static bool
has_passed(PyObject *exception, PyObject *code)
{
    bool found = false;
    PyObject *traceback = PyException_GetTraceback(exception); /* owned */
    PyTracebackObject *entry = (PyTracebackObject *)traceback; /* borrowed */
    for (; entry != NULL && !found; entry = entry->tb_next) {
        PyObject *entered = (PyObject *)PyFrame_GetCode(entry->tb_frame);
        found = entered == code;
        Py_DECREF(entered);
    }
    Py_XDECREF(traceback);
    return found;
}

/* Returns: whether a Python function that handles some signal has raised `exception`. May
   run Python code: yes (import). */
static bool
has_passed_handler(PyObject *exception)
{
    bool found = false;
    PyObject *module = PyImport_ImportModule("_signal"); /* owned */
    for (int number = 1; module != NULL && number < NSIG && !found; number++) {
        PyObject *handler = PyObject_CallMethod(module, "getsignal", "i", number);
        PyObject *code = handler != NULL ? code_of(handler) : NULL; /* borrowed */
        found = code != NULL && has_passed(exception, code);
        Py_XDECREF(handler);
        PyErr_Clear();
    }
    PyErr_Clear();
    Py_XDECREF(module);
    return found;
}

bool
is_interrupt(PyObject *exception)
{
    return PyThread_get_thread_ident() == core.main_thread &&
           (PyErr_GivenExceptionMatches(exception, PyExc_KeyboardInterrupt) ||
            has_passed_handler(exception));
}
