#include "base/time_zone.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_zone_rule.h"

/*
 * A compiled zone is a header, a block of data with times of 4 bytes, and from version 2 on both
 * again with times of 8 bytes, and behind that a line that says how the years go on. The first
 * block is passed over where there is a second one.
 *
 * A block: times of change; the type each begins, a byte each; types (offset, 4 bytes; summer time
 * or not; where its name starts); names; leap seconds; two lists of what the types were written as.
 */

#define HEADER_LEN 44
#define TYPE_LEN 6
#define TYPES_MAX 256
#define OFFSET_MIN_S (-89999) /* RFC 9636 3.2: above -25 hours, below 26 */
#define OFFSET_MAX_S 93599
#define ZONE_MEMORY_MAX (4 * TIME_ZONE_BYTES_MAX)
#define TABLE_NAME "zone.tab"
#define TABLE_BYTES_MAX ((size_t)1024 * 1024)
#define TABLE_NAMES_MAX 2000

struct time_zone {
    atomic_size_t reference_count;
    struct arena *arena; /* all below */
    struct str name;
    uint8_t sha256[SHA256_LEN]; /* of the file */

    int64_t *changes_s; /* ascending */
    int32_t *offsets_s; /* from each change on */
    size_t change_count;
    int32_t first_offset_s; /* before the first change */
    bool has_rule;          /* from the last change on; else it stays as it is then */
    struct time_zone_rule rule;
};

/* ---- reading ---- */

/* A block's counts. */
struct header {
    uint8_t version; /* 1 to 4 */
    uint32_t is_universal_count;
    uint32_t is_standard_count;
    uint32_t leap_count;
    uint32_t change_count;
    uint32_t type_count;
    uint32_t name_len;
};

static uint64_t big_endian(const char *bytes, size_t len)
{
    uint64_t number = 0;

    for (size_t i = 0; i < len; i++)
        number = number << 8 | (uint8_t)bytes[i];
    return number;
}

static bool take(struct str *text, size_t len, struct str *out)
{
    if (text->len < len)
        return false;
    *out = str_slice(*text, 0, len);
    *text = str_slice(*text, len, text->len);
    return true;
}

static bool take_header(struct str *text, struct header *header)
{
    struct str bytes;
    uint32_t counts[6];

    if (!take(text, HEADER_LEN, &bytes) || !str_starts_with(bytes, STR("TZif")))
        return false;
    for (size_t i = 0; i < COUNT(counts); i++)
        counts[i] = (uint32_t)big_endian(bytes.data + 20 + 4 * i, 4);
    *header = (struct header){ .is_universal_count = counts[0],
                               .is_standard_count = counts[1],
                               .leap_count = counts[2],
                               .change_count = counts[3],
                               .type_count = counts[4],
                               .name_len = counts[5] };
    if (bytes.data[4] == '\0')
        header->version = 1;
    else if (bytes.data[4] >= '2' && bytes.data[4] <= '4')
        header->version = (uint8_t)(bytes.data[4] - '0');
    return header->version > 0;
}

static uint64_t block_len(const struct header *header, size_t time_len)
{
    return (uint64_t)header->change_count * (time_len + 1) +
           (uint64_t)header->type_count * TYPE_LEN + header->name_len +
           (uint64_t)header->leap_count * (time_len + 4) + header->is_standard_count +
           header->is_universal_count;
}

/* Pass over the block with short times, and take the header of the one with long times. */
static bool skip_block(struct str *text, struct header *header)
{
    uint64_t len = block_len(header, 4);
    uint8_t version = header->version;
    struct str block;

    return len <= text->len && take(text, (size_t)len, &block) && take_header(text, header) &&
           header->version == version;
}

/* The pieces of a block. */
struct block {
    size_t time_len;
    struct str times;
    struct str begun; /* types */
    struct str types;
    struct str names;
    struct str standard;
    struct str universal;
};

