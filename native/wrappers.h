/* Wrapper: a callable of ours in the place of a function or method of somebody else's, that
   nobody can tell from it: it has the function's attributes, binds like it, and leaves no frame
   in tracebacks and stacks. */

#ifndef ASYNCHOOKS_WRAPPERS_H
#define ASYNCHOOKS_WRAPPERS_H

#include "core.h"

typedef struct Wrapper Wrapper;

/* Calls `self->original` in its own way. Returns: new, or NULL with an exception set. */
typedef PyObject *(*Act)(Wrapper *self, PyObject *const *args, size_t nargsf,
                         PyObject *kwnames);

struct Wrapper {
    PyObject_HEAD PyObject *original; /* owned */
    PyObject *helper; /* owned: a function, or what else the act takes; or NULL */
    PyObject *then;   /* owned: a function or NULL */
    PyObject *weak_references;
    vectorcallfunc vectorcall;
    Act act;
    Kind kind;
};

/* Returns: what the helper says for these arguments, new; NULL, without an exception, where
   it says None or fails. May run Python code: yes. */
PyObject *wrapper_ask(Wrapper *self, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames);

static inline PyObject *
wrapper_call_original(Wrapper *self, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames)
{
    return PyObject_Vectorcall(self->original, args, nargsf, kwnames);
}

/* Returns: 0, or -1 with an exception set. */
int wrappers_add_type(PyObject *module);

#endif
