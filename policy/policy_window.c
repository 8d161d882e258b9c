#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "policy/policy_loader.h"

#define DAY_COUNT 7
#define EVERY_DAY 0x7f
#define DAY_MINUTES (24 * 60)
#define DAY_S ((int64_t)86400)
#define WEEK_S (DAY_COUNT * DAY_S)
#define EPOCH_WEEKDAY 3 /* 1970-01-01 was a Thursday */
#define PARTS_MAX 3
#define EXAMPLE "Mon..Fri 08:00-18:00 Europe/Berlin"

static const char *const days[DAY_COUNT] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

/* What reading a window works with. */
struct window_reader {
    struct policy_loader *loader;
    const json_t *at;
    struct policy_window *window;
};

/* "'08:00' has no time zone" */
static bool complain(const struct window_reader *reader, struct str about, const char *problem,
                     const char *hint)
{
    return yaml_complain_hint(&reader->loader->reader, reader->at, str_from(hint),
                              "'" STR_FMT "' %s", STR_ARG(str_slice(about, 0, 60)), problem);
}

/* ---- days ---- */

static bool find_day(struct str name, size_t *index)
{
    for (*index = 0; *index < DAY_COUNT; (*index)++)
        if (str_eq(name, str_from(days[*index])))
            return true;
    return false;
}

/* The day that somebody may have meant: "monday", "mon". */
static const char *nearest_day(struct str name)
{
    for (size_t i = 0; i < DAY_COUNT; i++)
        if (str_eq_ignore_case(str_slice(name, 0, 3), str_from(days[i])))
            return days[i];
    return NULL;
}

static bool complain_day(const struct window_reader *reader, struct str name)
{
    struct arena *arena = reader->loader->reader.diagnostics->arena;
    const char *nearest = nearest_day(name);
    struct str hint = STR("days are Mon, Tue, Wed, Thu, Fri, Sat and Sun, written Mon..Fri or "
                          "Sat,Sun");

    if (nearest != NULL && name.len > 3 && name.data[3] == '-')
        hint = STR("from one day to another is written with two dots: Mon..Fri");
    else if (nearest != NULL)
        hint = arena_printf(arena, "did you mean '%s'?", nearest);
    return yaml_complain_hint(&reader->loader->reader, reader->at, hint,
                              "'" STR_FMT "' is no day of the week",
                              STR_ARG(str_slice(name, 0, 60)));
}

/* Cut "Mon..Fri" into its days; one day is both. */
static void cut_range(struct str item, struct str *first, struct str *last)
{
    *first = item;
    *last = item;
    for (size_t i = 0; i + 1 < item.len; i++)
        if (item.data[i] == '.' && item.data[i + 1] == '.') {
            *first = str_slice(item, 0, i);
            *last = str_slice(item, i + 2, item.len);
            return;
        }
}

static bool read_day_item(const struct window_reader *reader, struct str item)
{
    struct str first_name;
    struct str last_name;
    size_t first;
    size_t last;

    cut_range(item, &first_name, &last_name);
    if (!find_day(first_name, &first))
        return complain_day(reader, first_name);
    if (!find_day(last_name, &last))
        return complain_day(reader, last_name);
    if (last < first)
        return complain(reader, item, "runs backwards: a week is from Mon to Sun",
                        "over its end write Sat..Sun,Mon");
    for (size_t day = first; day <= last; day++) {
        uint8_t bit = (uint8_t)(1U << day);

        if ((reader->window->weekdays & bit) != 0)
            return complain(reader, str_from(days[day]), "is there twice", "");
        reader->window->weekdays |= bit;
    }
    return true;
}

static bool read_days(const struct window_reader *reader, struct str text)
{
    struct str item;
    bool is_more = true;

    while (is_more) {
        is_more = str_cut(text, ',', &item, &text);
        if (!read_day_item(reader, item))
            return false;
    }
    return true;
}

/* ---- times ---- */

/* HH:MM, up to 24:00. */
static bool parse_time(struct str text, uint16_t *minute)
{
    int64_t hours;
    int64_t minutes;
    struct str tens = str_slice(text, 0, 1);

    if (text.len != sizeof("08:00") - 1 || text.data[2] != ':' ||
        !str_is_made_of(str_slice(text, 0, 2), "0123456789") ||
        !str_is_made_of(str_slice(text, 3, 2), "0123456789"))
        return false;
    hours = (tens.data[0] - '0') * 10 + (text.data[1] - '0');
    minutes = (text.data[3] - '0') * 10 + (text.data[4] - '0');
    *minute = (uint16_t)(hours * 60 + minutes);
    return minutes < 60 && *minute <= DAY_MINUTES;
}

static bool read_times(const struct window_reader *reader, struct str text)
{
    struct policy_window *window = reader->window;
    struct str from;
    struct str to;

    if (!str_cut(text, '-', &from, &to) || !parse_time(from, &window->from_minute) ||
        !parse_time(to, &window->to_minute))
        return complain(reader, text, "is no span of time",
                        "hours and minutes have two digits each: 08:00-18:00, up to 24:00");
    if (window->from_minute == DAY_MINUTES)
        return complain(reader, text, "begins when its day is over", "a day begins at 00:00");
    if (window->from_minute == window->to_minute)
        return complain(reader, text, "ends when it begins", "the whole day is 00:00-24:00");
    if (window->to_minute == 0)
        return complain(reader, text, "ends when a day begins", "a day ends at 24:00");
    return true;
}

