/* What is recorded on a span while it is open: the methods of the type that say so. */

#ifndef ASYNCHOOKS_SPAN_RECORDING_H
#define ASYNCHOOKS_SPAN_RECORDING_H

#include "spans.h"

static inline bool
is_given(PyObject *argument)
{
    return argument != NULL && argument != Py_None;
}

/* Whether what is set is recorded. */
static inline bool
span_is_open(const Span *self)
{
    return self->is_sampled && !self->has_ended;
}

/* Of `argument`, in ns since the epoch, or now. Returns: 0, or -1 with an exception set. */
int span_time_of(PyObject *argument, uint64_t *time);

/* Returns: a number below `count`, or -1 with an exception set. */
int span_number_of(PyObject *argument, int count, const char *what);

/* The methods. */
PyObject *span_is_recording(Span *self, PyObject *unused);
PyObject *span_set_attribute(Span *self, PyObject *const *args, Py_ssize_t nargs,
                             PyObject *kwnames);
PyObject *span_set_attributes(Span *self, PyObject *mapping);
PyObject *span_add_event(Span *self, PyObject *const *args, Py_ssize_t nargs,
                         PyObject *kwnames);
PyObject *span_add_link(Span *self, PyObject *const *args, Py_ssize_t nargs,
                        PyObject *kwnames);
PyObject *span_set_status(Span *self, PyObject *const *args, Py_ssize_t nargs,
                          PyObject *kwnames);
PyObject *span_record_exception(Span *self, PyObject *const *args, Py_ssize_t nargs,
                                PyObject *kwnames);
PyObject *span_update_name(Span *self, PyObject *name);

/* To be called once. Returns: 0, or -1 with an exception set. */
int span_recording_prepare(void);

#endif
