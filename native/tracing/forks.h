/* Forks, seen from C: also those that Python's own hooks are not told of. */

#ifndef ASYNCHOOKS_FORKS_H
#define ASYNCHOOKS_FORKS_H

/* How many forks lie between the process that loaded us and this one. What keeps the number of
   its birth knows by comparing that it is its parent's. */
extern unsigned forks_count;

/* To be called once. Returns: 0, or -1 with an exception set. */
int forks_prepare(void);

#endif
