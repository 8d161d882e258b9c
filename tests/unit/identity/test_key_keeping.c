#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "keys/jose.h"
#include "tests/test.h"
#include "tests/unit/identity/key_world.h"
#include "upstream/upstream.h"

/* Key sets over a restart, and what is told of their changes. */

#define PATH_SIZE 512
#define FILE_MAX ((size_t)2 * 1024 * 1024)

static const struct ci_script broken = { .discovery_status = 500 };
static const struct ci_script whole = { 0 };

static char folder[64]; /* of the test under way; its parent is a temporary one */

/* What a listener was told. */
struct told {
    unsigned changes;
    unsigned failures;
    bool refuses; /* as without a ledger */
    char added[8192];
    char removed[8192];
    char cause[256];
};

static void join(const json_t *list, char out[8192])
{
    size_t len = 0;

    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list); i++)
        len += (size_t)snprintf(out + len, 8192 - len, "%s%s", i > 0 ? " " : "",
                                json_string_value(json_array_get(list, i)));
}

static bool take_change(const struct identity_keys_change *change, void *context)
{
    struct told *told = context;

    told->changes++;
    assert_true(str_eq(change->issuer, STR("ci")));
    join(change->added, told->added);
    join(change->removed, told->removed);
    return !told->refuses;
}

static void take_failure(struct str issuer, const struct error *why, void *context)
{
    struct told *told = context;

    assert_true(str_eq(issuer, STR("ci")));
    told->failures++;
    (void)snprintf(told->cause, sizeof(told->cause), "%s", why->cause);
}

static void tend(struct world *world, struct told *told)
{
    const struct identity_listener listener = { take_change, take_failure, told };

    identity_tend(world->identity, &listener);
}

static void keeping_open(struct world *world)
{
    static char parent[32];

    (void)snprintf(parent, sizeof(parent), "/tmp/stagepass-keys-XXXXXX");
    assert_non_null(mkdtemp(parent));
    (void)snprintf(folder, sizeof(folder), "%s/issuers", parent);
    world_open(world);
    world->folder = folder;
    world_restart(world);
}

/* The only file in the folder; NULL where there is none. */
static const char *kept_path(char path[PATH_SIZE])
{
    DIR *listing = opendir(folder);
    const struct dirent *item;
    unsigned count = 0;

    while (listing != NULL &&
           (item = readdir(listing)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (item->d_name[0] == '.')
            continue;
        (void)snprintf(path, PATH_SIZE, "%s/%s", folder, item->d_name);
        count++;
    }
    if (listing != NULL)
        (void)closedir(listing);
    assert_true(count <= 1);
    return count == 1 ? path : NULL;
}

static void keeping_close(struct world *world)
{
    char path[PATH_SIZE];

    world_close(world);
    if (kept_path(path) != NULL)
        (void)unlink(path);
    (void)rmdir(folder);
    *strrchr(folder, '/') = '\0';
    (void)rmdir(folder);
}

/* An issuer whose keys were fetched and kept, and that does not answer any more. */
static void keep_and_break(struct world *world)
{
    struct told told = { 0 };

    keeping_open(world);
    assert_int_equal(verify_a(world), ERROR_NONE);
    tend(world, &told);
    assert_int_equal(told.changes + told.failures, 0);
    ci_issuer_play(world->ci, &broken);
}

static void keys_that_were_kept_serve_where_their_issuer_does_not_answer(void **state)
{
    struct world world;
    unsigned entered = 0;

    (void)state;
    keep_and_break(&world);
    world_restart(&world);
    assert_int_equal(verify_counting(&world, key_a, HEADER_A, &entered), ERROR_NONE);
    assert_int_equal(entered, 2); /* it was asked first */
    assert_string_equal(identity_degraded(world.identity), "ci");
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_KEYS_UNAVAILABLE);
    keeping_close(&world);
}

static void keys_that_were_kept_do_not_serve_where_their_issuer_answers(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;

    (void)state;
    keep_and_break(&world);
    ci_issuer_play(world.ci, &rotated);
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_TOKEN);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_NONE);
    keeping_close(&world);
}

static void keys_age_while_nobody_runs(void **state)
{
    struct world world;

    (void)state;
    keep_and_break(&world);
    clock_test_advance(300 + 3600 - 5);
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    clock_test_advance(5);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    keeping_close(&world);
}

