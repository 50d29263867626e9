#include "records.h"

/* Open addressing with linear probing and backward-shift deletion: no tombstones, so a
   long life with many births and deaths costs no more than a short one. */
typedef struct Entry {
    PyObject *object; /* borrowed; NULL: free */
    Record *record;
} Entry;

/* Records come from slabs and go back to a free list, so that they never move. */
#define SLAB_RECORDS 256

typedef union Cell {
    Record record;
    union Cell *next_free;
} Cell;

typedef struct Slab {
    struct Slab *next;
    Cell cells[SLAB_RECORDS];
} Slab;

static struct {
    Entry *entries;
    size_t mask; /* capacity - 1; capacity is a power of two */
    size_t used;
    Cell *free_cells;
    Slab *slabs;
} table;

#define MINIMUM_CAPACITY 1024

uint64_t records_generation = 0;

static inline size_t
home_of(PyObject *object)
{
    uint64_t address = (uint64_t)(uintptr_t)object >> 4;
    return (size_t)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & table.mask;
}

/* Returns: the place of `object`, or the free place where it belongs. */
static inline size_t
place_of(PyObject *object)
{
    size_t place = home_of(object);
    while (table.entries[place].object != NULL && table.entries[place].object != object) {
        place = (place + 1) & table.mask;
    }
    return place;
}

/* Returns: 0, or -1 without an exception; the table is then as it was. */
static int
resize(size_t capacity)
{
    Entry *old = table.entries;
    size_t old_capacity = old != NULL ? table.mask + 1 : 0;
    Entry *entries = PyMem_RawCalloc(capacity, sizeof(Entry));
    if (entries == NULL) {
        return -1;
    }
    table.entries = entries;
    table.mask = capacity - 1;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].object != NULL) {
            entries[place_of(old[i].object)] = old[i];
        }
    }
    PyMem_RawFree(old);
    return 0;
}

/* Returns: 0, or -1 without an exception. */
static int
add_slab(void)
{
    Slab *slab = PyMem_RawMalloc(sizeof(Slab));
    if (slab == NULL) {
        return -1;
    }
    slab->next = table.slabs;
    table.slabs = slab;
    for (int i = 0; i < SLAB_RECORDS; i++) {
        slab->cells[i].next_free = table.free_cells;
        table.free_cells = &slab->cells[i];
    }
    return 0;
}

Record *
records_add(PyObject *object)
{
    if (table.entries == NULL) {
        if (resize(MINIMUM_CAPACITY) < 0) {
            goto error;
        }
    } else if (table.used * 8 > (table.mask + 1) * 5) {
        if (resize((table.mask + 1) * 2) < 0) {
            goto error;
        }
    }
    size_t place = place_of(object);
    if (table.entries[place].object == object) {
        return table.entries[place].record;
    }
    if (table.free_cells == NULL && add_slab() < 0) {
        goto error;
    }
    Cell *cell = table.free_cells;
    table.free_cells = cell->next_free;
    cell->record = (Record){0};
    table.entries[place] = (Entry){object, &cell->record};
    table.used++;
    return &cell->record;
error:
    PyErr_NoMemory();
    return NULL;
}

Record *
records_find(PyObject *object)
{
    if (table.used == 0) {
        return NULL;
    }
    return table.entries[place_of(object)].record;
}

bool
records_remove(PyObject *object, Record *last)
{
    if (table.used == 0) {
        return false;
    }
    size_t hole = place_of(object);
    if (table.entries[hole].object == NULL) {
        return false;
    }
    Cell *cell = (Cell *)table.entries[hole].record;
    *last = cell->record;
    cell->next_free = table.free_cells;
    table.free_cells = cell;
    table.used--;
    /* Close the hole: whoever probed past it moves back. */
    size_t place = hole;
    for (;;) {
        place = (place + 1) & table.mask;
        if (table.entries[place].object == NULL) {
            break;
        }
        size_t home = home_of(table.entries[place].object);
        if (((place - home) & table.mask) >= ((place - hole) & table.mask)) {
            table.entries[hole] = table.entries[place];
            hole = place;
        }
    }
    table.entries[hole] = (Entry){NULL, NULL};
    size_t capacity = table.mask + 1;
    if (capacity > MINIMUM_CAPACITY && table.used * 16 < capacity) {
        (void)resize(capacity / 4); /* on failure it only stays larger than it need be */
    }
    return true;
}

void
records_visit(void (*visit)(PyObject *object, const Record *record, void *arg), void *arg)
{
    for (size_t i = 0; table.used > 0 && i <= table.mask; i++) {
        if (table.entries[i].object != NULL) {
            visit(table.entries[i].object, table.entries[i].record, arg);
        }
    }
}

void
records_clear(void)
{
    PyMem_RawFree(table.entries);
    while (table.slabs != NULL) {
        Slab *next = table.slabs->next;
        PyMem_RawFree(table.slabs);
        table.slabs = next;
    }
    memset(&table, 0, sizeof(table));
    records_generation++;
}
