/* The clock of steps and births. It is read twice in every step, so it has to cost next to
   nothing: on x86 it is the processor's time stamp counter, where the kernel itself keeps
   time by it, else CLOCK_MONOTONIC. What it counts are ticks;
   clock_ns_per_tick() is for whoever looks at them. */

#ifndef ASYNCHOOKS_CLOCK_H
#define ASYNCHOOKS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#if defined(__x86_64__) && defined(__linux__)
#include <x86intrin.h>
#define CLOCK_HAS_COUNTER 1
#else
#define CLOCK_HAS_COUNTER 0
#endif

extern bool clock_is_counter;

static inline uint64_t
clock_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Since the epoch; what spans and their events are stamped with. */
static inline uint64_t
clock_realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline uint64_t
clock_ticks(void)
{
#if CLOCK_HAS_COUNTER
    if (clock_is_counter) {
        return __rdtsc();
    }
#endif
    return clock_monotonic_ns();
}

/* What this thread has had of its processor. A system call, some 0.3 us. */
static inline uint64_t
clock_thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Ticks from `start` to `end`: none, where another processor's counter was a little ahead. */
static inline uint64_t
clock_elapsed(uint64_t start, uint64_t end)
{
    return end > start ? end - start : 0;
}

/* Chooses the clock. To be called once, before the first tick is read. */
void clock_prepare(void);

/* Nanoseconds per tick, as measured from clock_prepare() until now. */
double clock_ns_per_tick(void);

#endif
