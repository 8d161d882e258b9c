#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "fixture.h"
#include "keys/certificate.h"
#include "targets/targets_internal.h"
#include "tests/test.h"

static int set_up(void **state)
{
    static struct fixture fixture;

    fixture_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    return 0;
}

#define ROLE(more)                                                                                 \
    "{ target: prod, database: orders, mode: role, roles: [app, app_migrate]" more " }"
#define CERTIFICATE(more) "{ database: orders, mode: certificate, roles: app" more " }"

static void a_grant_is_a_role_for_the_lease_or_a_certificate_for_one(void **state)
{
    static const struct fixture_case cases[] = {
        { ROLE(""), NULL },
        { ROLE(", set_role: app_migrate"), NULL },
        { CERTIFICATE(""), NULL },
        { "{ database: \"preview_${pr}\", mode: role, roles: _a$1 }", NULL },
        { "{ mode: role, roles: [app] }", "'database' is missing here" },
        { "{ database: orders, roles: [app] }", "'mode' is missing here: certificate or role" },
        { "{ database: orders, mode: role }", "'roles' is missing here" },
        { "{ database: orders, mode: role, roles: [] }", "must not be empty" },
        { "{ database: orders, mode: rol, roles: [app] }", "did you mean 'role'?" },
        { "{ database: orders, mode: [role], roles: [app] }", "expected one text" },
        { "{ database: \"${db}\", mode: role, roles: [app] }", "a hole in front" },
        { "{ database: 1orders, mode: role, roles: [app] }", "neither a letter nor '_'" },
        { "{ database: \"or ders\", mode: role, roles: [app] }", "holds a character" },
        { "{ database: orders, mode: role, roles: [\"a;b\"] }", "holds a character" },
        { "{ database: orders, mode: role, roles: [\"a\\\"b\"] }", "holds a character" },
        { "{ database: orders, mode: role, roles: [app, app] }", "is there twice" },
        { "{ database: orders, mode: role, roles: [-app] }", "neither a letter nor '_'" },
        { "{ database: orders, mode: role, roles: [pg_execute_server_program] }",
          "reaches the server's host" },
        { "{ database: orders, mode: certificate, roles: [pg_read_server_files] }",
          "reaches the server's host" },
        { "{ database: orders, mode: role, roles: [pg_write_server_files] }",
          "reaches the server's host" },
        { ROLE(", set_role: other"), "'set_role' must be one of 'roles'" },
        { ROLE(", set_role: \"\""), "must not be empty" },
        { CERTIFICATE(", set_role: app"), "goes with 'mode: role'" },
        { "{ database: orders, mode: certificate, roles: [a, b] }", "logs in as one role" },
    };

    fixture_check_all(*state, "postgres", cases, COUNT(cases));
}

/* The server cuts longer ones, so that two could meet. */
static void identifiers_have_63_bytes(void **state)
{
    fixture_check_limit(*state, "postgres", "{ database: %s, mode: role, roles: a }", "a", 63);
    fixture_check_limit(*state, "postgres", "{ database: a, mode: role, roles: %s }", "a", 63);
    fixture_check_limit(*state, "postgres", "{ database: a, mode: role, roles: [%s] }", "a%zu, ",
                        16);
}

