/* Ctrl-C, and signal handlers that raise (sys.exit() on SIGTERM): Python calls them wherever
   the main thread happens to be, so also inside a callback of ours. The exception is then
   none of the callback's, and must not end there. */

#ifndef ASYNCHOOKS_INTERRUPTS_H
#define ASYNCHOOKS_INTERRUPTS_H

#include "core.h"

/* `exception` has left a callback of ours. If a signal handler raised it, the main thread
   raises it again as soon as it is out of our hands.
   Steals: exception, if so. Returns: whether it is so. May run Python code: yes. */
bool interrupts_take(PyObject *exception);

#endif
