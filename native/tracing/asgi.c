#include "asgi.h"
#include "answers.h"
#include "compat.h"
#include "incoming.h"
#include "names.h"

static const char HEADER[] = "x-request-id";

/* Owned: the keys of scopes and messages, and what stands there. */
static PyObject *str_type = NULL;
static PyObject *str_method = NULL;
static PyObject *str_path = NULL;
static PyObject *str_headers = NULL;
static PyObject *str_scheme = NULL;
static PyObject *str_query_string = NULL;
static PyObject *str_http_version = NULL;
static PyObject *str_server = NULL;
static PyObject *str_client = NULL;
static PyObject *str_status = NULL;
static PyObject *str_body = NULL;
static PyObject *str_more_body = NULL;
static PyObject *str_get = NULL;
static PyObject *str_http = NULL;
static PyObject *no_headers = NULL;
static PyObject *header_name = NULL;

/* Returns: what a mapping holds for a key, new; NULL where it holds nothing, or with an exception
   set. May run Python code: yes, where it is no dict. */
static PyObject *
get(PyObject *mapping, PyObject *key)
{
    if (PyDict_Check(mapping)) {
        return Py_XNewRef(PyDict_GetItemWithError(mapping, key));
    }
    PyObject *value = PyObject_GetItem(mapping, key);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
        PyErr_Clear();
    }
    return value;
}

/* ---- The scope ------------------------------------------------------------------------ */

/* A query string is bytes. Steals: bytes, which may be NULL.
   Returns: text, new, or NULL, with an exception set or because there is none. */
static PyObject *
decode(PyObject *bytes)
{
    PyObject *text = NULL;
    if (bytes != NULL && PyBytes_Check(bytes) && PyBytes_GET_SIZE(bytes) > 0) {
        text = PyUnicode_DecodeLatin1(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes),
                                      NULL);
    }
    Py_XDECREF(bytes);
    return text;
}

int
asgi_is_http(PyObject *scope)
{
    PyObject *type = get(scope, str_type); /* owned */
    int is = PyErr_Occurred() ? -1 : TEXT_IS(type, "http");
    Py_XDECREF(type);
    return is;
}

PyObject *
asgi_start(PyObject *module, PyObject *scope)
{
    /* Owned. */
    PyObject *type = get(scope, str_type);
    PyObject *method = NULL;
    PyObject *path = get(scope, str_path);
    PyObject *headers = get(scope, str_headers);
    PyObject *scheme = get(scope, str_scheme);
    PyObject *query = decode(get(scope, str_query_string));
    PyObject *version = get(scope, str_http_version);
    PyObject *server = get(scope, str_server);
    PyObject *client = get(scope, str_client);
    Request *request = NULL;
    bool is_websocket = TEXT_IS(type, "websocket");
    method = is_websocket ? Py_NewRef(str_get) : get(scope, str_method);
    if (PyErr_Occurred()) {
        goto error;
    }
    if (method == NULL || path == NULL) {
        PyErr_Format(PyExc_KeyError, "a scope without %s",
                     path == NULL ? "path" : "method");
        goto error;
    }
    Incoming incoming = {
        .method = method,
        .path = path,
        .headers = headers != NULL ? headers : no_headers,
        .scheme = scheme != NULL ? scheme : str_http,
        .query = query,
        .version = version,
        .server = server,
        .client = client,
        .is_websocket = is_websocket,
    };
    request = incoming_begin(&incoming);
error:
    Py_XDECREF(type);
    Py_XDECREF(method);
    Py_XDECREF(path);
    Py_XDECREF(headers);
    Py_XDECREF(scheme);
    Py_XDECREF(query);
    Py_XDECREF(version);
    Py_XDECREF(server);
    Py_XDECREF(client);
    return (PyObject *)request;
}

/* ---- Messages ------------------------------------------------------------------------- */

/* Returns: whether a message of this type carries the status and headers of an answer. */
static bool
is_start(PyObject *type)
{
    return TEXT_IS(type, "http.response.start") || TEXT_IS(type, "websocket.accept") ||
           TEXT_IS(type, "websocket.http.response.start");
}

/* Returns: whether a header is the request's id. */
static bool
is_request_id(PyObject *header)
{
    if ((!PyTuple_Check(header) && !PyList_Check(header)) ||
        PySequence_Fast_GET_SIZE(header) != 2) {
        return false;
    }
    PyObject *name = PySequence_Fast_GET_ITEM(header, 0); /* borrowed */
    return PyBytes_Check(name) &&
           NAME_IS(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), HEADER);
}

/* Returns: (name, id), new, or NULL with an exception set. */
static PyObject *
make_header(const Request *request)
{
    PyObject *id = PyUnicode_AsLatin1String(request->id); /* owned */
    PyObject *header = id != NULL ? PyTuple_Pack(2, header_name, id) : NULL;
    Py_XDECREF(id);
    return header;
}

/* Returns: a list of the headers of a list or tuple and, where it is not among them, the request's id;
   new, or NULL with an exception set. */
static PyObject *
with_request_id(PyObject *headers, const Request *request)
{
    Py_ssize_t count = PySequence_Fast_GET_SIZE(headers);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (is_request_id(PySequence_Fast_GET_ITEM(headers, i))) {
            return PySequence_List(headers);
        }
    }
    PyObject *header = make_header(request); /* owned, given away */
    PyObject *list = header != NULL ? PyList_New(count + 1) : NULL;
    if (list == NULL) {
        Py_XDECREF(header);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyList_SET_ITEM(list, i, Py_NewRef(PySequence_Fast_GET_ITEM(headers, i)));
    }
    PyList_SET_ITEM(list, count, header);
    return list;
}

