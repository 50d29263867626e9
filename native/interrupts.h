/* Ctrl-C, and signal handlers that raise (sys.exit() on SIGTERM): Python calls them wherever
   the main thread happens to be, so also inside a callback of ours. The exception is then
   none of the callback's, and must not end there. */

#ifndef ASYNCHOOKS_INTERRUPTS_H
#define ASYNCHOOKS_INTERRUPTS_H

#include "core.h"

/* `exception` has left a callback of ours. Returns: whether a signal handler raised it. May
   run Python code: yes. */
bool is_interrupt(PyObject *exception);

#endif
