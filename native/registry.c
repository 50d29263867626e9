#include "registry.h"
#include "compat.h"
#include "internals.h"

/* Owned. */
static PyObject *registry = NULL; /* the WeakSet */
static PyObject *add_function = NULL;
static PyObject *remove_function = NULL;

/* Owned, and never exchanged by a WeakSet. */
static PyObject *data = NULL;      /* a set of weak references */
static PyObject *iterating = NULL; /* a set, not empty while somebody iterates */
static PyObject *pending = NULL;   /* a list of removals that wait for that to end */

static vectorcallfunc original_add;
static vectorcallfunc original_remove;
static bool is_installed = false;

/* WeakSet.add(self, item) */
static PyObject *
add(PyObject *function, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 2 || kwnames != NULL || args[0] != registry ||
        PyList_GET_SIZE(pending) > 0) {
        return original_add(function, args, nargsf, kwnames);
    }
    PyObject *reference = PyWeakref_NewRef(args[1], remove_function);
    if (reference == NULL) {
        return NULL;
    }
    int status = PySet_Add(data, reference);
    Py_DECREF(reference);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* The registry's callback for weak references that have died: _remove(item) */
static PyObject *
remove_dead(PyObject *function, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL ||
        PySet_GET_SIZE(iterating) > 0) {
        return original_remove(function, args, nargsf, kwnames);
    }
    if (PySet_Discard(data, args[0]) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Returns: `registry.name`, new, or NULL without an exception where it is none of `type`. */
static PyObject *
attribute(const char *name, PyTypeObject *type)
{
    PyObject *value = PyObject_GetAttrString(registry, name);
    if (value == NULL) {
        PyErr_Clear();
    } else if (!Py_IS_TYPE(value, type)) {
        Py_CLEAR(value);
    }
    return value;
}

int
registry_prepare(void)
{
    if (registry != NULL || PY_VERSION_HEX >= 0x030e0000) {
        return 0; /* from 3.14 on tasks are linked in C */
    }
    /* The name has changed with 3.12. */
    PyObject *module = PyImport_ImportModule("_asyncio");
    PyObject *weak = PyImport_ImportModule("_weakrefset");
    PyObject *class = NULL;
    if (module != NULL && weak != NULL) {
        registry = PyObject_GetAttrString(
            module, PY_VERSION_HEX < 0x030c0000 ? "_all_tasks" : "_scheduled_tasks");
        class = PyObject_GetAttrString(weak, "WeakSet");
    }
    Py_XDECREF(module);
    Py_XDECREF(weak);
    if (registry == NULL || class == NULL) {
        Py_XDECREF(class);
        return -1;
    }
    data = attribute("data", &PySet_Type);
    iterating = attribute("_iterating", &PySet_Type);
    pending = attribute("_pending_removals", &PyList_Type);
    remove_function = attribute("_remove", &PyFunction_Type);
    add_function = PyObject_GetAttrString(class, "add");
    if (add_function == NULL) {
        Py_DECREF(class);
        return -1;
    }
    if ((PyObject *)Py_TYPE(registry) != class || data == NULL || iterating == NULL ||
        pending == NULL || remove_function == NULL || !PyFunction_Check(add_function)) {
        Py_CLEAR(registry); /* somebody's own: left alone */
    }
    Py_DECREF(class);
    return 0;
}

void
registry_install(void)
{
    if (registry != NULL && !is_installed) {
        original_add = set_function_vectorcall(add_function, add);
        original_remove = set_function_vectorcall(remove_function, remove_dead);
        is_installed = true;
    }
}

void
registry_uninstall(void)
{
    if (is_installed) {
        (void)set_function_vectorcall(add_function, original_add);
        (void)set_function_vectorcall(remove_function, original_remove);
        is_installed = false;
    }
}
