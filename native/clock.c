#include "core.h"

#include <stdio.h>
#include <string.h>

bool clock_is_counter = false;
static uint64_t first_ticks;
static uint64_t first_ns;

/* Returns: whether the kernel keeps time by the counter, which it does only where that
   runs at one rate, on all processors alike. */
static bool
kernel_trusts_counter(void)
{
    FILE *file =
        fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
    if (file == NULL) {
        return false;
    }
    char name[16] = "";
    bool is_read = fgets(name, sizeof(name), file) != NULL;
    (void)fclose(file);
    return is_read && strcmp(name, "tsc\n") == 0;
}

void
clock_prepare(void)
{
    clock_is_counter = CLOCK_HAS_COUNTER && kernel_trusts_counter();
    first_ns = clock_monotonic_ns();
    first_ticks = clock_ticks();
}

double
clock_ns_per_tick(void)
{
    if (!clock_is_counter) {
        return 1.0;
    }
    uint64_t ns = clock_monotonic_ns() - first_ns;
    uint64_t ticks = clock_ticks() - first_ticks;
    return ticks > 0 ? (double)ns / (double)ticks : 1.0;
}
