/* What git asks a credential helper, and what it is answered. */
#include "base/arena.h"
#include "base/error.h"
#include "clients/answer.h"
#include "clients/git_format.h"
#include "help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static const struct credential github = {
    .type = CREDENTIAL_GITHUB,
    .token = { "ghs_a", 5 },
    .host = { "github.com", 10 },
    .expires_s = 1767226500,
};
static const struct credential gitlab = {
    .type = CREDENTIAL_GITLAB,
    .token = { "glpat-a", 7 },
    .user = { "oauth2", 6 },
    .host = { "gitlab.example", 14 },
    .expires_s = 1767226501,
};
static const struct credential postgres = {
    .type = CREDENTIAL_POSTGRES,
    .password = { "secret", 6 },
    .host = { "github.com", 10 },
};

static void the_host_is_read(void **state)
{
    static const char *const questions[] = {
        "protocol=https\nhost=github.com\n\n",
        "host=github.com\nprotocol=https",
        "capability[]=authtype\nprotocol=https\nhost=github.com\npath=a=b\nwwwauth[]=Basic "
        "realm=\"x\"\n",
        "no sense\nprotocol=https\nhost=elsewhere.example\nhost=github.com\n",
    };
    struct error error = { 0 };
    struct str host;

    (void)state;
    for (size_t i = 0; i < COUNT(questions); i++) {
        assert_true(git_format_read(str_from(questions[i]), &host, &error));
        assert_str(host, "github.com");
    }
}

static void what_is_not_for_tls_or_no_host_is_refused(void **state)
{
    static const char *const questions[] = {
        "",
        "\n",
        "host=github.com\n",
        "protocol=http\nhost=github.com\n",
        "protocol=https\nhost=github.com\nprotocol=ssh\n",
        "protocol=HTTPS\nhost=github.com\n",
        "protocol=https\n",
        "protocol=https\nhost=\n",
        "protocol=https\nhost\n",
    };
    struct str host;

    (void)state;
    for (size_t i = 0; i < COUNT(questions); i++) {
        struct error error = { 0 };

        if (git_format_read(str_from(questions[i]), &host, &error))
            fail_msg("taken: %s", questions[i]);
        assert_int_equal(error.code, ERROR_USAGE);
    }
}

static void the_grant_of_the_host_answers(void **state)
{
    const struct answer answer = { .credentials = { postgres, gitlab, github },
                                   .credential_count = 3 };
    struct error error = { 0 };
    struct str text;

    (void)state;
    assert_true(git_format_write(&answer, STR("github.com"), arena, &text, &error));
    assert_str(text, "username=x-access-token\npassword=ghs_a\n"
                     "password_expiry_utc=1767226500\n");
    assert_true(git_format_write(&answer, STR("GitLab.Example"), arena, &text, &error));
    assert_str(text, "username=oauth2\npassword=glpat-a\n"
                     "password_expiry_utc=1767226501\n");
}

static void none_and_several_are_refused(void **state)
{
    const struct answer answer = { .credentials = { github, github, gitlab, postgres },
                                   .credential_count = 4 };
    static const char *const hosts[] = { "github.com", "elsewhere.example",
                                         "github.com.evil.example", "github.co", "" };
    struct str text;

    (void)state;
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct error error = { 0 };

        assert_false(git_format_write(&answer, str_from(hosts[i]), arena, &text, &error));
        assert_int_equal(error.code, ERROR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_host_is_read),
        cmocka_unit_test(what_is_not_for_tls_or_no_host_is_refused),
        cmocka_unit_test(the_grant_of_the_host_answers),
        cmocka_unit_test(none_and_several_are_refused),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