static void a_fetch_that_succeeds_ends_the_age_of_kept_keys(void **state)
{
    struct world world;

    (void)state;
    keep_and_break(&world);
    clock_test_advance(3000);
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    ci_issuer_play(world.ci, &whole);
    clock_test_advance(10);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    await_degraded(world.identity, false);
    ci_issuer_play(world.ci, &broken);
    clock_test_advance(3600);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    keeping_close(&world);
}

static void a_file_is_for_its_owner_alone(void **state)
{
    struct world world;
    char path[PATH_SIZE];
    struct stat status;

    (void)state;
    keep_and_break(&world);
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(kept_path(path), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    keeping_close(&world);
}

/* What is not believed. */

static void assert_not_believed(struct world *world, const char *why)
{
    struct told told = { 0 };

    world_restart(world);
    assert_int_equal(verify_a(world), ERROR_KEYS_UNAVAILABLE);
    tend(world, &told);
    assert_int_equal(told.failures, 1);
    if (strstr(told.cause, why) == NULL)
        fail_msg("expected '%s', got '%s'", why, told.cause);
    tend(world, &told);
    assert_int_equal(told.failures, 1); /* once */
}

static void a_file_that_others_can_write_is_not_believed(void **state)
{
    static const mode_t modes[] = { 0620, 0602, 0666 };
    struct world world;
    char path[PATH_SIZE];

    (void)state;
    keep_and_break(&world);
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(kept_path(path), modes[i]), 0);
        assert_not_believed(&world, "others may have written it");
    }
    assert_int_equal(chmod(kept_path(path), 0600), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_not_believed(&world, "others may have written it");
    assert_int_equal(chmod(folder, 0700), 0);
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    keeping_close(&world);
}

static void a_file_of_another_owner_is_not_believed(void **state)
{
    struct world world;
    char path[PATH_SIZE];

    (void)state;
    if (geteuid() != 0)
        skip();
    keep_and_break(&world);
    assert_int_equal(chown(kept_path(path), 12345, (gid_t)-1), 0);
    assert_not_believed(&world, "others may have written it");
    keeping_close(&world);
}

static void a_link_is_not_followed(void **state)
{
    struct world world;
    char path[PATH_SIZE];
    char other[PATH_SIZE + 8];

    (void)state;
    keep_and_break(&world);
    (void)snprintf(other, sizeof(other), "%s.x", kept_path(path));
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(symlink(other, path), 0);
    assert_not_believed(&world, "expected a regular file");
    assert_int_equal(unlink(other), 0);
    keeping_close(&world);
}

/* Replace a member of the file; NULL takes it away. */
static void change_file(const char *member, json_t *take_value)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * FILE_MAX);
    char path[PATH_SIZE];
    JSON_OWNED json_t *document = NULL;
    struct error error = { 0 };
    struct str text;

    assert_true(file_read(arena, kept_path(path), FILE_MAX, &text, &error));
    document = json_loadb(text.data, text.len, 0, NULL);
    assert_non_null(document);
    if (take_value == NULL)
        assert_int_equal(json_object_del(document, member), 0);
    else
        assert_int_equal(json_object_set_new(document, member, take_value), 0);
    assert_true(file_replace(path, json_text(arena, document), 0600, &error));
}

static void a_file_that_is_not_whole_is_not_believed(void **state)
{
    static const char *const members[] = { "version",  "issuer", "place", "fetched",
                                           "lifetime", "known",  "jwks" };
    struct world world;
    char path[PATH_SIZE];
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(members); i++) {
        keep_and_break(&world);
        change_file(members[i], NULL);
        assert_not_believed(&world, "");
        keeping_close(&world);
    }
    keep_and_break(&world);
    assert_true(file_replace(kept_path(path), STR("{\"version\":1"), 0600, &error));
    assert_not_believed(&world, "");
    keeping_close(&world);
}

static void a_file_with_other_values_is_not_believed(void **state)
{
    struct world world;

    (void)state;
    keep_and_break(&world);
    change_file("issuer", json_string("https://evil.example"));
    assert_not_believed(&world, "another configuration");
    change_file("issuer", json_string(ci_issuer_url(world.ci)));
    change_file("version", json_integer(2));
    assert_not_believed(&world, "another configuration");
    keeping_close(&world);
}