static bool refuse(struct error *error, const char *problem)
{
    return error_set(error, ERROR_CONFIG, "%s", problem);
}

static bool take_block(struct str *text, const struct header *header, struct block *block,
                       struct error *error)
{
    size_t types_len = (size_t)header->type_count * TYPE_LEN;

    if (header->leap_count > 0)
        return refuse(error, "it counts leap seconds, which our time does not");
    if (header->type_count == 0 || header->type_count > TYPES_MAX || header->name_len == 0)
        return refuse(error, "it has no types of local time, or too many");
    if ((header->is_universal_count != 0 && header->is_universal_count != header->type_count) ||
        (header->is_standard_count != 0 && header->is_standard_count != header->type_count))
        return refuse(error, "its counts do not fit each other");
    if (block_len(header, block->time_len) > text->len ||
        !take(text, header->change_count * block->time_len, &block->times) ||
        !take(text, header->change_count, &block->begun) || !take(text, types_len, &block->types) ||
        !take(text, header->name_len, &block->names) ||
        !take(text, header->is_standard_count, &block->standard) ||
        !take(text, header->is_universal_count, &block->universal))
        return refuse(error, "it ends too early");
    return true;
}

static size_t type_count(const struct block *block)
{
    return block->types.len / TYPE_LEN;
}

/* A type's offset; false where the type is no good. */
static bool read_type(const struct block *block, size_t index, int32_t *offset_s)
{
    const char *type = block->types.data + index * TYPE_LEN;
    uint8_t name = (uint8_t)type[5];
    struct str rest = str_slice(block->names, name, block->names.len);

    *offset_s = (int32_t)(uint32_t)big_endian(type, 4);
    return *offset_s >= OFFSET_MIN_S && *offset_s <= OFFSET_MAX_S &&
           (type[4] == 0 || type[4] == 1) && str_find(rest, '\0') < rest.len;
}

/* How types were written is not used, but has to make sense: universal times are standard times. */
static bool are_indicators_good(const struct block *block)
{
    for (size_t i = 0; i < block->standard.len; i++)
        if (block->standard.data[i] != 0 && block->standard.data[i] != 1)
            return false;
    for (size_t i = 0; i < block->universal.len; i++) {
        char is_standard = block->standard.len == 0 ? 0 : block->standard.data[i];

        if (block->universal.data[i] != 0 && (block->universal.data[i] != 1 || is_standard != 1))
            return false;
    }
    return true;
}

static bool read_types(const struct block *block, int32_t offsets_s[TYPES_MAX], struct error *error)
{
    for (size_t i = 0; i < type_count(block); i++)
        if (!read_type(block, i, &offsets_s[i]))
            return refuse(error, "a type of local time is out of range");
    if (!are_indicators_good(block))
        return refuse(error, "its indicators make no sense");
    return true;
}

static int64_t read_time(const struct block *block, size_t index)
{
    uint64_t number = big_endian(block->times.data + index * block->time_len, block->time_len);

    return block->time_len == 4 ? (int32_t)(uint32_t)number : (int64_t)number;
}

