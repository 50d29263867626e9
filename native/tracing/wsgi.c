#include "wsgi.h"
#include "compat.h"
#include "incoming.h"
#include "names.h"

#include <string.h>

static const char HEADER[] = "x-request-id";

/* Owned: the keys of an environ. */
static PyObject *str_request_method = NULL;
static PyObject *str_script_name = NULL;
static PyObject *str_path_info = NULL;
static PyObject *str_query_string = NULL;
static PyObject *str_server_protocol = NULL;
static PyObject *str_server_name = NULL;
static PyObject *str_server_port = NULL;
static PyObject *str_remote_addr = NULL;
static PyObject *str_url_scheme = NULL;
static PyObject *header_name = NULL; /* HEADER */

/* The headers that are read where nobody asks for others, and those without which no format of
   propagation says anything. */
static struct {
    const char *key;
    const char *name;
    bool carries_a_span;
    PyObject *interned; /* owned: the key */
    PyObject *bytes;    /* owned: the name */
} known_headers[] = {
    {"HTTP_X_REQUEST_ID", "x-request-id", false, NULL, NULL},
    {"HTTP_USER_AGENT", "user-agent", false, NULL, NULL},
    {"HTTP_TRACEPARENT", "traceparent", true, NULL, NULL},
    {"HTTP_BAGGAGE", "baggage", true, NULL, NULL},
    {"HTTP_B3", "b3", true, NULL, NULL},
    {"HTTP_X_B3_TRACEID", "x-b3-traceid", true, NULL, NULL},
};

enum { KNOWN_COUNT = sizeof(known_headers) / sizeof(known_headers[0]) };

/* ---- Headers of a request --------------------------------------------------------------- */

/* Appends (name, value), the value as bytes. Returns: 0, or -1 with an exception set. */
static int
append_header(PyObject *headers, PyObject *name, PyObject *value)
{
    PyObject *bytes = PyUnicode_AsLatin1String(value); /* owned */
    PyObject *pair = bytes != NULL ? PyTuple_Pack(2, name, bytes) : NULL;
    int status = pair != NULL ? PyList_Append(headers, pair) : -1;
    Py_XDECREF(pair);
    Py_XDECREF(bytes);
    return status;
}

/* Returns: the name of the header that stands at a key of an environ ("HTTP_USER_AGENT": user-agent),
   new; NULL where it is none, or with an exception set. */
static PyObject *
name_at(PyObject *key)
{
    if (!PyUnicode_Check(key) || !PyUnicode_IS_ASCII(key) ||
        strncmp(PyUnicode_DATA(key), "HTTP_", 5) != 0) {
        return NULL;
    }
    PyObject *name = PyBytes_FromStringAndSize((const char *)PyUnicode_DATA(key) + 5,
                                               PyUnicode_GET_LENGTH(key) - 5);
    for (Py_ssize_t i = 0; name != NULL && i < PyBytes_GET_SIZE(name); i++) {
        char *character = PyBytes_AS_STRING(name) + i;
        *character = *character == '_' ? '-' : (char)Py_TOLOWER(*character);
    }
    return name;
}

/* Returns: 0, or -1 with an exception set. */
static int
append_all(PyObject *headers, PyObject *environ)
{
    Py_ssize_t position = 0;
    PyObject *key, *value; /* borrowed: nothing here runs Python code */
    while (PyDict_Next(environ, &position, &key, &value)) {
        PyObject *name = PyUnicode_Check(value) ? name_at(key) : NULL; /* owned */
        int status = name != NULL ? append_header(headers, name, value) : 0;
        Py_XDECREF(name);
        if (status < 0 || PyErr_Occurred()) {
            return -1;
        }
    }
    return 0;
}

/* Returns: those headers that a request is told by, and all where one says who called, or any is to
   be recorded; a list of pairs of bytes, new, or NULL with an exception set. */
static PyObject *
read_headers(PyObject *environ)
{
    PyObject *headers = PyList_New(0);
    bool wants_all = incoming_records_headers();
    for (int i = 0; headers != NULL && i < KNOWN_COUNT && !wants_all; i++) {
        PyObject *value = /* borrowed */
            PyDict_GetItemWithError(environ, known_headers[i].interned);
        if (value == NULL || !PyUnicode_Check(value)) {
            continue;
        }
        wants_all = known_headers[i].carries_a_span;
        if (append_header(headers, known_headers[i].bytes, value) < 0) {
            Py_CLEAR(headers);
        }
    }
    if (headers != NULL && wants_all &&
        (PyList_SetSlice(headers, 0, PyList_GET_SIZE(headers), NULL) < 0 ||
         append_all(headers, environ) < 0)) {
        Py_CLEAR(headers);
    }
    return headers;
}

