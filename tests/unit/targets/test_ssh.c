#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "fixture.h"
#include "tests/assert_str.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define FLEET "{type: ssh, key: ssh-ca}"

static const struct target_kind *kind(void)
{
    return target_kind_find(STR("ssh"));
}

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    assert_null(fixture_configure(&fixture, "ssh", FLEET));
    assert_true(kind()->start(&fixture.target, &fixture.tools, &fixture.error));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

/* A runner's side: a key and its proof, both by ssh-keygen. */

static void make_key(struct fixture *fixture, const char *type)
{
    char path[256];
    const char *arguments[] = { "ssh-keygen", "-q", "-t",  type, "-b", "256", "-N",
                                "",           "-C", "job", "-f", path, NULL };

    join_path(fixture->folder, "job", path);
    (void)remove(path);
    run_program(arguments);
}

static struct str sign(struct fixture *fixture, const char *name_space, struct str message)
{
    char key[256];
    char digest[256];
    const char *arguments[] = { "ssh-keygen", "-q", "-Y",       "sign", "-f",
                                key,          "-n", name_space, digest, NULL };

    join_path(fixture->folder, "job", key);
    join_path(fixture->folder, "digest.sig", digest);
    (void)remove(digest);
    join_path(fixture->folder, "digest", digest);
    write_text(fixture->folder, "digest", message);
    run_program(arguments);
    return read_text(fixture->arena, fixture->folder, "digest.sig");
}

static struct str token_digest(const struct fixture *fixture)
{
    return (struct str){ (const char *)fixture->token_sha256, SHA256_LEN };
}

static void details(struct fixture *fixture, struct str public_key, struct str proof)
{
    JSON_OWNED json_t *object = json_pack(
        "{s:s, s:s, s:i, s:s%, s:s%}", "type", "stagepass_grant", "grant", "site", "ttl", 900,
        "public_key", public_key.data, public_key.len, "proof", proof.data, proof.len);

    fixture_details(fixture, json_text(fixture->arena, object).data);
}

/* The line without its end. */
static struct str public_line(struct fixture *fixture)
{
    return str_trim(read_text(fixture->arena, fixture->folder, "job.pub"));
}

static void prove(struct fixture *fixture, const char *type)
{
    make_key(fixture, type);
    details(fixture, public_line(fixture), sign(fixture, "stagepass", token_digest(fixture)));
}

static void assert_minted(struct fixture *fixture, const char *fields)
{
    fixture_fields(fixture, fields);
    if (!kind()->check_details(&fixture->mint, &fixture->error) ||
        kind()->mint(&fixture->mint, &fixture->error) != PROGRESS_DONE)
        fail_msg("%s", fixture->error.cause);
}

/* What ssh-keygen says of the certificate. */
static const char *printed(struct fixture *fixture)
{
    struct str line = fixture_text(fixture->mint.credential, "ssh", "certificate");
    char script[600];

    write_text(fixture->folder, "cert.pub", line);
    (void)snprintf(script, sizeof(script), "TZ=UTC ssh-keygen -L -f %s/cert.pub >%s/printed",
                   fixture->folder, fixture->folder);
    run_program((const char *[]){ "sh", "-c", script, NULL });
    return read_text(fixture->arena, fixture->folder, "printed").data;
}

static void assert_says(const char *text, const char *expected)
{
    if (!strstr(text, expected))
        fail_msg("'%s' is not in:\n%s", expected, text);
}

