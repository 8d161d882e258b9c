/* Keys in a PKCS#11 token: SoftHSM, as it is and on bad days. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "help.h"
#include "keys/authority.h"
#include "keys/certificate_request.h"
#include "keys/crypto_pool.h"
#include "keys/jwk.h"
#include "keys/key.h"
#include "keys/pkcs11.h"
#include "tests/test.h"
#include "token.h"

struct fixture {
    struct token token;
    char *folder;
    struct arena *arena;
};

static int start(void **state)
{
    static struct fixture fixture;

    token_start(&fixture.token);
    fixture.folder = temporary_folder();
    fixture.arena = arena_new((size_t)1024 * 1024);
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    remove_folder(fixture->folder);
    token_stop(&fixture->token);
    return 0;
}

static struct pkcs11 *open_token(const struct fixture *fixture)
{
    struct pkcs11 *token = NULL;
    struct error error = { 0 };

    if (!pkcs11_open(fixture->token.uri, &token, &error))
        fail_msg("%s", error.cause);
    return token;
}

/* pkcs11_open() that fails: how. */
static struct error refusal(const char *uri)
{
    struct pkcs11 *token = NULL;
    struct error error = { 0 };

    assert_false(pkcs11_open(uri, &token, &error));
    assert_null(token);
    return error;
}

static struct keys_options options_of(const struct fixture *fixture)
{
    return (struct keys_options){
        .directory = fixture->folder,
        .issuer_algorithm = KEY_ES256,
        .rotate_every_s = TEST_MONTH_S,
        .token = fixture->token.uri,
    };
}

static struct keys *open_with(const struct keys_options *options, int64_t now_s)
{
    struct keys *keys = NULL;
    struct error error = { 0 };

    if (!keys_open(options, now_s, &keys, &error))
        fail_msg("%s", error.cause);
    return keys;
}

static struct keys *open_keys(const struct fixture *fixture, int64_t now_s)
{
    const struct keys_options options = options_of(fixture);

    return open_with(&options, now_s);
}

static void says_cause(const struct error *error, enum error_code code, const char *part)
{
    if (error->code != code || strstr(error->cause, part) == NULL)
        fail_msg("expected '%s', got code %d: %s", part, (int)error->code, error->cause);
}

/* ---- where a token is ---- */

static void a_uri_names_module_token_and_pin_file(void **state)
{
    static const char *const good[] = {
        "pkcs11:token=stagepass?module-path=/usr/lib/m.so&pin-source=file:/run/pin",
        "pkcs11:token=My%20Token;serial=42?pin-source=/run/pin&module-path=/m.so",
        "pkcs11:slot-id=0?module-path=/m.so&pin-source=file:///run/pin",
        "pkcs11:serial=00ff;manufacturer=A;model=B?module-path=/m.so&pin-source=file:/p",
    };
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        if (!pkcs11_check_uri(good[i], &error))
            fail_msg("%s: %s", good[i], error.cause);
}

static void other_uris_are_refused_without_being_quoted(void **state)
{
    static const char *const bad[] = {
        "",
        "pkcs11:",
        "https://token=stagepass",
        "pkcs11:token=Sesame",
        "pkcs11:token=Sesame?module-path=/m.so",
        "pkcs11:token=Sesame?pin-source=file:/run/pin",
        "pkcs11:?module-path=/m.so&pin-source=file:/run/pin",
        "pkcs11:token=t?module-path=/m.so&pin-value=Sesame",
        "pkcs11:token=t?module-path=/m.so&pin-value=Sesame&pin-source=file:/run/pin",
        "pkcs11:token=t?module-path=m.so&pin-source=file:/run/pin",
        "pkcs11:token=t?module-name=m&pin-source=file:/run/pin",
        "pkcs11:token=t?module-path=/m.so&pin-source=Sesame",
        "pkcs11:token=t?module-path=/m.so&pin-source=file:Sesame",
        "pkcs11:token=t?module-path=/m.so&pin-source=file://host/Sesame",
        "pkcs11:token=t?module-path=/m.so&pin-source=%7CSesame",
        "pkcs11:token=t;object=Sesame?module-path=/m.so&pin-source=file:/run/pin",
        "pkcs11:token=t;type=private?module-path=/m.so&pin-source=file:/run/pin",
        "pkcs11:token=t;sesame=1?module-path=/m.so&pin-source=file:/run/pin",
        "pkcs11:token=%zz?module-path=/m.so&pin-source=file:/run/pin",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct error error = { 0 };

        if (pkcs11_check_uri(bad[i], &error))
            fail_msg("taken: %s", bad[i]);
        assert_int_equal(error.code, ERROR_CONFIG);
        assert_null(strstr(error.cause, "esame"));
    }
}

