/* A thread of the operating system, for the exporter. gevent and eventlet put greenlets in the place
   of Python's own threads: one that waited in the core would hold up all others of its thread. */

#ifndef ASYNCHOOKS_EXPORT_THREAD_H
#define ASYNCHOOKS_EXPORT_THREAD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's function: see module.c. Returns: None, once the thread has begun, or NULL with a
   RuntimeError set where there are no more threads to be had. Lets go of the GIL. */
PyObject *export_thread_start(PyObject *module, PyObject *function);

#endif
