#include "generators.h"
#include "compat.h"
#include "hooks.h"
#include "internals.h"
#include "records.h"

/* CPython's own. */
static AsyncGeneratorFunctions original;

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
   caused by the generator. It is half dead, so nobody is told of a step, and it is not what
   execution_async_resource() gives. */
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
    original.finalize(generator);
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
    }
    original.dealloc(generator);
}

/* ---- Installing -------------------------------------------------------------------- */

int
generators_prepare(void)
{
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
