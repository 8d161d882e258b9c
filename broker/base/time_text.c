#include "base/time_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define MS_PER_S 1000
#define S_PER_DAY 86400
#define DAYS_PER_ERA 146097 /* 400 years, after which the calendar repeats */
#define YEAR_MIN 1970
#define YEAR_MAX 9999
#define WALL_S_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

/*
 * A date of the proleptic Gregorian calendar. The library's gmtime_r() takes a lock for the time
 * zone, which UTC has no use for.
 */
struct date {
    int64_t year;
    int64_t month; /* 1 to 12 */
    int64_t day;   /* 1 to 31 */
};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t days_of_month(int64_t year, int64_t month)
{
    static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

    assert(month >= 1 && month <= 12); /* what reads a month checks it */
    return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

/* Days from 1970-01-01 to the first day of `year`. */
static int64_t days_before_year(int64_t year)
{
    int64_t past = year - 1;

    return past * 365 + past / 4 - past / 100 + past / 400 - 719162;
}

static int64_t days_of_date(const struct date *date)
{
    int64_t days = days_before_year(date->year) + date->day - 1;

    for (int64_t month = 1; month < date->month; month++)
        days += days_of_month(date->year, month);
    return days;
}

/* The date of a day from 1970 on. */
static struct date date_of_days(int64_t days)
{
    /* exact or one year ahead: the average year is a little longer than most */
    struct date date = { YEAR_MIN + days * 400 / DAYS_PER_ERA + 1, 1, 1 };

    while (days_before_year(date.year) > days)
        date.year--;
    days -= days_before_year(date.year);
    while (date.month < 12 && days >= days_of_month(date.year, date.month)) {
        days -= days_of_month(date.year, date.month);
        date.month++;
    }
    date.day = days + 1;
    return date;
}

/* Write `value` with `width` digits; returns where the next character goes. */
static char *put_digits(char *out, int64_t value, size_t width)
{
    for (size_t i = width; i > 0; i--) {
        out[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + width;
}

static char *put_separated(char *out, char separator, int64_t value)
{
    *out = separator;
    return put_digits(out + 1, value, 2);
}

/* "2026-11-22T10:00:00" */
static char *put_seconds(char *out, int64_t wall_s)
{
    struct date date = date_of_days(wall_s / S_PER_DAY);
    int64_t second = wall_s % S_PER_DAY;

    out = put_digits(out, date.year, 4);
    out = put_separated(out, '-', date.month);
    out = put_separated(out, '-', date.day);
    out = put_separated(out, 'T', second / 3600);
    out = put_separated(out, ':', second / 60 % 60);
    return put_separated(out, ':', second % 60);
}

static int64_t clamp(int64_t value, int64_t max)
{
    if (value < 0)
        return 0;
    return value > max ? max : value;
}

void time_text_ms(int64_t wall_ms, char out[TIME_TEXT_MS_LEN + 1])
{
    int64_t clamped = clamp(wall_ms, WALL_S_MAX * MS_PER_S + MS_PER_S - 1);
    char *end = put_seconds(out, clamped / MS_PER_S);

    *end++ = '.';
    end = put_digits(end, clamped % MS_PER_S, 3);
    *end++ = 'Z';
    *end = '\0';
}

void time_text_s(int64_t wall_s, char out[TIME_TEXT_S_LEN + 1])
{
    char *end = put_seconds(out, clamp(wall_s, WALL_S_MAX));

    *end++ = 'Z';
    *end = '\0';
}

/* A field of a time: so many digits, behind `before` (NUL for none), in its range. */
struct field {
    char before;
    uint8_t digits;
    int16_t min;
    int16_t max;
};

enum {
    FIELD_YEAR,
    FIELD_MONTH,
    FIELD_DAY,
    FIELD_HOUR,
    FIELD_MINUTE,
    FIELD_SECOND,
    FIELD_MS,
    FIELDS
};

static const struct field fields[FIELDS] = {
    [FIELD_YEAR] = { '\0', 4, YEAR_MIN, YEAR_MAX },
    [FIELD_MONTH] = { '-', 2, 1, 12 },
    [FIELD_DAY] = { '-', 2, 1, 31 },
    [FIELD_HOUR] = { 'T', 2, 0, 23 },
    [FIELD_MINUTE] = { ':', 2, 0, 59 },
    [FIELD_SECOND] = { ':', 2, 0, 59 }, /* Unix time has no leap seconds */
    [FIELD_MS] = { '.', 3, 0, 999 },
};

/* Take one field off the front of `*text`. */
static bool take_field(struct str *text, const struct field *field, int64_t *value)
{
    size_t skipped = field->before == '\0' ? 0 : 1;
    int64_t sum = 0;

    if (text->len < skipped + field->digits || (skipped > 0 && text->data[0] != field->before))
        return false;
    for (size_t i = skipped; i < skipped + field->digits; i++) {
        if (text->data[i] < '0' || text->data[i] > '9')
            return false;
        sum = sum * 10 + (text->data[i] - '0');
    }
    if (sum < field->min || sum > field->max)
        return false;
    *value = sum;
    *text = str_slice(*text, skipped + field->digits, text->len);
    return true;
}

static bool take_fields(struct str *text, size_t first, size_t end, int64_t values[FIELDS])
{
    for (size_t i = first; i < end; i++) {
        if (!take_field(text, &fields[i], &values[i]))
            return false;
    }
    return true;
}

/* What follows the date: nothing, or a time of day with or without milliseconds, and "Z". */
static bool take_time_of_day(struct str text, int64_t values[FIELDS])
{
    if (text.len == 0)
        return true;
    if (!take_fields(&text, FIELD_HOUR, FIELD_MS, values))
        return false;
    if (str_starts_with(text, STR(".")) && !take_fields(&text, FIELD_MS, FIELDS, values))
        return false;
    return str_eq(text, STR("Z"));
}

bool time_text_parse(struct str text, int64_t *wall_ms)
{
    int64_t values[FIELDS] = { 0 };
    struct date date;
    int64_t second;

    if (!take_fields(&text, FIELD_YEAR, FIELD_HOUR, values) || !take_time_of_day(text, values))
        return false;
    date = (struct date){ values[FIELD_YEAR], values[FIELD_MONTH], values[FIELD_DAY] };
    if (date.day > days_of_month(date.year, date.month))
        return false;
    second = values[FIELD_HOUR] * 3600 + values[FIELD_MINUTE] * 60 + values[FIELD_SECOND];
    *wall_ms = (days_of_date(&date) * S_PER_DAY + second) * MS_PER_S + values[FIELD_MS];
    return true;
}

static const struct duration_unit {
    char letter;
    int64_t seconds;
} duration_units[] = {
    { 's', 1 },
    { 'm', 60 },
    { 'h', 3600 },
    { 'd', S_PER_DAY },
};

bool duration_parse(struct str text, int64_t *seconds)
{
    int64_t number;
    int64_t product;

    if (text.len < 2 || !str_to_int64(str_slice(text, 0, text.len - 1), &number) || number <= 0)
        return false;
    for (size_t i = 0; i < COUNT(duration_units); i++) {
        if (text.data[text.len - 1] != duration_units[i].letter)
            continue;
        if (__builtin_mul_overflow(number, duration_units[i].seconds, &product))
            return false;
        *seconds = product;
        return true;
    }
    return false;
}

void duration_text(int64_t seconds, char out[DURATION_TEXT_MAX])
{
    size_t unit = COUNT(duration_units) - 1;

    while (unit > 0 && (seconds == 0 || seconds % duration_units[unit].seconds != 0))
        unit--;
    (void)snprintf(out, DURATION_TEXT_MAX, "%" PRId64 "%c", seconds / duration_units[unit].seconds,
                   duration_units[unit].letter);
}
