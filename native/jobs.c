#include "jobs.h"
#include "compat.h"
#include "internals.h"
#include "resources.h"

#include <string.h>

static PyTypeObject *job_type = NULL;        /* owned */
static PyObject *lookups = NULL;             /* owned: a tuple of functions, or NULL */
static PyObject *str_fn = NULL;              /* owned: an item's attribute, up to 3.13 */
static PyObject *str_task = NULL;            /* owned: (fn, args, kwargs), from 3.14 on */
static PyObject *str_prepare_context = NULL; /* owned: what a pool does for its threads */
static PyObject *str_executor_job = NULL;    /* owned: "ExecutorJob" */
static PyObject *str_dns_lookup = NULL;      /* owned: "DNSLookup" */

/* ---- Submitting -------------------------------------------------------------------- */

static bool
is_lookup(PyObject *fn)
{
    if (lookups == NULL) {
        return false;
    }
    if (PyMethod_Check(fn)) {
        fn = PyMethod_GET_FUNCTION(fn);
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(lookups); i++) {
        if (PyTuple_GET_ITEM(lookups, i) == fn) {
            return true;
        }
    }
    return false;
}

/* Returns: new, or NULL with an exception set. May run Python code: yes (init hooks). */
static PyObject *
make_job(PyObject *executor, PyObject *fn)
{
    PyObject *job = NULL;
    /* Owned. */
    PyObject *owner = PyWeakref_NewRef(executor, NULL);
    PyObject *lookup = NULL;
    if (owner == NULL) {
        return NULL;
    }
    if (is_lookup(fn)) {
        lookup = resources_make(resources_type(), KIND_DNS_LOOKUP, str_dns_lookup, fn,
                                NULL, NULL);
        if (lookup == NULL) {
            goto done;
        }
    }
    job =
        resources_make(job_type, KIND_EXECUTOR_JOB, str_executor_job, fn, owner, lookup);
done:
    Py_DECREF(owner);
    Py_XDECREF(lookup);
    return job;
}

/* Whether `executor` runs its jobs in threads of this interpreter. Not so an
   InterpreterPoolExecutor (3.14), whose jobs leave for another one: it says by a method of its
   own how that is prepared. */
static bool
runs_jobs_here(PyObject *executor)
{
    static PyTypeObject *pool_type = NULL; /* owned: ThreadPoolExecutor */
    if (pool_type == NULL) {
        PyObject *module = PyImport_ImportModule("concurrent.futures.thread");
        if (module != NULL) {
            pool_type =
                (PyTypeObject *)PyObject_GetAttrString(module, "ThreadPoolExecutor");
            Py_DECREF(module);
        }
        if (pool_type == NULL) {
            PyErr_Clear();
            return false;
        }
    }
    return Py_IS_TYPE(executor, pool_type) ||
           lookup_in_type(Py_TYPE(executor), str_prepare_context) ==
               lookup_in_type(pool_type, str_prepare_context);
}

#define MAXIMUM_ARGUMENTS 16

