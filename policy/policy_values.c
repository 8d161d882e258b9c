#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_loader.h"

static const char *const type_names[] = {
    [POLICY_ANY] = "text",           [POLICY_TEXT] = "text",
    [POLICY_INTEGER] = "a number",   [POLICY_BOOLEAN] = "true or false",
    [POLICY_ADDRESS] = "an address",
};

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static int compare_integers(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static bool read_integer(struct str text, enum policy_type type, int64_t *integer)
{
    if (type == POLICY_INTEGER)
        return str_to_int64(text, integer);
    *integer = str_eq(text, STR("true"));
    return *integer == 1 || str_eq(text, STR("false"));
}

/* Refuse text that can never be equal to a claim, or that looks like a pattern. */
static bool check_text(const struct policy_loader *loader, const json_t *at, struct str text)
{
    const struct yaml_reader *reader = &loader->reader;

    if (text.len == 0)
        return yaml_complain_hint(reader, at, STR("an empty claim is absent: { exists: false }"),
                                  "an empty value fits nothing");
    if (text.len > POLICY_VALUE_MAX)
        return yaml_complain(reader, at, "a value has at most %d bytes", POLICY_VALUE_MAX);
    if (str_find(text, '*') < text.len)
        return yaml_complain_hint(reader, at, STR("a pattern is written { like: \"...\" }"),
                                  "'*' is no pattern here: a plain value is compared exactly");
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '$' && text.data[i + 1] == '{')
            return yaml_complain(reader, at,
                                 "'${...}' is filled in grants only, not in conditions");
    return true;
}

static bool check_scalar(const struct policy_loader *loader, const json_t *json)
{
    if (json_is_string(json))
        return true;
    return yaml_complain_hint(&loader->reader, json,
                              STR("a list means one of its values; a list of maps stands directly "
                                  "under 'when', 'unless' or 'identity'"),
                              "expected a plain value, not %s",
                              json_is_array(json) ? "a list" : "a map");
}

static bool read_one(struct policy_loader *loader, const json_t *json, enum policy_type type,
                     struct str *texts, int64_t *integers)
{
    struct str text;

    if (!check_scalar(loader, json))
        return false;
    text = json_str(json);
    if (type == POLICY_TEXT) {
        *texts = policy_loader_copy(loader, text);
        return check_text(loader, json, text);
    }
    if (read_integer(text, type, integers))
        return true;
    return yaml_complain(&loader->reader, json, "expected %s, not '" STR_FMT "'", type_names[type],
                         STR_ARG(str_slice(text, 0, 60)));
}

/* Sort, and report a value that is there twice. */
static bool sort_values(const struct policy_loader *loader, const json_t *at, struct str *texts,
                        int64_t *integers, size_t count)
{
    if (texts != NULL)
        qsort(texts, count, sizeof(*texts), compare_texts);
    else
        qsort(integers, count, sizeof(*integers), compare_integers);
    for (size_t i = 1; i < count; i++) {
        if (texts != NULL && str_eq(texts[i - 1], texts[i]))
            return yaml_complain(&loader->reader, at, "the value '" STR_FMT "' is there twice",
                                 STR_ARG(str_slice(texts[i], 0, 60)));
        if (texts == NULL && integers[i - 1] == integers[i])
            return yaml_complain(&loader->reader, at, "a value is there twice");
    }
    return true;
}

static bool read_list(struct policy_loader *loader, const json_t *json, enum policy_type type,
                      size_t max, struct policy_values *values)
{
    size_t count = json_is_array(json) ? json_array_size(json) : 1;
    struct str *texts = NULL;
    int64_t *integers = NULL;
    bool is_good = true;

    if (count == 0)
        return yaml_complain(&loader->reader, json, "an empty list fits nothing");
    if (count > max)
        return yaml_complain(&loader->reader, json, "a list has at most %zu values, not %zu", max,
                             count);
    if (type == POLICY_TEXT)
        texts = policy_loader_alloc(loader, count, sizeof(*texts));
    else
        integers = policy_loader_alloc(loader, count, sizeof(*integers));
    if (texts == NULL && integers == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_is_array(json) ? json_array_get(json, i) : json;

        if (!read_one(loader, item, type, texts == NULL ? NULL : &texts[i],
                      integers == NULL ? NULL : &integers[i]))
            is_good = false;
    }
    *values = (struct policy_values){ texts, integers, count, NULL };
    return is_good && sort_values(loader, json, texts, integers, count);
}

bool policy_values_read(struct policy_loader *loader, const json_t *json, enum policy_type type,
                        struct policy_values *values)
{
    return read_list(loader, json, type, POLICY_VALUES_MAX, values);
}

/* ---- times ---- */

bool policy_time_read(const struct policy_loader *loader, const json_t *map, const char *key,
                      int64_t *time_s)
{
    struct str text = { 0 };
    int64_t time_ms = 0;

    if (!yaml_get_str(&loader->reader, map, key, &text))
        return false;
    if (!time_text_parse(text, &time_ms))
        return yaml_complain_hint(&loader->reader, json_object_get(map, key),
                                  STR("a date is its start in UTC"),
                                  "'%s' is a date such as 2026-11-22, or a time such as "
                                  "2026-11-22T10:00:00Z",
                                  key);
    *time_s = time_ms / 1000;
    return true;
}

/* ---- sets ---- */

/* What a set's list comes to: users are compiled again where it changes. */
static void hash_set(struct policy_loader *loader, struct policy_set *set)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, SIZE_MAX / 2);
    buf_add_json(&text, set->list);
    loader->is_out_of_memory |= !buf_is_ok(&text);
    sha256(buf_str(&text), set->sha256);
}

