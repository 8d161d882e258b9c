#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "clients/mistakes.h"
#include "clients/mistakes_internal.h"

/*
 * A SARIF log names sections of OASIS SARIF 2.1.0 Errata 01 below. Mistakes that have no rule of
 * their own are of one that says no more: viewers group by rule, and GitHub wants one.
 */

#define SCHEMA                                                                                     \
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
#define SOURCE_ROOT "%SRCROOT%"
#define ANY_ERROR "mistake"
#define ANY_WARNING "warning"

struct writing {
    const struct diagnostics *diagnostics;
    const char *rules[DIAGNOSTICS_MAX];
    size_t rule_count;
};

static json_t *count_json(size_t count)
{
    return json_integer((json_int_t)count);
}

/* ---- files (3.4) ---- */

/* Source: RFC 3986 2.3, 3.3: what stands in a path as it is */
static bool is_path_byte(char byte)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~/!$&'()*+,;=@";

    return byte != '\0' && strchr(plain, byte) != NULL;
}

static json_t *uri_json(const char *scheme, struct str path)
{
    OWNED(buf_release) struct buf uri = { 0 };

    buf_init(&uri, 3 * path.len + 16);
    buf_add_text(&uri, scheme);
    for (size_t i = 0; i < path.len; i++) {
        if (is_path_byte(path.data[i]))
            buf_add_byte(&uri, (uint8_t)path.data[i]);
        else
            buf_printf(&uri, "%%%02X", (unsigned)(uint8_t)path.data[i]);
    }
    return buf_is_ok(&uri) ? json_from_str(buf_str(&uri)) : NULL;
}

/* Whether a path leads upwards or starts at the root: no part of the tree at hand, as it stands. */
static bool leads_out(struct str path)
{
    struct str part;
    bool is_more = true;

    if (str_starts_with(path, STR("/")))
        return true;
    while (is_more) {
        is_more = str_cut(path, '/', &part, &path);
        if (str_eq(part, STR("..")))
            return true;
    }
    return false;
}

/* The path behind the working directory; false where it is not in it. */
static bool cut_working_directory(struct str *path)
{
    char folder[PATH_MAX];
    struct str root;

    if (!realpath(".", folder))
        return false;
    root = str_from(folder);
    if (!str_starts_with(*path, root) || path->len <= root.len || path->data[root.len] != '/')
        return false;
    *path = str_slice(*path, root.len + 1, path->len);
    return true;
}

/* 3.4: an artifact's location. */
static json_t *location_json(struct str file)
{
    JSON_OWNED json_t *location = json_object();
    char resolved[PATH_MAX];
    bool is_inside = !leads_out(file);

    if (!is_inside && realpath(file.data, resolved)) {
        file = str_from(resolved);
        is_inside = cut_working_directory(&file);
    }
    while (is_inside && str_starts_with(file, STR("./")))
        file = str_slice(file, 2, file.len);
    if (is_inside && json_put(location, "uri", uri_json("", file)) &&
        json_put(location, "uriBaseId", json_string(SOURCE_ROOT)))
        return TAKE(location);
    if (!is_inside && json_put(location, "uri", uri_json("file://", file)))
        return TAKE(location);
    return NULL;
}

/* ---- places (3.29, 3.30) ---- */

static json_t *region_json(const struct position *at, size_t end_column)
{
    JSON_OWNED json_t *region = json_object();

    if (json_put(region, "startLine", count_json(at->line)) &&
        json_put(region, "startColumn", count_json(at->column)) &&
        json_put(region, "endColumn", count_json(end_column)))
        return TAKE(region);
    return NULL;
}

static json_t *physical_json(const struct position *at, size_t end_column)
{
    JSON_OWNED json_t *physical = json_object();

    if (json_put(physical, "artifactLocation", location_json(at->file)) &&
        (at->line == 0 || json_put(physical, "region", region_json(at, end_column))))
        return TAKE(physical);
    return NULL;
}

static json_t *message_json(struct str text)
{
    JSON_OWNED json_t *message = json_object();

    return json_put(message, "text", mistake_text(text)) ? TAKE(message) : NULL;
}

/* 3.28: a list of the one place. */
static json_t *places_json(const struct diagnostic *diagnostic)
{
    JSON_OWNED json_t *places = json_array();
    json_t *place = json_object();

    if (json_array_append_new(places, place) == 0 &&
        json_put(place, "physicalLocation",
                 physical_json(&diagnostic->at, mistake_end_column(diagnostic))))
        return TAKE(places);
    return NULL;
}

static json_t *related_json(const struct diagnostic *diagnostic)
{
    JSON_OWNED json_t *places = json_array();
    json_t *place = json_object();

    if (json_array_append_new(places, place) == 0 && json_put(place, "id", json_integer(0)) &&
        json_put(place, "message", message_json(diagnostic->related_note)) &&
        json_put(place, "physicalLocation",
                 physical_json(&diagnostic->related, diagnostic->related.column + 1)))
        return TAKE(places);
    return NULL;
}

/* ---- rules (3.49) ---- */

static bool is_error(const struct diagnostic *diagnostic)
{
    return diagnostic->severity == DIAGNOSTIC_ERROR;
}

static const char *rule_of(const struct diagnostic *diagnostic)
{
    if (diagnostic->rule)
        return diagnostic->rule;
    return is_error(diagnostic) ? ANY_ERROR : ANY_WARNING;
}

