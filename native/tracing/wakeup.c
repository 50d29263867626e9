#include "wakeup.h"

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
wakeup_take(Wakeup *self, long long microseconds)
{
    PyLockStatus status;
    Py_BEGIN_ALLOW_THREADS status =
        PyThread_acquire_lock_timed(self->lock, microseconds, 0);
    Py_END_ALLOW_THREADS if (status == PY_LOCK_ACQUIRED)
    {
        atomic_store(&self->is_given, false);
    }
}

void
wakeup_free(Wakeup *self)
{
    if (PyThread_acquire_lock(self->lock, NOWAIT_LOCK)) {
        atomic_store(&self->is_given, false);
    }
    atomic_store(&self->is_urgent, false);
    self->next = free_wakeups;
    free_wakeups = self;
}
