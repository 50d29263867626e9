#include "forks.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdbool.h>

unsigned forks_count = 0;

static void
count_fork(void)
{
    forks_count++;
}

int
forks_prepare(void)
{
    static bool is_prepared = false;
    if (!is_prepared && pthread_atfork(NULL, NULL, count_fork) != 0) {
        PyErr_SetString(PyExc_OSError, "pthread_atfork() failed");
        return -1;
    }
    is_prepared = true;
    return 0;
}
