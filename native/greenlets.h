/* Greenlets: each that is made gets a copy of its maker's context, as a task does. By itself it
   begins in an empty one. */

#ifndef ASYNCHOOKS_GREENLETS_H
#define ASYNCHOOKS_GREENLETS_H

#include "core.h"

/* `type` is greenlet.greenlet, or None: greenlets are left alone.
   Returns: None, new, or NULL with an exception set; then nothing is changed. */
PyObject *greenlets_set_type(PyObject *module, PyObject *type);

#endif