PyObject *
jobs_submit(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    size_t nargs = (size_t)PyVectorcall_NARGS(nargsf);
    size_t total = nargs + (kwnames != NULL ? (size_t)PyTuple_GET_SIZE(kwnames) : 0);
    if (!core.is_enabled || nargs < 2 || !runs_jobs_here(args[0])) {
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    PyObject *small[MAXIMUM_ARGUMENTS]; /* borrowed */
    PyObject **copies = small;
    PyObject *result = NULL;
    PyObject *job = make_job(args[0], args[1]); /* owned */
    if (job == NULL) {
        return NULL;
    }
    if (total > MAXIMUM_ARGUMENTS) {
        copies = PyMem_Malloc(total * sizeof(PyObject *));
        if (copies == NULL) {
            PyErr_NoMemory();
            goto done;
        }
    }
    memcpy(copies, args, total * sizeof(PyObject *));
    copies[1] = job;
    result = wrapper_call_original(self, copies, nargs, kwnames);
done:
    Py_DECREF(job);
    if (copies != small) {
        PyMem_Free(copies);
    }
    return result;
}

/* ---- Running ----------------------------------------------------------------------- */

/* Takes the job out of `item`, which then has the function itself.
   Returns: new, or NULL: with an exception set, or, without one, where there is no job. */
static PyObject *
take_job(PyObject *item)
{
    /* Owned. */
    PyObject *job = NULL;
    PyObject *fn = PyObject_GetAttr(item, str_fn);
    PyObject *task = NULL;
    if (fn != NULL && Py_IS_TYPE(fn, job_type)) {
        if (PyObject_SetAttr(item, str_fn, resources_subject_of(fn)) == 0) {
            job = Py_NewRef(fn);
        }
    } else if (fn == NULL) {
        PyErr_Clear();
        task = PyObject_GetAttr(item, str_task);
        if (task == NULL) {
            PyErr_Clear();
        } else if (PyTuple_CheckExact(task) && PyTuple_GET_SIZE(task) == 3 &&
                   Py_IS_TYPE(PyTuple_GET_ITEM(task, 0), job_type)) {
            PyObject *found = PyTuple_GET_ITEM(task, 0); /* borrowed from task */
            PyObject *plain =
                PyTuple_Pack(3, resources_subject_of(found), PyTuple_GET_ITEM(task, 1),
                             PyTuple_GET_ITEM(task, 2)); /* owned */
            if (plain != NULL && PyObject_SetAttr(item, str_task, plain) == 0) {
                job = Py_NewRef(found);
            }
            Py_XDECREF(plain);
        }
    }
    Py_XDECREF(fn);
    Py_XDECREF(task);
    return job;
}

int
jobs_add_own_of_thread(PyObject *context)
{
    PyObject *own = context_of_thread(); /* borrowed */
    if (own == NULL || PyObject_Size(own) == 0) {
        return 0;
    }
    int status = -1;
    /* Owned. */
    PyObject *names = PySequence_List(own);
    if (names == NULL || PyContext_Enter(context) < 0) {
        Py_XDECREF(names);
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        PyObject *variable = PyList_GET_ITEM(names, i); /* borrowed */
        int has = PySequence_Contains(context, variable);
        PyObject *value = has == 0 ? PyObject_GetItem(own, variable) : NULL; /* owned */
        PyObject *token =
            value != NULL ? PyContextVar_Set(variable, value) : NULL; /* owned */
        Py_XDECREF(value);
        Py_XDECREF(token);
        if (has < 0 || (has == 0 && token == NULL)) {
            goto done;
        }
    }
    status = 0;
done:
    if (PyContext_Exit(context) < 0) {
        status = -1;
    }
    Py_DECREF(names);
    return status;
}

PyObject *
jobs_run(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *job = PyVectorcall_NARGS(nargsf) > 0 ? take_job(args[0]) : NULL; /* owned */
    if (job == NULL) {
        return PyErr_Occurred() ? NULL
                                : wrapper_call_original(self, args, nargsf, kwnames);
    }
    if (jobs_add_own_of_thread(resources_context_of(job)) < 0) {
        PyErr_WriteUnraisable(self->original);
    }
    PyObject *result = resources_run_once(job, self->original, args, nargsf, kwnames);
    Py_DECREF(job);
    return result;
}

/* What calls a job otherwise: a pool whose items are not ours any more, since the engine was
   disabled meanwhile. */
static PyObject *
Job_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *fn = PyObject_GetAttrString(self, "subject"); /* owned */
    PyObject *result = fn != NULL ? PyObject_Call(fn, args, kwargs) : NULL;
    Py_XDECREF(fn);
    return result;
}

static PyType_Slot Job_slots[] = {
    {Py_tp_doc, "A job of a thread pool, in the place of its function."},
    {Py_tp_call, Job_call},
    {0, NULL},
};

static PyType_Spec Job_spec = {
    .name = "asynchooks._native.Job",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Job_slots,
};

void
jobs_set_lookups(PyObject *functions)
{
    Py_XINCREF(functions);
    Py_XSETREF(lookups, functions);
}

int
jobs_add_type(PyObject *module)
{
    str_fn = PyUnicode_InternFromString("fn");
    str_task = PyUnicode_InternFromString("task");
    str_prepare_context = PyUnicode_InternFromString("prepare_context");
    str_executor_job = PyUnicode_InternFromString("ExecutorJob");
    str_dns_lookup = PyUnicode_InternFromString("DNSLookup");
    job_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Job_spec,
                                                        (PyObject *)resources_type());
    resources_keep_dead(job_type);
    return str_fn != NULL && str_task != NULL && str_prepare_context != NULL &&
                   str_executor_job != NULL && str_dns_lookup != NULL && job_type != NULL
               ? 0
               : -1;
}
