#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_text.h"
#include "clients/ledger_source.h"
#include "clients/simulation.h"
#include "identity/profile.h"
#include "policy/policy.h"
#include "store/help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024)
#define ENTRY_ROOM 1024
#define AT_ONCE 32 /* proposals under way */
#define TIME "\"time\":\""
#define DOUBTS_MAX 1000 /* simulation.c */

/* A store, and a policy that its requests are decided by. */
struct fixture {
    struct arena *arena;
    struct folder folder;
    struct folder policies;
    struct store *store;
    struct append *appends[AT_ONCE];
    size_t append_count; /* the last one is being filled */
    struct policy_issuer issuer;
    struct policy_world world;
    struct policy *policy;
    struct simulation simulation;
};

static struct fixture *make_fixture(void)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    const struct profile *profile = profile_find(STR("github"));

    fixture->arena = arena_new(ARENA_MAX);
    assert_non_null(fixture->arena);
    folder_make(&fixture->folder);
    folder_make(&fixture->policies);
    fixture->store = open_store(&fixture->folder, 0);
    fixture->issuer = (struct policy_issuer){ .name = STR("github"),
                                              .claims = profile->claims,
                                              .fill_ci = profile->fill_ci };
    fixture->world = (struct policy_world){ .issuers = &fixture->issuer,
                                            .issuer_count = 1,
                                            .ci_facts = &profile_ci_facts };
    return fixture;
}

static void free_fixture(struct fixture *fixture)
{
    policy_unref(fixture->policy);
    folder_remove(&fixture->folder);
    folder_remove(&fixture->policies);
    arena_free(fixture->arena);
    test_free(fixture);
}

/* ---- entries ---- */

static void wait_for_all(struct fixture *fixture)
{
    for (size_t i = 0; i < fixture->append_count; i++)
        assert_true(append_submit(fixture->appends[i], fixture->store));
    for (size_t i = 0; i < fixture->append_count; i++) {
        assert_true(append_wait(fixture->appends[i]));
        append_free(fixture->appends[i]);
    }
    fixture->append_count = 0;
}

static struct store_entry *next_entry(struct fixture *fixture)
{
    struct append *last =
        fixture->append_count > 0 ? fixture->appends[fixture->append_count - 1] : NULL;
    struct store_proposal *proposal;

    if (last && append_proposal(last)->entry_count < STORE_PROPOSAL_ENTRIES_MAX) {
        append_add(last, "");
    } else {
        if (fixture->append_count == AT_ONCE)
            wait_for_all(fixture);
        last = append_new("");
        fixture->appends[fixture->append_count++] = last;
    }
    proposal = append_proposal(last);
    return &proposal->entries[proposal->entry_count - 1];
}

/* A lease of stage `p:s<stage>`, asked for with the id of a repository. */
static void add_lease(struct fixture *fixture, unsigned stage, unsigned repository,
                      const char *more)
{
    struct store_entry *entry = next_entry(fixture);
    static unsigned number;

    number++;
    (void)snprintf(entry->bytes, ENTRY_ROOM,
                   "{\"type\":\"lease.requested\"," TIME "%*s\",\"broker\":\"a\","
                   "\"decision\":\"01JD4Z8Q2V7K9M3N5P6%07u\",\"lease\":\"01JD4Z8Q2V7K9M3N5P6%07u\","
                   "\"lease_expires\":\"2100-01-01T00:00:00Z\",\"token\":{\"mark\":\"%064u\","
                   "\"exp\":4102444800},\"policy\":\"sha256:%064u\",\"issuer\":\"github\","
                   "\"stage\":\"p:s%u\",\"request\":{\"stage\":\"s%u\"},\"ci\":{},"
                   "\"claims\":{\"repository_id\":\"%u\"}%s}",
                   TIME_TEXT_MS_LEN, "", number, number, number, 0U, stage, stage, repository,
                   more);
    entry->len = strlen(entry->bytes);
    entry->time_offset = (size_t)(strstr(entry->bytes, TIME) + strlen(TIME) - entry->bytes);
}

static void simulate(struct fixture *fixture)
{
    struct error error = { 0 };
    struct diagnostics diagnostics;
    const struct policy_load_options load = { .folder = fixture->policies.path,
                                              .world = &fixture->world,
                                              .diagnostics = &diagnostics };
    const struct ledger_source_options from = { .ledger = fixture->folder.path };
    struct simulation_options options = { .world = &fixture->world };

    wait_for_all(fixture);
    store_close(fixture->store);
    diagnostics_init(&diagnostics, fixture->arena);
    if (!policy_load(&load, &fixture->policy, &error))
        fail_msg("%s", error.cause);
    options.policy = fixture->policy;
    if (!ledger_source_open(&from, &options.ledger, &error) ||
        !simulation_run(&options, fixture->arena, &fixture->simulation, &error))
        fail_msg("%s", error.cause);
    ledger_source_close(options.ledger);
    assert_int_equal(fixture->simulation.skipped_count, 0);
}

