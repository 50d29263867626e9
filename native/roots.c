#include "roots.h"
#include "callbacks.h"
#include "handles.h"
#include "records.h"
#include "resources.h"

Record *
record_of(PyObject *object)
{
    Record *record = records_find(object);
    if (record == NULL) {
        record = handles_record_of(object);
    }
    if (record == NULL) {
        record = resources_record_of(object);
    }
    if (record == NULL) {
        record = callbacks_record_of(object);
    }
    return record;
}

uint64_t
root_begin(void)
{
    uint64_t root = core.next_async_id++;
    if (execution_top != NULL) {
        execution_top->root = root;
        PyObject *resource = execution_top->resource; /* borrowed */
        Record *record = resource != NULL ? record_of(resource) : NULL;
        if (record != NULL) {
            record->root = root;
        }
    }
    return root;
}
