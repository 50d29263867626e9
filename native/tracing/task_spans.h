/* The spans of tasks: what a request's code started, and where.

   The context of a task is never changed, so that nothing of ours shows in it. A task that still has
   the span it was born with runs for its own span; one that has entered a scope of its own since,
   for that. */

#ifndef ASYNCHOOKS_TASK_SPANS_H
#define ASYNCHOOKS_TASK_SPANS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Returns: the span of the task that executes, where it is what stands for `inherited`, new; NULL
   where it is not, or with an exception set. May run Python code: no. */
PyObject *task_spans_find(PyObject *inherited);

/* From one to the other, tasks that this thread creates get no span. They nest, and are for what takes no
   step of a loop; what goes on over several has a scope that records no tasks. */
void task_spans_pause(void);
void task_spans_resume(void);

/* Python's functions: see module.c. */
PyObject *task_spans_set(PyObject *module, PyObject *tasks);
PyObject *task_spans_hook(PyObject *module, PyObject *args);

#endif
