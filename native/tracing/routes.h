/* What a framework's router tells a request: the template of the route that it has matched. */

#ifndef ASYNCHOOKS_ROUTES_H
#define ASYNCHOOKS_ROUTES_H

#include "wrappers.h"

/* handle(route, ...): before it, the template, which the helper names or says, is added to what the
   request's route is so far: a mount comes before what is mounted there, and is its prefix. */
PyObject *route_handle(Wrapper *self, PyObject *const *args, size_t nargsf,
                       PyObject *kwnames);

/* Whether route_handle() can do with a helper. */
bool route_takes_helper(PyObject *helper);

#endif
