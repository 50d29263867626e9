#include "attributes.h"
#include "compat.h"

#include <string.h>

/* OpenTelemetry's default limits, and one for values, which it leaves unlimited. */
SpanLimits span_limits = {
    .attributes = 128,
    .events = 128,
    .links = 128,
    .event_attributes = 128,
    .link_attributes = 128,
    .log_attributes = 128,
    .value_length = 16 * 1024,
};

/* How deep sequences and mappings may lie in each other; what is deeper is written as text. */
#define MAXIMUM_DEPTH 16
#define FIRST_CAPACITY 8

/* ---- Clean values ------------------------------------------------------------------ */

static PyObject *clean(PyObject *value, int depth);

PyObject *
text_of(PyObject *object)
{
    if (PyUnicode_CheckExact(object)) {
        return unicode_ready(object) < 0 ? NULL : Py_NewRef(object);
    }
    if (PyUnicode_Check(object)) {
        return PyUnicode_FromObject(object);
    }
    PyObject *text = PyObject_Str(object); /* owned; perhaps of a subclass */
    PyObject *exact = text != NULL ? PyUnicode_FromObject(text) : NULL;
    Py_XDECREF(text);
    return exact;
}

/* Steals: text, which may be NULL. */
static PyObject *
cut_text(PyObject *text)
{
    if (text != NULL && PyUnicode_GET_LENGTH(text) > span_limits.value_length) {
        Py_SETREF(text, PyUnicode_Substring(text, 0, span_limits.value_length));
    }
    return text;
}

PyObject *
short_text_of(PyObject *object)
{
    return cut_text(text_of(object));
}

/* An int as an exact one of 64 bits; a larger one as text, decimal where Python allows. */
static PyObject *
clean_int(PyObject *value)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow == 0) {
        return number == -1 && PyErr_Occurred() ? NULL
               : PyLong_CheckExact(value)       ? Py_NewRef(value)
                                                : PyLong_FromLongLong(number);
    }
    PyObject *text = PyLong_Type.tp_repr(value);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_ValueError)) {
        PyErr_Clear(); /* more digits than sys.get_int_max_str_digits() */
        text = PyNumber_ToBase(value, 16);
    }
    return cut_text(text);
}

static PyObject *
clean_bytes(const char *bytes, Py_ssize_t size)
{
    return PyBytes_FromStringAndSize(
        bytes, size > span_limits.value_length ? span_limits.value_length : size);
}

/* Of a list or tuple. */
static PyObject *
clean_sequence(PyObject *value, int depth)
{
    PyObject *items = PySequence_Tuple(value); /* owned: cleaning may change the list */
    PyObject *result = items != NULL ? PyTuple_New(PyTuple_GET_SIZE(items)) : NULL;
    for (Py_ssize_t i = 0; result != NULL && i < PyTuple_GET_SIZE(items); i++) {
        PyObject *item = clean(PyTuple_GET_ITEM(items, i), depth);
        if (item == NULL) {
            Py_CLEAR(result);
        } else {
            PyTuple_SET_ITEM(result, i, item);
        }
    }
    Py_XDECREF(items);
    return result;
}

static PyObject *
clean_mapping(PyObject *value, int depth)
{
    PyObject *items = PyDict_Copy(value); /* owned */
    PyObject *result = items != NULL ? PyDict_New() : NULL;
    /* Borrowed. */
    PyObject *key, *item;
    Py_ssize_t position = 0;
    while (result != NULL && PyDict_Next(items, &position, &key, &item)) {
        PyObject *clean_key = short_text_of(key);
        PyObject *clean_item = clean_key != NULL ? clean(item, depth) : NULL;
        if (clean_item == NULL || PyDict_SetItem(result, clean_key, clean_item) < 0) {
            Py_CLEAR(result);
        }
        Py_XDECREF(clean_key);
        Py_XDECREF(clean_item);
    }
    Py_XDECREF(items);
    return result;
}

