/* BaseEventLoop.call_soon in C, behind the Python function that everybody sees. */

#ifndef ASYNCHOOKS_STANDARD_LOOP_H
#define ASYNCHOOKS_STANDARD_LOOP_H

#include "core.h"

/* Returns: 0, or -1 with an exception set. Where call_soon is not the one that we know,
   nothing is installed later. */
int standard_loop_prepare(void);
void standard_loop_install(void);
void standard_loop_uninstall(void);

#endif
