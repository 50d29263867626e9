#include "log_export.h"
#include "clock.h"
#include "export_buffer.h"
#include "otlp_logs.h"

enum { SPAN, SCOPE, TIMESTAMP, SEVERITY_NUMBER, SEVERITY_TEXT, BODY, ATTRIBUTES, COUNT };

/* What an exporter's own thread logs would make it export again, for ever. */
static bool
is_on(void)
{
    return log_buffer != NULL && !export_buffers_own_thread();
}

PyObject *
log_export_is_on(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(is_on());
}

/* Reads the arguments into `record`, whose texts are owned from then on. Returns: 0, or -1 with
   an exception set. */
static int
read_arguments(LogRecord *record, PyObject *const *args)
{
    if ((args[SPAN] != Py_None && !span_check(args[SPAN])) ||
        (args[SCOPE] != Py_None && !PyBytes_CheckExact(args[SCOPE]))) {
        PyErr_Format(PyExc_TypeError,
                     "expected a Span or None and a scope or None, got %R and %R",
                     args[SPAN], args[SCOPE]);
        return -1;
    }
    record->span = args[SPAN] != Py_None ? &((const Span *)args[SPAN])->identity : NULL;
    record->time = PyLong_AsUnsignedLongLong(args[TIMESTAMP]);
    if (record->time == (uint64_t)-1 && PyErr_Occurred()) {
        return -1;
    }
    unsigned long severity = PyLong_AsUnsignedLong(args[SEVERITY_NUMBER]);
    if (severity == (unsigned long)-1 && PyErr_Occurred()) {
        return -1;
    }
    record->severity_number = (uint32_t)severity;
    record->severity_text = short_text_of(args[SEVERITY_TEXT]);
    record->body = record->severity_text != NULL ? short_text_of(args[BODY]) : NULL;
    if (record->body == NULL) {
        return -1;
    }
    return attributes_update(&record->attributes, args[ATTRIBUTES],
                             span_limits.log_attributes);
}

PyObject *
log_export(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != COUNT) {
        PyErr_Format(PyExc_TypeError, "expected %d arguments, got %zd", COUNT, nargs);
        return NULL;
    }
    if (!is_on()) {
        Py_RETURN_NONE;
    }
    ExportBuffer *buffer = (ExportBuffer *)Py_NewRef(log_buffer); /* owned */
    LogRecord record = {0};
    PyObject *result = NULL;
    if (read_arguments(&record, args) < 0) {
        goto error;
    }
    if (export_buffer_admit(buffer)) {
        record.observed_time = clock_realtime_ns();
        otlp_write_log_record(export_buffer_writer(), &record);
        export_buffer_add(buffer, args[SCOPE] != Py_None ? args[SCOPE] : NULL);
    }
    result = Py_NewRef(Py_None);
error:
    attributes_clear(&record.attributes);
    Py_XDECREF(record.body);
    Py_XDECREF(record.severity_text);
    Py_DECREF(buffer);
    return result;
}
