/* Transports that a loop makes in C, where nobody can look on: they are met through their
   protocol.

   Introduction: what stands among the attributes of a new protocol as `connection_made`, until
   it is called, once. ProtocolMethod: a method of the protocol as such a transport keeps it, so
   that each call is a step of the transport. */

#ifndef ASYNCHOOKS_PROTOCOLS_H
#define ASYNCHOOKS_PROTOCOLS_H

#include "core.h"
#include "tracked.h"

/* introduce(protocol, maker=None): has a protocol show us its transport, which was made by
   `maker`, a tracked object, or else here and now. Nothing happens to a protocol that takes no
   attributes. Returns: new (None), or NULL with an exception set. */
PyObject *protocols_introduce(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* What kinds of transport there are: a dict from types to (kind, name).
   Returns: new (None), or NULL with an exception set. */
PyObject *protocols_set_types(PyObject *module, PyObject *types);

/* What is made from now on by what executes or, where given, by a tracked object. */
Origin protocols_origin(PyObject *maker);

/* Returns: 0, or -1 with an exception set. */
int protocols_add_type(PyObject *module);

#endif
