/* Trace and span ids: random, never zero, never the same in a forked child. */

#ifndef ASYNCHOOKS_RANDOM_IDS_H
#define ASYNCHOOKS_RANDOM_IDS_H

#include <stdint.h>

/* Returns: 64 random bits that are not all zero. Needs the GIL, which guards the generator. */
uint64_t random_id(void);

#endif
