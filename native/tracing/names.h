/* Names: of attributes and keys, interned once, when the module is made; of headers, in any case. */

#ifndef ASYNCHOOKS_NAMES_H
#define ASYNCHOOKS_NAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <string.h>

typedef struct Name {
    PyObject **place; /* what is put there is owned */
    const char *text;
} Name;

/* Returns: 0, or -1 with an exception set. */
int names_intern(const Name *names, size_t count);

#define INTERN(names) names_intern(names, sizeof(names) / sizeof((names)[0]))

/* Whether an object, or NULL, is a str of this text, which is ASCII. */
static inline bool
text_equals(PyObject *object, const char *text, size_t length)
{
    if (object == NULL || !PyUnicode_Check(object)) {
        return false;
    }
    if (!PyUnicode_IS_COMPACT_ASCII(object)) { /* of a subclass, say */
        return PyUnicode_CompareWithASCIIString(object, text) == 0;
    }
    return (size_t)PyUnicode_GET_LENGTH(object) == length &&
           memcmp(PyUnicode_DATA(object), text, length) == 0;
}

/* Of a literal. */
#define TEXT_IS(object, literal) text_equals(object, literal, sizeof(literal) - 1)

/* Whether a header's name is `lower`, which has the same length and is in lower case. */
bool name_equals(const char *given, const char *lower, size_t length);

/* Of a literal, or an array. */
#define NAME_IS(given, length, lower)                                                    \
    ((size_t)(length) == sizeof(lower) - 1 &&                                            \
     name_equals(given, lower, sizeof(lower) - 1))

#endif
