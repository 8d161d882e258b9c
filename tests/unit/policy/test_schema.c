#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "policy/policy_loader.h"
#include "policy/schema.h"
#include "schema_check.h"
#include "targets/target.h"
#include "tests/test.h"

/* The schema for editors has the parser's words, and takes whatever the parser takes. */

#define CASES "../../data/policy"
#define EXAMPLES "../../../policy/examples"
#define GOOD_MIN 100    /* files that the parser takes */
#define REFUSED_MIN 140 /* files that it does not, and the schema neither */

static json_t *schema;

static int read_schema(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(json_parse_object(
        policy_schema(), (struct json_limits){ (size_t)256 * 1024, 32, 20000 }, &schema, &error));
    return 0;
}

static int drop_schema(void **state)
{
    (void)state;
    json_decref(schema);
    return 0;
}

/* ---- words ---- */

static const struct {
    enum policy_place place;
    const char *definition;
    enum policy_place also; /* whose words stand there, too; its own where there is none */
} places[] = {
    { POLICY_PLACE_DOCUMENT, "document", POLICY_PLACE_DOCUMENT },
    { POLICY_PLACE_TEMPLATE, "template_file", POLICY_PLACE_TEMPLATE },
    { POLICY_PLACE_PIPELINE, "pipeline_file", POLICY_PLACE_PIPELINE },
    { POLICY_PLACE_STAGE, "stage", POLICY_PLACE_STAGE },
    { POLICY_PLACE_AFTER, "after", POLICY_PLACE_AFTER },
    { POLICY_PLACE_APPROVAL, "approval", POLICY_PLACE_APPROVAL },
    { POLICY_PLACE_LIMITS, "limits", POLICY_PLACE_LIMITS },
    { POLICY_PLACE_LEASE, "lease", POLICY_PLACE_LEASE },
    { POLICY_PLACE_GRANT, "grant", POLICY_PLACE_FORBIDDEN_KIND },
    { POLICY_PLACE_TEST, "test", POLICY_PLACE_TEST },
    { POLICY_PLACE_GUARDRAILS, "guardrails", POLICY_PLACE_GUARDRAILS },
    { POLICY_PLACE_LIVES, "lives", POLICY_PLACE_LIVES },
    { POLICY_PLACE_TTL, "ttl", POLICY_PLACE_TTL },
    { POLICY_PLACE_FORBID, "forbid", POLICY_PLACE_FORBIDDEN_KIND },
    { POLICY_PLACE_SEPARATE, "separate", POLICY_PLACE_SEPARATE },
    { POLICY_PLACE_REQUIRE, "require", POLICY_PLACE_REQUIRE },
    { POLICY_PLACE_REQUIRED_LIMITS, "required_limits", POLICY_PLACE_REQUIRED_LIMITS },
    { POLICY_PLACE_REQUIRED_APPROVAL, "required_approval", POLICY_PLACE_REQUIRED_APPROVAL },
    { POLICY_PLACE_REQUIRED_REVIEW, "required_review", POLICY_PLACE_REQUIRED_REVIEW },
    { POLICY_PLACE_REQUIRED_LEASE, "required_lease", POLICY_PLACE_REQUIRED_LEASE },
    { POLICY_PLACE_FREEZE, "freeze", POLICY_PLACE_FREEZE },
    { POLICY_PLACE_EXCEPTION, "exception", POLICY_PLACE_EXCEPTION },
    { POLICY_PLACE_REACH, "reach", POLICY_PLACE_REACH },
    { POLICY_PLACE_EXCEPT, "except", POLICY_PLACE_EXCEPT },
};
_Static_assert(COUNT(places) == POLICY_PLACE_EXCEPT, "a place without its definition");

static const json_t *properties_of(const char *definition)
{
    return json_object_get(schema_definition(schema, definition), "properties");
}

