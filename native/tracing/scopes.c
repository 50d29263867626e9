#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include "compat.h"
#include "scopes.h"

#include <stddef.h>

/* Owned. */
static PyTypeObject *scope_type = NULL;
static PyObject *variable = NULL; /* ContextVar: a Scope */
static Scope *outermost = NULL;   /* its default: nothing is in force */

/* Steals `found`. Returns: the innermost scope from there on outwards that is not misplaced, new. */
static Scope *
skip_misplaced(PyObject *found)
{
    Scope *scope = (Scope *)found;
    while (scope->is_misplaced) {
        Scope *outer = scope->outer != NULL ? scope->outer : outermost;
        Py_INCREF(outer);
        Py_SETREF(scope, outer);
    }
    return scope;
}

Scope *
scope_current(void)
{
    PyObject *found = NULL; /* owned */
    if (PyContextVar_Get(variable, (PyObject *)outermost, &found) < 0) {
        return NULL;
    }
    return skip_misplaced(found);
}

PyObject *
scopes_in(PyObject *module, PyObject *context)
{
    PyObject *found = PyObject_CallMethod(context, "get", "OO", variable, outermost);
    return found != NULL ? (PyObject *)skip_misplaced(found) : NULL;
}

PyObject *
scopes_current(PyObject *module, PyObject *unused)
{
    return (PyObject *)scope_current();
}

Scope *
scope_suppressing(void)
{
    Scope *scope = scope_copy();
    if (scope != NULL) {
        scope->is_suppressed = true;
    }
    return scope;
}

PyObject *
scopes_suppress_tracing(PyObject *module, PyObject *unused)
{
    return (PyObject *)scope_suppressing();
}

PyObject *
scopes_record_tasks(PyObject *module, PyObject *recorded)
{
    int records_tasks = PyObject_IsTrue(recorded);
    Scope *scope = records_tasks >= 0 ? scope_copy() : NULL;
    if (scope != NULL) {
        scope->records_tasks = records_tasks;
    }
    return (PyObject *)scope;
}

/* ---- The type ------------------------------------------------------------------------ */

/* As what is in force here. Returns: new, or NULL with an exception set. */
static Scope *
make_like_here(PyTypeObject *type)
{
    Scope *self = (Scope *)type->tp_alloc(type, 0); /* owned */
    if (self == NULL) {
        return NULL;
    }
    if (outermost == NULL) { /* this is it */
        self->records_tasks = true;
        return self;
    }
    Scope *outer = scope_current(); /* owned */
    if (outer == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    self->span = Py_XNewRef(outer->span);
    self->baggage = Py_XNewRef(outer->baggage);
    self->attached = Py_XNewRef(outer->attached);
    self->is_suppressed = outer->is_suppressed;
    self->records_tasks = outer->records_tasks;
    Py_DECREF(outer);
    return self;
}

/* Of any arguments, which are for a subclass: everything is as it is outside. */
static PyObject *
Scope_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return (PyObject *)make_like_here(type);
}

Scope *
scope_copy(void)
{
    return make_like_here(scope_type);
}

Scope *
scope_of_request(PyObject *span, PyObject *baggage)
{
    Scope *self = (Scope *)scope_type->tp_alloc(scope_type, 0);
    if (self != NULL) {
        self->span = Py_XNewRef(span);
        self->baggage = Py_XNewRef(baggage);
        self->records_tasks =
            true; /* also where the previous request records none, while it sends */
    }
    return self;
}

static int
Scope_traverse(Scope *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->span);
    Py_VISIT(self->baggage);
    Py_VISIT(self->attached);
    Py_VISIT(self->composed);
    Py_VISIT(self->outer);
    Py_VISIT(self->token);
    return 0;
}

static int
Scope_clear(Scope *self)
{
    Py_CLEAR(self->span);
    Py_CLEAR(self->baggage);
    Py_CLEAR(self->attached);
    Py_CLEAR(self->composed);
    Py_CLEAR(self->outer);
    Py_CLEAR(self->token);
    return 0;
}

