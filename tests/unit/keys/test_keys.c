#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "help.h"
#include "tests/test.h"

#define PROCESSES 6

struct fixture {
    char *folder;
    struct arena *arena;
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture.folder = temporary_folder();
    fixture.arena = arena_new(ARENA_REQUEST_MAX);
    assert_non_null(fixture.arena);
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    remove_folder(fixture->folder);
    return 0;
}

static unsigned mode_of(const char *folder, const char *name)
{
    struct stat status;
    char path[256];

    join_path(folder, name, path);
    assert_int_equal(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static void write_file(const char *folder, const char *name, const char *text, unsigned mode)
{
    struct error error = { 0 };
    char path[256];

    join_path(folder, name, path);
    assert_true(file_replace(path, str_from(text), mode, &error));
}

static const char *text_of(struct fixture *fixture, const char *name)
{
    return arena_copy(fixture->arena, read_text(fixture->arena, fixture->folder, name)).data;
}

/* The kids of the published keys, in order, each followed by a space. */
static const char *published(struct fixture *fixture, struct keys *keys)
{
    JSON_OWNED json_t *set = NULL;
    OWNED(buf_release) struct buf kids;
    struct error error = { 0 };
    struct str text;
    json_t *key;
    size_t i;

    buf_init(&kids, 1024);
    assert_true(keys_jwks(keys, fixture->arena, &text, &error));
    set = json_of(text.data);
    json_array_foreach (json_object_get(set, "keys"), i, key)
        buf_printf(&kids, "%s ", json_string_value(json_object_get(key, "kid")));
    return arena_copy(fixture->arena, buf_str(&kids)).data;
}

static void the_first_start_makes_a_key_that_signs_at_once(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);

    assert_int_equal(mode_of(fixture->folder, "issuer-es256-1763800000.key"), 0600);
    assert_int_equal(mode_of(fixture->folder, "sealing.key"), 0600);
    assert_int_equal(count_files(fixture->folder, "issuer-", ".key"), 1);
    assert_int_equal(count_files(fixture->folder, "", ".new"), 0);
    assert_non_null(
        strstr(text_of(fixture, "issuer-es256-1763800000.key"), "-----BEGIN PRIVATE KEY-----"));
    assert_int_equal(strlen(published(fixture, keys)), 44);
}

static void a_missing_folder_is_made_for_the_owner_alone(void **state)
{
    struct fixture *fixture = *state;
    char path[256];
    struct keys *keys;

    join_path(fixture->folder, "keys", path);
    keys = keys_of(path, KEY_ES256, TEST_START_S);
    keys_close(keys);
    assert_int_equal(mode_of(fixture->folder, "keys"), 0700);
    remove_folder(strdup(path));
}

static void a_restart_keeps_the_key(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    const char *before = kid_of(keys, fixture->arena).data;

    keys_close(keys);
    keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S + TEST_DAY_S);
    assert_string_equal(kid_of(keys, fixture->arena).data, before);
    keys_close(keys);
}

static void a_folder_that_others_can_use_is_refused(void **state)
{
    static const mode_t modes[] = { 0701, 0704, 0702, 0720, 0770, 0755, 0777 };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(fixture->folder, modes[i]), 0);
        assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    }
    assert_int_equal(chmod(fixture->folder, 0750), 0);
    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    static const mode_t modes[] = { 0604, 0644, 0660, 0666, 0700 };
    struct fixture *fixture = *state;
    char path[256];

    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
    join_path(fixture->folder, "issuer-es256-1763800000.key", path);
    for (size_t i = 0; i < COUNT(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    }
    assert_int_equal(chmod(path, 0400), 0);
    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
}

static void a_key_file_without_a_key_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "no key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(texts); i++) {
        write_file(fixture->folder, "issuer-es256-1763800000.key", texts[i], 0600);
        assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    }
    assert_int_equal(count_files(fixture->folder, "issuer-", ".key"), 1);
}

