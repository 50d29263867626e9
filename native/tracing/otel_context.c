#include "otel_context.h"
#include "arguments.h"
#include "scopes.h"

/* Returns: whether the original has to say it, or -1 with an exception set. */
static int
is_the_originals(const Wrapper *self, const Scope *scope, PyObject *key)
{
    return scope_is_outermost(scope) ? 1 : PySet_Contains(self->helper, key);
}

/* Returns: new, or NULL with an exception set. */
static PyObject *
look_up(const Scope *scope, PyObject *key)
{
    if (scope->attached == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *value = NULL; /* owned */
    if (PyDict_Check(scope->attached)) {
        value = Py_XNewRef(PyDict_GetItemWithError(scope->attached, key));
    } else {
        value = PyObject_GetItem(scope->attached, key);
        if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_Clear();
        }
    }
    return value != NULL || PyErr_Occurred() ? value : Py_NewRef(Py_None);
}

static Signature signature = {
    .function = "get_value",
    .required = 1,
    .positional = 2,
    .count = 2,
    .names = {"key", "context"},
};

PyObject *
otel_get_value(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *given[MAXIMUM_PARAMETERS]; /* borrowed */
    bool is_understood =
        arguments_bind(&signature, args, PyVectorcall_NARGS(nargsf), kwnames, given) == 0;
    if (!is_understood) {
        PyErr_Clear(); /* the original says what is wrong with them */
    }
    if (!is_understood || (given[1] != NULL && given[1] != Py_None)) {
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    Scope *scope = scope_current(); /* owned */
    if (scope == NULL) {
        return NULL;
    }
    int is_theirs = is_the_originals(self, scope, given[0]);
    PyObject *value = is_theirs == 0  ? look_up(scope, given[0])
                      : is_theirs > 0 ? wrapper_call_original(self, args, nargsf, kwnames)
                                      : NULL;
    Py_DECREF(scope);
    return value;
}