/* The index of a rule, which is added where it is new. */
static size_t rule_index(struct writing *writing, const char *rule)
{
    size_t index = 0;

    while (index < writing->rule_count && strcmp(writing->rules[index], rule) != 0)
        index++;
    if (index == writing->rule_count)
        writing->rules[writing->rule_count++] = rule;
    return index;
}

/* A rule's name in words: "organisation wide identity". */
static json_t *words_json(const char *rule)
{
    OWNED(buf_release) struct buf words = { 0 };

    buf_init(&words, strlen(rule) + 1);
    for (; *rule != '\0'; rule++)
        buf_add_byte(&words, *rule == '-' ? ' ' : (uint8_t)*rule);
    return buf_is_ok(&words) ? message_json(buf_str(&words)) : NULL;
}

static json_t *rules_json(const struct writing *writing)
{
    JSON_OWNED json_t *rules = json_array();

    for (size_t i = 0; i < writing->rule_count; i++) {
        json_t *rule = json_object();

        if (json_array_append_new(rules, rule) != 0 ||
            !json_put(rule, "id", json_string(writing->rules[i])) ||
            !json_put(rule, "shortDescription", words_json(writing->rules[i])))
            return NULL;
    }
    return TAKE(rules);
}

/* ---- results (3.27) ---- */

/* What is wrong and the hint, as one text. */
static json_t *whole_message_json(const struct diagnostic *diagnostic)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 4 * DIAGNOSTIC_TEXT_MAX);
    buf_add(&text, diagnostic->message);
    if (diagnostic->hint.len > 0) {
        buf_add_text(&text, " (");
        buf_add(&text, diagnostic->hint);
        buf_add_text(&text, ")");
    }
    return buf_is_ok(&text) ? message_json(buf_str(&text)) : NULL;
}

/* 3.8: how many places more have the same mistake. */
static json_t *repeats_json(const struct diagnostic *diagnostic)
{
    JSON_OWNED json_t *properties = json_object();

    if (json_put(properties, "repeats", count_json(diagnostic->repeat_count)))
        return TAKE(properties);
    return NULL;
}

static bool put_result(struct writing *writing, json_t *result, const struct diagnostic *diagnostic)
{
    const char *rule = rule_of(diagnostic);

    return json_put(result, "ruleId", json_string(rule)) &&
           json_put(result, "ruleIndex", count_json(rule_index(writing, rule))) &&
           json_put(result, "level", json_string(is_error(diagnostic) ? "error" : "warning")) &&
           json_put(result, "message", whole_message_json(diagnostic)) &&
           json_put(result, "locations", places_json(diagnostic)) &&
           (diagnostic->related.line == 0 ||
            json_put(result, "relatedLocations", related_json(diagnostic))) &&
           (diagnostic->repeat_count == 0 ||
            json_put(result, "properties", repeats_json(diagnostic)));
}

static json_t *results_json(struct writing *writing)
{
    JSON_OWNED json_t *results = json_array();

    for (size_t i = 0; i < writing->diagnostics->count; i++) {
        json_t *result = json_object();

        if (json_array_append_new(results, result) != 0 ||
            !put_result(writing, result, &writing->diagnostics->list[i]))
            return NULL;
    }
    return TAKE(results);
}

/* ---- the run (3.14) ---- */

/* 3.20.21: what is not in the results. */
static json_t *dropped_json(size_t count)
{
    JSON_OWNED json_t *list = json_array();
    json_t *notification = json_object();
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_printf(&text, "and %zu more that are not shown", count);
    if (json_array_append_new(list, notification) == 0 &&
        json_put(notification, "level", json_string("warning")) &&
        json_put(notification, "message", message_json(buf_str(&text))))
        return TAKE(list);
    return NULL;
}

static json_t *invocations_json(const struct diagnostics *diagnostics, int exit_code)
{
    JSON_OWNED json_t *list = json_array();
    json_t *invocation = json_object();

    if (json_array_append_new(list, invocation) == 0 &&
        json_put(invocation, "executionSuccessful", json_true()) &&
        json_put(invocation, "exitCode", json_integer(exit_code)) &&
        (diagnostics->dropped_count == 0 || json_put(invocation, "toolExecutionNotifications",
                                                     dropped_json(diagnostics->dropped_count))))
        return TAKE(list);
    return NULL;
}

static json_t *tool_json(const struct writing *writing)
{
    JSON_OWNED json_t *tool = json_object();
    json_t *driver = json_object();

    if (json_put(tool, "driver", driver) && json_put(driver, "name", json_string("stagepass")) &&
        json_put(driver, "semanticVersion", json_string(STAGEPASS_VERSION)) &&
        json_put(driver, "rules", rules_json(writing)))
        return TAKE(tool);
    return NULL;
}

static bool put_run(json_t *run, const struct diagnostics *diagnostics, int exit_code)
{
    struct writing writing = { .diagnostics = diagnostics };

    return json_put(run, "results", results_json(&writing)) &&
           json_put(run, "tool", tool_json(&writing)) &&
           json_put(run, "columnKind", json_string("unicodeCodePoints")) &&
           json_put(run, "invocations", invocations_json(diagnostics, exit_code));
}

json_t *mistakes_sarif(const struct diagnostics *diagnostics, int exit_code)
{
    JSON_OWNED json_t *log = json_object();
    json_t *runs = json_array();
    json_t *run = json_object();

    if (json_put(log, "version", json_string("2.1.0")) &&
        json_put(log, "$schema", json_string(SCHEMA)) && json_put(log, "runs", runs) &&
        json_array_append_new(runs, run) == 0 && put_run(run, diagnostics, exit_code))
        return TAKE(log);
    return NULL;
}
