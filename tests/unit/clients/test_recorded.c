#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/recorded.h"
#include "identity/profile.h"
#include "ledger/entry.h"
#include "tests/test.h"

#define CLAIMS_FOLDER "../../data/claims"
#define ARENA_MAX ((size_t)16 * 1024 * 1024)

/* What an entry of some claims is made of, and read back with. */
struct fixture {
    struct arena *arena;
    struct policy_issuer issuer;
    struct policy_world world;
    json_t *entry;
    json_t *private_part;
    struct recorded recorded;
    struct error error;
};

static void set_issuer(struct fixture *fixture, const char *profile_name)
{
    const struct profile *profile = profile_find(str_from(profile_name));

    assert_non_null(profile);
    fixture->issuer = (struct policy_issuer){ .name = str_from(profile_name),
                                              .claims = profile->claims,
                                              .fill_ci = profile->fill_ci,
                                              .dangers = profile->dangers };
    fixture->world = (struct policy_world){ .issuers = &fixture->issuer,
                                            .issuer_count = 1,
                                            .ci_facts = &profile_ci_facts };
}

static struct fixture *make_fixture(const char *profile_name)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));

    fixture->arena = arena_new(ARENA_MAX);
    assert_non_null(fixture->arena);
    set_issuer(fixture, profile_name);
    return fixture;
}

static void drop_entry(struct fixture *fixture)
{
    json_decref(fixture->entry);
    json_decref(fixture->private_part);
    fixture->entry = NULL;
    fixture->private_part = NULL;
}

static void free_fixture(struct fixture *fixture)
{
    drop_entry(fixture);
    arena_free(fixture->arena);
    test_free(fixture);
}

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static bool is_personal(const char *name, void *context)
{
    const struct policy_issuer *issuer = context;
    const struct claim *row = claim_find(&issuer->claims, str_from(name));

    return row && (row->flags & CLAIM_PERSONAL);
}

/* As a broker writes it: a denial of these claims with their facts. */
static void make_entry(struct fixture *fixture, const json_t *claims)
{
    JSON_OWNED json_t *ci = json_object();
    json_t *kept = json_object();
    const char *name;
    json_t *value;

    drop_entry(fixture);
    fixture->private_part = json_object();
    fixture->entry = parse("{\"type\":\"exchange.denied\",\"time\":\"2026-11-22T10:00:00.123Z\","
                           "\"broker\":\"a\",\"decision\":\"01JD4Z8Q2V7K9M3N5P6R8S0T1W\","
                           "\"reason\":\"condition\",\"failed\":[\"ref\"]}");
    assert_true(json_put(fixture->entry, "issuer", json_from_str(fixture->issuer.name)));
    assert_true(fixture->issuer.fill_ci == NULL || fixture->issuer.fill_ci(claims, ci));
    json_object_foreach (ci, name, value)
        if (!json_is_null(value) && strncmp(name, "actor", 5) != 0)
            assert_true(json_put(kept, name, json_incref(value)));
    assert_true(json_put(fixture->entry, "ci", kept));
    assert_true(entry_put_claims(fixture->entry, claims, is_personal, &fixture->issuer,
                                 fixture->private_part, &fixture->error));
}

static bool read_back(struct fixture *fixture)
{
    fixture->error = (struct error){ 0 };
    return recorded_read(&fixture->world, fixture->entry, fixture->private_part, fixture->arena,
                         &fixture->recorded, &fixture->error);
}

static void expect_read(struct fixture *fixture)
{
    if (!read_back(fixture))
        fail_msg("%s", fixture->error.cause);
}

/* ---- all claims that there are examples of ---- */

static void same_facts(struct fixture *fixture, const char *file, const json_t *claims)
{
    const struct policy_facts *read = &fixture->recorded.facts;
    struct policy_facts facts = { 0 };

    expect_read(fixture);
    assert_null(fixture->recorded.cannot);
    assert_true(
        policy_facts_read(&fixture->issuer, claims, fixture->arena, &facts, &fixture->error));
    if (!json_equal(json_iterable(read->claims), json_iterable(claims)) ||
        (facts.ci && !json_equal(json_iterable(read->ci), json_iterable(facts.ci))) ||
        read->danger_count != facts.danger_count)
        fail_msg("%s: what is read back is not what was written", file);
    for (size_t i = 0; i < facts.danger_count; i++)
        assert_ptr_equal(read->dangers[i], facts.dangers[i]);
}

