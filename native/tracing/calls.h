/* A call in a span: what a Wrapper does for a function that is no coroutine function. */

#ifndef ASYNCHOOKS_CALLS_H
#define ASYNCHOOKS_CALLS_H

#include "wrappers.h"

/* The span that `begin` starts for the arguments lasts as long as the call, and fails when it does.
   The helper is a tuple (begin, finish, fail, report, is_gated): functions, `finish` may be None;
   gated, `begin` is asked only where something is recorded. */
PyObject *call_in_span(Wrapper *self, PyObject *const *args, size_t nargsf,
                       PyObject *kwnames);

/* Whether a helper is as that says. */
bool call_takes_helper(PyObject *helper);

#endif
