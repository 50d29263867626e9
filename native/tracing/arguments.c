#include "arguments.h"

#include <string.h>

static int
intern_names(Signature *signature)
{
    for (Py_ssize_t i = 0; i < signature->count; i++) {
        if (signature->interned[i] == NULL) {
            signature->interned[i] = PyUnicode_InternFromString(signature->names[i]);
            if (signature->interned[i] == NULL) {
                return -1;
            }
        }
    }
    return 0;
}

/* Returns: the index of the parameter, or -1 where there is none of that name. */
static Py_ssize_t
find(const Signature *signature, PyObject *name)
{
    for (Py_ssize_t i = 0; i < signature->count; i++) {
        if (signature->interned[i] == name) {
            return i;
        }
    }
    for (Py_ssize_t i = 0; i < signature->count; i++) {
        if (PyUnicode_Compare(signature->interned[i], name) == 0) {
            return i;
        }
    }
    return -1;
}

int
arguments_bind(Signature *signature, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames, PyObject **values)
{
    if (nargs > signature->positional) {
        PyErr_Format(PyExc_TypeError,
                     "%s() takes %zd positional arguments, %zd were given",
                     signature->function, signature->positional, nargs);
        return -1;
    }
    for (Py_ssize_t i = 0; i < signature->count; i++) {
        values[i] = i < nargs ? args[i] : NULL;
    }
    if (kwnames != NULL) {
        if (signature->interned[signature->count - 1] == NULL &&
            intern_names(signature) < 0) {
            return -1;
        }
        for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(kwnames); k++) {
            PyObject *name = PyTuple_GET_ITEM(kwnames, k); /* borrowed */
            Py_ssize_t i = find(signature, name);
            if (i < 0 || values[i] != NULL) {
                PyErr_Format(PyExc_TypeError, "%s() got %s argument %R",
                             signature->function, i < 0 ? "an unexpected" : "twice the",
                             name);
                return -1;
            }
            values[i] = args[nargs + k];
        }
    }
    for (Py_ssize_t i = 0; i < signature->required; i++) {
        if (values[i] == NULL) {
            PyErr_Format(PyExc_TypeError, "%s() needs the argument '%s'",
                         signature->function, signature->names[i]);
            return -1;
        }
    }
    return 0;
}
