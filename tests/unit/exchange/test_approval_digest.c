#include <string.h>

#include "base/error.h"
#include "exchange/approval_digest.h"
#include "tests/test.h"

static const uint8_t rule[SHA256_LEN] = { 1 };

static struct approval_subject subject_of(const char *commit)
{
    return (struct approval_subject){
        .stage = STR("acme/payments:deploy"),
        .commit = str_from(commit),
        .issuer = STR("ci"),
        .repository = STR("4242"),
        .run = STR("17"),
        .rule_sha256 = rule,
    };
}

static bool is_same(const struct approval_subject *one, const struct approval_subject *other)
{
    struct error error = { 0 };
    uint8_t left[SHA256_LEN];
    uint8_t right[SHA256_LEN];

    assert_true(approval_digest(one, left, &error));
    assert_true(approval_digest(other, right, &error));
    return memcmp(left, right, SHA256_LEN) == 0;
}

static void change(struct approval_subject *subject, size_t which)
{
    struct str *const parts[] = { &subject->issuer, &subject->repository, &subject->run };

    *parts[which] = STR("another");
}

static void a_run_is_its_issuers_and_repositorys(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct approval_subject one = subject_of("");
        struct approval_subject other = subject_of("");

        assert_true(is_same(&one, &other));
        change(&other, i);
        assert_false(is_same(&one, &other));
    }
}

static void a_commit_is_the_same_in_any_run(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct approval_subject one = subject_of("abcd");
        struct approval_subject other = subject_of("abcd");

        change(&other, i);
        assert_true(is_same(&one, &other));
        other.commit = STR("abce");
        assert_false(is_same(&one, &other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_is_its_issuers_and_repositorys),
        cmocka_unit_test(a_commit_is_the_same_in_any_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
