#include "tests/unit/policy/schema_check.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/macros.h"
#include "base/yaml.h"
#include "tests/test.h"

#define REF "#/$defs/"
#define PATTERNS_MAX 64

/* Each pattern is compiled once: that takes longer than all the rest. */
static const regex_t *compiled(const char *pattern)
{
    static struct {
        const char *pattern;
        regex_t regex;
    } cache[PATTERNS_MAX];
    static size_t count;

    for (size_t i = 0; i < count; i++)
        if (strcmp(cache[i].pattern, pattern) == 0)
            return &cache[i].regex;
    assert_true(count < PATTERNS_MAX);
    cache[count].pattern = strdup(pattern);
    assert_non_null(cache[count].pattern);
    assert_int_equal(regcomp(&cache[count].regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    return &cache[count++].regex;
}

static bool matches(const char *pattern, const char *text)
{
    return regexec(compiled(pattern), text, 0, NULL, 0) == 0;
}

static const char *type_of(const struct schema_check *check, const json_t *value)
{
    const char *text = json_string_value(value);

    if (json_is_object(value))
        return "object";
    if (json_is_array(value))
        return "array";
    if (text == NULL || !yaml_is_plain(check->document, value))
        return text == NULL ? "null" : "string";
    if (matches("^(true|false)$", text))
        return "boolean";
    if (matches("^-?[0-9]+$", text))
        return "integer";
    if (matches("^-?[0-9]+\\.[0-9]+$", text))
        return "number";
    return matches("^(null|~|)$", text) ? "null" : "string";
}

static bool is_type(const struct schema_check *check, const json_t *value, const char *type)
{
    const char *found = type_of(check, value);

    return strcmp(found, type) == 0 ||
           (strcmp(type, "number") == 0 && strcmp(found, "integer") == 0);
}

/* A keyword's operand, and the schema in which it stands. */
struct use {
    const struct schema_check *check;
    const json_t *schema;
    const json_t *operand;
};

static bool passes(const struct use *use, const json_t *value)
{
    (void)use;
    (void)value;
    return true;
}

static bool fits_ref(const struct use *use, const json_t *value)
{
    const char *ref = json_string_value(use->operand);

    assert_int_equal(strncmp(ref, REF, strlen(REF)), 0);
    return schema_fits(use->check, schema_definition(use->check->root, ref + strlen(REF)), value);
}

static bool fits_type(const struct use *use, const json_t *value)
{
    size_t i;
    json_t *type;

    if (json_is_string(use->operand))
        return is_type(use->check, value, json_string_value(use->operand));
    json_array_foreach (use->operand, i, type) {
        if (is_type(use->check, value, json_string_value(type)))
            return true;
    }
    return false;
}

static bool fits_enum(const struct use *use, const json_t *value)
{
    size_t i;
    json_t *one;

    json_array_foreach (use->operand, i, one) {
        if (is_type(use->check, value, "string") && json_equal(one, value))
            return true;
    }
    return false;
}

static bool fits_const(const struct use *use, const json_t *value)
{
    if (json_is_string(use->operand))
        return is_type(use->check, value, "string") && json_equal(use->operand, value);
    assert_true(json_is_true(use->operand)); /* there is no other */
    return is_type(use->check, value, "boolean") && strcmp(json_string_value(value), "true") == 0;
}

static bool fits_pattern(const struct use *use, const json_t *value)
{
    return !is_type(use->check, value, "string") ||
           matches(json_string_value(use->operand), json_string_value(value));
}

static size_t number(const struct use *use)
{
    assert_true(json_is_integer(use->operand));
    return (size_t)json_integer_value(use->operand);
}

static bool fits_min_length(const struct use *use, const json_t *value)
{
    return !is_type(use->check, value, "string") || json_string_length(value) >= number(use);
}

static bool fits_max_length(const struct use *use, const json_t *value)
{
    return !is_type(use->check, value, "string") || json_string_length(value) <= number(use);
}

/* Digits that are none, or too many, are above every limit. */
static size_t integer_of(const json_t *value)
{
    int64_t integer = -1;

    return str_to_int64(json_str(value), &integer) ? (size_t)integer : SIZE_MAX;
}

static bool fits_minimum(const struct use *use, const json_t *value)
{
    return !is_type(use->check, value, "integer") || integer_of(value) >= number(use);
}

static bool fits_maximum(const struct use *use, const json_t *value)
{
    return !is_type(use->check, value, "integer") || integer_of(value) <= number(use);
}

static bool fits_required(const struct use *use, const json_t *value)
{
    size_t i;
    json_t *name;

    json_array_foreach (use->operand, i, name) {
        if (json_is_object(value) && json_object_get(value, json_string_value(name)) == NULL)
            return false;
    }
    return true;
}

static bool fits_min_properties(const struct use *use, const json_t *value)
{
    return !json_is_object(value) || json_object_size(value) >= number(use);
}

static bool fits_max_properties(const struct use *use, const json_t *value)
{
    return !json_is_object(value) || json_object_size(value) <= number(use);
}

static bool fits_properties(const struct use *use, const json_t *value)
{
    const char *name;
    json_t *schema;

    json_object_foreach (json_iterable(use->operand), name, schema) {
        const json_t *member = json_object_get(value, name);

        if (member != NULL && !schema_fits(use->check, schema, member))
            return false;
    }
    return true;
}

static bool fits_other_properties(const struct use *use, const json_t *value)
{
    const json_t *named = json_object_get(use->schema, "properties");
    const char *name;
    json_t *member;

    json_object_foreach (json_iterable(value), name, member) {
        if (json_object_get(named, name) == NULL && !schema_fits(use->check, use->operand, member))
            return false;
    }
    return true;
}

static bool fits_names(const struct use *use, const json_t *value)
{
    const char *pattern = json_string_value(json_object_get(use->operand, "pattern"));
    const char *name;
    json_t *member;

    assert_non_null(pattern); /* there is no other limit of names */
    json_object_foreach (json_iterable(value), name, member) {
        if (!matches(pattern, name))
            return false;
    }
    return true;
}

static bool fits_min_items(const struct use *use, const json_t *value)
{
    return !json_is_array(value) || json_array_size(value) >= number(use);
}

static bool fits_max_items(const struct use *use, const json_t *value)
{
    return !json_is_array(value) || json_array_size(value) <= number(use);
}

static bool fits_items(const struct use *use, const json_t *value)
{
    size_t i;
    json_t *item;

    json_array_foreach (value, i, item) {
        if (!schema_fits(use->check, use->operand, item))
            return false;
    }
    return true;
}

static size_t count_fitting(const struct use *use, const json_t *value)
{
    size_t count = 0;
    size_t i;
    json_t *schema;

    json_array_foreach (use->operand, i, schema) {
        count += schema_fits(use->check, schema, value);
    }
    return count;
}

static bool fits_any(const struct use *use, const json_t *value)
{
    return count_fitting(use, value) > 0;
}

static bool fits_one(const struct use *use, const json_t *value)
{
    return count_fitting(use, value) == 1;
}

static bool fits_all(const struct use *use, const json_t *value)
{
    return count_fitting(use, value) == json_array_size(use->operand);
}

static bool fits_not(const struct use *use, const json_t *value)
{
    return !schema_fits(use->check, use->operand, value);
}

static bool fits_if(const struct use *use, const json_t *value)
{
    const json_t *then = json_object_get(use->schema, "then");

    assert_non_null(then); /* without it nothing hangs on the condition */
    return !schema_fits(use->check, use->operand, value) || schema_fits(use->check, then, value);
}

static const struct keyword {
    const char *name;
    bool (*fits)(const struct use *use, const json_t *value);
} keywords[] = {
    { "$schema", passes },
    { "$defs", passes },
    { "title", passes },
    { "description", passes },
    { "$ref", fits_ref },
    { "type", fits_type },
    { "enum", fits_enum },
    { "const", fits_const },
    { "pattern", fits_pattern },
    { "minLength", fits_min_length },
    { "maxLength", fits_max_length },
    { "minimum", fits_minimum },
    { "maximum", fits_maximum },
    { "required", fits_required },
    { "minProperties", fits_min_properties },
    { "maxProperties", fits_max_properties },
    { "properties", fits_properties },
    { "additionalProperties", fits_other_properties },
    { "propertyNames", fits_names },
    { "minItems", fits_min_items },
    { "maxItems", fits_max_items },
    { "items", fits_items },
    { "anyOf", fits_any },
    { "oneOf", fits_one },
    { "allOf", fits_all },
    { "not", fits_not },
    { "if", fits_if },
    { "then", passes }, /* `if` asks it */
};

static const struct keyword *find_keyword(const char *name)
{
    for (size_t i = 0; i < COUNT(keywords); i++)
        if (strcmp(keywords[i].name, name) == 0)
            return &keywords[i];
    fail_msg("no such keyword: %s", name);
    abort(); /* never reached, which the compiler cannot know */
}

bool schema_fits(const struct schema_check *check, const json_t *schema, const json_t *value)
{
    const char *name;
    json_t *operand;

    if (json_is_boolean(schema))
        return json_is_true(schema);
    json_object_foreach (json_iterable(schema), name, operand) {
        const struct use use = { check, schema, operand };

        if (!find_keyword(name)->fits(&use, value))
            return false;
    }
    return true;
}

const json_t *schema_definition(const json_t *root, const char *name)
{
    const json_t *definition = json_object_get(json_object_get(root, "$defs"), name);

    if (definition == NULL)
        fail_msg("the schema has no definition '%s'", name);
    return definition;
}