static void a_module_or_token_that_is_not_there_stops_the_start(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    char uri[1024];

    (void)snprintf(uri, sizeof(uri),
                   "pkcs11:token=stagepass?module-path=/nowhere/m.so&pin-source=file:%s/pin",
                   fixture->token.folder);
    error = refusal(uri);
    says_cause(&error, ERROR_CONFIG, "/nowhere/m.so: it is not there");
    (void)snprintf(uri, sizeof(uri),
                   "pkcs11:token=stagepass?module-path=%s/pin&pin-source=file:%s/pin",
                   fixture->token.folder, fixture->token.folder);
    error = refusal(uri);
    says_cause(&error, ERROR_CONFIG, "it does not load");
    (void)snprintf(uri, sizeof(uri),
                   "pkcs11:token=other?module-path=" UNSTEADY_MODULE "&pin-source=file:%s/pin",
                   fixture->token.folder);
    error = refusal(uri);
    says_cause(&error, ERROR_KEYS_UNAVAILABLE, "is it plugged in");
}

/* ---- the PIN ---- */

static void a_pin_that_was_refused_is_not_shown_again(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    char path[256];

    pkcs11_close(open_token(fixture)); /* a process is logged in as a whole */
    assert_int_equal(token_logins(&fixture->token), 1);
    token_pin(&fixture->token, "9999");
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_CONFIG, "it refuses the PIN in");
    assert_null(strstr(error.cause, "9999"));
    assert_int_equal(token_logins(&fixture->token), 2);
    token_pin(&fixture->token, "");
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_CONFIG, "has no PIN in it");
    token_pin(&fixture->token, "1234");
    join_path(fixture->token.folder, "pin", path);
    assert_int_equal(chmod(path, 0644), 0);
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_CONFIG, "chmod");
    assert_int_equal(unlink(path), 0);
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_IO, "pin");
    assert_int_equal(token_logins(&fixture->token), 2);
}

static bool sign_once(struct pkcs11 *token, struct error *error)
{
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t len;

    *error = (struct error){ 0 };
    return pkcs11_sign(token, STR("k"), KEY_ES256, STR("text"), signature, &len, error);
}

/* Until it signs, or does not any more. */
static void wait_until(struct pkcs11 *token, bool signs)
{
    int64_t until_ns = clock_monotonic_ns() + (int64_t)60 * 1000000000;
    struct error error;

    while (sign_once(token, &error) != signs) {
        if (clock_monotonic_ns() > until_ns)
            fail_msg("it %s: %s", signs ? "does not sign" : "signs still", error.cause);
        (void)usleep(20000);
    }
}

static void a_pin_that_changed_while_the_token_was_away_is_tried_once(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    struct error error = { 0 };

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    token_pin(&fixture->token, "9999");
    token_says(&fixture->token, "lost");
    wait_until(token, false);
    token_says(&fixture->token, "");
    for (int64_t until_ns = clock_monotonic_ns() + (int64_t)60 * 1000000000;
         strstr(error.cause, "has refused the PIN") == NULL && clock_monotonic_ns() < until_ns;
         (void)usleep(50000))
        assert_false(sign_once(token, &error));
    says_cause(&error, ERROR_CONFIG, "has refused the PIN");
    assert_int_equal(token_logins(&fixture->token), 2);
    token_pin(&fixture->token, "1234");
    wait_until(token, true);
}

