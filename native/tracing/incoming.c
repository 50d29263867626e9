#include "incoming.h"
#include "arguments.h"
#include "compat.h"
#include "names.h"
#include "random_ids.h"
#include "span_recording.h"

/* An id comes from outside and goes into log lines and headers: visible ASCII, and not long. */
#define MAXIMUM_REQUEST_ID 200

/* Owned, or NULL: (parent, baggage) of headers; a query without secrets; what records headers, where
   any is asked for. */
static PyObject *extract = NULL;
static PyObject *redact_query = NULL;
static PyObject *record_headers = NULL;

/* Owned. */
static PyObject *str_method = NULL;
static PyObject *str_original_method = NULL;
static PyObject *str_other = NULL;
static PyObject *str_http = NULL;
static PyObject *str_websocket = NULL;
static PyObject *str_path = NULL;
static PyObject *str_scheme = NULL;
static PyObject *str_query = NULL;
static PyObject *str_version = NULL;
static PyObject *str_server_address = NULL;
static PyObject *str_server_port = NULL;
static PyObject *str_client_address = NULL;
static PyObject *str_user_agent = NULL;

static bool
is_known_method(PyObject *method)
{
    return TEXT_IS(method, "GET") || TEXT_IS(method, "POST") || TEXT_IS(method, "PUT") ||
           TEXT_IS(method, "PATCH") || TEXT_IS(method, "DELETE") ||
           TEXT_IS(method, "HEAD") || TEXT_IS(method, "OPTIONS") ||
           TEXT_IS(method, "TRACE") || TEXT_IS(method, "QUERY") ||
           TEXT_IS(method, "CONNECT");
}

/* ---- Headers -------------------------------------------------------------------------- */

/* What is read of the headers. Borrowed from them; NULL where there is none. */
typedef struct Headers {
    PyObject *request_id;
    PyObject *user_agent;
    bool carry_a_span; /* or baggage: one of them is a propagator's */
} Headers;

#define IS_NAMED(header, name)                                                           \
    NAME_IS(PyBytes_AS_STRING(header), PyBytes_GET_SIZE(header), name)

static void
read_header(Headers *found, PyObject *name, PyObject *value)
{
    if (IS_NAMED(name, "x-request-id")) {
        if (found->request_id == NULL) {
            found->request_id = value;
        }
    } else if (IS_NAMED(name, "user-agent")) {
        if (found->user_agent == NULL) {
            found->user_agent = value;
        }
    } else if (IS_NAMED(name, "traceparent") || IS_NAMED(name, "baggage") ||
               IS_NAMED(name, "b3") || IS_NAMED(name, "x-b3-traceid")) {
        found->carry_a_span = true;
    }
}

/* Reads a list or tuple of pairs; what is none is passed over. Runs no Python code, so that what is
   found stays where it is. */
static void
read_headers(Headers *found, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(list); i++) {
        PyObject *pair = PySequence_Fast_GET_ITEM(list, i); /* borrowed */
        if ((!PyTuple_Check(pair) && !PyList_Check(pair)) ||
            PySequence_Fast_GET_SIZE(pair) != 2) {
            continue;
        }
        PyObject *name = PySequence_Fast_GET_ITEM(pair, 0);
        PyObject *value = PySequence_Fast_GET_ITEM(pair, 1);
        if (PyBytes_Check(name) && PyBytes_Check(value)) {
            read_header(found, name, value);
        }
    }
}

/* Returns: the id that the caller gave, or a new one where that could do harm; new, or NULL with an
   exception set. */
static PyObject *
request_id_from(PyObject *given)
{
    Py_ssize_t length = given != NULL ? PyBytes_GET_SIZE(given) : 0;
    bool is_harmless = length > 0 && length <= MAXIMUM_REQUEST_ID;
    for (Py_ssize_t i = 0; is_harmless && i < length; i++) {
        is_harmless =
            PyBytes_AS_STRING(given)[i] >= '!' && PyBytes_AS_STRING(given)[i] <= '~';
    }
    return is_harmless ? PyUnicode_DecodeLatin1(PyBytes_AS_STRING(given), length, NULL)
                       : random_id_as_text();
}

/* Asks who called, in the formats that are configured. Returns: a tuple (parent, baggage), new, or
   NULL with an exception set. May run Python code: yes. */
