#include "protocols.h"
#include "compat.h"
#include "records.h"
#include "steps.h"

#include <stddef.h>
#include <structmember.h>

typedef struct ProtocolMethod {
    PyObject_HEAD PyObject *method; /* owned */
    PyObject *transport; /* borrowed, and dead where it has another id, or none */
    uint64_t async_id;   /* of the transport; 0: it is not known yet */
    vectorcallfunc vectorcall;
} ProtocolMethod;

static PyTypeObject *method_type = NULL; /* owned */

static PyObject *
ProtocolMethod_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    ProtocolMethod *self = (ProtocolMethod *)op;
    Record *record =
        self->async_id != 0 && core.is_enabled ? records_find(self->transport) : NULL;
    if (record == NULL || record->async_id != self->async_id) {
        return PyObject_Vectorcall(self->method, args, nargsf, kwnames);
    }
    PyObject *result = NULL;
    /* Owned. */
    PyObject *transport = Py_NewRef(self->transport);
    PyObject *method = Py_NewRef(self->method);
    Step step;
    step_begin_listed(&step, record, transport);
    if (step_tell(&step, EVENT_BEFORE) == 0) {
        result = PyObject_Vectorcall(method, args, nargsf, kwnames);
    }
    if (step_tell(&step, EVENT_AFTER) < 0) {
        Py_CLEAR(result);
    }
    step_end(&step);
    Py_DECREF(method);
    Py_DECREF(transport);
    return result;
}

/* From now on each call is a step of `transport`. */
static PyObject *
ProtocolMethod_attach(ProtocolMethod *self, PyObject *transport)
{
    const Record *record = records_find(transport);
    self->transport = transport;
    self->async_id = record != NULL ? record->async_id : 0;
    Py_RETURN_NONE;
}

static PyObject *
ProtocolMethod_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *method; /* borrowed */
    if (!PyArg_ParseTuple(args, "O:ProtocolMethod", &method)) {
        return NULL;
    }
    ProtocolMethod *self = (ProtocolMethod *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->method = Py_NewRef(method);
        self->vectorcall = ProtocolMethod_call;
    }
    return (PyObject *)self;
}

static int
ProtocolMethod_traverse(ProtocolMethod *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->method);
    return 0;
}

static int
ProtocolMethod_clear(ProtocolMethod *self)
{
    Py_XSETREF(self->method, Py_NewRef(Py_None));
    return 0;
}

static void
ProtocolMethod_dealloc(ProtocolMethod *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->method);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef ProtocolMethod_methods[] = {
    {"attach", (PyCFunction)ProtocolMethod_attach, METH_O,
     "attach($self, transport, /)\n--\n\nFrom now on each call is a step of a tracked "
     "transport."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef ProtocolMethod_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ProtocolMethod, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot ProtocolMethod_slots[] = {
    {Py_tp_doc, "A protocol's method, each call of which is a step of its transport."},
    {Py_tp_new, ProtocolMethod_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, ProtocolMethod_dealloc},
    {Py_tp_traverse, ProtocolMethod_traverse},
    {Py_tp_clear, ProtocolMethod_clear},
    {Py_tp_methods, ProtocolMethod_methods},
    {Py_tp_members, ProtocolMethod_members},
    {0, NULL},
};

static PyType_Spec ProtocolMethod_spec = {
    .name = "asynchooks._native.ProtocolMethod",
    .basicsize = sizeof(ProtocolMethod),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = ProtocolMethod_slots,
};

int
protocols_add_type(PyObject *module)
{
    method_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &ProtocolMethod_spec, NULL);
    return method_type != NULL ? PyModule_AddType(module, method_type) : -1;
}