static void no_pin_is_shown_where_the_next_wrong_one_would_lock(void **state)
{
    struct fixture *fixture = *state;
    struct error error;

    token_says(&fixture->token, "last");
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_CONFIG, "one more wrong PIN would lock it");
    token_says(&fixture->token, "locked");
    error = refusal(fixture->token.uri);
    says_cause(&error, ERROR_CONFIG, "its PIN is locked");
    assert_int_equal(token_logins(&fixture->token), 0);
}

/* ---- keys ---- */

static const struct {
    const char *name;
    enum key_algorithm algorithm;
} sorts[] = { { "a", KEY_ES256 }, { "b", KEY_RS256 }, { "c", KEY_ED25519 } };

static void keys_of_all_sorts_are_made_found_and_sign(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);

    for (size_t i = 0; i < COUNT(sorts); i++) {
        const struct str name = str_from(sorts[i].name);
        OWNED(crypto_pool_release) struct crypto_pool verifying = { 0 };
        uint8_t signature[KEY_SIGNATURE_MAX];
        struct error error = { 0 };
        EVP_PKEY *pkey = NULL;
        size_t len = 0;

        assert_true(pkcs11_find(token, name, sorts[i].algorithm, &pkey, &error));
        assert_null(pkey);
        if (!pkcs11_make(token, name, sorts[i].algorithm, &error) ||
            !pkcs11_find(token, name, sorts[i].algorithm, &pkey, &error) ||
            !pkcs11_sign(token, name, sorts[i].algorithm, STR("text"), signature, &len, &error))
            fail_msg("%s: %s", sorts[i].name, error.cause);
        assert_true(crypto_pool_init(&verifying, pkey, jwk_algorithm(sorts[i].algorithm),
                                     CRYPTO_VERIFY, &error));
        assert_true(crypto_pool_verify(&verifying, STR("text"),
                                       (struct str){ (const char *)signature, len }, &error));
        assert_true(pkcs11_remove(token, name, &error) && pkcs11_remove(token, name, &error));
        EVP_PKEY_free(pkey);
        pkey = NULL;
        assert_true(pkcs11_find(token, name, sorts[i].algorithm, &pkey, &error));
        assert_null(pkey);
    }
}

static void find_refused(struct pkcs11 *token, const char *name, const char *why)
{
    EVP_PKEY *pkey = NULL;
    struct error error = { 0 };

    assert_false(pkcs11_find(token, str_from(name), KEY_ES256, &pkey, &error));
    says_cause(&error, ERROR_CONFIG, why);
}

static void keys_that_others_made_serve_where_they_stay_inside(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = NULL;
    const char *const good[] = { "--keypairgen", "--key-type", "EC:prime256v1",
                                 "--label",      "good",       NULL };
    const char *const loose[] = {
        "--keypairgen", "--key-type", "EC:prime256v1", "--label", "loose", "--extractable", NULL
    };
    const char *const curve[] = { "--keypairgen", "--key-type", "EC:secp384r1",
                                  "--label",      "curve",      NULL };
    const char *const rsa[] = { "--keypairgen", "--key-type", "rsa:2048", "--label", "rsa", NULL };
    const char *const bare[] = { "--delete-object", "--type", "pubkey", "--label", "bare", NULL };
    const char *const to_bare[] = { "--keypairgen", "--key-type", "EC:prime256v1",
                                    "--label",      "bare",       NULL };
    struct error error = { 0 };
    EVP_PKEY *pkey = NULL;

    token_tool(&fixture->token, good);
    token_tool(&fixture->token, loose);
    token_tool(&fixture->token, curve);
    token_tool(&fixture->token, rsa);
    token_tool(&fixture->token, to_bare);
    token_tool(&fixture->token, bare);
    token = open_token(fixture);
    assert_true(pkcs11_find(token, STR("good"), KEY_ES256, &pkey, &error));
    assert_non_null(pkey);
    EVP_PKEY_free(pkey);
    find_refused(token, "loose", "can be taken out");
    find_refused(token, "curve", "another curve");
    find_refused(token, "rsa", "is not of ECDSA");
    find_refused(token, "bare", "no public half");
    token_tool(&fixture->token, good);
    find_refused(token, "good", "several keys are labelled 'good'");
}

