#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "base/error.h"
#include "base/file.h"
#include "help.h"
#include "tests/test.h"

#define CONTEXT STR("lease 01JD")

struct fixture {
    char *folder;
    struct keys *keys;
    struct buf sealed;
    struct buf opened;
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture.folder = temporary_folder();
    fixture.keys = keys_of(fixture.folder, KEY_ES256, TEST_START_S);
    buf_init(&fixture.sealed, KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD);
    buf_init(&fixture.opened, KEYS_SEAL_MAX);
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    buf_release(&fixture->sealed);
    buf_release(&fixture->opened);
    keys_close(fixture->keys);
    remove_folder(fixture->folder);
    return 0;
}

static enum error_code unseal(struct fixture *fixture, struct str sealed, struct str context)
{
    struct error error = { 0 };
    bool is_open = keys_unseal(fixture->keys, sealed, context, &fixture->opened, &error);

    assert_int_equal(is_open, error.code == ERROR_NONE);
    if (!is_open)
        assert_int_equal(fixture->opened.len, 0);
    return error.code;
}

static void seal(struct fixture *fixture, struct str plain)
{
    struct error error = { 0 };

    assert_true(keys_seal(fixture->keys, plain, CONTEXT, &fixture->sealed, &error));
}

static void what_was_sealed_opens_with_the_same_context(void **state)
{
    struct fixture *fixture = *state;

    seal(fixture, STR("a revocation handle"));
    assert_int_equal(fixture->sealed.len, 19 + KEYS_SEAL_OVERHEAD);
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_NONE);
    assert_true(str_eq(buf_str(&fixture->opened), STR("a revocation handle")));
}

static void nothing_can_be_sealed_too(void **state)
{
    struct fixture *fixture = *state;

    seal(fixture, (struct str){ 0 });
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_NONE);
    assert_int_equal(fixture->opened.len, 0);
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), (struct str){ 0 }), ERROR_INVALID);
}

static void the_same_text_is_never_sealed_alike(void **state)
{
    struct fixture *fixture = *state;
    size_t len;

    seal(fixture, STR("text"));
    len = fixture->sealed.len;
    seal(fixture, STR("text"));
    assert_int_equal(fixture->sealed.len, 2 * len);
    assert_memory_not_equal(fixture->sealed.data, fixture->sealed.data + len, 12);
    assert_memory_not_equal(fixture->sealed.data + 12, fixture->sealed.data + len + 12, len - 12);
}

static void another_context_does_not_open_it(void **state)
{
    struct fixture *fixture = *state;

    seal(fixture, STR("text"));
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), STR("lease 01JE")), ERROR_INVALID);
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), (struct str){ 0 }), ERROR_INVALID);
}

static void any_changed_bit_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    seal(fixture, STR("text"));
    for (size_t bit = 0; bit < fixture->sealed.len * 8; bit++) {
        fixture->sealed.data[bit / 8] ^= (char)(1 << (bit % 8));
        assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_INVALID);
        fixture->sealed.data[bit / 8] ^= (char)(1 << (bit % 8));
    }
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_NONE);
}

static void any_missing_byte_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    seal(fixture, STR("text"));
    for (size_t len = 0; len < fixture->sealed.len; len++) {
        assert_int_equal(unseal(fixture, str_slice(buf_str(&fixture->sealed), 0, len), CONTEXT),
                         ERROR_INVALID);
    }
}

static void as_much_as_the_limit_is_sealed_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    char *text = calloc(1, KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD + 1);

    assert_non_null(text);
    seal(fixture, (struct str){ text, KEYS_SEAL_MAX });
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_NONE);
    buf_clear(&fixture->opened);
    assert_false(keys_seal(fixture->keys, (struct str){ text, KEYS_SEAL_MAX + 1 }, CONTEXT,
                           &fixture->sealed, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_int_equal(
        unseal(fixture, (struct str){ text, KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD + 1 }, CONTEXT),
        ERROR_LIMIT);
    assert_int_equal(
        unseal(fixture, (struct str){ text, KEYS_SEAL_MAX + KEYS_SEAL_OVERHEAD }, CONTEXT),
        ERROR_INVALID);
    free(text);
}

static void it_opens_after_a_restart_and_with_no_other_key(void **state)
{
    struct fixture *fixture = *state;
    char path[256];

    seal(fixture, STR("text"));
    keys_close(fixture->keys);
    fixture->keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_NONE);
    keys_close(fixture->keys);
    buf_clear(&fixture->opened);
    join_path(fixture->folder, "sealing.key", path);
    assert_int_equal(unlink(path), 0);
    fixture->keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);
    assert_int_equal(unseal(fixture, buf_str(&fixture->sealed), CONTEXT), ERROR_INVALID);
}

