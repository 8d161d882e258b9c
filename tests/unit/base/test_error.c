#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "base/error.h"
#include "tests/test.h"

static bool is_sentence(const char *sentence)
{
    for (; *sentence != '\0'; sentence++) {
        if (*sentence < 0x20 || *sentence > 0x7e || *sentence == '"' || *sentence == '\\')
            return false;
    }
    return true;
}

static void every_code_has_a_row_without_gaps(void **state)
{
    (void)state;
    for (enum error_code code = ERROR_NONE; code < ERROR_CODE_COUNT; code++) {
        const struct error_kind *kind = error_kind(code);

        assert_int_equal(kind->code, code);
        assert_non_null(kind->name);
        assert_non_null(kind->sentence);
        assert_true(kind->name[0] != '\0' && kind->sentence[0] != '\0');
        assert_true(str_is_made_of(str_from(kind->name), "abcdefghijklmnopqrstuvwxyz_"));
        assert_true(is_sentence(kind->sentence));
        assert_true(strlen(kind->sentence) < sizeof(((struct error *)0)->message));
        assert_true(kind->http_status != 500);
        assert_true(kind->http_status >= 200 && kind->http_status <= 503);
        assert_int_equal(kind->exit_code == 0, code == ERROR_NONE);
    }
}

static void no_two_codes_share_a_name(void **state)
{
    (void)state;
    for (enum error_code a = ERROR_NONE; a < ERROR_CODE_COUNT; a++) {
        for (enum error_code b = a + 1; b < ERROR_CODE_COUNT; b++)
            assert_string_not_equal(error_kind(a)->name, error_kind(b)->name);
    }
}

