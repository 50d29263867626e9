#include "export_buffer.h"
#include "clock.h"
#include "forks.h"
#include "wakeup.h"

#include <string.h>

/* Memory for what waits, as one piece. */
#define CHUNK_SIZE (64 * 1024)
/* A batch ends before it is larger, unless it is one record: what receivers take unless they are
   told otherwise (nginx: 1 MiB), and what is copied in less than 1 ms. */
#define MAXIMUM_BATCH_BYTES (1000 * 1000)
/* So many objects are encoded together. */
#define MAXIMUM_UNWRITTEN 32
/* What the scratch memory of the encoder may keep between two records. */
#define MAXIMUM_SCRATCH (1024 * 1024)

typedef struct Chunk {
    struct Chunk *next;
    size_t read; /* of `bytes`, what was taken */
    size_t used;
    size_t capacity;
    char bytes[];
} Chunk;

/* Before the bytes of each record; not aligned. */
typedef struct Header {
    PyObject *scope; /* owned: bytes */
    size_t size;
} Header;

struct ExportBuffer {
    PyObject_HEAD PyObject *start; /* owned: called where one comes and nobody waits */
    PyObject *scope; /* owned: bytes, of records that have none of their own */
    Chunk *first;    /* owned */
    Chunk *last;
    PyObject
        *unwritten[MAXIMUM_UNWRITTEN]; /* owned: they come after what is in the chunks */
    const RecordActs *acts;            /* theirs */
    size_t unwritten_count;
    Wakeup *wakeup;
    size_t capacity; /* records */
    size_t byte_limit;
    size_t batch;     /* records, at most */
    size_t wake_at;   /* records that are enough to be taken */
    size_t bytes;     /* that wait */
    uint64_t written; /* records in the chunks */
    uint64_t in_flight;
    uint64_t ended; /* that came */
    uint64_t sent;
    uint64_t dropped;
    unsigned long attendant; /* the thread that has waited last */
    unsigned fork;           /* in which process this is */
    bool is_attended;        /* a thread takes what comes */
    bool is_closed;
};

static PyTypeObject *buffer_type = NULL; /* owned */
ExportBuffer *span_buffer = NULL;
ExportBuffer *log_buffer = NULL;
/* Borrowed: of the two. */
static _Atomic(Wakeup *) span_wakeup = NULL;
static _Atomic(Wakeup *) log_wakeup = NULL;
static Writer scratch;

/* ---- Chunks -------------------------------------------------------------------------- */

static Header
header_at(const Chunk *chunk, size_t place)
{
    Header header;
    memcpy(&header, chunk->bytes + place, sizeof(header));
    return header;
}

/* Returns: how many records are to be taken. */
static inline uint64_t
waiting(const ExportBuffer *self)
{
    return self->written + self->unwritten_count;
}

static bool
has_enough(const ExportBuffer *self)
{
    return waiting(self) >= self->wake_at || self->bytes >= MAXIMUM_BATCH_BYTES;
}

/* Moves the objects that wait to `records`. Returns: how many; they are owned from there. */
static size_t
move_unwritten(ExportBuffer *self, PyObject **records)
{
    size_t count = self->unwritten_count;
    memcpy(records, self->unwritten, count * sizeof(PyObject *));
    self->unwritten_count = 0;
    return count;
}

/* May run Python code: yes. */
static void
let_go_of(PyObject **records, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        Py_DECREF(records[i]);
    }
}

/* May run Python code: yes. */
static void
forget_all(ExportBuffer *self)
{
    PyObject *records[MAXIMUM_UNWRITTEN]; /* owned */
    size_t count = move_unwritten(self, records);
    Chunk *chunk = self->first;
    self->first = self->last = NULL;
    self->written = 0;
    self->bytes = 0;
    while (chunk != NULL) {
        Chunk *next = chunk->next;
        for (size_t place = chunk->read; place < chunk->used;) {
            Header header = header_at(chunk, place);
            Py_DECREF(header.scope);
            place += sizeof(Header) + header.size;
        }
        PyMem_RawFree(chunk);
        chunk = next;
    }
    for (size_t i = 0; i < count; i++) {
        self->acts->forget(records[i]);
    }
    let_go_of(records, count);
}

/* Tells the thread that takes what there is. */
static void
tell_what_waits(ExportBuffer *self)
{
    atomic_store(&self->wakeup->since, waiting(self) > 0 ? clock_monotonic_ns() : 0);
    atomic_store(&self->wakeup->is_full, has_enough(self));
}