/* Every fact is what it was, or is said to be unknown; so are claims. */
static void nothing_is_guessed(struct fixture *fixture, const char *file, const json_t *claims)
{
    const struct recorded *recorded = &fixture->recorded;
    JSON_OWNED json_t *ci = json_object();
    const char *name;
    json_t *value;

    json_decref(fixture->private_part);
    fixture->private_part = NULL;
    expect_read(fixture);
    json_object_foreach (json_iterable(claims), name, value)
        if (!json_equal(json_object_get(recorded->facts.claims, name), value) &&
            !json_object_get(recorded->unknown.claims, name))
            fail_msg("%s: claim %s", file, name);
    if (!fixture->issuer.fill_ci)
        return;
    assert_true(fixture->issuer.fill_ci(claims, ci));
    for (size_t i = 0; i < profile_ci_facts.count; i++) {
        const char *fact = profile_ci_facts.rows[i].name;
        json_t *was = json_object_get(ci, fact);
        json_t *is = json_object_get(recorded->facts.ci, fact);

        if (was != is && !json_equal(was, is) && !json_object_get(recorded->unknown.ci, fact))
            fail_msg("%s: fact %s", file, fact);
    }
}

static void try_file(struct fixture *fixture, const char *folder, const char *name)
{
    struct str path = arena_printf(fixture->arena, "%s/%s", folder, name);
    JSON_OWNED json_t *claims = json_load_file(path.data, 0, NULL);

    assert_true(json_is_object(claims));
    make_entry(fixture, claims);
    same_facts(fixture, path.data, claims);
    nothing_is_guessed(fixture, path.data, claims);
}

static size_t try_profile(const char *profile)
{
    char folder[256];
    struct fixture *fixture = make_fixture(profile);
    size_t count = 0;
    DIR *entries;

    (void)snprintf(folder, sizeof(folder), "%s/%s", CLAIMS_FOLDER, profile);
    entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
        if (!str_ends_with(str_from(entry->d_name), STR(".json")))
            continue;
        try_file(fixture, folder, entry->d_name);
        count++;
    }
    if (entries)
        (void)closedir(entries);
    free_fixture(fixture);
    return count;
}

static void what_was_recorded_decides_as_it_did(void **state)
{
    const char *const *names = profile_names();
    size_t count = 0;

    (void)state;
    for (size_t i = 0; names[i]; i++)
        count += try_profile(names[i]);
    assert_true(count >= 30);
}

/* ---- what is not there any more ---- */

static void an_actor_that_was_erased_leaves_other_facts_known(void **state)
{
    struct fixture *fixture = make_fixture("github");
    JSON_OWNED json_t *claims = parse("{\"actor\":\"rina\",\"ref\":\"refs/heads/main\","
                                      "\"event_name\":\"push\"}");

    (void)state;
    make_entry(fixture, claims);
    json_decref(fixture->private_part);
    fixture->private_part = NULL;
    expect_read(fixture);
    assert_non_null(json_object_get(fixture->recorded.unknown.claims, "actor"));
    assert_null(json_object_get(fixture->recorded.unknown.claims, "ref"));
    assert_false(fixture->recorded.unknown.dangers);
    free_fixture(fixture);
}

static void dangers_are_unknown_where_their_claim_was_dropped(void **state)
{
    struct fixture *fixture = make_fixture("github");
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");

    (void)state;
    make_entry(fixture, claims);
    assert_true(json_put(fixture->entry, "claims_dropped", parse("[\"event_name\"]")));
    expect_read(fixture);
    assert_true(fixture->recorded.unknown.dangers);
    free_fixture(fixture);
}

static void an_actor_s_claims_are_never_complete(void **state)
{
    struct fixture *fixture = make_fixture("github");
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");

    (void)state;
    make_entry(fixture, claims);
    expect_read(fixture);
    assert_false(fixture->recorded.unknown.actor);
    assert_null(fixture->recorded.facts.actor);
    assert_true(json_put(fixture->entry, "actor",
                         parse("{\"issuer\":\"people\",\"claims\":{\"a\":\"b\"}}")));
    expect_read(fixture);
    assert_true(fixture->recorded.unknown.actor);
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(fixture->recorded.facts.actor, "claims"), "a")),
                        "b");
    free_fixture(fixture);
}

static void an_issuer_that_is_not_there_cannot_be_told(void **state)
{
    struct fixture *fixture = make_fixture("github");
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");

    (void)state;
    make_entry(fixture, claims);
    assert_true(json_put(fixture->entry, "issuer", json_string("gone")));
    expect_read(fixture);
    assert_non_null(fixture->recorded.cannot);
    free_fixture(fixture);
}

/* ---- the request ---- */

