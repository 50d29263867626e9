#include "request_names.h"

/* With so many it begins anew: a program whose templates never end must not fill the memory. */
#define MAXIMUM_KNOWN 1024

/* Owned, or NULL: by route a dict by method. */
static PyObject *known = NULL;
static int known_count = 0;

/* Returns: the names of a route by method, borrowed, or NULL with an exception set. */
static PyObject *
names_of(PyObject *route)
{
    if (known == NULL || known_count >= MAXIMUM_KNOWN) {
        PyObject *empty = PyDict_New();
        if (empty == NULL) {
            return NULL;
        }
        Py_XSETREF(known, empty);
        known_count = 0;
    }
    PyObject *names = PyDict_GetItemWithError(known, route); /* borrowed */
    if (names != NULL || PyErr_Occurred()) {
        return names;
    }
    PyObject *made = PyDict_New(); /* owned */
    names = made != NULL ? PyDict_SetDefault(known, route, made) : NULL;
    Py_XDECREF(made);
    return names;
}

PyObject *
request_name(PyObject *method, PyObject *route)
{
    PyObject *names = names_of(route); /* borrowed */
    PyObject *name = names != NULL ? PyDict_GetItemWithError(names, method) : NULL;
    if (name != NULL || PyErr_Occurred()) {
        return Py_XNewRef(name);
    }
    name = PyUnicode_FromFormat("%U %U", method, route); /* owned */
    if (name != NULL && PyDict_SetItem(names, method, name) < 0) {
        Py_CLEAR(name);
    }
    known_count++;
    return name;
}