static void read_set(struct policy_loader *loader, const json_t *map, const char *name)
{
    const json_t *list = json_object_get(map, name);
    struct policy_set *set = &loader->unit->sets[loader->unit->set_count];

    if (!json_is_array(list)) {
        (void)yaml_complain_hint(&loader->reader, list, STR("a set is written [a, b]"),
                                 "a set is a list of values");
        return;
    }
    if (!policy_is_name(str_from(name), POLICY_NAME_SET "._", POLICY_SET_NAME_MAX)) {
        (void)yaml_complain_key(&loader->reader, map, name, STR(""),
                                "a set's name has 1 to %d of a-z, 0-9, '.', '_' and '-'",
                                POLICY_SET_NAME_MAX);
        return;
    }
    if (!read_list(loader, list, POLICY_TEXT, POLICY_SET_VALUES_MAX, &set->values))
        return;
    set->name = policy_loader_copy(loader, str_from(name));
    set->at = yaml_at_key(loader->reader.document, map, name);
    set->at.file = loader->unit->path;
    set->list = policy_loader_keep(loader, list);
    set->unit = loader->unit;
    hash_set(loader, set);
    loader->unit->set_count++;
}

void policy_sets_read(struct policy_loader *loader, const json_t *root)
{
    static const char *const names[] = { "sets", NULL };
    const json_t *map = NULL;
    const char *name;
    json_t *value;

    if (!yaml_expect_map(&loader->reader, root, names) ||
        !yaml_get_map(&loader->reader, root, "sets", &map))
        return;
    if (json_object_size(map) == 0)
        (void)yaml_complain(&loader->reader, map, "there is no set in 'sets'");
    loader->unit->sets =
        policy_loader_alloc(loader, json_object_size(map) + 1, sizeof(loader->unit->sets[0]));
    if (loader->unit->sets == NULL)
        return;
    json_object_foreach (json_iterable(map), name, value) {
        read_set(loader, map, name);
    }
}

static int compare_sets(const void *a, const void *b)
{
    const struct policy_set *left = *(const struct policy_set *const *)a;
    const struct policy_set *right = *(const struct policy_set *const *)b;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->at.file, right->at.file);
}

static void check_unique(const struct policy_definitions *definitions,
                         struct diagnostics *diagnostics)
{
    for (size_t i = 1; i < definitions->set_count; i++) {
        const struct policy_set *first = definitions->sets[i - 1];
        const struct policy_set *second = definitions->sets[i];

        if (str_eq(first->name, second->name))
            (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, second->at, STR(""), STR(""),
                                  "the set '" STR_FMT "' is already at " STR_FMT ":%zu:%zu",
                                  STR_ARG(second->name), STR_ARG(first->at.file), first->at.line,
                                  first->at.column);
    }
}

bool policy_sets_gather(struct policy_unit *const *units, size_t count, struct arena *arena,
                        struct diagnostics *diagnostics, struct policy_definitions *definitions)
{
    size_t max = 0;

    for (size_t i = 0; i < count; i++)
        max += units[i] == NULL ? 0 : units[i]->set_count;
    definitions->sets = arena_alloc_array(arena, max + 1, sizeof(const struct policy_set *));
    if (definitions->sets == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; units[i] != NULL && k < units[i]->set_count; k++)
            definitions->sets[definitions->set_count++] = &units[i]->sets[k];
    qsort(definitions->sets, max, sizeof(const struct policy_set *), compare_sets);
    check_unique(definitions, diagnostics);
    return true;
}

const struct policy_set *policy_set_find(const struct policy_definitions *definitions,
                                         struct str name)
{
    for (size_t low = 0, high = definitions->set_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, definitions->sets[middle]->name);

        if (order == 0)
            return definitions->sets[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool complain_set(struct policy_loader *loader, const json_t *use)
{
    size_t count = loader->definitions->set_count;
    struct str *names = policy_loader_names(loader, count);

    for (size_t i = 0; names != NULL && i < count; i++)
        names[i] = loader->definitions->sets[i]->name;
    return policy_loader_miss(loader, use, "set", names, names == NULL ? 0 : count);
}

/* The set's texts as integers or booleans. */
static bool convert_set(struct policy_loader *loader, const json_t *use,
                        const struct policy_set *set, enum policy_type type,
                        struct policy_values *values)
{
    int64_t *integers = policy_loader_alloc(loader, set->values.count, sizeof(*integers));

    if (integers == NULL)
        return false;
    for (size_t i = 0; i < set->values.count; i++)
        if (!read_integer(set->values.texts[i], type, &integers[i]))
            return yaml_complain(&loader->reader, use,
                                 "the set holds '" STR_FMT "', where %s is expected",
                                 STR_ARG(str_slice(set->values.texts[i], 0, 60)), type_names[type]);
    *values = (struct policy_values){ NULL, integers, set->values.count, &set->name };
    return sort_values(loader, use, NULL, integers, values->count);
}

static void remember_set(struct policy_loader *loader, const struct policy_set *set)
{
    policy_loader_use(loader, &(struct policy_use){ set->unit, set });
    if (json_object_set(loader->used_sets, set->name.data, json_iterable(set->list)) != 0)
        loader->is_out_of_memory = true;
}

bool policy_values_of_set(struct policy_loader *loader, const json_t *use, enum policy_type type,
                          struct policy_values *values)
{
    const struct policy_set *set;

    if (!json_is_string(use))
        return yaml_complain(&loader->reader, use, "'in' takes the name of a set");
    set = policy_set_find(loader->definitions, json_str(use));
    if (set == NULL)
        return complain_set(loader, use);
    remember_set(loader, set);
    if (type != POLICY_TEXT)
        return convert_set(loader, use, set, type, values);
    *values = set->values;
    values->set = &set->name;
    return true;
}