/* Returns: new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
clean(PyObject *value, int depth)
{
    if (PyUnicode_Check(value)) {
        return short_text_of(value);
    }
    if (value == Py_None || PyBool_Check(value) || PyFloat_CheckExact(value)) {
        return Py_NewRef(value);
    }
    if (PyLong_Check(value)) {
        return clean_int(value);
    }
    if (PyFloat_Check(value)) {
        return PyFloat_FromDouble(PyFloat_AS_DOUBLE(value));
    }
    if (PyBytes_Check(value)) {
        return clean_bytes(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    }
    if (PyByteArray_Check(value)) {
        return clean_bytes(PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
    }
    if (depth < MAXIMUM_DEPTH && (PyList_Check(value) || PyTuple_Check(value))) {
        return clean_sequence(value, depth + 1);
    }
    if (depth < MAXIMUM_DEPTH && PyDict_Check(value)) {
        return clean_mapping(value, depth + 1);
    }
    return short_text_of(value);
}

/* ---- The set ----------------------------------------------------------------------- */

/* What kept one attribute from being set: 0 where that is its own failure, which is counted,
   or -1 where the application has to hear of it. */
static int
drop(Attributes *self)
{
    if (PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_Exception) ||
            PyErr_ExceptionMatches(PyExc_MemoryError)) {
            return -1;
        }
        PyErr_Clear();
    }
    self->dropped++;
    return 0;
}

/* Returns: the index of `key`, or `count`. May run Python code: no. */
static uint32_t
find(const Attributes *self, PyObject *key)
{
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->items[i].key == key) {
            return i;
        }
    }
    if (PyUnicode_CHECK_INTERNED(key) && !self->has_other_keys) {
        return self->count;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        PyObject *other = self->items[i].key;
        if (PyUnicode_GET_LENGTH(other) == PyUnicode_GET_LENGTH(key) &&
            PyUnicode_KIND(other) == PyUnicode_KIND(key) &&
            memcmp(PyUnicode_DATA(other), PyUnicode_DATA(key),
                   (size_t)(PyUnicode_GET_LENGTH(key) * PyUnicode_KIND(key))) == 0) {
            return i;
        }
    }
    return self->count;
}

/* Has `self` own its items, and room for so many. Returns: 0, or -1 with MemoryError set. */
static int
make_room(Attributes *self, uint32_t capacity)
{
    PyObject *owner = self->owner; /* owned */
    Attribute *items =
        PyMem_Realloc(owner != NULL ? NULL : self->items, capacity * sizeof(Attribute));
    if (items == NULL) {
        (void)PyErr_NoMemory();
        return -1;
    }
    for (uint32_t i = 0; owner != NULL && i < self->count; i++) {
        items[i].key = Py_NewRef(self->items[i].key);
        items[i].value = Py_NewRef(self->items[i].value);
    }
    self->items = items;
    self->capacity = capacity;
    self->owner = NULL;
    Py_XDECREF(owner);
    return 0;
}

int
attributes_reserve(Attributes *self, uint32_t count)
{
    return count > self->capacity ? make_room(self, count) : 0;
}

/* Makes room for one more, where there may be so many. Returns: 0, or -1 with MemoryError set. */
static int
grow(Attributes *self, uint32_t maximum)
{
    uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : FIRST_CAPACITY;
    return make_room(self, capacity < maximum ? capacity : maximum);
}

/* Puts an attribute in the place of the one of the same key, or behind the others. Steals: key and value,
   which are clean. Returns: 0, or -1 with MemoryError set. May run Python code: no. */
static int
put(Attributes *self, PyObject *key, PyObject *value, uint32_t maximum)
{
    PyObject *replaced = NULL; /* owned */
    int status = 0;
    uint32_t place = find(self, key);
    if (place < self->count) {
        status = self->owner != NULL ? make_room(self, self->capacity) : 0;
        if (status == 0) {
            replaced = self->items[place].value;
            self->items[place].value = value;
            value = NULL;
        }
    } else if (place >= maximum) {
        self->dropped++;
    } else {
        status = place == self->capacity ? grow(self, maximum) : 0;
        if (status == 0) {
            self->items[place] = (Attribute){key, value};
            self->count++;
            self->has_other_keys |= !PyUnicode_CHECK_INTERNED(key);
            key = value = NULL;
        }
    }
    Py_XDECREF(key);
    Py_XDECREF(value);
    Py_XDECREF(replaced);
    return status;
}

