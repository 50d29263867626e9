#include "span_export.h"
#include "export_buffer.h"
#include "sites.h"

/* Returns: whether a span that has ended says by itself where in the code it is from. */
static bool
names_its_code(const Span *span)
{
    return attributes_have_prefix(&span->attributes, "code.");
}

/* Returns: the scope, borrowed, or NULL. May run Python code: no. */
static PyObject *
encode(PyObject *record, Writer *writer)
{
    Span *span = (Span *)record;
    span->is_unwritten = false;
    PyObject *site = /* borrowed */
        names_its_code(span) ? NULL : site_known_attributes(span->site);
    otlp_write_span(writer, span, site);
    return span->scope;
}

static void
forget(PyObject *record)
{
    ((Span *)record)->is_unwritten = false;
}

static const RecordActs ACTS = {.encode = encode, .forget = forget};

void
span_export(Span *span)
{
    if (span_buffer == NULL || span->is_unwritten) {
        return;
    }
    ExportBuffer *buffer = (ExportBuffer *)Py_NewRef(span_buffer); /* owned */
    if (export_buffer_admit(buffer)) {
        site_learn_attributes(span->site);
        span->is_unwritten = true;
        export_buffer_put(buffer, (PyObject *)span, &ACTS);
    }
    Py_DECREF(buffer);
}
