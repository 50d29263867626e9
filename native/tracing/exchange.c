#include "exchange.h"
#include "clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* More than any answer of a receiver that has nothing special to say. What is beyond is read later. */
#define ANSWER_SIZE (8 * 1024)

/* Elsewhere Python has the signal ignored. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* Waits until `file` is ready. Returns: 0, or -1 with errno set. */
static int
wait_for(int file, short events, uint64_t deadline)
{
    struct pollfd poller = {.fd = file, .events = events};
    for (;;) {
        uint64_t now = clock_monotonic_ns();
        if (now >= deadline) {
            errno = ETIMEDOUT;
            return -1;
        }
        uint64_t milliseconds = (deadline - now) / 1000000 + 1;
        int ready =
            poll(&poller, 1, milliseconds < INT_MAX ? (int)milliseconds : INT_MAX);
        if (ready > 0) {
            return 0;
        }
        if (ready < 0 && errno != EINTR) {
            return -1;
        }
    }
}

/* Whether the call that failed is to be made again, once `file` is ready. */
static bool
may_try_again(int file, short events, uint64_t deadline)
{
    if (errno == EINTR) {
        return true;
    }
    return (errno == EAGAIN || errno == EWOULDBLOCK) &&
           wait_for(file, events, deadline) == 0;
}

/* Returns: 0, or -1 with errno set. */
static int
send_all(int file, struct iovec *parts, size_t count, uint64_t deadline)
{
    for (;;) {
        for (; count > 0 && parts->iov_len == 0; count--) {
            parts++;
        }
        if (count == 0) {
            return 0;
        }
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
        ssize_t sent = sendmsg(file, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (!may_try_again(file, POLLOUT, deadline)) {
                return -1;
            }
            continue;
        }
        for (size_t left = (size_t)sent, i = 0; left > 0; i++) {
            size_t gone = left < parts[i].iov_len ? left : parts[i].iov_len;
            parts[i].iov_base = (char *)parts[i].iov_base + gone;
            parts[i].iov_len -= gone;
            left -= gone;
        }
    }
}

/* Returns: how much has come, or -1 with errno set. */
static ssize_t
receive(int file, char *answer, uint64_t deadline)
{
    for (;;) {
        /* First of all: there is nothing yet, and a socket that blocks would wait for ever. */
        if (wait_for(file, POLLIN, deadline) < 0) {
            return -1;
        }
        ssize_t received = recv(file, answer, ANSWER_SIZE, 0);
        if (received >= 0 || !may_try_again(file, POLLIN, deadline)) {
            return received;
        }
    }
}

PyObject *
exchange(PyObject *module, PyObject *args)
{
    int file;
    PyObject *head, *body; /* borrowed */
    double seconds;
    if (!PyArg_ParseTuple(args, "iSSd:exchange", &file, &head, &body, &seconds)) {
        return NULL;
    }
    struct iovec parts[] = {
        {PyBytes_AS_STRING(head), (size_t)PyBytes_GET_SIZE(head)},
        {PyBytes_AS_STRING(body), (size_t)PyBytes_GET_SIZE(body)},
    };
    char answer[ANSWER_SIZE];
    ssize_t received = -1;
    int error = 0;
    Py_BEGIN_ALLOW_THREADS;
    uint64_t deadline =
        clock_monotonic_ns() + (seconds > 0 ? (uint64_t)(seconds * 1e9) : 0);
    if (send_all(file, parts, 2, deadline) == 0) {
        received = receive(file, answer, deadline);
    }
    error = errno;
    Py_END_ALLOW_THREADS;
    if (received < 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyBytes_FromStringAndSize(answer, received);
}
