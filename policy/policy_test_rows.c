#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_loader.h"

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

/* What reading a row works with. */
struct row_reader {
    struct policy_loader *loader;
    const struct policy_scope *scope;
    const struct policy_pipeline *pipeline;
    const json_t *json;
    struct policy_test_row *row;
};

static const struct yaml_reader *reader_of(const struct row_reader *reader)
{
    return &reader->loader->reader;
}

/* A list of names, sorted; false where it is absent or reported. An empty list is one. */
static bool read_names(const struct row_reader *reader, const char *key, const struct str **out,
                       size_t *count)
{
    const json_t *list = NULL;
    struct str *names;

    if (!yaml_get_list(reader_of(reader), reader->json, key, &list))
        return false;
    names = policy_loader_alloc(reader->loader, json_array_size(list) + 1, sizeof(*names));
    if (names == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (!json_is_string(item))
            return yaml_complain(reader_of(reader), item, "'%s' is a list of names", key);
        names[i] = policy_loader_copy(reader->loader, json_str(item));
    }
    qsort(names, json_array_size(list), sizeof(*names), compare_texts);
    *out = names;
    *count = json_array_size(list);
    return true;
}

/* ---- the rest of a row ---- */

static void read_issuer(const struct row_reader *reader)
{
    const struct policy_scope *scope = reader->scope;
    struct str name = { 0 };

    if (yaml_get_str(reader_of(reader), reader->json, "issuer", &name)) {
        for (size_t i = 0; i < scope->issuer_count; i++)
            if (str_eq(scope->issuers[i]->name, name))
                reader->row->issuer = scope->issuers[i];
        if (reader->row->issuer == NULL)
            (void)yaml_complain(reader_of(reader), json_object_get(reader->json, "issuer"),
                                "not an issuer of this pipeline's identity");
    } else if (scope->issuer_count == 1) {
        reader->row->issuer = scope->issuers[0];
    } else if (scope->issuer_count > 1) {
        (void)yaml_complain(reader_of(reader), reader->json,
                            "the pipeline has several issuers: say which, 'issuer: NAME'");
    }
}

static void read_address(const struct row_reader *reader)
{
    struct address *address;
    struct str text = { 0 };

    if (!yaml_get_str(reader_of(reader), reader->json, "address", &text))
        return;
    address = policy_loader_alloc(reader->loader, 1, sizeof(*address));
    if (address != NULL && !address_parse(text, address))
        (void)yaml_complain(reader_of(reader), json_object_get(reader->json, "address"),
                            "expected an address such as 192.0.2.1");
    reader->row->address = address;
}

/* Who acts for the job: an issuer that they can be of, and what their token would say. */
static void read_actor(const struct row_reader *reader)
{
    static const char *const names[] = { "issuer", "claims", NULL };
    struct policy_test_row actor = { 0 };
    const json_t *claims = NULL;
    const json_t *map = NULL;
    struct str name = { 0 };
    json_t *facts;

    if (!yaml_get_map(reader_of(reader), reader->json, "actor", &map) ||
        !yaml_expect_map(reader_of(reader), map, names) ||
        !yaml_require(reader_of(reader), map, "issuer") ||
        !yaml_get_str(reader_of(reader), map, "issuer", &name))
        return;
    actor.issuer = policy_actor_issuer(reader->loader->world, name);
    if (actor.issuer == NULL) {
        (void)yaml_complain(reader_of(reader), json_object_get(map, "issuer"),
                            "there is no issuer '" STR_FMT "'", STR_ARG(str_slice(name, 0, 60)));
        return;
    }
    if (yaml_get_map(reader_of(reader), map, "claims", &claims))
        actor.claims = policy_test_claims_of(reader->loader, actor.issuer, claims);
    facts = json_object();
    if (json_put(facts, "issuer", json_from_str(name)) &&
        (actor.claims == NULL ||
         json_put(facts, "claims", json_incref(json_iterable(actor.claims)))))
        reader->row->actor = policy_loader_keep(reader->loader, facts);
    json_decref(facts);
}

/* The stage of this pipeline that a row names, by its short or full name; NULL: none, or not one.
 */
static const struct policy_stage *named_stage(const struct row_reader *reader)
{
    for (size_t i = 0; i < reader->pipeline->stage_count; i++) {
        const struct policy_stage *stage = &reader->pipeline->stages[i].shown;

        if (str_eq(stage->name, reader->row->stage) || str_eq(stage->id, reader->row->stage))
            return stage;
    }
    return NULL;
}

