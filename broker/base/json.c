#include "base/json.h"

#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json_plain.h"

/*
 * What jansson found, as sentences of our own: its texts quote the input. It names everything that
 * can be wrong with the text, and names nothing where some of its allocations fail.
 */
static const struct fault {
    enum json_error_code code;
    enum error_code error;
    const char *sentence;
} faults[] = {
    { json_error_unknown, ERROR_MEMORY, "no memory" },
    { json_error_out_of_memory, ERROR_MEMORY, "no memory" },
    { json_error_stack_overflow, ERROR_LIMIT, "nested too deep" },
    { json_error_premature_end_of_input, ERROR_SYNTAX, "ends too early" },
    { json_error_end_of_input_expected, ERROR_SYNTAX, "text behind the end" },
    { json_error_invalid_utf8, ERROR_SYNTAX, "not UTF-8" },
    { json_error_duplicate_key, ERROR_SYNTAX, "duplicate member" },
    { json_error_numeric_overflow, ERROR_SYNTAX, "number out of range" },
    { json_error_null_character, ERROR_SYNTAX, "NUL in a string" },
    { json_error_null_byte_in_key, ERROR_SYNTAX, "NUL in a name" },
    { json_error_invalid_syntax, ERROR_SYNTAX, "syntax" },
};

/*
 * A look ahead over a JSON text, without building anything. Until the first syntax error it sees
 * the structure that jansson will see; behind it, it does not matter, since jansson stops there.
 */
struct scan {
    size_t depth;
    size_t members;
    bool is_opened; /* the last thing was '{' or '[': what follows may be its first member */
};

/* Behind the string whose opening quote is at `at`. */
static size_t skip_string(struct str text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++) {
        if (text.data[at] == '\\')
            at++;
    }
    return at;
}

static void scan_byte(struct scan *scan, char byte)
{
    bool is_closer = byte == '}' || byte == ']';

    if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
        return;
    if (byte == ',' || (scan->is_opened && !is_closer))
        scan->members++;
    scan->is_opened = byte == '{' || byte == '[';
    if (scan->is_opened)
        scan->depth++;
    if (is_closer && scan->depth > 0)
        scan->depth--;
}

static bool check_limits(struct str text, struct json_limits limits, struct error *error)
{
    struct scan scan = { 0 };

    if (text.len > limits.bytes)
        return error_set(error, ERROR_LIMIT, "JSON: %zu bytes, may have %zu", text.len,
                         limits.bytes);
    for (size_t at = 0; at < text.len; at++) {
        scan_byte(&scan, text.data[at]);
        if (scan.depth > limits.depth)
            return error_set(error, ERROR_LIMIT, "JSON: nested deeper than %zu", limits.depth);
        if (scan.members > limits.members)
            return error_set(error, ERROR_LIMIT, "JSON: more than %zu members", limits.members);
        if (text.data[at] == '"')
            at = skip_string(text, at);
    }
    return true;
}

static bool refuse(const json_error_t *found, struct error *error)
{
    enum json_error_code code = json_error_code(found);
    const struct fault *fault = &faults[COUNT(faults) - 1];

    for (size_t i = 0; i < COUNT(faults); i++) {
        if (faults[i].code == code)
            fault = &faults[i];
    }
    return error_set(error, fault->error, "JSON: %s, near byte %d", fault->sentence,
                     found->position);
}

bool json_parse(struct str text, struct json_limits limits, json_t **out, struct error *error)
{
    json_error_t found = { 0 }; /* jansson leaves the code unset in places */
    json_t *json = json_plain_parse(text, limits);

    if (json != NULL) {
        *out = json;
        return true;
    }
    if (!check_limits(text, limits, error))
        return false;
    if (text.len == 0)
        return error_set(error, ERROR_SYNTAX, "JSON: empty");
    json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &found);
    if (json == NULL)
        return refuse(&found, error);
    *out = json;
    return true;
}

bool json_parse_object(struct str text, struct json_limits limits, json_t **out,
                       struct error *error)
{
    JSON_OWNED json_t *json = NULL;

    if (!json_parse(text, limits, &json, error))
        return false;
    if (!json_is_object(json))
        return error_set(error, ERROR_SYNTAX, "JSON: an array where an object is expected");
    *out = TAKE(json);
    return true;
}

static void release_json(void *json)
{
    json_decref(json);
}

bool json_keep(struct arena *arena, json_t *take_json, struct error *error)
{
    if (!arena_defer(arena, release_json, take_json))
        return error_set(error, ERROR_MEMORY, "no memory to keep a JSON value");
    return true;
}

static int add_piece(const char *data, size_t len, void *buf)
{
    buf_add(buf, (struct str){ data, len });
    return buf_is_ok(buf) ? 0 : -1;
}

/* More than any buffer's limit: what jansson could not write must not look complete. */
static void mark_as_failed(struct buf *buf)
{
    buf_add(buf, (struct str){ "", SIZE_MAX });
}

void buf_add_json(struct buf *buf, const json_t *json)
{
    size_t flags = JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY;

    if (json_plain_write(buf, json))
        return;
    if (json_dump_callback(json, add_piece, buf, flags) != 0)
        mark_as_failed(buf);
}

struct str json_text(struct arena *arena, const json_t *json)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, ARENA_REQUEST_MAX);
    buf_add_json(&text, json);
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}

json_t *json_from_sha256(const uint8_t sha256[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)sha256, SHA256_LEN });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

json_t *json_from_strs(const struct str *texts, size_t count)
{
    JSON_OWNED json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < count; i++)
        if (json_array_append_new(list, json_from_str(texts[i])) != 0)
            return NULL;
    return TAKE(list);
}

json_t *json_append_object(json_t *list)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) == 0 ? object : NULL;
}

struct str json_str(const json_t *string)
{
    return (struct str){ json_string_value(string), json_string_length(string) };
}

bool json_get_str(const json_t *object, const char *name, struct str *value)
{
    const json_t *member = json_object_get(object, name);

    if (!json_is_string(member))
        return false;
    *value = json_str(member);
    return true;
}

json_t *json_from_str(struct str text)
{
    if (text.len == 0)
        return json_string("");
    if (memchr(text.data, '\0', text.len) != NULL)
        return NULL;
    return json_stringn(text.data, text.len);
}

bool json_put(json_t *object, const char *name, json_t *take_value)
{
    return json_object_set_new(object, name, take_value) == 0;
}

bool json_put_text(json_t *object, const char *name, struct str text)
{
    return text.len == 0 || json_put(object, name, json_from_str(text));
}

/* Rounded down. A double from -2^63 to below 2^63 fits int64; those with a fraction by far. */
static bool floor_to_int64(double real, int64_t *value)
{
    int64_t whole;

    if (!(real >= -0x1p63 && real < 0x1p63))
        return false;
    whole = (int64_t)real;
    *value = (double)whole > real ? whole - 1 : whole;
    return true;
}

bool json_get_time(const json_t *object, const char *name, int64_t *value)
{
    const json_t *member = json_object_get(object, name);

    if (json_is_real(member))
        return floor_to_int64(json_real_value(member), value);
    if (!json_is_integer(member))
        return false;
    *value = json_integer_value(member);
    return true;
}
