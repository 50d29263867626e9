#include "otlp_json.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- What messages look like --------------------------------------------------------- */

typedef enum Form {
    FORM_TEXT,
    FORM_HEX,
    FORM_BASE64,
    FORM_BOOL,
    FORM_NUMBER,   /* of 32 bits */
    FORM_SIGNED,   /* of 64 bits */
    FORM_UNSIGNED, /* of 64 bits */
    FORM_DOUBLE,
    FORM_MESSAGE,
    FORM_MESSAGES, /* any number of them, one after the other */
} Form;

struct Message;

typedef struct Field {
    const char *name; /* NULL: there is no such field */
    Form form;
    const struct Message *message;
} Field;

#define MAXIMUM_FIELD 16
/* Of messages in each other. What otlp.c writes is less deep. */
#define MAXIMUM_DEPTH 100

typedef struct Message {
    Field fields[MAXIMUM_FIELD + 1]; /* by number */
} Message;

static const Message ARRAY, KEY_VALUE_LIST;

static const Message ANY_VALUE = {{
    [1] = {"stringValue", FORM_TEXT, NULL},
    [2] = {"boolValue", FORM_BOOL, NULL},
    [3] = {"intValue", FORM_SIGNED, NULL},
    [4] = {"doubleValue", FORM_DOUBLE, NULL},
    [5] = {"arrayValue", FORM_MESSAGE, &ARRAY},
    [6] = {"kvlistValue", FORM_MESSAGE, &KEY_VALUE_LIST},
    [7] = {"bytesValue", FORM_BASE64, NULL},
}};
static const Message ARRAY = {{[1] = {"values", FORM_MESSAGES, &ANY_VALUE}}};
static const Message KEY_VALUE = {{
    [1] = {"key", FORM_TEXT, NULL},
    [2] = {"value", FORM_MESSAGE, &ANY_VALUE},
}};
static const Message KEY_VALUE_LIST = {{[1] = {"values", FORM_MESSAGES, &KEY_VALUE}}};
static const Message STATUS = {{
    [2] = {"message", FORM_TEXT, NULL},
    [3] = {"code", FORM_NUMBER, NULL},
}};
static const Message EVENT = {{
    [1] = {"timeUnixNano", FORM_UNSIGNED, NULL},
    [2] = {"name", FORM_TEXT, NULL},
    [3] = {"attributes", FORM_MESSAGES, &KEY_VALUE},
    [4] = {"droppedAttributesCount", FORM_NUMBER, NULL},
}};
static const Message LINK = {{
    [1] = {"traceId", FORM_HEX, NULL},
    [2] = {"spanId", FORM_HEX, NULL},
    [3] = {"traceState", FORM_TEXT, NULL},
    [4] = {"attributes", FORM_MESSAGES, &KEY_VALUE},
    [5] = {"droppedAttributesCount", FORM_NUMBER, NULL},
    [6] = {"flags", FORM_NUMBER, NULL},
}};
static const Message SPAN = {{
    [1] = {"traceId", FORM_HEX, NULL},
    [2] = {"spanId", FORM_HEX, NULL},
    [3] = {"traceState", FORM_TEXT, NULL},
    [4] = {"parentSpanId", FORM_HEX, NULL},
    [5] = {"name", FORM_TEXT, NULL},
    [6] = {"kind", FORM_NUMBER, NULL},
    [7] = {"startTimeUnixNano", FORM_UNSIGNED, NULL},
    [8] = {"endTimeUnixNano", FORM_UNSIGNED, NULL},
    [9] = {"attributes", FORM_MESSAGES, &KEY_VALUE},
    [10] = {"droppedAttributesCount", FORM_NUMBER, NULL},
    [11] = {"events", FORM_MESSAGES, &EVENT},
    [12] = {"droppedEventsCount", FORM_NUMBER, NULL},
    [13] = {"links", FORM_MESSAGES, &LINK},
    [14] = {"droppedLinksCount", FORM_NUMBER, NULL},
    [15] = {"status", FORM_MESSAGE, &STATUS},
    [16] = {"flags", FORM_NUMBER, NULL},
}};
static const Message SCOPE = {{
    [1] = {"name", FORM_TEXT, NULL},
    [2] = {"version", FORM_TEXT, NULL},
    [3] = {"attributes", FORM_MESSAGES, &KEY_VALUE},
}};
static const Message SCOPE_SPANS = {{
    [1] = {"scope", FORM_MESSAGE, &SCOPE},
    [2] = {"spans", FORM_MESSAGES, &SPAN},
    [3] = {"schemaUrl", FORM_TEXT, NULL},
}};
static const Message RESOURCE = {{[1] = {"attributes", FORM_MESSAGES, &KEY_VALUE}}};
static const Message RESOURCE_SPANS = {{
    [1] = {"resource", FORM_MESSAGE, &RESOURCE},
    [2] = {"scopeSpans", FORM_MESSAGES, &SCOPE_SPANS},
}};
static const Message TRACES = {{[1] = {"resourceSpans", FORM_MESSAGES, &RESOURCE_SPANS}}};
static const Message LOG_RECORD = {{
    [1] = {"timeUnixNano", FORM_UNSIGNED, NULL},
    [2] = {"severityNumber", FORM_NUMBER, NULL},
    [3] = {"severityText", FORM_TEXT, NULL},
    [5] = {"body", FORM_MESSAGE, &ANY_VALUE},
    [6] = {"attributes", FORM_MESSAGES, &KEY_VALUE},
    [7] = {"droppedAttributesCount", FORM_NUMBER, NULL},
    [8] = {"flags", FORM_NUMBER, NULL},
    [9] = {"traceId", FORM_HEX, NULL},
    [10] = {"spanId", FORM_HEX, NULL},
    [11] = {"observedTimeUnixNano", FORM_UNSIGNED, NULL},
}};
static const Message SCOPE_LOGS = {{
    [1] = {"scope", FORM_MESSAGE, &SCOPE},
    [2] = {"logRecords", FORM_MESSAGES, &LOG_RECORD},
    [3] = {"schemaUrl", FORM_TEXT, NULL},
}};
static const Message RESOURCE_LOGS = {{
    [1] = {"resource", FORM_MESSAGE, &RESOURCE},
    [2] = {"scopeLogs", FORM_MESSAGES, &SCOPE_LOGS},
}};
static const Message LOGS = {{[1] = {"resourceLogs", FORM_MESSAGES, &RESOURCE_LOGS}}};