/* Write a key as PEM, encrypted where there is a password. */
static void write_key(const char *folder, const char *name, EVP_PKEY *take_pkey,
                      const char *password)
{
    BIO *output = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = password != NULL ? EVP_aes_128_cbc() : NULL;
    const char *text = NULL;
    long len;

    assert_non_null(take_pkey);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(output, take_pkey, cipher, password,
                                                   password != NULL ? (int)strlen(password) : 0,
                                                   NULL, NULL),
                     1);
    len = BIO_get_mem_data(output, &text);
    write_text(folder, name, (struct str){ text, (size_t)len });
    BIO_free(output);
    EVP_PKEY_free(take_pkey);
}

static void a_key_of_another_curve_or_size_or_encrypted_is_refused(void **state)
{
    struct fixture *fixture = *state;

    write_key(fixture->folder, "issuer-es256-1.key", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"),
              NULL);
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    write_key(fixture->folder, "issuer-es256-1.key", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
              "password");
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    write_key(fixture->folder, "issuer-es256-1.key", EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
              NULL);
    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
    write_key(fixture->folder, "issuer-rs256-1.key",
              EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024), NULL);
    assert_int_equal(keys_refused(fixture->folder, KEY_RS256), ERROR_CONFIG);
}

/* The private number of one P-256 key with the point of another. */
static EVP_PKEY *mixed_key(void)
{
    EVP_PKEY *one = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    OSSL_PARAM *parameters;
    EVP_PKEY *mixed = NULL;
    BIGNUM *number = NULL;
    uint8_t point[65];
    size_t len;

    assert_int_equal(EVP_PKEY_get_bn_param(one, "priv", &number), 1);
    assert_int_equal(EVP_PKEY_get_octet_string_param(other, "pub", point, sizeof(point), &len), 1);
    (void)OSSL_PARAM_BLD_push_utf8_string(builder, "group", "prime256v1", 0);
    (void)OSSL_PARAM_BLD_push_octet_string(builder, "pub", point, len);
    (void)OSSL_PARAM_BLD_push_BN(builder, "priv", number);
    parameters = OSSL_PARAM_BLD_to_param(builder);
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &mixed, EVP_PKEY_KEYPAIR, parameters), 1);
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    BN_free(number);
    EVP_PKEY_free(one);
    EVP_PKEY_free(other);
    return mixed;
}

static void a_key_whose_halves_do_not_belong_together_is_refused(void **state)
{
    struct fixture *fixture = *state;

    write_key(fixture->folder, "issuer-es256-1.key", mixed_key(), NULL);
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
}

static void a_key_of_another_kind_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    struct key *key;

    assert_true(keys_named(keys, STR("ssh-ca"), KEY_ED25519, &key, &error));
    assert_false(keys_named(keys, STR("ssh-ca"), KEY_ES256, &key, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    keys_close(keys);
    keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    error = (struct error){ 0 };
    assert_false(keys_named(keys, STR("ssh-ca"), KEY_ES256, &key, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    keys_close(keys);
    write_file(fixture->folder, "issuer-es256-1763800000.key", text_of(fixture, "ssh-ca.key"),
               0600);
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
}

static void a_file_of_more_than_the_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *text = calloc(1, (size_t)16 * 1024 + 2);

    assert_non_null(text);
    memset(text, 'x', (size_t)16 * 1024);
    write_file(fixture->folder, "issuer-es256-1763800000.key", text, 0600);
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG); /* no key in it */
    text[(size_t)16 * 1024] = 'x';
    write_file(fixture->folder, "issuer-es256-1763800000.key", text, 0600);
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_LIMIT);
    free(text);
}

static void what_a_crash_left_behind_is_removed(void **state)
{
    struct fixture *fixture = *state;

    write_file(fixture->folder, "ledger.key.0011223344556677.new", "half", 0600);
    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
    assert_int_equal(count_files(fixture->folder, "", ".new"), 0);
}

