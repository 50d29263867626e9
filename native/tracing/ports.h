/* Port: a function of the server's, as the application is given it: followed for an Answer. What else is
   asked of it is asked of the server's. */

#ifndef ASYNCHOOKS_PORTS_H
#define ASYNCHOOKS_PORTS_H

#include "answers.h"

typedef struct Port {
    PyObject_HEAD Answer *answer; /* owned */
    PyObject *function;           /* owned: the server's */
    vectorcallfunc vectorcall;
} Port;

/* Returns: new, or NULL with an exception set. `vectorcall` is given the Port. */
PyObject *port_make(Answer *answer, PyObject *function, vectorcallfunc vectorcall);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int ports_add_type(PyObject *module);

#endif
