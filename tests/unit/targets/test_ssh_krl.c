/* Lists of revoked SSH certificates, as ssh-keygen reads them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/json.h"
#include "fixture.h"
#include "targets/ssh_krl.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

static struct fixture fixture;

static const struct target_kind *kind(void)
{
    return target_kind_find(STR("ssh"));
}

static int set_up(void **state)
{
    fixture_init(&fixture);
    assert_null(fixture_configure(&fixture, "ssh", "{ key: ssh-ca }"));
    assert_true(kind()->start(&fixture.target, &fixture.tools, &fixture.error));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

static int run(const char *line)
{
    char script[1024];

    (void)snprintf(script, sizeof(script), "cd '%s' && { %s; } >out 2>&1", fixture.folder, line);
    return system(script); /* NOLINT(cert-env33-c,concurrency-mt-unsafe): a test's own words */
}

/* A certificate of the CA, made as a job gets it, in "NAME.pub"; its serial. */
static struct str issue(const char *name)
{
    JSON_OWNED json_t *details = NULL;
    struct str key;
    struct str proof;

    write_text(fixture.folder, "digest",
               (struct str){ (const char *)fixture.token_sha256, SHA256_LEN });
    assert_int_equal(run("rm -f job job.pub digest.sig; ssh-keygen -q -t ed25519 -N '' -f job && "
                         "ssh-keygen -Y sign -q -f job -n stagepass digest"),
                     0);
    key = str_trim(read_text(fixture.arena, fixture.folder, "job.pub"));
    proof = read_text(fixture.arena, fixture.folder, "digest.sig");
    details = json_pack("{s:s, s:s, s:s%, s:s%}", "type", "stagepass_grant", "grant", "site",
                        "public_key", key.data, key.len, "proof", proof.data, proof.len);
    fixture_again(&fixture);
    fixture_details(&fixture, json_text(fixture.arena, details).data);
    fixture_fields(&fixture, "{ principals: [deploy] }");
    if (!kind()->check_details(&fixture.mint, &fixture.error) ||
        kind()->mint(&fixture.mint, &fixture.error) != PROGRESS_DONE)
        fail_msg("%s", fixture.error.cause);
    write_text(fixture.folder, name, fixture_text(fixture.mint.credential, "ssh", "certificate"));
    return arena_copy(fixture.arena, fixture_text(fixture.mint.record, NULL, "id"));
}

static struct str authority(void)
{
    return arena_copy(fixture.arena, fixture_text(fixture.mint.record, NULL, "ca"));
}

static struct target_list list_of(const struct target_revoked *revoked, size_t count)
{
    struct target_listing listing = {
        .target = &fixture.target,
        .revoked = revoked,
        .revoked_count = count,
        .size = 7,
        .now_s = FIXTURE_NOW_S,
        .arena = fixture.arena,
    };
    struct error error = { 0 };

    if (!kind()->list(&listing, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(listing.list_count, 1);
    write_text(fixture.folder, "krl", listing.lists[0].bytes);
    return listing.lists[0];
}

/* ssh-keygen -Q: 1 where it is revoked. */
static bool is_revoked(const char *certificate)
{
    char line[128];
    int status;

    (void)snprintf(line, sizeof(line), "ssh-keygen -Q -f krl %s", certificate);
    status = run(line);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) < 2);
    return WEXITSTATUS(status) == 1;
}

static void ssh_keygen_finds_what_is_listed_and_nothing_else(void **state)
{
    struct str bad = issue("bad.pub");
    struct str good = issue("good.pub");
    struct str ca = authority();
    const struct target_revoked revoked[] = {
        { ca, bad, FIXTURE_NOW_S },
        { STR("SHA256:of-another-ca"), good, FIXTURE_NOW_S },
        { ca, STR("not-a-number"), FIXTURE_NOW_S },
        { ca, STR("0"), FIXTURE_NOW_S },
    };
    struct target_list list = list_of(revoked, COUNT(revoked));

    (void)state;
    assert_true(str_eq(list.path, STR("/krl/prod")));
    assert_true(is_revoked("bad.pub"));
    assert_false(is_revoked("good.pub"));
}

static void an_empty_list_revokes_nothing(void **state)
{
    (void)state;
    (void)issue("good.pub");
    (void)list_of(NULL, 0);
    assert_false(is_revoked("good.pub"));
}

static void a_list_says_which_it_is(void **state)
{
    const char *text;

    (void)state;
    (void)issue("good.pub");
    (void)list_of(&(struct target_revoked){ authority(), STR("12"), FIXTURE_NOW_S }, 1);
    assert_int_equal(run("TZ=UTC ssh-keygen -Q -l -f krl"), 0);
    text = read_text(fixture.arena, fixture.folder, "out").data;
    if (!strstr(text, "KRL version 7") || !strstr(text, "20270115T080000") ||
        !strstr(text, "serial: 12"))
        fail_msg("%s", text);
}

static void a_target_whose_key_is_not_loaded_has_no_list(void **state)
{
    struct target_listing listing = { .target = &fixture.target, .arena = fixture.arena };
    struct error error = { 0 };

    (void)state;
    assert_null(fixture_configure(&fixture, "ssh", "{ key: other }"));
    assert_false(kind()->list(&listing, &error));
    assert_int_equal(error.code, ERROR_MINT);
}

static void a_list_has_a_largest_size(void **state)
{
    size_t most = SSH_KRL_MAX / 16;
    uint64_t *serials = calloc(most + 1, sizeof(*serials));
    struct ssh_krl krl = { .ca = STR("ca"), .serials = serials, .count = most };
    OWNED(buf_release) struct buf out = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_non_null(serials);
    buf_init(&out, SSH_KRL_MAX);
    assert_true(ssh_krl_write(&krl, &out, &error));
    krl.count++;
    assert_false(ssh_krl_write(&krl, &out, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    free(serials);
}

static void revoking_asks_nobody(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_int_equal(kind()->revoke(&(struct revocation){ 0 }, &error), PROGRESS_DONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ssh_keygen_finds_what_is_listed_and_nothing_else),
        TEST(an_empty_list_revokes_nothing),
        TEST(a_list_says_which_it_is),
        TEST(a_target_whose_key_is_not_loaded_has_no_list),
        TEST(a_list_has_a_largest_size),
        TEST(revoking_asks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