static bool read_changes(struct time_zone *zone, const struct block *block, struct error *error)
{
    int32_t offsets_s[TYPES_MAX] = { 0 };
    size_t count = block->begun.len;

    if (!read_types(block, offsets_s, error))
        return false;
    zone->changes_s = arena_alloc_array(zone->arena, count + 1, sizeof(zone->changes_s[0]));
    zone->offsets_s = arena_alloc_array(zone->arena, count + 1, sizeof(zone->offsets_s[0]));
    if (zone->changes_s == NULL || zone->offsets_s == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for its %zu changes", count);
    zone->first_offset_s = offsets_s[0];
    zone->change_count = count;
    for (size_t i = 0; i < count; i++) {
        uint8_t type = (uint8_t)block->begun.data[i];

        if (type >= type_count(block))
            return refuse(error, "a change begins a type that is not there");
        zone->changes_s[i] = read_time(block, i);
        zone->offsets_s[i] = offsets_s[type];
        if (i > 0 && zone->changes_s[i] <= zone->changes_s[i - 1])
            return refuse(error, "its changes are not in order");
    }
    return true;
}

/* The line at the end; empty where nobody knows how the years go on. */
static bool read_footer(struct time_zone *zone, struct str text, uint8_t version,
                        struct error *error)
{
    bool is_line = text.len >= 2 && text.data[0] == '\n' && text.data[text.len - 1] == '\n';

    text = str_slice(text, 1, text.len - 2);
    zone->has_rule = is_line && text.len > 0;
    if (!is_line || (zone->has_rule && !time_zone_rule_parse(text, version >= 3, &zone->rule)))
        return refuse(error, "its last line is no rule for the years to come");
    return true;
}

static bool read_zone(struct time_zone *zone, struct str text, struct error *error)
{
    struct block block = { .time_len = 4 };
    struct header header;

    if (!take_header(&text, &header))
        return refuse(error, "it is no compiled time zone");
    if (header.version > 1) {
        block.time_len = 8;
        if (!skip_block(&text, &header))
            return refuse(error, "it ends too early");
    }
    if (!take_block(&text, &header, &block, error) || !read_changes(zone, &block, error))
        return false;
    if (header.version > 1)
        return read_footer(zone, text, header.version, error);
    return text.len == 0 || refuse(error, "there is more behind its end");
}

/* ---- life ---- */

/* What the database has besides zones of a name: whatever this machine, or nobody, calls its own.
 */
static bool is_reserved(struct str name)
{
    static const char *const reserved[] = { "localtime", "posixrules", "Factory" };

    for (size_t i = 0; i < COUNT(reserved); i++)
        if (str_eq(name, str_from(reserved[i])))
            return true;
    return false;
}

static bool is_name(struct str name)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/-";
    struct str rest = name;
    struct str part;

    if (name.len == 0 || name.len > TIME_ZONE_NAME_MAX || !str_is_made_of(name, set) ||
        name.data[name.len - 1] == '/' || is_reserved(name))
        return false;
    while (rest.len > 0) {
        (void)str_cut(rest, '/', &part, &rest);
        if (part.len == 0)
            return false;
    }
    return true;
}

static struct time_zone *zone_new(struct str name)
{
    OWNED(time_zone_unref) struct time_zone *zone = calloc(1, sizeof(*zone));

    if (zone == NULL)
        return NULL;
    atomic_init(&zone->reference_count, 1);
    zone->arena = arena_new(ZONE_MEMORY_MAX);
    if (zone->arena == NULL)
        return NULL;
    zone->name = arena_copy(zone->arena, name);
    return zone->name.data == NULL ? NULL : TAKE(zone);
}

bool time_zone_read(struct str name, struct str bytes, struct time_zone **out, struct error *error)
{
    OWNED(time_zone_unref) struct time_zone *zone = NULL;

    if (!is_name(name))
        return error_set(error, ERROR_SYNTAX, "no name of a time zone");
    if (bytes.len > TIME_ZONE_BYTES_MAX)
        return error_set(error, ERROR_LIMIT, "larger than %zu bytes", TIME_ZONE_BYTES_MAX);
    zone = zone_new(name);
    if (zone == NULL)
        return error_set(error, ERROR_MEMORY, "reading a time zone");
    if (!read_zone(zone, bytes, error))
        return false;
    sha256(bytes, zone->sha256);
    *out = TAKE(zone);
    return true;
}

bool time_zone_load(const char *folder, struct str name, struct time_zone **zone,
                    struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * TIME_ZONE_BYTES_MAX);
    const char *path = NULL;
    struct str bytes = { 0 };

    if (!is_name(name))
        return error_set(error, ERROR_SYNTAX, "no name of a time zone");
    if (arena != NULL)
        path = arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(name)).data;
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "reading a time zone");
    if (!file_read(arena, path, TIME_ZONE_BYTES_MAX, &bytes, error))
        return false;
    return time_zone_read(name, bytes, zone, error) || error_wrap(error, "%s", path);
}

