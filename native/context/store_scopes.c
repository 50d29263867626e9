#include "store_scopes.h"
#include "compat.h"
#include "internals_frames.h"
#include "storages.h"

#include <stddef.h>
#include <structmember.h>

/* A store that is to be in force in a block. */
typedef struct StoreScope {
    PyObject_HEAD PyObject *storage; /* owned */
    PyObject *store;                 /* owned */
} StoreScope;

/* One entering of a scope. The contexts that have come from it hold it beside the store, and
   whoever leaves the scope finds it there: that is how one tells that what is in force is the
   scope's, also where the store is the same as somebody else's, or another was entered inside. */
typedef struct Use {
    PyObject_HEAD PyObject *scope; /* owned */
    PyObject *variable;            /* owned: whose value was set */
    PyObject *before; /* owned: what was in force, and will be; NULL when it was left */
    PyObject *inside; /* owned: what is in force inside while a generator stands still */
    PyObject
        *generator; /* owned: the frame of the generator that has entered it, or NULL */
    PyObject
        *token; /* owned: says whether it is left in the context that it was entered in;
                        NULL where it does not matter any more */
} Use;

static PyTypeObject *use_type = NULL; /* owned */

/* Who is told: owned, or NULL. */
static PyObject *told_entered = NULL;
static PyObject *told_left = NULL;

/* Who enters context managers for somebody else, owned. */
static PyObject *entering_names[4];
static const char *const ENTERING_NAMES[4] = {
    "__enter__",
    "__aenter__",
    "enter_context",
    "enter_async_context",
};

/* ---- Use --------------------------------------------------------------------------- */

/* Returns: 0, or -1 with an exception set. */
static int
set(PyObject *variable, PyObject *value)
{
    PyObject *token = PyContextVar_Set(variable, value);
    Py_XDECREF(token);
    return token != NULL ? 0 : -1;
}

/* Returns: the new value of `variable` here, or NULL with an exception set. */
static PyObject *
get(PyObject *variable)
{
    PyObject *value = NULL;
    return PyContextVar_Get(variable, storages_missing(), &value) == 0 ? value : NULL;
}

/* Puts `store` in force. Returns: new, or NULL with an exception set. */
static PyObject *
begin_use(StoreScope *scope)
{
    Use *self = PyObject_GC_New(Use, use_type);
    if (self == NULL) {
        return NULL;
    }
    self->scope = Py_NewRef(scope);
    self->variable = Py_NewRef(storages_variable(scope->storage));
    self->before = self->inside = self->generator = self->token = NULL;
    PyObject_GC_Track(self);
    /* Owned. */
    PyObject *entry = NULL;
    self->before = get(self->variable);
    if (self->before == NULL) {
        goto error;
    }
    entry = storages_make_entry(scope->store, (PyObject *)self);
    if (entry == NULL) {
        goto error;
    }
    self->token = PyContextVar_Set(self->variable, entry);
    Py_DECREF(entry);
    if (self->token == NULL) {
        goto error;
    }
    return (PyObject *)self;
error:
    Py_DECREF(self);
    return NULL;
}

/* Puts what was before in force, here where this is.
   Returns: 0, or -1 with an exception set. May run Python code: yes (stores die). */
static int
leave(Use *self)
{
    PyObject *before = self->before; /* borrowed */
    if (before == NULL) {
        return 0;
    }
    if (self->token == NULL) {
        if (set(self->variable, before) < 0) {
            return -1;
        }
    } else if (PyContextVar_Reset(self->variable, self->token) < 0) {
        /* Another context, that came from the one that it was entered in. There it may be left
           yet. */
        if (!PyErr_ExceptionMatches(PyExc_ValueError)) {
            return -1;
        }
        PyErr_Clear();
        return set(self->variable, before);
    }
    /* What is still held by the tasks that were started inside is this alone, and not all that
       was below it. */
    Py_CLEAR(self->token);
    Py_CLEAR(self->inside);
    Py_CLEAR(self->before);
    return 0;
}