/* In a forked child: what waits is the parent's to send, and its thread does not exist here. */
static void
start_over(ExportBuffer *self)
{
    self->fork = forks_count;
    forget_all(self);
    self->in_flight = self->ended = self->sent = self->dropped = 0;
    self->attendant = 0;
    self->is_attended = false;
    /* The parent's thread may have held the lock. */
    Wakeup *wakeup = wakeup_new();
    if (wakeup != NULL) {
        if (self == span_buffer) {
            atomic_store(&span_wakeup, wakeup);
        }
        if (self == log_buffer) {
            atomic_store(&log_wakeup, wakeup);
        }
        self->wakeup = wakeup;
    }
    tell_what_waits(self);
}

static inline void
ensure_own(ExportBuffer *self)
{
    if (self->fork != forks_count) {
        start_over(self);
    }
}

/* Returns: a chunk with room for `size` bytes, or NULL where memory is short. */
static Chunk *
chunk_for(ExportBuffer *self, size_t size)
{
    Chunk *chunk = self->last;
    if (chunk != NULL && chunk->capacity - chunk->used >= size) {
        return chunk;
    }
    size_t capacity = size > CHUNK_SIZE ? size : CHUNK_SIZE;
    chunk = PyMem_RawMalloc(sizeof(Chunk) + capacity);
    if (chunk == NULL) {
        return NULL;
    }
    chunk->next = NULL;
    chunk->read = chunk->used = 0;
    chunk->capacity = capacity;
    if (self->last != NULL) {
        self->last->next = chunk;
    } else {
        self->first = chunk;
    }
    self->last = chunk;
    return chunk;
}

/* Puts what is in the scratch memory at the end, or drops it where there is no room. `scope` may be
   NULL: the buffer's own. */
static void
append(ExportBuffer *self, PyObject *scope)
{
    size_t size = sizeof(Header) + scratch.size;
    bool has_room = !scratch.has_failed && self->bytes + size <= self->byte_limit;
    Chunk *chunk = has_room ? chunk_for(self, size) : NULL;
    if (chunk == NULL) {
        self->dropped++;
        return;
    }
    Header header = {Py_NewRef(scope != NULL ? scope : self->scope), scratch.size};
    char *place = chunk->bytes + chunk->used;
    memcpy(place, &header, sizeof(header));
    memcpy(place + sizeof(header), writer_bytes(&scratch), scratch.size);
    chunk->used += size;
    self->bytes += size;
    self->written++;
}

/* ---- Adding -------------------------------------------------------------------------- */

static void
ask_for_attention(ExportBuffer *self)
{
    PyObject *start = Py_NewRef(self->start);
    self->is_attended = true;
    PyObject *result = PyObject_CallNoArgs(start);
    if (result == NULL) {
        self->is_attended = false;
        PyErr_WriteUnraisable(start);
    }
    Py_XDECREF(result);
    Py_DECREF(start);
}

bool
export_buffer_admit(ExportBuffer *self)
{
    ensure_own(self);
    self->ended++;
    if (self->is_closed || waiting(self) >= self->capacity) {
        self->dropped++;
        return false;
    }
    return true;
}

Writer *
export_buffer_writer(void)
{
    scratch.size = 0;
    scratch.has_failed = false;
    return &scratch;
}

/* After one was added. May run Python code: yes. */
static void
tell_of_one_more(ExportBuffer *self)
{
    if (waiting(self) == 1 ||
        (has_enough(self) && !atomic_load(&self->wakeup->is_full))) {
        tell_what_waits(self);
        wakeup_give(self->wakeup);
    }
    if (!self->is_attended) {
        ask_for_attention(self);
    }
}

static void
keep_scratch_small(void)
{
    if (scratch.capacity > MAXIMUM_SCRATCH) {
        writer_free(&scratch);
    }
}

void
export_buffer_add(ExportBuffer *self, PyObject *scope)
{
    append(self, scope);
    keep_scratch_small();
    tell_of_one_more(self);
}

/* Encodes the objects that wait. May run Python code: yes, once all of them are. */
static void
write_all(ExportBuffer *self)
{
    PyObject *records[MAXIMUM_UNWRITTEN]; /* owned */
    size_t count = move_unwritten(self, records);
    for (size_t i = 0; i < count; i++) {
        append(self, self->acts->encode(records[i], export_buffer_writer()));
    }
    keep_scratch_small();
    let_go_of(records, count);
}

