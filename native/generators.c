#include "generators.h"
#include "compat.h"
#include "hooks.h"
#include "internals.h"
#include "records.h"

/* CPython's own. */
static AsyncGeneratorFunctions original;

/* owned: a dict from each live generator's address to the context of its first step, in which
   one that nobody closes is finalized */
static PyObject *contexts = NULL;

/* ---- Contexts ---------------------------------------------------------------------- */

/* Where memory is short, it has none. May run Python code: no. */
static void
remember_context(PyObject *generator)
{
    /* Owned. */
    PyObject *key = PyLong_FromVoidPtr(generator);
    PyObject *context = PyContext_CopyCurrent();
    if (key == NULL || context == NULL || PyDict_SetItem(contexts, key, context) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(key);
    Py_XDECREF(context);
}

PyObject *
generators_context_of(PyObject *generator)
{
    PyObject *context = NULL;
    if (contexts != NULL && PyAsyncGen_CheckExact(generator)) {
        PyObject *key = PyLong_FromVoidPtr(generator); /* owned */
        context = key != NULL ? PyDict_GetItemWithError(contexts, key) : NULL;
        Py_XDECREF(key);
        if (context == NULL) {
            PyErr_Clear();
        }
    }
    return context;
}

/* What is raised meanwhile, stays. May run Python code: yes (what the context held dies). */
static void
forget_context(PyObject *generator)
{
    /* Owned. */
    PyObject *exception = PyErr_GetRaisedException();
    PyObject *key = PyLong_FromVoidPtr(generator);
    if (key == NULL || PyDict_DelItem(contexts, key) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(key);
    PyErr_SetRaisedException(exception);
}

void
generators_forget_contexts(void)
{
    if (contexts != NULL) {
        PyDict_Clear(contexts);
    }
}

/* ---- Birth ------------------------------------------------------------------------- */

/* Somebody asks `generator` for a step.
   Returns: 0, or -1 with an exception set. May run Python code: yes (an init hook). */
static int
meet(PyObject *generator)
{
    if (!core.is_enabled || !runs_in_our_interpreter() ||
        records_find(generator) != NULL) {
        return 0;
    }
    Record *record = records_add(generator);
    if (record == NULL) {
        return 0;
    }
    record_born(record, KIND_ASYNC_GENERATOR);
    Record born = *record;
    remember_context(generator);
    if (hooks_want(EVENT_INIT, KIND_ASYNC_GENERATOR)) {
        return hooks_emit_init(&born, KIND_NAMES[KIND_ASYNC_GENERATOR], generator);
    }
    return 0;
}

static PyObject *
generator_anext(PyObject *generator)
{
    return meet(generator) == 0 ? original.anext(generator) : NULL;
}

static PyObject *
generator_asend(PyObject *generator, PyObject *value)
{
    return meet(generator) == 0 ? original.asend(generator, value) : NULL;
}

/* ---- Death ------------------------------------------------------------------------- */

/* What the loop does to close a generator that nobody holds any more (it makes a task) is
   caused by the generator, and runs in the context of its first step: not in that of whoever
   happens to collect the garbage. It is half dead, so nobody is told of a step, and it is not
   what execution_async_resource() gives. */
static void
generator_finalize(PyObject *generator)
{
    const Record *record =
        core.is_enabled && runs_in_our_interpreter() ? records_find(generator) : NULL;
    if (record == NULL) {
        original.finalize(generator);
        return;
    }
    Frame *frame = frame_push(record, NULL);
    PyObject *exception = PyErr_GetRaisedException();           /* owned */
    PyObject *context = generators_context_of(generator);       /* borrowed */
    context = context != NULL ? PyContext_Copy(context) : NULL; /* owned */
    bool is_entered = context != NULL && PyContext_Enter(context) == 0;
    PyErr_Clear();
    PyErr_SetRaisedException(exception);
    original.finalize(generator);
    if (is_entered) {
        (void)PyContext_Exit(context);
    }
    Py_XDECREF(context);
    frame_pop(frame);
}

static void
generator_dealloc(PyObject *generator)
{
    if (core.is_enabled && runs_in_our_interpreter()) {
        /* The loop keeps it alive until it is closed. */
        if (PyObject_CallFinalizerFromDealloc(generator) < 0) {
            return;
        }
        records_bury(generator);
        forget_context(generator);
    }
    original.dealloc(generator);
}

/* ---- Installing -------------------------------------------------------------------- */

int
generators_prepare(void)
{
    if (contexts == NULL && (contexts = PyDict_New()) == NULL) {
        return -1;
    }
    if (original.anext == NULL) {
        return get_async_generator_functions(&original);
    }
    return 0;
}

void
generators_install(void)
{
    set_async_generator_functions((AsyncGeneratorFunctions){
        generator_anext, generator_asend, generator_finalize, generator_dealloc});
}

void
generators_uninstall(void)
{
    set_async_generator_functions(original);
}