static void ssh_keygen_reads_what_the_policy_says(void **state)
{
    struct fixture *fixture = *state;
    const char *text;

    prove(fixture, "ed25519");
    assert_minted(fixture, "{target: prod, principals: [deploy, ops], force_command: /usr/bin/true,"
                           " source_address: [192.0.2.0/24, \"2001:db8::/32\"],"
                           " extensions: [permit-user-rc, permit-pty]}");
    text = printed(fixture);
    assert_says(text, "Type: ssh-ed25519-cert-v01@openssh.com user certificate");
    assert_says(text, "Key ID: \"" FIXTURE_STAGE " " FIXTURE_LEASE "\"");
    assert_says(text, "Valid: from 2027-01-15T07:59:30 to 2027-01-15T08:15:00");
    assert_says(text, "                deploy\n                ops\n");
    assert_says(text, "force-command /usr/bin/true");
    assert_says(text, "source-address 192.0.2.0/24,2001:db8::/32");
    assert_says(text, "                permit-pty\n                permit-user-rc\n");
    assert_int_equal(fixture->mint.expires_s, FIXTURE_NOW_S + 900);
}

static void the_record_names_certificate_key_and_authority(void **state)
{
    struct fixture *fixture = *state;
    const json_t *record;
    const char *text;

    prove(fixture, "ed25519");
    assert_minted(fixture, "{target: prod, principals: deploy}");
    record = fixture->mint.record;
    text = printed(fixture);
    assert_says(text, arena_printf(fixture->arena, "Serial: " STR_FMT "\n",
                                   STR_ARG(fixture_text(record, NULL, "id")))
                          .data);
    assert_says(text, arena_printf(fixture->arena, "Public key: ED25519-CERT " STR_FMT "\n",
                                   STR_ARG(fixture_text(record, NULL, "fingerprint")))
                          .data);
    assert_says(text, arena_printf(fixture->arena, "Signing CA: ED25519 " STR_FMT " ",
                                   STR_ARG(fixture_text(record, NULL, "ca")))
                          .data);
    assert_says(text, "Critical Options: (none)");
    assert_says(text, "Extensions: (none)");
}

static void a_p256_key_gets_a_certificate_of_its_kind(void **state)
{
    struct fixture *fixture = *state;

    prove(fixture, "ecdsa");
    assert_minted(fixture, "{target: prod, principals: [deploy]}");
    assert_says(printed(fixture),
                "Type: ecdsa-sha2-nistp256-cert-v01@openssh.com user certificate");
}

static void the_credential_lists_its_principals(void **state)
{
    struct fixture *fixture = *state;
    const json_t *list;

    prove(fixture, "ed25519");
    assert_minted(fixture, "{target: prod, principals: [deploy, ops]}");
    list = json_object_get(json_object_get(fixture->mint.credential, "ssh"), "principals");
    assert_int_equal(json_array_size(list), 2);
    assert_str(json_str(json_array_get(list, 1)), "ops");
}

static void a_pinned_certificate_is_for_the_address_of_the_request(void **state)
{
    struct fixture *fixture = *state;

    prove(fixture, "ed25519");
    assert_minted(fixture, "{target: prod, principals: [deploy], pin_address: true}");
    assert_says(printed(fixture), "source-address 192.0.2.7/32\n");
    fixture_again(fixture);
    assert_true(address_parse(STR("2001:db8::7"), &fixture->address));
    assert_minted(fixture, "{target: prod, principals: [deploy], pin_address: true}");
    assert_says(printed(fixture), "source-address 2001:db8::7/128\n");
}

static void nothing_is_pinned_to_an_unknown_address(void **state)
{
    struct fixture *fixture = *state;

    prove(fixture, "ed25519");
    fixture->address = (struct address){ 0 };
    fixture_fields(fixture, "{target: prod, principals: [deploy], pin_address: true}");
    assert_true(kind()->check_details(&fixture->mint, &fixture->error));
    assert_int_equal(kind()->mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_MINT);
    assert_null(fixture->mint.credential);
}

static void serials_differ_and_are_in_range(void **state)
{
    struct fixture *fixture = *state;
    struct str first;
    int64_t serial;

    prove(fixture, "ed25519");
    assert_minted(fixture, "{target: prod, principals: [deploy]}");
    first = arena_copy(fixture->arena, fixture_text(fixture->mint.record, NULL, "id"));
    assert_true(str_to_int64(first, &serial) && serial > 0);
    fixture_again(fixture);
    assert_minted(fixture, "{target: prod, principals: [deploy]}");
    assert_false(str_eq(first, fixture_text(fixture->mint.record, NULL, "id")));
}

