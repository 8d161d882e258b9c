#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "clients/issuer_files.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define ISSUER "https://broker.acme.example"
#define DISCOVERY(issuer) "{\"issuer\":\"" issuer "\",\"token_endpoint\":\"https://x/token\"}"
#define EC(kid, more)                                                                              \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"eA\",\"y\":\"eQ\",\"alg\":\"ES256\",\"kid\":"       \
    "\"" kid "\",\"use\":\"sig\"" more "}"
#define RSA(kid, more)                                                                             \
    "{\"kty\":\"RSA\",\"n\":\"bg\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"" kid "\"" more "}"
#define SET(keys) "{\"keys\":[" keys "]}"

struct fixture {
    char *folder;
    struct arena *arena;
    struct issuer_files files;
    struct error error;
};

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture =
        (struct fixture){ .folder = temporary_folder(), .arena = arena_new((size_t)1024 * 1024) };
    *state = &fixture;
    return fixture.arena ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    char path[256];

    join_path(fixture->folder, ".well-known", path);
    if (count_files(fixture->folder, ".well-known", "") > 0)
        remove_folder(strdup(path));
    remove_folder(fixture->folder);
    arena_free(fixture->arena);
    return 0;
}

static bool make(struct fixture *fixture, const char *discovery, const char *keys)
{
    fixture->error = (struct error){ 0 };
    return issuer_files_make(str_from(discovery), str_from(keys), fixture->arena, &fixture->files,
                             &fixture->error);
}

static void only_what_a_verifier_reads_is_in_them(void **state)
{
    struct fixture *fixture = *state;

    if (!make(fixture, DISCOVERY(ISSUER),
              SET(EC("a", ",\"x5u\":\"https://evil.example\"") "," RSA("b", ",\"new\":1"))))
        fail_msg("%s", fixture->error.cause);
    assert_string_equal(fixture->files.key_set.data,
                        "{\"keys\":[{\"alg\":\"ES256\",\"crv\":\"P-256\",\"kid\":\"a\",\"kty\":"
                        "\"EC\",\"use\":\"sig\",\"x\":\"eA\",\"y\":\"eQ\"},{\"alg\":\"RS256\","
                        "\"e\":\"AQAB\",\"kid\":\"b\",\"kty\":\"RSA\",\"n\":\"bg\",\"use\":\"sig\""
                        "}]}");
    assert_string_equal(
        fixture->files.discovery.data,
        "{\"id_token_signing_alg_values_supported\":[\"ES256\",\"RS256\"],\"issuer\":\"" ISSUER
        "\",\"jwks_uri\":\"" ISSUER "/jwks.json\",\"response_types_supported\":[\"id_token\"],"
        "\"subject_types_supported\":[\"public\"]}");
    assert_int_equal(fixture->files.key_count, 2);
}

static void what_no_cloud_takes_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *discovery;
        const char *keys;
    } cases[] = {
        { "html", "<html>", SET(EC("a", "")) },
        { "no issuer", "{}", SET(EC("a", "")) },
        { "an issuer with a port", DISCOVERY(ISSUER ":8443"), SET(EC("a", "")) },
        { "an issuer with a '/' at its end", DISCOVERY(ISSUER "/"), SET(EC("a", "")) },
        { "an issuer with a query", DISCOVERY(ISSUER "?a"), SET(EC("a", "")) },
        { "an issuer that is no URL", DISCOVERY("broker"), SET(EC("a", "")) },
        { "keys that are no JSON", DISCOVERY(ISSUER), "keys" },
        { "no keys", DISCOVERY(ISSUER), SET("") },
        { "keys that are no list", DISCOVERY(ISSUER), "{\"keys\":{}}" },
        { "a key that is no object", DISCOVERY(ISSUER), SET("1") },
        { "a private half of EC", DISCOVERY(ISSUER), SET(EC("a", ",\"d\":\"ZA\"")) },
        { "a private half of RSA", DISCOVERY(ISSUER), SET(RSA("a", ",\"p\":\"cA\"")) },
        { "a secret", DISCOVERY(ISSUER), SET(RSA("a", ",\"k\":\"cA\"")) },
        { "another algorithm", DISCOVERY(ISSUER),
          SET("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"eA\",\"alg\":\"EdDSA\",\"kid\":"
              "\"a\"}") },
        { "an algorithm of another type", DISCOVERY(ISSUER),
          SET("{\"kty\":\"EC\",\"alg\":\"RS256\",\"kid\":\"a\"}") },
        { "certificates that are no list", DISCOVERY(ISSUER), SET(EC("a", ",\"x5c\":\"bQ\"")) },
        { "two certificates", DISCOVERY(ISSUER),
          SET(EC("a", ",\"x5c\":[\"bQ\",\"bQ\"],\"x5t#S256\":\"bQ\"")) },
        { "a certificate without its digest", DISCOVERY(ISSUER),
          SET(EC("a", ",\"x5c\":[\"bQ\"]")) },
        { "no kid", DISCOVERY(ISSUER), SET(EC("", "")) },
        { "two of one kid", DISCOVERY(ISSUER), SET(EC("a", "") "," RSA("a", "")) },
        { "a number that is not there", DISCOVERY(ISSUER),
          SET("{\"kty\":\"RSA\",\"n\":\"bg\",\"alg\":\"RS256\",\"kid\":\"a\"}") },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++)
        if (make(fixture, cases[i].discovery, cases[i].keys))
            fail_msg("%s was taken", cases[i].name);
}