/* ---- The environ ------------------------------------------------------------------------ */

/* Returns: what an environ holds, borrowed; NULL where that is no text, or empty. */
static PyObject *
text_at(PyObject *environ, PyObject *key)
{
    PyObject *value = PyDict_GetItemWithError(environ, key);
    return value != NULL && PyUnicode_Check(value) && PyUnicode_GET_LENGTH(value) > 0
               ? value
               : NULL;
}

/* WSGI hands over the bytes of a path as latin-1. Returns: new, or NULL with an exception set. */
static PyObject *
read_path(PyObject *environ)
{
    PyObject *prefix = text_at(environ, str_script_name);
    PyObject *rest = text_at(environ, str_path_info);
    PyObject *path; /* owned */
    if (prefix != NULL && rest != NULL) {
        path = PyUnicode_Concat(prefix, rest);
    } else if (prefix != NULL || rest != NULL) {
        path = Py_NewRef(prefix != NULL ? prefix : rest);
    } else {
        path = PyUnicode_FromString("/");
    }
    if (path == NULL || PyUnicode_IS_ASCII(path)) {
        return path;
    }
    PyObject *bytes = PyUnicode_AsLatin1String(path); /* owned */
    Py_SETREF(path, bytes != NULL
                        ? PyUnicode_DecodeUTF8(PyBytes_AS_STRING(bytes),
                                               PyBytes_GET_SIZE(bytes), "replace")
                        : NULL);
    Py_XDECREF(bytes);
    return path;
}

/* "HTTP/1.1": 1.1. Returns: new; NULL where it is not known, or with an exception set. */
static PyObject *
read_version(PyObject *environ)
{
    PyObject *protocol = text_at(environ, str_server_protocol);
    if (protocol == NULL) {
        return NULL;
    }
    bool is_http = PyUnicode_IS_ASCII(protocol) && PyUnicode_GET_LENGTH(protocol) > 5 &&
                   memcmp(PyUnicode_DATA(protocol), "HTTP/", 5) == 0;
    return PyUnicode_Substring(protocol, is_http ? 5 : 0, PyUnicode_GET_LENGTH(protocol));
}

/* Returns: (host, port) or (host,), new; NULL where it is not known, or with an exception set. */
static PyObject *
pack_address(PyObject *host, PyObject *port)
{
    if (host == NULL) {
        return NULL;
    }
    return port != NULL ? PyTuple_Pack(2, host, port) : PyTuple_Pack(1, host);
}

PyObject *
wsgi_start(PyObject *module, PyObject *environ)
{
    PyObject *method = /* borrowed */
        PyDict_Check(environ) ? text_at(environ, str_request_method) : NULL;
    if (method == NULL) {
        PyErr_SetString(PyExc_KeyError, "an environ without REQUEST_METHOD");
        return NULL;
    }
    /* Owned. */
    PyObject *path = read_path(environ);
    PyObject *headers = path != NULL ? read_headers(environ) : NULL;
    PyObject *version = NULL, *server = NULL, *client = NULL;
    Request *request = NULL;
    if (headers == NULL) {
        goto error;
    }
    version = read_version(environ);
    server = pack_address(text_at(environ, str_server_name),
                          text_at(environ, str_server_port));
    client = pack_address(text_at(environ, str_remote_addr), NULL);
    if (PyErr_Occurred()) {
        goto error;
    }
    Incoming incoming = {
        .method = method,
        .path = path,
        .headers = headers,
        .scheme = text_at(environ, str_url_scheme),
        .query = text_at(environ, str_query_string),
        .version = version,
        .server = server,
        .client = client,
    };
    request = incoming_begin(&incoming);
error:
    Py_XDECREF(path);
    Py_XDECREF(headers);
    Py_XDECREF(version);
    Py_XDECREF(server);
    Py_XDECREF(client);
    return (PyObject *)request;
}

/* ---- The answer ------------------------------------------------------------------------- */

/* "404 Not Found": 404. Returns: 0 where it is no status, which is the server's to judge. */
static int
read_status(PyObject *status)
{
    int code = 0;
    for (Py_ssize_t i = 0; i < 3; i++) {
        Py_UCS4 digit = PyUnicode_Check(status) && PyUnicode_GET_LENGTH(status) > i
                            ? PyUnicode_ReadChar(status, i)
                            : 0;
        if (digit < '0' || digit > '9') {
            return 0;
        }
        code = code * 10 + (int)(digit - '0');
    }
    return code;
}