/* What the caller sends. */

static void assert_details_refused(struct fixture *fixture)
{
    fixture->error = (struct error){ 0 };
    fixture->mint.state = NULL;
    fixture_fields(fixture, "{target: prod, principals: [deploy]}");
    assert_false(kind()->check_details(&fixture->mint, &fixture->error));
    assert_int_equal(fixture->error.code, ERROR_DETAILS);
    assert_null(fixture->mint.state);
    fixture->error = (struct error){ 0 };
    assert_int_equal(kind()->mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_DETAILS);
    assert_null(fixture->mint.credential);
}

static void without_details_nothing_is_signed(void **state)
{
    assert_details_refused(*state);
}

static void key_and_proof_are_both_needed(void **state)
{
    static const char *const cases[] = {
        "{}",
        "{\"type\": \"stagepass_grant\", \"grant\": \"site\"}",
        "{\"public_key\": \"ssh-ed25519 AAAA\"}",
        "{\"proof\": \"AAAA\"}",
        "{\"public_key\": 1, \"proof\": \"AAAA\"}",
        "{\"public_key\": \"x\", \"proof\": []}",
        "{\"public_key\": \"\", \"proof\": \"\"}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        fixture_details(fixture, cases[i]);
        assert_details_refused(fixture);
    }
}

static void what_the_caller_would_add_is_refused(void **state)
{
    static const char *const names[] = { "principals", "force_command", "extensions", "Public_key",
                                         "source_address" };
    struct fixture *fixture = *state;

    prove(fixture, "ed25519");
    for (size_t i = 0; i < COUNT(names); i++) {
        JSON_OWNED json_t *object = json_copy(json_iterable(fixture->mint.details));

        assert_true(json_put(object, names[i], json_string("root")));
        fixture_details(fixture, json_text(fixture->arena, object).data);
        assert_details_refused(fixture);
        prove(fixture, "ed25519");
    }
}

static void the_proof_of_another_token_is_refused(void **state)
{
    struct fixture *fixture = *state;

    prove(fixture, "ed25519");
    fixture->token_sha256[31] ^= 1;
    assert_details_refused(fixture);
}

static void a_proof_in_another_namespace_is_refused(void **state)
{
    static const char *const names[] = { "file", "git", "stagepass2" };
    struct fixture *fixture = *state;

    make_key(fixture, "ed25519");
    for (size_t i = 0; i < COUNT(names); i++) {
        details(fixture, public_line(fixture), sign(fixture, names[i], token_digest(fixture)));
        assert_details_refused(fixture);
    }
}

static void a_proof_by_another_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct str stolen;

    make_key(fixture, "ed25519");
    stolen = public_line(fixture);
    make_key(fixture, "ed25519");
    details(fixture, stolen, sign(fixture, "stagepass", token_digest(fixture)));
    assert_details_refused(fixture);
}

static void keys_that_we_do_not_take_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    const char *arguments[] = { "ssh-keygen", "-q", "-t", "rsa", "-b", "2048",
                                "-N",         "",   "-f", path,  NULL };

    join_path(fixture->folder, "job", path);
    run_program(arguments);
    details(fixture, public_line(fixture), sign(fixture, "stagepass", token_digest(fixture)));
    assert_details_refused(fixture);
}

/* At load. */