static void a_certificate_goes_with_its_key(void **state)
{
    struct fixture *fixture = *state;

    assert_true(
        make(fixture, DISCOVERY(ISSUER), SET(EC("a", ",\"x5c\":[\"bQ\"],\"x5t#S256\":\"bg\""))));
    assert_non_null(
        strstr(fixture->files.key_set.data, "\"x5c\":[\"bQ\"],\"x5t#S256\":\"bg\",\"y\":"));
}

static void sixteen_keys_are_taken_and_no_more(void **state)
{
    struct fixture *fixture = *state;

    for (size_t count = 16; count <= 17; count++) {
        struct buf set = { 0 };

        buf_init(&set, 8192);
        buf_add_text(&set, "{\"keys\":[");
        for (size_t i = 0; i < count; i++)
            buf_printf(&set,
                       "%s{\"kty\":\"RSA\",\"n\":\"bg\",\"e\":\"AQAB\",\"alg\":\"RS256\","
                       "\"kid\":\"%zu\"}",
                       i > 0 ? "," : "", i);
        buf_add_text(&set, "]}");
        assert_true(make(fixture, DISCOVERY(ISSUER), set.data) == (count == 16));
        buf_release(&set);
    }
    assert_int_equal(fixture->error.code, ERROR_LIMIT);
}

static bool write(struct fixture *fixture, bool may_replace, bool *is_changed)
{
    fixture->error = (struct error){ 0 };
    return issuer_files_write(&fixture->files, fixture->folder, may_replace, fixture->arena,
                              is_changed, &fixture->error);
}

static void they_change_only_where_the_keys_do(void **state)
{
    struct fixture *fixture = *state;
    bool is_changed;

    assert_true(make(fixture, DISCOVERY(ISSUER), SET(EC("a", ""))));
    assert_true(write(fixture, false, &is_changed) && is_changed);
    assert_true(write(fixture, false, &is_changed) && !is_changed);
    assert_true(make(fixture, DISCOVERY(ISSUER), SET(EC("a", "") "," EC("b", ""))));
    assert_true(write(fixture, false, &is_changed) && is_changed);
    assert_non_null(
        strstr(read_text(fixture->arena, fixture->folder, "jwks.json").data, "\"kid\":\"b\""));
    assert_non_null(
        strstr(read_text(fixture->arena, fixture->folder, ".well-known/openid-configuration").data,
               "\"jwks_uri\":\"" ISSUER "/jwks.json\""));
    assert_int_equal(count_files(fixture->folder, "", ".new"), 0);
}

static void what_is_somebody_else_s_stays(void **state)
{
    static const struct {
        const char *name;
        const char *discovery;
        const char *keys;
    } cases[] = {
        { "another issuer", DISCOVERY("https://other.acme.example"), SET(EC("a", "")) },
        { "no key in common", DISCOVERY(ISSUER), SET(EC("z", "")) },
    };
    struct fixture *fixture = *state;
    bool is_changed;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(make(fixture, DISCOVERY(ISSUER), SET(EC("a", ""))));
        assert_true(write(fixture, true, &is_changed));
        assert_true(make(fixture, cases[i].discovery, cases[i].keys));
        if (write(fixture, false, &is_changed))
            fail_msg("%s", cases[i].name);
        assert_int_equal(fixture->error.code, ERROR_USAGE);
        assert_non_null(
            strstr(read_text(fixture->arena, fixture->folder, "jwks.json").data, "\"kid\":\"a\""));
        assert_true(write(fixture, true, &is_changed) && is_changed);
    }
    write_text(fixture->folder, "jwks.json", STR("a page of mine"));
    assert_false(write(fixture, false, &is_changed));
    assert_int_equal(fixture->error.code, ERROR_USAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_a_verifier_reads_is_in_them), TEST(what_no_cloud_takes_is_refused),
        TEST(a_certificate_goes_with_its_key),       TEST(sixteen_keys_are_taken_and_no_more),
        TEST(they_change_only_where_the_keys_do),    TEST(what_is_somebody_else_s_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
