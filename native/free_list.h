/* A few dead objects of one type, kept for the next births: a loop makes and drops a
   handle for each step. */

#ifndef ASYNCHOOKS_FREE_LIST_H
#define ASYNCHOOKS_FREE_LIST_H

#include <Python.h>

#ifdef __SANITIZE_ADDRESS__
#define FREE_LIST_CAPACITY 0 /* whoever reads what is dead is to be caught */
#else
#define FREE_LIST_CAPACITY 128
#endif

typedef struct FreeList {
    PyObject *items[FREE_LIST_CAPACITY + 1]; /* of one type, each of its basicsize */
    int count;
} FreeList;

/* Returns: new, with what `type` adds to PyObject undefined, not yet tracked by the garbage
   collector; or NULL with MemoryError set. */
static inline PyObject *
free_list_take(FreeList *list, PyTypeObject *type)
{
    if (list->count > 0) {
        return PyObject_Init(list->items[--list->count], type);
    }
    return (PyObject *)PyObject_GC_New(PyObject, type);
}

/* Ends the life of `self`, which is untracked and owns nothing any more. */
static inline void
free_list_put(FreeList *list, PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
#if FREE_LIST_CAPACITY > 0
    if (list->count < FREE_LIST_CAPACITY) {
        list->items[list->count++] = self;
        Py_DECREF(type);
        return;
    }
#endif
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

#endif
