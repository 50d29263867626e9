/* Protobuf, written by hand: an agent that brings a protobuf library brings a version conflict.

   A message is written from its end to its beginning, so that the length of what is inside is
   known when it has to be written, in one pass. No function here runs Python code. */

#ifndef ASYNCHOOKS_PROTOBUF_H
#define ASYNCHOOKS_PROTOBUF_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

/* What is written are the last `size` bytes of the buffer. All zero: nothing yet. */
typedef struct Writer {
    char *buffer; /* owned */
    size_t capacity;
    size_t size;
    bool has_failed; /* memory was short: what is there is of no use */
} Writer;

static inline const char *
writer_bytes(const Writer *self)
{
    return self->buffer + self->capacity - self->size;
}

void writer_free(Writer *self);

/* Makes room for `wanted` bytes more. Returns: 0, or -1 where memory is short. */
int writer_grow(Writer *self, size_t wanted);

/* How many bytes a varint takes. */
static inline size_t
varint_size(uint64_t value)
{
    return (size_t)(63 - __builtin_clzll(value | 1)) / 7 + 1;
}

/* Writes one forwards. Returns: behind its end. */
static inline char *
varint_put(char *place, uint64_t value)
{
    while (value >= 0x80) {
        *place++ = (char)(value | 0x80);
        value >>= 7;
    }
    *place++ = (char)value;
    return place;
}

/* Returns: `count` bytes before what is written, borrowed, or NULL where memory is short. */
static inline char *
writer_claim(Writer *self, size_t count)
{
    if (self->capacity - self->size < count && writer_grow(self, count) < 0) {
        return NULL;
    }
    self->size += count;
    return self->buffer + self->capacity - self->size;
}

static inline void
write_varint(Writer *self, uint64_t value)
{
    char *place = writer_claim(self, varint_size(value));
    if (place != NULL) {
        (void)varint_put(place, value);
    }
}

static inline void
write_tag(Writer *self, unsigned field, unsigned wire_type)
{
    write_varint(self, field << 3 | wire_type);
}

static inline void
write_raw(Writer *self, const void *bytes, size_t size)
{
    char *place = writer_claim(self, size);
    if (place != NULL && size > 0) {
        memcpy(place, bytes, size);
    }
}

/* Protobuf's fixed numbers are little-endian. */
static inline void
write_little(Writer *self, uint64_t value, size_t size)
{
    char *place = writer_claim(self, size);
    for (size_t i = 0; place != NULL && i < size; i++) {
        place[i] = (char)(value >> 8 * i);
    }
}

/* OTLP's ids are big-endian. */
static inline void
write_big(Writer *self, uint64_t value)
{
    char *place = writer_claim(self, 8);
    for (size_t i = 0; place != NULL && i < 8; i++) {
        place[i] = (char)(value >> (56 - 8 * i));
    }
}

/* Makes what was written since the size was `mark` the message in this field. */
static inline void
write_message(Writer *self, unsigned field, size_t mark)
{
    write_varint(self, self->size - mark);
    write_tag(self, field, BYTES);
}

static inline void
write_bytes(Writer *self, unsigned field, const void *bytes, size_t size)
{
    size_t mark = self->size;
    write_raw(self, bytes, size);
    write_message(self, field, mark);
}

/* A number that is left out where it is 0, as proto3 does. */
static inline void
write_number(Writer *self, unsigned field, uint64_t value)
{
    if (value != 0) {
        write_varint(self, value);
        write_tag(self, field, VARINT);
    }
}

static inline void
write_fixed32(Writer *self, unsigned field, uint32_t value)
{
    write_little(self, value, 4);
    write_tag(self, field, FIXED32);
}

static inline void
write_fixed64(Writer *self, unsigned field, uint64_t value)
{
    write_little(self, value, 8);
    write_tag(self, field, FIXED64);
}

/* UTF-8, with a question mark for what has none (half of a surrogate pair): protobuf's strings
   must be valid. */
void write_utf8(Writer *self, PyObject *text);

/* Also where it is empty: what is one of several in a oneof is written all the same. */
static inline void
write_text(Writer *self, unsigned field, PyObject *text)
{
    size_t mark = self->size;
    if (PyUnicode_IS_ASCII(text)) {
        write_raw(self, PyUnicode_DATA(text), (size_t)PyUnicode_GET_LENGTH(text));
    } else {
        write_utf8(self, text);
    }
    write_message(self, field, mark);
}

/* One that is left out where it is empty, or NULL. */
static inline void
write_optional_text(Writer *self, unsigned field, PyObject *text)
{
    if (text != NULL && PyUnicode_GET_LENGTH(text) > 0) {
        write_text(self, field, text);
    }
}

#endif
