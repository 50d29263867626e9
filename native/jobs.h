/* Jobs of a thread pool: what a Wrapper does in the place of `ThreadPoolExecutor.submit`, of
   the __init__ of its work items, and of their `run`. */

#ifndef ASYNCHOOKS_JOBS_H
#define ASYNCHOOKS_JOBS_H

#include "wrappers.h"

/* submit(executor, fn, ...): the jobs that are made inside belong to the executor. */
PyObject *jobs_submit(Wrapper *self, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames);

/* __init__(item, future, fn, ...): an ExecutorJob is born, and below a DNSLookup where `fn` is
   one of the functions that look up names. */
PyObject *jobs_make(Wrapper *self, PyObject *const *args, size_t nargsf,
                    PyObject *kwnames);

/* run(item, ...): the step of the job, in the context of its birth. */
PyObject *jobs_run(Wrapper *self, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames);

/* Says which functions look up names: a tuple, or NULL for none. */
void jobs_set_lookups(PyObject *functions);

/* Returns: 0, or -1 with an exception set. */
int jobs_prepare(void);

#endif