void
export_buffer_put(ExportBuffer *self, PyObject *record, const RecordActs *acts)
{
    self->acts = acts;
    self->unwritten[self->unwritten_count++] = Py_NewRef(record);
    if (self->unwritten_count == MAXIMUM_UNWRITTEN) {
        write_all(self);
    }
    tell_of_one_more(self);
}

static bool
is_attendant(const ExportBuffer *self, unsigned long thread)
{
    return self != NULL && self->attendant == thread && self->fork == forks_count;
}

bool
export_buffers_own_thread(void)
{
    unsigned long thread = PyThread_get_thread_ident();
    return is_attendant(span_buffer, thread) || is_attendant(log_buffer, thread);
}

static void
wake(Wakeup *wakeup)
{
    if (wakeup != NULL) {
        wakeup_urge(wakeup);
    }
}

void
export_buffers_wake(void)
{
    wake(atomic_load(&span_wakeup));
    wake(atomic_load(&log_wakeup));
}

/* ---- Taking -------------------------------------------------------------------------- */

/* One record on its way into a batch. All borrowed. */
typedef struct Taken {
    PyObject *scope; /* NULL: it is in its place already */
    const char *bytes;
    size_t size;
} Taken;

/* Lists what the next batch is made of. Returns: how many. */
static size_t
list_batch(const ExportBuffer *self, Taken *taken)
{
    size_t count = 0;
    size_t total = 0;
    for (const Chunk *chunk = self->first; chunk != NULL; chunk = chunk->next) {
        for (size_t place = chunk->read; place < chunk->used;) {
            Header header = header_at(chunk, place);
            total += header.size;
            if (count == self->batch || (count > 0 && total > MAXIMUM_BATCH_BYTES)) {
                return count;
            }
            taken[count++] =
                (Taken){header.scope, chunk->bytes + place + sizeof(Header), header.size};
            place += sizeof(Header) + header.size;
        }
    }
    return count;
}

/* Forgets the first `count` records. */
static void
drop_first(ExportBuffer *self, size_t count)
{
    self->written -= count;
    while (count > 0) {
        Chunk *chunk = self->first;
        Header header = header_at(chunk, chunk->read);
        chunk->read += sizeof(Header) + header.size;
        self->bytes -= sizeof(Header) + header.size;
        if (chunk->read == chunk->used) {
            self->first = chunk->next;
            if (self->first == NULL) {
                self->last = NULL;
            }
            PyMem_RawFree(chunk);
        }
        Py_DECREF(header.scope);
        count--;
    }
    tell_what_waits(self);
}

/* How long the message of the scope of taken[first] is, with what it has. */
static size_t
size_of_scope(const Taken *taken, size_t first, size_t count)
{
    size_t size = (size_t)PyBytes_GET_SIZE(taken[first].scope);
    for (size_t i = first; i < count; i++) {
        size += taken[i].scope == taken[first].scope ? taken[i].size : 0;
    }
    return size;
}

/* Whether a record of the same scope stands before this one. */
static bool
is_repeated(const Taken *taken, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (taken[i].scope == taken[index].scope) {
            return true;
        }
    }
    return false;
}

static char *
put(char *place, const void *bytes, size_t size)
{
    memcpy(place, bytes, size);
    return place + size;
}

static char *
put_message_head(char *place, unsigned field, size_t size)
{
    *place++ = (char)(field << 3 | 2);
    return varint_put(place, size);
}

/* Moves the records of the scope of taken[first] to `place`. Returns: behind their end. */
static char *
put_scope(char *place, Taken *taken, size_t first, size_t count)
{
    PyObject *scope = taken[first].scope;
    place = put_message_head(place, 2, size_of_scope(taken, first, count));
    place = put(place, PyBytes_AS_STRING(scope), (size_t)PyBytes_GET_SIZE(scope));
    for (size_t i = first; i < count; i++) {
        if (taken[i].scope == scope) {
            place = put(place, taken[i].bytes, taken[i].size);
            taken[i].scope = NULL;
        }
    }
    return place;
}

/* An ExportTraceServiceRequest or ExportLogsServiceRequest: around spans and log records stand the
   same fields. Returns: new, or NULL with an exception set. */
