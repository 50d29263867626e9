#include "termination.h"
#include "export_buffer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

/* How long dying may take, in seconds. */
#define TIME_LIMIT 2

/* A semaphore may be posted in a signal handler; nothing else of the kind may. */
static sem_t requested;
static sem_t delivered;
static atomic_bool is_due = false;
/* The process whose thread waits for the signal; 0: none. A forked child has no such thread. */
static _Atomic(pid_t) guarded_process = 0;

/* In the main thread, between two instructions: the application does nothing more there. */
static int
stop_here(void *unused)
{
    Py_BEGIN_ALLOW_THREADS for (;;)
    {
        (void)pause();
    }
    Py_END_ALLOW_THREADS return 0;
}

/* But for Py_AddPendingCall(), only functions that POSIX allows here. That takes a lock for some
   instructions; where the signal has come just between these, the time limit gets us out. It has
   to be called here: 3.11 tells the main thread of a pending call only where it is added in the
   main thread, or when that next takes the GIL. */
static void
handle(int signum)
{
    int saved = errno;
    if (atomic_load(&guarded_process) != getpid()) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        (void)sigaction(signum, &action, NULL);
        (void)raise(signum); /* it comes when this handler returns */
    } else {
        (void)sem_post(&requested);
        (void)Py_AddPendingCall(stop_here, NULL);
    }
    errno = saved;
}

static void
die(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)kill(getpid(), SIGTERM);
    (void)pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    for (;;) {
        (void)pause();
    }
}

static void *
watch(void *unused)
{
    while (sem_wait(&requested) != 0) {
    }
    atomic_store(&is_due, true);
    export_buffers_wake();
    struct timespec limit;
    (void)clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += TIME_LIMIT;
    while (sem_timedwait(&delivered, &limit) != 0 && errno == EINTR) {
    }
    die();
    return NULL;
}

/* Starts the thread, which takes no signals. Returns: whether there is one. */
static bool
start_watching(void)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_attr_t attributes;
    if (sem_init(&requested, 0, 0) != 0 || sem_init(&delivered, 0, 0) != 0 ||
        pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, 256 * 1024);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int status = pthread_create(&thread, &attributes, watch, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return status == 0;
}

static bool
is_ours(const struct sigaction *action)
{
    return !(action->sa_flags & SA_SIGINFO) && action->sa_handler == handle;
}

/* Puts the handler in place, where the signal is left at its default. */
static void
install(void)
{
    struct sigaction action;
    if (sigaction(SIGTERM, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
        action.sa_handler == SIG_DFL) {
        struct sigaction ours = {.sa_handler = handle, .sa_flags = SA_RESTART};
        (void)sigemptyset(&ours.sa_mask);
        (void)sigaction(SIGTERM, &ours, NULL);
    }
}

/* From here on. Any number of times; again in a forked child. */
PyObject *
termination_guard(PyObject *module, PyObject *unused)
{
    if (getpid() == 1) {
        Py_RETURN_NONE; /* the first process of a container does not die by what it leaves alone */
    }
    if (atomic_load(&guarded_process) != getpid()) {
        if (!start_watching()) {
            Py_RETURN_NONE; /* no threads to be had: the signal kills as ever */
        }
        atomic_store(&is_due, false);
        atomic_store(&guarded_process, getpid());
    }
    install();
    Py_RETURN_NONE;
}

/* Python has put the default back: ours again, where this process is guarded. */
PyObject *
termination_restore(PyObject *module, PyObject *unused)
{
    if (atomic_load(&guarded_process) == getpid()) {
        install();
    }
    Py_RETURN_NONE;
}

/* No more: the default is in force again. */
PyObject *
termination_release(PyObject *module, PyObject *unused)
{
    struct sigaction action;
    if (sigaction(SIGTERM, NULL, &action) == 0 && is_ours(&action)) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        (void)sigaction(SIGTERM, &standard, NULL);
    }
    Py_RETURN_NONE;
}

PyObject *
termination_is_due(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(atomic_load(&is_due));
}

PyObject *
termination_delivered(PyObject *module, PyObject *unused)
{
    (void)sem_post(&delivered);
    Py_RETURN_NONE;
}
