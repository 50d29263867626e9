#include "ports.h"

#include <stddef.h>
#include <structmember.h>

static PyTypeObject *port_type = NULL; /* owned */

PyObject *
port_make(Answer *answer, PyObject *function, vectorcallfunc vectorcall)
{
    Port *self = PyObject_GC_New(Port, port_type);
    if (self != NULL) {
        self->answer = (Answer *)Py_NewRef((PyObject *)answer);
        self->function = Py_NewRef(function);
        self->vectorcall = vectorcall;
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

static int
Port_traverse(Port *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->answer);
    Py_VISIT(self->function);
    return 0;
}

static void
Port_dealloc(Port *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->answer);
    Py_CLEAR(self->function);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
Port_getattro(Port *self, PyObject *name)
{
    return PyObject_GetAttr(self->function, name);
}

static PyMemberDef Port_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Port, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Port_slots[] = {
    {Py_tp_doc, "A function of the server's, followed."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_getattro, Port_getattro},
    {Py_tp_traverse, Port_traverse},
    {Py_tp_dealloc, Port_dealloc},
    {Py_tp_members, Port_members},
    {0, NULL},
};

static PyType_Spec Port_spec = {
    .name = "asynchooks._native.Port",
    .basicsize = sizeof(Port),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Port_slots,
};

int
ports_add_type(PyObject *module)
{
    port_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Port_spec, NULL);
    return port_type != NULL ? PyModule_AddType(module, port_type) : -1;
}
