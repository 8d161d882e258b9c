#include "base/time_zone_rule.h"

#define HOUR_S 3600
#define DAY_S 86400
#define STD_TIME_S (2 * HOUR_S) /* of a change that does not say: 02:00:00 */
#define NAME_MIN 3

/*
 * The calendar, and so every rule, repeats after 400 years, which are whole weeks: 146,097 days. A
 * time is first brought into one such cycle, from 1970 to 2369, so that no time is too large.
 */
#define CYCLE_YEARS 400
#define CYCLE_S ((int64_t)146097 * DAY_S)
#define FIRST_YEAR 1970

/* ---- reading ---- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool take_byte(struct str *text, char byte)
{
    if (text->len == 0 || text->data[0] != byte)
        return false;
    *text = str_slice(*text, 1, text->len);
    return true;
}

static bool take_number(struct str *text, int32_t min, int32_t max, int32_t *out)
{
    int32_t number = 0;
    size_t len = 0;

    while (len < text->len && len < 3 && is_digit(text->data[len]))
        number = number * 10 + (text->data[len++] - '0');
    if (len == 0 || (len < text->len && is_digit(text->data[len])) || number < min || number > max)
        return false;
    *text = str_slice(*text, len, text->len);
    *out = number;
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct str *text, bool may_be_signed, int32_t hours_max, int32_t *seconds)
{
    bool is_negative = may_be_signed && take_byte(text, '-');
    int32_t hours;
    int32_t minutes = 0;
    int32_t rest = 0;

    if (may_be_signed && !is_negative)
        (void)take_byte(text, '+');
    if (!take_number(text, 0, hours_max, &hours))
        return false;
    if (take_byte(text, ':') && (!take_number(text, 0, 59, &minutes) ||
                                 (take_byte(text, ':') && !take_number(text, 0, 59, &rest))))
        return false;
    *seconds = hours * HOUR_S + minutes * 60 + rest;
    if (is_negative)
        *seconds = -*seconds;
    return true;
}

/* What zones are called by their clocks is not used, but has to be there: letters, or <...>. */
static bool take_name(struct str *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const char quoted[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-";
    bool is_quoted = take_byte(text, '<');
    size_t len = 0;

    while (len < text->len &&
           str_is_made_of(str_slice(*text, len, 1), is_quoted ? quoted : letters))
        len++;
    *text = str_slice(*text, len, text->len);
    return len >= NAME_MIN && (!is_quoted || take_byte(text, '>'));
}

/* An offset counts west of Greenwich. */
static bool take_offset(struct str *text, int32_t *east_s)
{
    int32_t west_s;

    if (!take_time(text, true, 24, &west_s))
        return false;
    *east_s = -west_s;
    return true;
}

static bool take_day(struct str *text, struct time_zone_change *change)
{
    if (take_byte(text, 'J')) {
        change->kind = TIME_ZONE_DAY_OF_YEAR;
        return take_number(text, 1, 365, &change->day);
    }
    if (take_byte(text, 'M')) {
        change->kind = TIME_ZONE_DAY_OF_WEEK;
        return take_number(text, 1, 12, &change->month) && take_byte(text, '.') &&
               take_number(text, 1, 5, &change->week) && take_byte(text, '.') &&
               take_number(text, 0, 6, &change->day);
    }
    change->kind = TIME_ZONE_DAY_FROM_ZERO;
    return take_number(text, 0, 365, &change->day);
}

static bool take_change(struct str *text, bool is_extended, struct time_zone_change *change)
{
    change->time_s = STD_TIME_S;
    if (!take_byte(text, ',') || !take_day(text, change))
        return false;
    return !take_byte(text, '/') ||
           take_time(text, is_extended, is_extended ? 167 : 24, &change->time_s);
}

bool time_zone_rule_parse(struct str text, bool is_extended, struct time_zone_rule *rule)
{
    *rule = (struct time_zone_rule){ 0 };
    if (!take_name(&text) || !take_offset(&text, &rule->standard_s))
        return false;
    if (text.len == 0)
        return true;
    rule->has_summer = true;
    rule->summer_s = rule->standard_s + HOUR_S;
    if (!take_name(&text))
        return false;
    if (text.len > 0 && text.data[0] != ',' && !take_offset(&text, &rule->summer_s))
        return false;
    return take_change(&text, is_extended, &rule->starts) &&
           take_change(&text, is_extended, &rule->ends) && text.len == 0;
}

/* ---- the calendar ---- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of a year; years of our cycle and their neighbours only. */
static int64_t first_day(int64_t year)
{
    int64_t before = year - 1;

    return 365 * (year - FIRST_YEAR) + (before / 4 - before / 100 + before / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static int64_t days_before_month(int64_t year, int32_t month)
{
    static const int16_t days[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };

    return days[month - 1] + (month > 2 && is_leap(year) ? 1 : 0);
}

/* The year that a day is in. */
static int64_t year_of(int64_t day)
{
    int64_t year = FIRST_YEAR + day / 366; /* not too late */

    while (first_day(year + 1) <= day)
        year++;
    return year;
}

/* The day of a year at which a change is, from 0. */
static int64_t day_of_change(const struct time_zone_change *change, int64_t year)
{
    int64_t first;
    int64_t next;
    int64_t day;

    if (change->kind == TIME_ZONE_DAY_FROM_ZERO)
        return change->day;
    if (change->kind == TIME_ZONE_DAY_OF_YEAR)
        return change->day - 1 + (change->day > 59 && is_leap(year) ? 1 : 0);
    first = days_before_month(year, change->month);
    next = change->month == 12 ? 365 + is_leap(year) : days_before_month(year, change->month + 1);
    /* 1970-01-01 was a Thursday, day 4. The first such day of the week that is not before it: */
    day = first + (change->day - (first_day(year) + first + 4) % 7 + 7) % 7;
    day += (int64_t)7 * (change->week - 1);
    return day < next ? day : day - 7;
}

/* When a change is, where clocks before it show `offset_s`. */
static int64_t time_of(const struct time_zone_change *change, int64_t year, int32_t offset_s)
{
    return (first_day(year) + day_of_change(change, year)) * DAY_S + change->time_s - offset_s;
}

static int64_t start_of(const struct time_zone_rule *rule, int64_t year)
{
    return time_of(&rule->starts, year, rule->standard_s);
}

static int64_t end_of(const struct time_zone_rule *rule, int64_t year)
{
    return time_of(&rule->ends, year, rule->summer_s);
}

/* ---- asking ---- */

static int64_t into_cycle(int64_t time_s)
{
    int64_t within_s = time_s % CYCLE_S;

    return within_s < 0 ? within_s + CYCLE_S : within_s;
}

/*
 * The last change decides: one of this year or of the two before, since a change can be a week
 * before or after its year. Where both come at once summer begins: all of the year is summer then.
 */
static int32_t offset_within(const struct time_zone_rule *rule, int64_t time_s)
{
    int64_t year = year_of(time_s / DAY_S);
    int64_t start_s = INT64_MIN;
    int64_t end_s = INT64_MIN;

    for (int64_t of = year - 2; of <= year + 1; of++) {
        int64_t start_of_s = start_of(rule, of);
        int64_t end_of_s = end_of(rule, of);

        if (start_of_s <= time_s && start_of_s > start_s)
            start_s = start_of_s;
        if (end_of_s <= time_s && end_of_s > end_s)
            end_s = end_of_s;
    }
    return start_s >= end_s ? rule->summer_s : rule->standard_s;
}

int32_t time_zone_rule_offset_s(const struct time_zone_rule *rule, int64_t time_s)
{
    if (!rule->has_summer || rule->summer_s == rule->standard_s)
        return rule->standard_s;
    return offset_within(rule, into_cycle(time_s));
}

/* Whether the offset is another one from a time on; the time is of our cycle, or a little past. */
static bool is_change(const struct time_zone_rule *rule, int64_t time_s)
{
    return time_zone_rule_offset_s(rule, time_s) != time_zone_rule_offset_s(rule, time_s - 1);
}

int64_t time_zone_rule_next_change_s(const struct time_zone_rule *rule, int64_t time_s)
{
    int64_t within_s = into_cycle(time_s);
    int64_t year = year_of(within_s / DAY_S);
    int64_t next_s = INT64_MAX;
    int64_t last_year = year + CYCLE_YEARS + 1;

    if (!rule->has_summer || rule->summer_s == rule->standard_s)
        return INT64_MAX;
    for (int64_t of = year - 1; of <= last_year; of++) {
        const int64_t changes[] = { start_of(rule, of), end_of(rule, of) };

        for (size_t i = 0; i < COUNT(changes); i++) {
            if (changes[i] <= within_s || changes[i] >= next_s || !is_change(rule, changes[i]))
                continue;
            next_s = changes[i];
            last_year = of + 1; /* whose first can be before this one's last */
        }
    }
    if (next_s == INT64_MAX || __builtin_add_overflow(time_s, next_s - within_s, &next_s))
        return INT64_MAX;
    return next_s;
}