static void a_target_makes_roles_or_signs_certificates(void **state)
{
    static const struct {
        const char *settings;
        const char *message;
    } cases[] = {
        { "{ dsn_file: /run/dsn }", NULL },
        { "{ dsn_file: /run/dsn, host: db.acme.example, port: 5433, ca: ca.pem, sessions: 100 }",
          NULL },
        { "{ key: db-ca, host: db.acme.example }", NULL },
        { "{ key: db-ca, host: /run/postgresql, port: 1, sessions: 1 }", NULL },
        { "{ type: postgres }", "has 'dsn_file', for roles, or 'key', for certificates" },
        { "{ key: db-ca }", "without 'dsn_file' there must be a 'host'" },
        { "{ dsn_file: \"\" }", "'dsn_file' has 1 to" },
        { "{ dsn_file: [a] }", "dsn_file" },
        { "{ dsn_file: a, key: DB }", "'key' cannot have" },
        { "{ dsn_file: a, host: \"a b\" }", "'host' cannot have" },
        { "{ dsn_file: a, port: 0 }", "from 1 to 65535" },
        { "{ dsn_file: a, port: 65536 }", "from 1 to 65535" },
        { "{ dsn_file: a, sessions: 0 }", "from 1 to 100" },
        { "{ dsn_file: a, sessions: 101 }", "from 1 to 100" },
        { "{ dsn_file: a, ca: \"\" }", "'ca' has 1 to" },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *message = fixture_configure(*state, "postgres", cases[i].settings);

        if (!message != !cases[i].message || (message && !strstr(message, cases[i].message)))
            fail_msg("%s: %s", cases[i].settings, message ? message : "taken");
    }
}

static void a_grant_is_of_a_mode_that_its_target_has(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "postgres", "{ dsn_file: /run/dsn }"));
    assert_null(fixture_check(fixture, "postgres", ROLE("")));
    assert_non_null(strstr(fixture_check(fixture, "postgres", CERTIFICATE("")), "it has no 'key'"));
    assert_null(fixture_configure(fixture, "postgres", "{ key: db-ca, host: a }"));
    assert_null(fixture_check(fixture, "postgres", CERTIFICATE("")));
    assert_non_null(strstr(fixture_check(fixture, "postgres", ROLE("")), "it has no 'dsn_file'"));
}

/* ---- certificates ---- */

/* Made with openssl req, for CN=somebody: of it the key is taken and no more. */
#define CSR                                                                                        \
    "-----BEGIN CERTIFICATE REQUEST-----\\n"                                                       \
    "MIHNMHUCAQAwEzERMA8GA1UEAwwIc29tZWJvZHkwWTATBgcqhkjOPQIBBggqhkjO\\n"                          \
    "PQMBBwNCAAQG0/gJcxv91MLI9ICKSiCsGQ2+yL/RG7D119gHEulz38cXZ8uBaipW\\n"                          \
    "9p3JvhQ5eq+46B9JESULRWv+F3bHADigoAAwCgYIKoZIzj0EAwIDSAAwRQIgXSyx\\n"                          \
    "dzx7ZlmtwUVRwuDw2AGV2N3Z6oA84G3kWAsVEVcCIQDbZY1j03mZ8LGPLp5CQcFx\\n"                          \
    "8LtB5k/uElq/beBJV8Hn3Q==\\n"                                                                  \
    "-----END CERTIFICATE REQUEST-----\\n"

static bool details_are_good(struct fixture *fixture, const char *json)
{
    fixture_again(fixture);
    fixture_details(fixture, json);
    return target_postgres.check_details(&fixture->mint, &fixture->error);
}

static void start(struct fixture *fixture)
{
    assert_null(fixture_configure(fixture, "postgres",
                                  "{ key: db-ca, host: db.acme.example, port: 5433 }"));
    assert_true(target_postgres.start(&fixture->target, &fixture->tools, &fixture->error));
    fixture_fields(fixture, CERTIFICATE(""));
}

