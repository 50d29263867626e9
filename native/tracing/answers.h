/* Answer: follows the answer to one request: its status, its bytes, its end, and what runs on after
   that. `with answer:` stands around the call that serves the request. */

#ifndef ASYNCHOOKS_ANSWERS_H
#define ASYNCHOOKS_ANSWERS_H

#include "requests.h"
#include "scopes.h"

typedef struct Answer {
    PyObject_HEAD Request *request; /* owned */
    Scope *scope;  /* owned: of the request, while `with` lasts; or NULL */
    uint64_t size; /* bytes */
    uint64_t chunks;
    int status; /* of HTTP; 0: not known yet */
} Answer;

extern PyTypeObject *answer_type; /* owned */

static inline bool
answer_check(PyObject *object)
{
    return Py_IS_TYPE(object, answer_type);
}

/* Returns: new, or NULL with an exception set. */
Answer *answer_make(Request *request);

/* So many bytes of the body were sent, in one piece. */
static inline void
answer_add(Answer *self, Py_ssize_t size)
{
    if (size > 0) {
        self->size += (uint64_t)size;
        self->chunks++;
    }
}

/* The answer's status and headers (pairs of bytes) are known. Returns: 0, or -1 with an exception
   set. May run Python code: yes. */
int answer_begin(Answer *self, int status, PyObject *headers);

/* The last byte was sent. Returns: 0, or -1 with an exception set. May run Python code: yes. */
int answer_end(Answer *self);

/* The client has gone away. Returns: 0, or -1 with an exception set. */
int answer_disconnect(Answer *self);

/* The application raised. Returns: 0, or -1 with an exception set. May run Python code: yes. */
int answer_fail(Answer *self, PyObject *exception);

/* The application is done with the request. Returns: 0, or -1 with an exception set. May run Python
   code: yes. */
int answer_finish(Answer *self);

/* Puts the request in force. Returns: 0, or -1 with an exception set. */
int answer_enter(Answer *self);

/* The call that serves the request is over, by an exception or, with NULL, by returning: the answer
   is finished, and what was in force before is again. Returns: 0, or -1 with an exception set. May
   run Python code: yes. */
int answer_leave(Answer *self, PyObject *exception);

/* Adds the type to the module. Returns: 0, or -1 with an exception set. */
int answers_add_type(PyObject *module);

#endif
