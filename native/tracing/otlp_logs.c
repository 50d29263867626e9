#include "otlp_logs.h"

void
otlp_write_log_record(Writer *self, const LogRecord *record)
{
    size_t mark = self->size;
    write_fixed64(self, 11, record->observed_time);
    if (record->span != NULL) {
        otlp_write_ids(self, 9, record->span);
        write_fixed32(self, 8, record->span->flags);
    }
    write_number(self, 7, record->attributes.dropped);
    otlp_write_attributes(self, 6, &record->attributes);
    size_t body = self->size;
    write_text(self, 1, record->body);
    write_message(self, 5, body);
    write_optional_text(self, 3, record->severity_text);
    write_number(self, 2, record->severity_number);
    write_fixed64(self, 1, record->time);
    write_message(self, 2, mark);
}
