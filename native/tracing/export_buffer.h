/* ExportBuffer: what was recorded, encoded, until a background thread takes it. Bounded: what does
   not fit is dropped, and counted. There is one for spans, and one for log records.

   What comes as an object is encoded together with some that came before and after it: between two
   requests an application puts the encoder out of the processor's caches. */

#ifndef ASYNCHOOKS_EXPORT_BUFFER_H
#define ASYNCHOOKS_EXPORT_BUFFER_H

#include "otlp.h"

#include <stdbool.h>

typedef struct ExportBuffer ExportBuffer;

/* Whether there are buffers that spans, and log records, go to. Owned, or NULL. */
extern ExportBuffer *span_buffer;
extern ExportBuffer *log_buffer;

/* Counts a record that comes. Returns: whether there is room for it; where not, it is dropped.
   May run Python code: no. */
bool export_buffer_admit(ExportBuffer *self);

/* Returns: where one that was admitted is written to, empty, borrowed. Until it is added no Python
   code may run. */
Writer *export_buffer_writer(void);

/* Adds what was written, of this scope or of the buffer's own (NULL), or counts it as dropped. Sets
   no exception. May run Python code: yes (the first one starts a thread). */
void export_buffer_add(ExportBuffer *self, PyObject *scope);

/* What a record that comes as an object is asked, once. Neither runs Python code. */
typedef struct RecordActs {
    /* Encodes it. Returns: its scope, borrowed, or NULL. */
    PyObject *(*encode)(PyObject *record, Writer *writer);
    /* Nobody will encode it. */
    void (*forget)(PyObject *record);
} RecordActs;

/* Adds an object that was admitted, and no longer changes; it is encoded some records later, or when it
   is taken. All of a buffer have the same acts. Sets no exception. May run Python code: yes. */
void export_buffer_put(ExportBuffer *self, PyObject *record, const RecordActs *acts);

/* Whether this is a thread that takes from one of the two. May run Python code: no. */
bool export_buffers_own_thread(void);

/* Has the threads that wait look for what else there is to do. May run Python code: no. Needs no
   GIL. */
void export_buffers_wake(void);

/* Python's functions: see module.c. */
PyObject *export_buffers_set_spans(PyObject *module, PyObject *buffer);
PyObject *export_buffers_set_logs(PyObject *module, PyObject *buffer);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int export_buffer_add_type(PyObject *module);

#endif
