#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/time_zone.h"

/*
 * print_offsets FOLDER: for each line "ZONE TIME" of the input a line "OFFSET NEXT_CHANGE", or
 * "refused CAUSE". tests/integration/test_time_zones holds it against another implementation.
 */

#define LINE_MAX_BYTES 256

static bool load(const char *folder, struct str name, struct time_zone **zone)
{
    struct error error = { 0 };

    if (*zone != NULL && str_eq(time_zone_name(*zone), name))
        return true;
    time_zone_unref(TAKE(*zone));
    if (time_zone_load(folder, name, zone, &error))
        return true;
    (void)printf("refused %s\n", error.cause);
    return false;
}

int main(int argc, char **argv)
{
    OWNED(time_zone_unref) struct time_zone *zone = NULL;
    char line[LINE_MAX_BYTES];

    if (argc != 2)
        return EXIT_FAILURE;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct str name;
        struct str rest;
        int64_t time_s;

        (void)str_cut(str_trim(str_from(line)), ' ', &name, &rest);
        if (!str_to_int64(rest, &time_s))
            return EXIT_FAILURE;
        if (load(argv[1], name, &zone))
            (void)printf("%" PRId32 " %" PRId64 "\n", time_zone_offset_s(zone, time_s),
                         time_zone_next_change_s(zone, time_s));
    }
    return EXIT_SUCCESS;
}
