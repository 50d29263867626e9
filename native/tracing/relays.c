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
relay_make_later(const RelayActs *acts, PyObject *owner, PyObject *subject)
{
    Relay *self = PyObject_GC_New(Relay, relay_type);
    if (self == NULL) {
        return NULL;
    }
    self->acts = acts;
    self->stands_for = (PyTypeObject *)Py_NewRef(&PyCoro_Type);
    self->inner = NULL;
    self->has_begun = false;
    self->is_over = false;
    self->owner = Py_NewRef(owner);
    self->subject = Py_XNewRef(subject);
    self->mark = NULL;
    self->scope = NULL;
    self->weak_references = NULL;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

int
relay_stand_for(Relay *self, PyObject *awaitable)
{
    PyObject *inner = iterator_of(awaitable); /* owned, given away */
    if (inner == NULL) {
        return -1;
    }
    Py_SETREF(self->stands_for, (PyTypeObject *)Py_NewRef(Py_TYPE(awaitable)));
    Py_XSETREF(self->inner, inner);
    return 0;
}

PyObject *
relay_make(const RelayActs *acts, PyObject *awaitable, PyObject *owner, PyObject *subject)
{
    PyObject *self = relay_make_later(acts, owner, subject); /* owned */
    if (self != NULL && relay_stand_for((Relay *)self, awaitable) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

PyObject *
relay_call(const RelayActs *acts, Wrapper *owner, PyObject *const *args, size_t nargsf,
           PyObject *kwnames)
{
    PyObject *steps = wrapper_call_original(owner, args, nargsf, kwnames); /* owned */
    PyObject *self =
        steps != NULL ? relay_make(acts, steps, (PyObject *)owner, NULL) : NULL;
    Py_XDECREF(steps);
    return self;
}

int
relay_enter_scope(Relay *self, Scope *scope)
{
    Scope *entered = scope_entered(scope); /* owned */
    if (entered == NULL) {
        return -1;
    }
    Py_XSETREF(self->scope, (PyObject *)entered);
    return 0;
}

void
relay_leave_scope(Relay *self)
{
    PyObject *scope = self->scope; /* owned */
    self->scope = NULL;
    scope_exit((Scope *)scope);
}

/* ---- Steps ---------------------------------------------------------------------------- */

/* The awaitable has returned. Steals: result, or passes it on.
   Returns: it, or NULL with an exception set. */
static PyObject *
end_with(Relay *self, PyObject *result)
{
    self->is_over = true;
    if (self->acts->returned != NULL && self->acts->returned(self, result) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

/* The awaitable has raised the exception that is set. */
static void
end_raising(Relay *self)
{
    self->is_over = true;
    if (self->acts->raised != NULL) {
        self->acts->raised(self);
    }
}

/* What a coroutine, or a generator, says that is over. */
static PySendResult
refuse(const Relay *self, PyObject **result)
{
    if (self->stands_for == &PyGen_Type) {
        *result = Py_NewRef(Py_None);
        return PYGEN_RETURN;
    }
    PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    return PYGEN_ERROR;
}

/* Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
begin_step(Relay *self)
{
    if (!self->has_begun) {
        self->has_begun = true;
        if (self->acts->begin != NULL && self->acts->begin(self) < 0) {
            self->is_over = true; /* there may be nothing to step */
            return -1;
        }
    }
    return self->acts->enter != NULL ? self->acts->enter(self) : 0;
}

static PySendResult
Relay_am_send(Relay *self, PyObject *value, PyObject **result)
{
    *result = NULL;
    if (self->is_over) {
        return refuse(self, result);
    }
    if (begin_step(self) < 0) {
        return PYGEN_ERROR;
    }
    PySendResult sent = PyIter_Send(self->inner, value, result);
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

/* Returns: what `inner.throw(*args)` does, new, or NULL with an exception set. */
static PyObject *
throw_into(PyObject *inner, PyObject *args)
{
    PyObject *throw = PyObject_GetAttr(inner, str_throw); /* owned */
    PyObject *yielded = throw != NULL ? PyObject_Call(throw, args, NULL) : NULL;
    Py_XDECREF(throw);
    return yielded;
}

/* Raises the exception that `throw` is given: (exception), or (type, value, traceback). */
static void
raise_given(PyObject *args)
{
    PyObject *type, *value = NULL, *traceback = NULL; /* borrowed */
    if (!PyArg_ParseTuple(args, "O|OO:throw", &type, &value, &traceback)) {
        return;
    }
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    } else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, value);
    } else {
        PyErr_SetString(PyExc_TypeError, "exceptions must be classes or instances "
                                         "deriving from BaseException");
    }
}