/* ---- Reading protobuf ----------------------------------------------------------------- */

typedef struct Input {
    const uint8_t *place;
    const uint8_t *end;
} Input;

/* One field: a number, or the bytes of what has a length. */
typedef struct Value {
    unsigned field;
    uint64_t number;
    Input bytes;
} Value;

static bool
read_varint(Input *input, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && input->place < input->end; shift += 7) {
        uint8_t byte = *input->place++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static bool
read_fixed(Input *input, size_t size, uint64_t *value)
{
    if ((size_t)(input->end - input->place) < size) {
        return false;
    }
    *value = 0;
    for (size_t i = size; i-- > 0;) {
        *value = *value << 8 | input->place[i];
    }
    input->place += size;
    return true;
}

static bool
read_value(Input *input, Value *value)
{
    uint64_t tag, length;
    *value = (Value){0};
    if (!read_varint(input, &tag)) {
        return false;
    }
    value->field = tag >> 3 <= MAXIMUM_FIELD ? (unsigned)(tag >> 3) : 0;
    switch (tag & 7) {
    case 0:
        return read_varint(input, &value->number);
    case 1:
        return read_fixed(input, 8, &value->number);
    case 5:
        return read_fixed(input, 4, &value->number);
    case 2:
        if (!read_varint(input, &length) ||
            length > (uint64_t)(input->end - input->place)) {
            return false;
        }
        value->bytes = (Input){input->place, input->place + length};
        input->place += length;
        return true;
    default:
        return false;
    }
}

/* ---- Writing JSON ---------------------------------------------------------------------- */

typedef struct Output {
    char *buffer; /* owned */
    size_t size;
    size_t capacity;
    bool has_failed; /* memory was short: what is there is of no use */
} Output;

/* Returns: room for `count` bytes, which are written from then on, or NULL. */
static char *
claim(Output *output, size_t count)
{
    if (output->capacity - output->size < count) {
        size_t capacity = output->capacity > 0 ? output->capacity : 4096;
        while (capacity - output->size < count) {
            capacity *= 2;
        }
        char *buffer = PyMem_Realloc(output->buffer, capacity);
        if (buffer == NULL) {
            output->has_failed = true;
            return NULL;
        }
        output->buffer = buffer;
        output->capacity = capacity;
    }
    char *place = output->buffer + output->size;
    output->size += count;
    return place;
}

static void
put(Output *output, const char *text, size_t size)
{
    char *place = claim(output, size);
    if (place != NULL) {
        memcpy(place, text, size);
    }
}

static void
put_text(Output *output, const char *text)
{
    put(output, text, strlen(text));
}

static void
put_character(Output *output, char character)
{
    put(output, &character, 1);
}

static void
put_string(Output *output, Input text)
{
    put_character(output, '"');
    while (text.place < text.end) {
        const uint8_t *from = text.place;
        while (text.place < text.end && *text.place >= 0x20 && *text.place != '"' &&
               *text.place != '\\') {
            text.place++;
        }
        put(output, (const char *)from, (size_t)(text.place - from));
        if (text.place < text.end) {
            char escaped[7];
            (void)PyOS_snprintf(escaped, sizeof(escaped), "\\u%04x", *text.place++);
            put(output, escaped, 6);
        }
    }
    put_character(output, '"');
}

static void
put_hex(Output *output, Input bytes)
{
    put_character(output, '"');
    while (bytes.place < bytes.end) {
        uint8_t byte = *bytes.place++;
        put_character(output, "0123456789abcdef"[byte >> 4]);
        put_character(output, "0123456789abcdef"[byte & 15]);
    }
    put_character(output, '"');
}

static void
put_base64(Output *output, Input bytes)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    put_character(output, '"');
    while (bytes.place < bytes.end) {
        size_t count = (size_t)(bytes.end - bytes.place);
        count = count < 3 ? count : 3;
        uint32_t group = 0;
        for (size_t i = 0; i < 3; i++) {
            group = group << 8 | (i < count ? bytes.place[i] : 0);
        }
        bytes.place += count;
        for (size_t i = 0; i < 4; i++) {
            char digit = digits[group >> (18 - 6 * i) & 63];
            put_character(output, i <= count ? digit : '=');
        }
    }
    put_character(output, '"');
}