static void write_policy(const struct fixture *fixture, const char *name, struct str text)
{
    struct error error = { 0 };

    if (!file_create(folder_path(&fixture->policies, name), text, 0600, &error))
        fail_msg("%s", error.cause);
}

#define HEAD                                                                                       \
    "pipeline: %s\nowner: o\nidentity: { issuer: github, repository_id: \"%u\" }\nstages:\n"

static void write_small_policy(struct fixture *fixture)
{
    write_policy(fixture, "p.yaml",
                 arena_printf(fixture->arena, HEAD "  s: { kind: build }\n", "p", 1U));
}

/* ---- tests ---- */

static void kinds_of_flips_have_a_limit(void **state)
{
    struct fixture *fixture = make_fixture();
    const struct simulation *simulation = &fixture->simulation;

    (void)state;
    write_small_policy(fixture);
    for (unsigned i = 0; i < SIMULATION_FLIPS_MAX + 3; i++)
        add_lease(fixture, i, 7, "");
    add_lease(fixture, 0, 7, ""); /* of a kind that there is */
    simulate(fixture);
    assert_int_equal(simulation->request_count, SIMULATION_FLIPS_MAX + 4);
    assert_int_equal(simulation->flipped_count[FLIP_DENIED], SIMULATION_FLIPS_MAX + 4);
    assert_int_equal(simulation->flip_count, SIMULATION_FLIPS_MAX);
    assert_int_equal(simulation->lost_count, 3);
    assert_int_equal(simulation->flips[0].count, 2);
    assert_str(simulation->flips[0].stage, "p:s0");
    free_fixture(fixture);
}

static void of_decisions_the_latest_are_kept(void **state)
{
    struct fixture *fixture = make_fixture();
    const struct flip *flip;

    (void)state;
    write_small_policy(fixture);
    for (unsigned i = 0; i < 2 * SIMULATION_DECISIONS_MAX + 1; i++)
        add_lease(fixture, 0, 7, "");
    simulate(fixture);
    assert_int_equal(fixture->simulation.flip_count, 1);
    flip = &fixture->simulation.flips[0];
    assert_int_equal(flip->count, 2 * SIMULATION_DECISIONS_MAX + 1);
    assert_int_equal(flip->decision_count, 2 * SIMULATION_DECISIONS_MAX + 1);
    for (size_t i = 0; i < SIMULATION_DECISIONS_MAX; i++)
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(flip->decisions[i], flip->decisions[k]));
    free_fixture(fixture);
}

/* Stages of which each asks for a claim of its own. */
static void write_curious_policies(struct fixture *fixture)
{
    for (unsigned i = 0; i * 200 < DOUBTS_MAX + 200; i++) {
        struct str name = arena_printf(fixture->arena, "p%u.yaml", i);
        struct str text = arena_printf(fixture->arena, HEAD, name.data, i);

        for (unsigned k = 0; k < 200; k++)
            text = arena_printf(fixture->arena,
                                STR_FMT "  s%u: { kind: build, when: { /x/n%u: a } }\n",
                                STR_ARG(text), k, i * 200 + k);
        write_policy(fixture, name.data, text);
    }
}

static void kinds_of_doubts_have_a_limit(void **state)
{
    struct fixture *fixture = make_fixture();
    const struct simulation *simulation = &fixture->simulation;

    (void)state;
    write_curious_policies(fixture);
    for (unsigned i = 0; i < DOUBTS_MAX + 3; i++)
        add_lease(fixture, i % 200, i / 200, ",\"claims_dropped\":[\"x\"]");
    simulate(fixture);
    assert_int_equal(simulation->doubt_count, DOUBTS_MAX + 3);
    assert_int_equal(simulation->doubt_kinds, DOUBTS_MAX);
    assert_int_equal(simulation->doubts[0].count, 4); /* what is past the limit counts as these */
    assert_int_equal(simulation->doubts[DOUBTS_MAX - 1].count, 1);
    free_fixture(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_of_flips_have_a_limit),
        cmocka_unit_test(of_decisions_the_latest_are_kept),
        cmocka_unit_test(kinds_of_doubts_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
