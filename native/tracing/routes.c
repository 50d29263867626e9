#include "routes.h"
#include "compat.h"
#include "requests.h"
#include "start_span.h"

/* Adds the template to the route. Returns: 0, or -1 with an exception set. */
static int
extend_route(Request *request, PyObject *template)
{
    PyObject *route = request->route != NULL ? PyUnicode_Concat(request->route, template)
                                             : Py_NewRef(template); /* owned */
    int status = route != NULL ? request_set_route(request, route) : -1;
    Py_XDECREF(route);
    return status;
}

/* A helper (key, function) is asked only where the scope, the second argument, has the key. */
enum { KEY, FUNCTION, PART_COUNT };

bool
route_takes_helper(PyObject *helper)
{
    if (PyTuple_CheckExact(helper)) {
        return PyTuple_GET_SIZE(helper) == PART_COUNT &&
               PyUnicode_CheckExact(PyTuple_GET_ITEM(helper, KEY)) &&
               PyCallable_Check(PyTuple_GET_ITEM(helper, FUNCTION));
    }
    return PyUnicode_Check(helper) || PyCallable_Check(helper);
}

/* Whether the helper may have something to say. */
static bool
is_to_be_asked(Wrapper *self, PyObject *const *args, size_t nargsf)
{
    if (!PyTuple_CheckExact(self->helper) || PyVectorcall_NARGS(nargsf) < 2 ||
        !PyDict_Check(args[1])) {
        return true;
    }
    int has_key = PyDict_Contains(args[1], PyTuple_GET_ITEM(self->helper, KEY));
    if (has_key < 0) {
        PyErr_Clear();
    }
    return has_key > 0;
}

/* Returns: what the helper says, new; NULL where it says nothing, or with an exception set. May run
   Python code: yes. */
static PyObject *
find_template(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    return PyTuple_CheckExact(self->helper)
               ? PyObject_Vectorcall(PyTuple_GET_ITEM(self->helper, FUNCTION), args,
                                     nargsf, kwnames)
               : wrapper_ask(self, args, nargsf, kwnames);
}

/* Tells the request that is in force, if any. Trouble of ours is reported. May run Python code: yes. */
static void
tell_template(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    PyObject *span = start_span_current(NULL, NULL); /* owned */
    PyObject *request =
        span != NULL && span_check(span) ? ((Span *)span)->request : NULL; /* borrowed */
    PyObject *template =
        request != NULL ? find_template(self, args, nargsf, kwnames) : NULL; /* owned */
    if (template != NULL && PyUnicode_Check(template)) {
        (void)extend_route((Request *)request, template);
    }
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(self->original);
    }
    Py_XDECREF(template);
    Py_XDECREF(span);
}

PyObject *
route_handle(Wrapper *self, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (is_to_be_asked(self, args, nargsf)) {
        tell_template(self, args, nargsf, kwnames);
    }
    return wrapper_call_original(self, args, nargsf, kwnames);
}
