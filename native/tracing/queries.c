#include "queries.h"
#include "compat.h"
#include "requests.h"
#include "start_span.h"

#include <stddef.h>
#include <structmember.h>

/* What a program asks, it asks again. A longer text is described anew each time, and with so many
   different ones it begins anew: the memory of them must stay small. */
#define MAXIMUM_TEXT 2048
#define MAXIMUM_KNOWN 1024
#define MAXIMUM_PLACES 64

/* ---- Description: what is said of a statement, at a place --------------------------------- */

typedef struct Description {
    PyObject_HEAD PyObject *name; /* owned: an exact str */
    PyObject *mapping; /* owned: the attributes as they were said, for a sampler */
    Attributes attributes;
} Description;

static PyTypeObject *description_type = NULL; /* owned */

static void
Description_dealloc(Description *self)
{
    PyTypeObject *type = Py_TYPE(self);
    attributes_clear(&self->attributes);
    Py_CLEAR(self->name);
    Py_CLEAR(self->mapping);
    PyObject_Free(self);
    Py_DECREF(type);
}

static PyType_Slot Description_slots[] = {
    {Py_tp_dealloc, Description_dealloc},
    {0, NULL},
};

static PyType_Spec Description_spec = {
    .name = "asynchooks._native.Description",
    .basicsize = sizeof(Description),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = Description_slots,
};

/* Of what a `describe` has said: (name, attributes). Returns: new, or NULL with an exception set. */
static Description *
make_description(PyObject *said)
{
    if (!PyTuple_CheckExact(said) || PyTuple_GET_SIZE(said) != 2 ||
        !PyDict_CheckExact(PyTuple_GET_ITEM(said, 1))) {
        PyErr_Format(PyExc_TypeError, "describe() said %R, expected (name, attributes)",
                     said);
        return NULL;
    }
    Description *self = PyObject_New(Description, description_type); /* owned */
    if (self == NULL) {
        return NULL;
    }
    self->attributes = (Attributes){0};
    self->mapping = Py_NewRef(PyTuple_GET_ITEM(said, 1));
    self->name = text_of(PyTuple_GET_ITEM(said, 0));
    if (self->name == NULL ||
        attributes_update(&self->attributes, self->mapping, span_limits.attributes) < 0) {
        Py_CLEAR(self);
    }
    return self;
}

/* ---- QuerySpans ------------------------------------------------------------------------- */

typedef struct QuerySpans {
    PyObject_HEAD PyObject *describe; /* owned: a function */
    PyObject *read;                   /* owned: a function, or NULL */
    PyObject *locate;                 /* owned: a function, or NULL */
    /* Owned. */
    PyObject *known;  /* a dict to Description, of a text, or of it and its place */
    PyObject *places; /* a dict of (namespace, address, port) to such a dict of texts */
    PyObject *owners; /* a dict of an id to an Owner */
    vectorcallfunc vectorcall;
} QuerySpans;

static PyObject *client_kind = NULL; /* owned */

/* Has a dict keep a value, in the place of all others where it has so many. Returns: 0, or -1 with an
   exception set. */
static int
remember(PyObject *dict, PyObject *key, PyObject *value, Py_ssize_t maximum)
{
    if (PyDict_GET_SIZE(dict) >= maximum) {
        PyDict_Clear(dict);
    }
    return PyDict_SetItem(dict, key, value);
}

/* Returns: new, or NULL with an exception set. `arguments` (text, namespace, address, port) are the
   statement and its place, `key` is what it is in `known` by. May run Python code: yes. */
static Description *
describe(QuerySpans *self, PyObject *known, PyObject *key, PyObject *const *arguments)
{
    PyObject *found = PyDict_GetItemWithError(known, key); /* borrowed */
    if (found != NULL || PyErr_Occurred()) {
        return (Description *)Py_XNewRef(found);
    }
    PyObject *said = PyObject_Vectorcall(self->describe, arguments, 4, NULL); /* owned */
    Description *description = said != NULL ? make_description(said) : NULL;
    Py_XDECREF(said);
    if (description == NULL || PyUnicode_GET_LENGTH(arguments[0]) > MAXIMUM_TEXT) {
        return description;
    }
    if (remember(known, key, (PyObject *)description, MAXIMUM_KNOWN) < 0) {
        Py_CLEAR(description);
    }
    return description;
}

/* Returns: a span below `parent`, new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
start_below(QuerySpans *self, PyObject *parent, PyObject *known, PyObject *key,
            PyObject *const *arguments)
{
    Description *description = describe(self, known, key, arguments); /* owned */
    if (description == NULL) {
        return NULL;
    }
    SpanOptions options = {
        .kind = client_kind,
        .attributes = description->mapping,
        .described = &description->attributes,
        .description = (PyObject *)description,
    };
    PyObject *span = start_span_below(parent, description->name, &options);
    Py_DECREF(description);
    return span;
}

