#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "dev_pki.h"
#include "tests/test.h"

#define NOW_S ((int64_t)1790000600)
#define FILES 3

static const char *const names[FILES] = { "ca.pem", "tls.crt", "tls.key" };

struct fixture {
    char folder[64];
    struct arena *arena;
    struct str texts[FILES]; /* as they were last read */
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture = (struct fixture){
        .folder = "/tmp/stagepass-pki-XXXXXX",
        .arena = arena_new((size_t)4 * 1024 * 1024),
    };
    assert_non_null(mkdtemp(fixture.folder));
    assert_non_null(fixture.arena);
    *state = &fixture;
    return 0;
}

static const char *path_of(struct fixture *fixture, const char *name)
{
    const char *path = file_join(fixture->arena, fixture->folder, name);

    assert_non_null(path);
    return path;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < FILES; i++)
        (void)unlink(path_of(fixture, names[i])); /* where it is there */
    assert_int_equal(rmdir(fixture->folder), 0);
    arena_free(fixture->arena);
    return 0;
}

static void write_text(struct fixture *fixture, const char *name, struct str text)
{
    struct error error = { 0 };

    assert_true(file_replace(path_of(fixture, name), text, 0600, &error));
}

/* Prepare, and say which of the files changed, as bits. */
static unsigned prepare(struct fixture *fixture, int64_t now_s)
{
    struct error error = { 0 };
    unsigned changed = 0;

    if (!dev_pki_prepare(fixture->folder, now_s, &error))
        fail_msg("%s", error.cause);
    for (size_t i = 0; i < FILES; i++) {
        const char *path = path_of(fixture, names[i]);
        struct str text = { 0 };

        if (access(path, F_OK) == 0)
            assert_true(file_read(fixture->arena, path, 65536, &text, &error));
        if (!str_eq(text, fixture->texts[i]))
            changed |= 1U << i;
        fixture->texts[i] = text;
    }
    return changed;
}

#define ALL ((1U << FILES) - 1)

static X509 *certificate_of(struct str pem)
{
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = PEM_read_bio_X509(input, NULL, NULL, NULL);

    assert_non_null(certificate);
    BIO_free(input);
    return certificate;
}

/* As a TLS client does: chain, purpose, name, time. */
static int verify(struct fixture *fixture, const char *host, const char *address, int64_t now_s)
{
    X509 *authority = certificate_of(fixture->texts[0]);
    X509 *server = certificate_of(fixture->texts[1]);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_VERIFY_PARAM *param;
    int reason;

    assert_int_equal(X509_STORE_add_cert(store, authority), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, server, NULL), 1);
    param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(param, now_s);
    assert_int_equal(X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT), 1);
    assert_int_equal(X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER), 1);
    if (host != NULL)
        assert_int_equal(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
    if (address != NULL)
        assert_int_equal(X509_VERIFY_PARAM_set1_ip_asc(param, address), 1);
    (void)X509_verify_cert(context);
    reason = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(server);
    X509_free(authority);
    return reason;
}

static void a_client_on_loopback_accepts_the_certificate(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(verify(fixture, "localhost", NULL, NOW_S), X509_V_OK);
    assert_int_equal(verify(fixture, NULL, "127.0.0.1", NOW_S), X509_V_OK);
    assert_int_equal(verify(fixture, NULL, "::1", NOW_S + DEV_PKI_LIFE_S - 1), X509_V_OK);
}

static void nobody_else_and_at_no_other_time_does(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(verify(fixture, "broker.example", NULL, NOW_S), X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_equal(verify(fixture, NULL, "127.0.0.2", NOW_S), X509_V_ERR_IP_ADDRESS_MISMATCH);
    assert_int_equal(verify(fixture, "localhost", NULL, NOW_S + DEV_PKI_LIFE_S + 1),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(verify(fixture, "localhost", NULL, NOW_S - 301),
                     X509_V_ERR_CERT_NOT_YET_VALID);
}

static void the_key_is_for_its_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;

    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(stat(path_of(fixture, "tls.key"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void good_certificates_stay_until_a_week_before_their_end(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(prepare(fixture, NOW_S + 1), 0);
    assert_int_equal(prepare(fixture, NOW_S + DEV_PKI_LIFE_S - DEV_PKI_RENEW_S), 0);
    assert_int_equal(prepare(fixture, NOW_S + DEV_PKI_LIFE_S - DEV_PKI_RENEW_S + 1), ALL);
    assert_int_equal(prepare(fixture, NOW_S + DEV_PKI_LIFE_S - DEV_PKI_RENEW_S + 1), 0);
}

/* What a crash between the files can leave. */
static void what_does_not_fit_together_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    struct str old[FILES];

    assert_int_equal(prepare(fixture, NOW_S), ALL);
    memcpy(old, fixture->texts, sizeof(old));
    for (size_t i = 0; i < FILES; i++)
        assert_int_equal(unlink(path_of(fixture, names[i])), 0);
    assert_int_equal(prepare(fixture, NOW_S), ALL);

    write_text(fixture, "tls.key", old[2]);
    assert_int_equal(prepare(fixture, NOW_S), ALL);
    write_text(fixture, "ca.pem", old[0]);
    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(unlink(path_of(fixture, "tls.key")), 0);
    assert_int_equal(prepare(fixture, NOW_S), ALL);
    assert_int_equal(unlink(path_of(fixture, "ca.pem")), 0);
    assert_int_equal(prepare(fixture, NOW_S), ALL);
}

static void what_somebody_else_put_there_stays(void **state)
{
    struct fixture *fixture = *state;

    write_text(fixture, "tls.key", STR("a key"));
    assert_int_equal(prepare(fixture, NOW_S), 1U << 2);
    write_text(fixture, "tls.crt", STR("a certificate"));
    assert_int_equal(prepare(fixture, NOW_S), 1U << 1);
    assert_int_equal(access(path_of(fixture, "ca.pem"), F_OK), -1);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(dev_pki_prepare("/nowhere", NOW_S, &error));
    assert_int_equal(error.code, ERROR_IO);
}

static void a_file_too_large_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    static char text[65537];
    struct error error = { 0 };

    memset(text, 'x', sizeof(text));
    write_text(fixture, "tls.crt", (struct str){ text, 65536 });
    assert_int_equal(prepare(fixture, NOW_S), 1U << 1);
    write_text(fixture, "tls.crt", (struct str){ text, 65537 });
    assert_false(dev_pki_prepare(fixture->folder, NOW_S, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_client_on_loopback_accepts_the_certificate, start, stop),
        cmocka_unit_test_setup_teardown(nobody_else_and_at_no_other_time_does, start, stop),
        cmocka_unit_test_setup_teardown(the_key_is_for_its_owner_alone, start, stop),
        cmocka_unit_test_setup_teardown(good_certificates_stay_until_a_week_before_their_end, start,
                                        stop),
        cmocka_unit_test_setup_teardown(what_does_not_fit_together_is_made_anew, start, stop),
        cmocka_unit_test_setup_teardown(what_somebody_else_put_there_stays, start, stop),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
        cmocka_unit_test_setup_teardown(a_file_too_large_is_an_error, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
