/* OTLP: log records. Field numbers are those of opentelemetry/proto/logs/v1/logs.proto. */

#ifndef ASYNCHOOKS_OTLP_LOGS_H
#define ASYNCHOOKS_OTLP_LOGS_H

#include "otlp.h"

/* A line of a log. All borrowed but what the attributes own. */
typedef struct LogRecord {
    const Identity *span;    /* that it was written in, or NULL */
    PyObject *severity_text; /* an exact str */
    PyObject *body;          /* an exact str */
    uint64_t time;           /* ns since the epoch, as the one below */
    uint64_t observed_time;
    uint32_t severity_number;
    Attributes attributes;
} LogRecord;

/* Writes the field of a ScopeLogs that is `record`. May run Python code: no. */
void otlp_write_log_record(Writer *self, const LogRecord *record);

#endif