static PyObject *
Use_suspend(Use *self, PyObject *unused)
{
    PyObject *inside = get(self->variable);
    if (inside == NULL) {
        return NULL;
    }
    Py_XSETREF(self->inside, inside);
    if (self->before != NULL && set(self->variable, self->before) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
Use_resume(Use *self, PyObject *unused)
{
    PyObject *before = get(self->variable);
    if (before == NULL) {
        return NULL;
    }
    Py_XSETREF(self->before, before);
    Py_CLEAR(self->token);
    if (self->inside != NULL && set(self->variable, self->inside) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int
Use_traverse(Use *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->scope);
    Py_VISIT(self->variable);
    Py_VISIT(self->before);
    Py_VISIT(self->inside);
    Py_VISIT(self->generator);
    Py_VISIT(self->token);
    return 0;
}

/* The scope and the variable stay as long as this: neither refers back to a use. */
static int
Use_clear(Use *self)
{
    Py_CLEAR(self->before);
    Py_CLEAR(self->inside);
    Py_CLEAR(self->generator);
    Py_CLEAR(self->token);
    return 0;
}

static void
Use_dealloc(Use *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Use_clear(self);
    Py_CLEAR(self->scope);
    Py_CLEAR(self->variable);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef Use_methods[] = {
    {"suspend", (PyCFunction)Use_suspend, METH_NOARGS,
     "suspend($self, /)\n--\n\nPut what is outside in force."},
    {"resume", (PyCFunction)Use_resume, METH_NOARGS,
     "resume($self, /)\n--\n\nPut what was inside in force again, in whatever context: "
     "that has "
     "an\noutside of its own."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Use_members[] = {
    {"generator", T_OBJECT, offsetof(Use, generator), 0,
     "The frame of the generator that has entered the scope, or None."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Use_slots[] = {
    {Py_tp_doc, "One entering of a scope."},
    {Py_tp_traverse, Use_traverse},
    {Py_tp_clear, Use_clear},
    {Py_tp_dealloc, Use_dealloc},
    {Py_tp_methods, Use_methods},
    {Py_tp_members, Use_members},
    {0, NULL},
};

static PyType_Spec Use_spec = {
    .name = "asynchooks._native.Use",
    .basicsize = sizeof(Use),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Use_slots,
};

/* ---- StoreScope ------------------------------------------------------------------------- */

static PyObject *
StoreScope_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    /* Borrowed. */
    PyObject *storage, *store;
    if (!PyArg_ParseTuple(args, "OO:StoreScope", &storage, &store)) {
        return NULL;
    }
    if (storages_variable(storage) == NULL) {
        PyErr_Format(PyExc_TypeError, "%R is not a storage", storage);
        return NULL;
    }
    StoreScope *self = (StoreScope *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->storage = Py_NewRef(storage);
        self->store = Py_NewRef(store);
    }
    return (PyObject *)self;
}

static int
StoreScope_traverse(StoreScope *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->storage);
    Py_VISIT(self->store);
    return 0;
}

static int
StoreScope_clear(StoreScope *self)
{
    Py_CLEAR(self->store);
    return 0;
}

static void
StoreScope_dealloc(StoreScope *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)StoreScope_clear(self);
    Py_CLEAR(self->storage);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Whether it may be a generator that enters: directly, or by what enters for it. */
static bool
may_be_entered_by_generator(void)
{
    InterpreterFrame *frame = frame_current();
    if (frame == NULL) {
        return false;
    }
    PyCodeObject *code = frame_code(frame);
    if (code->co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)) {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        if (code->co_name == entering_names[i]) {
            return true;
        }
    }
    return false;
}

static PyObject *
StoreScope_enter(StoreScope *self, PyObject *unused)
{
    if (self->store == NULL) {
        Py_RETURN_NONE; /* it is being collected */
    }
    PyObject *use = begin_use(self); /* owned */
    if (use == NULL) {
        return NULL;
    }
    if (told_entered != NULL && may_be_entered_by_generator()) {
        PyObject *told = Py_NewRef(told_entered);                    /* owned */
        PyObject *frame = Py_XNewRef((PyObject *)PyEval_GetFrame()); /* owned */
        PyObject *result =
            frame != NULL ? PyObject_CallFunctionObjArgs(told, use, frame, NULL) : NULL;
        Py_DECREF(told);
        Py_XDECREF(frame);
        Py_XDECREF(result);
        if (result == NULL) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
    }
    Py_DECREF(use);
    return Py_NewRef(self->store);
}

/* Tells of the end of `use`. May run Python code: yes. */
static void
tell_left(Use *use)
{
    if (use->generator == NULL || told_left == NULL) {
        return;
    }
    PyObject *told = Py_NewRef(told_left);                         /* owned */
    PyObject *result = PyObject_CallOneArg(told, (PyObject *)use); /* owned */
    Py_DECREF(told);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)use);
    }
    Py_XDECREF(result);
}

/* From what is in force here down to this scope's innermost use: that is left; or, where another
   has come to stand on it, that stands on what was below it from now on. Where there is none, the
   scope is not in force here. */
static PyObject *
StoreScope_exit(StoreScope *self, PyObject *const *args, Py_ssize_t nargs)
{
    int status = 0;
    /* Owned. */
    Use *above = NULL;
    PyObject *value = get(storages_variable(self->storage));
    while (value != NULL && storages_is_entry(value)) {
        Use *use = (Use *)Py_NewRef(storages_use_of(value)); /* owned */
        if (use->scope == (PyObject *)self) {
            tell_left(use);
            if (above == NULL) {
                status = leave(use);
            } else {
                Py_CLEAR(above->token);
                Py_XSETREF(above->before, Py_XNewRef(use->before));
            }
            Py_DECREF(use);
            break;
        }
        Py_XSETREF(above, use);
        Py_SETREF(value, Py_XNewRef(use->before));
    }
    Py_XDECREF(above);
    Py_XDECREF(value);
    if (status < 0 || PyErr_Occurred()) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef StoreScope_methods[] = {
    {"__enter__", (PyCFunction)StoreScope_enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\nPut the store in force, and return it."},
    {"__exit__", (PyCFunction)(void (*)(void))StoreScope_exit, METH_FASTCALL,
     "__exit__($self, exc_type=None, exc=None, traceback=None, /)\n--\n\n"
     "Put what was before in force, where the scope is."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot StoreScope_slots[] = {
    {Py_tp_doc, "The C base of what `with storage.use(store):` enters."},
    {Py_tp_new, StoreScope_new},
    {Py_tp_traverse, StoreScope_traverse},
    {Py_tp_clear, StoreScope_clear},
    {Py_tp_dealloc, StoreScope_dealloc},
    {Py_tp_methods, StoreScope_methods},
    {0, NULL},
};

static PyType_Spec StoreScope_spec = {
    .name = "asynchooks._native.StoreScope",
    .basicsize = sizeof(StoreScope),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = StoreScope_slots,
};

void
store_scopes_watch(PyObject *entered, PyObject *left)
{
    Py_XSETREF(told_entered, Py_XNewRef(entered));
    Py_XSETREF(told_left, Py_XNewRef(left));
}

int
store_scopes_add_types(PyObject *module)
{
    for (int i = 0; i < 4; i++) {
        entering_names[i] = PyUnicode_InternFromString(ENTERING_NAMES[i]);
        if (entering_names[i] == NULL) {
            return -1;
        }
    }
    int status = -1;
    PyTypeObject *scope_type = (PyTypeObject *)PyType_FromModuleAndSpec(
        module, &StoreScope_spec, NULL); /* owned */
    use_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Use_spec, NULL);
    if (scope_type != NULL && use_type != NULL) {
        status = PyModule_AddType(module, scope_type) < 0
                     ? -1
                     : PyModule_AddType(module, use_type);
    }
    Py_XDECREF(scope_type);
    return status;
}
