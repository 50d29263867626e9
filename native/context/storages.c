#include "storages.h"
#include "compat.h"

#include <stddef.h>
#include <structmember.h>

/* What a storage's variable holds is the store itself, or, inside a scope, an Entry: the store
   and the use of the scope that has put it there, so that whoever leaves the scope, in whatever
   context, can tell what is its own. */
typedef struct Entry {
    PyObject_HEAD PyObject *store; /* owned */
    PyObject *use;                 /* owned */
} Entry;

typedef struct Storage {
    PyObject_HEAD PyObject
        *variable;           /* owned: a ContextVar; another after each disable() */
    PyObject *default_store; /* owned */
    PyObject *name;          /* owned: str */
} Storage;

static PyTypeObject *storage_type = NULL; /* owned */
static PyTypeObject *entry_type = NULL;   /* owned */
static PyObject *missing = NULL;          /* owned: "no store", also as what is set */
static PyObject *carry_name = NULL;       /* owned: str */

/* ---- Entry ------------------------------------------------------------------------- */

PyObject *
storages_make_entry(PyObject *store, PyObject *use)
{
    Entry *self = PyObject_GC_New(Entry, entry_type);
    if (self == NULL) {
        return NULL;
    }
    self->store = Py_NewRef(store);
    self->use = Py_NewRef(use);
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

bool
storages_is_entry(PyObject *value)
{
    return Py_IS_TYPE(value, entry_type);
}

PyObject *
storages_use_of(PyObject *entry)
{
    return ((Entry *)entry)->use;
}

static int
Entry_traverse(Entry *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->store);
    Py_VISIT(self->use);
    return 0;
}

static void
Entry_dealloc(Entry *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->store);
    Py_CLEAR(self->use);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMemberDef Entry_members[] = {
    {"store", T_OBJECT, offsetof(Entry, store), READONLY, "The store."},
    {"use", T_OBJECT, offsetof(Entry, use), READONLY,
     "The use of a scope that it is of."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Entry_slots[] = {
    {Py_tp_doc, "A store that a scope has put in force."},
    {Py_tp_traverse, Entry_traverse},
    {Py_tp_dealloc, Entry_dealloc},
    {Py_tp_members, Entry_members},
    {0, NULL},
};

static PyType_Spec Entry_spec = {
    .name = "asynchooks._native.Entry",
    .basicsize = sizeof(Entry),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Entry_slots,
};

/* ---- Storage ----------------------------------------------------------------------- */

static PyObject *
new_variable(PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    return text != NULL ? PyContextVar_New(text, NULL) : NULL;
}

static PyObject *
Storage_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Storage *self = (Storage *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->default_store = Py_NewRef(Py_None);
    self->name = PyUnicode_FromString("");
    self->variable = self->name != NULL ? new_variable(self->name) : NULL;
    if (self->variable == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static int
Storage_init(Storage *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "default", NULL};
    /* Borrowed. */
    PyObject *name, *default_store;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "UO:Storage", names, &name,
                                     &default_store)) {
        return -1;
    }
    PyObject *variable = new_variable(name);
    if (variable == NULL) {
        return -1;
    }
    Py_XSETREF(self->name, Py_NewRef(name));
    Py_XSETREF(self->default_store, Py_NewRef(default_store));
    Py_XSETREF(self->variable, variable);
    return 0;
}

static int
Storage_traverse(Storage *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->variable);
    Py_VISIT(self->default_store);
    return 0;
}

static int
Storage_clear(Storage *self)
{
    Py_CLEAR(self->variable);
    Py_CLEAR(self->default_store);
    return 0;
}

static void
Storage_dealloc(Storage *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Storage_clear(self);
    Py_CLEAR(self->name);
    type->tp_free(self);
    Py_DECREF(type);
}

/* The variable's value here, also where it is no store (MISSING, an Entry).
   Returns: new; NULL with an exception set, or without one where there is none. */
static PyObject *
value_here(Storage *self)
{
    PyObject *value = NULL;
    if (self->variable == NULL || PyContextVar_Get(self->variable, NULL, &value) < 0) {
        return NULL;
    }
    return value;
}

