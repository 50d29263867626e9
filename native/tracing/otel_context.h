/* OpenTelemetry's `get_value(key)`: what a Wrapper does for it. Libraries ask it several times a request
   for what nobody has set. */

#ifndef ASYNCHOOKS_OTEL_CONTEXT_H
#define ASYNCHOOKS_OTEL_CONTEXT_H

#include "wrappers.h"

/* What the current scope holds beside ours. Outside of all scopes, of another context, and of the
   helper's keys, a set, the original says it. */
PyObject *otel_get_value(Wrapper *self, PyObject *const *args, size_t nargsf,
                         PyObject *kwnames);

#endif
