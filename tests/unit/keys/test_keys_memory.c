#include <string.h>

#include "base/error.h"
#include "help.h"
#include "keys/ssh.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

/* No operation here allocates more often. */
#define ALLOCATIONS_MAX 2000

#define ED25519 "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"

static char *folder;
static struct keys *keys;

static int start(void **state)
{
    (void)state;
    folder = temporary_folder();
    keys = keys_of(folder, KEY_ES256, TEST_START_S);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    keys_close(keys);
    remove_folder(folder);
    return 0;
}

static bool make_a_verifier(struct arena *arena, struct error *error)
{
    OWNED(verifier_free) struct verifier *verifier = NULL;
    json_t *jwk = json_of(vectors[1].jwk);
    bool is_made;

    (void)arena;
    is_made = verifier_new(jwk, JOSE_ANY, &verifier, error);
    json_decref(jwk);
    return is_made;
}

static bool take_a_thumbprint(struct arena *arena, struct error *error)
{
    json_t *jwk = json_of(vectors[1].jwk);
    char thumbprint[44];
    bool is_taken;

    (void)arena;
    is_taken = jwk_thumbprint(jwk, thumbprint, error);
    json_decref(jwk);
    return is_taken;
}

static bool open_the_keys(struct arena *arena, struct error *error)
{
    const struct keys_options options = { .directory = folder,
                                          .issuer_algorithm = KEY_ES256,
                                          .rotate_every_s = TEST_MONTH_S };
    OWNED(keys_close) struct keys *more = NULL;

    (void)arena;
    return keys_open(&options, TEST_START_S, &more, error);
}

static bool sign_and_verify(struct arena *arena, struct error *error)
{
    json_t *claims = json_of("{\"sub\":\"acme/payments:build\"}");
    json_t *back = NULL;
    struct str token = { 0 };
    bool is_good = keys_sign_jwt(keys, "JWT", claims, arena, &token, error) &&
                   keys_verify_own_jwt(keys, token, "JWT", &back, error);

    json_decref(claims);
    json_decref(back);
    return is_good;
}

static bool publish(struct arena *arena, struct error *error)
{
    struct str text = { 0 };

    return keys_jwks(keys, arena, &text, error);
}

static bool seal_and_unseal(struct arena *arena, struct error *error)
{
    OWNED(buf_release) struct buf sealed;
    OWNED(buf_release) struct buf plain;

    (void)arena;
    buf_init(&sealed, 1024);
    buf_init(&plain, 1024);
    return keys_seal(keys, STR("text"), STR("context"), &sealed, error) &&
           keys_unseal(keys, buf_str(&sealed), STR("context"), &plain, error);
}

static bool load_a_named_key(struct arena *arena, struct error *error)
{
    OWNED(keys_close) struct keys *more = NULL;
    const struct keys_options options = { .directory = folder,
                                          .issuer_algorithm = KEY_ES256,
                                          .rotate_every_s = TEST_MONTH_S };
    struct key *key = NULL;

    (void)arena;
    return keys_open(&options, TEST_START_S, &more, error) &&
           keys_named(more, STR("ledger"), KEY_ED25519, &key, error);
}

static bool read_an_ssh_key(struct arena *arena, struct error *error)
{
    struct ssh_public_key key = { 0 };

    if (!ssh_public_key_parse(STR(ED25519), arena, &key, error))
        return false;
    return ssh_fingerprint(&key, arena).data != NULL || error_set(error, ERROR_MEMORY, "a text");
}

/* Run it with the n-th allocation failing; whether it worked all the same, as there was none. */
static bool works_without(const char *name, bool (*run)(struct arena *arena, struct error *error),
                          size_t nth)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct error error = { 0 };
    bool is_good;

    assert_non_null(arena);
    fail_memory_at(nth);
    is_good = run(arena, &error);
    fail_memory_at(0);
    /* a buffer does not say whether its limit or memory ended */
    if (!is_good && error.code != ERROR_MEMORY && error.code != ERROR_LIMIT)
        fail_msg("%s, allocation %zu: %s", name, nth, error.cause);
    return is_good;
}

static void a_failed_allocation_is_an_ordinary_error(void **state)
{
    static const struct {
        const char *name;
        bool (*run)(struct arena *arena, struct error *error);
    } cases[] = {
        { "make_a_verifier", make_a_verifier },
        { "take_a_thumbprint", take_a_thumbprint },
        { "open_the_keys", open_the_keys },
        { "sign_and_verify", sign_and_verify },
        { "publish", publish },
        { "seal_and_unseal", seal_and_unseal },
        { "load_a_named_key", load_a_named_key },
        { "read_an_ssh_key", read_an_ssh_key },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t nth = 1;

        while (nth < ALLOCATIONS_MAX && !works_without(cases[i].name, cases[i].run, nth))
            nth++;
        if (nth == ALLOCATIONS_MAX)
            fail_msg("%s never worked", cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_allocation_is_an_ordinary_error),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
