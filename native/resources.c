#include "resources.h"
#include "compat.h"
#include "hooks.h"
#include "live.h"
#include "steps.h"

typedef struct Resource {
    PyObject_HEAD LiveRecord live;
    PyObject *type_name; /* owned: str */
    PyObject *context;   /* owned: what was in force where it was made */
    bool is_manual;      /* collecting it tells no destroy */
    bool is_destroyed;
} Resource;

static PyObject *
Resource_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"type_name", "trigger_async_id", "manual_destroy", "kind",
                            NULL};
    /* Borrowed. */
    PyObject *type_name;
    PyObject *trigger;
    int is_manual;
    int kind = KIND_RESOURCE;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UOp|i:Resource", names, &type_name,
                                     &trigger, &is_manual, &kind)) {
        return NULL;
    }
    if (kind < KIND_RESOURCE || kind >= KIND_COUNT) {
        PyErr_Format(PyExc_ValueError, "no resource of kind %d can be made", kind);
        return NULL;
    }
    uint64_t created_by = ASYNC_ID_NONE;
    if (trigger != Py_None) {
        created_by = PyLong_AsUnsignedLongLong(trigger);
        if (created_by == (uint64_t)-1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    Resource *self = (Resource *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->type_name = Py_NewRef(type_name);
    self->is_manual = is_manual;
    self->context = PyContext_CopyCurrent();
    if (self->context == NULL) {
        goto error;
    }
    live_add(&self->live, (PyObject *)self);
    record_born(&self->live.record, (Kind)kind);
    if (trigger != Py_None) {
        self->live.record.created_by = created_by;
    }
    if (hooks_want(EVENT_INIT, kind)) {
        const char *name = PyUnicode_AsUTF8(type_name);
        if (name == NULL ||
            hooks_emit_init(&self->live.record, name, (PyObject *)self) < 0) {
            goto error;
        }
    }
    return (PyObject *)self;
error:
    Py_DECREF(self);
    return NULL;
}

static int
Resource_traverse(Resource *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->context);
    return 0;
}

static int
Resource_clear(Resource *self)
{
    Py_CLEAR(self->context);
    return 0;
}

/* Tells destroy, once. Never runs Python code. */
static void
destroy(Resource *self)
{
    if (self->is_destroyed) {
        return;
    }
    self->is_destroyed = true;
    (void)live_remove(&self->live);
    if (hooks_want(EVENT_DESTROY, self->live.record.kind)) {
        hooks_queue_destroy(self->live.record.async_id, self->live.record.kind);
    }
}

static void
Resource_dealloc(Resource *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (live_remove(&self->live) && !self->is_manual) {
        destroy(self);
    }
    (void)Resource_clear(self);
    Py_CLEAR(self->type_name);
    type->tp_free(self);
    Py_DECREF(type);
}

/* fn(*args, **kwargs) as a step of this resource, in a copy of the context that it was
   made in: a copy, so that any number of threads and nested calls may be inside. */
static PyObject *
Resource_run_in_async_scope(Resource *self, PyObject *const *args, Py_ssize_t nargs,
                            PyObject *kwnames)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError,
                        "run_in_async_scope() needs the function that it is to call");
        return NULL;
    }
    PyObject *result = NULL;
    /* Owned. */
    PyObject *context = PyContext_Copy(self->context);
    if (context == NULL) {
        return NULL;
    }
    if (PyContext_Enter(context) < 0) {
        Py_DECREF(context);
        return NULL;
    }
    Step step;
    step_begin(&step, &self->live.record, (PyObject *)self);
    if (step_tell(&step, EVENT_BEFORE) == 0) {
        result = PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), kwnames);
    }
    if (step_tell(&step, EVENT_AFTER) < 0) {
        Py_CLEAR(result);
    }
    if (step_end(&step) < 0) {
        Py_CLEAR(result);
    }

    PyObject *exception = PyErr_GetRaisedException();
    if (PyContext_Exit(context) < 0) {
        Py_CLEAR(result);
        Py_XDECREF(exception);
    } else {
        PyErr_SetRaisedException(exception);
    }
    Py_DECREF(context);
    return result;
}

static PyObject *
Resource_emit_destroy(Resource *self, PyObject *unused)
{
    destroy(self);
    Py_RETURN_NONE;
}

static PyObject *
Resource_async_id(Resource *self, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(self->live.record.async_id);
}

static PyObject *
Resource_trigger_async_id(Resource *self, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(self->live.record.created_by);
}

static PyObject *
Resource_get_type_name(Resource *self, void *unused)
{
    return Py_NewRef(self->type_name);
}

static PyMethodDef Resource_methods[] = {
    {"run_in_async_scope", (PyCFunction)(void (*)(void))Resource_run_in_async_scope,
     METH_FASTCALL | METH_KEYWORDS,
     "run_in_async_scope($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn(*args, **kwargs) as this resource: with its id as execution_async_id(), in "
     "the context\nthat it was created in, between before and after. Any thread; may "
     "nest."},
    {"emit_destroy", (PyCFunction)Resource_emit_destroy, METH_NOARGS,
     "emit_destroy($self, /)\n--\n\nTell destroy hooks that this resource is gone. Only "
     "the first call does."},
    {"async_id", (PyCFunction)Resource_async_id, METH_NOARGS,
     "async_id($self, /)\n--\n\nThe process-unique id of this resource."},
    {"trigger_async_id", (PyCFunction)Resource_trigger_async_id, METH_NOARGS,
     "trigger_async_id($self, /)\n--\n\nThe id of what created this resource."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Resource_getset[] = {
    {"type", (getter)Resource_get_type_name, NULL, "The type name given at creation.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Resource_slots[] = {
    {Py_tp_doc,
     "The C base of asynchooks.AsyncResource, and what stands for jobs and threads."},
    {Py_tp_new, Resource_new},
    {Py_tp_traverse, Resource_traverse},
    {Py_tp_clear, Resource_clear},
    {Py_tp_dealloc, Resource_dealloc},
    {Py_tp_methods, Resource_methods},
    {Py_tp_getset, Resource_getset},
    {0, NULL},
};

static PyType_Spec Resource_spec = {
    .name = "asynchooks._native.Resource",
    .basicsize = sizeof(Resource),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Resource_slots,
};

int
resources_add_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &Resource_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int status = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return status;
}