static void expect_words(enum policy_place place, const char *definition)
{
    const json_t *properties = properties_of(definition);
    const char *word;

    assert_non_null(policy_words_at(place, 0));
    for (size_t i = 0; (word = policy_words_at(place, i)) != NULL; i++)
        if (json_object_get(properties, word) == NULL)
            fail_msg("'%s' of the schema has no '%s'", definition, word);
}

static void the_schema_has_all_words_and_no_other(void **state)
{
    const char *name;
    json_t *property;

    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        expect_words(places[i].place, places[i].definition);
        expect_words(places[i].also, places[i].definition);
        json_object_foreach (json_iterable(properties_of(places[i].definition)), name, property) {
            if (!policy_words_has(places[i].place, name) && !policy_words_has(places[i].also, name))
                fail_msg("'%s' of the schema has '%s', and the language does not",
                         places[i].definition, name);
        }
    }
}

static void check_fields(const struct policy_grant_kind *kind)
{
    char definition[64];
    size_t count = 0;

    (void)snprintf(definition, sizeof(definition), "grant_%s", kind->name);
    for (; kind->fields[count] != NULL; count++)
        if (json_object_get(properties_of(definition), kind->fields[count]) == NULL)
            fail_msg("'%s' of the schema has no '%s'", definition, kind->fields[count]);
    assert_int_equal(json_object_size(properties_of(definition)), count);
    if (json_object_get(properties_of("grant"), kind->name) == NULL)
        fail_msg("'grant' of the schema has no '%s'", kind->name);
}

static void the_schema_has_all_fields_of_all_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < target_kind_count; i++)
        check_fields(target_grant_kinds()[i]);
}

/* ---- files ---- */

/* Whether a file is YAML, and the schema takes it. */
static bool takes_file(const char *path)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)32 * 1024 * 1024);
    struct yaml_document *document = NULL;
    struct diagnostics diagnostics;
    struct error error = { 0 };
    struct str text;
    bool fits = false;

    diagnostics_init(&diagnostics, arena);
    assert_true(file_read(arena, path, YAML_BYTES_MAX, &text, &error));
    if (yaml_parse(str_from(path), text, &diagnostics, &document))
        fits = schema_fits(&(struct schema_check){ schema, document }, schema, yaml_root(document));
    yaml_document_free(document);
    return fits;
}

static bool takes_text(const char *text)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct yaml_document *document = NULL;
    struct diagnostics diagnostics;
    bool fits;

    diagnostics_init(&diagnostics, arena);
    assert_true(yaml_parse(STR("p.yaml"), str_from(text), &diagnostics, &document));
    fits = schema_fits(&(struct schema_check){ schema, document }, schema, yaml_root(document));
    yaml_document_free(document);
    return fits;
}

/* Whether the parser takes what is in the folder of a case. */
static bool is_good(const char *path)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct str folder = str_from(path + strlen(CASES "/"));
    struct error error = { 0 };
    struct str expected;
    struct str rest;

    (void)str_cut(folder, '/', &folder, &rest);
    assert_true(file_read(arena,
                          arena_printf(arena, CASES "/" STR_FMT "/expected", STR_ARG(folder)).data,
                          (size_t)512 * 1024, &expected, &error));
    return strstr(expected.data, " error: ") == NULL;
}

static bool is_policy(const FTSENT *entry)
{
    struct str path = str_from(entry->fts_path);

    return entry->fts_info == FTS_F && !str_ends_with(path, STR("/catalog.yaml")) &&
           (str_ends_with(path, STR(".yaml")) || str_ends_with(path, STR(".yml")));
}

