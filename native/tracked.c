#include "tracked.h"
#include "compat.h"
#include "hooks.h"
#include "records.h"

/* A weak reference, in the list of those that we keep. */
typedef struct Reference {
    PyWeakReference base;
    struct Reference *previous, *next;
    PyObject *object; /* borrowed, and dead when the callback runs: an address */
} Reference;

static PyTypeObject *reference_type = NULL; /* owned */
static PyObject *died = NULL;               /* owned: the callback of all of them */
static Reference *first = NULL;             /* owned, as all that follow it */

static void
unlink_reference(Reference *reference)
{
    if (reference->previous != NULL) {
        reference->previous->next = reference->next;
    } else {
        first = reference->next;
    }
    if (reference->next != NULL) {
        reference->next->previous = reference->previous;
    }
}

static PyObject *
on_death(PyObject *unused, PyObject *op)
{
    Reference *reference = (Reference *)op;
    if (reference->object != NULL) {
        records_bury(reference->object);
        reference->object = NULL;
        unlink_reference(reference);
        Py_DECREF(reference); /* the caller has one of its own */
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_death_definition = {"on_death", on_death, METH_O, NULL};

static PyType_Slot Reference_slots[] = {
    {Py_tp_doc, "A weak reference to a tracked object."},
    {0, NULL},
};

static PyType_Spec Reference_spec = {
    .name = "asynchooks._native.Reference",
    .basicsize = sizeof(Reference),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Reference_slots,
};

int
tracked_prepare(void)
{
    if (reference_type == NULL) {
        reference_type = (PyTypeObject *)PyType_FromSpecWithBases(
            &Reference_spec, (PyObject *)&_PyWeakref_RefType);
    }
    if (died == NULL) {
        died = PyCFunction_New(&on_death_definition, NULL);
    }
    return reference_type != NULL && died != NULL ? 0 : -1;
}

int
tracked_add(PyObject *object, Kind kind, const char *type_name)
{
    if (!core.is_enabled || records_find(object) != NULL) {
        return 0;
    }
    PyObject *op =
        PyObject_CallFunctionObjArgs((PyObject *)reference_type, object, died, NULL);
    if (op == NULL) {
        return -1;
    }
    Record *record = records_add(object);
    if (record == NULL) {
        Py_DECREF(op);
        return 0;
    }
    Reference *reference = (Reference *)op;
    reference->object = object;
    reference->previous = NULL;
    reference->next = first;
    if (first != NULL) {
        first->previous = reference;
    }
    first = reference;
    record_born(record, kind);
    Record born = *record;
    return hooks_want(EVENT_INIT, kind) ? hooks_emit_init(&born, type_name, object) : 0;
}

PyObject *
tracked_owner_of(PyObject *callback)
{
    if (first == NULL || !PyMethod_Check(callback)) {
        return NULL;
    }
    PyObject *object = PyMethod_GET_SELF(callback);
    const Record *record = records_find(object);
    return record != NULL && record->kind != KIND_TASK && record->kind != KIND_FUTURE
               ? object
               : NULL;
}

void
tracked_clear(void)
{
    while (first != NULL) {
        Reference *reference = first;
        reference->object = NULL;
        unlink_reference(reference);
        Py_DECREF(reference);
    }
}
