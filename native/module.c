/* The module asynchooks._native: its functions, and nothing that has a home elsewhere. */

#include "compat.h"
#include "callbacks.h"
#include "core.h"
#include "handles.h"
#include "hooks.h"
#include "internals.h"
#include "live.h"
#include "records.h"
#include "resources.h"
#include "snapshot.h"
#include "steps.h"
#include "tasks.h"

static PyObject *
configure(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *step, *wakeup, *task;
    if (!PyArg_ParseTuple(args, "OOO:configure", &step, &wakeup, &task)) {
        return NULL;
    }
    if (internals_learn(step, wakeup, task) < 0 || handles_prepare() < 0 ||
        tasks_prepare() < 0 || callbacks_prepare() < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
enable(PyObject *module, PyObject *unused)
{
    if (!internals_are_learnt()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the core is not configured; call asynchooks.enable()");
        return NULL;
    }
    if (!core.is_enabled) {
        core.is_enabled = true;
        handles_install();
        tasks_install();
        hooks_count_wishes();
    }
    Py_RETURN_NONE;
}

static PyObject *
disable(PyObject *module, PyObject *unused)
{
    if (core.is_enabled && hooks_flush_destroys() < 0) {
        return NULL;
    }
    if (core.is_enabled) { /* still: a callback may have disabled it */
        core.is_enabled = false;
        handles_uninstall();
        tasks_uninstall();
        hooks_count_wishes();
        hooks_forget_destroys();
    }
    Py_RETURN_NONE;
}

/* At exit: what the hooks hold must be able to go, so that what asyncio says of a task that
   goes down with its module is said. */
static PyObject *
drop_hooks(PyObject *module, PyObject *unused)
{
    hooks_drop_all();
    Py_RETURN_NONE;
}

static PyObject *
is_enabled(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(core.is_enabled);
}

/* A forked child starts with nothing alive: what the parent made is the parent's, most of it
   held by threads that do not exist here. Ids go on from the parent's, so that none that is
   known here, as a cause, a root or what executes now, is given again. */
static PyObject *
after_fork_in_child(PyObject *module, PyObject *unused)
{
    core.main_thread = PyThread_get_thread_ident();
    tasks_forget_all();
    live_forget_all();
    hooks_forget_destroys();
    Py_RETURN_NONE;
}

static PyObject *
get_execution_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_async_id());
}

static PyObject *
get_trigger_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_top != NULL ? execution_top->created_by
                                                             : ASYNC_ID_NONE);
}

static PyObject *
get_root_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_root());
}

static PyObject *
get_execution_async_resource(PyObject *module, PyObject *unused)
{
    PyObject *resource = execution_top != NULL ? execution_top->resource : NULL;
    return Py_NewRef(resource != NULL ? resource : Py_None);
}

/* What executes now begins a request: it, and all that it creates from here on, have a new
   root. */
static PyObject *
start_root(PyObject *module, PyObject *unused)
{
    uint64_t root = core.next_async_id++;
    if (execution_top != NULL) {
        execution_top->root = root;
        PyObject *resource = execution_top->resource; /* borrowed */
        Record *record = resource != NULL ? records_find(resource) : NULL;
        if (record != NULL) {
            record->root = root;
        }
    }
    return PyLong_FromUnsignedLongLong(root);
}

/* Calls args[0] with the rest as nobody: what it makes has no cause, and is its own root. */
static PyObject *
call_detached(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "call_detached() needs a function to call");
        return NULL;
    }
    const Record nobody = {0};
    Frame frame;
    frame_push(&frame, &nobody, NULL);
    PyObject *result = PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), NULL);
    frame_pop(&frame);
    return result;
}

static PyObject *
live_counts(PyObject *module, PyObject *unused)
{
    PyObject *counts = PyDict_New();
    for (int kind = 0; counts != NULL && kind < KIND_COUNT; kind++) {
        PyObject *count = PyLong_FromSsize_t(core.live[kind]);
        if (count == NULL || PyDict_SetItemString(counts, KIND_NAMES[kind], count) < 0) {
            Py_CLEAR(counts);
        }
        Py_XDECREF(count);
    }
    return counts;
}

