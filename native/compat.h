/* Differences between CPython 3.11 and its successors, and nothing else. */

#ifndef ASYNCHOOKS_COMPAT_H
#define ASYNCHOOKS_COMPAT_H

#include <Python.h>

#if PY_VERSION_HEX < 0x030b0000
#error "asynchooks needs CPython 3.11 or newer"
#endif

#ifdef Py_GIL_DISABLED
#error "asynchooks does not support free-threaded builds yet"
#endif

#if PY_VERSION_HEX < 0x030c0000

/* Returns: new or NULL. The exception is cleared. */
static inline PyObject *
PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *traceback;
    if (PyErr_Occurred() == NULL) {
        return NULL;
    }
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    return value;
}

/* Steals: exception. */
static inline void
PyErr_SetRaisedException(PyObject *exception)
{
    if (exception == NULL) {
        if (PyErr_Occurred() != NULL) {
            PyErr_Clear();
        }
        return;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
}

/* Strings of the old C API are made whole when they are first read.
   Returns: 0, or -1 with an exception set. */
static inline int
unicode_ready(PyObject *text)
{
    return PyUnicode_READY(text);
}

/* Whether an int is so small that it has 64 bits, as far as that can be seen at once. */
static inline int
long_is_small(PyObject *number)
{
    return -2 <= Py_SIZE(number) && Py_SIZE(number) <= 2; /* digits of 30 bits */
}

#define PyUnstable_Eval_RequestCodeExtraIndex _PyEval_RequestCodeExtraIndex
#define PyUnstable_Code_GetExtra _PyCode_GetExtra
#define PyUnstable_Code_SetExtra _PyCode_SetExtra

/* Returns: new. */
static inline PyObject *
PyType_GetDict(PyTypeObject *type)
{
    return Py_XNewRef(type->tp_dict);
}

#else

static inline int
long_is_small(PyObject *number)
{
    return PyUnstable_Long_IsCompact((PyLongObject *)number);
}

static inline int
unicode_ready(PyObject *text)
{
    (void)text;
    return 0;
}

#endif

#if PY_VERSION_HEX < 0x030d0000
#define Py_IsFinalizing _Py_IsFinalizing

/* Returns: 1, with a new reference to what lives; or 0, with NULL. */
static inline int
PyWeakref_GetRef(PyObject *reference, PyObject **object)
{
    PyObject *found = PyWeakref_GET_OBJECT(reference); /* borrowed */
    *object = found != Py_None ? Py_NewRef(found) : NULL;
    return *object != NULL;
}

#endif

#endif
