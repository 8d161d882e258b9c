#include "base/time_text.h"
#include "policy/prove_internal.h"

/*
 * What texts can be made of, as automata that prove_walk.c steps byte by byte beside the patterns.
 * A state is a number: two texts with the same one can be continued alike.
 */

uint32_t prove_shape_start(const struct prove_shape *shape)
{
    return shape->kind == PROVE_SHAPE_TEXT ? 0 : PROVE_SHAPE_TIGHT;
}

/* ---- any text ---- */

/* What may follow in UTF-8: at a character's start 0, else what its next byte may be. */
enum {
    UTF8_START,
    UTF8_ONE, /* one more byte */
    UTF8_TWO,
    UTF8_THREE,
    UTF8_AFTER_E0,
    UTF8_AFTER_ED,
    UTF8_AFTER_F0,
    UTF8_AFTER_F4,
};

/* Source: RFC 3629 4; without control characters */
static const struct utf8_row {
    uint8_t from;
    uint8_t first;
    uint8_t last;
    uint8_t to;
} utf8_rows[] = {
    /* state       bytes       next */
    { UTF8_START, 0x20, 0x7e, UTF8_START },    { UTF8_START, 0xc2, 0xdf, UTF8_ONE },
    { UTF8_START, 0xe0, 0xe0, UTF8_AFTER_E0 }, { UTF8_START, 0xe1, 0xec, UTF8_TWO },
    { UTF8_START, 0xed, 0xed, UTF8_AFTER_ED }, { UTF8_START, 0xee, 0xef, UTF8_TWO },
    { UTF8_START, 0xf0, 0xf0, UTF8_AFTER_F0 }, { UTF8_START, 0xf1, 0xf3, UTF8_THREE },
    { UTF8_START, 0xf4, 0xf4, UTF8_AFTER_F4 }, { UTF8_ONE, 0x80, 0xbf, UTF8_START },
    { UTF8_TWO, 0x80, 0xbf, UTF8_ONE },        { UTF8_THREE, 0x80, 0xbf, UTF8_TWO },
    { UTF8_AFTER_E0, 0xa0, 0xbf, UTF8_ONE },   { UTF8_AFTER_ED, 0x80, 0x9f, UTF8_ONE },
    { UTF8_AFTER_F0, 0x90, 0xbf, UTF8_TWO },   { UTF8_AFTER_F4, 0x80, 0x8f, UTF8_TWO },
};

static uint32_t step_text(uint32_t state, uint8_t byte)
{
    for (size_t i = 0; i < COUNT(utf8_rows); i++)
        if (utf8_rows[i].from == state && byte >= utf8_rows[i].first && byte <= utf8_rows[i].last)
            return utf8_rows[i].to;
    return PROVE_SHAPE_BAD;
}

/* ---- times ---- */

/*
 * How the calendar goes on from a digit: what is known of the year, then of the month, is carried
 * until the day is read.
 */

static bool is_leap(uint32_t century_rest, uint32_t tens, uint32_t ones)
{
    if (tens == 0 && ones == 0)
        return century_rest == 0; /* the century's number, divided by four */
    return (2 * tens + ones) % 4 == 0;
}

/* What to carry behind a digit of the year. */
static uint32_t carry_year(size_t place, uint32_t carried, uint32_t digit)
{
    switch (place) {
    case 0:
        return digit % 2;
    case 1:
        return (2 * carried + digit) % 4;
    case 2:
        return carried | (digit % 2) << 2 | (uint32_t)(digit == 0) << 3;
    default:
        break;
    }
    /* of the tens it counts whether they are odd, and whether they are none */
    return is_leap(carried & 3, (carried >> 3 & 1) != 0 ? 0 : 2 - (carried >> 2 & 1), digit);
}

/* How many days more than 28 a month has; PROVE_SHAPE_BAD: there is no such month. */
static uint32_t days_over_28(uint32_t month, bool of_leap_year)
{
    static const uint8_t days[] = { 0, 3, 0, 3, 2, 3, 2, 3, 3, 2, 3, 2, 3 };

    if (month == 0 || month > 12)
        return PROVE_SHAPE_BAD;
    return month == 2 && of_leap_year ? 1 : days[month];
}

/* What to carry behind a digit of a date; PROVE_SHAPE_BAD: it is none. */
static uint32_t carry_date(size_t place, uint32_t carried, uint32_t digit)
{
    uint32_t day;

    switch (place) {
    case 5: /* of the month */
        return digit > 1 ? PROVE_SHAPE_BAD : carried | digit << 1;
    case 6:
        return days_over_28((carried >> 1) * 10 + digit, (carried & 1) != 0);
    case 8: /* of the day */
        return digit > 3 ? PROVE_SHAPE_BAD : carried | digit << 2;
    case 9:
        day = (carried >> 2) * 10 + digit;
        return day == 0 || day > 28 + (carried & 3) ? PROVE_SHAPE_BAD : 0;
    default:
        return carry_year(place, carried, digit);
    }
}

