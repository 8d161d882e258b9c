#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/network.h"
#include "base/time_text.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_internal.h"

#define NAMES_MAX 64  /* keys or choices that one place may have */
#define QUOTED_MAX 60 /* characters of a foreign value that a message shows */
#define NOTED_MAX 120 /* the same, of a note */
#define FOUND_MAX 256 /* bytes of such a value with its quotes */
#define NETWORK_HINT                                                                               \
    "2001:db8::/32 or one address fit, too; the bits behind the prefix must be zero"

/* What a report is besides its text. */
struct report {
    enum diagnostic_severity severity;
    const json_t *value; /* NULL: it is about a key */
    struct yaml_spot spot;
    struct str hint;
    const char *rule; /* NULL: none */
};

/* "used here", or with a text: "with this it is 'orders-prod'". */
static struct str note_of(const struct yaml_reader *reader, const struct yaml_spot *spot)
{
    struct str shown = str_slice(spot->note_text, 0, utf8_offset(spot->note_text, NOTED_MAX));

    if (spot->note_text.len == 0)
        return str_from(spot->note);
    return arena_printf(reader->diagnostics->arena, "%s '" STR_FMT "%s'", spot->note,
                        STR_ARG(shown), shown.len < spot->note_text.len ? "..." : "");
}

static void relate(const struct yaml_reader *reader, struct report *report)
{
    struct yaml_spot *spot = &report->spot;

    yaml_overlay_relate(reader->document, report->value, spot);
    if (spot->related.line > 0)
        diagnostics_relate(reader->diagnostics, spot->related,
                           yaml_source(reader->document, spot->related), note_of(reader, spot));
}

static void add(const struct yaml_reader *reader, struct report *report, const char *format,
                va_list values) PRINTF_LIKE(3, 0);
static void add(const struct yaml_reader *reader, struct report *report, const char *format,
                va_list values)
{
    const struct yaml_spot *spot = &report->spot;
    bool is_kept = diagnostics_have_room(reader->diagnostics, report->severity);
    struct str source = is_kept ? yaml_source(reader->document, spot->at) : STR("");
    char message[DIAGNOSTIC_TEXT_MAX];

    (void)vsnprintf(message, sizeof(message), format, values);
    (void)diagnostics_add(reader->diagnostics, report->severity, spot->at, source, report->hint,
                          "%s", message);
    diagnostics_underline(reader->diagnostics, spot->width);
    if (report->rule != NULL)
        diagnostics_name(reader->diagnostics, report->rule);
    if (is_kept)
        relate(reader, report);
}

bool yaml_complain(const struct yaml_reader *reader, const json_t *value, const char *format, ...)
{
    struct report report = { .value = value, .spot = yaml_spot(reader->document, value) };
    va_list values;

    va_start(values, format);
    add(reader, &report, format, values);
    va_end(values);
    return false;
}

bool yaml_complain_hint(const struct yaml_reader *reader, const json_t *value, struct str hint,
                        const char *format, ...)
{
    struct report report = { .value = value,
                             .spot = yaml_spot(reader->document, value),
                             .hint = hint };
    va_list values;

    va_start(values, format);
    add(reader, &report, format, values);
    va_end(values);
    return false;
}

bool yaml_complain_key(const struct yaml_reader *reader, const json_t *map, const char *key,
                       struct str hint, const char *format, ...)
{
    struct report report = { .spot = yaml_spot_of_key(reader->document, map, key), .hint = hint };
    va_list values;

    va_start(values, format);
    add(reader, &report, format, values);
    va_end(values);
    return false;
}

void yaml_warn(const struct yaml_reader *reader, const json_t *value, const char *rule,
               struct str hint, const char *format, ...)
{
    struct report report = { .severity = DIAGNOSTIC_WARNING,
                             .value = value,
                             .spot = yaml_spot(reader->document, value),
                             .hint = hint,
                             .rule = rule };
    va_list values;

    va_start(values, format);
    add(reader, &report, format, values);
    va_end(values);
}

/* What a value is, for "..., not a list". */
static struct str describe(const json_t *value, char out[FOUND_MAX])
{
    struct str text = json_str(value);
    struct str shown = str_slice(text, 0, utf8_offset(text, QUOTED_MAX));