struct time_zone *time_zone_ref(struct time_zone *zone)
{
    atomic_fetch_add(&zone->reference_count, 1);
    return zone;
}

void time_zone_unref(struct time_zone *zone)
{
    if (zone == NULL || atomic_fetch_sub(&zone->reference_count, 1) > 1)
        return;
    arena_free(zone->arena);
    free(zone);
}

struct str time_zone_name(const struct time_zone *zone)
{
    return zone->name;
}

bool time_zone_is_same(const struct time_zone *a, const struct time_zone *b)
{
    return a == b || (str_eq(a->name, b->name) && memcmp(a->sha256, b->sha256, SHA256_LEN) == 0);
}

/* ---- asking ---- */

/* How many changes of the table are at a time or before it. */
static size_t count_changes(const struct time_zone *zone, int64_t time_s)
{
    size_t low = 0;
    size_t high = zone->change_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (zone->changes_s[middle] <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t time_zone_offset_s(const struct time_zone *zone, int64_t time_s)
{
    size_t count = count_changes(zone, time_s);

    if (count == zone->change_count && zone->has_rule)
        return time_zone_rule_offset_s(&zone->rule, time_s);
    return count == 0 ? zone->first_offset_s : zone->offsets_s[count - 1];
}

int64_t time_zone_next_change_s(const struct time_zone *zone, int64_t time_s)
{
    int32_t offset_s = time_zone_offset_s(zone, time_s);

    for (size_t i = count_changes(zone, time_s); i < zone->change_count; i++)
        if (time_zone_offset_s(zone, zone->changes_s[i]) != offset_s)
            return zone->changes_s[i];
    if (zone->change_count > 0 && zone->changes_s[zone->change_count - 1] > time_s)
        time_s = zone->changes_s[zone->change_count - 1];
    return zone->has_rule ? time_zone_rule_next_change_s(&zone->rule, time_s) : INT64_MAX;
}

/* ---- names ---- */

/* The last part of a name: "Berlin". */
static struct str last_part(struct str name)
{
    size_t at = name.len;

    while (at > 0 && name.data[at - 1] != '/')
        at--;
    return str_slice(name, at, name.len);
}

static size_t list_names(struct str table, struct str names[TABLE_NAMES_MAX])
{
    size_t count = 0;

    names[count++] = STR("UTC");
    while (table.len > 0 && count < TABLE_NAMES_MAX) {
        struct str line;
        struct str field;

        (void)str_cut(table, '\n', &line, &table);
        if (line.len == 0 || line.data[0] == '#')
            continue;
        (void)str_cut(line, '\t', &field, &line); /* the country */
        (void)str_cut(line, '\t', &field, &line); /* where it is */
        (void)str_cut(line, '\t', &field, &line);
        names[count++] = str_trim(field);
    }
    return count;
}

bool time_zone_nearest(const char *folder, struct str name, struct arena *arena,
                       struct str *nearest)
{
    struct str *names = arena_alloc_array(arena, TABLE_NAMES_MAX, sizeof(*names));
    const char *path = file_join(arena, folder, TABLE_NAME);
    struct error error = { 0 };
    struct str table = { 0 };
    size_t count;

    *nearest = STR("");
    if (names == NULL || path == NULL || !file_read(arena, path, TABLE_BYTES_MAX, &table, &error))
        return false;
    count = list_names(table, names);
    for (size_t i = 0; i < count; i++)
        if (str_eq_ignore_case(names[i], name) || str_eq_ignore_case(last_part(names[i]), name)) {
            *nearest = names[i];
            return true;
        }
    *nearest = str_nearest(name, names, count);
    return true;
}
