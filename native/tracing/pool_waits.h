/* Waits for a connection of a pool: what a Wrapper does for a function that takes one. */

#ifndef ASYNCHOOKS_POOL_WAITS_H
#define ASYNCHOOKS_POOL_WAITS_H

#include "wrappers.h"

/* The helper is a tuple (record, worth): where a recorded request's call has lasted so many ns, however
   it ended, `record(parent, start_time, exception or None)` is called. `..._steps` is for a coroutine
   function or a generator function. */
PyObject *wait_for_pool(Wrapper *self, PyObject *const *args, size_t nargsf,
                        PyObject *kwnames);
PyObject *wait_for_pool_steps(Wrapper *self, PyObject *const *args, size_t nargsf,
                              PyObject *kwnames);

/* Whether a helper is as that says. */
bool wait_takes_helper(PyObject *helper);

#endif