    if (json_is_object(value))
        return STR("a map");
    if (json_is_array(value))
        return STR("a list");
    (void)snprintf(out, FOUND_MAX, "'" STR_FMT "%s'", STR_ARG(shown),
                   shown.len < text.len ? "..." : "");
    return str_from(out);
}

/* "'port' must be a whole number, not 'http'"; false. */
static bool misfit(const struct yaml_reader *reader, const char *key, const json_t *value,
                   struct str hint, const char *expected)
{
    char found[FOUND_MAX];

    return yaml_complain_hint(reader, value, hint, "'%s' must be %s, not " STR_FMT, key, expected,
                              STR_ARG(describe(value, found)));
}

/* Names as pieces of text; how many there are. */
static size_t collect_names(const char *const *names, struct str out[NAMES_MAX])
{
    size_t count = 0;

    for (; names[count] != NULL && count < NAMES_MAX; count++)
        out[count] = str_from(names[count]);
    return count;
}

/* "a, b, c", cut at a whole name. */
static struct str join_names(struct arena *arena, const struct str *names, size_t count)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, DIAGNOSTIC_TEXT_MAX / 2);
    for (size_t i = 0; i < count && buf_is_ok(&text); i++)
        buf_printf(&text, "%s" STR_FMT, i > 0 ? ", " : "", STR_ARG(names[i]));
    return arena_printf(arena, STR_FMT "%s", STR_ARG(buf_str(&text)),
                        buf_is_ok(&text) ? "" : ", ...");
}

/* "did you mean 'when'? known here: when, unless" */
static struct str name_hint(const struct yaml_reader *reader, struct str found,
                            const char *const *names)
{
    struct arena *arena = reader->diagnostics->arena;
    struct str known[NAMES_MAX] = { 0 };
    size_t count = collect_names(names, known);
    struct str nearest;
    struct str all;

    if (!diagnostics_have_room(reader->diagnostics, DIAGNOSTIC_ERROR))
        return STR(""); /* a file can have a million mistakes */
    nearest = str_nearest(found, known, count);
    all = join_names(arena, known, count);
    if (nearest.len == 0)
        return arena_printf(arena, "known here: " STR_FMT, STR_ARG(all));
    return arena_printf(arena, "did you mean '" STR_FMT "'? known here: " STR_FMT, STR_ARG(nearest),
                        STR_ARG(all));
}

static bool is_one_of(const char *name, const char *const *names, size_t *index)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        if (str_eq(str_from(name), str_from(names[i]))) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool yaml_expect_map(const struct yaml_reader *reader, const json_t *value,
                     const char *const *names)
{
    char found[FOUND_MAX];
    const char *key;
    json_t *member;
    size_t index;
    bool is_good = true;

    if (!json_is_object(value))
        return yaml_complain_hint(reader, value, name_hint(reader, STR(""), names),
                                  "expected a map, not " STR_FMT, STR_ARG(describe(value, found)));
    json_object_foreach (json_iterable(value), key, member) {
        if (!is_one_of(key, names, &index))
            is_good = yaml_complain_key(reader, value, key, name_hint(reader, str_from(key), names),
                                        "unknown key '%s'", key);
    }
    return is_good;
}

/* A map of a joined document can have the key in either of the two. */
static struct str elsewhere(const struct yaml_reader *reader, const json_t *map)
{
    struct str file = str_from(reader->document->file);

    if (str_eq(yaml_at(reader->document, map).file, file))
        return STR("");
    return arena_printf(reader->diagnostics->arena, "it can stand in " STR_FMT ", too",
                        STR_ARG(file));
}

static bool has_key_at(const struct yaml_reader *reader, const json_t *map,
                       const struct position *at)
{
    const char *key;
    json_t *member;

    json_object_foreach (json_iterable(map), key, member) {
        struct position place = yaml_spot_of_key(reader->document, map, key).at;

        if (position_eq(&place, at))
            return true;
    }
    return false;
}