static void read_stage(const struct row_reader *reader)
{
    const struct policy_pipeline *pipeline = reader->pipeline;
    struct arena *arena = reader_of(reader)->diagnostics->arena;
    struct str names[POLICY_STAGES_MAX];
    struct str nearest;
    struct str name = { 0 };

    if (!yaml_get_str(reader_of(reader), reader->json, "stage", &name))
        return;
    reader->row->stage = policy_loader_copy(reader->loader, name);
    if (named_stage(reader) != NULL)
        return;
    for (size_t i = 0; i < pipeline->stage_count; i++)
        names[i] = pipeline->stages[i].shown.name;
    nearest = diagnostic_nearest(arena, name, names, pipeline->stage_count);
    (void)yaml_complain_hint(reader_of(reader), json_object_get(reader->json, "stage"), nearest,
                             "this pipeline has no stage '" STR_FMT "'",
                             STR_ARG(str_slice(name, 0, 60)));
}

static void check_grants(const struct row_reader *reader)
{
    const struct policy_stage *stage = named_stage(reader);

    for (size_t i = 0; stage != NULL && i < reader->row->grant_count; i++) {
        bool is_known = false;

        for (size_t k = 0; k < stage->grant_count; k++)
            is_known |= str_eq(stage->grants[k].name, reader->row->grants[i]);
        if (!is_known)
            (void)yaml_complain(reader_of(reader), json_object_get(reader->json, "grants"),
                                "the stage has no grant '" STR_FMT "'",
                                STR_ARG(str_slice(reader->row->grants[i], 0, 60)));
    }
}

static bool has_condition(const struct policy_clause *clause, struct str name)
{
    for (size_t i = 0; i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++)
            if (str_eq(clause->maps[i].conditions[k].name, name))
                return true;
    return false;
}

static bool can_be_over(const struct policy_stage_rule *stage)
{
    for (size_t i = 0; i < stage->shown.grant_count; i++)
        if (stage->shown.grants[i].until_s != 0)
            return true;
    return stage->shown.until_s != 0;
}

/* Whether a name is that of a word of the stage by which it can fail. */
static bool is_word_of(const struct policy_stage_rule *stage, struct str name)
{
    return (stage->proofs != 0 && str_eq(name, STR("proof"))) ||
           (stage->from.count > 0 && str_eq(name, STR("from"))) ||
           (stage->during_count > 0 && str_eq(name, STR("during"))) ||
           (can_be_over(stage) && str_eq(name, STR("until")));
}

static bool can_fail(const struct policy_pipeline *pipeline, struct str name)
{
    if (str_eq(name, STR("identity")) || str_eq(name, STR("stage")))
        return true;
    if (has_condition(&pipeline->identity, name) || has_condition(&pipeline->when, name) ||
        has_condition(&pipeline->unless, name))
        return true;
    for (size_t i = 0; i < pipeline->stage_count; i++)
        if (has_condition(&pipeline->stages[i].when, name) ||
            has_condition(&pipeline->stages[i].unless, name) ||
            is_word_of(&pipeline->stages[i], name))
            return true;
    return false;
}

/* What a stage that does not name a danger fails with. */
static bool is_danger(const struct policy_issuer *issuer, struct str name)
{
    for (size_t i = 0; issuer != NULL && issuer->dangers != NULL && i < issuer->dangers->count;
         i++) {
        const struct claim_danger *row = &issuer->dangers->rows[i];

        if (str_eq(name, str_from(row->claim != NULL ? row->claim : row->fact)))
            return true;
    }
    return false;
}

/* Whether a stage fails by this name at some times only. */
static bool is_about_time(struct str name)
{
    return str_eq(name, STR("during")) || str_eq(name, STR("until"));
}

/* Names that fail at some times only need one. */
static void check_times(const struct row_reader *reader)
{
    bool has_time = json_object_get(reader->json, "at") != NULL;

    for (size_t i = 0; !has_time && i < reader->row->because_count; i++)
        if (is_about_time(reader->row->because[i]) &&
            can_fail(reader->pipeline, reader->row->because[i]))
            (void)yaml_complain_hint(reader_of(reader), json_object_get(reader->json, "because"),
                                     STR("say when it is decided: at: 2026-11-22T10:00:00Z"),
                                     "nothing fails because of '" STR_FMT
                                     "' in a test without 'at'",
                                     STR_ARG(reader->row->because[i]));
}

