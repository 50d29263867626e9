/* Names: of attributes and keys, interned once, when the module is made; of headers, in any case. */

#ifndef ASYNCHOOKS_NAMES_H
#define ASYNCHOOKS_NAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

typedef struct Name {
    PyObject **place; /* what is put there is owned */
    const char *text;
} Name;

/* Returns: 0, or -1 with an exception set. */
int names_intern(const Name *names, size_t count);

#define INTERN(names) names_intern(names, sizeof(names) / sizeof((names)[0]))

/* Whether a header's name is `lower`, which is in lower case. */
bool name_equals(const char *given, Py_ssize_t length, const char *lower);

#endif