/* Whether the map has an unknown key, told already, that is this one with a slip: one mistake. */
static bool is_told_as_slip(const struct yaml_reader *reader, const json_t *map, const char *key)
{
    static const struct str lead = { "did you mean '", sizeof("did you mean '") - 1 };
    struct str name = str_from(key);

    for (size_t i = 0; i < reader->diagnostics->count; i++) {
        const struct diagnostic *told = &reader->diagnostics->list[i];
        struct str hint = str_slice(told->hint, lead.len, told->hint.len);

        if (told->severity == DIAGNOSTIC_ERROR && str_starts_with(told->hint, lead) &&
            str_starts_with(hint, name) &&
            str_starts_with(str_slice(hint, name.len, hint.len), STR("'")) &&
            has_key_at(reader, map, &told->at))
            return true;
    }
    return false;
}

bool yaml_require(const struct yaml_reader *reader, const json_t *map, const char *key)
{
    if (json_object_get(map, key) != NULL)
        return true;
    if (is_told_as_slip(reader, map, key))
        return false;
    return yaml_complain_hint(reader, map, elsewhere(reader, map), "the key '%s' is missing here",
                              key);
}

/* A member that must be a scalar; NULL where it is absent or reported. */
static const json_t *get_scalar(const struct yaml_reader *reader, const json_t *map,
                                const char *key, const char *expected)
{
    const json_t *value = json_object_get(map, key);

    if (value == NULL || json_is_string(value))
        return value;
    (void)misfit(reader, key, value, STR(""), expected);
    return NULL;
}

bool yaml_get_str(const struct yaml_reader *reader, const json_t *map, const char *key,
                  struct str *out)
{
    const json_t *value = get_scalar(reader, map, key, "text");

    if (value == NULL)
        return false;
    *out = json_str(value);
    return true;
}

bool yaml_get_int(const struct yaml_reader *reader, const json_t *map, const char *key, int64_t min,
                  int64_t max, int64_t *out)
{
    char expected[96];
    const json_t *value;
    int64_t number;

    (void)snprintf(expected, sizeof(expected), "a whole number from %" PRId64 " to %" PRId64, min,
                   max);
    value = get_scalar(reader, map, key, expected);
    if (value == NULL)
        return false;
    if (!str_to_int64(json_str(value), &number) || number < min || number > max)
        return misfit(reader, key, value, STR(""), expected);
    *out = number;
    return true;
}

bool yaml_get_bool(const struct yaml_reader *reader, const json_t *map, const char *key, bool *out)
{
    const json_t *value = get_scalar(reader, map, key, "true or false");
    bool is_true;

    if (value == NULL)
        return false;
    is_true = str_eq(json_str(value), STR("true"));
    if (!is_true && !str_eq(json_str(value), STR("false")))
        return misfit(reader, key, value, STR(""), "true or false");
    *out = is_true;
    return true;
}

