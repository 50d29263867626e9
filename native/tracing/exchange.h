/* One exchange over a socket: what is asked goes out, and the beginning of the answer comes in, while
   the GIL is let go of once. A thread that competes with a busy one for the GIL waits for it each
   time that it needs it again; `sendall` and `recv` of a socket with a timeout let go of it four
   times. */

#ifndef ASYNCHOOKS_EXCHANGE_H
#define ASYNCHOOKS_EXCHANGE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's function: see module.c. Returns: what has come, bytes, new, empty where the other side
   has closed; or NULL with an OSError set. May run Python code: no. Lets go of the GIL. */
PyObject *exchange(PyObject *module, PyObject *args);

#endif