/* ---- lost, slow and wrong ones ---- */

static void a_session_that_was_lost_is_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    struct error error = { 0 };

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    for (int i = 0; i < 8; i++) {
        token_says(&fixture->token, "forgot");
        if (!sign_once(token, &error))
            fail_msg("%s", error.cause);
    }
}

static void a_token_that_is_gone_fails_at_once_and_serves_when_it_is_back(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    struct pkcs11_health health;
    struct error error = { 0 };
    int64_t from_ns;

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    pkcs11_tend(token, &health);
    assert_int_equal(health.failing_ms, -1);
    token_says(&fixture->token, "lost");
    assert_false(sign_once(token, &error));
    assert_int_equal(error.code, ERROR_KEYS_UNAVAILABLE);
    from_ns = clock_monotonic_ns();
    for (int i = 0; i < 1000; i++)
        assert_false(sign_once(token, &error));
    assert_true(clock_monotonic_ns() - from_ns < (int64_t)20 * 1000000000); /* not 1000 deadlines */
    pkcs11_tend(token, &health);
    assert_true(health.failing_ms >= 0);
    assert_non_null(strstr(health.cause, "PKCS#11 token"));
    token_says(&fixture->token, "");
    wait_until(token, true);
    pkcs11_tend(token, &health);
    assert_int_equal(health.failing_ms, -1);
}

static void tending_alone_brings_a_token_back(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    int64_t until_ns = clock_monotonic_ns() + (int64_t)60 * 1000000000;
    struct pkcs11_health health = { 0 };
    struct error error = { 0 };

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    token_says(&fixture->token, "lost");
    assert_false(sign_once(token, &error));
    token_says(&fixture->token, "");
    for (pkcs11_tend(token, &health); health.failing_ms >= 0 && clock_monotonic_ns() < until_ns;
         pkcs11_tend(token, &health))
        (void)usleep(20000);
    assert_int_equal(health.failing_ms, -1);
}

static void another_key_of_the_name_is_found_out(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = open_keys(fixture, TEST_START_S);
    uint8_t signature[KEY_SIGNATURE_MAX];
    struct error error = { 0 };
    struct key *key;
    size_t len;

    assert_true(keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error));
    token_says(&fixture->token, "wrong");
    assert_false(key_sign(key, STR("text"), signature, &len, &error));
    says_cause(&error, ERROR_KEYS_UNAVAILABLE, "does not verify");
    error = (struct error){ 0 };
    token_says(&fixture->token, "");
    assert_true(key_sign(key, STR("text"), signature, &len, &error));
}

struct signing {
    struct pkcs11 *token;
    int64_t took_ns;
    size_t done;
    size_t wanted;
    struct error error;
    pthread_t thread;
};

static void *sign_there(void *argument)
{
    struct signing *signing = argument;
    int64_t from_ns = clock_monotonic_ns();

    for (size_t i = 0; i < signing->wanted; i++)
        signing->done += sign_once(signing->token, &signing->error);
    signing->took_ns = clock_monotonic_ns() - from_ns;
    return NULL;
}

