#include "jobs.h"
#include "compat.h"
#include "resources.h"

/* Whose `submit` this thread is in; borrowed from the caller, or NULL. */
static FAST_THREAD_LOCAL PyObject *submitting = NULL;

static PyObject *lookups = NULL; /* owned: a tuple of functions, or NULL */
static PyObject *str_job = NULL; /* owned: the attribute of an item for its job */
static PyObject *str_executor_job = NULL; /* owned: "ExecutorJob" */
static PyObject *str_dns_lookup = NULL;   /* owned: "DNSLookup" */

PyObject *
jobs_submit(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *outer = submitting;
    submitting = PyVectorcall_NARGS(nargsf) > 0 ? args[0] : NULL;
    PyObject *result = wrapper_call_original(self, args, nargsf, kwnames);
    submitting = outer;
    return result;
}

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

/* Gives `item` its job. Returns: 0, or -1 with an exception set. */
static int
make_job(PyObject *item, PyObject *fn)
{
    int status = -1;
    /* Owned. */
    PyObject *owner = NULL;
    PyObject *lookup = NULL;
    PyObject *job = NULL;
    if (submitting != NULL) {
        owner = PyWeakref_NewRef(submitting, NULL);
        if (owner == NULL) {
            goto done;
        }
    }
    if (is_lookup(fn)) {
        lookup = resources_make(KIND_DNS_LOOKUP, str_dns_lookup, fn, NULL, NULL);
        if (lookup == NULL) {
            goto done;
        }
    }
    job = resources_make(KIND_EXECUTOR_JOB, str_executor_job, fn, owner, lookup);
    if (job == NULL) {
        goto done;
    }
    status = PyObject_SetAttr(item, str_job, job);
done:
    Py_XDECREF(owner);
    Py_XDECREF(lookup);
    Py_XDECREF(job);
    return status;
}

PyObject *
jobs_make(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *result = wrapper_call_original(self, args, nargsf, kwnames);
    if (result == NULL || !core.is_enabled || PyVectorcall_NARGS(nargsf) < 3) {
        return result;
    }
    PyObject *fn = args[2];
    /* From 3.14 on: (fn, args, kwargs). */
    if (PyTuple_CheckExact(fn) && PyTuple_GET_SIZE(fn) > 0) {
        fn = PyTuple_GET_ITEM(fn, 0);
    }
    if (make_job(args[0], fn) < 0) {
        Py_CLEAR(result); /* a hook that may raise, or no memory */
    }
    return result;
}

PyObject *
jobs_run(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *job = PyVectorcall_NARGS(nargsf) > 0 ? PyObject_GetAttr(args[0], str_job)
                                                   : NULL; /* owned */
    if (job == NULL) {
        PyErr_Clear(); /* submitted before enable() */
        return wrapper_call_original(self, args, nargsf, kwnames);
    }
    PyObject *result = resources_run_once(job, self->original, args, nargsf, kwnames);
    Py_DECREF(job);
    return result;
}

void
jobs_set_lookups(PyObject *functions)
{
    Py_XINCREF(functions);
    Py_XSETREF(lookups, functions);
}

int
jobs_prepare(void)
{
    str_job = PyUnicode_InternFromString("_asynchooks_job");
    str_executor_job = PyUnicode_InternFromString("ExecutorJob");
    str_dns_lookup = PyUnicode_InternFromString("DNSLookup");
    return str_job != NULL && str_executor_job != NULL && str_dns_lookup != NULL ? 0 : -1;
}
