/* The attributes of creation sites, encoded once: many spans are started by one line. */

#include "otlp.h"
#include "sites.h"

static PyObject *describer = NULL; /* owned */
/* By number; owned: bytes, or NULL where nobody has asked yet. */
static PyObject **encoded = NULL;
static uint32_t encoded_count = 0;

void
sites_set_describer(PyObject *function)
{
    Py_XSETREF(describer, Py_XNewRef(function));
}

/* Returns: new, or NULL with an exception set. */
static PyObject *
encode(uint16_t site)
{
    /* Owned. */
    PyObject *description = site_describe(site);
    PyObject *dict = NULL;
    PyObject *bytes = NULL;
    Attributes attributes = {0};
    Writer writer = {0};
    if (description != NULL) {
        dict = PyObject_CallOneArg(describer, description);
    }
    if (dict == NULL || attributes_update(&attributes, dict, UINT32_MAX) < 0) {
        goto error;
    }
    otlp_write_attributes(&writer, OTLP_SPAN_ATTRIBUTES, &attributes);
    if (writer.has_failed) {
        (void)PyErr_NoMemory();
        goto error;
    }
    bytes = PyBytes_FromStringAndSize(writer_bytes(&writer), (Py_ssize_t)writer.size);
error:
    writer_free(&writer);
    attributes_clear(&attributes);
    Py_XDECREF(dict);
    Py_XDECREF(description);
    return bytes;
}

/* Makes room for `site`. Returns: 0, or -1 where memory is short. */
static int
make_room(uint16_t site)
{
    uint32_t count = encoded_count > 0 ? encoded_count : 256;
    while (count <= site) {
        count *= 2;
    }
    PyObject **grown = PyMem_RawRealloc(encoded, count * sizeof(PyObject *));
    if (grown == NULL) {
        return -1;
    }
    for (uint32_t i = encoded_count; i < count; i++) {
        grown[i] = NULL;
    }
    encoded = grown;
    encoded_count = count;
    return 0;
}

PyObject *
site_known_attributes(uint16_t site)
{
    return site < encoded_count ? encoded[site] : NULL;
}

void
site_learn_attributes(uint16_t site)
{
    if (site == SITE_UNKNOWN || describer == NULL ||
        site_known_attributes(site) != NULL) {
        return;
    }
    PyObject *bytes = encode(site); /* owned */
    if (bytes == NULL) {
        PyErr_Clear(); /* memory is short: the span goes without, this time */
        return;
    }
    if (site >= encoded_count && make_room(site) < 0) {
        Py_DECREF(bytes);
    } else if (encoded[site] == NULL) { /* still: encoding may have run Python code */
        encoded[site] = bytes;
    } else {
        Py_DECREF(bytes);
    }
}