/* start(text, namespace, address, port) */
static PyObject *
QuerySpans_start(QuerySpans *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4 || !PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError,
                        "start() takes a text, a namespace, an address, a port");
        return NULL;
    }
    PyObject *parent = start_span_recording(NULL, NULL); /* owned */
    if (parent == NULL || parent == Py_None) {
        return parent;
    }
    PyObject *key = PyTuple_Pack(4, args[0], args[1], args[2], args[3]); /* owned */
    PyObject *span =                                                     /* owned */
        key != NULL ? start_below(self, parent, self->known, key, args) : NULL;
    Py_XDECREF(key);
    Py_DECREF(parent);
    return span;
}

/* Of a statement as `read` has said it. Returns: new, None where it is none, or NULL with an exception
   set. May run Python code: yes. */
static PyObject *
start_said(QuerySpans *self, PyObject *parent, PyObject *said)
{
    if (said == Py_None) {
        return Py_NewRef(Py_None);
    }
    if (!PyTuple_CheckExact(said) || PyTuple_GET_SIZE(said) != 4 ||
        !PyUnicode_Check(PyTuple_GET_ITEM(said, 0))) {
        PyErr_Format(PyExc_TypeError,
                     "read() said %R, expected (text, namespace, address, port)", said);
        return NULL;
    }
    return start_below(self, parent, self->known, said, &PyTuple_GET_ITEM(said, 0));
}

/* Of (owner, text, ...), of a database that is nowhere. Returns: as above. */
static PyObject *
start_second(QuerySpans *self, PyObject *parent, PyObject *const *args, size_t nargs)
{
    if (nargs < 2 || !PyUnicode_Check(args[1])) {
        return Py_NewRef(Py_None);
    }
    PyObject *nowhere = PyUnicode_New(0, 0); /* owned: the empty str, there once */
    PyObject *arguments[] = {args[1], nowhere, nowhere, Py_None};
    PyObject *span = nowhere != NULL
                         ? start_below(self, parent, self->known, args[1], arguments)
                         : NULL;
    Py_XDECREF(nowhere);
    return span;
}

/* ---- Owners: connections that stay where they are ------------------------------------------- */

/* An owner: a weak reference to it, since another may be made where it was; its place (namespace,
   address, port); and what is known of texts there. */
enum { REFERENCE, PLACE, KNOWN, OWNER_SIZE };

/* Returns: whether an entry is of this owner. */
static bool
is_of(PyObject *entry, PyObject *owner)
{
    PyObject *alive = NULL; /* owned */
    (void)PyWeakref_GetRef(PyTuple_GET_ITEM(entry, REFERENCE), &alive);
    bool is = alive == owner;
    Py_XDECREF(alive); /* not the last, if it is: the caller holds the owner */
    return is;
}

/* Returns: what is known of texts at a place, new, or NULL with an exception set. */
static PyObject *
known_at(QuerySpans *self, PyObject *place)
{
    PyObject *known = PyDict_GetItemWithError(self->places, place); /* borrowed */
    if (known != NULL || PyErr_Occurred()) {
        return Py_XNewRef(known);
    }
    PyObject *made = PyDict_New(); /* owned */
    if (made != NULL && remember(self->places, place, made, MAXIMUM_PLACES) < 0) {
        Py_CLEAR(made);
    }
    return made;
}

/* Asks where an owner is. Returns: its entry, new, or NULL with an exception set. May run Python code:
   yes. */
static PyObject *
learn_owner(QuerySpans *self, PyObject *key, PyObject *owner)
{
    /* Owned. */
    PyObject *place = PyObject_CallOneArg(self->locate, owner);
    PyObject *known = NULL, *reference = NULL, *entry = NULL;
    if (place == NULL) {
        return NULL;
    }
    if (!PyTuple_CheckExact(place) || PyTuple_GET_SIZE(place) != 3) {
        PyErr_Format(PyExc_TypeError,
                     "locate() said %R, expected (namespace, address, port)", place);
        goto error;
    }
    known = known_at(self, place);
    reference = known != NULL ? PyWeakref_NewRef(owner, NULL) : NULL;
    if (reference == NULL) {
        goto error;
    }
    entry = PyTuple_Pack(OWNER_SIZE, reference, place, known);
    if (entry != NULL && remember(self->owners, key, entry, MAXIMUM_KNOWN) < 0) {
        Py_CLEAR(entry);
    }
error:
    Py_DECREF(place);
    Py_XDECREF(known);
    Py_XDECREF(reference);
    return entry;
}

/* Returns: the entry of an owner, new, or NULL with an exception set. May run Python code: yes. */
static PyObject *
find_owner(QuerySpans *self, PyObject *owner)
{
    PyObject *key = PyLong_FromVoidPtr(owner); /* owned */
    if (key == NULL) {
        return NULL;
    }
    PyObject *entry = Py_XNewRef(PyDict_GetItemWithError(self->owners, key)); /* owned */
    if (entry != NULL && !is_of(entry, owner)) {
        Py_CLEAR(entry);
    }
    if (entry == NULL && !PyErr_Occurred()) {
        entry = learn_owner(self, key, owner);
    }
    Py_DECREF(key);
    return entry;
}

