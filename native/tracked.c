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

static PyTypeObject *reference_type = NULL;  /* owned */
static PyObject *died = NULL;                /* owned: the callback of all of them */
static PyObject *str_connection_made = NULL; /* owned, interned */
static Reference *first = NULL;              /* owned, as all that follow it */

/* The types of tracked objects without weak references, whose tp_dealloc is ours meanwhile. */
static struct {
    PyTypeObject *type; /* owned; NULL: the place is free */
    destructor original;
} mortals[4];
#define MORTAL_COUNT (sizeof(mortals) / sizeof(mortals[0]))

/* Whether there is anything to look up. */
static bool is_in_use = false;

/* ---- Death ------------------------------------------------------------------------- */

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

/* Returns: 0, or -1 with an exception set. */
static int
watch_by_reference(PyObject *object)
{
    PyObject *op =
        PyObject_CallFunctionObjArgs((PyObject *)reference_type, object, died, NULL);
    if (op == NULL) {
        return -1;
    }
    Reference *reference = (Reference *)op;
    reference->object = object;
    reference->previous = NULL;
    reference->next = first;
    if (first != NULL) {
        first->previous = reference;
    }
    first = reference;
    return 0;
}

static void
mortal_dealloc(PyObject *object)
{
    destructor original = NULL;
    for (size_t i = 0; i < MORTAL_COUNT; i++) {
        if (mortals[i].type != NULL && PyObject_TypeCheck(object, mortals[i].type)) {
            original = mortals[i].original;
        }
    }
    records_bury(object);
    original(object);
}

/* Returns: 0, or -1 with an exception set. */
static int
watch_by_type(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    size_t place = MORTAL_COUNT;
    for (size_t i = 0; i < MORTAL_COUNT; i++) {
        if (mortals[i].type == type) {
            type->tp_dealloc = mortal_dealloc;
            return 0;
        }
        if (mortals[i].type == NULL && place == MORTAL_COUNT) {
            place = i;
        }
    }
    /* What is made in Python, and has no weak references, may be allocated by a subclass. */
    if (place == MORTAL_COUNT || type->tp_dealloc == PyBaseObject_Type.tp_dealloc ||
        PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) {
        PyErr_Format(PyExc_TypeError, "%s has no weak references", type->tp_name);
        return -1;
    }
    mortals[place].type = (PyTypeObject *)Py_NewRef((PyObject *)type);
    mortals[place].original = type->tp_dealloc;
    type->tp_dealloc = mortal_dealloc;
    return 0;
}

/* ---- Birth ------------------------------------------------------------------------- */

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
    if (str_connection_made == NULL) {
        str_connection_made = PyUnicode_InternFromString("connection_made");
    }
    return reference_type != NULL && died != NULL && str_connection_made != NULL ? 0 : -1;
}

int
tracked_begin(PyObject *object, Kind kind)
{
    if (!core.is_enabled || records_find(object) != NULL) {
        return 0;
    }
    int status = Py_TYPE(object)->tp_weaklistoffset != 0 ? watch_by_reference(object)
                                                         : watch_by_type(object);
    if (status < 0) {
        return -1;
    }
    Record *record = records_add(object);
    if (record == NULL) {
        return 0;
    }
    is_in_use = true;
    record_born(record, kind);
    return 1;
}

int
tracked_tell(PyObject *object, const char *type_name)
{
    const Record *record = records_find(object);
    if (record == NULL || !hooks_want(EVENT_INIT, record->kind)) {
        return 0;
    }
    Record born = *record;
    return hooks_emit_init(&born, type_name, object);
}

void
tracked_forget(PyObject *object)
{
    Record last;
    if (records_remove(object, &last)) {
        core.live[last.kind]--;
    }
}

int
tracked_add(PyObject *object, Kind kind, const char *type_name, const Origin *origin)
{
    int status = tracked_begin(object, kind);
    if (status <= 0) {
        return status;
    }
    if (origin != NULL) {
        Record *record = records_find(object);
        record->created_by = origin->created_by;
        record->root = origin->root != ASYNC_ID_NONE ? origin->root : record->async_id;
        record->site = origin->site;
    }
    return tracked_tell(object, type_name);
}

/* ---- Steps ------------------------------------------------------------------------- */

static inline bool
is_tracked(PyObject *object)
{
    const Record *record = records_find(object);
    return record != NULL && record->kind > KIND_RESOURCE &&
           record->kind != KIND_ASYNC_GENERATOR;
}

PyObject *
tracked_owner_of(PyObject *callback, PyObject *args)
{
    if (!is_in_use || !PyMethod_Check(callback)) {
        return NULL;
    }
    PyObject *object = PyMethod_GET_SELF(callback);
    if (is_tracked(object)) {
        return object;
    }
    /* `protocol.connection_made(transport)` is the transport's doing. */
    PyObject *function = PyMethod_GET_FUNCTION(callback);
    if (PyFunction_Check(function) && PySequence_Fast_GET_SIZE(args) == 1 &&
        ((PyFunctionObject *)function)->func_name == str_connection_made) {
        object = PySequence_Fast_GET_ITEM(args, 0);
        return is_tracked(object) ? object : NULL;
    }
    return NULL;
}

void
tracked_clear(void)
{
    is_in_use = false;
    while (first != NULL) {
        Reference *reference = first;
        reference->object = NULL;
        unlink_reference(reference);
        Py_DECREF(reference);
    }
    for (size_t i = 0; i < MORTAL_COUNT; i++) {
        PyTypeObject *type = mortals[i].type;
        if (type != NULL && type->tp_dealloc == mortal_dealloc) {
            type->tp_dealloc = mortals[i].original;
            mortals[i].type = NULL;
            Py_DECREF(type);
        }
    }
}
