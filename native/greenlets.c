#include "greenlets.h"
#include "internals.h"

static PyTypeObject *greenlet_type = NULL; /* owned; NULL: left alone */
/* The library's own. It stays known: a subclass made meanwhile has ours. */
static initproc original_init = NULL;

/* Every way to a greenlet leads here: the class, super().__init__() of a subclass, and what
   Cython code has kept of `greenlet.__init__`. */
static int
greenlet_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    if (original_init(self, args, kwargs) < 0) {
        return -1;
    }
    if (greenlet_type == NULL) {
        return 0;
    }
    PyObject *context = PyContext_CopyCurrent(); /* owned */
    if (context == NULL || PyObject_SetAttrString(self, "gr_context", context) < 0) {
        PyErr_Clear(); /* a build of greenlet without contexts, or no memory: as without us */
    }
    Py_XDECREF(context);
    return 0;
}

PyObject *
greenlets_set_type(PyObject *module, PyObject *type)
{
    if (greenlet_type != NULL) {
        exchange_init(greenlet_type, greenlet_init, original_init);
        Py_CLEAR(greenlet_type);
    }
    if (type == Py_None) {
        Py_RETURN_NONE;
    }
    if (!PyType_Check(type)) {
        PyErr_Format(PyExc_TypeError, "%R is no type", type);
        return NULL;
    }
    if (check_init((PyTypeObject *)type) < 0) {
        return NULL;
    }
    greenlet_type = (PyTypeObject *)Py_NewRef(type);
    original_init = greenlet_type->tp_init;
    exchange_init(greenlet_type, original_init, greenlet_init);
    Py_RETURN_NONE;
}