/* Names that no condition of the file has: a guardrail may. It is of another file. */
static void keep_strangers(const struct row_reader *reader)
{
    const json_t *value = json_object_get(reader->json, "because");
    struct policy_test_row *row = reader->row;
    struct str *strangers =
        policy_loader_alloc(reader->loader, row->because_count, sizeof(*strangers));

    for (size_t i = 0; strangers != NULL && i < row->because_count; i++)
        if (!can_fail(reader->pipeline, row->because[i]) &&
            !is_danger(row->issuer, row->because[i]))
            strangers[row->stranger_count++] = row->because[i];
    row->strangers = strangers;
    row->because_at = yaml_at(reader_of(reader)->document, value);
    row->because_at.file = reader->pipeline->file;
}

static void read_expectation(const struct row_reader *reader)
{
    static const char *const outcomes[] = { "deny", "allow", NULL };
    static const char *const of_denial[] = { "grants", "ttl" };
    struct policy_test_row *row = reader->row;
    size_t outcome = 0;

    if (!yaml_require(reader_of(reader), reader->json, "expect") ||
        !yaml_get_choice(reader_of(reader), reader->json, "expect", outcomes, &outcome))
        return;
    row->is_allow = outcome == 1;
    row->has_because = read_names(reader, "because", &row->because, &row->because_count);
    row->has_grants = read_names(reader, "grants", &row->grants, &row->grant_count);
    (void)yaml_get_duration_s(reader_of(reader), reader->json, "ttl", 1, (int64_t)365 * 86400,
                              &row->ttl_s);
    if (row->is_allow && row->has_because)
        (void)yaml_complain_key(reader_of(reader), reader->json, "because", STR(""),
                                "'because' goes with 'expect: deny'");
    for (size_t i = 0; !row->is_allow && i < COUNT(of_denial); i++)
        if (json_object_get(reader->json, of_denial[i]) != NULL)
            (void)yaml_complain_key(reader_of(reader), reader->json, of_denial[i], STR(""),
                                    "'%s' goes with 'expect: allow'", of_denial[i]);
    if (row->because_count > 0)
        keep_strangers(reader);
    check_times(reader);
    check_grants(reader);
}

static void read_time(const struct row_reader *reader)
{
    struct str text = { 0 };
    int64_t time_ms = 0;

    reader->row->at_s = POLICY_NO_TIME;
    if (!yaml_get_str(reader_of(reader), reader->json, "at", &text))
        return;
    if (!time_text_parse(text, &time_ms))
        (void)yaml_complain(reader_of(reader), json_object_get(reader->json, "at"),
                            "expected a time such as 2026-11-22T10:00:00Z");
    reader->row->at_s = time_ms / 1000;
}

static void read_row(const struct row_reader *reader)
{
    struct str name = { 0 };

    if (!policy_words_check(reader->loader, POLICY_PLACE_TEST, reader->json))
        return;
    if (yaml_require(reader_of(reader), reader->json, "name") &&
        yaml_get_str(reader_of(reader), reader->json, "name", &name))
        reader->row->name = policy_loader_copy(reader->loader, name);
    reader->row->at = yaml_at(reader_of(reader)->document, reader->json);
    reader->row->at.file = reader->pipeline->file;
    read_issuer(reader);
    policy_test_claims_read(reader->loader, reader->json, reader->row);
    read_address(reader);
    read_actor(reader);
    reader->row->proofs = policy_proofs_read(reader->loader, reader->json);
    read_stage(reader);
    read_expectation(reader);
    read_time(reader);
}

void policy_tests_read(struct policy_loader *loader, const json_t *map,
                       const struct policy_scope *scope, struct policy_pipeline *pipeline)
{
    struct policy_test_row *rows;
    const json_t *list = NULL;
    size_t count;

    if (!yaml_get_list(&loader->reader, map, "tests", &list))
        return;
    count = json_array_size(list);
    if (count > POLICY_TESTS_MAX) {
        (void)yaml_complain(&loader->reader, list, "a file has at most %d tests, not %zu",
                            POLICY_TESTS_MAX, count);
        return;
    }
    rows = policy_loader_alloc(loader, count + 1, sizeof(*rows));
    for (size_t i = 0; rows != NULL && i < count; i++) {
        struct row_reader reader = { loader, scope, pipeline, json_array_get(list, i), &rows[i] };

        read_row(&reader);
    }
    pipeline->tests = rows;
    pipeline->test_count = rows == NULL ? 0 : count;
}
