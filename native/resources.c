#include "resources.h"
#include "compat.h"
#include "free_list.h"
#include "hooks.h"
#include "live.h"
#include "steps.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

typedef struct Resource {
    PyObject_HEAD LiveRecord live;
    PyObject *type_name; /* owned: str */
    PyObject *context;   /* owned: what was in force where it was made */
    PyObject *owner;     /* owned: whatever Python says of who owns it, or NULL */
    PyObject *subject;   /* owned: what it runs, or NULL */
    PyObject *inner;     /* owned: a Resource that made it, and runs inside it, or NULL */
    bool is_manual;      /* collecting it tells no destroy */
    bool is_destroyed;
} Resource;

static PyTypeObject *resource_type = NULL; /* owned */

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
    if (hooks_want(EVENT_INIT, kind) &&
        hooks_emit_init_named(&self->live.record, type_name, (PyObject *)self) < 0) {
        goto error;
    }
    return (PyObject *)self;
error:
    Py_DECREF(self);
    return NULL;
}

/* Of this type, which has nothing of its own, the dead are kept. Owned by who said so. */
static PyTypeObject *kept_type = NULL;
static FreeList free_kept;

void
resources_keep_dead(PyTypeObject *type)
{
    kept_type = type;
}

/* Returns: new, all NULL and zero; or NULL with MemoryError set. */
static Resource *
allocate(PyTypeObject *type)
{
    if (type != kept_type) {
        return (Resource *)type->tp_alloc(type, 0);
    }
    PyObject *self = free_list_take(&free_kept, type);
    if (self != NULL) {
        memset((char *)self + sizeof(PyObject), 0, sizeof(Resource) - sizeof(PyObject));
        PyObject_GC_Track(self);
    }
    return (Resource *)self;
}

PyTypeObject *
resources_type(void)
{
    return resource_type;
}

PyObject *
resources_subject_of(PyObject *op)
{
    return ((Resource *)op)->subject;
}

PyObject *
resources_context_of(PyObject *op)
{
    return ((Resource *)op)->context;
}

PyObject *
resources_make(PyTypeObject *type, Kind kind, PyObject *type_name, PyObject *subject,
               PyObject *owner, PyObject *inner)
{
    Resource *self = allocate(type);
    if (self == NULL) {
        return NULL;
    }
    self->type_name = Py_NewRef(type_name);
    self->subject = Py_XNewRef(subject);
    self->owner = Py_XNewRef(owner);
    self->inner = Py_XNewRef(inner);
    self->context = PyContext_CopyCurrent();
    if (self->context == NULL) {
        goto error;
    }
    live_add(&self->live, (PyObject *)self);
    record_born(&self->live.record, kind);
    if (inner != NULL) {
        self->live.record.created_by = ((Resource *)inner)->live.record.async_id;
        self->live.record.root = ((Resource *)inner)->live.record.root;
    }
    if (hooks_want(EVENT_INIT, kind) &&
        hooks_emit_init(&self->live.record, KIND_NAMES[kind], (PyObject *)self) < 0) {
        goto error;
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
    Py_VISIT(self->type_name); /* perhaps of a subclass of str */
    Py_VISIT(self->context);
    Py_VISIT(self->owner);
    Py_VISIT(self->subject);
    Py_VISIT(self->inner);
    return 0;
}

static int
Resource_clear(Resource *self)
{
    Py_CLEAR(self->context);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->subject);
    Py_CLEAR(self->inner);
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
    if (type == kept_type) {
        free_list_put(&free_kept, (PyObject *)self);
        return;
    }
    type->tp_free(self);
    Py_DECREF(type);
}

/* fn(*args, **kwargs) as a step of this resource and, inside that, of its inner one. */
static PyObject *
run(Resource *self, PyObject *fn, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *result = NULL;
    Step step;
    step_begin(&step, &self->live.record, (PyObject *)self);
    if (step_tell(&step, EVENT_BEFORE) == 0) {
        result = self->inner != NULL
                     ? run((Resource *)self->inner, fn, args, nargsf, kwnames)
                     : PyObject_Vectorcall(fn, args, nargsf, kwnames);
    }
    return step_finish(&step, result);
}

/* The same in `context`. Steals nothing. */
static PyObject *
run_in_context(Resource *self, PyObject *context, PyObject *fn, PyObject *const *args,
               size_t nargsf, PyObject *kwnames)
{
    if (PyContext_Enter(context) < 0) {
        return NULL;
    }
    return leave_context(context, run(self, fn, args, nargsf, kwnames));
}

PyObject *
resources_run_once(PyObject *op, PyObject *fn, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames)
{
    Resource *self = (Resource *)op;
    return run_in_context(self, self->context, fn, args, nargsf, kwnames);
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
    PyObject *context = PyContext_Copy(self->context); /* owned */
    if (context == NULL) {
        return NULL;
    }
    PyObject *result =
        run_in_context(self, context, args[0], args + 1, (size_t)(nargs - 1), kwnames);
    Py_DECREF(context);
    return result;
}

/* For what runs elsewhere, in another process: it runs from now on. Tells nobody: nothing
   of it executes here. */
static PyObject *
Resource_mark_running(Resource *self, PyObject *unused)
{
    Record *record = &self->live.record;
    if (record->state == STATE_READY) {
        uint64_t now = clock_ticks();
        record->ready_time += clock_elapsed(record->since, now);
        record->since = now;
        record->state = STATE_RUNNING;
        record->steps++;
    }
    Py_RETURN_NONE;
}

/* And it is done. */
static PyObject *
Resource_mark_done(Resource *self, PyObject *unused)
{
    Record *record = &self->live.record;
    uint64_t now = clock_ticks();
    if (record->state == STATE_RUNNING) {
        record->run_time += clock_elapsed(record->since, now);
    } else if (record->state == STATE_READY) {
        record->ready_time += clock_elapsed(record->since, now);
    }
    record->since = now;
    record->state = STATE_DONE;
    Py_RETURN_NONE;
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
    {"mark_running", (PyCFunction)Resource_mark_running, METH_NOARGS,
     "mark_running($self, /)\n--\n\nWhat this stands for runs from now on, elsewhere."},
    {"mark_done", (PyCFunction)Resource_mark_done, METH_NOARGS,
     "mark_done($self, /)\n--\n\nWhat this stands for is done."},
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

static PyMemberDef Resource_members[] = {
    {"owner", T_OBJECT, offsetof(Resource, owner), 0,
     "A weak reference to who owns this, or None."},
    {"subject", T_OBJECT, offsetof(Resource, subject), 0, "What this runs, or None."},
    {NULL, 0, 0, 0, NULL},
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
    {Py_tp_members, Resource_members},
    {0, NULL},
};

static PyType_Spec Resource_spec = {
    .name = "asynchooks._native.Resource",
    .basicsize = sizeof(Resource),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Resource_slots,
};

Record *
resources_record_of(PyObject *object)
{
    return resource_type != NULL && PyObject_TypeCheck(object, resource_type)
               ? &((Resource *)object)->live.record
               : NULL;
}

int
resources_add_type(PyObject *module)
{
    resource_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &Resource_spec, NULL);
    return resource_type != NULL ? PyModule_AddType(module, resource_type) : -1;
}
