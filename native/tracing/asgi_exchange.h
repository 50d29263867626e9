/* One HTTP request of an ASGI application: the call that serves it, and what it receives and sends. What
   a Wrapper does for the `__call__` of what stands in for the application. */

#ifndef ASYNCHOOKS_ASGI_EXCHANGE_H
#define ASYNCHOOKS_ASGI_EXCHANGE_H

#include "wrappers.h"

/* Of (stand-in, scope, receive, send), where the scope is an HTTP request: the application, the
   stand-in's `app`, is called in a request that begins with the first step. Where ours cannot begin,
   `helper(exception)` is told, and the call goes through. Everything else is the original's. */
PyObject *asgi_call(Wrapper *self, PyObject *const *args, size_t nargsf,
                    PyObject *kwnames);

/* To be called once. Returns: 0, or -1 with an exception set. */
int asgi_exchange_prepare(void);

#endif
