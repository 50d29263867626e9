#include "wakeup.h"
#include "clock.h"

static Wakeup *free_wakeups = NULL;

Wakeup *
wakeup_new(void)
{
    Wakeup *self = free_wakeups;
    if (self != NULL) {
        free_wakeups = self->next;
        return self;
    }
    self = PyMem_RawCalloc(1, sizeof(Wakeup));
    if (self == NULL) {
        return NULL;
    }
    self->lock = PyThread_allocate_lock();
    if (self->lock == NULL) {
        PyMem_RawFree(self);
        return NULL;
    }
    (void)PyThread_acquire_lock(self->lock, NOWAIT_LOCK);
    return self;
}

void
wakeup_give(Wakeup *self)
{
    if (!atomic_exchange(&self->is_given, true)) {
        PyThread_release_lock(self->lock);
    }
}

void
wakeup_urge(Wakeup *self)
{
    atomic_store(&self->is_urgent, true);
    wakeup_give(self);
}

/* Returns: for how many microseconds there is nothing to do; -1: for ever. */
static long long
idle_time(Wakeup *self, uint64_t interval)
{
    if (atomic_exchange(&self->is_urgent, false) || atomic_load(&self->is_full)) {
        return 0;
    }
    uint64_t since = atomic_load(&self->since);
    if (since == 0) {
        return -1;
    }
    uint64_t age = clock_elapsed(since, clock_monotonic_ns());
    return age < interval ? (long long)((interval - age) / 1000) + 1 : 0;
}

void
wakeup_wait(Wakeup *self, uint64_t interval)
{
    long long microseconds = idle_time(self, interval);
    if (microseconds == 0) {
        return;
    }
    Py_BEGIN_ALLOW_THREADS while (microseconds != 0)
    {
        if (PyThread_acquire_lock_timed(self->lock, microseconds, 0) ==
            PY_LOCK_ACQUIRED) {
            atomic_store(&self->is_given, false);
        }
        microseconds = idle_time(self, interval);
    }
    Py_END_ALLOW_THREADS
}

void
wakeup_free(Wakeup *self)
{
    if (PyThread_acquire_lock(self->lock, NOWAIT_LOCK)) {
        atomic_store(&self->is_given, false);
    }
    atomic_store(&self->is_urgent, false);
    atomic_store(&self->is_full, false);
    atomic_store(&self->since, 0);
    self->next = free_wakeups;
    free_wakeups = self;
}
