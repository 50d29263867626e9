#include "standard_loop.h"
#include "compat.h"
#include "handles.h"
#include "internals.h"

/* Owned. */
static PyObject *call_soon_function = NULL; /* BaseEventLoop.call_soon; NULL: not known */
static PyObject *inner_function = NULL;     /* BaseEventLoop._call_soon */
static PyObject *check_function = NULL;     /* BaseEventLoop._check_closed */
static PyObject *events_dict = NULL;        /* asyncio.events.__dict__ */
static PyObject *str_call_soon = NULL;
static PyObject *str_check_closed = NULL;
static PyObject *str_closed = NULL;
static PyObject *str_debug = NULL;
static PyObject *str_ready = NULL;
static PyObject *str_handle = NULL;
static PyObject *str_context = NULL;

static PyTypeObject *deque_type = NULL; /* owned */
static PyCFunction deque_append;

static vectorcallfunc original;
static bool is_installed = false;

/* Whether the method `name` of `loop` is `function`, and not a subclass's or its own. */
static bool
has_method(PyObject *loop, PyObject *name, PyObject *function)
{
    PyObject *method = PyObject_GetAttr(loop, name); /* owned */
    bool is_same = method != NULL && PyMethod_Check(method) &&
                   PyMethod_GET_FUNCTION(method) == function;
    Py_XDECREF(method);
    return is_same;
}

/* Whether the attribute `name` of `loop` is False. */
static bool
has_false(PyObject *loop, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(loop, name); /* owned */
    Py_XDECREF(value);
    return value == Py_False;
}

/* Whether `loop` calls asyncio's own `_check_closed` and `_call_soon`, is open and not in
   debug mode, and asyncio's own Handle is in its place: then, and only then, call_soon does
   what ours does. The loop's __dict__ is not asked for: up to 3.12 that would make all its
   attributes slower.
   Returns: its deque of ready handles, new, or NULL, without an exception. */
static PyObject *
ready_of(PyObject *loop)
{
    PyObject *ready = NULL;
    if (PyDict_GetItemWithError(events_dict, str_handle) ==
            (PyObject *)handle_layout.type &&
        has_false(loop, str_debug) && has_false(loop, str_closed) &&
        has_method(loop, str_call_soon, inner_function) &&
        has_method(loop, str_check_closed, check_function)) {
        ready = PyObject_GetAttr(loop, str_ready);
    }
    if (ready == NULL) {
        PyErr_Clear();
    } else if (!Py_IS_TYPE(ready, deque_type)) {
        Py_CLEAR(ready);
    }
    return ready;
}

/* Whether `kwnames` is ("context",). CPython's C code gives the same tuple every time, of a
   string that is not interned before 3.12: the last one that fitted is remembered. */
static bool
is_context_alone(PyObject *kwnames)
{
    static PyObject *known = NULL; /* owned */
    if (kwnames == known) {
        return true;
    }
    if (PyTuple_GET_SIZE(kwnames) != 1 ||
        PyUnicode_Compare(PyTuple_GET_ITEM(kwnames, 0), str_context) != 0) {
        return false;
    }
    Py_XSETREF(known, Py_NewRef(kwnames));
    return true;
}

/* call_soon(self, callback, *args, context=None) */
static PyObject *
call_soon(PyObject *function, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    bool has_context = kwnames != NULL && is_context_alone(kwnames);
    PyObject *ready =
        nargs >= 2 && (kwnames == NULL || has_context) ? ready_of(args[0]) : NULL;
    PyObject *context = has_context ? args[nargs] : Py_None;
    if (ready == NULL || (context != Py_None && !PyContext_CheckExact(context))) {
        Py_XDECREF(ready);
        return original(function, args, nargsf, kwnames);
    }
    PyObject *handle = NULL;                 /* owned */
    PyObject *rest = PyTuple_New(nargs - 2); /* owned */
    if (rest == NULL) {
        Py_DECREF(ready);
        return NULL;
    }
    for (Py_ssize_t i = 2; i < nargs; i++) {
        PyTuple_SET_ITEM(rest, i - 2, Py_NewRef(args[i]));
    }
    handle = handles_make(args[1], rest, args[0], context);
    if (handle != NULL) {
        PyObject *none = deque_append(ready, handle);
        if (none == NULL) {
            Py_CLEAR(handle);
        }
        Py_XDECREF(none);
    }
    Py_DECREF(ready);
    Py_DECREF(rest);
    return handle;
}

