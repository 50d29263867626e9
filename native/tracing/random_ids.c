#define PY_SSIZE_T_CLEAN
#include <Python.h> /* first: it says which system calls there are */

#include "random_ids.h"
#include "clock.h"
#include "forks.h"

#include <stdbool.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif

/* xoshiro256++ by Blackman and Vigna: ids have to differ, they are no secrets. */
static uint64_t state[4];
static bool is_seeded = false;
static unsigned seeded_in;

static inline uint64_t
rotate(uint64_t value, int by)
{
    return value << by | value >> (64 - by);
}

static void
seed(void)
{
    if (getentropy(state, sizeof(state)) != 0) {
        /* A kernel that has none: what differs between processes and moments. */
        state[0] ^= clock_monotonic_ns();
        state[1] ^= (uint64_t)getpid() << 32 | (uint64_t)getppid();
        state[2] ^= clock_realtime_ns();
        state[3] ^= (uint64_t)(uintptr_t)&state;
    }
    state[0] |= 1; /* all zero is the one state that it never leaves */
    is_seeded = true;
    seeded_in = forks_count;
}

static uint64_t
next(void)
{
    uint64_t result = rotate(state[0] + state[3], 23) + state[0];
    uint64_t shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

uint64_t
random_id(void)
{
    if (!is_seeded || seeded_in != forks_count) {
        seed();
    }
    uint64_t id;
    do {
        id = next();
    } while (id == 0);
    return id;
}

#define DIGITS 16

PyObject *
random_id_as_text(void)
{
    PyObject *text = PyUnicode_New(DIGITS, 127);
    uint64_t id = random_id();
    for (int i = DIGITS - 1; text != NULL && i >= 0; i--) {
        PyUnicode_1BYTE_DATA(text)[i] = (Py_UCS1) "0123456789abcdef"[id & 15];
        id >>= 4;
    }
    return text;
}