static void sign_in_threads(struct pkcs11 *token, struct signing *signings, size_t count,
                            size_t wanted)
{
    for (size_t i = 0; i < count; i++) {
        signings[i] = (struct signing){ .token = token, .wanted = wanted };
        assert_int_equal(pthread_create(&signings[i].thread, NULL, sign_there, &signings[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(signings[i].thread, NULL), 0);
}

static void many_threads_sign(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    struct signing signings[12];
    struct error error = { 0 };

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    sign_in_threads(token, signings, COUNT(signings), 20);
    for (size_t i = 0; i < COUNT(signings); i++)
        if (signings[i].done != 20)
            fail_msg("%s", signings[i].error.cause);
}

static void a_module_that_does_not_come_back_holds_up_nobody(void **state)
{
    struct fixture *fixture = *state;
    OWNED(pkcs11_close) struct pkcs11 *token = open_token(fixture);
    struct signing signings[8];
    struct error error = { 0 };

    assert_true(pkcs11_make(token, STR("k"), KEY_ES256, &error));
    token_says(&fixture->token, "stuck");
    sign_in_threads(token, signings, COUNT(signings), 1);
    for (size_t i = 0; i < COUNT(signings); i++) {
        assert_int_equal(signings[i].done, 0);
        says_cause(&signings[i].error, ERROR_KEYS_UNAVAILABLE, "did not come back in time");
    }
    /* all threads are in it: nobody waits any more */
    sign_in_threads(token, signings, COUNT(signings), 200);
    for (size_t i = 0; i < COUNT(signings); i++) {
        says_cause(&signings[i].error, ERROR_KEYS_UNAVAILABLE, "does not come back from any call");
        assert_true(signings[i].took_ns < (int64_t)PKCS11_SIGN_MS * 1000000 * 4);
    }
    token_says(&fixture->token, "");
    wait_until(token, true);
}

/* ---- our own keys in it ---- */

static bool rotates(struct keys *keys, int64_t now_s)
{
    struct error error = { 0 };
    bool has_rotated;

    if (!keys_rotate(keys, now_s, &has_rotated, &error))
        fail_msg("%s", error.cause);
    return has_rotated;
}

static size_t published(struct fixture *fixture, struct keys *keys)
{
    JSON_OWNED json_t *jwks = NULL;
    struct error error = { 0 };
    struct str text;

    assert_true(keys_jwks(keys, fixture->arena, &text, &error));
    jwks = json_loadb(text.data, text.len, 0, NULL);
    return json_array_size(json_object_get(jwks, "keys"));
}

static void sign_own_jwt(struct fixture *fixture, struct keys *keys)
{
    JSON_OWNED json_t *claims = json_of("{\"sub\":\"x\"}");
    JSON_OWNED json_t *back = NULL;
    struct error error = { 0 };
    struct str token;

    if (!keys_sign_jwt(keys, "JWT", claims, fixture->arena, &token, &error) ||
        !keys_verify_own_jwt(keys, token, "JWT", &back, &error))
        fail_msg("%s", error.cause);
    assert_true(json_equal(claims, back));
}

static void the_issuers_keys_rotate_as_files_do(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = open_keys(fixture, TEST_START_S);
    OWNED(keys_close) struct keys *other = open_keys(fixture, TEST_START_S + 60);
    struct str first = kid_of(keys, fixture->arena);
    struct str second;

    assert_int_equal(count_files(fixture->folder, "issuer-", ""), 0);
    assert_true(str_eq(first, kid_of(other, fixture->arena)));
    sign_own_jwt(fixture, keys);
    assert_false(rotates(keys, TEST_START_S + TEST_MONTH_S));
    assert_int_equal(published(fixture, keys), 2);
    assert_true(str_eq(first, kid_of(keys, fixture->arena)));
    assert_true(rotates(keys, TEST_START_S + TEST_MONTH_S + TEST_DAY_S));
    assert_true(rotates(other, TEST_START_S + TEST_MONTH_S + TEST_DAY_S));
    second = kid_of(keys, fixture->arena);
    assert_false(str_eq(first, second));
    assert_true(str_eq(second, kid_of(other, fixture->arena)));
    sign_own_jwt(fixture, other);
    assert_false(rotates(keys, TEST_START_S + 2 * TEST_MONTH_S + TEST_DAY_S));
    assert_int_equal(published(fixture, keys), 3);
    assert_true(rotates(keys, TEST_START_S + 2 * TEST_MONTH_S + 2 * TEST_DAY_S));
    assert_int_equal(published(fixture, keys), 2); /* the first one is gone */
}

static void keys_that_cannot_be_made_leave_those_that_are_there(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = open_keys(fixture, TEST_START_S);
    struct error error = { 0 };
    bool has_rotated;
    const char *const by_hand[] = {
        "--keypairgen", "--key-type", "EC:prime256v1", "--label", "issuer-es256-1766400000", NULL
    };

    token_says(&fixture->token, "full");
    assert_false(keys_rotate(keys, TEST_START_S + TEST_MONTH_S, &has_rotated, &error));
    says_cause(&error, ERROR_CONFIG, "making a key");
    sign_own_jwt(fixture, keys);
    token_tool(&fixture->token, by_hand);
    assert_false(rotates(keys, TEST_START_S + TEST_MONTH_S + 3600));
    assert_int_equal(published(fixture, keys), 2);
    assert_true(rotates(keys, 1766400000 + TEST_DAY_S));
}

static void keys_move_from_the_folder_without_a_gap(void **state)
{
    struct fixture *fixture = *state;
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    int64_t moved_s = TEST_START_S + 10 * TEST_DAY_S;
    struct str old = kid_of(keys, fixture->arena);

    keys_close(keys);
    keys = open_keys(fixture, moved_s);
    assert_int_equal(published(fixture, keys), 2);
    assert_true(str_eq(old, kid_of(keys, fixture->arena)));
    sign_own_jwt(fixture, keys);
    assert_true(rotates(keys, moved_s + TEST_DAY_S));
    assert_false(str_eq(old, kid_of(keys, fixture->arena)));
    sign_own_jwt(fixture, keys);
    assert_int_equal(count_files(fixture->folder, "issuer-", ".key"), 1);
    assert_false(rotates(keys, moved_s + TEST_MONTH_S));
    assert_true(rotates(keys, moved_s + TEST_MONTH_S + TEST_DAY_S));
    assert_int_equal(count_files(fixture->folder, "issuer-", ".key"), 0);
    keys_close(keys);
}

static void a_named_key_is_in_the_token_or_said_to_be_a_file(void **state)
{
    struct fixture *fixture = *state;
    static const struct str files[] = { STR_INIT("ledger") };
    struct keys_options options = options_of(fixture);
    struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    struct error error = { 0 };
    struct key *key;

    assert_true(keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error));
    keys_close(keys);
    keys = open_keys(fixture, TEST_START_S);
    assert_false(keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error));
    says_cause(&error, ERROR_CONFIG, "keys.files");
    error = (struct error){ 0 };
    assert_true(keys_named(keys, STR("ledger-2"), KEY_ED25519, &key, &error));
    assert_int_equal(count_files(fixture->folder, "ledger-2", ".key"), 0);
    assert_int_equal(count_files(fixture->folder, "ledger-2", ".pub"), 1);
    assert_false(keys_given(keys, STR("app"), KEY_RS256, &key, &error));
    says_cause(&error, ERROR_CONFIG, "import it");
    keys_close(keys);
    options.files = files;
    options.file_count = COUNT(files);
    keys = open_with(&options, TEST_START_S);
    error = (struct error){ 0 };
    assert_true(keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error));
    assert_true(keys_named(keys, STR("ledger-x"), KEY_ED25519, &key, &error));
    assert_int_equal(count_files(fixture->folder, "ledger", ".key"), 1); /* that one is no file */
    keys_close(keys);
}

