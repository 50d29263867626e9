#include "sites.h"
#include "internals_frames.h"

#include <stdbool.h>
#include <string.h>

#define MAXIMUM_FRAMES 4
/* How far up to look. Below that a program's own code is not what called. */
#define MAXIMUM_DEPTH 64

uint32_t sites_kinds = 0;
int sites_frames = 1;

/* ---- Whose code is whose ----------------------------------------------------------- */

typedef enum Owner {
    OWNER_UNKNOWN, /* not looked at yet */
    OWNER_USER,
    OWNER_LIBRARY,
    OWNER_PLUMBING, /* asyncio, threads, pools, we ourselves: never what made something */
} Owner;

/* Owned: tuples of str. */
static PyObject *plumbing_folders = NULL;
static PyObject *library_folders = NULL;
static PyObject *installed_parts = NULL;
static PyObject *own_parts = NULL;

int
sites_configure(PyObject *plumbing, PyObject *libraries, PyObject *installed,
                PyObject *own)
{
    PyObject *const tuples[] = {plumbing, libraries, installed, own};
    for (size_t i = 0; i < 4; i++) {
        for (Py_ssize_t j = 0; j < PyTuple_GET_SIZE(tuples[i]); j++) {
            /* Made now: not in the middle of a birth. */
            if (PyUnicode_AsUTF8(PyTuple_GET_ITEM(tuples[i], j)) == NULL) {
                return -1;
            }
        }
    }
    if (internals_learn_frames() < 0) {
        return -1;
    }
    Py_XSETREF(plumbing_folders, Py_NewRef(plumbing));
    Py_XSETREF(library_folders, Py_NewRef(libraries));
    Py_XSETREF(installed_parts, Py_NewRef(installed));
    Py_XSETREF(own_parts, Py_NewRef(own));
    return 0;
}

static bool
begins_with_any(const char *filename, PyObject *prefixes)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(prefixes); i++) {
        Py_ssize_t length;
        const char *prefix =
            PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(prefixes, i), &length);
        if (strncmp(filename, prefix, (size_t)length) == 0) {
            return true;
        }
    }
    return false;
}

static bool
contains_any(const char *filename, PyObject *parts)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(parts); i++) {
        if (strstr(filename, PyUnicode_AsUTF8(PyTuple_GET_ITEM(parts, i))) != NULL) {
            return true;
        }
    }
    return false;
}

static Owner
owner_of_file(const char *filename)
{
    if (begins_with_any(filename, plumbing_folders)) {
        return OWNER_PLUMBING;
    }
    if (filename[0] == '<') { /* <frozen importlib>, <string> */
        return OWNER_LIBRARY;
    }
    bool is_installed = begins_with_any(filename, library_folders) ||
                        contains_any(filename, installed_parts);
    return is_installed && !contains_any(filename, own_parts) ? OWNER_LIBRARY
                                                              : OWNER_USER;
}

static Owner
find_owner(PyCodeObject *code)
{
    const char *filename = PyUnicode_AsUTF8(code->co_filename);
    if (filename == NULL) {
        PyErr_Clear();
        return OWNER_LIBRARY;
    }
    Owner owner = owner_of_file(filename);
    code_set_extra(code, owner);
    return owner;
}

static inline Owner
owner_of(PyCodeObject *code)
{
    Owner owner = (Owner)code_get_extra(code);
    return owner != OWNER_UNKNOWN ? owner : find_owner(code);
}

/* Returns: the nearest frame of the user's, from `frame` on upwards, else the nearest of a
   library, or NULL. */
static inline InterpreterFrame *
find_site(InterpreterFrame *frame)
{
    InterpreterFrame *nearest = NULL;
    for (int depth = 0; frame != NULL && depth < MAXIMUM_DEPTH; depth++) {
        Owner owner = owner_of(frame_code(frame));
        if (owner == OWNER_USER) {
            return frame;
        }
        if (owner == OWNER_LIBRARY && nearest == NULL) {
            nearest = frame;
        }
        frame = frame_previous(frame);
    }
    return nearest;
}

/* ---- The table --------------------------------------------------------------------- */

typedef struct Site {
    PyCodeObject *code; /* owned: its line can be asked for as long as we live */
    int instruction;    /* index of the instruction, in bytes */
    uint16_t caller;    /* a site */
} Site;

#define MAXIMUM_SITES UINT16_MAX

/* By number, which begins with 1; and, for finding one, open addressing over numbers. */
static Site *sites = NULL;
static uint32_t site_count = 0;
static uint32_t site_capacity = 0;
static uint16_t *places = NULL;
static uint32_t place_mask = 0;