/* Whether the code of `function` reads exactly these names, which is how we know it. */
static bool
reads_names(PyObject *function, const char *const *names)
{
    if (!PyFunction_Check(function)) {
        return false;
    }
    PyObject *found =
        ((PyCodeObject *)PyFunction_GET_CODE(function))->co_names; /* borrowed */
    Py_ssize_t count = 0;
    while (names[count] != NULL) {
        if (count >= PyTuple_GET_SIZE(found) ||
            PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(found, count),
                                             names[count]) != 0) {
            return false;
        }
        count++;
    }
    return PyTuple_GET_SIZE(found) == count;
}

static bool
is_known(void)
{
    static const char *const CALL_SOON[] = {
        "_check_closed",     "_debug", "_check_thread", "_check_callback", "_call_soon",
        "_source_traceback", NULL};
    static const char *const INNER[] = {"events", "Handle", "_source_traceback",
                                        "_ready", "append", NULL};
    static const char *const CHECK[] = {"_closed", "RuntimeError", NULL};
    return reads_names(call_soon_function, CALL_SOON) &&
           reads_names(inner_function, INNER) && reads_names(check_function, CHECK);
}

int
standard_loop_prepare(void)
{
    if (str_context != NULL) {
        return 0;
    }
    str_call_soon = PyUnicode_InternFromString("_call_soon");
    str_check_closed = PyUnicode_InternFromString("_check_closed");
    str_closed = PyUnicode_InternFromString("_closed");
    str_debug = PyUnicode_InternFromString("_debug");
    str_ready = PyUnicode_InternFromString("_ready");
    str_handle = PyUnicode_InternFromString("Handle");
    str_context = PyUnicode_InternFromString("context");
    PyObject *base_events = PyImport_ImportModule("asyncio.base_events");
    PyObject *events = PyImport_ImportModule("asyncio.events");
    PyObject *collections = PyImport_ImportModule("collections");
    PyObject *loop_type = NULL;
    if (base_events != NULL && events != NULL && collections != NULL) {
        loop_type = PyObject_GetAttrString(base_events, "BaseEventLoop");
        events_dict = Py_XNewRef(PyModule_GetDict(events));
        deque_type = (PyTypeObject *)PyObject_GetAttrString(collections, "deque");
    }
    Py_XDECREF(base_events);
    Py_XDECREF(events);
    Py_XDECREF(collections);
    if (loop_type != NULL) {
        call_soon_function = PyObject_GetAttrString(loop_type, "call_soon");
        inner_function = PyObject_GetAttr(loop_type, str_call_soon);
        check_function = PyObject_GetAttr(loop_type, str_check_closed);
        Py_DECREF(loop_type);
    }
    PyMethodDescrObject *append =
        deque_type != NULL ? find_method(deque_type, "append") : NULL; /* borrowed */
    if (PyErr_Occurred()) {
        return -1;
    }
    deque_append = append->d_method->ml_meth;
    if (!is_known() || append->d_method->ml_flags != METH_O) {
        Py_CLEAR(call_soon_function);
    }
    return 0;
}

void
standard_loop_install(void)
{
    if (call_soon_function != NULL && !is_installed) {
        original = set_function_vectorcall(call_soon_function, call_soon);
        is_installed = true;
    }
}

void
standard_loop_uninstall(void)
{
    if (is_installed) {
        (void)set_function_vectorcall(call_soon_function, original);
        is_installed = false;
    }
}