/* ---- a window ---- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Cut at blanks; how many parts there are, those past PARTS_MAX not kept. */
static size_t cut_parts(struct str text, struct str parts[PARTS_MAX])
{
    size_t count = 0;

    while (str_trim(text).len > 0) {
        struct str part;

        (void)str_cut(str_trim(text), ' ', &part, &text);
        if (count < PARTS_MAX)
            parts[count] = part;
        count++;
    }
    return count;
}

/* "[DAYS] FROM-TO ZONE" */
static bool read_window(const struct window_reader *reader)
{
    struct str parts[PARTS_MAX] = { 0 };
    struct str text = json_str(reader->at);
    size_t count = cut_parts(text, parts);
    size_t next = 0;

    if (!json_is_string(reader->at) || count < 1 || count > PARTS_MAX)
        return yaml_complain_hint(&reader->loader->reader, reader->at,
                                  STR("write " EXAMPLE "; days have no blanks between them"),
                                  "expected days, a span of time and a time zone");
    reader->window->weekdays = is_digit(parts[0].data[0]) ? EVERY_DAY : 0;
    if (reader->window->weekdays == 0 && !read_days(reader, parts[next++]))
        return false;
    if (next == count)
        return complain(reader, text, "has no span of time", "write " EXAMPLE);
    if (!read_times(reader, parts[next++]))
        return false;
    if (next == count)
        return complain(reader, text, "has no time zone",
                        "say whose clocks count: " EXAMPLE ", or UTC");
    reader->window->zone = policy_loader_zone(reader->loader, reader->at, parts[next++]);
    if (next < count)
        return complain(reader, text, "has more behind its time zone", "write " EXAMPLE);
    return reader->window->zone != NULL;
}

void policy_during_read(struct policy_loader *loader, const json_t *map,
                        struct policy_stage_rule *stage)
{
    const json_t *value = json_object_get(map, "during");
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    struct policy_window *windows;

    if (value == NULL)
        return;
    if (count == 0 || count > POLICY_WINDOWS_MAX) {
        (void)yaml_complain(&loader->reader, value, "expected 1 to %d spans of time, not %zu",
                            POLICY_WINDOWS_MAX, count);
        return;
    }
    windows = policy_loader_alloc(loader, count, sizeof(*windows));
    for (size_t i = 0; windows != NULL && i < count; i++) {
        const struct window_reader reader = {
            loader, json_is_array(value) ? json_array_get(value, i) : value, &windows[i]
        };

        (void)read_window(&reader);
    }
    stage->during = windows;
    stage->during_count = windows == NULL ? 0 : count;
}

/* ---- deciding ---- */

static int64_t modulo(int64_t number, int64_t by)
{
    int64_t rest = number % by;

    return rest < 0 ? rest + by : rest;
}

static bool has_day(const struct policy_window *window, int64_t day)
{
    return (window->weekdays >> modulo(day, DAY_COUNT) & 1) != 0;
}

bool policy_window_holds(const struct policy_window *window, int64_t time_s)
{
    int32_t offset_s = time_zone_offset_s(window->zone, time_s);
    /* What clocks show, counted from a Monday's midnight; no sum is larger than a few weeks. */
    int64_t local_s = modulo(modulo(time_s, WEEK_S) + offset_s + EPOCH_WEEKDAY * DAY_S, WEEK_S);
    int64_t day = local_s / DAY_S;
    int64_t minute = local_s % DAY_S / 60;

    if (window->from_minute < window->to_minute)
        return has_day(window, day) && minute >= window->from_minute && minute < window->to_minute;
    return (has_day(window, day) && minute >= window->from_minute) ||
           (has_day(window, day - 1) && minute < window->to_minute);
}

bool policy_during_holds(const struct policy_stage_rule *stage, int64_t time_s)
{
    if (time_s == POLICY_NO_TIME)
        return true;
    for (size_t i = 0; i < stage->during_count; i++)
        if (policy_window_holds(&stage->during[i], time_s))
            return true;
    return stage->during_count == 0;
}

/* ---- in words ---- */

/* "Mon..Fri,Sun " */
static void describe_days(uint8_t weekdays, struct buf *out)
{
    bool is_first = true;

    for (size_t day = 0; day < DAY_COUNT; day++) {
        size_t last = day;

        if ((weekdays >> day & 1) == 0)
            continue;
        while (last + 1 < DAY_COUNT && (weekdays >> (last + 1) & 1) != 0)
            last++;
        buf_printf(out, "%s%s", is_first ? "" : ",", days[day]);
        if (last > day)
            buf_printf(out, "..%s", days[last]);
        is_first = false;
        day = last;
    }
    buf_add_text(out, " ");
}

void policy_window_describe(const struct policy_window *window, struct buf *out)
{
    if (window->weekdays != EVERY_DAY)
        describe_days(window->weekdays, out);
    buf_printf(out, "%02d:%02d-%02d:%02d ", window->from_minute / 60, window->from_minute % 60,
               window->to_minute / 60, window->to_minute % 60);
    buf_add(out, time_zone_name(window->zone));
}
