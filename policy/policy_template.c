#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "policy/policy_loader.h"

static int compare_names(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* ---- parameters ---- */

/* The index of a parameter, or `parameter_count`. */
static size_t find_parameter(const struct policy_template *template, struct str name)
{
    size_t index = 0;

    while (index < template->parameter_count && !str_eq(template->parameters[index], name))
        index++;
    return index;
}

bool policy_template_has(const struct policy_template *template, struct str parameter)
{
    return template != NULL && find_parameter(template, parameter) < template->parameter_count;
}

bool policy_parameter_of(struct str hole, struct str *name)
{
    static const struct str prefix = STR_INIT("param.");

    if (!str_starts_with(hole, prefix))
        return false;
    *name = str_slice(hole, prefix.len, hole.len);
    return true;
}

struct str policy_parameter_hint(const struct policy_loader *loader,
                                 const struct policy_template *template, struct str name)
{
    return diagnostic_nearest(loader->reader.diagnostics->arena, name, template->parameters,
                              template->parameter_count);
}

/* ---- a template document ---- */

/* A template as it is read. */
struct definition {
    struct policy_loader *loader;
    struct policy_template *template;
    bool is_used[POLICY_PARAMETERS_MAX]; /* a parameter each */
    bool are_incomplete;                 /* not all parameters are known: there was a mistake */
};

static void read_name(struct definition *definition, const json_t *root)
{
    struct policy_loader *loader = definition->loader;
    const json_t *at = json_object_get(root, "template");
    struct str name = { 0 };

    if (!yaml_get_str(&loader->reader, root, "template", &name))
        return;
    if (!policy_is_name(name, POLICY_NAME_SET, POLICY_NAME_MAX))
        (void)yaml_complain(&loader->reader, at,
                            "a template's name has 1 to %d of a-z, 0-9 and '-'", POLICY_NAME_MAX);
    definition->template->name = policy_loader_copy(loader, name);
    definition->template->at = yaml_at(loader->reader.document, at);
    definition->template->at.file = loader->unit->path;
}

static bool check_parameter(const struct policy_loader *loader, const json_t *list, size_t index)
{
    const json_t *item = json_array_get(list, index);

    if (!json_is_string(item) ||
        !policy_is_name(json_str(item), POLICY_PARAMETER_SET, POLICY_NAME_MAX))
        return yaml_complain(&loader->reader, item,
                             "a parameter's name has 1 to %d of a-z, 0-9 and '_'", POLICY_NAME_MAX);
    for (size_t i = 0; i < index; i++)
        if (str_eq(json_str(json_array_get(list, i)), json_str(item)))
            return yaml_complain(&loader->reader, item,
                                 "the parameter '" STR_FMT "' is there twice",
                                 STR_ARG(json_str(item)));
    return true;
}

static void read_parameters(struct definition *definition, const json_t *root)
{
    struct policy_loader *loader = definition->loader;
    const json_t *list = NULL;
    struct str *names;
    size_t count;

    if (json_object_get(root, "parameters") == NULL)
        return;
    definition->are_incomplete = true;
    if (!yaml_get_list(&loader->reader, root, "parameters", &list))
        return;
    count = json_array_size(list);
    if (count == 0 || count > POLICY_PARAMETERS_MAX) {
        (void)yaml_complain_hint(
            &loader->reader, list, count == 0 ? STR("leave 'parameters' out") : STR(""),
            "a template has 1 to %d parameters, not %zu", POLICY_PARAMETERS_MAX, count);
        return;
    }
    names = policy_loader_alloc(loader, count, sizeof(*names));
    if (names == NULL)
        return;
    definition->template->parameters = names;
    for (size_t i = 0; i < count; i++)
        if (check_parameter(loader, list, i))
            names[definition->template->parameter_count++] =
                policy_loader_copy(loader, json_str(json_array_get(list, i)));
    definition->are_incomplete = definition->template->parameter_count < count;
    qsort(names, definition->template->parameter_count, sizeof(*names), compare_names);
}

/* Check the holes of a text that are parameters. */
static void check_text(struct definition *definition, const json_t *at)
{
    const struct policy_loader *loader = definition->loader;
    struct str text = json_str(at);
    struct policy_piece piece = { 0 };
    struct str name;
    size_t index;

    while (!piece.is_last) {
        if (!policy_piece_take(&text, &piece)) {
            (void)yaml_complain(&loader->reader, at, "'${' opens a hole that no '}' ends");
            return;
        }
        if (piece.is_last || !policy_parameter_of(piece.name, &name))
            continue;
        index = find_parameter(definition->template, name);
        if (index < definition->template->parameter_count)
            definition->is_used[index] = true;
        else if (!definition->are_incomplete)
            (void)yaml_complain_hint(
                &loader->reader, at, policy_parameter_hint(loader, definition->template, name),
                "'parameters' has no '" STR_FMT "'", STR_ARG(str_slice(name, 0, POLICY_NAME_MAX)));
    }
}

static void check_key(const struct policy_loader *loader, const json_t *map, const char *key)
{
    struct str text = str_from(key);
    struct policy_piece piece;

    if (policy_piece_take(&text, &piece) && piece.is_last)
        return;
    (void)yaml_complain_key(&loader->reader, map, key, STR("parameters fill values"),
                            "'${...}' cannot stand in a key");
}

static void check_value(struct definition *definition, const json_t *value)
{
    const char *key;
    json_t *member;

    if (json_is_string(value))
        check_text(definition, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        check_value(definition, json_array_get(value, i));
    json_object_foreach (json_iterable(value), key, member) {
        check_key(definition->loader, value, key);
        check_value(definition, member);
    }
}

static void read_stage(struct definition *definition, const json_t *root)
{
    static const char *const words[] = { "use", "with" };
    struct policy_loader *loader = definition->loader;
    const json_t *stage = NULL;

    if (!yaml_require(&loader->reader, root, "stage") ||
        !yaml_get_map(&loader->reader, root, "stage", &stage))
        return;
    for (size_t i = 0; i < COUNT(words); i++)
        if (json_object_get(stage, words[i]) != NULL)
            (void)yaml_complain_key(&loader->reader, stage, words[i], STR(""),
                                    "a template uses no other one: '%s' stands in a pipeline's "
                                    "stage",
                                    words[i]);
    check_value(definition, stage);
    definition->template->stage = stage;
}

/* What is declared and does nothing is a mistake in one of the two places. */
static void check_parameters_are_used(const struct definition *definition, const json_t *root)
{
    const struct policy_loader *loader = definition->loader;
    const json_t *list = json_object_get(root, "parameters");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        size_t index = find_parameter(definition->template, json_str(item));

        if (index < definition->template->parameter_count && !definition->is_used[index])
            (void)yaml_complain_hint(
                &loader->reader, item, STR("write '${param.NAME}', or remove it"),
                "the parameter '" STR_FMT "' is used nowhere", STR_ARG(json_str(item)));
    }
}

/* Positions are of the file as it is: its users are compiled again when anything in it moves. */
static void hash_template(const struct policy_loader *loader, struct policy_template *template)
{
    uint8_t digests[2 * SHA256_LEN];

    sha256(loader->unit->path, digests);
    memcpy(digests + SHA256_LEN, loader->unit->sha256, SHA256_LEN);
    sha256((struct str){ (const char *)digests, sizeof(digests) }, template->sha256);
}

void policy_template_read(struct policy_loader *loader, const json_t *root)
{
    struct policy_template *template = policy_loader_alloc(loader, 1, sizeof(*template));
    struct definition definition = { .loader = loader, .template = template };

    if (template == NULL || !policy_words_check(loader, POLICY_PLACE_TEMPLATE, root))
        return;
    read_name(&definition, root);
    read_parameters(&definition, root);
    read_stage(&definition, root);
    if (template->stage != NULL)
        check_parameters_are_used(&definition, root);
    template->document = loader->reader.document;
    template->unit = loader->unit;
    hash_template(loader, template);
    loader->unit->template = template;
}

/* ---- all templates ---- */

static int compare_templates(const void *a, const void *b)
{
    const struct policy_template *left = *(const struct policy_template *const *)a;
    const struct policy_template *right = *(const struct policy_template *const *)b;
    int order = str_compare(left->name, right->name);

    return order != 0 ? order : str_compare(left->at.file, right->at.file);
}

static void check_unique(const struct policy_definitions *definitions,
                         struct diagnostics *diagnostics)
{
    for (size_t i = 1; i < definitions->template_count; i++) {
        const struct policy_template *first = definitions->templates[i - 1];
        const struct policy_template *second = definitions->templates[i];

        if (!str_eq(first->name, second->name))
            continue;
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, second->at,
                              yaml_source(second->document, second->at), STR(""),
                              "the template '" STR_FMT "' is there already", STR_ARG(second->name));
        diagnostics_underline(diagnostics, second->name.len);
        diagnostics_relate(diagnostics, first->at, yaml_source(first->document, first->at),
                           STR("the other one is here"));
    }
}

