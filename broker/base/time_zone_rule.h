#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/*
 * What clocks of a zone do from some time on, year after year: what stands behind the table of a
 * compiled zone. Only time_zone.c needs it.
 */

enum time_zone_day {
    TIME_ZONE_DAY_OF_YEAR,   /* 1 to 365; 29 February is none of them */
    TIME_ZONE_DAY_FROM_ZERO, /* 0 to 365; 29 February is one of them */
    TIME_ZONE_DAY_OF_WEEK,   /* 0, Sunday, to 6: the `week`-th of its month, 5: the last */
};

/** When clocks are changed in a year, by what they show before. */
struct time_zone_change {
    enum time_zone_day kind;
    int32_t day;
    int32_t week;   /* 1 to 5 */
    int32_t month;  /* 1 to 12 */
    int32_t time_s; /* from the day's midnight: -167 to 167 hours */
};

struct time_zone_rule {
    int32_t standard_s; /* offset east of UTC */
    bool has_summer;    /* else the rest is not used */
    int32_t summer_s;   /* offset between `starts` and `ends` */
    struct time_zone_change starts;
    struct time_zone_change ends;
};

/**
 * Read a POSIX TZ string, "CET-1CEST,M3.5.0,M10.5.0/3". What POSIX leaves to the system (summer
 * time without a rule, a leading ':') is refused. `is_extended`: times of a change go from -167 to
 * 167 hours, as files of version 3 and later have them, not from 0 to 24.
 *
 * Source: POSIX.1-2024 8.3, RFC 9636 3.3
 */
bool time_zone_rule_parse(struct str text, bool is_extended, struct time_zone_rule *rule) MUST_USE;

/** Seconds east of UTC at a time; for any time. */
int32_t time_zone_rule_offset_s(const struct time_zone_rule *rule, int64_t time_s);

/** The earliest time after `time_s` at which the offset changes; INT64_MAX: none. */
int64_t time_zone_rule_next_change_s(const struct time_zone_rule *rule, int64_t time_s);