static PyObject *
ask_who_called(PyObject *headers)
{
    PyObject *said = PyObject_CallOneArg(extract, headers);
    if (said != NULL && (!PyTuple_CheckExact(said) || PyTuple_GET_SIZE(said) != 2)) {
        PyErr_Format(PyExc_TypeError, "extract() said %R, expected (parent, baggage)",
                     said);
        Py_CLEAR(said);
    }
    return said;
}

bool
incoming_records_headers(void)
{
    return record_headers != NULL;
}

int
incoming_record_headers(Span *span, const char *direction, PyObject *headers)
{
    if (record_headers == NULL || !span_is_open(span)) {
        return 0;
    }
    PyObject *result = PyObject_CallFunction(record_headers, "OsO", span, direction,
                                             headers); /* owned */
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* ---- What the span says --------------------------------------------------------------- */

static int
set(Span *span, PyObject *key, PyObject *value)
{
    return attributes_set(&span->attributes, key, value, span_limits.attributes);
}

static int
set_if_given(Span *span, PyObject *key, PyObject *value)
{
    bool is_text = is_given(value) && PyUnicode_Check(value);
    return is_given(value) && !(is_text && PyUnicode_GET_LENGTH(value) == 0)
               ? set(span, key, value)
               : 0;
}

/* The method; what is none that HTTP knows is `_OTHER`, and what was sent. */
static int
describe_method(Span *span, PyObject *method)
{
    if (is_known_method(method)) {
        return set(span, str_method, method);
    }
    return set(span, str_method, str_other) < 0 ? -1
                                                : set(span, str_original_method, method);
}

static int
describe_query(Span *span, PyObject *query)
{
    if (!is_given(query) || PyObject_Size(query) <= 0) {
        PyErr_Clear();
        return 0;
    }
    PyObject *redacted = PyObject_CallOneArg(redact_query, query); /* owned */
    int status = redacted != NULL ? set(span, str_query, redacted) : -1;
    Py_XDECREF(redacted);
    return status;
}

/* An address: (host, port), (host,), or (host, None). A port may be a str. */
static int
describe_address(Span *span, PyObject *address, PyObject *host_key, PyObject *port_key)
{
    if (!is_given(address)) {
        return 0;
    }
    PyObject *parts = /* owned */
        PySequence_Fast(address, "an address is a host and a port");
    int status = parts != NULL ? 0 : -1;
    Py_ssize_t count = parts != NULL ? PySequence_Fast_GET_SIZE(parts) : 0;
    if (count > 0) {
        status = set_if_given(span, host_key, PySequence_Fast_GET_ITEM(parts, 0));
    }
    if (status == 0 && port_key != NULL && count > 1 &&
        PySequence_Fast_GET_ITEM(parts, 1) != Py_None) {
        PyObject *port = PyNumber_Long(PySequence_Fast_GET_ITEM(parts, 1)); /* owned */
        status = port != NULL ? set(span, port_key, port) : -1;
        Py_XDECREF(port);
    }
    Py_XDECREF(parts);
    return status;
}

static int
describe_user_agent(Span *span, PyObject *user_agent)
{
    if (user_agent == NULL) {
        return 0;
    }
    PyObject *text = /* owned */
        PyUnicode_DecodeLatin1(PyBytes_AS_STRING(user_agent),
                               PyBytes_GET_SIZE(user_agent), NULL);
    int status = text != NULL ? set(span, str_user_agent, text) : -1;
    Py_XDECREF(text);
    return status;
}

/* Returns: 0, or -1 with an exception set. May run Python code: yes. */
static int
describe(Span *span, const Incoming *incoming, PyObject *user_agent)
{
    if (describe_method(span, incoming->method) < 0 ||
        set(span, str_path, incoming->path) < 0 ||
        set_if_given(span, str_scheme, incoming->scheme) < 0 ||
        describe_query(span, incoming->query) < 0 ||
        set_if_given(span, str_version, incoming->version) < 0 ||
        describe_address(span, incoming->server, str_server_address, str_server_port) <
            0 ||
        describe_address(span, incoming->client, str_client_address, NULL) < 0 ||
        describe_user_agent(span, user_agent) < 0) {
        return -1;
    }
    return incoming_record_headers(span, "request", incoming->headers);
}

Request *
incoming_begin(const Incoming *incoming)
{
    /* Owned. */
    PyObject *headers = PySequence_Fast(incoming->headers, "headers are pairs of bytes");
    PyObject *id = NULL, *caller = NULL, *user_agent = NULL;
    Request *request = NULL;
    Headers found = {0};
    if (headers == NULL) {
        return NULL;
    }
    if (!PyUnicode_Check(incoming->method)) {
        PyErr_Format(PyExc_TypeError, "a method is a str, got %R", incoming->method);
        goto error;
    }
    read_headers(&found, headers);
    user_agent = Py_XNewRef(found.user_agent);
    id = request_id_from(found.request_id);
    if (id == NULL) {
        goto error;
    }
    if (found.carry_a_span && extract != NULL) {
        caller = ask_who_called(headers);
        if (caller == NULL) {
            goto error;
        }
    }
    RequestOptions options = {
        .id = id,
        .method = incoming->is_websocket              ? str_websocket
                  : is_known_method(incoming->method) ? incoming->method
                                                      : str_http,
        .path = incoming->path,
        .parent = caller != NULL ? PyTuple_GET_ITEM(caller, 0) : NULL,
        .baggage = caller != NULL ? PyTuple_GET_ITEM(caller, 1) : NULL,
    };
    request = request_begin(&options);
    if (request != NULL && span_is_open((Span *)request->span) &&
        describe((Span *)request->span, incoming, user_agent) < 0) {
        Py_CLEAR(request);
    }
error:
    Py_DECREF(headers);
    Py_XDECREF(id);
    Py_XDECREF(caller);
    Py_XDECREF(user_agent);
    return request;
}

/* ---- Python's functions --------------------------------------------------------------- */

static Signature start_signature = {
    .function = "start_incoming",
    .required = 3,
    .positional = 0,
    .count = 9,
    .names = {"method", "path", "headers", "scheme", "query", "version", "server",
              "client", "is_websocket"},
};

PyObject *
incoming_start(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
               PyObject *kwnames)
{
    PyObject *values[MAXIMUM_PARAMETERS]; /* borrowed */
    if (arguments_bind(&start_signature, args, nargs, kwnames, values) < 0) {
        return NULL;
    }
    int is_websocket = values[8] != NULL ? PyObject_IsTrue(values[8]) : 0;
    if (is_websocket < 0) {
        return NULL;
    }
    Incoming incoming = {
        .method = values[0],
        .path = values[1],
        .headers = values[2],
        .scheme = values[3],
        .query = values[4],
        .version = values[5],
        .server = values[6],
        .client = values[7],
        .is_websocket = is_websocket,
    };
    return (PyObject *)incoming_begin(&incoming);
}

PyObject *
incoming_request_id_from(PyObject *module, PyObject *given)
{
    if (!PyUnicode_Check(given)) {
        PyErr_Format(PyExc_TypeError, "a request id is a str, got %R", given);
        return NULL;
    }
    PyObject *bytes = PyUnicode_AsLatin1String(given); /* owned */
    if (bytes == NULL) {
        PyErr_Clear(); /* it is not even that */
    }
    PyObject *id = request_id_from(bytes);
    Py_XDECREF(bytes);
    return id;
}

static void
keep(PyObject **place, PyObject *function)
{
    Py_XSETREF(*place, is_given(function) ? Py_NewRef(function) : NULL);
}

PyObject *
incoming_set_helpers(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"extract", "redact_query", "record_headers", NULL};
    PyObject *functions[3]; /* borrowed */
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "$OOO:set_incoming_helpers", names,
                                     &functions[0], &functions[1], &functions[2])) {
        return NULL;
    }
    keep(&extract, functions[0]);
    keep(&redact_query, functions[1]);
    keep(&record_headers, functions[2]);
    Py_RETURN_NONE;
}

int
incoming_prepare(void)
{
    const Name names[] = {
        {&str_method, "http.request.method"},
        {&str_original_method, "http.request.method_original"},
        {&str_other, "_OTHER"},
        {&str_http, "HTTP"},
        {&str_websocket, "WEBSOCKET"},
        {&str_path, "url.path"},
        {&str_scheme, "url.scheme"},
        {&str_query, "url.query"},
        {&str_version, "network.protocol.version"},
        {&str_server_address, "server.address"},
        {&str_server_port, "server.port"},
        {&str_client_address, "client.address"},
        {&str_user_agent, "user_agent.original"},
    };
    return INTERN(names);
}
