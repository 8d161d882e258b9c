#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
