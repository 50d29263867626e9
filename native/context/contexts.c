#include "contexts.h"
#include "compat.h"
#include "generators.h"
#include "internals.h"

/* What a context held at one moment. */
typedef struct ContextState {
    PyObject_HEAD PyObject *context; /* owned */
    PyObject *variables;             /* owned: what context_variables() gave */
} ContextState;

static PyTypeObject *state_type = NULL; /* owned */

/* ContextState(): of the context that runs here. Costs no copy. */
static PyObject *
State_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":ContextState") || internals_learn_contexts() < 0) {
        return NULL;
    }
    ContextState *self = (ContextState *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->context = current_context();
    if (self->context == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->variables = Py_NewRef(context_variables(self->context));
    return (PyObject *)self;
}

static int
State_traverse(ContextState *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->context);
    Py_VISIT(self->variables);
    return 0;
}

static int
State_clear(ContextState *self)
{
    Py_CLEAR(self->context);
    Py_CLEAR(self->variables);
    return 0;
}

static void
State_dealloc(ContextState *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)State_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
State_restore(ContextState *self, PyObject *unused)
{
    if (self->context != NULL) {
        context_set_variables(self->context, self->variables);
    }
    Py_RETURN_NONE;
}

static PyObject *
State_empty(ContextState *self, PyObject *unused)
{
    PyObject *nothing = PyContext_New(); /* owned */
    if (nothing == NULL) {
        return NULL;
    }
    if (self->context != NULL) {
        context_set_variables(self->context, context_variables(nothing));
    }
    Py_DECREF(nothing);
    Py_RETURN_NONE;
}

static PyMethodDef State_methods[] = {
    {"restore", (PyCFunction)State_restore, METH_NOARGS,
     "restore($self, /)\n--\n\nHave the context hold again what it held then, whoever is "
     "in it."},
    {"empty", (PyCFunction)State_empty, METH_NOARGS,
     "empty($self, /)\n--\n\nHave the context hold nothing."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot State_slots[] = {
    {Py_tp_doc, "What the context of here held when this was made. Costs no copy."},
    {Py_tp_new, State_new},
    {Py_tp_traverse, State_traverse},
    {Py_tp_clear, State_clear},
    {Py_tp_dealloc, State_dealloc},
    {Py_tp_methods, State_methods},
    {0, NULL},
};

static PyType_Spec State_spec = {
    .name = "asynchooks._native.ContextState",
    .basicsize = sizeof(ContextState),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = State_slots,
};

/* ---- Finding them ------------------------------------------------------------------ */

static int
visit_referent(PyObject *referent, void *arg)
{
    PyObject *found = arg;
    return PyContext_CheckExact(referent) ? PyList_Append(found, referent) : 0;
}

PyObject *
contexts_of(PyObject *object)
{
    PyObject *found = PyList_New(0);
    if (found == NULL) {
        return NULL;
    }
    traverseproc traverse = Py_TYPE(object)->tp_traverse;
    PyObject *kept = generators_context_of(object); /* borrowed */
    if ((kept != NULL && PyList_Append(found, kept) < 0) ||
        (traverse != NULL && PyObject_IS_GC(object) &&
         traverse(object, visit_referent, found) != 0)) {
        Py_DECREF(found);
        return NULL;
    }
    return found;
}

int
contexts_add_type(PyObject *module)
{
    state_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &State_spec, NULL);
    return state_type != NULL ? PyModule_AddType(module, state_type) : -1;
}
