/* ProtocolMethod: a method of a protocol as a loop's transport in C keeps it, so that each call
   is a step of the transport. */

#ifndef ASYNCHOOKS_PROTOCOLS_H
#define ASYNCHOOKS_PROTOCOLS_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. */
int protocols_add_type(PyObject *module);

#endif