/* Returns: the status of a message, 101 of a websocket that is accepted; or -1 with an exception
   set. */
static int
status_of(PyObject *message)
{
    PyObject *value = get(message, str_status); /* owned */
    long status = value != NULL ? PyLong_AsLong(value) : 101;
    Py_XDECREF(value);
    return PyErr_Occurred() ? -1 : (int)status;
}

/* Returns: a dict with what a message holds, new, or NULL with an exception set. May run Python code:
   yes, where it is no dict. */
static PyObject *
copy(PyObject *message)
{
    if (PyDict_Check(message)) {
        return PyDict_Copy(message);
    }
    PyObject *dict = PyDict_New(); /* owned */
    if (dict != NULL && PyDict_Update(dict, message) < 0) {
        Py_CLEAR(dict);
    }
    return dict;
}

/* Returns: the message with which an answer begins, with the request's id, new, or NULL with an
   exception set. The application's own message stays as it is. */
static PyObject *
begin(Answer *answer, PyObject *message)
{
    /* Owned. */
    PyObject *given = get(message, str_headers);
    PyObject *headers = NULL, *sent = NULL, *changed = NULL;
    int status = PyErr_Occurred() ? -1 : status_of(message);
    if (status < 0) {
        goto error;
    }
    headers = PySequence_Fast(given != NULL && given != Py_None ? given : no_headers,
                              "headers are pairs of bytes");
    if (headers == NULL || answer_begin(answer, status, headers) < 0) {
        goto error;
    }
    sent = with_request_id(headers, answer->request);
    changed = sent != NULL ? copy(message) : NULL;
    if (changed != NULL && PyDict_SetItem(changed, str_headers, sent) < 0) {
        Py_CLEAR(changed);
    }
error:
    Py_XDECREF(given);
    Py_XDECREF(headers);
    Py_XDECREF(sent);
    return changed;
}

/* What went wrong with a message is the server's to say. Returns: whether it was an Exception, which
   is reported; else it stays set. */
static bool
step_aside(PyObject *message)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception)) {
        return false;
    }
    PyErr_WriteUnraisable(message);
    return true;
}

PyObject *
asgi_message_to_send(Answer *answer, PyObject *given, bool *is_body)
{
    /* Owned. */
    PyObject *type = get(given, str_type);
    PyObject *message = NULL;
    *is_body = TEXT_IS(type, "http.response.body");
    if (is_start(type)) {
        message = begin(answer, given);
    } else if (!PyErr_Occurred()) {
        message = Py_NewRef(given);
    }
    if (message == NULL && step_aside(given)) {
        message = Py_NewRef(given);
    }
    Py_XDECREF(type);
    return message;
}

/* Counts a piece of the body, and ends with the last. Returns: 0, or -1 with an exception set. May
   run Python code: yes. */
static int
count_body(Answer *answer, PyObject *message)
{
    /* Owned. */
    PyObject *body = get(message, str_body);
    PyObject *more = get(message, str_more_body);
    int status = -1;
    if (PyErr_Occurred()) {
        goto error;
    }
    if (body != NULL && body != Py_None) {
        Py_ssize_t size = PyObject_Size(body);
        if (size < 0) {
            goto error;
        }
        answer_add(answer, size);
    }
    int goes_on = more != NULL ? PyObject_IsTrue(more) : 0;
    status = goes_on < 0 ? -1 : goes_on ? 0 : answer_end(answer);
error:
    Py_XDECREF(body);
    Py_XDECREF(more);
    return status;
}

int
asgi_follow_body(Answer *answer, PyObject *message)
{
    return count_body(answer, message) < 0 && !step_aside(message) ? -1 : 0;
}

int
asgi_follow_received(Answer *answer, PyObject *message)
{
    PyObject *type = get(message, str_type); /* owned */
    int status = PyErr_Occurred() ? -1 : 0;
    if (TEXT_IS(type, "http.disconnect")) {
        status = answer_disconnect(answer);
    }
    Py_XDECREF(type);
    return status < 0 && !step_aside(message) ? -1 : 0;
}

/* ---- Python's functions --------------------------------------------------------------- */

static int
check_arguments(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs == 2 && answer_check(args[0])) {
        return 0;
    }
    PyErr_SetString(PyExc_TypeError, "expected an Answer and a message");
    return -1;
}

PyObject *
asgi_sending(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    bool is_body;
    return check_arguments(args, nargs) < 0
               ? NULL
               : asgi_message_to_send((Answer *)args[0], args[1], &is_body);
}

PyObject *
asgi_sent(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (check_arguments(args, nargs) < 0) {
        return NULL;
    }
    PyObject *type = get(args[1], str_type); /* owned */
    int status = 0;
    if (PyErr_Occurred()) {
        status = step_aside(args[1]) ? 0 : -1;
    } else if (TEXT_IS(type, "http.response.body")) {
        status = asgi_follow_body((Answer *)args[0], args[1]);
    }
    Py_XDECREF(type);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

int
asgi_prepare(void)
{
    const Name names[] = {
        {&str_type, "type"},
        {&str_method, "method"},
        {&str_path, "path"},
        {&str_headers, "headers"},
        {&str_scheme, "scheme"},
        {&str_query_string, "query_string"},
        {&str_http_version, "http_version"},
        {&str_server, "server"},
        {&str_client, "client"},
        {&str_status, "status"},
        {&str_body, "body"},
        {&str_more_body, "more_body"},
        {&str_get, "GET"},
        {&str_http, "http"},
    };
    if (INTERN(names) < 0) {
        return -1;
    }
    no_headers = PyTuple_New(0);
    header_name = PyBytes_FromString(HEADER);
    return no_headers != NULL && header_name != NULL ? 0 : -1;
}