static void good_grants_are_accepted_at_load(void **state)
{
    static const char *const cases[] = {
        "{target: prod, principals: [deploy]}",
        "{target: prod, principals: deploy}",
        "{target: prod, principals: [\"web-${pr}\"]}",
        "{target: prod, principals: [a.b_c@d:e+f-1]}",
        "{target: prod, principals: [deploy], force_command: \"/usr/bin/deploy --all\"}",
        "{target: prod, principals: [deploy], source_address: 10.0.0.0/8}",
        "{target: prod, principals: [deploy], extensions: []}",
        "{principals: [a], extensions: [permit-X11-forwarding, permit-agent-forwarding]}",
        "{principals: [a], extensions: [permit-port-forwarding, permit-pty, permit-user-rc]}",
        "{target: prod, principals: [deploy], pin_address: true}",
        "{target: prod, principals: [deploy], pin_address: false, source_address: 10.0.0.0/8}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_check(fixture, "ssh", cases[i]);

        if (message)
            fail_msg("%s: %s", cases[i], message);
    }
}

static void bad_grants_are_refused_at_load(void **state)
{
    static const struct {
        const char *fields;
        const char *message;
    } cases[] = {
        { "{target: prod}", "needs 'principals'" },
        { "{target: prod, principals: []}", "must not be empty" },
        { "{target: prod, principals: \"\"}", "must not be empty" },
        { "{target: prod, principals: [deploy, \"\"]}", "must not be empty" },
        { "{target: prod, principals: [deploy, deploy]}", "twice" },
        { "{target: prod, principals: [\"*\"]}", "cannot have" },
        { "{target: prod, principals: [\"web?\"]}", "cannot have" },
        { "{target: prod, principals: [\"!root\"]}", "cannot have" },
        { "{target: prod, principals: [\"a,b\"]}", "cannot have" },
        { "{target: prod, principals: [\"a b\"]}", "cannot have" },
        { "{target: prod, principals: [../x]}", "cannot have" },
        { "{target: prod, principals: [-x]}", "start with '-'" },
        { "{target: prod, principals: [\"${user}\"]}", "literal text" },
        { "{target: prod, principals: [\"${user}-x\"]}", "literal text" },
        { "{target: prod, principals: {a: b}}", "must be text" },
        { "{target: prod, principals: [d], force_command: \"\"}", "must not be empty" },
        { "{target: prod, principals: [d], force_command: [a]}", "must be text" },
        { "{target: prod, principals: [d], force_command: \"${program} --all\"}",
          "a command starts with literal text" },
        { "{target: prod, principals: [d], source_address: []}", "must not be empty" },
        { "{target: prod, principals: [d], source_address: 10.0.0.1/8}", "expected a network" },
        { "{target: prod, principals: [d], source_address: [a]}", "expected a network" },
        { "{target: prod, principals: [d], extensions: [permit-pty, permit-pty]}", "twice" },
        { "{target: prod, principals: [d], extensions: [no-touch-required]}", "not an extension" },
        { "{target: prod, principals: [d], extensions: [Permit-pty]}", "not an extension" },
        { "{target: prod, principals: [d], pin_address: yes}", "true or false" },
        { "{target: prod, principals: [d], pin_address: [true]}", "true or false" },
        { "{target: prod, principals: [d], pin_address: true, source_address: 10.0.0.0/8}",
          "exclude each other" },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_check(fixture, "ssh", cases[i].fields);

        if (!message || !strstr(message, cases[i].message))
            fail_msg("%s: %s", cases[i].fields, message ? message : "accepted");
    }
}

static const char *with_principals(char *out, size_t size, int count)
{
    size_t len = (size_t)snprintf(out, size, "{target: prod, principals: [p0");

    for (int i = 1; i < count; i++)
        len += (size_t)snprintf(out + len, size - len, ", p%d", i);
    (void)snprintf(out + len, size - len, "]}");
    return out;
}

static void a_command_may_have_holes_behind_the_program(void **state)
{
    static const char grant[] =
        "{target: prod, principals: [d], force_command: \"/usr/bin/deploy ${pr}\"}";

    assert_null(fixture_check(*state, "ssh", grant));
}