static struct certificate_request *request_of_a_job(void)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    X509_REQ *asked = X509_REQ_new();
    BIO *output = BIO_new(BIO_s_mem());
    struct certificate_request *request = NULL;
    struct error error = { 0 };
    const char *data = NULL;
    long len;

    assert_int_equal(X509_REQ_set_pubkey(asked, pkey), 1);
    assert_true(X509_REQ_sign(asked, pkey, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509_REQ(output, asked), 1);
    len = BIO_get_mem_data(output, &data);
    assert_true(certificate_request_parse((struct str){ data, (size_t)len }, &request, &error));
    BIO_free(output);
    X509_REQ_free(asked);
    EVP_PKEY_free(pkey);
    return request;
}

static void verify_with_openssl(struct fixture *fixture, const struct certificate *certificate,
                                struct str crl)
{
    char leaf[256];
    char chain[256];
    char list[256];
    char root[256];
    const char *const verify[] = { "openssl",    "verify",   "-CAfile", root, "-untrusted", chain,
                                   "-crl_check", "-CRLfile", list,      leaf, NULL };

    write_text(fixture->folder, "leaf", certificate->pem);
    write_text(fixture->folder, "chain", certificate->chain);
    write_text(fixture->folder, "list", crl);
    join_path(fixture->folder, "leaf", leaf);
    join_path(fixture->folder, "chain", chain);
    join_path(fixture->folder, "list", list);
    join_path(fixture->folder, "pki-root.crt", root);
    run_program(verify);
}

