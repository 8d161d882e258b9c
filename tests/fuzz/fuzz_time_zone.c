#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "base/time_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The offset holds up to the next change, and is another one from then on. */
static void check(const struct time_zone *zone, int64_t time_s)
{
    int32_t offset_s = time_zone_offset_s(zone, time_s);
    int64_t next_s = time_zone_next_change_s(zone, time_s);

    assert(offset_s > -26 * 3600 && offset_s < 26 * 3600);
    if (next_s == INT64_MAX)
        return;
    assert(next_s > time_s && time_zone_offset_s(zone, next_s) != offset_s);
    assert(time_zone_offset_s(zone, next_s - 1) == offset_s);
    assert(time_zone_offset_s(zone, time_s + (next_s - time_s) / 2) == offset_s);
}

/* A refusal says why; what is read has an answer for any time. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = { INT64_MIN,  -4000000000, -1,           0,
                                     1795341600, 20000000000, INT64_MAX - 1 };
    OWNED(time_zone_unref) struct time_zone *zone = NULL;
    struct error error = { 0 };
    bool is_read =
        time_zone_read(STR("Z"), (struct str){ (const char *)data, size }, &zone, &error);

    assert(is_read == (zone != NULL) && is_read == (error.code == ERROR_NONE));
    for (size_t i = 0; is_read && i < COUNT(times); i++)
        check(zone, times[i]);
    return 0;
}