static void limits_hold_at_the_limit_and_one_past_it(void **state)
{
    struct fixture *fixture = *state;
    char out[2048];

    assert_null(fixture_check(fixture, "ssh", with_principals(out, sizeof(out), 32)));
    assert_non_null(fixture_check(fixture, "ssh", with_principals(out, sizeof(out), 33)));
    (void)snprintf(out, sizeof(out), "{target: prod, principals: [a%0127d]}", 1);
    assert_null(fixture_check(fixture, "ssh", out));
    (void)snprintf(out, sizeof(out), "{target: prod, principals: [a%0128d]}", 1);
    assert_non_null(fixture_check(fixture, "ssh", out));
    (void)snprintf(out, sizeof(out), "{target: prod, principals: [a], force_command: %01024d}", 1);
    assert_null(fixture_check(fixture, "ssh", out));
    (void)snprintf(out, sizeof(out), "{target: prod, principals: [a], force_command: %01025d}", 1);
    assert_non_null(fixture_check(fixture, "ssh", out));
}

static void the_largest_grant_still_fits_a_certificate(void **state)
{
    struct fixture *fixture = *state;
    char out[8192];
    size_t len = (size_t)snprintf(out, sizeof(out), "{target: prod, principals: [");

    for (int i = 0; i < 32; i++)
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%sa%0127d", i > 0 ? ", " : "", i);
    (void)snprintf(out + len, sizeof(out) - len, "], force_command: x%01023d}", 1);
    prove(fixture, "ed25519");
    assert_minted(fixture, out);
    assert_non_null(printed(fixture));
}

static void a_target_needs_a_proper_key_name(void **state)
{
    static const char *const cases[] = {
        "{type: ssh}",           "{type: ssh, key: \"\"}",
        "{type: ssh, key: SSH}", "{type: ssh, key: ../ca}",
        "{type: ssh, key: [a]}", "{type: ssh, key: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (!fixture_configure(fixture, "ssh", cases[i]))
            fail_msg("%s was accepted", cases[i]);
}

static void a_start_without_the_right_key_says_which_target(void **state)
{
    struct fixture *fixture = *state;
    struct key *key;

    assert_true(keys_named(fixture->keys, STR("other"), KEY_ES256, &key, &fixture->error));
    assert_null(fixture_configure(fixture, "ssh", "{type: ssh, key: other}"));
    assert_false(kind()->start(&fixture->target, &fixture->tools, &fixture->error));
    assert_non_null(strstr(fixture->error.cause, "target prod"));
}

static void a_target_that_did_not_start_signs_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "ssh", FLEET));
    prove(fixture, "ed25519");
    fixture_fields(fixture, "{target: prod, principals: [deploy]}");
    assert_true(kind()->check_details(&fixture->mint, &fixture->error));
    assert_int_equal(kind()->mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_MINT);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ssh_keygen_reads_what_the_policy_says),
        TEST(the_record_names_certificate_key_and_authority),
        TEST(a_p256_key_gets_a_certificate_of_its_kind),
        TEST(the_credential_lists_its_principals),
        TEST(a_pinned_certificate_is_for_the_address_of_the_request),
        TEST(nothing_is_pinned_to_an_unknown_address),
        TEST(serials_differ_and_are_in_range),
        TEST(without_details_nothing_is_signed),
        TEST(key_and_proof_are_both_needed),
        TEST(what_the_caller_would_add_is_refused),
        TEST(the_proof_of_another_token_is_refused),
        TEST(a_proof_in_another_namespace_is_refused),
        TEST(a_proof_by_another_key_is_refused),
        TEST(keys_that_we_do_not_take_are_refused),
        TEST(good_grants_are_accepted_at_load),
        TEST(bad_grants_are_refused_at_load),
        TEST(a_command_may_have_holes_behind_the_program),
        TEST(limits_hold_at_the_limit_and_one_past_it),
        TEST(the_largest_grant_still_fits_a_certificate),
        TEST(a_target_needs_a_proper_key_name),
        TEST(a_start_without_the_right_key_says_which_target),
        TEST(a_target_that_did_not_start_signs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
