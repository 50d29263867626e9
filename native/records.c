#include "records.h"

/* Open addressing with linear probing and backward-shift deletion: no tombstones, so a
   long life with many births and deaths costs no more than a short one. An entry is a
   part of the hash and the number of a cell: 8 bytes, so that probing stays in few cache
   lines, and a wrong cell is hardly ever looked at. */
typedef struct Entry {
    uint32_t hash;
    uint32_t cell; /* 0: free */
} Entry;

typedef struct Cell {
    PyObject *object; /* borrowed; NULL: free */
    union {
        Record record;
        uint32_t next_free; /* a number, in the same slab; 0: none */
    };
} Cell;

/* Cells come from slabs, so that they never move. Their numbers begin with 1. */
#define SLAB_CELLS 256

typedef struct Slab {
    uint32_t number;
    uint32_t used;
    uint32_t first_free;
    struct Slab *previous, *next; /* among those with free cells */
    Cell cells[SLAB_CELLS];
} Slab;

static struct {
    Entry *entries;
    uint32_t mask;  /* capacity - 1; capacity is a power of two */
    uint32_t shift; /* from a hash to its home */
    uint32_t used;
    Slab **slabs; /* by number; NULL: given back */
    uint32_t slab_limit;
    uint32_t slab_count;
    uint32_t first_hole; /* no slab number below it is free */
    Slab *open;          /* those with free cells */
} table;

#define MINIMUM_CAPACITY 1024u
#define MAXIMUM_CAPACITY (1u << 31)

size_t records_budget = (size_t)1 << 30;
uint64_t records_generation = 0;