/* The same of a time of day. */
static uint32_t carry_clock(size_t place, uint32_t carried, uint32_t digit)
{
    switch (place) {
    case 11:
        return digit > 2 ? PROVE_SHAPE_BAD : digit;
    case 12:
        return carried * 10 + digit > 23 ? PROVE_SHAPE_BAD : 0;
    case 14:
    case 17:
        return digit > 5 ? PROVE_SHAPE_BAD : 0;
    default:
        return 0;
    }
}

/* "2026-11-22T10:00:00.000Z": what stands at a place, '0' for any digit. */
static const char time_form[] = "0000-00-00T00:00:00.000Z";
#define SECONDS_END 19
#define DATE_END 10

/* ---- texts between two of the same length ---- */

/* Whether the text is still the same as the first, or the last, one. */
#define IS_FIRST (1U << 8)
#define IS_LAST (1U << 9)
_Static_assert(PROVE_SHAPE_TIGHT == (IS_FIRST | IS_LAST), "at the start it is both");
#define PLACE(state) ((state)&0xffU)
#define CARRIED(state) ((state) >> 10)

/* The bounds' flags behind a byte; PROVE_SHAPE_BAD: it is not between them. */
static uint32_t bound(const struct prove_shape *shape, uint32_t state, uint8_t byte)
{
    size_t place = PLACE(state);
    uint32_t flags = 0;

    if ((state & IS_FIRST) != 0 && place < shape->first.len) {
        uint8_t least = (uint8_t)shape->first.data[place];

        if (byte < least)
            return PROVE_SHAPE_BAD;
        flags |= byte == least ? IS_FIRST : 0;
    }
    if ((state & IS_LAST) != 0 && place < shape->last.len) {
        uint8_t most = (uint8_t)shape->last.data[place];

        if (byte > most)
            return PROVE_SHAPE_BAD;
        flags |= byte == most ? IS_LAST : 0;
    }
    return flags;
}

static uint32_t step_integer(const struct prove_shape *shape, uint32_t state, uint8_t byte)
{
    size_t place = PLACE(state);
    uint32_t flags;

    if (place == shape->first.len ||
        ((byte < '0' || byte > '9') && byte != (uint8_t)shape->first.data[place]))
        return PROVE_SHAPE_BAD;
    flags = bound(shape, state, byte);
    return flags == PROVE_SHAPE_BAD ? flags : flags | (uint32_t)(place + 1);
}

static uint32_t step_time(const struct prove_shape *shape, uint32_t state, uint8_t byte)
{
    size_t place = PLACE(state);
    bool is_digit = byte >= '0' && byte <= '9';
    uint32_t carried = CARRIED(state);
    uint32_t flags;

    if (place == SECONDS_END && byte == 'Z')
        return sizeof(time_form) - 1; /* nothing follows */
    if (place >= sizeof(time_form) - 1 ||
        (time_form[place] == '0' ? !is_digit : byte != (uint8_t)time_form[place]))
        return PROVE_SHAPE_BAD;
    flags = place < SECONDS_END ? bound(shape, state, byte) : 0;
    if (is_digit)
        carried = place < DATE_END ? carry_date(place, carried, (uint32_t)(byte - '0'))
                                   : carry_clock(place, carried, (uint32_t)(byte - '0'));
    if (flags == PROVE_SHAPE_BAD || carried == PROVE_SHAPE_BAD)
        return PROVE_SHAPE_BAD;
    return flags | carried << 10 | (uint32_t)(place + 1);
}

uint32_t prove_shape_step(const struct prove_shape *shape, uint32_t state, uint8_t byte)
{
    switch (shape->kind) {
    case PROVE_SHAPE_INTEGER:
        return step_integer(shape, state, byte);
    case PROVE_SHAPE_TIME:
        return step_time(shape, state, byte);
    case PROVE_SHAPE_TEXT:
        break;
    }
    return step_text(state, byte);
}

bool prove_shape_is_whole(const struct prove_shape *shape, uint32_t state, size_t len)
{
    switch (shape->kind) {
    case PROVE_SHAPE_INTEGER:
        return len == shape->first.len;
    case PROVE_SHAPE_TIME:
        return len == DATE_END || (len > SECONDS_END && PLACE(state) == sizeof(time_form) - 1);
    case PROVE_SHAPE_TEXT:
        break;
    }
    return len > 0 && state == UTF8_START;
}