static PyObject *
snapshot(PyObject *module, PyObject *args)
{
    unsigned int kinds;
    unsigned long long root;
    if (!PyArg_ParseTuple(args, "IK:snapshot", &kinds, &root)) {
        return NULL;
    }
    return snapshot_take(kinds, root);
}

static PyObject *
py_set_type_attribute(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyTypeObject *owner;
    PyObject *name, *value;
    if (!PyArg_ParseTuple(args, "O!UO:set_type_attribute", &PyType_Type, &owner, &name,
                          &value) ||
        set_type_attribute(owner, name, value) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
py_delete_type_attribute(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyTypeObject *owner;
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O!U:delete_type_attribute", &PyType_Type, &owner,
                          &name) ||
        set_type_attribute(owner, name, NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
make_scheduler(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyTypeObject *loop_type;
    const char *name;
    if (!PyArg_ParseTuple(args, "O!s:make_scheduler", &PyType_Type, &loop_type, &name)) {
        return NULL;
    }
    return callbacks_make_scheduler(loop_type, name);
}

static PyMethodDef functions[] = {
    {"configure", configure, METH_VARARGS,
     "Learn what the core needs to know of this interpreter from three probes."},
    {"enable", enable, METH_NOARGS, "Put the core in force."},
    {"disable", disable, METH_NOARGS, "Put everything back and forget all resources."},
    {"drop_hooks", drop_hooks, METH_NOARGS, "Disable all hooks and let go of them."},
    {"after_fork_in_child", after_fork_in_child, METH_NOARGS,
     "Start anew in a forked child, whose only thread is the caller."},
    {"is_enabled", is_enabled, METH_NOARGS, "Whether the core is in force."},
    {"execution_async_id", get_execution_async_id, METH_NOARGS,
     "The id of what executes now in this thread."},
    {"trigger_async_id", get_trigger_async_id, METH_NOARGS,
     "The id of what created what executes now in this thread."},
    {"root_async_id", get_root_async_id, METH_NOARGS,
     "The id of the root that this thread executes for now."},
    {"execution_async_resource", get_execution_async_resource, METH_NOARGS,
     "The object that executes now in this thread, or None."},
    {"start_root", start_root, METH_NOARGS,
     "Begin a new root for what executes now and return its id."},
    {"call_detached", (PyCFunction)(void (*)(void))call_detached, METH_FASTCALL,
     "Call a function as nobody: what it makes has no cause and is its own root."},
    {"snapshot", snapshot, METH_VARARGS,
     "What lives of these kinds (a mask) below this root (0: any), as tuples."},
    {"live_counts", live_counts, METH_NOARGS, "How many resources live, by kind."},
    {"make_scheduler", make_scheduler, METH_VARARGS,
     "A method in place of a loop class's call_soon and its like, with the callback "
     "seen."},
    {"set_type_attribute", py_set_type_attribute, METH_VARARGS,
     "Set an attribute of any type, immutable ones too."},
    {"delete_type_attribute", py_delete_type_attribute, METH_VARARGS,
     "Delete an attribute of any type, immutable ones too."},
    {NULL, NULL, 0, NULL},
};

/* Returns: 0, or -1 with an exception set. */
static int
add_kinds(PyObject *module)
{
    PyObject *kinds = PyTuple_New(KIND_COUNT);
    for (int kind = 0; kinds != NULL && kind < KIND_COUNT; kind++) {
        PyObject *name = PyUnicode_InternFromString(KIND_NAMES[kind]);
        if (name == NULL) {
            Py_CLEAR(kinds);
        } else {
            PyTuple_SET_ITEM(kinds, kind, name);
        }
    }
    int status = kinds != NULL ? PyModule_AddObjectRef(module, "KINDS", kinds) : -1;
    Py_XDECREF(kinds);
    return status;
}

static int
module_exec(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "asynchooks works in the main interpreter only: it changes types "
                        "that all interpreters of the process share");
        return -1;
    }
    clock_prepare();
    core.main_thread = PyThread_get_thread_ident();
    if (add_kinds(module) < 0 || hooks_add_type(module) < 0 ||
        resources_add_type(module) < 0) {
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "asynchooks._native",
    .m_doc = "The C core of asynchooks.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module_definition);
}
