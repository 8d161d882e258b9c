#include "base/error.h"
#include "clients/proof_key.h"
#include "help.h"
#include "identity/dpop.h"
#include "tests/test.h"

#define NOW_S INT64_C(1795342500)
#define URL "https://broker.acme.example/token"

static struct str prove(const struct proof_key *key)
{
    struct proof_request request = { .method = "POST", .url = STR(URL), .now_s = NOW_S };
    struct error error = { 0 };
    struct str proof;

    assert_true(proof_key_prove(key, &request, arena, &proof, &error));
    return proof;
}

static bool check(struct str proof, struct str method, struct str url, int64_t now_s,
                  struct dpop_proof *checked)
{
    struct dpop_options options = { .method = method, .url = url, .now_s = now_s, .leeway_s = 30 };
    struct error error = { 0 };

    return dpop_check(proof, &options, arena, checked, &error);
}

static void the_broker_takes_our_proofs(void **state)
{
    OWNED(proof_key_free) struct proof_key *key = NULL;
    struct error error = { 0 };
    struct dpop_proof first = { 0 };
    struct dpop_proof second = { 0 };

    (void)state;
    assert_true(proof_key_new(&key, &error));
    assert_true(check(prove(key), STR("POST"), STR(URL), NOW_S, &first));
    assert_true(check(prove(key), STR("POST"), STR(URL), NOW_S, &second));
    assert_string_equal(first.thumbprint, second.thumbprint);
}

static void each_proof_and_each_key_is_another(void **state)
{
    OWNED(proof_key_free) struct proof_key *key = NULL;
    OWNED(proof_key_free) struct proof_key *other = NULL;
    struct error error = { 0 };
    struct dpop_proof first = { 0 };
    struct dpop_proof second = { 0 };

    (void)state;
    assert_true(proof_key_new(&key, &error) && proof_key_new(&other, &error));
    assert_false(str_eq(prove(key), prove(key)));
    assert_true(check(prove(key), STR("POST"), STR(URL), NOW_S, &first));
    assert_true(check(prove(other), STR("POST"), STR(URL), NOW_S, &second));
    assert_string_not_equal(first.thumbprint, second.thumbprint);
}

static void a_proof_is_for_one_place_and_time(void **state)
{
    OWNED(proof_key_free) struct proof_key *key = NULL;
    struct error error = { 0 };
    struct dpop_proof checked = { 0 };
    struct str proof;

    (void)state;
    assert_true(proof_key_new(&key, &error));
    proof = prove(key);
    assert_false(check(proof, STR("GET"), STR(URL), NOW_S, &checked));
    assert_false(check(proof, STR("POST"), STR("https://other.example/token"), NOW_S, &checked));
    assert_false(check(proof, STR("POST"), STR(URL), NOW_S + 3600, &checked));
    assert_false(check(proof, STR("POST"), STR(URL), NOW_S - 3600, &checked));
}

/* Signatures whose r or s start with zeros are one in 128: they keep their length. */
static void a_thousand_proofs_verify(void **state)
{
    OWNED(proof_key_free) struct proof_key *key = NULL;
    struct error error = { 0 };
    struct proof_request request = { .method = "POST", .url = STR(URL), .now_s = NOW_S };
    struct dpop_proof checked = { 0 };

    (void)state;
    assert_true(proof_key_new(&key, &error));
    for (size_t i = 0; i < 1000; i++) {
        OWNED(arena_free) struct arena *own = arena_new((size_t)64 * 1024);
        struct dpop_options options = {
            .method = STR("POST"), .url = STR(URL), .now_s = NOW_S, .leeway_s = 30
        };
        struct str proof;

        assert_true(proof_key_prove(key, &request, own, &proof, &error));
        assert_true(dpop_check(proof, &options, own, &checked, &error));
    }
}

static void a_key_that_was_written_proves_as_it_did(void **state)
{
    OWNED(proof_key_free) struct proof_key *key = NULL;
    OWNED(proof_key_free) struct proof_key *again = NULL;
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };
    struct dpop_proof first = { 0 };
    struct dpop_proof second = { 0 };

    (void)state;
    buf_init(&text, PROOF_KEY_TEXT_MAX);
    assert_true(proof_key_new(&key, &error));
    assert_true(proof_key_write(key, &text, &error));
    assert_true(proof_key_read(buf_str(&text), &again, &error));
    assert_true(check(prove(key), STR("POST"), STR(URL), NOW_S, &first));
    assert_true(check(prove(again), STR("POST"), STR(URL), NOW_S, &second));
    assert_string_equal(first.thumbprint, second.thumbprint);
}

/* DER of a key on another curve, of P-256 with more behind it, and what is none. */
static void what_is_no_key_of_ours_is_refused(void **state)
{
    static const char *const texts[] = { "", "AAAA", "not base64url!", "MAA" };
    OWNED(proof_key_free) struct proof_key *key = NULL;
    OWNED(proof_key_free) struct proof_key *none = NULL;
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct error why = { 0 };

        assert_false(proof_key_read(str_from(texts[i]), &none, &why));
        assert_int_equal(why.code, ERROR_SYNTAX);
    }
    buf_init(&text, 4096);
    assert_true(proof_key_new(&key, &error));
    assert_true(proof_key_write(key, &text, &error));
    for (size_t len = 0; len < text.len; len++) {
        struct error why = { 0 };

        assert_false(proof_key_read(str_slice(buf_str(&text), 0, len), &none, &why));
    }
    for (size_t i = 0; i < PROOF_KEY_TEXT_MAX; i++)
        buf_add_byte(&text, 'A');
    assert_false(proof_key_read(buf_str(&text), &none, &error));
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_broker_takes_our_proofs),
        cmocka_unit_test(each_proof_and_each_key_is_another),
        cmocka_unit_test(a_proof_is_for_one_place_and_time),
        cmocka_unit_test(a_thousand_proofs_verify),
        cmocka_unit_test(a_key_that_was_written_proves_as_it_did),
        cmocka_unit_test(what_is_no_key_of_ours_is_refused),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
