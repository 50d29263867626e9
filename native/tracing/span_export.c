#include "span_export.h"
#include "export_buffer.h"
#include "sites.h"

void
span_export(const Span *span)
{
    if (span_buffer == NULL) {
        return;
    }
    ExportBuffer *buffer = (ExportBuffer *)Py_NewRef(span_buffer); /* owned */
    if (export_buffer_admit(buffer)) {
        PyObject *attributes = NULL; /* borrowed */
        if (span->site != SITE_UNKNOWN &&
            !attributes_have_prefix(&span->attributes, "code.")) {
            attributes = site_attributes(span->site);
        }
        otlp_write_span(export_buffer_writer(), span, attributes);
        export_buffer_add(buffer, span->scope);
    }
    Py_DECREF(buffer);
}