static void a_certificate_is_for_the_policys_role(void **state)
{
    struct fixture *fixture = *state;
    struct str pem;
    BIO *bio;
    X509 *certificate;
    char name[128];

    start(fixture);
    assert_true(details_are_good(fixture, "{ \"csr\": \"" CSR "\" }"));
    assert_int_equal(target_postgres.mint(&fixture->mint, &fixture->error), PROGRESS_DONE);
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "user").data, "app");
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "host").data,
                        "db.acme.example");
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "port").data, "5433");
    assert_string_equal(fixture_text(fixture->mint.credential, "postgres", "sslmode").data,
                        "require");
    pem = fixture_text(fixture->mint.credential, "postgres", "certificate");
    bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    assert_non_null(certificate);
    (void)X509_NAME_oneline(X509_get_subject_name(certificate), name, sizeof(name));
    assert_string_equal(name, "/CN=app");
    assert_int_equal(X509_get_extended_key_usage(certificate), XKU_SSL_CLIENT);
    X509_free(certificate);
    BIO_free(bio);
    assert_int_equal(fixture_text(fixture->mint.record, NULL, "id").len, CERTIFICATE_SERIAL_LEN);
    assert_in_range(fixture->mint.expires_s, FIXTURE_NOW_S, FIXTURE_NOW_S + 900);
    assert_false(fixture->mint.may_exist);
    assert_false(target_postgres.is_revocable(&fixture->mint));
}

static void a_certificate_needs_a_key_that_has_proven_itself(void **state)
{
    static const char *const refused[] = {
        "{}",
        "{ \"csr\": \"\" }",
        "{ \"csr\": 1 }",
        "{ \"csr\": \"-----BEGIN CERTIFICATE REQUEST-----\" }",
        "{ \"csr\": \"" CSR "\", \"user\": \"postgres\" }",
    };
    struct fixture *fixture = *state;

    start(fixture);
    for (size_t i = 0; i < COUNT(refused); i++) {
        if (details_are_good(fixture, refused[i]))
            fail_msg("%s was taken", refused[i]);
        assert_int_equal(fixture->error.code, ERROR_DETAILS);
    }
    fixture_again(fixture);
    assert_int_equal(target_postgres.mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_DETAILS);
    assert_null(fixture->mint.credential);
}

static void a_role_takes_no_key(void **state)
{
    struct fixture *fixture = *state;

    start(fixture);
    fixture_fields(fixture, ROLE(""));
    assert_true(details_are_good(fixture, "{ \"type\": \"a\", \"grant\": \"b\", \"ttl\": 60 }"));
    assert_false(details_are_good(fixture, "{ \"csr\": \"" CSR "\" }"));
    assert_int_equal(fixture->error.code, ERROR_DETAILS);
    assert_true(target_postgres.is_revocable(&fixture->mint));
    fixture_again(fixture);
    assert_int_equal(target_postgres.mint(&fixture->mint, &fixture->error), PROGRESS_FAILED);
    assert_int_equal(fixture->error.code, ERROR_MINT); /* and this target makes none */
}

static void a_role_ends_at_once_and_a_certificate_by_itself(void **state)
{
    struct fixture *fixture = *state;

    fixture_fields(fixture, ROLE(""));
    assert_int_equal(policy_revocation_of(&target_postgres.grant, fixture->mint.fields, NULL),
                     POLICY_REVOKED_NOW);
    fixture_fields(fixture, CERTIFICATE(""));
    assert_int_equal(policy_revocation_of(&target_postgres.grant, fixture->mint.fields, NULL),
                     POLICY_REVOKED_BY_EXPIRY);
}

static void it_gives_its_roles_where_they_are(void **state)
{
    struct policy_target target = { .name = STR("orders-db") };

    assert_string_equal(fixture_gives(*state, "postgres", ROLE(""), &target),
                        "app, app_migrate as app@orders-db, app_migrate@orders-db");
    assert_string_equal(fixture_gives(*state, "postgres", CERTIFICATE(""), &target),
                        "app as app@orders-db");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_is_a_role_for_the_lease_or_a_certificate_for_one),
        TEST(identifiers_have_63_bytes),
        TEST(a_target_makes_roles_or_signs_certificates),
        TEST(a_grant_is_of_a_mode_that_its_target_has),
        TEST(a_certificate_is_for_the_policys_role),
        TEST(a_certificate_needs_a_key_that_has_proven_itself),
        TEST(a_role_takes_no_key),
        TEST(a_role_ends_at_once_and_a_certificate_by_itself),
        TEST(it_gives_its_roles_where_they_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