/* Whether a key, or a value, is clean as it is, as far as that can be seen at once. */
static inline bool
is_clean(PyObject *object)
{
    return PyUnicode_CheckExact(object)
               ? PyUnicode_IS_COMPACT_ASCII(object) &&
                     PyUnicode_GET_LENGTH(object) <= span_limits.value_length
               : PyLong_CheckExact(object) && long_is_small(object);
}

int
attributes_set(Attributes *self, PyObject *key, PyObject *value, uint32_t maximum)
{
    if (!PyUnicode_Check(key) || PyUnicode_GET_LENGTH(key) == 0) {
        return drop(self);
    }
    if (is_clean(value) && PyUnicode_CheckExact(key) && PyUnicode_IS_COMPACT_ASCII(key)) {
        return put(self, Py_NewRef(key), Py_NewRef(value), maximum);
    }
    PyObject *clean_key = text_of(key);                                 /* owned */
    PyObject *clean_value = clean_key != NULL ? clean(value, 0) : NULL; /* owned */
    if (clean_value == NULL) {
        Py_XDECREF(clean_key);
        return drop(self);
    }
    return put(self, clean_key, clean_value, maximum);
}

static int
update_from_dict(Attributes *self, PyObject *dict, uint32_t maximum)
{
    /* Borrowed until they are held: making a value clean may change the dict. */
    PyObject *key, *value;
    Py_ssize_t position = 0;
    int status = 0;
    while (status == 0 && PyDict_Next(dict, &position, &key, &value)) {
        Py_INCREF(key);
        Py_INCREF(value);
        status = attributes_set(self, key, value, maximum);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return status;
}

int
attributes_update(Attributes *self, PyObject *mapping, uint32_t maximum)
{
    if (mapping == NULL || mapping == Py_None) {
        return 0;
    }
    if (PyDict_CheckExact(mapping)) {
        return update_from_dict(self, mapping, maximum);
    }
    PyObject *items = PyMapping_Items(mapping); /* owned */
    int status = items != NULL ? 0 : drop(self);
    for (Py_ssize_t i = 0; items != NULL && status == 0 && i < PyList_GET_SIZE(items);
         i++) {
        PyObject *item = PyList_GET_ITEM(items, i); /* borrowed */
        if (PyTuple_Check(item) && PyTuple_GET_SIZE(item) == 2) {
            status = attributes_set(self, PyTuple_GET_ITEM(item, 0),
                                    PyTuple_GET_ITEM(item, 1), maximum);
        } else {
            status = drop(self);
        }
    }
    Py_XDECREF(items);
    return status;
}

void
attributes_share(Attributes *self, const Attributes *from, PyObject *owner)
{
    *self = *from;
    self->capacity = from->count;
    self->owner = Py_NewRef(owner);
}

bool
attributes_have_prefix(const Attributes *self, const char *prefix)
{
    size_t length = strlen(prefix);
    for (uint32_t i = 0; i < self->count; i++) {
        PyObject *key = self->items[i].key; /* borrowed */
        if (PyUnicode_IS_ASCII(key) && (size_t)PyUnicode_GET_LENGTH(key) >= length &&
            memcmp(PyUnicode_DATA(key), prefix, length) == 0) {
            return true;
        }
    }
    return false;
}

PyObject *
attributes_as_dict(const Attributes *self)
{
    PyObject *dict = PyDict_New();
    /* The count is read anew each time: an allocation may run a finalizer, which may set one. */
    for (uint32_t i = 0; dict != NULL && i < self->count; i++) {
        PyObject *key = Py_NewRef(self->items[i].key);
        PyObject *value = Py_NewRef(self->items[i].value);
        if (PyDict_SetItem(dict, key, value) < 0) {
            Py_CLEAR(dict);
        }
        Py_DECREF(key);
        Py_DECREF(value);
    }
    return dict;
}

void
attributes_clear(Attributes *self)
{
    Attribute *items = self->items;
    PyObject *owner = self->owner; /* owned */
    uint32_t count = self->count;
    *self = (Attributes){.dropped = self->dropped};
    if (owner != NULL) {
        Py_DECREF(owner);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        Py_DECREF(items[i].key);
        Py_DECREF(items[i].value);
    }
    PyMem_Free(items);
}