/* Of (owner, text, ...), of a database that the owner stays at. Returns: new, or NULL with an exception
   set. May run Python code: yes. */
static PyObject *
start_at_owner(QuerySpans *self, PyObject *parent, PyObject *owner, PyObject *text)
{
    PyObject *entry = find_owner(self, owner); /* owned */
    if (entry == NULL) {
        return NULL;
    }
    PyObject *const *place = &PyTuple_GET_ITEM(PyTuple_GET_ITEM(entry, PLACE), 0);
    PyObject *arguments[] = {text, place[0], place[1], place[2]};
    PyObject *span =
        start_below(self, parent, PyTuple_GET_ITEM(entry, KNOWN), text, arguments);
    Py_DECREF(entry);
    return span;
}

/* ---- As what begins the span of a driver's method ------------------------------------------- */

static PyObject *
call_as_begin(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    QuerySpans *self = (QuerySpans *)op;
    size_t nargs = (size_t)PyVectorcall_NARGS(nargsf);
    PyObject *parent = start_span_recording(NULL, NULL); /* owned */
    if (parent == NULL || parent == Py_None) {
        return parent;
    }
    PyObject *span;
    if (self->locate != NULL && nargs > 1 && PyUnicode_Check(args[1])) {
        span = start_at_owner(self, parent, args[0], args[1]);
    } else if (self->read == NULL) {
        span = start_second(self, parent, args, nargs);
    } else {
        PyObject *said =
            PyObject_Vectorcall(self->read, args, nargs, kwnames); /* owned */
        span = said != NULL ? start_said(self, parent, said) : NULL;
        Py_XDECREF(said);
    }
    Py_DECREF(parent);
    return span;
}

static PyObject *
QuerySpans_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"describe", "read", "locate", NULL};
    /* Borrowed. */
    PyObject *describe, *read = Py_None, *locate = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:QuerySpans", names, &describe,
                                     &read, &locate)) {
        return NULL;
    }
    QuerySpans *self = (QuerySpans *)type->tp_alloc(type, 0); /* owned */
    if (self == NULL) {
        return NULL;
    }
    self->describe = Py_NewRef(describe);
    self->read = read != Py_None ? Py_NewRef(read) : NULL;
    self->locate = locate != Py_None ? Py_NewRef(locate) : NULL;
    self->vectorcall = call_as_begin;
    self->known = PyDict_New();
    self->places = PyDict_New();
    self->owners = PyDict_New();
    if (self->known == NULL || self->places == NULL || self->owners == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int
QuerySpans_traverse(QuerySpans *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->describe);
    Py_VISIT(self->read);
    Py_VISIT(self->locate);
    Py_VISIT(self->known);
    Py_VISIT(self->places);
    Py_VISIT(self->owners);
    return 0;
}

static void
QuerySpans_dealloc(QuerySpans *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->describe);
    Py_CLEAR(self->read);
    Py_CLEAR(self->locate);
    Py_CLEAR(self->known);
    Py_CLEAR(self->places);
    Py_CLEAR(self->owners);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef QuerySpans_methods[] = {
    {"start", (PyCFunction)(void (*)(void))QuerySpans_start, METH_FASTCALL,
     "start($self, text, namespace, address, port, /)\n--\n\n"
     "Start the span of a query, or None where nothing is recorded."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef QuerySpans_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(QuerySpans, vectorcall), READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot QuerySpans_slots[] = {
    {Py_tp_doc, "The spans of queries of one kind of database. `describe(text, "
                "namespace, address, port)` "
                "says the\nname and the attributes; it is asked once for what is asked "
                "again. To be called "
                "as what begins the\nspan of a driver's method: of its arguments, `read` "
                "says (text, "
                "namespace, address, port), or None\nwhere they ask nothing; without "
                "`read`, the second "
                "is the text, of a database that is nowhere.\nWhere the second is the "
                "text, `locate` says of the first, once for as long as it lives, "
                "(namespace,\naddress, port)."},
    {Py_tp_new, QuerySpans_new},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, QuerySpans_traverse},
    {Py_tp_dealloc, QuerySpans_dealloc},
    {Py_tp_methods, QuerySpans_methods},
    {Py_tp_members, QuerySpans_members},
    {0, NULL},
};

static PyType_Spec QuerySpans_spec = {
    .name = "asynchooks._native.QuerySpans",
    .basicsize = sizeof(QuerySpans),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = QuerySpans_slots,
};

int
queries_add_type(PyObject *module)
{
    client_kind = PyLong_FromLong(SPAN_KIND_CLIENT);
    description_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &Description_spec, NULL);
    if (client_kind == NULL || description_type == NULL) {
        return -1;
    }
    PyTypeObject *type = /* owned */
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &QuerySpans_spec, NULL);
    int status = type != NULL ? PyModule_AddType(module, type) : -1;
    Py_XDECREF(type);
    return status;
}