static uint32_t
place_of(const Site *site)
{
    uint64_t key = ((uint64_t)(uintptr_t)site->code >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    key ^= ((uint64_t)(uint32_t)site->instruction << 16 | site->caller) *
           UINT64_C(0xC2B2AE3D27D4EB4F);
    uint32_t place = (uint32_t)(key >> 32) & place_mask;
    while (places[place] != 0) {
        const Site *other = &sites[places[place] - 1];
        if (other->code == site->code && other->instruction == site->instruction &&
            other->caller == site->caller) {
            break;
        }
        place = (place + 1) & place_mask;
    }
    return place;
}

/* Returns: 0, or -1 without an exception. */
static int
grow(void)
{
    uint32_t capacity = site_capacity > 0 ? site_capacity * 2 : 256;
    Site *grown = PyMem_RawRealloc(sites, capacity * sizeof(Site));
    if (grown == NULL) {
        return -1;
    }
    sites = grown;
    uint16_t *new_places = PyMem_RawCalloc(capacity * 2, sizeof(uint16_t));
    if (new_places == NULL) {
        return -1;
    }
    PyMem_RawFree(places);
    places = new_places;
    place_mask = capacity * 2 - 1;
    site_capacity = capacity;
    for (uint32_t i = 0; i < site_count; i++) {
        places[place_of(&sites[i])] = (uint16_t)(i + 1);
    }
    return 0;
}

static uint16_t
intern(InterpreterFrame *frame, uint16_t caller)
{
    Site site = {frame_code(frame), frame_instruction(frame), caller};
    if (site_capacity == 0 && grow() < 0) {
        return SITE_UNKNOWN;
    }
    uint32_t place = place_of(&site);
    if (places[place] != 0) {
        return places[place];
    }
    if (site_count == MAXIMUM_SITES) {
        return SITE_UNKNOWN;
    }
    if (site_count == site_capacity) {
        if (grow() < 0) {
            return SITE_UNKNOWN;
        }
        place = place_of(&site);
    }
    Py_INCREF(site.code);
    sites[site_count++] = site;
    places[place] = (uint16_t)site_count;
    return (uint16_t)site_count;
}

/* The sites that were made last, by their one frame: a hot line makes many resources. */
static struct Recent {
    const PyCodeObject *code; /* borrowed: its site keeps it */
    int instruction;
    uint16_t site;
} recent[256];

static uint16_t
single_site(InterpreterFrame *frame)
{
    PyCodeObject *code = frame_code(frame);
    int instruction = frame_instruction(frame);
    size_t place = ((uintptr_t)code >> 5 ^ (uintptr_t)instruction >> 1) % 256;
    struct Recent *last = &recent[place];
    if (last->code != code || last->instruction != instruction) {
        uint16_t site = intern(frame, SITE_UNKNOWN);
        if (site == SITE_UNKNOWN) {
            return SITE_UNKNOWN;
        }
        *last = (struct Recent){code, instruction, site};
    }
    return last->site;
}

uint16_t
site_here(void)
{
    if (sites_frames == 1) {
        InterpreterFrame *found = find_site(frame_current());
        return found != NULL ? single_site(found) : SITE_UNKNOWN;
    }
    InterpreterFrame *found[MAXIMUM_FRAMES];
    int count = 0;
    InterpreterFrame *frame = frame_current();
    while (count < sites_frames && (frame = find_site(frame)) != NULL) {
        found[count++] = frame;
        frame = frame_previous(frame);
    }
    uint16_t site = SITE_UNKNOWN;
    while (count > 0) {
        site = intern(found[--count], site);
    }
    return site;
}

/* ---- Looking ----------------------------------------------------------------------- */

/* Returns: (code, line), new, or NULL with an exception set. */
static PyObject *
describe(PyCodeObject *code, int instruction)
{
    return Py_BuildValue("Oi", code, PyCode_Addr2Line(code, instruction));
}

PyObject *
site_frames(uint16_t site)
{
    PyObject *frames = PyList_New(0); /* owned */
    while (frames != NULL && site != SITE_UNKNOWN && site <= site_count) {
        const Site *found = &sites[site - 1];
        PyObject *frame = describe(found->code, found->instruction);
        if (frame == NULL || PyList_Append(frames, frame) < 0) {
            Py_CLEAR(frames);
        }
        Py_XDECREF(frame);
        site = found->caller;
    }
    PyObject *result = frames != NULL ? PyList_AsTuple(frames) : NULL;
    Py_XDECREF(frames);
    return result;
}

uint16_t
site_with_callers_here(void)
{
    if (plumbing_folders == NULL) { /* nobody has said yet whose code is whose */
        return SITE_UNKNOWN;
    }
    InterpreterFrame *found[1 + MAXIMUM_FRAMES];
    int count = 0;
    InterpreterFrame *frame = find_site(frame_current());
    while (frame != NULL && count < 1 + MAXIMUM_FRAMES) {
        found[count++] = frame;
        frame = frame_previous(frame);
        if (frame != NULL && owner_of(frame_code(frame)) != OWNER_USER) {
            frame = NULL;
        }
    }
    uint16_t site = SITE_UNKNOWN;
    while (count > 0) {
        site = intern(found[--count], site);
    }
    return site;
}

PyObject *
site_describe(uint16_t site)
{
    /* Owned. */
    PyObject *frames = site_frames(site);
    PyObject *callers = NULL;
    PyObject *result = NULL;
    if (frames == NULL) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(frames) == 0) {
        Py_DECREF(frames);
        Py_RETURN_NONE;
    }
    callers = PyTuple_GetSlice(frames, 1, PyTuple_GET_SIZE(frames));
    PyObject *frame = PyTuple_GET_ITEM(frames, 0); /* borrowed */
    if (callers != NULL) {
        result = PyTuple_Pack(3, PyTuple_GET_ITEM(frame, 0), PyTuple_GET_ITEM(frame, 1),
                              callers);
    }
    Py_XDECREF(callers);
    Py_DECREF(frames);
    return result;
}
