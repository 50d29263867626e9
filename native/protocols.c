#include "protocols.h"
#include "compat.h"
#include "records.h"
#include "steps.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* ---- ProtocolMethod ------------------------------------------------------------------ */

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
    result = step_finish(&step, result);
    Py_DECREF(method);
    Py_DECREF(transport);
    return result;
}

/* Returns: new, or NULL with an exception set. Steals: method. */
static PyObject *
make_method_steal(PyObject *method)
{
    ProtocolMethod *self = PyObject_GC_New(ProtocolMethod, method_type);
    if (self == NULL) {
        Py_DECREF(method);
        return NULL;
    }
    self->method = method;
    self->transport = NULL;
    self->async_id = 0;
    self->vectorcall = ProtocolMethod_call;
    PyObject_GC_Track(self);
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
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef ProtocolMethod_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(ProtocolMethod, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot ProtocolMethod_slots[] = {
    {Py_tp_doc, "A protocol's method, each call of which is a step of its transport."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, ProtocolMethod_dealloc},
    {Py_tp_traverse, ProtocolMethod_traverse},
    {Py_tp_clear, ProtocolMethod_clear},
    {Py_tp_members, ProtocolMethod_members},
    {0, NULL},
};

static PyType_Spec ProtocolMethod_spec = {
    .name = "asynchooks._native.ProtocolMethod",
    .basicsize = sizeof(ProtocolMethod),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = ProtocolMethod_slots,
};

/* ---- Introduction ------------------------------------------------------------------ */

/* The attributes that we stand in for: the last two a transport asks for when it is given its
   protocol, and keeps. */
enum { CONNECTION_MADE, DATA_RECEIVED, BUFFER_UPDATED, NAME_COUNT };

static PyObject *names[NAME_COUNT]; /* owned, interned */
static PyObject *types = NULL; /* owned: a dict from types to (kind, name), or NULL */

typedef struct Introduction {
    PyObject_HEAD PyObject *protocol; /* owned */
    PyObject *made;                   /* owned: its connection_made */
    PyObject *ours[NAME_COUNT];   /* owned, but for the first, which is this; or NULL */
    PyObject *before[NAME_COUNT]; /* owned: what stood there, or NULL */
    Origin origin;
    vectorcallfunc vectorcall;
} Introduction;

static PyTypeObject *introduction_type = NULL; /* owned */

/* Whether `value`, just asked for, is what a method of the class gives: made for us, and nobody
   else's. What stands among the instance's attributes is held by them, too. */
static bool
is_of_class(PyObject *value)
{
    return PyMethod_Check(value) && Py_REFCNT(value) == 1;
}

/* Puts `value` among the attributes of the protocol, also where its class has a __setattr__.
   Returns: 0, or -1 without an exception where it takes none. */
static int
put(Introduction *self, int index, bool is_inherited, PyObject *value)
{
    PyObject *name = names[index];
    if (!is_inherited) {
        PyObject *attributes = PyObject_GetAttrString(self->protocol, "__dict__");
        if (attributes == NULL || !PyDict_Check(attributes)) {
            PyErr_Clear();
            Py_XDECREF(attributes);
            return -1;
        }
        self->before[index] = Py_XNewRef(PyDict_GetItemWithError(attributes, name));
        Py_DECREF(attributes);
    }
    if (PyErr_Occurred() || PyObject_GenericSetAttr(self->protocol, name, value) < 0) {
        PyErr_Clear();
        Py_CLEAR(self->before[index]);
        return -1;
    }
    self->ours[index] = value;
    return 0;
}

/* Takes away what is ours, and still there. */
static void
step_away(Introduction *self)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        PyObject *present =
            self->ours[i] != NULL ? PyObject_GetAttr(self->protocol, names[i]) : NULL;
        if (present != NULL && present == self->ours[i]) {
            (void)PyObject_GenericSetAttr(self->protocol, names[i], self->before[i]);
        }
        PyErr_Clear();
        Py_XDECREF(present);
        Py_CLEAR(self->before[i]);
    }
}

/* Makes `transport` a resource, if it is of a type that we know.
   Returns: 0, or -1 with an exception set. May run Python code: yes (an init hook). */
static int
meet(Introduction *self, PyObject *transport)
{
    PyObject *type = types != NULL && core.is_enabled
                         ? PyDict_GetItemWithError(types, (PyObject *)Py_TYPE(transport))
                         : NULL; /* borrowed */
    if (type == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    int kind;
    const char *name;
    if (!PyArg_ParseTuple(type, "is", &kind, &name) ||
        tracked_add(transport, (Kind)kind, name, &self->origin) < 0) {
        return -1;
    }
    const Record *record = records_find(transport);
    for (int i = DATA_RECEIVED; i < NAME_COUNT; i++) {
        ProtocolMethod *method = (ProtocolMethod *)self->ours[i];
        if (method != NULL && record != NULL) {
            method->transport = transport;
            method->async_id = record->async_id;
        }
    }
    return 0;
}

/* connection_made(transport). */
static PyObject *
Introduction_call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Introduction *self = (Introduction *)op;
    PyObject *result = NULL;
    /* Owned. */
    PyObject *made = Py_NewRef(self->made);
    PyObject *transport = PyVectorcall_NARGS(nargsf) == 1 ? Py_NewRef(args[0]) : NULL;
    step_away(self);
    if (transport != NULL && meet(self, transport) < 0) {
        goto done;
    }
    Record *record =
        transport != NULL && core.is_enabled ? records_find(transport) : NULL;
    if (record == NULL) {
        result = PyObject_Vectorcall(made, args, nargsf, kwnames);
        goto done;
    }
    Step step;
    step_begin_listed(&step, record, transport);
    if (step_tell(&step, EVENT_BEFORE) == 0) {
        result = PyObject_Vectorcall(made, args, nargsf, kwnames);
    }
    result = step_finish(&step, result);
done:
    Py_DECREF(made);
    Py_XDECREF(transport);
    return result;
}

