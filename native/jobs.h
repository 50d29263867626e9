/* Jobs of a thread pool: what a Wrapper does in the place of `ThreadPoolExecutor.submit`, and of
   `run` of its work items.

   A job goes through the pool in the place of the function that it runs, and gives it back when
   it is its turn. So nothing else of the pool needs to be touched. */

#ifndef ASYNCHOOKS_JOBS_H
#define ASYNCHOOKS_JOBS_H

#include "wrappers.h"

/* submit(executor, fn, ...): an ExecutorJob is born, which belongs to the executor; and above
   it a DNSLookup where `fn` is one of the functions that look up names. */
PyObject *jobs_submit(Wrapper *self, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames);

/* run(item, ...): the step of the job, in the context of its birth. */
PyObject *jobs_run(Wrapper *self, PyObject *const *args, size_t nargsf,
                   PyObject *kwnames);

/* What the pool's initializer has set in this thread is seen by jobs whose submitter has not set
   it: puts that into `context`, in which a job is to run. Nothing else is in the thread's own
   context, since jobs have theirs. Returns: 0, or -1 with an exception set. */
int jobs_add_own_of_thread(PyObject *context);

/* Says which functions look up names: a tuple, or NULL for none. */
void jobs_set_lookups(PyObject *functions);

/* Returns: 0, or -1 with an exception set. */
int jobs_add_type(PyObject *module);

#endif
