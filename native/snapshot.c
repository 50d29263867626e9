#include "snapshot.h"
#include "live.h"
#include "records.h"

typedef struct Entry {
    PyObject *object; /* owned */
    Record record;
} Entry;

/* Collected without running Python code, so that what is read is of one moment. */
typedef struct Snapshot {
    Entry *entries;
    size_t count;
    size_t capacity;
    uint32_t kinds;
    uint64_t root;
    bool is_short_of_memory;
} Snapshot;

static void
collect(PyObject *object, const Record *record, void *arg)
{
    Snapshot *snapshot = arg;
    if (Py_REFCNT(object) == 0) {
        /* It is dying: its class's own dealloc, which comes before ours, runs Python code
           when it drops the attributes. */
        return;
    }
    if (!(snapshot->kinds & KIND_BIT(record->kind)) ||
        (snapshot->root != 0 && record->root != snapshot->root)) {
        return;
    }
    if (snapshot->count == snapshot->capacity) {
        size_t capacity = snapshot->capacity > 0 ? snapshot->capacity * 2 : 256;
        Entry *entries = PyMem_RawRealloc(snapshot->entries, capacity * sizeof(Entry));
        if (entries == NULL) {
            snapshot->is_short_of_memory = true;
            return;
        }
        snapshot->entries = entries;
        snapshot->capacity = capacity;
    }
    snapshot->entries[snapshot->count++] = (Entry){Py_NewRef(object), *record};
}

/* Returns: new, or NULL with an exception set. */
static PyObject *
describe(const Entry *entry, uint64_t now, double seconds_per_tick)
{
    const Record *record = &entry->record;
    return Py_BuildValue(
        "OKBKKKkddO", entry->object, (unsigned long long)record->async_id, record->kind,
        (unsigned long long)record->created_by, (unsigned long long)record->root,
        (unsigned long long)record->woken_by, (unsigned long)record->steps,
        (double)clock_elapsed(record->created_at, now) * seconds_per_tick,
        (double)record->run_time * seconds_per_tick,
        record->is_adopted ? Py_True : Py_False);
}

PyObject *
snapshot_take(uint32_t kinds, uint64_t root)
{
    Snapshot snapshot = {.kinds = kinds, .root = root};
    PyObject *list = NULL; /* owned */
    uint64_t now = clock_ticks();
    double seconds_per_tick = clock_ns_per_tick() / 1e9;
    records_visit(collect, &snapshot);
    for (LiveRecord *live = live_list.next; live != &live_list; live = live->next) {
        collect(live->object, &live->record, &snapshot);
    }
    if (snapshot.is_short_of_memory) {
        PyErr_NoMemory();
        goto error;
    }
    list = PyList_New((Py_ssize_t)snapshot.count);
    for (size_t i = 0; list != NULL && i < snapshot.count; i++) {
        PyObject *description = describe(&snapshot.entries[i], now, seconds_per_tick);
        if (description == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, description);
    }
error:
    for (size_t i = 0; i < snapshot.count; i++) {
        Py_DECREF(snapshot.entries[i].object);
    }
    PyMem_RawFree(snapshot.entries);
    return list;
}