static int
Introduction_traverse(Introduction *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->protocol);
    Py_VISIT(self->made);
    for (int i = 0; i < NAME_COUNT; i++) {
        if (i != CONNECTION_MADE) {
            Py_VISIT(self->ours[i]);
        }
        Py_VISIT(self->before[i]);
    }
    return 0;
}

static int
Introduction_clear(Introduction *self)
{
    for (int i = 0; i < NAME_COUNT; i++) {
        if (i != CONNECTION_MADE) {
            Py_CLEAR(self->ours[i]);
        }
        self->ours[i] = NULL;
        Py_CLEAR(self->before[i]);
    }
    return 0;
}

static void
Introduction_dealloc(Introduction *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Introduction_clear(self);
    Py_CLEAR(self->protocol);
    Py_CLEAR(self->made);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef Introduction_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Introduction, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Introduction_slots[] = {
    {Py_tp_doc, "The connection_made of a protocol that has no transport yet."},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_dealloc, Introduction_dealloc},
    {Py_tp_traverse, Introduction_traverse},
    {Py_tp_clear, Introduction_clear},
    {Py_tp_members, Introduction_members},
    {0, NULL},
};

static PyType_Spec Introduction_spec = {
    .name = "asynchooks._native.Introduction",
    .basicsize = sizeof(Introduction),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Introduction_slots,
};

Origin
protocols_origin(PyObject *maker)
{
    const Record *record = maker != NULL ? records_find(maker) : NULL;
    if (record != NULL) {
        return (Origin){record->async_id, record->root, record->site};
    }
    uint16_t site = sites_kinds & KIND_BIT(KIND_TRANSPORT) ? site_here() : SITE_UNKNOWN;
    return (Origin){execution_async_id(), execution_root(), site};
}

/* Returns: 0, or -1 with an exception set. Steals: made. */
static int
introduce_steal(PyObject *protocol, PyObject *made, PyObject *maker)
{
    Introduction *self = PyObject_GC_New(Introduction, introduction_type);
    if (self == NULL) {
        Py_DECREF(made);
        return -1;
    }
    bool is_inherited = is_of_class(made);
    self->protocol = Py_NewRef(protocol);
    self->made = made;
    memset(self->ours, 0, sizeof(self->ours));
    memset(self->before, 0, sizeof(self->before));
    self->origin = protocols_origin(maker);
    self->vectorcall = Introduction_call;
    PyObject_GC_Track(self);
    int status = put(self, CONNECTION_MADE, is_inherited, (PyObject *)self);
    for (int i = DATA_RECEIVED; status == 0 && i < NAME_COUNT; i++) {
        PyObject *method = PyObject_GetAttr(protocol, names[i]); /* owned */
        if (method == NULL) {
            PyErr_Clear();
            continue;
        }
        is_inherited = is_of_class(method);
        PyObject *ours = make_method_steal(method); /* owned */
        if (ours == NULL) {
            status = -1;
        } else if (put(self, i, is_inherited, ours) < 0) {
            Py_DECREF(ours);
        }
    }
    Py_DECREF(self);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *
protocols_introduce(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_SetString(PyExc_TypeError, "introduce() needs a protocol");
        return NULL;
    }
    PyObject *maker = nargs == 2 && args[1] != Py_None ? args[1] : NULL;
    PyObject *made = PyObject_GetAttr(args[0], names[CONNECTION_MADE]); /* owned */
    if (made == NULL || Py_IS_TYPE(made, introduction_type) || !core.is_enabled) {
        /* One that is used again may still wait for a transport that never came. */
        PyErr_Clear();
        Py_XDECREF(made);
        Py_RETURN_NONE;
    }
    if (introduce_steal(args[0], made, maker) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *
protocols_set_types(PyObject *module, PyObject *known)
{
    if (known != Py_None && !PyDict_Check(known)) {
        PyErr_Format(PyExc_TypeError, "%R is no dict of types", known);
        return NULL;
    }
    Py_XSETREF(types, known != Py_None ? Py_NewRef(known) : NULL);
    Py_RETURN_NONE;
}

int
protocols_add_type(PyObject *module)
{
    names[CONNECTION_MADE] = PyUnicode_InternFromString("connection_made");
    names[DATA_RECEIVED] = PyUnicode_InternFromString("data_received");
    names[BUFFER_UPDATED] = PyUnicode_InternFromString("buffer_updated");
    method_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &ProtocolMethod_spec, NULL);
    introduction_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &Introduction_spec, NULL);
    for (int i = 0; i < NAME_COUNT; i++) {
        if (names[i] == NULL) {
            return -1;
        }
    }
    return method_type != NULL && introduction_type != NULL ? 0 : -1;
}
