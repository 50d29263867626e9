/* Calls of other libraries: in a span, unrecorded, or as a wait for a pool. Each is what a Wrapper does
   for a function and, `..._steps`, for a coroutine function or a generator function, whose call lasts
   from its first step to its last. */

#ifndef ASYNCHOOKS_CALLS_H
#define ASYNCHOOKS_CALLS_H

#include "wrappers.h"

/* The span that `begin` starts for the arguments lasts as long as the call, and fails when it does.
   The helper is a tuple (begin, finish, fail, restore, report, is_gated, is_whole): `finish`, of the
   span and the result, and `restore`, of the arguments in the end, may be None; gated, `begin` is
   asked only where something is recorded; what a whole one does inside is no span. */
PyObject *call_in_span(Wrapper *self, PyObject *const *args, size_t nargsf,
                       PyObject *kwnames);
PyObject *call_in_span_steps(Wrapper *self, PyObject *const *args, size_t nargsf,
                             PyObject *kwnames);

/* Whether a helper is as that says. */
bool call_takes_helper(PyObject *helper);

/* Nothing that is done inside is a span. */
PyObject *call_unrecorded(Wrapper *self, PyObject *const *args, size_t nargsf,
                          PyObject *kwnames);
PyObject *call_unrecorded_steps(Wrapper *self, PyObject *const *args, size_t nargsf,
                                PyObject *kwnames);

#endif