static void a_sealing_key_of_another_length_or_mode_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error = { 0 };
    char path[256];

    join_path(fixture->folder, "sealing.key", path);
    assert_true(file_replace(path, STR("0123456789abcdef0123456789abcde"), 0600, &error));
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    assert_true(file_replace(path, (struct str){ 0 }, 0600, &error));
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
    assert_true(file_replace(path, STR("0123456789abcdef0123456789abcdef"), 0644, &error));
    assert_int_equal(keys_refused(fixture->folder, KEY_ES256), ERROR_CONFIG);
}

/* ---- MACs ---- */

/* The same by OpenSSL's HKDF and HMAC, from the key as it lies in its file. */
static void mac_by_openssl(const char *folder, struct str use, struct str message,
                           uint8_t mac[SHA256_LEN])
{
    OWNED(arena_free) struct arena *arena = arena_new(4096);
    struct str file = read_text(arena, folder, "sealing.key");
    char key[32];
    char info[KEYS_USE_MAX];
    char digest[] = "SHA256";
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
    uint8_t derived[SHA256_LEN];
    size_t len = 0;
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof(key)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, use.len),
        OSSL_PARAM_END,
    };

    assert_int_equal(file.len, sizeof(key));
    memcpy(key, file.data, sizeof(key));
    memcpy(info, use.data, use.len);
    assert_int_equal(EVP_KDF_derive(context, derived, sizeof(derived), parameters), 1);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, derived, sizeof(derived),
                              (const uint8_t *)message.data, message.len, mac, SHA256_LEN, &len));
    assert_int_equal(len, SHA256_LEN);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
}

static void a_mac_is_what_openssl_makes_of_the_sealing_key(void **state)
{
    static const char *const uses[] = { "", "refresh",
                                        "0123456789012345678901234567890"
                                        "1" };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(uses); i++) {
        uint8_t mac[SHA256_LEN];
        uint8_t expected[SHA256_LEN];

        keys_mac(fixture->keys, str_from(uses[i]), STR("a message"), mac);
        mac_by_openssl(fixture->folder, str_from(uses[i]), STR("a message"), expected);
        assert_memory_equal(mac, expected, SHA256_LEN);
    }
}

static void macs_of_two_uses_messages_or_folders_differ(void **state)
{
    struct fixture *fixture = *state;
    char *folder = temporary_folder();
    struct keys *other = keys_of(folder, KEY_ES256, TEST_START_S);
    uint8_t macs[4][SHA256_LEN];

    keys_mac(fixture->keys, STR("a"), STR("message"), macs[0]);
    keys_mac(fixture->keys, STR("b"), STR("message"), macs[1]);
    keys_mac(fixture->keys, STR("a"), STR("another"), macs[2]);
    keys_mac(other, STR("a"), STR("message"), macs[3]);
    for (size_t i = 0; i < COUNT(macs); i++)
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(macs[i], macs[k], SHA256_LEN);
    keys_close(other);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_sealed_opens_with_the_same_context, start, stop),
        cmocka_unit_test_setup_teardown(nothing_can_be_sealed_too, start, stop),
        cmocka_unit_test_setup_teardown(the_same_text_is_never_sealed_alike, start, stop),
        cmocka_unit_test_setup_teardown(another_context_does_not_open_it, start, stop),
        cmocka_unit_test_setup_teardown(any_changed_bit_is_noticed, start, stop),
        cmocka_unit_test_setup_teardown(any_missing_byte_is_noticed, start, stop),
        cmocka_unit_test_setup_teardown(as_much_as_the_limit_is_sealed_and_no_more, start, stop),
        cmocka_unit_test_setup_teardown(it_opens_after_a_restart_and_with_no_other_key, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_sealing_key_of_another_length_or_mode_is_refused, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_mac_is_what_openssl_makes_of_the_sealing_key, start,
                                        stop),
        cmocka_unit_test_setup_teardown(macs_of_two_uses_messages_or_folders_differ, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
