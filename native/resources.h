/* Resource: the C base of asynchooks.AsyncResource, and what stands for the jobs of
   executors and for threads. */

#ifndef ASYNCHOOKS_RESOURCES_H
#define ASYNCHOOKS_RESOURCES_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int resources_add_type(PyObject *module);

/* Returns: the record of a Resource, else NULL. */
Record *resources_record_of(PyObject *object);

#endif