/* A duration in the largest unit that divides it. */
static void write_duration(int64_t seconds, char *out, size_t out_size)
{
    static const struct unit {
        int64_t seconds;
        char name;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
    size_t i = 0;

    while (seconds % units[i].seconds != 0)
        i++;
    (void)snprintf(out, out_size, "%" PRId64 "%c", seconds / units[i].seconds, units[i].name);
}

/* A number without its unit is the usual accident. */
static struct str unit_hint(const struct yaml_reader *reader, struct str text)
{
    int64_t number;

    if (!str_to_int64(text, &number) || number <= 0)
        return STR("");
    return arena_printf(reader->diagnostics->arena,
                        "add the unit: '" STR_FMT "s' or '" STR_FMT "m'", STR_ARG(text),
                        STR_ARG(text));
}

bool yaml_get_duration_s(const struct yaml_reader *reader, const json_t *map, const char *key,
                         int64_t min_s, int64_t max_s, int64_t *out)
{
    static const char *const shape = "a duration such as 90s, 15m, 8h or 30d";
    const json_t *value = get_scalar(reader, map, key, shape);
    char range[2][32];
    char expected[96];
    int64_t seconds;

    if (value == NULL)
        return false;
    if (!duration_parse(json_str(value), &seconds))
        return misfit(reader, key, value, unit_hint(reader, json_str(value)), shape);
    if (seconds < min_s || seconds > max_s) {
        write_duration(min_s, range[0], sizeof(range[0]));
        write_duration(max_s, range[1], sizeof(range[1]));
        (void)snprintf(expected, sizeof(expected), "from %s to %s", range[0], range[1]);
        return misfit(reader, key, value, STR(""), expected);
    }
    *out = seconds;
    return true;
}

bool yaml_get_choice(const struct yaml_reader *reader, const json_t *map, const char *key,
                     const char *const *names, size_t *out)
{
    const json_t *value = get_scalar(reader, map, key, "one name");
    char found[FOUND_MAX];

    if (value == NULL)
        return false;
    if (is_one_of(json_string_value(value), names, out))
        return true;
    return yaml_complain_hint(reader, value, name_hint(reader, json_str(value), names),
                              "'%s' cannot be " STR_FMT, key, STR_ARG(describe(value, found)));
}

bool yaml_get_map(const struct yaml_reader *reader, const json_t *map, const char *key,
                  const json_t **out)
{
    const json_t *value = json_object_get(map, key);

    if (value == NULL)
        return false;
    if (!json_is_object(value))
        return misfit(reader, key, value, STR(""), "a map");
    *out = value;
    return true;
}

bool yaml_get_list(const struct yaml_reader *reader, const json_t *map, const char *key,
                   const json_t **out)
{
    const json_t *value = json_object_get(map, key);

    if (value == NULL)
        return false;
    if (!json_is_array(value))
        return misfit(reader, key, value, STR("a list is written [a, b]"), "a list");
    *out = value;
    return true;
}

/* An item of a value that is one string or a list of them. */
static const json_t *item_of(const json_t *value, size_t index)
{
    return json_is_array(value) ? json_array_get(value, index) : value;
}

/* Whether a value is one string or a list of them; reports each item that is not. */
static bool check_strs(const struct yaml_reader *reader, const char *key, const json_t *value)
{
    bool is_good = true;

    if (json_is_object(value))
        return misfit(reader, key, value, STR(""), "text or a list of texts");
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!json_is_string(json_array_get(value, i)))
            is_good =
                misfit(reader, key, json_array_get(value, i), STR(""), "text or a list of texts");
    }
    return is_good;
}

/* Room for the items of a value, at least one. NULL without memory, which is reported. */
static void *allocate_items(const struct yaml_reader *reader, const json_t *value, size_t count,
                            size_t size)
{
    struct arena *arena = reader->arena ? reader->arena : reader->diagnostics->arena;
    void *items = arena_alloc_array(arena, count + 1, size);

    if (items == NULL)
        (void)yaml_complain(reader, value, "no memory for this list");
    return items;
}

bool yaml_get_strs(const struct yaml_reader *reader, const json_t *map, const char *key,
                   struct str **out, size_t *count)
{
    const json_t *value = json_object_get(map, key);
    size_t item_count = json_is_array(value) ? json_array_size(value) : 1;
    struct str *items;

    if (value == NULL || !check_strs(reader, key, value))
        return false;
    items = allocate_items(reader, value, item_count, sizeof(*items));
    if (items == NULL)
        return false;
    for (size_t i = 0; i < item_count; i++)
        items[i] = json_str(item_of(value, i));
    *out = items;
    *count = item_count;
    return true;
}

bool yaml_get_networks(const struct yaml_reader *reader, const json_t *map, const char *key,
                       struct network **out, size_t *count)
{
    const json_t *value = json_object_get(map, key);
    struct network *items;
    struct str *texts;
    size_t item_count;
    bool is_good = true;

    if (!yaml_get_strs(reader, map, key, &texts, &item_count))
        return false;
    items = allocate_items(reader, value, item_count, sizeof(*items));
    if (items == NULL)
        return false;
    for (size_t i = 0; i < item_count; i++) {
        if (!network_parse(texts[i], &items[i]))
            is_good = misfit(reader, key, item_of(value, i), STR(NETWORK_HINT),
                             "networks such as 10.0.0.0/8");
    }
    if (!is_good)
        return false;
    *out = items;
    *count = item_count;
    return true;
}
