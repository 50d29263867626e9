#include "names.h"

int
names_intern(const Name *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *names[i].place = PyUnicode_InternFromString(names[i].text);
        if (*names[i].place == NULL) {
            return -1;
        }
    }
    return 0;
}

bool
name_equals(const char *given, const char *lower, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (Py_TOLOWER(given[i]) != lower[i]) {
            return false;
        }
    }
    return true;
}