static void
Scope_dealloc(Scope *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    (void)Scope_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

/* ---- In and out ---------------------------------------------------------------------- */

int
scope_enter(Scope *self)
{
    if (self->token != NULL) { /* it would be outside of itself */
        PyErr_SetString(PyExc_RuntimeError,
                        "a scope that is in force is entered again; make another one");
        return -1;
    }
    Scope *outer = scope_current(); /* owned */
    if (outer == NULL) {
        return -1;
    }
    PyObject *token = PyContextVar_Set(variable, (PyObject *)self); /* owned */
    if (token == NULL) {
        Py_DECREF(outer);
        return -1;
    }
    Py_XSETREF(self->outer, outer);
    self->token = token;
    self->is_misplaced = false;
    return 0;
}

static PyObject *
Scope_enter(Scope *self, PyObject *unused)
{
    return scope_enter(self) < 0 ? NULL : Py_NewRef(Py_None);
}

/* Takes the scope back, where it is the innermost one and was entered in this very context.
   Returns: whether, or -1 with an exception set. */
static int
take_back(Scope *self, PyObject *token)
{
    PyObject *innermost = NULL; /* owned */
    if (PyContextVar_Get(variable, (PyObject *)outermost, &innermost) < 0) {
        return -1;
    }
    bool is_innermost = innermost == (PyObject *)self;
    Py_DECREF(innermost);
    if (!is_innermost) {
        return 0;
    }
    if (PyContextVar_Reset(variable, token) == 0) {
        return 1;
    }
    if (PyErr_ExceptionMatches(PyExc_ValueError)) { /* a copy of that context */
        PyErr_Clear();
        return 0;
    }
    return -1;
}

int
scope_leave(Scope *self)
{
    PyObject *token = self->token; /* owned */
    if (token == NULL) {
        return 0;
    }
    self->token = NULL;
    int taken_back = take_back(self, token);
    Py_DECREF(token);
    if (taken_back < 0) {
        return -1;
    }
    if (taken_back) {
        Py_CLEAR(self->outer); /* a task that has inherited this needs no more of it */
    } else {
        self->is_misplaced = true;
    }
    return 0;
}

Scope *
scope_entered(Scope *scope)
{
    if (scope != NULL && scope_enter(scope) < 0) {
        Py_CLEAR(scope);
    }
    return scope;
}

void
scope_exit(Scope *scope)
{
    if (scope == NULL) {
        return;
    }
    PyObject *raised = PyErr_GetRaisedException(); /* owned */
    if (scope_leave(scope) < 0) {
        PyErr_WriteUnraisable((PyObject *)scope);
    }
    Py_DECREF(scope);
    PyErr_SetRaisedException(raised);
}

static PyObject *
Scope_leave(Scope *self, PyObject *unused)
{
    return scope_leave(self) < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *
Scope___enter__(Scope *self, PyObject *unused)
{
    return scope_enter(self) < 0 ? NULL : Py_NewRef((PyObject *)self);
}

static PyObject *
Scope___exit__(Scope *self, PyObject *const *args, Py_ssize_t nargs)
{
    return Scope_leave(self, NULL);
}

bool
scope_is_outermost(const Scope *self)
{
    return self == outermost;
}

static PyObject *
Scope_get_is_outermost(Scope *self, void *unused)
{
    return PyBool_FromLong(scope_is_outermost(self));
}

static PyMemberDef Scope_members[] = {
    {"span", T_OBJECT, offsetof(Scope, span), 0, NULL},
    {"baggage", T_OBJECT, offsetof(Scope, baggage), 0, NULL},
    {"attached", T_OBJECT, offsetof(Scope, attached), 0, NULL},
    {"composed", T_OBJECT, offsetof(Scope, composed), 0, NULL},
    {"is_suppressed", T_BOOL, offsetof(Scope, is_suppressed), 0, NULL},
    {"records_tasks", T_BOOL, offsetof(Scope, records_tasks), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef Scope_getset[] = {
    {"is_outermost", (getter)Scope_get_is_outermost, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef Scope_methods[] = {
    {"enter", (PyCFunction)Scope_enter, METH_NOARGS,
     "enter($self, /)\n--\n\nPut the scope in force, over what is now. Not twice at a "
     "time."},
    {"leave", (PyCFunction)Scope_leave, METH_NOARGS,
     "leave($self, /)\n--\n\nPut in force again what was before. Never fails: see the "
     "class."},
    {"__enter__", (PyCFunction)Scope___enter__, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))Scope___exit__, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Scope_slots[] = {
    {Py_tp_doc, "`with scope:` puts it in force. What a subclass does not say is as it "
                "is where it is made.\n"
                "\n"
                "A scope may be left in another context than it was entered in, or "
                "before a scope inside of\n"
                "it: an async generator that holds one over a `yield` is closed by "
                "whoever comes by. Leaving\n"
                "never raises then; the scope counts as left wherever it still is in "
                "force, and what is\n"
                "outside of it shows. Left where it was entered, it stays in force for "
                "the tasks that were\n"
                "created inside.\n"
                "\n"
                "Attributes:\n"
                "    span: the span that what runs here belongs to, or None.\n"
                "    baggage: what goes on to other services beside the trace (W3C "
                "baggage), or None.\n"
                "    is_suppressed: whether spans started here are not recorded.\n"
                "    records_tasks: whether tasks created here are spans.\n"
                "    attached: what OpenTelemetry's context holds besides, if anybody "
                "has attached one.\n"
                "    composed: OpenTelemetry's context as it was last asked for here, "
                "and the span in it."},
    {Py_tp_new, Scope_new},
    {Py_tp_traverse, Scope_traverse},
    {Py_tp_clear, Scope_clear},
    {Py_tp_dealloc, Scope_dealloc},
    {Py_tp_members, Scope_members},
    {Py_tp_getset, Scope_getset},
    {Py_tp_methods, Scope_methods},
    {0, NULL},
};

static PyType_Spec Scope_spec = {
    .name = "asynchooks._native.Scope",
    .basicsize = sizeof(Scope),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = Scope_slots,
};

int
scopes_add_type(PyObject *module)
{
    scope_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &Scope_spec, NULL);
    if (scope_type == NULL) {
        return -1;
    }
    outermost = (Scope *)PyObject_CallNoArgs((PyObject *)scope_type);
    if (outermost == NULL) {
        return -1;
    }
    variable = PyContextVar_New("asynchooks.scope", (PyObject *)outermost);
    if (variable == NULL) {
        return -1;
    }
    return PyModule_AddType(module, scope_type);
}