static PyObject *
Storage_get_store(Storage *self, PyObject *unused)
{
    PyObject *value = value_here(self);
    if (value == NULL || value == missing) {
        if (value == NULL && PyErr_Occurred()) {
            return NULL;
        }
        Py_XDECREF(value);
        return Py_NewRef(self->default_store);
    }
    if (Py_IS_TYPE(value, entry_type)) {
        PyObject *store = Py_NewRef(((Entry *)value)->store);
        Py_DECREF(value);
        return store;
    }
    return value;
}

/* What is set anew inside a scope belongs to that scope, too. */
static PyObject *
Storage_enter_with(Storage *self, PyObject *store)
{
    PyObject *result = NULL;
    /* Owned. */
    PyObject *entry = NULL;
    PyObject *token = NULL;
    PyObject *value = value_here(self);
    if (value == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (value != NULL && Py_IS_TYPE(value, entry_type)) {
        entry = storages_make_entry(store, ((Entry *)value)->use);
        if (entry == NULL) {
            goto error;
        }
    }
    token = PyContextVar_Set(self->variable, entry != NULL ? entry : store);
    if (token != NULL) {
        result = Py_NewRef(Py_None);
    }
error:
    Py_XDECREF(token);
    Py_XDECREF(entry);
    Py_XDECREF(value);
    return result;
}

/* Whether a call has given something whose code runs later, in steps. */
static bool
has_steps(PyObject *result)
{
    return PyCoro_CheckExact(result) || PyGen_CheckExact(result) ||
           PyAsyncGen_CheckExact(result);
}

/* Takes back what `token` has set, with an exception set or not, which stays.
   Steals: token. Returns: 0, or -1 with an exception set. */
static int
take_back_steal(PyObject *variable, PyObject *token)
{
    PyObject *exception = PyErr_GetRaisedException(); /* owned */
    int status = PyContextVar_Reset(variable, token);
    Py_DECREF(token);
    if (status == 0) {
        PyErr_SetRaisedException(exception);
    } else {
        Py_XDECREF(exception);
    }
    return status;
}

/* fn(*args, **kwargs) with `store` in force. A call begins and ends in one context, so that the
   token is always good.
   Returns: new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
run_with(Storage *self, PyObject *store, PyObject *fn, PyObject *const *args,
         size_t nargsf, PyObject *kwnames)
{
    /* Owned. */
    PyObject *variable = Py_NewRef(self->variable); /* fn may call disable() */
    PyObject *left = NULL;
    PyObject *result = NULL;
    PyObject *token = PyContextVar_Set(variable, store);
    if (token == NULL) {
        goto error;
    }
    result = PyObject_Vectorcall(fn, args, nargsf, kwnames);
    if (result != NULL && has_steps(result) &&
        PyContextVar_Get(variable, missing, &left) < 0) {
        Py_CLEAR(result);
    }
    if (take_back_steal(variable, token) < 0) {
        Py_CLEAR(result);
        goto error;
    }
    if (left != NULL && result != NULL) {
        PyObject *carried = PyObject_CallMethodObjArgs((PyObject *)self, carry_name,
                                                       variable, left, result, NULL);
        Py_SETREF(result, carried);
    }
error:
    Py_XDECREF(left);
    Py_DECREF(variable);
    return result;
}

static PyObject *
Storage_run(Storage *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs < 2) {
        PyErr_SetString(PyExc_TypeError, "run() needs a store and the function to call");
        return NULL;
    }
    return run_with(self, args[0], args[1], args + 2, (size_t)(nargs - 2), kwnames);
}

static PyObject *
Storage_exit(Storage *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "exit() needs the function to call");
        return NULL;
    }
    return run_with(self, missing, args[0], args + 1, (size_t)(nargs - 1), kwnames);
}

static PyObject *
Storage_disable(Storage *self, PyObject *unused)
{
    PyObject *variable = new_variable(self->name);
    if (variable == NULL) {
        return NULL;
    }
    Py_XSETREF(self->variable, variable);
    Py_RETURN_NONE;
}