static void keys_from_the_future_or_of_no_sound_life_do_not_serve(void **state)
{
    struct world world;
    const int64_t lives[] = { 29, 601, -1, INT64_MAX };

    (void)state;
    keep_and_break(&world);
    change_file("fetched", json_integer(clock_wall_s() + 60));
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    change_file("fetched", json_integer(INT64_MIN));
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    change_file("fetched", json_integer(clock_wall_s()));
    for (size_t i = 0; i < COUNT(lives); i++) {
        change_file("lifetime", json_integer(lives[i]));
        world_restart(&world);
        assert_int_equal(verify_a(&world), ERROR_KEYS_UNAVAILABLE);
    }
    keeping_close(&world);
}

static void keys_of_another_configuration_are_not_believed(void **state)
{
    static struct str hosts[] = { { "other.example", 13 } };
    struct world world;
    struct issuer_options before;

    (void)state;
    keep_and_break(&world);
    before = world.issuer;
    world.issuer.algorithms = JOSE_EDDSA;
    assert_not_believed(&world, "another configuration");
    world.issuer = before;
    world.issuer.key_hosts = hosts;
    world.issuer.key_host_count = 1;
    assert_not_believed(&world, "another configuration");
    world.issuer = before;
    world.issuer.ca_file = "/dev/null";
    assert_not_believed(&world, "another configuration");
    world.issuer = before;
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    keeping_close(&world);
}

/* Changes. */

static void fetch_again(struct world *world, const struct ci_script *script, int64_t later_s)
{
    unsigned before = ci_issuer_key_fetches(world->ci);

    ci_issuer_play(world->ci, script);
    clock_test_advance(later_s);
    (void)verify_a(world);
    await(ci_issuer_key_fetches, world->ci, before + 1);
    await_degraded(world->identity, false);
}

static void a_change_is_told_once_and_the_first_set_is_none(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keeping_open(&world);
    tend(&world, &told);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    tend(&world, &told);
    fetch_again(&world, &whole, 300);
    tend(&world, &told);
    assert_int_equal(told.changes, 0);
    fetch_again(&world, &rotated, 300);
    tend(&world, &told);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    assert_string_equal(told.added, "b");
    assert_string_equal(told.removed, "a");
    assert_int_equal(told.failures, 0);
    keeping_close(&world);
}

static void a_change_over_a_restart_is_told(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keep_and_break(&world);
    clock_test_advance(86400); /* too old to serve, but known */
    ci_issuer_play(world.ci, &rotated);
    world_restart(&world);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_NONE);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    assert_string_equal(told.added, "b");
    assert_string_equal(told.removed, "a");
    world_restart(&world);
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_NONE);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    keeping_close(&world);
}

static void another_key_under_the_same_kid_is_a_change(void **state)
{
    char *jwks = signer_jwks(key_b, "a");
    const struct ci_script swapped = { .jwks = jwks };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keep_and_break(&world);
    fetch_again(&world, &swapped, 300);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    assert_string_equal(told.added, "a");
    assert_string_equal(told.removed, "a");
    keeping_close(&world);
    free(jwks);
}

static void an_issuer_that_flaps_is_told_of_every_10_minutes(void **state)
{
    const struct ci_script scripts[] = {
        { .jwks = jwks_a, .headers = "Cache-Control: no-store\r\n" },
        { .jwks = jwks_b, .headers = "Cache-Control: no-store\r\n" },
    };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keep_and_break(&world);
    fetch_again(&world, &scripts[1], 300);
    for (size_t i = 0; i < 60; i++) {
        tend(&world, &told);
        fetch_again(&world, &scripts[i % 2], 30);
    }
    assert_true(told.changes >= 2 && told.changes <= 3); /* of 60, in half an hour */
    keeping_close(&world);
}

static void what_changed_meanwhile_is_told_in_one(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    char *jwks = signer_jwks(key_b, "c");
    const struct ci_script third = { .jwks = jwks };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keep_and_break(&world);
    fetch_again(&world, &rotated, 300);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    fetch_again(&world, &third, 300);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    clock_test_advance(300);
    tend(&world, &told);
    assert_int_equal(told.changes, 2);
    assert_string_equal(told.added, "c");
    assert_string_equal(told.removed, "b");
    keeping_close(&world);
    free(jwks);
}