static void proofs_request_and_address_come_back(void **state)
{
    struct fixture *fixture = make_fixture("github");
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");
    JSON_OWNED json_t *address = json_string("10.1.2.3");
    const struct recorded *recorded = &fixture->recorded;
    json_t *facts = parse("{\"jkt\":\"x\",\"key_bound\":true}");

    (void)state;
    make_entry(fixture, claims);
    assert_true(json_put(fixture->entry, "facts", facts));
    assert_true(entry_put_personal(facts, "facts", "address", address, fixture->private_part,
                                   &fixture->error));
    assert_true(json_put(fixture->entry, "request",
                         parse("{\"stage\":\"build\",\"scope\":[\"a\",\"b\"],\"ttl_s\":300}")));
    expect_read(fixture);
    assert_int_equal(recorded->facts.proofs, POLICY_PROOF_DPOP | POLICY_PROOF_KEY);
    assert_non_null(recorded->facts.address);
    assert_false(recorded->unknown.address);
    assert_int_equal(recorded->request.grant_count, 2);
    assert_int_equal(recorded->request.ttl_s, 300);
    assert_true(str_eq(recorded->request.stage, STR("build")));
    /* another address than the digest is of, and none */
    assert_int_equal(json_object_set_new(json_object_get(fixture->private_part, "facts.address"),
                                         "value", json_string("10.1.2.4")),
                     0);
    expect_read(fixture);
    assert_true(recorded->unknown.address);
    (void)json_object_del(fixture->private_part, "facts.address");
    expect_read(fixture);
    assert_true(recorded->unknown.address);
    free_fixture(fixture);
}

static void entries_of_another_form_are_refused(void **state)
{
    static const struct {
        const char *member;
        const char *value;
    } cases[] = {
        { "claims", "[]" },
        { "claims_dropped", "[1]" },
        { "time", "\"yesterday, at noon, xxxx\"" },
        { "issuer", "7" },
        { "actor", "{\"issuer\":7,\"claims\":{}}" },
        { "actor", "{\"issuer\":\"a\"}" },
        { "request", "{\"stage\":1}" },
        { "request", "{\"scope\":\"a\"}" },
        { "request", "{\"scope\":[1]}" },
        { "request", "{\"ttl_s\":\"300\"}" },
        { "request", "{\"ttl_s\":-1}" },
        { "request", "{\"ttl_s\":99999999999}" },
        { "credentials", "[1]" },
        { "credentials", "[{\"grant\":\"a\",\"ttl_s\":\"1\"}]" },
        { "facts", "{\"address\":\"nowhere\"}" },
        { "decision", "\"x\"" },
        { "no_such_member", "1" },
    };
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture *fixture = make_fixture("github");

        make_entry(fixture, claims);
        assert_true(json_put(fixture->entry, cases[i].member,
                             json_loads(cases[i].value, JSON_DECODE_ANY, NULL)));
        if (read_back(fixture))
            fail_msg("%s: %s was read", cases[i].member, cases[i].value);
        assert_int_equal(fixture->error.code, ERROR_INVALID);
        free_fixture(fixture);
    }
}

static void only_the_policy_s_denials_are_its_own(void **state)
{
    static const struct {
        const char *reason;
        const char *failed;
        bool is_of_policy;
    } cases[] = {
        { "condition", "[\"ref\"]", true }, { "condition", "[]", false }, { "replay", "[]", false },
        { "no_pipeline", "[]", true },      { "actor", "[]", false },     { "stage", "[]", true },
    };
    JSON_OWNED json_t *claims = parse("{\"ref\":\"refs/heads/main\"}");

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture *fixture = make_fixture("github");

        make_entry(fixture, claims);
        assert_true(json_put(fixture->entry, "reason", json_string(cases[i].reason)));
        assert_true(json_put(fixture->entry, "failed", parse(cases[i].failed)));
        expect_read(fixture);
        if (fixture->recorded.is_of_policy != cases[i].is_of_policy)
            fail_msg("%s", cases[i].reason);
        free_fixture(fixture);
    }
}

/* They are made by other rules: nothing would come out the same. */
static void a_denial_of_a_renewal_is_no_decision(void **state)
{
    static const struct {
        const char *entry;
        bool is_decision;
    } cases[] = {
        { "{\"type\":\"exchange.denied\"}", true },
        { "{\"type\":\"exchange.denied\",\"lease\":\"01JD0000000000000000000000\"}", false },
        { "{\"type\":\"credential.issued\",\"lease\":\"01JD0000000000000000000000\"}", true },
        { "{\"type\":\"lease.renewed\",\"lease\":\"01JD0000000000000000000000\"}", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *entry = parse(cases[i].entry);

        assert_int_equal(recorded_is_decision(entry), cases[i].is_decision);
        json_decref(entry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_recorded_decides_as_it_did),
        cmocka_unit_test(an_actor_that_was_erased_leaves_other_facts_known),
        cmocka_unit_test(dangers_are_unknown_where_their_claim_was_dropped),
        cmocka_unit_test(an_actor_s_claims_are_never_complete),
        cmocka_unit_test(an_issuer_that_is_not_there_cannot_be_told),
        cmocka_unit_test(proofs_request_and_address_come_back),
        cmocka_unit_test(entries_of_another_form_are_refused),
        cmocka_unit_test(only_the_policy_s_denials_are_its_own),
        cmocka_unit_test(a_denial_of_a_renewal_is_no_decision),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