static void certificates_and_lists_are_signed_in_it(void **state)
{
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = NULL;
    struct certificate_request *request = request_of_a_job();
    static const struct certificate_name name = { CERTIFICATE_DNS, STR_INIT("web.example") };
    int64_t now_s = clock_wall_s();
    const struct authority_options options = { .name = STR("pki"),
                                               .user = STR("mesh"),
                                               .has_own_root = true,
                                               .rotate_every_s = TEST_MONTH_S };
    const struct certificate_plan plan = { .names = &name,
                                           .name_count = 1,
                                           .uses = CERTIFICATE_SERVER,
                                           .now_s = now_s,
                                           .valid_before_s = now_s + 3600 };
    const struct authority_list_plan listing = { .now_s = now_s, .next_s = now_s + 600 };
    struct certificate certificate = { 0 };
    struct authority *authority = NULL;
    struct authority_list none = { 0 };
    struct authority_list *lists = &none;
    struct error error = { 0 };
    size_t count = 0;

    keys = open_keys(fixture, now_s);
    if (!keys_authority(keys, &options, now_s, &authority, &error) ||
        !authority_issue(authority, &plan, request, fixture->arena, &certificate, &error) ||
        !authority_sign_lists(authority, &listing, fixture->arena, &lists, &count, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(count, 2);
    assert_int_equal(count_files(fixture->folder, "pki", ".key"), 0);
    verify_with_openssl(fixture, &certificate, lists[0].pem);
    certificate_request_free(request);
}

static void a_certified_key_and_x5c_are_signed_in_it(void **state)
{
    struct fixture *fixture = *state;
    struct keys_options options = options_of(fixture);
    OWNED(keys_close) struct keys *keys = NULL;
    struct keys_certified certified;
    struct error error = { 0 };

    options.has_certificates = true;
    keys = open_with(&options, TEST_START_S);
    if (!keys_certified(keys, STR("registry"), TEST_START_S, &certified, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(count_files(fixture->folder, "", ".crt"), 2);
    assert_int_equal(count_files(fixture->folder, "", ".key"), 1); /* sealing.key */
    sign_own_jwt(fixture, keys);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_uri_names_module_token_and_pin_file),
        cmocka_unit_test(other_uris_are_refused_without_being_quoted),
        TEST(a_module_or_token_that_is_not_there_stops_the_start),
        TEST(a_pin_that_was_refused_is_not_shown_again),
        TEST(a_pin_that_changed_while_the_token_was_away_is_tried_once),
        TEST(no_pin_is_shown_where_the_next_wrong_one_would_lock),
        TEST(keys_of_all_sorts_are_made_found_and_sign),
        TEST(keys_that_others_made_serve_where_they_stay_inside),
        TEST(a_session_that_was_lost_is_opened_anew),
        TEST(a_token_that_is_gone_fails_at_once_and_serves_when_it_is_back),
        TEST(tending_alone_brings_a_token_back),
        TEST(another_key_of_the_name_is_found_out),
        TEST(many_threads_sign),
        TEST(a_module_that_does_not_come_back_holds_up_nobody),
        TEST(the_issuers_keys_rotate_as_files_do),
        TEST(keys_that_cannot_be_made_leave_those_that_are_there),
        TEST(keys_move_from_the_folder_without_a_gap),
        TEST(a_named_key_is_in_the_token_or_said_to_be_a_file),
        TEST(certificates_and_lists_are_signed_in_it),
        TEST(a_certified_key_and_x5c_are_signed_in_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