static PyMethodDef Storage_methods[] = {
    {"get_store", (PyCFunction)Storage_get_store, METH_NOARGS,
     "get_store($self, /)\n--\n\nThe store in force here, or the default. Costs what "
     "ContextVar.get() costs."},
    {"enter_with", (PyCFunction)Storage_enter_with, METH_O,
     "enter_with($self, store, /)\n--\n\n"
     "Put `store` in force for the rest of this task, thread or callback, and for what "
     "it\n"
     "starts from here on.\n\n"
     "Unlike Node's, a coroutine that is awaited directly shares its caller's context, "
     "so its\n"
     "`enter_with` is seen by the caller; a task's is not. Where a scope has an end, "
     "`use` or\n"
     "`run` is the better tool."},
    {"run", (PyCFunction)(void (*)(void))Storage_run, METH_FASTCALL | METH_KEYWORDS,
     "run($self, store, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn(*args, **kwargs) with `store` in force, and return what it returns.\n\n"
     "A function has the store during the call. A coroutine function, generator function "
     "or\n"
     "async generator function gives its coroutine or generator, whose body has the "
     "store\n"
     "exactly while it runs, whoever steps it, in whichever task or thread; the code "
     "that\n"
     "steps it does not.\n\n"
     "What `fn` starts (tasks, timers) inherits the store. Nothing leaks out of `run`, "
     "and\n"
     "leaving it never raises."},
    {"exit", (PyCFunction)(void (*)(void))Storage_exit, METH_FASTCALL | METH_KEYWORDS,
     "exit($self, fn, /, *args, **kwargs)\n--\n\n"
     "Call fn(*args, **kwargs), as `run` does, with no store in force: get_store() gives "
     "the\n"
     "default."},
    {"disable", (PyCFunction)Storage_disable, METH_NOARGS,
     "disable($self, /)\n--\n\n"
     "Drop every store of this storage, in every context, for good.\n\n"
     "get_store() gives the default from now on, also in timers and tasks that were "
     "started\n"
     "with a store. `run`, `use` and `enter_with` work on as with a new storage."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef Storage_members[] = {
    {"_variable", T_OBJECT_EX, offsetof(Storage, variable), READONLY,
     "The context variable, until the next disable()."},
    {"name", T_OBJECT_EX, offsetof(Storage, name), READONLY,
     "The name given at creation."},
    {"default", T_OBJECT, offsetof(Storage, default_store), READONLY,
     "What get_store() gives where no store is set."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Storage_slots[] = {
    {Py_tp_doc, "The C base of asynchooks.AsyncLocalStorage."},
    {Py_tp_new, Storage_new},
    {Py_tp_init, Storage_init},
    {Py_tp_traverse, Storage_traverse},
    {Py_tp_clear, Storage_clear},
    {Py_tp_dealloc, Storage_dealloc},
    {Py_tp_methods, Storage_methods},
    {Py_tp_members, Storage_members},
    {0, NULL},
};

static PyType_Spec Storage_spec = {
    .name = "asynchooks._native.Storage",
    .basicsize = sizeof(Storage),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Storage_slots,
};

PyObject *
storages_variable(PyObject *storage)
{
    return PyObject_TypeCheck(storage, storage_type) ? ((Storage *)storage)->variable
                                                     : NULL;
}

PyObject *
storages_missing(void)
{
    return missing;
}

/* The interpreter calls a C method without detours where the object is of the very class that
   the method is of: a subclass is to have methods of its own.
   Returns: 0, or -1 with an exception set. May run Python code: no. */
int
storages_own_methods(PyTypeObject *subclass)
{
    if (!PyType_IsSubtype(subclass, storage_type)) {
        PyErr_Format(PyExc_TypeError, "%R is no subclass of Storage", subclass);
        return -1;
    }
    for (PyMethodDef *method = Storage_methods; method->ml_name != NULL; method++) {
        PyObject *descriptor = PyDescr_NewMethod(subclass, method); /* owned */
        int status = descriptor != NULL
                         ? PyObject_SetAttrString((PyObject *)subclass, method->ml_name,
                                                  descriptor)
                         : -1;
        Py_XDECREF(descriptor);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

int
storages_add_types(PyObject *module)
{
    int status = -1;
    storage_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Storage_spec, NULL);
    entry_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Entry_spec, NULL);
    missing = PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
    carry_name = PyUnicode_InternFromString("_carry");
    if (storage_type != NULL && entry_type != NULL && missing != NULL &&
        carry_name != NULL && PyModule_AddType(module, storage_type) == 0 &&
        PyModule_AddType(module, entry_type) == 0) {
        status = PyModule_AddObjectRef(module, "MISSING", missing);
    }
    return status;
}