bool policy_templates_gather(struct policy_unit *const *units, size_t count, struct arena *arena,
                             struct diagnostics *diagnostics,
                             struct policy_definitions *definitions)
{
    size_t max = 0;

    for (size_t i = 0; i < count; i++)
        max += units[i] != NULL && units[i]->template != NULL;
    definitions->templates =
        arena_alloc_array(arena, max + 1, sizeof(const struct policy_template *));
    if (definitions->templates == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (units[i] != NULL && units[i]->template != NULL)
            definitions->templates[definitions->template_count++] = units[i]->template;
    qsort(definitions->templates, max, sizeof(const struct policy_template *), compare_templates);
    check_unique(definitions, diagnostics);
    return true;
}

/* The index of the template of a name, or `template_count`. */
static size_t find_template(const struct policy_definitions *definitions, struct str name)
{
    for (size_t low = 0, high = definitions->template_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, definitions->templates[middle]->name);

        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return definitions->template_count;
}

const struct policy_template *policy_template_find(const struct policy_definitions *definitions,
                                                   struct str name)
{
    size_t index = find_template(definitions, name);

    return index == definitions->template_count ? NULL : definitions->templates[index];
}

static void mark_uses(const struct policy_definitions *definitions, const struct policy_unit *unit,
                      bool *is_used)
{
    for (size_t i = 0; i < unit->use_count; i++)
        if (unit->uses[i].set == NULL)
            is_used[find_template(definitions, unit->uses[i].unit->template->name)] = true;
}

bool policy_templates_check_use(const struct policy_definitions *definitions,
                                struct policy_unit *const *units, size_t count,
                                struct diagnostics *diagnostics)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    bool *is_used = arena == NULL
                        ? NULL
                        : arena_alloc_array(arena, definitions->template_count + 1, sizeof(bool));

    if (is_used == NULL)
        return false;
    for (size_t i = 0; definitions->template_count > 0 && i < count; i++)
        mark_uses(definitions, units[i], is_used);
    for (size_t i = 0; i < definitions->template_count; i++) {
        const struct policy_template *template = definitions->templates[i];

        if (is_used[i])
            continue;
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_WARNING, template->at,
                              yaml_source(template->document, template->at),
                              STR("a template is checked where it is used"),
                              "no stage uses the template '" STR_FMT "'", STR_ARG(template->name));
        diagnostics_underline(diagnostics, template->name.len);
        diagnostics_name(diagnostics, "unused-template");
    }
    return true;
}
