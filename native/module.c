/* The module asynchooks._native: its functions, and nothing that has a home elsewhere. */

#include "compat.h"
#include "answers.h"
#include "asgi.h"
#include "asgi_exchange.h"
#include "callbacks.h"
#include "contexts.h"
#include "core.h"
#include "exchange.h"
#include "export_buffer.h"
#include "export_thread.h"
#include "forks.h"
#include "generators.h"
#include "greenlets.h"
#include "handles.h"
#include "hooks.h"
#include "incoming.h"
#include "internals.h"
#include "jobs.h"
#include "live.h"
#include "log_export.h"
#include "otlp.h"
#include "otlp_json.h"
#include "ports.h"
#include "protocols.h"
#include "queries.h"
#include "random_ids.h"
#include "scopes.h"
#include "records.h"
#include "relays.h"
#include "requests.h"
#include "roots.h"
#include "registry.h"
#include "resources.h"
#include "scopes.h"
#include "sites.h"
#include "snapshot.h"
#include "spans.h"
#include "standard_loop.h"
#include "start_span.h"
#include "steps.h"
#include "storages.h"
#include "store_scopes.h"
#include "task_spans.h"
#include "tasks.h"
#include "termination.h"
#include "tracked.h"
#include "wrappers.h"
#include "wsgi.h"
#include "wsgi_exchange.h"

/* Whichever thread imports us first, the main thread is the interpreter's.
   Returns: 0, or -1 with an exception set. May run Python code: yes (import). */
static int
learn_main_thread(void)
{
    int status = -1;
    /* Owned. */
    PyObject *ident = NULL;
    PyObject *thread = NULL;
    PyObject *threading = PyImport_ImportModule("threading");
    if (threading != NULL) {
        thread = PyObject_CallMethod(threading, "main_thread", NULL);
    }
    if (thread != NULL) {
        ident = PyObject_GetAttrString(thread, "ident");
    }
    if (ident != NULL) {
        core.main_thread = PyLong_AsUnsignedLong(ident);
        status = PyErr_Occurred() ? -1 : 0;
    }
    Py_XDECREF(ident);
    Py_XDECREF(thread);
    Py_XDECREF(threading);
    return status;
}

static PyObject *
configure(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *step, *wakeup, *task;
    if (!PyArg_ParseTuple(args, "OOO:configure", &step, &wakeup, &task)) {
        return NULL;
    }
    if (internals_learn(step, wakeup, task) < 0 || handles_prepare() < 0 ||
        tasks_prepare() < 0 || hooks_prepare() < 0 || generators_prepare() < 0 ||
        registry_prepare() < 0 || standard_loop_prepare() < 0 || tracked_prepare() < 0 ||
        callbacks_prepare() < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
configure_sites(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *plumbing, *libraries, *installed, *own;
    if (!PyArg_ParseTuple(args, "O!O!O!O!:configure_sites", &PyTuple_Type, &plumbing,
                          &PyTuple_Type, &libraries, &PyTuple_Type, &installed,
                          &PyTuple_Type, &own) ||
        sites_configure(plumbing, libraries, installed, own) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
set_options(PyObject *module, PyObject *args)
{
    int counts_cpu_time;
    Py_ssize_t budget;
    if (!PyArg_ParseTuple(args, "Iipn:set_options", &sites_kinds, &sites_frames,
                          &counts_cpu_time, &budget)) {
        return NULL;
    }
    core.counts_cpu_time = counts_cpu_time;
    records_budget = (size_t)budget;
    Py_RETURN_NONE;
}

static PyObject *
call_unheard(PyObject *module, PyObject *function)
{
    return hooks_call_unheard(function);
}

static PyObject *
enable(PyObject *module, PyObject *unused)
{
    if (!internals_are_learnt()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the core is not configured; call asynchooks.enable()");
        return NULL;
    }
    if (!core.is_enabled) {
        core.is_enabled = true;
        handles_install();
        tasks_install();
        generators_install();
        registry_install();
        standard_loop_install();
        hooks_count_wishes();
    }
    Py_RETURN_NONE;
}

static PyObject *
disable(PyObject *module, PyObject *unused)
{
    if (core.is_enabled && hooks_flush_destroys() < 0) {
        return NULL;
    }
    if (core.is_enabled) { /* still: a callback may have disabled it */
        core.is_enabled = false;
        handles_uninstall();
        tasks_uninstall();
        generators_uninstall();
        registry_uninstall();
        standard_loop_uninstall();
        tracked_clear();
        records_clear();
        generators_forget_contexts();
        hooks_count_wishes();
        hooks_forget_destroys();
    }
    Py_RETURN_NONE;
}

/* At exit: what the hooks hold must be able to go, so that what asyncio says of a task that
   goes down with its module is said. */
static PyObject *
drop_hooks(PyObject *module, PyObject *unused)
{
    hooks_drop_all();
    Py_RETURN_NONE;
}

static PyObject *
is_enabled(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(core.is_enabled);
}

/* A forked child starts with nothing alive: what the parent made is the parent's, most of it
   held by threads that do not exist here. Ids go on from the parent's, so that none that is
   known here, as a cause, a root or what executes now, is given again. */
static PyObject *
after_fork_in_child(PyObject *module, PyObject *unused)
{
    core.main_thread = PyThread_get_thread_ident();
    tracked_clear();
    records_clear();
    generators_forget_contexts();
    live_forget_all();
    hooks_forget_destroys();
    Py_RETURN_NONE;
}

static PyObject *
get_execution_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_async_id());
}

static PyObject *
get_trigger_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_top != NULL ? execution_top->created_by
                                                             : ASYNC_ID_NONE);
}

