#include <inttypes.h>

#include "tests/test.h"
#include "upstream/cache_control_internal.h"

struct row {
    const char *value;
    int64_t max_age_s;
};

static const struct row rows[] = {
    { "", -1 },
    { "public", -1 },
    { "max-age", -1 },
    { "max-age=", -1 },
    { "max-age=-5", -1 },
    { "max-age=abc", -1 },
    { "max-age=5x", -1 },
    { "max-age=99999999999999999999", -1 },
    { "x-max-age=5", -1 },
    { "max-age=0", 0 },
    { "max-age=600", 600 },
    { "MAX-AGE=600", 600 },
    { "max-age=\"600\"", 600 },
    { "public, max-age=3600, must-revalidate", 3600 },
    { "public,max-age=3600", 3600 },
    { "max-age=600, max-age=60", 60 },
    { "no-store", 0 },
    { "No-Cache, max-age=600", 0 },
    { ", ,max-age=7,", 7 },
};

static void a_value_gives_its_least_lifetime(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (cache_control_max_age_s(str_from(rows[i].value)) != rows[i].max_age_s)
            fail_msg("\"%s\" is not %" PRId64 " s", rows[i].value, rows[i].max_age_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_gives_its_least_lifetime),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
