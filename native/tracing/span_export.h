/* From a span that has ended to its bytes in the buffer of spans. */

#ifndef ASYNCHOOKS_SPAN_EXPORT_H
#define ASYNCHOOKS_SPAN_EXPORT_H

#include "spans.h"

/* Hands `span`, which has ended, to the buffer of spans, where there is one. Sets no exception. May
   run Python code: yes. */
void span_export(Span *span);

#endif
