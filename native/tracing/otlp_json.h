/* OTLP/JSON of what otlp.c writes: ids are hexadecimal, 64-bit numbers are strings, enumerations are
   numbers. Field numbers and names are those of opentelemetry/proto/{trace,logs}/v1. */

#ifndef ASYNCHOOKS_OTLP_JSON_H
#define ASYNCHOOKS_OTLP_JSON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Python's function: see module.c. Returns: the JSON of an ExportTraceServiceRequest or
   ExportLogsServiceRequest, bytes, new, or NULL with an exception set. May run Python code: no. */
PyObject *otlp_json_of_request(PyObject *module, PyObject *args);

#endif
