/* Attributes of spans, events and links: few, in the order in which they were first set.

   A value that is kept is *clean*: a str, bool, int of 64 bits, float, bytes or None, or a tuple
   or dict of such. So whoever encodes it runs no Python code, nothing that the application does
   to a list afterwards shows, and the garbage collector need not look at it. */

#ifndef ASYNCHOOKS_ATTRIBUTES_H
#define ASYNCHOOKS_ATTRIBUTES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Attribute {
    PyObject *key;   /* owned: an exact str, not empty */
    PyObject *value; /* owned, clean */
} Attribute;

/* All zero: none. */
typedef struct Attributes {
    Attribute *items; /* owned, unless they are somebody else's */
    PyObject *owner;  /* owned: whose they are, until one is set; or NULL */
    uint32_t count;
    uint32_t capacity;
    uint32_t dropped;
    bool has_other_keys; /* some that are not interned, and may equal another one */
} Attributes;

/* How much a span, or a log record, may hold, at most. What is beyond is counted as dropped; a value is cut. */
typedef struct SpanLimits {
    uint32_t attributes;
    uint32_t events;
    uint32_t links;
    uint32_t event_attributes;
    uint32_t link_attributes;
    uint32_t log_attributes; /* of a log record */
    Py_ssize_t value_length; /* characters of a str, bytes of a bytes */
} SpanLimits;

extern SpanLimits span_limits;

/* Sets one. What cannot be one (a key that is no str, or empty; a value whose str() fails) is
   counted as dropped. Returns: 0, or -1 with an exception set, which is MemoryError or no
   Exception. May run Python code: yes (str(), and the end of the value that was there). */
int attributes_set(Attributes *self, PyObject *key, PyObject *value, uint32_t maximum);

/* Sets all of a mapping, or None. As above. */
int attributes_update(Attributes *self, PyObject *mapping, uint32_t maximum);

/* Makes `self`, which has none, have what `from` has, which never changes as long as `owner` lives. */
void attributes_share(Attributes *self, const Attributes *from, PyObject *owner);

/* Makes room for so many. Returns: 0, or -1 with MemoryError set. */
int attributes_reserve(Attributes *self, uint32_t count);

/* Whether a key begins so. May run Python code: no. */
bool attributes_have_prefix(const Attributes *self, const char *prefix);

/* Returns: a dict, new, or NULL with an exception set. */
PyObject *attributes_as_dict(const Attributes *self);

/* Forgets all. May run Python code: no, but for that of the owner's end. */
void attributes_clear(Attributes *self);

/* Returns: `object` as an exact str, cut where it is longer than a value may be, new, or NULL with
   an exception set. May run Python code: yes. */
PyObject *short_text_of(PyObject *object);

/* Returns: `object` as an exact str of any length, new, or NULL with an exception set. May run
   Python code: yes. */
PyObject *text_of(PyObject *object);

#endif
