#include "relays.h"
#include "compat.h"

#include <stddef.h>
#include <structmember.h>

static PyTypeObject *relay_type = NULL; /* owned */
static PyObject *str_throw = NULL;      /* owned */
static PyObject *str_close = NULL;      /* owned */

/* Returns: what `await` steps, new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
iterator_of(PyObject *awaitable)
{
    if (PyCoro_CheckExact(awaitable)) {
        return Py_NewRef(awaitable);
    }
    PyAsyncMethods *methods = Py_TYPE(awaitable)->tp_as_async;
    if (methods != NULL && methods->am_await != NULL) {
        return methods->am_await(awaitable);
    }
    /* A generator of types.coroutine(); of anything else the step says what is wrong with it. */
    return Py_NewRef(awaitable);
}

PyObject *
relay_make(const RelayActs *acts, PyObject *awaitable, PyObject *owner, PyObject *subject)
{
    PyObject *inner = iterator_of(awaitable); /* owned */
    Relay *self = inner != NULL ? PyObject_GC_New(Relay, relay_type) : NULL;
    if (self == NULL) {
        Py_XDECREF(inner);
        return NULL;
    }
    self->acts = acts;
    self->inner = inner;
    self->owner = Py_NewRef(owner);
    self->subject = Py_XNewRef(subject);
    self->scope = NULL;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

/* ---- Steps ---------------------------------------------------------------------------- */

/* The awaitable has returned. Steals: result, or passes it on.
   Returns: it, or NULL with an exception set. */
static PyObject *
end_with(Relay *self, PyObject *result)
{
    Py_CLEAR(self->inner);
    if (self->acts->returned(self, result) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The awaitable has raised the exception that is set. */
static void
end_raising(Relay *self)
{
    PyObject *exception = PyErr_GetRaisedException(); /* owned */
    Py_CLEAR(self->inner);
    PyErr_SetRaisedException(exception);
    if (self->acts->raised != NULL) {
        self->acts->raised(self);
    }
}

static PySendResult
Relay_am_send(Relay *self, PyObject *value, PyObject **result)
{
    *result = NULL;
    if (self->inner == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (self->acts->enter != NULL && self->acts->enter(self) < 0) {
        return PYGEN_ERROR;
    }
    PyObject *inner = Py_NewRef(self->inner);
    PySendResult sent = PyIter_Send(inner, value, result);
    Py_DECREF(inner);
    if (self->acts->leave != NULL) {
        self->acts->leave(self);
    }
    if (sent == PYGEN_RETURN) {
        *result = end_with(self, *result);
        return *result != NULL ? PYGEN_RETURN : PYGEN_ERROR;
    }
    if (sent == PYGEN_ERROR) {
        end_raising(self);
    }
    return sent;
}

/* Raises StopIteration(result). Steals: result. */
static void
stop_with(PyObject *result)
{
    PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result); /* owned */
    if (stop != NULL) {
        PyErr_SetObject(PyExc_StopIteration, stop);
    }
    Py_XDECREF(stop);
    Py_DECREF(result);
}

/* Returns: what is yielded, new; or NULL, with StopIteration where it has returned. */
static PyObject *
Relay_send(Relay *self, PyObject *value)
{
    PyObject *result; /* owned */
    PySendResult sent = Relay_am_send(self, value, &result);
    if (sent == PYGEN_RETURN) {
        stop_with(result);
        return NULL;
    }
    return sent == PYGEN_NEXT ? result : NULL;
}

static PyObject *
Relay_iternext(Relay *self)
{
    PyObject *result; /* owned */
    PySendResult sent = Relay_am_send(self, Py_None, &result);
    if (sent == PYGEN_RETURN) {
        if (result == Py_None) { /* what NULL alone says */
            Py_DECREF(result);
        } else {
            stop_with(result);
        }
        return NULL;
    }
    return sent == PYGEN_NEXT ? result : NULL;
}

/* Returns: the value of the StopIteration that is set, new, or NULL with an exception set. */
static PyObject *
take_returned(void)
{
    PyObject *stop = PyErr_GetRaisedException(); /* owned */
    PyObject *value = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return value;
}

static PyObject *
Relay_throw(Relay *self, PyObject *args)
{
    PyObject *inner = self->inner != NULL ? Py_NewRef(self->inner) : NULL; /* owned */
    if (inner == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return NULL;
    }
    if (self->acts->enter != NULL && self->acts->enter(self) < 0) {
        Py_DECREF(inner);
        return NULL;
    }
    PyObject *throw = PyObject_GetAttr(inner, str_throw); /* owned */
    PyObject *yielded = throw != NULL ? PyObject_Call(throw, args, NULL) : NULL;
    Py_XDECREF(throw);
    Py_DECREF(inner);
    if (self->acts->leave != NULL) {
        self->acts->leave(self);
    }
    if (yielded != NULL) {
        return yielded;
    }
    if (PyErr_ExceptionMatches(PyExc_StopIteration)) {
        PyObject *result = take_returned(); /* owned */
        result = result != NULL ? end_with(self, result) : NULL;
        if (result != NULL) {
            stop_with(result);
        }
    } else {
        end_raising(self);
    }
    return NULL;
}

static PyObject *
Relay_close(Relay *self, PyObject *unused)
{
    if (self->inner == NULL) {
        Py_RETURN_NONE;
    }
    PyObject *inner = Py_NewRef(self->inner); /* owned */
    PyObject *closed = PyObject_CallMethodNoArgs(inner, str_close);
    Py_DECREF(inner);
    if (closed == NULL) {
        end_raising(self);
        return NULL;
    }
    Py_DECREF(closed);
    PyErr_SetNone(PyExc_GeneratorExit); /* as which it has ended */
    end_raising(self);
    PyErr_Clear();
    Py_RETURN_NONE;
}

/* ---- The type ------------------------------------------------------------------------- */

static PyObject *
Relay_await(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *
Relay_get_await(Relay *self, void *unused)
{
    return Py_NewRef(self->inner != NULL ? self->inner : Py_None);
}

static int
Relay_traverse(Relay *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->inner);
    Py_VISIT(self->owner);
    Py_VISIT(self->subject);
    Py_VISIT(self->scope);
    return 0;
}

static int
Relay_clear(Relay *self)
{
    Py_CLEAR(self->inner);
    Py_CLEAR(self->owner);
    Py_CLEAR(self->subject);
    Py_CLEAR(self->scope);
    return 0;
}

static void
Relay_dealloc(Relay *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Relay_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef Relay_methods[] = {
    {"send", (PyCFunction)Relay_send, METH_O, "As a coroutine's."},
    {"throw", (PyCFunction)Relay_throw, METH_VARARGS, "As a coroutine's."},
    {"close", (PyCFunction)Relay_close, METH_NOARGS, "As a coroutine's."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef Relay_getset[] = {
    {"cr_await", (getter)Relay_get_await, NULL,
     "What it waits for, to whoever follows a coroutine.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot Relay_slots[] = {
    {Py_tp_doc, "An awaitable in the place of another."},
    {Py_am_await, Relay_await},
    {Py_am_send, Relay_am_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Relay_iternext},
    {Py_tp_traverse, Relay_traverse},
    {Py_tp_clear, Relay_clear},
    {Py_tp_dealloc, Relay_dealloc},
    {Py_tp_methods, Relay_methods},
    {Py_tp_getset, Relay_getset},
    {0, NULL},
};

static PyType_Spec Relay_spec = {
    .name = "asynchooks._native.Relay",
    .basicsize = sizeof(Relay),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Relay_slots,
};

int
relays_add_type(PyObject *module)
{
    str_throw = PyUnicode_InternFromString("throw");
    str_close = PyUnicode_InternFromString("close");
    relay_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Relay_spec, NULL);
    return str_throw != NULL && str_close != NULL && relay_type != NULL
               ? PyModule_AddType(module, relay_type)
               : -1;
}