static void the_oauth_answers_are_those_of_the_contract(void **state)
{
    static const struct {
        enum error_code code;
        const char *oauth_error;
        const char *reason;
        int http_status;
        int exit_code;
    } cases[] = {
        { ERROR_MEMORY, "temporarily_unavailable", NULL, 503, 1 },
        { ERROR_REQUEST, "invalid_request", NULL, 400, 1 },
        { ERROR_GRANT_TYPE, "unsupported_grant_type", NULL, 400, 1 },
        { ERROR_TOKEN, "invalid_request", NULL, 400, 3 },
        { ERROR_TOKEN_USED, "invalid_request", "token_used", 400, 3 },
        { ERROR_TOKEN_EXPIRED, "invalid_request", "token_expired", 400, 3 },
        { ERROR_TOKEN_TOO_OLD, "invalid_request", "token_too_old", 400, 3 },
        { ERROR_TOKEN_AUDIENCE, "invalid_request", "wrong_audience", 400, 3 },
        { ERROR_DPOP, "invalid_dpop_proof", NULL, 400, 3 },
        { ERROR_DPOP_NONCE, "use_dpop_nonce", NULL, 400, 3 },
        { ERROR_STAGE, "invalid_request", NULL, 400, 3 },
        { ERROR_CONDITION, "access_denied", NULL, 403, 3 },
        { ERROR_GUARDRAIL, "access_denied", NULL, 403, 3 },
        { ERROR_SCOPE, "invalid_scope", NULL, 400, 3 },
        { ERROR_TARGET, "invalid_target", NULL, 400, 3 },
        { ERROR_DETAILS, "invalid_authorization_details", NULL, 400, 3 },
        { ERROR_BUSY, "temporarily_unavailable", NULL, 429, 7 },
        { ERROR_KEYS_UNAVAILABLE, "temporarily_unavailable", NULL, 503, 7 },
        { ERROR_LEDGER, "temporarily_unavailable", NULL, 503, 7 },
        { ERROR_INDEX, "temporarily_unavailable", NULL, 503, 7 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct error_kind *kind = error_kind(cases[i].code);

        assert_string_equal(kind->oauth_error, cases[i].oauth_error);
        if (cases[i].reason == NULL)
            assert_null(kind->reason);
        else
            assert_string_equal(kind->reason, cases[i].reason);
        assert_int_equal(kind->http_status, cases[i].http_status);
        assert_int_equal(kind->exit_code, cases[i].exit_code);
    }
}

static void a_stranger_cannot_tell_a_missing_pipeline_from_a_failed_condition(void **state)
{
    const struct error_kind *stranger = error_kind(ERROR_NO_PIPELINE);
    const struct error_kind *known = error_kind(ERROR_CONDITION);

    (void)state;
    assert_string_equal(stranger->oauth_error, known->oauth_error);
    assert_string_equal(stranger->sentence, known->sentence);
    assert_int_equal(stranger->http_status, known->http_status);
    assert_null(stranger->reason);
    assert_null(known->reason);
}

static void the_clients_codes_exit_as_documented(void **state)
{
    (void)state;
    assert_int_equal(error_kind(ERROR_IO)->exit_code, 1);
    assert_int_equal(error_kind(ERROR_USAGE)->exit_code, 2);
    assert_int_equal(error_kind(ERROR_CONFIG)->exit_code, 2);
    assert_int_equal(error_kind(ERROR_REFUSED)->exit_code, 3);
    assert_int_equal(error_kind(ERROR_UNREACHABLE)->exit_code, 5);
    assert_int_equal(error_kind(ERROR_FOUND)->exit_code, 6);
    assert_int_equal(error_kind(ERROR_LATER)->exit_code, 7);
}

static void setting_fills_code_sentence_and_cause(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_false(error_set(&error, ERROR_TOKEN_EXPIRED, "expired %d s ago", 5));
    assert_int_equal(error.code, ERROR_TOKEN_EXPIRED);
    assert_string_equal(error.message, "the subject token has expired");
    assert_string_equal(error.cause, "expired 5 s ago");
}

static void the_first_failure_stays(void **state)
{
    struct error error = { 0 };

    (void)state;
    (void)error_set(&error, ERROR_SYNTAX, "first");
    errno = ENOENT;
    assert_false(error_set(&error, ERROR_IO, "second"));
    assert_false(error_set_errno(&error, "third"));
    assert_false(error_set_openssl(&error, "fourth"));
    assert_int_equal(error.code, ERROR_SYNTAX);
    assert_string_equal(error.cause, "first");
}

static void a_long_cause_is_cut_at_its_limit(void **state)
{
    struct error error = { 0 };

    (void)state;
    (void)error_set(&error, ERROR_SYNTAX, "%0255d", 1);
    assert_int_equal(strlen(error.cause), 255);
    error = (struct error){ 0 };
    (void)error_set(&error, ERROR_SYNTAX, "%0256d", 1);
    assert_int_equal(strlen(error.cause), 255);
}

static void a_cut_cause_stays_utf8(void **state)
{
    static const char *const tails[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\x91" };

    (void)state;
    for (size_t i = 0; i < COUNT(tails); i++) {
        for (int pad = 250; pad < 257; pad++) {
            struct error error = { 0 };

            (void)error_set(&error, ERROR_SYNTAX, "\xc3\xa4%0*d%s", pad - 2, 0, tails[i]);
            assert_true(str_is_utf8(str_from(error.cause)));
            assert_true(str_starts_with(str_from(error.cause), STR("\xc3\xa4")));
            assert_true(strlen(error.cause) >= 250);
        }
    }
}

static void control_characters_and_bad_utf8_become_question_marks(void **state)
{
    struct error error = { 0 };

    (void)state;
    (void)error_set(&error, ERROR_SYNTAX, "a\nb\x1b[31m\x7f");
    assert_string_equal(error.cause, "a?b?[31m?");
    error = (struct error){ 0 };
    (void)error_set(&error, ERROR_SYNTAX, "a\xff\xc3");
    assert_string_equal(error.cause, "a??");
    error = (struct error){ 0 };
    (void)error_set(&error, ERROR_SYNTAX, "\xc3\xa9");
    assert_string_equal(error.cause, "\xc3\xa9");
}

static void wrapping_puts_words_in_front(void **state)
{
    struct error error = { 0 };

    (void)state;
    (void)error_set(&error, ERROR_SYNTAX, "no colon");
    assert_false(error_wrap(&error, "pipeline %s", "acme\n"));
    assert_string_equal(error.cause, "pipeline acme?: no colon");
    assert_int_equal(error.code, ERROR_SYNTAX);
    for (size_t i = 0; i < 40; i++)
        (void)error_wrap(&error, "%0200d", 7);
    assert_int_equal(strlen(error.cause), 255);
}

static void telling_more_is_limited_to_what_a_description_may_hold(void **state)
{
    struct error error = { 0 };

    (void)state;
    (void)error_set(&error, ERROR_CONDITION, "cause");
    error_tell(&error, "ref \"main\" \\ \xc3\xa9 \n %s", "must be main");
    assert_string_equal(error.message, "ref ?main? ? ?? ? must be main");
    assert_string_equal(error.cause, "cause");
    error_tell(&error, "%0200d", 7);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
}

static void a_system_error_is_told_in_words(void **state)
{
    struct error error = { 0 };

    (void)state;
    errno = ENOENT;
    assert_false(error_set_errno(&error, "%s: cannot open", "x.yaml"));
    assert_int_equal(error.code, ERROR_IO);
    assert_string_equal(error.cause, "x.yaml: cannot open: No such file or directory");
}

static void an_openssl_error_is_told_and_its_queue_emptied(void **state)
{
    struct error error = { 0 };

    (void)state;
    ERR_clear_error();
    assert_null(EVP_MD_fetch(NULL, "no-such-digest", NULL));
    assert_false(error_set_openssl(&error, "cannot fetch"));
    assert_int_equal(error.code, ERROR_CRYPTO);
    assert_string_equal(error.cause, "cannot fetch: unsupported");
    assert_int_equal(ERR_peek_error(), 0);
}

static void an_openssl_failure_without_a_reason_still_has_a_cause(void **state)
{
    struct error error = { 0 };

    (void)state;
    ERR_clear_error();
    assert_false(error_set_openssl(&error, "cannot sign"));
    assert_string_equal(error.cause, "cannot sign: no reason given");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_row_without_gaps),
        cmocka_unit_test(no_two_codes_share_a_name),
        cmocka_unit_test(the_oauth_answers_are_those_of_the_contract),
        cmocka_unit_test(a_stranger_cannot_tell_a_missing_pipeline_from_a_failed_condition),
        cmocka_unit_test(the_clients_codes_exit_as_documented),
        cmocka_unit_test(setting_fills_code_sentence_and_cause),
        cmocka_unit_test(the_first_failure_stays),
        cmocka_unit_test(a_long_cause_is_cut_at_its_limit),
        cmocka_unit_test(a_cut_cause_stays_utf8),
        cmocka_unit_test(control_characters_and_bad_utf8_become_question_marks),
        cmocka_unit_test(wrapping_puts_words_in_front),
        cmocka_unit_test(telling_more_is_limited_to_what_a_description_may_hold),
        cmocka_unit_test(a_system_error_is_told_in_words),
        cmocka_unit_test(an_openssl_error_is_told_and_its_queue_emptied),
        cmocka_unit_test(an_openssl_failure_without_a_reason_still_has_a_cause),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