static PyObject *
get_root_async_id(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(execution_root());
}

static PyObject *
get_execution_async_resource(PyObject *module, PyObject *unused)
{
    PyObject *resource = execution_top != NULL ? execution_top->resource : NULL;
    return Py_NewRef(resource != NULL ? resource : Py_None);
}

static PyObject *
start_root(PyObject *module, PyObject *unused)
{
    return PyLong_FromUnsignedLongLong(root_begin());
}

/* Calls args[0] with the rest as nobody: what it makes has no cause, and is its own root. */
static PyObject *
call_detached(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "call_detached() needs a function to call");
        return NULL;
    }
    const Record nobody = {0};
    Frame *frame = frame_push(&nobody, NULL);
    if (frame == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), NULL);
    frame_pop(frame);
    return result;
}

/* What executes now is nobody from here on, until become_again(): what it makes has no cause,
   and is its own root. In a step the step's frame is changed, since the step may end in between.
   Returns: what become_again() is to be told. */
static PyObject *
become_nobody(PyObject *module, PyObject *unused)
{
    const Record nobody = {0};
    Frame *frame = execution_top;
    bool is_pushed = frame == NULL;
    if (is_pushed && (frame = frame_push(&nobody, NULL)) == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = Py_BuildValue("KiKKK", (unsigned long long)(uintptr_t)frame,
                                     is_pushed, (unsigned long long)frame->async_id,
                                     (unsigned long long)frame->created_by,
                                     (unsigned long long)frame->root);
    if (result != NULL) {
        frame->async_id = frame->created_by = frame->root = ASYNC_ID_NONE;
    } else if (is_pushed) {
        frame_pop(frame);
    }
    return result;
}

/* Takes back become_nobody(), where the same frame is still the thread's top. */
static PyObject *
become_again(PyObject *module, PyObject *args)
{
    unsigned long long address, async_id, created_by, root;
    int is_pushed;
    if (!PyArg_ParseTuple(args, "KiKKK:become_again", &address, &is_pushed, &async_id,
                          &created_by, &root)) {
        return NULL;
    }
    Frame *frame = execution_top;
    if ((uintptr_t)frame == (uintptr_t)address && frame->async_id == ASYNC_ID_NONE) {
        frame->async_id = async_id;
        frame->created_by = created_by;
        frame->root = root;
        if (is_pushed) {
            frame_pop(frame);
        }
    }
    Py_RETURN_NONE;
}

static PyObject *
py_contexts_of(PyObject *module, PyObject *object)
{
    return contexts_of(object);
}

static PyObject *
py_outermost_context(PyObject *module, PyObject *unused)
{
    return outermost_context();
}

static PyObject *
live_counts(PyObject *module, PyObject *unused)
{
    PyObject *counts = PyDict_New();
    for (int kind = 0; counts != NULL && kind < KIND_COUNT; kind++) {
        PyObject *count = PyLong_FromSsize_t(core.live[kind]);
        if (count == NULL || PyDict_SetItemString(counts, KIND_NAMES[kind], count) < 0) {
            Py_CLEAR(counts);
        }
        Py_XDECREF(count);
    }
    return counts;
}

static PyObject *
snapshot(PyObject *module, PyObject *args)
{
    unsigned int kinds;
    unsigned long long root;
    if (!PyArg_ParseTuple(args, "IK:snapshot", &kinds, &root)) {
        return NULL;
    }
    return snapshot_take(kinds, root);
}

static PyObject *
py_set_type_attribute(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyTypeObject *owner;
    PyObject *name, *value;
    if (!PyArg_ParseTuple(args, "O!UO:set_type_attribute", &PyType_Type, &owner, &name,
                          &value) ||
        set_type_attribute(owner, name, value) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
py_delete_type_attribute(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyTypeObject *owner;
    PyObject *name;
    if (!PyArg_ParseTuple(args, "O!U:delete_type_attribute", &PyType_Type, &owner,
                          &name) ||
        set_type_attribute(owner, name, NULL) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* (created_by, root, site) of an object, or with None of what executes now: what made that
   which it makes, for track(). */
static PyObject *
origin(PyObject *module, PyObject *object)
{
    Origin found = protocols_origin(object != Py_None ? object : NULL);
    return Py_BuildValue("KKH", (unsigned long long)found.created_by,
                         (unsigned long long)found.root, found.site);
}

static PyObject *
track(PyObject *module, PyObject *args)
{
    PyObject *object; /* borrowed */
    int kind;
    const char *type_name;
    unsigned long long created_by = 0, root = 0;
    unsigned short site = SITE_UNKNOWN;
    if (!PyArg_ParseTuple(args, "Ois|(KKH):track", &object, &kind, &type_name,
                          &created_by, &root, &site)) {
        return NULL;
    }
    if (kind < KIND_RESOURCE || kind >= KIND_COUNT) {
        PyErr_Format(PyExc_ValueError, "no object can be tracked as kind %d", kind);
        return NULL;
    }
    Origin origin = {created_by, root, site};
    bool is_of_here = PyTuple_GET_SIZE(args) == 3;
    if (tracked_add(object, (Kind)kind, type_name, is_of_here ? NULL : &origin) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
set_lookups(PyObject *module, PyObject *functions)
{
    if (functions != Py_None && !PyTuple_Check(functions)) {
        PyErr_Format(PyExc_TypeError, "%R is no tuple of functions", functions);
        return NULL;
    }
    jobs_set_lookups(functions != Py_None ? functions : NULL);
    Py_RETURN_NONE;
}

static PyObject *
async_id_of(PyObject *module, PyObject *object)
{
    const Record *record = record_of(object);
    return PyLong_FromUnsignedLongLong(record != NULL ? record->async_id : ASYNC_ID_NONE);
}

static PyObject *
py_task_of_step(PyObject *module, PyObject *callback)
{
    PyObject *task = internals_are_learnt() ? task_of_step(callback) : NULL;
    return Py_NewRef(task != NULL ? task : Py_None);
}

static PyObject *
py_site_frames(PyObject *module, PyObject *number)
{
    long site = PyLong_AsLong(number);
    if (site == -1 && PyErr_Occurred()) {
        return NULL;
    }
    return site_frames(site > 0 && site <= UINT16_MAX ? (uint16_t)site : SITE_UNKNOWN);
}

static PyObject *
memory(PyObject *module, PyObject *unused)
{
    return Py_BuildValue("nK", (Py_ssize_t)records_bytes(),
                         (unsigned long long)core.untracked);
}

static PyObject *
install_callbacks(PyObject *module, PyObject *type)
{
    if (!PyType_Check(type)) {
        PyErr_Format(PyExc_TypeError, "%R is not a loop's type", type);
        return NULL;
    }
    if (callbacks_install((PyTypeObject *)type) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
uninstall_callbacks(PyObject *module, PyObject *unused)
{
    callbacks_uninstall();
    Py_RETURN_NONE;
}

static PyObject *
own_methods(PyObject *module, PyObject *subclass)
{
    if (!PyType_Check(subclass)) {
        PyErr_Format(PyExc_TypeError, "%R is not a class", subclass);
        return NULL;
    }
    if (storages_own_methods((PyTypeObject *)subclass) < 0) {
        return NULL;
    }
    return Py_NewRef(subclass);
}

static PyObject *
watch_scopes(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *entered, *left;
    if (!PyArg_ParseTuple(args, "OO:watch_scopes", &entered, &left)) {
        return NULL;
    }
    store_scopes_watch(entered != Py_None ? entered : NULL,
                       left != Py_None ? left : NULL);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"configure", configure, METH_VARARGS,
     "Learn what the core needs to know of this interpreter from three probes."},
    {"configure_sites", configure_sites, METH_VARARGS,
     "Say which files are plumbing, libraries', installed, and the user's own."},
    {"set_options", set_options, METH_VARARGS,
     "Kinds (a mask) and frames of creation sites, CPU time, bytes of the side table."},
    {"call_unheard", call_unheard, METH_O,
     "Call a function while no hook hears of anything."},
    {"enable", enable, METH_NOARGS, "Put the core in force."},
    {"disable", disable, METH_NOARGS, "Put everything back and forget all resources."},
    {"drop_hooks", drop_hooks, METH_NOARGS, "Disable all hooks and let go of them."},
    {"after_fork_in_child", after_fork_in_child, METH_NOARGS,
     "Start anew in a forked child, whose only thread is the caller."},
    {"is_enabled", is_enabled, METH_NOARGS, "Whether the core is in force."},
    {"execution_async_id", get_execution_async_id, METH_NOARGS,
     "The id of what executes now in this thread."},
    {"trigger_async_id", get_trigger_async_id, METH_NOARGS,
     "The id of what created what executes now in this thread."},
    {"root_async_id", get_root_async_id, METH_NOARGS,
     "The id of the root that this thread executes for now."},
    {"execution_async_resource", get_execution_async_resource, METH_NOARGS,
     "The object that executes now in this thread, or None."},
    {"start_root", start_root, METH_NOARGS,
     "Begin a new root for what executes now and return its id."},
    {"call_detached", (PyCFunction)(void (*)(void))call_detached, METH_FASTCALL,
     "Call a function as nobody: what it makes has no cause and is its own root."},
    {"become_nobody", become_nobody, METH_NOARGS,
     "Be nobody from here on, for what is made; returns who was, for become_again()."},
    {"become_again", become_again, METH_VARARGS, "Be again who was."},
    {"contexts_of", py_contexts_of, METH_O,
     "The contexts that a task, handle, resource or async generator holds, as a list."},
    {"outermost_context", py_outermost_context, METH_NOARGS,
     "A copy of this thread's context before any other was entered."},
    {"snapshot", snapshot, METH_VARARGS,
     "What lives of these kinds (a mask) below this root (0: any), as tuples."},
    {"live_counts", live_counts, METH_NOARGS, "How many resources live, by kind."},
    {"memory", memory, METH_NOARGS,
     "How many bytes the side table takes, and how many objects had no room in it."},
    {"track", track, METH_VARARGS,
     "Make an object, to which a weak reference can be made, a resource of a kind."},
    {"origin", origin, METH_O,
     "Who makes what an object makes, for track(); with None, what is made now."},
    {"introduce", (PyCFunction)(void (*)(void))protocols_introduce, METH_FASTCALL,
     "Have a protocol show us its transport, made by an object, or by what executes."},
    {"set_transport_types", protocols_set_types, METH_O,
     "Say which types of transport there are: to (kind, name); None: none."},
    {"set_lookups", set_lookups, METH_O,
     "Say which functions look up names; None: none does."},
    {"async_id_of", async_id_of, METH_O, "The id of a resource; 0 of what is none."},
    {"task_of_step", py_task_of_step, METH_O,
     "The task whose step or wake-up a callback is, or None."},
    {"site_frames", py_site_frames, METH_O,
     "The frames, as (code, line), of a creation site's number."},
    {"install_callbacks", install_callbacks, METH_O,
     "See the callbacks that are handed to the loops of a type made by Cython."},
    {"uninstall_callbacks", uninstall_callbacks, METH_NOARGS, "See them no more."},
    {"set_greenlet_type", greenlets_set_type, METH_O,
     "Have each greenlet of this type made in a copy of its maker's context; None: not."},
    {"set_type_attribute", py_set_type_attribute, METH_VARARGS,
     "Set an attribute of any type, immutable ones too."},
    {"watch_scopes", watch_scopes, METH_VARARGS,
     "Have two functions told of uses that generators begin and end; None: nobody."},
    {"own_methods", own_methods, METH_O,
     "Give a subclass of Storage its methods as its own, and return it."},
    {"delete_type_attribute", py_delete_type_attribute, METH_VARARGS,
     "Delete an attribute of any type, immutable ones too."},
    {"set_span_faces", (PyCFunction)(void (*)(void))spans_set_faces,
     METH_VARARGS | METH_KEYWORDS,
     "Say through which Python classes spans are seen, and what describes exceptions and "
     "sites."},
    {"set_span_limits", (PyCFunction)(void (*)(void))spans_set_limits,
     METH_VARARGS | METH_KEYWORDS, "Say how much a span may hold."},
    {"set_sampler", spans_set_sampler, METH_VARARGS,
     "Say what decides whether a trace is recorded, and whether also about children."},
    {"set_span_sink", spans_set_sink, METH_O,
     "Call a function with every span that ends."},
    {"set_span_buffer", export_buffers_set_spans, METH_O,
     "Say where ended spans are encoded to; None: nowhere."},
    {"set_log_buffer", export_buffers_set_logs, METH_O,
     "Say where log records are encoded to; None: nowhere."},
    {"is_exporting_logs", log_export_is_on, METH_NOARGS,
     "Whether log records of this thread are exported: there is a buffer, and the thread "
     "is\nno exporter's own."},
    {"export_log_record", (PyCFunction)(void (*)(void))log_export, METH_FASTCALL,
     "export_log_record($module, span, scope, timestamp, severity_number, severity_text, "
     "body, attributes, /)\n--\n\n"
     "Encode a log record, where they are exported."},
    {"request_as_json", otlp_json_of_request, METH_VARARGS,
     "request_as_json($module, request, signal='traces', /)\n--\n\n"
     "OTLP/JSON of a request that ExportBuffer.take() has given."},
    {"start_export_thread", export_thread_start, METH_O,
     "start_export_thread($module, function, /)\n--\n\n"
     "Call a function in a thread of the operating system, whatever stands in the place "
     "of "
     "Python's\nthreads, in an empty context. Nobody waits for it at exit."},
    {"exchange", exchange, METH_VARARGS,
     "exchange($module, file, head, body, seconds, /)\n--\n\n"
     "Send `head` and `body` over a socket that does not block, and return what comes "
     "first of\nthe answer: b\"\" where the other side has closed. Raises an OSError, of "
     "which a TimeoutError\nafter so many seconds. The GIL is let go of once."},
    {"encode_resource", otlp_encode_resource, METH_O,
     "The resource of a batch, for ExportBuffer.take()."},
    {"encode_scope", (PyCFunction)(void (*)(void))otlp_encode_scope,
     METH_VARARGS | METH_KEYWORDS, "Who starts spans, for their `scope`."},
    {"set_span_gate", spans_set_gate, METH_O,
     "Hand every span that ends to a function, instead of encoding it."},
    {"release_span", spans_release, METH_O, "Encode an ended span, as without a gate."},
    {"task_span_hook", task_spans_hook, METH_VARARGS,
     "task_span_hook($module, init, settled, /)\n--\n\n"
     "A hook, off, that hears of those tasks which are to have spans, or have."},
    {"set_task_spans", task_spans_set, METH_O, "Say where tasks' spans are kept."},
    {"current_scope", scopes_current, METH_NOARGS,
     "The innermost scope that is in force here. There always is one."},
    {"scope_in", scopes_in, METH_O, "The innermost scope that is in force in a context."},
    {"recording_span", start_span_recording, METH_NOARGS,
     "The span below which a span started here would be recorded, or None: outside of "
     "any, "
     "in\na trace that is not sampled, and where tracing is suppressed. To be asked "
     "before "
     "anything\nis computed for a span."},
    {"current_span", start_span_current, METH_NOARGS,
     "The span that what runs here belongs to, or None."},
    {"start_span", (PyCFunction)(void (*)(void))start_span, METH_FASTCALL | METH_KEYWORDS,
     "start_span($module, /, name, *, kind=1, attributes=None, parent=<current>, "
     "start_time=None, scope=None)\n--\n\n"
     "Start a span, below the current one, below `parent`, or, with None, in a new "
     "trace.\n\n"
     "It records the nearest line of the user's own code as where it was started. It "
     "does "
     "not become\ncurrent; `use_span` does that. Whoever starts it ends it."},
    {"guard_termination", termination_guard, METH_NOARGS,
     "Have an unhandled SIGTERM wait until what has ended is sent."},
    {"restore_termination", termination_restore, METH_NOARGS,
     "The same again, after Python has put the default back."},
    {"release_termination", termination_release, METH_NOARGS,
     "Leave SIGTERM at its default."},
    {"is_terminating", termination_is_due, METH_NOARGS,
     "Whether the process dies as soon as what has ended is sent."},
    {"mark_delivered", termination_delivered, METH_NOARGS, "It is sent."},
    {"start_request", (PyCFunction)(void (*)(void))requests_start,
     METH_FASTCALL | METH_KEYWORDS,
     "start_request($module, /, *, request_id, method, path, parent=None, baggage=None, "
     "attributes=None, kind=2)\n--\n\n"
     "Begin a request: a new root, whatever was current before, and its server span; or, "
     "by "
     "`kind`,\nthat of a consumer.\n\n"
     "`parent` and `baggage` are what the caller sent in its headers. Whoever calls this "
     "puts "
     "the\nrequest in force by `use_request`, and ends `request.span`."},
    {"set_request_class", requests_set_class, METH_O, "Say what is made for a request."},
    {"request_of_root", requests_of_root, METH_O,
     "The request that is the root of this id, while anything still holds it. Costs a "
     "look at "
     "every\nrequest that lives."},
    {"start_incoming", (PyCFunction)(void (*)(void))incoming_start,
     METH_FASTCALL | METH_KEYWORDS,
     "start_incoming($module, /, *, method, path, headers, scheme=None, query=None, "
     "version=None, server=None, client=None, is_websocket=False)\n--\n\n"
     "Begin the request that came with these headers. The caller puts it in force, and "
     "follows its\nanswer."},
    {"set_incoming_helpers", (PyCFunction)(void (*)(void))incoming_set_helpers,
     METH_VARARGS | METH_KEYWORDS, "Say how headers and queries are read."},
    {"asgi_start", asgi_start, METH_O, "Begin the request that an ASGI scope is of."},
    {"wsgi_start", wsgi_start, METH_O, "Begin the request that a WSGI environ is of."},
    {"wsgi_exchange", (PyCFunction)(void (*)(void))wsgi_exchange, METH_FASTCALL,
     "wsgi_exchange($module, answer, app, environ, start_response, /)\n--\n\n"
     "Serve one WSGI request. Gives the body: a list or tuple as it is, the request is "
     "over "
     "then; the\nserver's own kind of file as it is, the request ends with it; any "
     "other, "
     "followed."},
    {"asgi_sending", (PyCFunction)(void (*)(void))asgi_sending, METH_FASTCALL,
     "asgi_sending($module, answer, message, /)\n--\n\n"
     "The message to send in the place of `message`: with the request's id."},
    {"asgi_sent", (PyCFunction)(void (*)(void))asgi_sent, METH_FASTCALL,
     "asgi_sent($module, answer, message, /)\n--\n\nA message was sent."},
    {"use_request", requests_use, METH_O,
     "use_request($module, request, /)\n--\n\n"
     "`with use_request(request):` what runs inside belongs to `request`, and to nothing "
     "that "
     "was\nin force before: on a kept connection that may be the previous request."},
    {"suppress_tracing", scopes_suppress_tracing, METH_NOARGS,
     "suppress_tracing($module, /)\n--\n\n"
     "`with suppress_tracing():` spans started inside are not recorded."},
    {"record_tasks", scopes_record_tasks, METH_O,
     "record_tasks($module, recorded, /)\n--\n\n"
     "`with record_tasks(False):` the tasks that are created inside, and those that they "
     "create,\nhave no spans of their own; what they do belongs to the span that is "
     "current."},
    {"request_id_from", incoming_request_id_from, METH_O,
     "request_id_from($module, given, /)\n--\n\n"
     "The id that the caller gave, or a new one where that could do harm."},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError,
                        "asynchooks works in the main interpreter only: it changes types "
                        "that all interpreters of the process share");
        return -1;
    }
    clock_prepare();
    if (learn_main_thread() < 0 || snapshot_prepare(module) < 0 ||
        hooks_add_type(module) < 0 || resources_add_type(module) < 0 ||
        wrappers_add_type(module) < 0 || protocols_add_type(module) < 0 ||
        forks_prepare() < 0 || scopes_add_type(module) < 0 ||
        spans_add_type(module) < 0 || requests_add_type(module) < 0 ||
        incoming_prepare() < 0 || asgi_prepare() < 0 || asgi_exchange_prepare() < 0 ||
        answers_add_type(module) < 0 || queries_add_type(module) < 0 ||
        relays_add_type(module) < 0 || ports_add_type(module) < 0 || wsgi_prepare() < 0 ||
        wsgi_exchange_add_type(module) < 0 || export_buffer_add_type(module) < 0 ||
        storages_add_types(module) < 0 || store_scopes_add_types(module) < 0 ||
        contexts_add_type(module) < 0) {
        return -1;
    }
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "asynchooks._native",
    .m_doc = "The C core of asynchooks.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__native(void)
{
    return PyModuleDef_Init(&module_definition);
}