/* Returns: whether a header, (name, value), is the request's id. */
static bool
is_request_id(PyObject *header)
{
    PyObject *name = PyTuple_Check(header) && PyTuple_GET_SIZE(header) == 2
                         ? PyTuple_GET_ITEM(header, 0)
                         : NULL; /* borrowed */
    return name != NULL && PyUnicode_Check(name) && PyUnicode_IS_ASCII(name) &&
           NAME_IS(PyUnicode_DATA(name), PyUnicode_GET_LENGTH(name), HEADER);
}

/* Adds the request's id, where it is not there. Returns: 0, or -1 with an exception set. */
static int
add_request_id(PyObject *headers, const Request *request)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(headers); i++) {
        if (is_request_id(PyList_GET_ITEM(headers, i))) {
            return 0;
        }
    }
    PyObject *header = PyTuple_Pack(2, header_name, request->id); /* owned */
    int status = header != NULL ? PyList_Append(headers, header) : -1;
    Py_XDECREF(header);
    return status;
}

/* Returns: headers as pairs of bytes, names in lower case, new, or NULL with an exception set. */
static PyObject *
encode(PyObject *headers)
{
    PyObject *encoded = PyList_New(0);
    for (Py_ssize_t i = 0; encoded != NULL && i < PyList_GET_SIZE(headers); i++) {
        PyObject *name, *value; /* borrowed */
        PyObject *lower = NULL; /* owned */
        PyObject *bytes = NULL; /* owned */
        if (PyArg_ParseTuple(PyList_GET_ITEM(headers, i), "UU", &name, &value)) {
            lower = PyObject_CallMethod(name, "lower", NULL);
            bytes = lower != NULL ? PyUnicode_AsLatin1String(lower) : NULL;
        }
        if (bytes == NULL || append_header(encoded, bytes, value) < 0) {
            Py_CLEAR(encoded);
        }
        Py_XDECREF(bytes);
        Py_XDECREF(lower);
    }
    return encoded;
}

PyObject *
wsgi_headers_to_send(Answer *answer, const WSGIStart *start)
{
    /* Owned. */
    PyObject *headers = PyList_Check(start->headers)
                            ? PyList_GetSlice(start->headers, 0, PY_SSIZE_T_MAX)
                            : PyList_New(0);
    PyObject *recorded = NULL;
    if (headers == NULL ||
        (incoming_records_headers() && (recorded = encode(headers)) == NULL) ||
        answer_begin(answer, read_status(start->status),
                     recorded != NULL ? recorded : Py_None) < 0) {
        goto error;
    }
    if (start->exc_info != NULL && PyTuple_Check(start->exc_info) &&
        PyTuple_GET_SIZE(start->exc_info) == 3 &&
        answer_fail(answer, PyTuple_GET_ITEM(start->exc_info, 1)) < 0) {
        goto error;
    }
    if (add_request_id(headers, answer->request) < 0) {
        goto error;
    }
    if (!PyList_Check(start->headers)) { /* the server's to judge */
        Py_SETREF(headers, Py_NewRef(start->headers));
    }
    Py_XDECREF(recorded);
    return headers;
error:
    Py_XDECREF(recorded);
    Py_XDECREF(headers);
    return NULL;
}

int
wsgi_prepare(void)
{
    const Name names[] = {
        {&str_request_method, "REQUEST_METHOD"},
        {&str_script_name, "SCRIPT_NAME"},
        {&str_path_info, "PATH_INFO"},
        {&str_query_string, "QUERY_STRING"},
        {&str_server_protocol, "SERVER_PROTOCOL"},
        {&str_server_name, "SERVER_NAME"},
        {&str_server_port, "SERVER_PORT"},
        {&str_remote_addr, "REMOTE_ADDR"},
        {&str_url_scheme, "wsgi.url_scheme"},
        {&header_name, HEADER},
    };
    if (INTERN(names) < 0) {
        return -1;
    }
    for (int i = 0; i < KNOWN_COUNT; i++) {
        known_headers[i].interned = PyUnicode_InternFromString(known_headers[i].key);
        known_headers[i].bytes = PyBytes_FromString(known_headers[i].name);
        if (known_headers[i].interned == NULL || known_headers[i].bytes == NULL) {
            return -1;
        }
    }
    return 0;
}