static PyObject *
make_request(PyObject *resource, Taken *taken, size_t count)
{
    size_t size = (size_t)PyBytes_GET_SIZE(resource);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || (taken[i].scope != taken[i - 1].scope && !is_repeated(taken, i))) {
            size_t inside = size_of_scope(taken, i, count);
            size += 1 + varint_size(inside) + inside;
        }
    }
    PyObject *request =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(1 + varint_size(size) + size));
    if (request == NULL) {
        return NULL;
    }
    char *place = put_message_head(PyBytes_AS_STRING(request), 1, size);
    place = put(place, PyBytes_AS_STRING(resource), (size_t)PyBytes_GET_SIZE(resource));
    for (size_t i = 0; i < count; i++) {
        if (taken[i].scope != NULL) {
            place = put_scope(place, taken, i, count);
        }
    }
    return request;
}

static PyObject *
ExportBuffer_take(ExportBuffer *self, PyObject *resource)
{
    if (!PyBytes_CheckExact(resource)) {
        PyErr_Format(PyExc_TypeError, "%R is no resource of encode_resource()", resource);
        return NULL;
    }
    ensure_own(self);
    write_all(self);
    if (self->written == 0) {
        Py_RETURN_NONE;
    }
    size_t room = self->written < self->batch ? (size_t)self->written : self->batch;
    Taken *taken = PyMem_RawMalloc(room * sizeof(Taken));
    if (taken == NULL) {
        return PyErr_NoMemory();
    }
    size_t count = list_batch(self, taken);
    PyObject *request = make_request(resource, taken, count); /* owned */
    PyMem_RawFree(taken);
    PyObject *result = NULL;
    if (request != NULL) {
        result = Py_BuildValue("KO", (unsigned long long)count, request);
        Py_DECREF(request);
    }
    if (result != NULL) {
        drop_first(self, count);
        self->in_flight += count;
    }
    return result;
}

/* ---- The thread that takes ------------------------------------------------------------ */

static PyObject *
ExportBuffer_wait(ExportBuffer *self, PyObject *argument)
{
    double interval = PyFloat_AsDouble(argument);
    if (interval == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    ensure_own(self);
    self->attendant = PyThread_get_thread_ident();
    wakeup_wait(self->wakeup, interval > 0 ? (uint64_t)(interval * 1e9) : 0);
    Py_RETURN_NONE;
}

static PyObject *
ExportBuffer_wake(ExportBuffer *self, PyObject *unused)
{
    ensure_own(self);
    wake(self->wakeup);
    Py_RETURN_NONE;
}

static PyObject *
ExportBuffer_settle(ExportBuffer *self, PyObject *args)
{
    unsigned long long sent, dropped;
    if (!PyArg_ParseTuple(args, "KK:settle", &sent, &dropped)) {
        return NULL;
    }
    ensure_own(self);
    if (sent + dropped > self->in_flight) {
        PyErr_Format(PyExc_ValueError, "%llu records are settled, %llu were taken",
                     sent + dropped, (unsigned long long)self->in_flight);
        return NULL;
    }
    self->in_flight -= sent + dropped;
    self->sent += sent;
    self->dropped += dropped;
    Py_RETURN_NONE;
}

static PyObject *
ExportBuffer_unattend(ExportBuffer *self, PyObject *unused)
{
    self->is_attended = false;
    Py_RETURN_NONE;
}

static PyObject *
ExportBuffer_close(ExportBuffer *self, PyObject *unused)
{
    ensure_own(self);
    self->is_closed = true;
    self->dropped += waiting(self);
    forget_all(self);
    tell_what_waits(self);
    Py_RETURN_NONE;
}

static PyObject *
ExportBuffer_stats(ExportBuffer *self, PyObject *unused)
{
    ensure_own(self);
    return Py_BuildValue("KKKK", (unsigned long long)self->ended,
                         (unsigned long long)self->sent,
                         (unsigned long long)self->dropped,
                         (unsigned long long)(waiting(self) + self->in_flight));
}

/* ---- The type -------------------------------------------------------------------------- */

static PyObject *
ExportBuffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"start", "scope",   "capacity", "byte_limit",
                            "batch", "wake_at", NULL};
    /* Borrowed. */
    PyObject *start, *scope;
    Py_ssize_t capacity, byte_limit, batch, wake_at = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO!nnn|$n:ExportBuffer", names,
                                     &start, &PyBytes_Type, &scope, &capacity,
                                     &byte_limit, &batch, &wake_at)) {
        return NULL;
    }
    if (capacity < 1 || byte_limit < 1 || batch < 1) {
        PyErr_SetString(PyExc_ValueError, "a ExportBuffer needs room for something");
        return NULL;
    }
    ExportBuffer *self = (ExportBuffer *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->wakeup = wakeup_new();
    if (self->wakeup == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->start = Py_NewRef(start);
    self->scope = Py_NewRef(scope);
    self->capacity = (size_t)capacity;
    self->byte_limit = (size_t)byte_limit;
    self->batch = (size_t)batch;
    self->wake_at = (size_t)(wake_at > 0 && wake_at < batch ? wake_at : batch);
    self->fork = forks_count;
    return (PyObject *)self;
}

static int
ExportBuffer_traverse(ExportBuffer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->start);
    for (size_t i = 0; i < self->unwritten_count; i++) {
        Py_VISIT(self->unwritten[i]);
    }
    return 0;
}

