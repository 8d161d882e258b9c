#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_internal.h"

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

/* ---- claims ---- */

/* What every token has: profiles need not name them. Source: RFC 7519 4.1 */
static const struct claim registered[] = {
    { "iss", CLAIM_STRING, 0 },  { "sub", CLAIM_STRING, 0 },  { "aud", CLAIM_STRINGS, 0 },
    { "exp", CLAIM_INTEGER, 0 }, { "nbf", CLAIM_INTEGER, 0 }, { "iat", CLAIM_INTEGER, 0 },
    { "jti", CLAIM_STRING, 0 },
};
static const struct claim_table registered_claims = { registered, COUNT(registered) };

/* A written claim as the JSON that a token would have; NULL where it was reported. */
static json_t *typed_claim(const struct row_reader *reader, const json_t *value,
                           enum claim_type type)
{
    int64_t integer;

    if (type == CLAIM_STRINGS || (type == CLAIM_OBJECT && json_is_object(value)) ||
        (type == CLAIM_OBJECTS && json_is_array(value)))
        return json_deep_copy(value);
    if (!json_is_string(value) || type == CLAIM_OBJECT || type == CLAIM_OBJECTS) {
        (void)yaml_complain(reader_of(reader), value, "expected %s",
                            type == CLAIM_OBJECT    ? "a map"
                            : type == CLAIM_OBJECTS ? "a list of maps"
                                                    : "a plain value");
        return NULL;
    }
    if (type == CLAIM_STRING)
        return json_deep_copy(value);
    if (type == CLAIM_INTEGER && str_to_int64(json_str(value), &integer))
        return json_integer(integer);
    if (type == CLAIM_BOOLEAN && str_eq(json_str(value), STR("true")))
        return json_true();
    if (type == CLAIM_BOOLEAN && str_eq(json_str(value), STR("false")))
        return json_false();
    (void)yaml_complain(reader_of(reader), value, "expected %s",
                        type == CLAIM_INTEGER ? "a number" : "true or false");
    return NULL;
}

static bool complain_claim(const struct row_reader *reader, const json_t *map, const char *name)
{
    const struct claim_table *claims = &reader->row->issuer->claims;
    struct arena *arena = reader_of(reader)->diagnostics->arena;
    struct str *names = arena_alloc_array(arena, claims->count + 1, sizeof(*names));
    struct str nearest = { 0 };

    for (size_t i = 0; names != NULL && i < claims->count; i++)
        names[i] = str_from(claims->rows[i].name);
    if (names != NULL)
        nearest = str_nearest(str_from(name), names, claims->count);
    if (nearest.len > 0)
        nearest = arena_printf(arena, "did you mean '" STR_FMT "'?", STR_ARG(nearest));
    return yaml_complain_key(reader_of(reader), map, name, nearest,
                             "issuer '" STR_FMT "' has no claim '%s'",
                             STR_ARG(reader->row->issuer->name), name);
}

/* A map or list under a name that no profile knows is for JSON Pointers: taken as it is. */
static json_t *read_claim(const struct row_reader *reader, const json_t *map, const char *name)
{
    const json_t *value = json_object_get(map, name);
    const struct claim *claim = claim_find(&reader->row->issuer->claims, str_from(name));

    if (claim == NULL)
        claim = claim_find(&registered_claims, str_from(name));
    if (claim == NULL && json_is_string(value)) {
        (void)complain_claim(reader, map, name);
        return NULL;
    }
    return claim == NULL ? json_deep_copy(value) : typed_claim(reader, value, claim->type);
}

static void read_inline_claims(const struct row_reader *reader, const json_t *map)
{
    JSON_OWNED json_t *claims = json_object();
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(map), name, value) {
        json_t *claim = read_claim(reader, map, name);

        if (claim != NULL && !claim_put(claims, name, claim))
            (void)yaml_complain_key(reader_of(reader), map, name, STR(""),
                                    "the way to '%s' is no map", name);
    }
    reader->row->claims = policy_loader_keep(reader->loader, claims);
}

/* A path below the folder at hand: no way out of it. */
static bool is_inner_path(struct str path)
{
    struct str part;

    if (path.len == 0 || path.len > 1024)
        return false;
    do {
        (void)str_cut(path, '/', &part, &path);
        if (part.len == 0 || str_eq(part, STR("..")) || str_eq(part, STR(".")))
            return false;
    } while (path.len > 0);
    return true;
}

static void read_claims(const struct row_reader *reader)
{
    const json_t *claims = json_object_get(reader->json, "claims");

    if (!yaml_require(reader_of(reader), reader->json, "claims"))
        return;
    if (json_is_object(claims) && reader->row->issuer != NULL)
        read_inline_claims(reader, claims);
    if (json_is_string(claims) && is_inner_path(json_str(claims)))
        reader->row->claims_file = policy_loader_copy(reader->loader, json_str(claims));
    else if (!json_is_object(claims))
        (void)yaml_complain(
            reader_of(reader), claims,
            "'claims' is a map of claims, or the path of a JSON file, without '..'");
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
    struct row_reader inner = *reader;
    const json_t *claims = NULL;
    const json_t *map = NULL;
    struct str name = { 0 };
    json_t *facts;

    inner.row = &actor;
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
        read_inline_claims(&inner, claims);
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
    nearest = str_nearest(name, names, pipeline->stage_count);
    if (nearest.len > 0)
        nearest = arena_printf(arena, "did you mean '" STR_FMT "'?", STR_ARG(nearest));
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
            (pipeline->stages[i].proofs != 0 && str_eq(name, STR("proof"))))
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

static void check_because(const struct row_reader *reader)
{
    for (size_t i = 0; i < reader->row->because_count; i++)
        if (!can_fail(reader->pipeline, reader->row->because[i]) &&
            !is_danger(reader->row->issuer, reader->row->because[i]))
            (void)yaml_complain(reader_of(reader), json_object_get(reader->json, "because"),
                                "no condition of this pipeline is named '" STR_FMT "'",
                                STR_ARG(str_slice(reader->row->because[i], 0, 60)));
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
    check_because(reader);
    check_grants(reader);
}

static void read_time(const struct row_reader *reader)
{
    struct str text = { 0 };
    int64_t time_ms = 0;

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
    read_claims(reader);
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