static void the_schema_takes_whatever_the_parser_takes(void **state)
{
    char cases[] = CASES;
    char examples[] = EXAMPLES;
    char *const roots[] = { cases, examples, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    size_t good = 0;
    size_t refused = 0;
    FTSENT *entry;

    (void)state;
    assert_non_null(tree);
    while ((entry = fts_read(tree)) != NULL) {
        bool is_case = str_starts_with(str_from(entry->fts_path), STR(CASES "/"));

        if (!is_policy(entry))
            continue;
        if (is_case && !is_good(entry->fts_path)) {
            refused += !takes_file(entry->fts_path);
            continue;
        }
        good++;
        if (!takes_file(entry->fts_path))
            fail_msg("the schema refuses %s", entry->fts_path);
    }
    (void)fts_close(tree);
    assert_true(good >= GOOD_MIN);
    assert_true(refused >= REFUSED_MIN);
}

#define HEAD "pipeline: a\nowner: b\nidentity: { issuer: github, repository_id: '1' }\n"
#define STAGE(words) HEAD "stages: { s: { kind: build, " words " } }\n"
#define RULES(words) "guardrails: { " words " }\n"

static void mistakes_are_refused(void **state)
{
    static const char *const good[] = {
        HEAD "stages: { s: { kind: build } }\n",
        STAGE("when: { ref: { like: 'refs/heads/*' } }"),
        STAGE("grants: { g: { jwt: { audience: a }, ttl: 5m } }"),
        STAGE("proof: [dpop, key], from: 10.0.0.0/8, until: 2027-01-01"),
        HEAD "stages: { s: { use: web, with: { a: 1 } } }\n",
        "template: t\nparameters: [k]\nstage: { kind: '${param.k}' }\n",
        "sets: { s: [a, 1] }\n",
        RULES("ttl: { build: 15m }"),
        RULES("separate: [ { name: s, principals: true } ]"),
    };
    static const char *const bad[] = {
        "{}\n",
        HEAD,
        "owner: b\n",
        HEAD "stages: {}\n",
        HEAD "stages: { s: { environment: production } }\n",
        HEAD "stages: { S: { kind: build } }\n",
        HEAD "stages: { s: { kind: biuld } }\n",
        HEAD "stages: { s: { kind: build } }\nsets: { s: [a] }\n",
        STAGE("wehn: { ref: a }"),
        STAGE("when: {}"),
        STAGE("when: { ref: [] }"),
        STAGE("when: { ref: { lke: a } }"),
        STAGE("when: { ref: { not: { like: a, in: b } } }"),
        STAGE("when: { ref: { exists: sometimes } }"),
        STAGE("grants: { g: { ttl: 5m } }"),
        STAGE("grants: { g: { jwt: { audience: a }, ssh: { target: b } } }"),
        STAGE("grants: { g: { jwt: { audiense: a } } }"),
        STAGE("grants: { g: { ssh: { principals: [a] } } }"),
        STAGE("grants: { g: { jwt: { audience: a }, ttl: 300 } }"),
        STAGE("proof: tls"),
        STAGE("until: tomorrow"),
        STAGE("approval: { count: 1 }"),
        STAGE("approval: { by: a, count: 0 }"),
        STAGE("approval: { by: a, count: 11 }"),
        STAGE("limits: { per_job: 1000001 }"),
        STAGE("limits: { full: drop }"),
        "template: t\nstage: { use: u }\n",
        "template: t\nparameters: []\nstage: { kind: build }\n",
        "sets: { s: [] }\n",
        RULES("ttl: { biuld: 15m }"),
        RULES("forbid: [ { name: f } ]"),
        RULES("forbid: [ { aws: ['*'] } ]"),
        RULES("separate: [ { name: s, principals: false } ]"),
        RULES("separate: [ { name: s, kinds: build } ]"),
        RULES("require: [ { name: r } ]"),
        RULES("freeze: [ { name: f, from: 2026-12-20 } ]"),
        RULES("exceptions: [ { from: r, pipeline: p, stage: s, until: 2026-12-31 } ]"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!takes_text(good[i]))
            fail_msg("refused:\n%s", good[i]);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (takes_text(bad[i]))
            fail_msg("taken:\n%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schema_has_all_words_and_no_other),
        cmocka_unit_test(the_schema_has_all_fields_of_all_kinds),
        cmocka_unit_test(the_schema_takes_whatever_the_parser_takes),
        cmocka_unit_test(mistakes_are_refused),
    };

    return cmocka_run_group_tests(tests, read_schema, drop_schema);
}
