#include "protobuf.h"

#define FIRST_CAPACITY 4096

int
writer_grow(Writer *self, size_t wanted)
{
    size_t capacity = self->capacity > 0 ? self->capacity : FIRST_CAPACITY;
    while (capacity - self->size < wanted) {
        capacity *= 2;
    }
    char *buffer = PyMem_RawMalloc(capacity);
    if (buffer == NULL) {
        self->has_failed = true;
        return -1;
    }
    if (self->size > 0) {
        memcpy(buffer + capacity - self->size, writer_bytes(self), self->size);
    }
    PyMem_RawFree(self->buffer);
    self->buffer = buffer;
    self->capacity = capacity;
    return 0;
}

void
writer_free(Writer *self)
{
    PyMem_RawFree(self->buffer);
    *self = (Writer){0};
}

void
write_utf8(Writer *self, PyObject *text)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = PyUnicode_GET_LENGTH(text); i-- > 0;) {
        Py_UCS4 c = PyUnicode_READ(kind, data, i);
        if (c >= 0xD800 && c <= 0xDFFF) {
            c = '?';
        }
        size_t count = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        char *place = writer_claim(self, count);
        if (place == NULL) {
            return;
        }
        for (size_t k = count; k-- > 1; c >>= 6) {
            place[k] = (char)(0x80 | (c & 0x3F));
        }
        place[0] = (char)(count == 1 ? c : (0xF00u >> count & 0xFF) | c);
    }
}