static PyObject *
Relay_throw(Relay *self, PyObject *args)
{
    if (self->inner == NULL) { /* it has not begun, and never will */
        self->is_over = true;
        raise_given(args);
        return NULL;
    }
    if (self->is_over) {
        return throw_into(self->inner, args);
    }
    if (self->acts->enter != NULL && self->acts->enter(self) < 0) {
        return NULL;
    }
    PyObject *yielded = throw_into(self->inner, args); /* owned */
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
        self->is_over = true;
        Py_RETURN_NONE;
    }
    PyObject *closed = PyObject_CallMethodNoArgs(self->inner, str_close); /* owned */
    if (self->is_over) {
        return closed;
    }
    if (closed == NULL) {
        end_raising(self);
        return NULL;
    }
    PyErr_SetNone(PyExc_GeneratorExit); /* as which it has ended */
    end_raising(self);
    PyErr_Clear();
    return closed;
}

/* ---- The type ------------------------------------------------------------------------- */

static PyObject *
Relay_await(PyObject *self)
{
    return Py_NewRef(self);
}

static PyObject *
Relay_get_class(Relay *self, void *unused)
{
    return Py_NewRef(self->stands_for);
}

/* What it has not itself is that of what it stands for: its name, its frame, what it waits for. */
static PyObject *
Relay_getattro(Relay *self, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr((PyObject *)self, name);
    if (value == NULL && self->inner != NULL &&
        PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        value = PyObject_GetAttr(self->inner, name);
    }
    return value;
}

static PyObject *
Relay_repr(Relay *self)
{
    return self->inner != NULL ? PyObject_Repr(self->inner)
                               : PyUnicode_FromFormat("<%s object at %p>",
                                                      self->stands_for->tp_name, self);
}

static int
Relay_traverse(Relay *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->stands_for);
    Py_VISIT(self->inner);
    Py_VISIT(self->owner);
    Py_VISIT(self->subject);
    Py_VISIT(self->mark);
    Py_VISIT(self->scope);
    return 0;
}

/* What is cleared stays safe to use: it stands for nothing then, and does nothing of its own. */
static int
Relay_clear(Relay *self)
{
    self->is_over = true;
    Py_XSETREF(self->inner, Py_NewRef(Py_None));
    Py_CLEAR(self->owner);
    Py_CLEAR(self->subject);
    Py_CLEAR(self->mark);
    Py_CLEAR(self->scope);
    return 0;
}

static void
Relay_dealloc(Relay *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weak_references != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    (void)Relay_clear(self);
    Py_CLEAR(self->inner);
    Py_CLEAR(self->stands_for);
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
    {"__class__", (getter)Relay_get_class, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef Relay_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Relay, weak_references), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot Relay_slots[] = {
    {Py_tp_doc, "In the place of a coroutine, another awaitable or a generator."},
    {Py_tp_getattro, Relay_getattro},
    {Py_tp_repr, Relay_repr},
    {Py_am_await, Relay_await},
    {Py_am_send, Relay_am_send},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, Relay_iternext},
    {Py_tp_traverse, Relay_traverse},
    {Py_tp_clear, Relay_clear},
    {Py_tp_dealloc, Relay_dealloc},
    {Py_tp_methods, Relay_methods},
    {Py_tp_getset, Relay_getset},
    {Py_tp_members, Relay_members},
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