static inline uint32_t
hash_of(PyObject *object)
{
    uint64_t address = (uint64_t)(uintptr_t)object >> 4;
    return (uint32_t)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

static inline uint32_t
home_of(uint32_t hash)
{
    return hash >> table.shift;
}

static inline Cell *
cell_at(uint32_t number)
{
    return &table.slabs[(number - 1) / SLAB_CELLS]->cells[(number - 1) % SLAB_CELLS];
}

/* Returns: the place of `object`, or the free place where it belongs. */
static inline uint32_t
place_of(PyObject *object, uint32_t hash)
{
    uint32_t place = home_of(hash);
    while (table.entries[place].cell != 0 &&
           (table.entries[place].hash != hash ||
            cell_at(table.entries[place].cell)->object != object)) {
        place = (place + 1) & table.mask;
    }
    return place;
}

size_t
records_bytes(void)
{
    size_t capacity = table.entries != NULL ? (size_t)table.mask + 1 : 0;
    return capacity * sizeof(Entry) + table.slab_count * sizeof(Slab) +
           table.slab_limit * sizeof(Slab *);
}

static bool
fits_budget(size_t more)
{
    return records_bytes() + more <= records_budget;
}

/* Returns: 0, or -1 without an exception; the table is then as it was. */
static int
resize(uint32_t capacity)
{
    Entry *old = table.entries;
    uint32_t old_capacity = old != NULL ? table.mask + 1 : 0;
    if (capacity > old_capacity &&
        (capacity > MAXIMUM_CAPACITY ||
         !fits_budget((capacity - old_capacity) * sizeof(Entry)))) {
        return -1;
    }
    Entry *entries = PyMem_RawCalloc(capacity, sizeof(Entry));
    if (entries == NULL) {
        return -1;
    }
    table.entries = entries;
    table.mask = capacity - 1;
    table.shift = 32;
    for (uint32_t rest = capacity; rest > 1; rest /= 2) {
        table.shift--;
    }
    for (uint32_t i = 0; i < old_capacity; i++) {
        if (old[i].cell != 0) {
            uint32_t place = home_of(old[i].hash);
            while (entries[place].cell != 0) {
                place = (place + 1) & table.mask;
            }
            entries[place] = old[i];
        }
    }
    PyMem_RawFree(old);
    return 0;
}

/* ---- Slabs ------------------------------------------------------------------------- */

static void
open_slab(Slab *slab)
{
    slab->previous = NULL;
    slab->next = table.open;
    if (table.open != NULL) {
        table.open->previous = slab;
    }
    table.open = slab;
}

static void
close_slab(Slab *slab)
{
    if (slab->previous != NULL) {
        slab->previous->next = slab->next;
    } else {
        table.open = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->previous = slab->previous;
    }
}

/* Returns: a number for a new slab, or UINT32_MAX where memory is short. */
static uint32_t
free_slab_number(void)
{
    if (table.slab_count < table.slab_limit) {
        while (table.slabs[table.first_hole] != NULL) {
            table.first_hole++;
        }
        return table.first_hole;
    }
    uint32_t limit = table.slab_limit > 0 ? table.slab_limit * 2 : 16;
    Slab **slabs = PyMem_RawRealloc(table.slabs, limit * sizeof(Slab *));
    if (slabs == NULL) {
        return UINT32_MAX;
    }
    memset(slabs + table.slab_limit, 0, (limit - table.slab_limit) * sizeof(Slab *));
    uint32_t number = table.slab_limit;
    table.slabs = slabs;
    table.slab_limit = limit;
    return number;
}

/* Returns: 0, or -1 without an exception. */
static int
add_slab(void)
{
    if (!fits_budget(sizeof(Slab))) {
        return -1;
    }
    uint32_t number = free_slab_number();
    Slab *slab = number != UINT32_MAX ? PyMem_RawMalloc(sizeof(Slab)) : NULL;
    if (slab == NULL) {
        return -1;
    }
    slab->number = number;
    slab->used = 0;
    slab->first_free = number * SLAB_CELLS + 1;
    for (uint32_t i = 0; i < SLAB_CELLS; i++) {
        slab->cells[i].object = NULL;
        slab->cells[i].next_free = i + 1 < SLAB_CELLS ? slab->first_free + i + 1 : 0;
    }
    table.slabs[number] = slab;
    table.slab_count++;
    open_slab(slab);
    return 0;
}

/* Returns: the number of a cell of an open slab. */
static uint32_t
take_cell(PyObject *object)
{
    Slab *slab = table.open;
    uint32_t number = slab->first_free;
    Cell *cell = cell_at(number);
    slab->first_free = cell->next_free;
    if (slab->first_free == 0) {
        close_slab(slab);
    }
    slab->used++;
    cell->object = object;
    cell->record.async_id = 0;
    return number;
}

/* Gives the slab back, too, when it has become empty, but for the last open one. */
static void
put_cell(uint32_t number)
{
    Slab *slab = table.slabs[(number - 1) / SLAB_CELLS];
    Cell *cell = cell_at(number);
    cell->object = NULL;
    cell->next_free = slab->first_free;
    if (slab->first_free == 0) {
        open_slab(slab);
    }
    slab->first_free = number;
    slab->used--;
    if (slab->used == 0 && (slab->previous != NULL || slab->next != NULL)) {
        close_slab(slab);
        table.slabs[slab->number] = NULL;
        table.slab_count--;
        if (slab->number < table.first_hole) {
            table.first_hole = slab->number;
        }
        PyMem_RawFree(slab);
    }
}

/* ---- Entries ----------------------------------------------------------------------- */

Record *
records_add(PyObject *object)
{
    if (table.entries == NULL) {
        if (resize(MINIMUM_CAPACITY) < 0) {
            goto error;
        }
    } else if ((uint64_t)table.used * 8 > ((uint64_t)table.mask + 1) * 5) {
        if (resize((table.mask + 1) * 2) < 0) {
            goto error;
        }
    }
    uint32_t hash = hash_of(object);
    Entry *entry = &table.entries[place_of(object, hash)];
    if (entry->cell == 0) {
        if (table.open == NULL && add_slab() < 0) {
            goto error;
        }
        *entry = (Entry){hash, take_cell(object)};
        table.used++;
    }
    return &cell_at(entry->cell)->record;
error:
    core.untracked++;
    return NULL;
}

Record *
records_find(PyObject *object)
{
    if (table.used == 0) {
        return NULL;
    }
    const Entry *entry = &table.entries[place_of(object, hash_of(object))];
    return entry->cell != 0 ? &cell_at(entry->cell)->record : NULL;
}

bool
records_remove(PyObject *object, Record *last)
{
    if (table.used == 0) {
        return false;
    }
    uint32_t hole = place_of(object, hash_of(object));
    if (table.entries[hole].cell == 0) {
        return false;
    }
    *last = cell_at(table.entries[hole].cell)->record;
    put_cell(table.entries[hole].cell);
    table.used--;
    /* Close the hole: whoever probed past it moves back. */
    uint32_t place = hole;
    for (;;) {
        place = (place + 1) & table.mask;
        if (table.entries[place].cell == 0) {
            break;
        }
        uint32_t home = home_of(table.entries[place].hash);
        if (((place - home) & table.mask) >= ((place - hole) & table.mask)) {
            table.entries[hole] = table.entries[place];
            hole = place;
        }
    }
    table.entries[hole] = (Entry){0, 0};
    uint32_t capacity = table.mask + 1;
    if (capacity > MINIMUM_CAPACITY && (uint64_t)table.used * 16 < capacity) {
        (void)resize(capacity / 4); /* on failure it only stays larger than it need be */
    }
    return true;
}

void
records_visit(void (*visit)(PyObject *object, const Record *record, void *arg), void *arg)
{
    for (uint32_t i = 0; i < table.slab_limit; i++) {
        const Slab *slab = table.slabs[i];
        for (uint32_t j = 0; slab != NULL && j < SLAB_CELLS; j++) {
            if (slab->cells[j].object != NULL) {
                visit(slab->cells[j].object, &slab->cells[j].record, arg);
            }
        }
    }
}

static void
forget_one(PyObject *object, const Record *record, void *arg)
{
    core.live[record->kind]--;
}

void
records_clear(void)
{
    records_visit(forget_one, NULL);
    PyMem_RawFree(table.entries);
    for (uint32_t i = 0; i < table.slab_limit; i++) {
        PyMem_RawFree(table.slabs[i]);
    }
    PyMem_RawFree(table.slabs);
    memset(&table, 0, sizeof(table));
    records_generation++;
}