static void a_period_below_the_lead_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct keys_options options = { .directory = fixture->folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = KEYS_LEAD_S };
    struct error error = { 0 };
    struct keys *keys = NULL;

    assert_true(keys_open(&options, TEST_START_S, &keys, &error));
    keys_close(keys);
    options.rotate_every_s--;
    assert_false(keys_open(&options, TEST_START_S, &keys, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_int_equal(keys_refused(fixture->folder, KEY_ED25519), ERROR_CONFIG);
}

static bool rotate(struct keys *keys, int64_t now_s)
{
    struct error error = { 0 };
    bool has_rotated;

    if (!keys_rotate(keys, now_s, &has_rotated, &error))
        fail_msg("%s", error.cause);
    return has_rotated;
}

static void keys_rotate_from_next_to_current_to_last(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    const int64_t next_s = TEST_START_S + TEST_MONTH_S;
    const char *first = kid_of(keys, fixture->arena).data;
    const char *second;

    assert_false(rotate(keys, next_s - 1));
    assert_int_equal(strlen(published(fixture, keys)), 44);
    assert_false(rotate(keys, next_s)); /* published, does not sign */
    assert_int_equal(strlen(published(fixture, keys)), 88);
    assert_string_equal(kid_of(keys, fixture->arena).data, first);
    assert_false(rotate(keys, next_s + TEST_DAY_S - 1));
    assert_true(rotate(keys, next_s + TEST_DAY_S));
    second = kid_of(keys, fixture->arena).data;
    assert_string_not_equal(second, first);
    assert_non_null(strstr(published(fixture, keys), first));
    assert_false(rotate(keys, next_s + TEST_DAY_S));
    assert_false(rotate(keys, next_s + TEST_MONTH_S)); /* last, current, next */
    assert_int_equal(strlen(published(fixture, keys)), 132);
    assert_true(rotate(keys, next_s + TEST_MONTH_S + TEST_DAY_S));
    assert_null(strstr(published(fixture, keys), first));
    assert_non_null(strstr(published(fixture, keys), second));
    assert_int_equal(count_files(fixture->folder, "issuer-es256-", ".key"), 2);
}

static void brokers_that_share_a_folder_agree(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *one = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    OWNED(keys_close) struct keys *other = keys_of(fixture->folder, KEY_ES256, TEST_START_S + 5);

    for (int64_t day = 1; day < 100; day++) {
        (void)rotate(one, TEST_START_S + day * TEST_DAY_S);
        (void)rotate(other, TEST_START_S + day * TEST_DAY_S + 5);
        assert_string_equal(kid_of(one, fixture->arena).data, kid_of(other, fixture->arena).data);
        assert_string_equal(published(fixture, one), published(fixture, other));
    }
}

static void the_keys_of_the_former_algorithm_stay_published(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    const char *first = kid_of(keys, fixture->arena).data;
    JSON_OWNED json_t *claims = json_object();
    JSON_OWNED json_t *back = NULL;
    struct error error = { 0 };
    struct str token;

    assert_true(keys_sign_jwt(keys, "JWT", claims, fixture->arena, &token, &error));
    keys_close(keys);
    keys = keys_of(fixture->folder, KEY_RS256, TEST_START_S + 60);
    assert_string_not_equal(kid_of(keys, fixture->arena).data, first);
    assert_non_null(strstr(published(fixture, keys), first));
    assert_true(keys_verify_own_jwt(keys, token, "JWT", &back, &error));
    keys_close(keys);
}

/* The alg of the keys that are published, in order, each followed by a space. */
static const char *algorithms_of(struct fixture *fixture, struct keys *keys)
{
    JSON_OWNED json_t *set = NULL;
    OWNED(buf_release) struct buf names;
    struct error error = { 0 };
    struct str text;
    json_t *key;
    size_t i;

    buf_init(&names, 1024);
    assert_true(keys_jwks(keys, fixture->arena, &text, &error));
    set = json_of(text.data);
    json_array_foreach (json_object_get(set, "keys"), i, key)
        buf_printf(&names, "%s ", json_string_value(json_object_get(key, "alg")));
    return arena_copy(fixture->arena, buf_str(&names)).data;
}

static bool use(struct keys *keys, enum key_algorithm algorithm, int64_t now_s)
{
    struct error error = { 0 };
    bool is_good = keys_use(keys, algorithm, now_s, &error);

    assert_true(is_good == (error.code == ERROR_NONE));
    return is_good;
}

static bool sign_with(struct fixture *fixture, struct keys *keys, enum key_algorithm algorithm)
{
    JSON_OWNED json_t *claims = json_object();
    JSON_OWNED json_t *back = NULL;
    struct error error = { 0 };
    struct str token;

    const struct keys_jwt jwt = { algorithm, "JWT", claims };

    if (!keys_sign_jwt_with(keys, &jwt, fixture->arena, &token, &error)) {
        assert_int_equal(error.code, ERROR_CONFIG);
        return false;
    }
    assert_true(keys_verify_own_jwt(keys, token, "JWT", &back, &error));
    return true;
}

static void another_algorithm_is_published_once_it_is_in_use(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    const char *own = kid_of(keys, fixture->arena).data;

    assert_false(keys_publishes(keys, KEY_RS256));
    assert_false(sign_with(fixture, keys, KEY_RS256));
    assert_false(use(keys, KEY_ED25519, TEST_START_S));
    assert_string_equal(algorithms_of(fixture, keys), "ES256 ");
    assert_true(use(keys, KEY_RS256, TEST_START_S + 60));
    assert_true(use(keys, KEY_RS256, TEST_START_S + 120)); /* once is enough */
    assert_string_equal(algorithms_of(fixture, keys), "ES256 RS256 ");
    assert_true(keys_publishes(keys, KEY_RS256));
    assert_true(sign_with(fixture, keys, KEY_RS256));
    assert_true(sign_with(fixture, keys, KEY_ES256));
    assert_false(sign_with(fixture, keys, KEY_ED25519));
    assert_string_equal(kid_of(keys, fixture->arena).data,
                        own); /* the broker's own tokens stay as they are */
}

static void all_algorithms_in_use_rotate_a_day_ahead(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    const int64_t next_s = TEST_START_S + TEST_MONTH_S;

    assert_true(use(keys, KEY_RS256, TEST_START_S));
    assert_false(rotate(keys, next_s));
    assert_string_equal(algorithms_of(fixture, keys), "ES256 ES256 RS256 RS256 ");
    assert_false(rotate(keys, next_s + TEST_DAY_S - 1));
    assert_true(rotate(keys, next_s + TEST_DAY_S));
    assert_false(rotate(keys, next_s + TEST_MONTH_S));
    assert_string_equal(algorithms_of(fixture, keys), "ES256 ES256 ES256 RS256 RS256 RS256 ");
}

static struct keys *with_certificates(struct fixture *fixture, int64_t now_s)
{
    struct keys_options options = { .directory = fixture->folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = TEST_MONTH_S,
                                    .has_certificates = true };
    struct error error = { 0 };
    struct keys *keys = NULL;

    if (!keys_open(&options, now_s, &keys, &error))
        fail_msg("%s", error.cause);
    return keys;
}

/* The certificates of the key set, written as files, and looked at by another program. */
static void keys_have_certificates_that_others_verify(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = with_certificates(fixture, TEST_START_S);
    JSON_OWNED json_t *set = NULL;
    struct error error = { 0 };
    struct str text;
    json_t *key;
    size_t i;

    assert_true(use(keys, KEY_RS256, TEST_START_S));
    assert_true(keys_jwks(keys, fixture->arena, &text, &error));
    set = json_of(text.data);
    json_array_foreach (json_object_get(set, "keys"), i, key) {
        const char *base64 = json_string_value(json_array_get(json_object_get(key, "x5c"), 0));
        char path[256];

        assert_int_equal(json_array_size(json_object_get(key, "x5c")), 1);
        assert_int_equal(strlen(json_string_value(json_object_get(key, "x5t#S256"))), 43);
        write_text(fixture->folder, "x.pem",
                   arena_printf(fixture->arena,
                                "-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n",
                                base64));
        join_path(fixture->folder, "x.pem", path);
        run_program((const char *const[]){ "openssl", "verify", "-check_ss_sig", "-attime",
                                           "1763800000", "-CAfile", path, path, NULL });
    }
    assert_int_equal(i, 2);
}

static void certificates_stay_and_go_with_their_keys(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = with_certificates(fixture, TEST_START_S);
    struct error error = { 0 };
    struct str before;
    struct str after;
    bool has_rotated;

    assert_true(keys_jwks(keys, fixture->arena, &before, &error));
    keys_close(keys);
    keys = with_certificates(fixture, TEST_START_S + 60);
    assert_true(keys_jwks(keys, fixture->arena, &after, &error));
    assert_string_equal(before.data, after.data);
    assert_int_equal(mode_of(fixture->folder, "issuer-es256-1763800000.crt"), 0600);
    for (int month = 1; month <= 3; month++) {
        int64_t now_s = TEST_START_S + month * TEST_MONTH_S;

        assert_true(keys_rotate(keys, now_s, &has_rotated, &error));
        assert_true(keys_rotate(keys, now_s + TEST_DAY_S, &has_rotated, &error) && has_rotated);
    }
    assert_int_equal(count_files(fixture->folder, "issuer-", ".key"), 2);
    assert_int_equal(count_files(fixture->folder, "issuer-", ".crt"), 2);
    keys_close(keys);
}

static void another_key_s_certificate_stops_the_start(void **state)
{
    struct fixture *fixture = *state;
    struct keys_options options = { .directory = fixture->folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = TEST_MONTH_S,
                                    .has_certificates = true };
    static const char *const texts[] = { "no certificate", "" };
    struct error error = { 0 };
    struct keys *keys = with_certificates(fixture, TEST_START_S);
    struct str first = read_text(fixture->arena, fixture->folder, "issuer-es256-1763800000.crt");

    keys_close(keys);
    for (size_t i = 0; i < COUNT(texts); i++) {
        write_file(fixture->folder, "issuer-es256-1763800000.crt", texts[i], 0600);
        error = (struct error){ 0 };
        assert_false(keys_open(&options, TEST_START_S, &keys, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
    }
    write_file(fixture->folder, "issuer-es256-1763800000.crt", first.data, 0600);
    keys_close(keys_of(fixture->folder, KEY_RS256, TEST_START_S));
    write_file(fixture->folder, "issuer-rs256-1763800000.crt", first.data, 0600);
    error = (struct error){ 0 };
    assert_false(keys_open(&options, TEST_START_S, &keys, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

/* A broker without the target that wants it still publishes what another one signs with. */
static void one_broker_s_second_algorithm_is_published_by_all(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *one = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    OWNED(keys_close) struct keys *other = keys_of(fixture->folder, KEY_ES256, TEST_START_S);

    assert_true(use(one, KEY_RS256, TEST_START_S));
    (void)rotate(other, TEST_START_S + 60);
    assert_string_equal(published(fixture, one), published(fixture, other));
    (void)rotate(other, TEST_START_S + TEST_MONTH_S); /* it makes none: it does not use it */
    assert_string_equal(algorithms_of(fixture, other), "ES256 ES256 RS256 ");
}

static void too_many_keys_in_the_folder_are_refused(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 65; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "issuer-es256-%d.key", 1763800000 + i);
        write_file(fixture->folder, name, "", 0600);
    }
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_LIMIT);
}

static void names_that_are_none_of_ours_are_passed_over(void **state)
{
    static const char *const names[] = { "issuer-es256-.key",   "issuer-es256--5.key",
                                         "issuer-es256-1x.key", "issuer-es256-007.key",
                                         "issuer-es256-1.key~", "issuer-es384-1.key" };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(names); i++)
        write_file(fixture->folder, names[i], "x", 0644);
    keys_close(keys_of(fixture->folder, KEY_ES256, TEST_START_S));
    assert_int_equal(count_files(fixture->folder, "issuer-es256-1763800000", ".key"), 1);
}

static void named_keys_sign_and_keep_their_public_half_beside_them(void **state)
{
    static const struct {
        const char *name;
        enum key_algorithm algorithm;
        size_t signature_len;
        const char *public_start;
        const char *public_end;
    } cases[] = {
        { "ssh-ca", KEY_ED25519, 64, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI", " ssh-ca\n" },
        { "fleet-2", KEY_ES256, 64,
          "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBB",
          " fleet-2\n" },
        { "cloud", KEY_RS256, 256, "-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n" },
    };
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t signature[KEY_SIGNATURE_MAX];
        struct error error = { 0 };
        struct key *key = NULL;
        struct key *again = NULL;
        char file[64];
        struct str text;
        size_t len;

        assert_true(keys_named(keys, str_from(cases[i].name), cases[i].algorithm, &key, &error));
        assert_true(keys_named(keys, str_from(cases[i].name), cases[i].algorithm, &again, &error));
        assert_ptr_equal(key, again);
        assert_int_equal(key_algorithm(key), cases[i].algorithm);
        assert_true(key_sign(key, STR("text"), signature, &len, &error));
        assert_int_equal(len, cases[i].signature_len);
        (void)snprintf(file, sizeof(file), "%s.key", cases[i].name);
        assert_int_equal(mode_of(fixture->folder, file), 0600);
        (void)snprintf(file, sizeof(file), "%s.pub", cases[i].name);
        assert_int_equal(mode_of(fixture->folder, file), 0644);
        text = str_from(text_of(fixture, file));
        assert_true(str_starts_with(text, str_from(cases[i].public_start)));
        assert_true(str_ends_with(text, str_from(cases[i].public_end)));
    }
}

static void a_public_half_that_is_another_keys_is_repaired(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    const char *before;
    struct key *key;

    assert_true(keys_named(keys, STR("ssh-ca"), KEY_ED25519, &key, &error));
    before = text_of(fixture, "ssh-ca.pub");
    keys_close(keys);
    write_file(fixture->folder, "ssh-ca.pub", "ssh-ed25519 AAAA of a stranger\n", 0644);
    keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    assert_true(keys_named(keys, STR("ssh-ca"), KEY_ED25519, &key, &error));
    assert_string_equal(text_of(fixture, "ssh-ca.pub"), before);
    keys_close(keys);
}

static void raw_public_halves_have_their_lengths(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    struct key *key;
    uint8_t raw[65];
    size_t len;

    assert_true(keys_named(keys, STR("a"), KEY_ED25519, &key, &error));
    assert_true(key_public_raw(key, raw, &len, &error));
    assert_int_equal(len, 32);
    assert_true(keys_named(keys, STR("b"), KEY_ES256, &key, &error));
    assert_true(key_public_raw(key, raw, &len, &error));
    assert_int_equal(len, 65);
    assert_int_equal(raw[0], 4);
    assert_true(keys_named(keys, STR("c"), KEY_RS256, &key, &error));
    assert_false(key_public_raw(key, raw, &len, &error));
    assert_int_equal(error.code, ERROR_INVALID);
}

static void names_that_could_leave_the_folder_or_hide_a_key_are_refused(void **state)
{
    static const char *const names[] = {
        "",        ".",
        "..",      "../x",
        "a/b",     "A",
        "a.b",     "a b",
        "sealing", "issuer-es256-1",
        "issuer-", "a2345678901234567890123456789012345678901",
    };
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    struct key *key;

    for (size_t i = 0; i < COUNT(names); i++) {
        error = (struct error){ 0 };
        assert_false(keys_named(keys, str_from(names[i]), KEY_ED25519, &key, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
    }
    error = (struct error){ 0 };
    assert_true(keys_named(keys, STR("a234567890123456789012345678901234567890"), KEY_ED25519, &key,
                           &error));
}

static void a_65th_named_key_is_refused(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    struct key *key;
    char name[16];

    for (int i = 0; i < 64; i++) {
        (void)snprintf(name, sizeof(name), "k%d", i);
        assert_true(keys_named(keys, str_from(name), KEY_ED25519, &key, &error));
    }
    assert_false(keys_named(keys, STR("one-more"), KEY_ED25519, &key, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_true(keys_named(keys, STR("k63"), KEY_ED25519, &key, &(struct error){ 0 }));
}

struct worker {
    pthread_t thread;
    struct keys *keys;
    struct key *key;
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t wrong_count;
};

/* Ed25519 signs the same alike. */
static void *sign_with_a_named_key(void *context)
{
    struct worker *worker = context;
    struct error error = { 0 };
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t len = 0;

    worker->wrong_count +=
        !keys_named(worker->keys, STR("ledger"), KEY_ED25519, &worker->key, &error) ||
        !key_sign(worker->key, STR("text"), worker->signature, &len, &error);
    for (int i = 0; i < 50 && worker->wrong_count == 0; i++) {
        worker->wrong_count += !key_sign(worker->key, STR("text"), signature, &len, &error) ||
                               len != 64 || memcmp(signature, worker->signature, len) != 0;
    }
    return NULL;
}

static void threads_make_one_named_key_and_share_it(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    static struct worker workers[8];

    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){ .keys = keys };
        assert_int_equal(
            pthread_create(&workers[i].thread, NULL, sign_with_a_named_key, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_int_equal(workers[i].wrong_count, 0);
        assert_ptr_equal(workers[i].key, workers[0].key);
        assert_memory_equal(workers[i].signature, workers[0].signature, 64);
    }
}

/* Wait for the start, open keys and a named one; exit 0 where that worked. */
static void open_in_a_process(const char *folder, int start_pipe)
{
    struct keys_options options = { .directory = folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = TEST_MONTH_S };
    struct error error = { 0 };
    struct keys *keys = NULL;
    struct key *key;
    char byte;
    bool is_good;

    while (read(start_pipe, &byte, 1) > 0)
        ;
    is_good = keys_open(&options, TEST_START_S + getpid() % 7, &keys, &error) &&
              keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error);
    keys_close(keys);
    _exit(is_good ? 0 : 1);
}

static void processes_that_start_at_once_make_each_key_once(void **state)
{
    struct fixture *fixture = *state;
    pid_t children[PROCESSES];
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    for (size_t i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            (void)close(ends[1]);
            open_in_a_process(fixture->folder, ends[0]);
        }
    }
    (void)close(ends[0]);
    (void)close(ends[1]); /* go */
    for (size_t i = 0; i < PROCESSES; i++) {
        int status = -1;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(count_files(fixture->folder, "issuer-es256-", ".key"), 1);
    assert_int_equal(count_files(fixture->folder, "ledger", ".key"), 1);
    assert_int_equal(count_files(fixture->folder, "", ".new"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_start_makes_a_key_that_signs_at_once, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_missing_folder_is_made_for_the_owner_alone, start, stop),
        cmocka_unit_test_setup_teardown(a_restart_keeps_the_key, start, stop),
        cmocka_unit_test_setup_teardown(a_folder_that_others_can_use_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_key_that_others_can_read_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_key_file_without_a_key_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_key_of_another_curve_or_size_or_encrypted_is_refused,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_key_whose_halves_do_not_belong_together_is_refused, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_key_of_another_kind_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_file_of_more_than_the_limit_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(what_a_crash_left_behind_is_removed, start, stop),
        cmocka_unit_test_setup_teardown(a_period_below_the_lead_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(keys_rotate_from_next_to_current_to_last, start, stop),
        cmocka_unit_test_setup_teardown(brokers_that_share_a_folder_agree, start, stop),
        cmocka_unit_test_setup_teardown(the_keys_of_the_former_algorithm_stay_published, start,
                                        stop),
        cmocka_unit_test_setup_teardown(another_algorithm_is_published_once_it_is_in_use, start,
                                        stop),
        cmocka_unit_test_setup_teardown(all_algorithms_in_use_rotate_a_day_ahead, start, stop),
        cmocka_unit_test_setup_teardown(one_broker_s_second_algorithm_is_published_by_all, start,
                                        stop),
        cmocka_unit_test_setup_teardown(keys_have_certificates_that_others_verify, start, stop),
        cmocka_unit_test_setup_teardown(certificates_stay_and_go_with_their_keys, start, stop),
        cmocka_unit_test_setup_teardown(another_key_s_certificate_stops_the_start, start, stop),
        cmocka_unit_test_setup_teardown(too_many_keys_in_the_folder_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(names_that_are_none_of_ours_are_passed_over, start, stop),
        cmocka_unit_test_setup_teardown(named_keys_sign_and_keep_their_public_half_beside_them,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_public_half_that_is_another_keys_is_repaired, start,
                                        stop),
        cmocka_unit_test_setup_teardown(raw_public_halves_have_their_lengths, start, stop),
        cmocka_unit_test_setup_teardown(names_that_could_leave_the_folder_or_hide_a_key_are_refused,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_65th_named_key_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(threads_make_one_named_key_and_share_it, start, stop),
        cmocka_unit_test_setup_teardown(processes_that_start_at_once_make_each_key_once, start,
                                        stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