static void
put_number(Output *output, const char *format, uint64_t number)
{
    char text[32];
    (void)PyOS_snprintf(text, sizeof(text), format, (unsigned long long)number);
    put_text(output, text);
}

static void
put_double(Output *output, uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof(number));
    if (number != number) {
        put_text(output, "\"NaN\"");
    } else if (number - number != 0) {
        put_text(output, number > 0 ? "\"Infinity\"" : "\"-Infinity\"");
    } else {
        char *text = PyOS_double_to_string(number, 'r', 0, Py_DTSF_ADD_DOT_0, NULL);
        if (text == NULL) {
            PyErr_Clear();
            output->has_failed = true;
            return;
        }
        put_text(output, text);
        PyMem_Free(text);
    }
}

/* ---- From one to the other -------------------------------------------------------------- */

static bool put_message(Output *output, Input input, const Message *message, int depth);

static bool
put_value(Output *output, const Value *value, const Field *field, int depth)
{
    switch (field->form) {
    case FORM_TEXT:
        put_string(output, value->bytes);
        return true;
    case FORM_HEX:
        put_hex(output, value->bytes);
        return true;
    case FORM_BASE64:
        put_base64(output, value->bytes);
        return true;
    case FORM_BOOL:
        put_text(output, value->number != 0 ? "true" : "false");
        return true;
    case FORM_NUMBER:
        put_number(output, "%llu", value->number);
        return true;
    case FORM_SIGNED:
        put_number(output, "\"%lld\"", value->number);
        return true;
    case FORM_UNSIGNED:
        put_number(output, "\"%llu\"", value->number);
        return true;
    case FORM_DOUBLE:
        put_double(output, value->number);
        return true;
    default:
        return put_message(output, value->bytes, field->message, depth + 1);
    }
}

/* Returns: false where the message is none, or has a field that otlp.c does not write. */
static bool
put_message(Output *output, Input input, const Message *message, int depth)
{
    unsigned open = 0; /* the field whose list is not closed yet */
    bool is_first = true;
    put_character(output, '{');
    while (input.place < input.end) {
        Value value;
        if (depth > MAXIMUM_DEPTH || !read_value(&input, &value) ||
            message->fields[value.field].name == NULL) {
            return false;
        }
        const Field *field = &message->fields[value.field];
        if (open == value.field) {
            put_character(output, ',');
        } else {
            put_text(output, open != 0 ? "]," : is_first ? "" : ",");
            put_character(output, '"');
            put_text(output, field->name);
            put_text(output, field->form == FORM_MESSAGES ? "\":[" : "\":");
            open = field->form == FORM_MESSAGES ? value.field : 0;
        }
        is_first = false;
        if (!put_value(output, &value, field, depth)) {
            return false;
        }
    }
    put_text(output, open != 0 ? "]}" : "}");
    return true;
}

PyObject *
otlp_json_of_request(PyObject *module, PyObject *args)
{
    /* Borrowed. */
    PyObject *request;
    const char *signal = "traces";
    if (!PyArg_ParseTuple(args, "O!|s:request_as_json", &PyBytes_Type, &request,
                          &signal)) {
        return NULL;
    }
    bool is_of_logs = strcmp(signal, "logs") == 0;
    if (!is_of_logs && strcmp(signal, "traces") != 0) {
        PyErr_Format(PyExc_ValueError, "signal is '%s', expected 'traces' or 'logs'",
                     signal);
        return NULL;
    }
    const uint8_t *bytes = (const uint8_t *)PyBytes_AS_STRING(request);
    Input input = {bytes, bytes + PyBytes_GET_SIZE(request)};
    Output output = {0};
    PyObject *result = NULL;
    if (!put_message(&output, input, is_of_logs ? &LOGS : &TRACES, 0)) {
        PyErr_SetString(PyExc_ValueError, "this is no request that the core has written");
    } else if (output.has_failed) {
        (void)PyErr_NoMemory();
    } else {
        result = PyBytes_FromStringAndSize(output.buffer, (Py_ssize_t)output.size);
    }
    PyMem_Free(output.buffer);
    return result;
}