static void a_change_that_could_not_be_recorded_is_told_again(void **state)
{
    const struct ci_script rotated = { .jwks = jwks_b };
    struct world world;
    struct told told = { .refuses = true };

    (void)state;
    keep_and_break(&world);
    fetch_again(&world, &rotated, 300);
    tend(&world, &told);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    told.refuses = false;
    world_restart(&world); /* what is kept still has the old names */
    assert_int_equal(verify(&world, key_b, HEADER_B), ERROR_NONE);
    tend(&world, &told);
    assert_int_equal(told.changes, 2);
    assert_string_equal(told.removed, "a");
    keeping_close(&world);
}

static char *many_keys(const char *prefix)
{
    json_t *keys = json_array();
    json_t *set = json_object();
    char *text;

    for (unsigned i = 0; i < 100; i++) {
        char kid[257];

        (void)snprintf(kid, sizeof(kid), "%s%0*u", prefix, (int)(256 - strlen(prefix)), i);
        assert_int_equal(json_array_append_new(keys, signer_jwk(key_a, kid)), 0);
    }
    assert_true(json_put(set, "keys", keys));
    text = json_dumps(set, 0);
    json_decref(set);
    return text;
}

static void many_long_names_are_cut(void **state)
{
    char *jwks = many_keys("x");
    const struct ci_script many = { .jwks = jwks };
    struct world world;
    struct told told = { 0 };

    (void)state;
    keep_and_break(&world);
    fetch_again(&world, &many, 300);
    tend(&world, &told);
    assert_int_equal(told.changes, 1);
    assert_int_equal(strlen(told.added), 8 * 257 + 1);
    assert_string_equal(told.added + strlen(told.added) - 2, " *");
    assert_string_equal(told.removed, "a");
    assert_int_equal(told.failures, 0);
    keeping_close(&world);
    free(jwks);
}

static void a_folder_that_cannot_be_made_is_told_once_a_fetch(void **state)
{
    struct world world;
    struct told told = { 0 };

    (void)state;
    keeping_open(&world);
    world.folder = "/dev/null/issuers";
    world_restart(&world);
    assert_int_equal(verify_a(&world), ERROR_NONE);
    told.failures = 0;
    tend(&world, &told);
    tend(&world, &told);
    assert_true(told.failures >= 1 && told.failures <= 2); /* reading and writing */
    world.folder = folder;
    keeping_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_that_were_kept_serve_where_their_issuer_does_not_answer),
        cmocka_unit_test(keys_that_were_kept_do_not_serve_where_their_issuer_answers),
        cmocka_unit_test(keys_age_while_nobody_runs),
        cmocka_unit_test(a_fetch_that_succeeds_ends_the_age_of_kept_keys),
        cmocka_unit_test(a_file_is_for_its_owner_alone),
        cmocka_unit_test(a_file_that_others_can_write_is_not_believed),
        cmocka_unit_test(a_file_of_another_owner_is_not_believed),
        cmocka_unit_test(a_link_is_not_followed),
        cmocka_unit_test(a_file_that_is_not_whole_is_not_believed),
        cmocka_unit_test(a_file_with_other_values_is_not_believed),
        cmocka_unit_test(keys_from_the_future_or_of_no_sound_life_do_not_serve),
        cmocka_unit_test(keys_of_another_configuration_are_not_believed),
        cmocka_unit_test(a_change_is_told_once_and_the_first_set_is_none),
        cmocka_unit_test(a_change_over_a_restart_is_told),
        cmocka_unit_test(another_key_under_the_same_kid_is_a_change),
        cmocka_unit_test(an_issuer_that_flaps_is_told_of_every_10_minutes),
        cmocka_unit_test(what_changed_meanwhile_is_told_in_one),
        cmocka_unit_test(a_change_that_could_not_be_recorded_is_told_again),
        cmocka_unit_test(many_long_names_are_cut),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_told_once_a_fetch),
    };

    return cmocka_run_group_tests(tests, key_world_set_up, key_world_tear_down);
}