static int
ExportBuffer_clear(ExportBuffer *self)
{
    Py_CLEAR(self->start);
    forget_all(self);
    return 0;
}

static void
ExportBuffer_dealloc(ExportBuffer *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)ExportBuffer_clear(self);
    Py_CLEAR(self->scope);
    if (self->wakeup != NULL) {
        wakeup_free(self->wakeup);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef ExportBuffer_methods[] = {
    {"wait", (PyCFunction)ExportBuffer_wait, METH_O,
     "wait($self, interval, /)\n--\n\n"
     "Return when there is enough for a batch, when the first record has waited for "
     "`interval` seconds, or\nafter wake(). For one thread."},
    {"wake", (PyCFunction)ExportBuffer_wake, METH_NOARGS,
     "wake($self, /)\n--\n\nHave wait() return, now or when it is next called."},
    {"take", (PyCFunction)ExportBuffer_take, METH_O,
     "take($self, resource, /)\n--\n\n"
     "Take a batch out: (how many records, a request of OTLP), or None. They are in "
     "flight\nuntil they are settled."},
    {"settle", (PyCFunction)ExportBuffer_settle, METH_VARARGS,
     "settle($self, sent, dropped, /)\n--\n\nSay what became of so many that were in "
     "flight."},
    {"unattend", (PyCFunction)ExportBuffer_unattend, METH_NOARGS,
     "unattend($self, /)\n--\n\nNobody waits any more: the next record calls `start`."},
    {"close", (PyCFunction)ExportBuffer_close, METH_NOARGS,
     "close($self, /)\n--\n\nDrop what waits, and what comes."},
    {"stats", (PyCFunction)ExportBuffer_stats, METH_NOARGS,
     "stats($self, /)\n--\n\n(ended, sent, dropped, waiting), of this process."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot ExportBuffer_slots[] = {
    {Py_tp_doc, "What was recorded, encoded, until a background thread takes it."},
    {Py_tp_new, ExportBuffer_new},
    {Py_tp_traverse, ExportBuffer_traverse},
    {Py_tp_clear, ExportBuffer_clear},
    {Py_tp_dealloc, ExportBuffer_dealloc},
    {Py_tp_methods, ExportBuffer_methods},
    {0, NULL},
};

static PyType_Spec ExportBuffer_spec = {
    .name = "asynchooks._native.ExportBuffer",
    .basicsize = sizeof(ExportBuffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = ExportBuffer_slots,
};

/* Puts `buffer`, or None, in the place of one of the two. */
static PyObject *
set_buffer(ExportBuffer **place, _Atomic(Wakeup *) *wakeup, PyObject *buffer)
{
    if (buffer != Py_None && !Py_IS_TYPE(buffer, buffer_type)) {
        PyErr_Format(PyExc_TypeError, "%R is no ExportBuffer", buffer);
        return NULL;
    }
    ExportBuffer *found = NULL; /* owned */
    if (buffer != Py_None) {
        found = (ExportBuffer *)Py_NewRef(buffer);
        ensure_own(found);
    }
    atomic_store(wakeup, found != NULL ? found->wakeup : NULL);
    Py_XSETREF(*place, found);
    Py_RETURN_NONE;
}

PyObject *
export_buffers_set_spans(PyObject *module, PyObject *buffer)
{
    return set_buffer(&span_buffer, &span_wakeup, buffer);
}

PyObject *
export_buffers_set_logs(PyObject *module, PyObject *buffer)
{
    return set_buffer(&log_buffer, &log_wakeup, buffer);
}

int
export_buffer_add_type(PyObject *module)
{
    buffer_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &ExportBuffer_spec, NULL);
    return buffer_type != NULL ? PyModule_AddType(module, buffer_type) : -1;
}
