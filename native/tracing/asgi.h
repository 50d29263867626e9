/* ASGI: what is read of a scope, and of the messages that answer it. */

#ifndef ASYNCHOOKS_ASGI_H
#define ASYNCHOOKS_ASGI_H

#include "answers.h"

/* Says in `is_body` whether the message is a piece of a body, which is to be followed once it was sent.
   Returns: the message to send in the place of this one, new, or NULL with an exception set, which is
   no Exception. May run Python code: yes. */
PyObject *asgi_message_to_send(Answer *answer, PyObject *message, bool *is_body);

/* A piece of a body was sent; a message has come. Return: 0, or -1 with an exception set, which is no
   Exception. May run Python code: yes. */
int asgi_follow_body(Answer *answer, PyObject *message);
int asgi_follow_received(Answer *answer, PyObject *message);

/* Returns: whether a scope is that of an HTTP request, or -1 with an exception set. May run Python
   code: yes, where it is no dict. */
int asgi_is_http(PyObject *scope);

/* Python's functions: see module.c. */
PyObject *asgi_start(PyObject *module, PyObject *scope);
PyObject *asgi_sending(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *asgi_sent(PyObject *module, PyObject *const *args, Py_ssize_t nargs);

/* To be called once. Returns: 0, or -1 with an exception set. */
int asgi_prepare(void);

#endif
