#include "snapshot.h"
#include "live.h"
#include "records.h"
#include "tasks.h"

typedef struct Entry {
    PyObject *object; /* owned */
    Record record;
} Entry;

typedef struct Snapshot {
    PyObject_HEAD Entry *entries; /* owned, from PyMem_RawRealloc */
    size_t count;
    uint64_t taken_at; /* ticks */
    double seconds_per_tick;
} Snapshot;

static PyTypeObject *snapshot_type = NULL; /* owned */
static PyObject *kind_names = NULL;        /* owned: a tuple */
static PyObject *state_names = NULL;       /* owned: a tuple */

static const char *const STATE_NAMES[STATE_COUNT] = {
    [STATE_WAITING] = "waiting",
    [STATE_READY] = "ready",
    [STATE_RUNNING] = "running",
    [STATE_DONE] = "done",
};

/* What is collected into, without running Python code: what is read is of one moment. */
typedef struct Collection {
    Entry *entries;
    size_t count;
    size_t capacity;
    uint32_t kinds;
    uint64_t root;
    bool is_short_of_memory;
} Collection;

static void
collect(PyObject *object, const Record *record, void *arg)
{
    if (Py_REFCNT(object) == 0) {
        return; /* a subclass's: it is dying, and a weak reference's callback asks us */
    }
    Collection *collection = arg;
    if (!(collection->kinds & KIND_BIT(record->kind)) ||
        (collection->root != 0 && record->root != collection->root)) {
        return;
    }
    if (collection->count == collection->capacity) {
        size_t capacity = collection->capacity > 0 ? collection->capacity * 2 : 256;
        Entry *entries = PyMem_RawRealloc(collection->entries, capacity * sizeof(Entry));
        if (entries == NULL) {
            collection->is_short_of_memory = true;
            return;
        }
        collection->entries = entries;
        collection->capacity = capacity;
    }
    Entry *entry = &collection->entries[collection->count++];
    *entry = (Entry){Py_NewRef(object), *record};
    if (record->kind <= KIND_FUTURE && tasks_is_done(object)) {
        entry->record.state = STATE_DONE;
    }
}

PyObject *
snapshot_take(uint32_t kinds, uint64_t root)
{
    Snapshot *self = PyObject_GC_New(Snapshot, snapshot_type);
    if (self == NULL) {
        return NULL;
    }
    Collection collection = {.kinds = kinds, .root = root};
    self->taken_at = clock_ticks();
    self->seconds_per_tick = clock_ns_per_tick() / 1e9;
    records_visit(collect, &collection);
    for (LiveRecord *live = live_list.next; live != &live_list; live = live->next) {
        collect(live->object, &live->record, &collection);
    }
    self->entries = collection.entries;
    self->count = collection.count;
    PyObject_GC_Track(self);
    if (collection.is_short_of_memory) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static Py_ssize_t
Snapshot_length(Snapshot *self)
{
    return (Py_ssize_t)self->count;
}

static PyObject *
Snapshot_item(Snapshot *self, Py_ssize_t index)
{
    if (index < 0 || (size_t)index >= self->count) {
        PyErr_SetString(PyExc_IndexError, "no such resource in the snapshot");
        return NULL;
    }
    const Record *record = &self->entries[index].record;
    uint64_t run_time = record->run_time;
    uint64_t ready_time = record->ready_time;
    uint64_t in_state = clock_elapsed(record->since, self->taken_at);
    if (record->state == STATE_RUNNING) {
        run_time += in_state;
    } else if (record->state == STATE_READY) {
        ready_time += in_state;
    }
    uint64_t age = clock_elapsed(record->created_at, self->taken_at);
    return Py_BuildValue(
        "OKOKKKKHOkddddO", self->entries[index].object,
        (unsigned long long)record->async_id, PyTuple_GET_ITEM(kind_names, record->kind),
        (unsigned long long)record->created_by, (unsigned long long)record->root,
        (unsigned long long)record->woken_by, (unsigned long long)record->cancelled_by,
        record->site, PyTuple_GET_ITEM(state_names, record->state),
        (unsigned long)record->steps, (double)age * self->seconds_per_tick,
        (double)run_time * self->seconds_per_tick,
        (double)ready_time * self->seconds_per_tick, (double)record->cpu_time / 1e9,
        record->is_adopted ? Py_True : Py_False);
}

static int
Snapshot_traverse(Snapshot *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    for (size_t i = 0; i < self->count; i++) {
        Py_VISIT(self->entries[i].object);
    }
    return 0;
}

static int
Snapshot_clear(Snapshot *self)
{
    Entry *entries = self->entries;
    size_t count = self->count;
    self->entries = NULL;
    self->count = 0;
    for (size_t i = 0; i < count; i++) {
        Py_DECREF(entries[i].object);
    }
    PyMem_RawFree(entries);
    return 0;
}

static void
Snapshot_dealloc(Snapshot *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Snapshot_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyType_Slot Snapshot_slots[] = {
    {Py_tp_doc, "What was alive at one moment, as a sequence of tuples."},
    {Py_tp_dealloc, Snapshot_dealloc},
    {Py_tp_traverse, Snapshot_traverse},
    {Py_tp_clear, Snapshot_clear},
    {Py_sq_length, Snapshot_length},
    {Py_sq_item, Snapshot_item},
    {0, NULL},
};

static PyType_Spec Snapshot_spec = {
    .name = "asynchooks._native.Snapshot",
    .basicsize = sizeof(Snapshot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Snapshot_slots,
};

/* Returns: a tuple of str, new, or NULL with an exception set. */
static PyObject *
make_names(const char *const *names, Py_ssize_t count)
{
    PyObject *tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple != NULL && i < count; i++) {
        PyObject *name = PyUnicode_InternFromString(names[i]);
        if (name == NULL) {
            Py_CLEAR(tuple);
        } else {
            PyTuple_SET_ITEM(tuple, i, name);
        }
    }
    return tuple;
}

int
snapshot_prepare(PyObject *module)
{
    snapshot_type = (PyTypeObject *)PyType_FromSpec(&Snapshot_spec);
    kind_names = make_names(KIND_NAMES, KIND_COUNT);
    state_names = make_names(STATE_NAMES, STATE_COUNT);
    if (snapshot_type == NULL || kind_names == NULL || state_names == NULL) {
        return -1;
    }
    return PyModule_AddObjectRef(module, "KINDS", kind_names);
}
