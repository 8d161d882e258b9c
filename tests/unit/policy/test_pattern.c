#include <stdio.h>
#include <string.h>

#include "base/macros.h"
#include "policy/pattern.h"
#include "tests/test.h"

static bool meets(const char *a, const char *b, enum policy_matching matching)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct pattern left;
    struct pattern right;
    const char *problem;
    bool is_met;

    if (!pattern_compile(str_from(a), matching, arena, &left, &problem) ||
        !pattern_compile(str_from(b), matching, arena, &right, &problem))
        fail_msg("%s, %s: %s", a, b, problem == NULL ? "no memory" : problem);
    is_met = pattern_meets(&left, &right);
    assert_int_equal(is_met, pattern_meets(&right, &left));
    return is_met;
}

struct pair {
    const char *a;
    const char *b;
    bool is_met;
};

static void check_pairs(const struct pair *pairs, size_t count, enum policy_matching matching)
{
    for (size_t i = 0; i < count; i++)
        if (meets(pairs[i].a, pairs[i].b, matching) != pairs[i].is_met)
            fail_msg("'%s' and '%s'", pairs[i].a, pairs[i].b);
}

static void actions_of_aws_meet_as_aws_reads_them(void **state)
{
    static const struct pair pairs[] = {
        { "iam:Create*", "iam:CreateRole", true },
        { "iam:Create*", "IAM:createrole", true },
        { "iam:Create*", "iam:*Role", true },
        { "iam:Create*", "iam:Crea*", true },
        { "iam:Create*", "*", true },
        { "iam:Create*", "i*", true },
        { "iam:PassRole", "iam:Pass????", true },
        { "iam:PassRole", "iam:PassRol?", true },
        { "kms:*", "kms:Decrypt", true },
        { "iam:Put*Policy", "iam:PutRolePolicy", true },
        { "iam:Put*Policy", "iam:PutPolicy", true },
        { "iam:Put*Policy", "iam:*Role*", true },
        { "*a*b*", "*b*a", true },
        { "?", "*", true },
        { "iam:Create*", "iam:CreatRole", false },
        { "iam:Create*", "s3:*", false },
        { "iam:PassRole", "iam:Pass???", false },
        { "iam:PassRole", "iam:Pass?????", false },
        { "iam:Put*Policy", "iam:PutRolePolicyX", false },
        { "iam:Put*Policy", "iam:Get*", false },
        { "sts:AssumeRole", "sts:AssumeRoleWithSAML", false },
        { "sts:AssumeRole", "sts:AssumeRol", false },
        { "a?c", "ac", false },
        { "kms:*", "kms", false },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs), POLICY_MATCHING_AWS);
}

static void globs_stay_between_their_separators(void **state)
{
    static const struct pair pairs[] = {
        { "kube-system/**", "kube-system/deployer", true },
        { "kube-system/**", "kube-system/a/b:c", true },
        { "*/admin", "kube-system/*", true },
        { "root", "root", true },
        { "r*t", "*oo*", true },
        { "a/**", "**/b", true },
        { "**", "a/b:c", true },
        { "root", "ROOT", false },
        { "root", "roo?", false },
        { "kube-*", "kube-system/deployer", false },
        { "*", "a/b", false },
        { "*", "a:b", false },
        { "*", "a@b", false },
        { "**", "a@b", true },
        { "kube-system/**", "kube-system/a@b", true },
        { "kube-system/**", "kube-public/*", false },
        { "*/x", "a/b/*", false },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs), POLICY_MATCHING_GLOB);
}

static void case_counts_where_the_kind_says_so(void **state)
{
    static const struct pair pairs[] = {
        { "teams/*/Admin", "teams/payments/admin", true },
        { "admin", "ADMIN", true },
        { "admi?", "admin", false },
        { "*", "A/B", false },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs), POLICY_MATCHING_GLOB_ANY_CASE);
}

static void a_hole_is_every_text_that_can_fill_it(void **state)
{
    static const struct pair pairs[] = {
        { "root", "${user}", true },
        { "root", "r${x}", true },
        { "pr-*", "pr-${pr}", true },
        { "pr-42", "pr-${pr}", true },
        { "a.b_c-D9", "${x}", true },
        { "kube-system/x", "${namespace}/${name}", true },
        { "${a}", "${b}", true },
        { "a-${x}-b", "a-${y}", true },
        { "root", "root${x}", false },
        { "root", "pr-${pr}", false },
        { "kube-system/x", "${all}", false },
        { "a b", "${x}", false },
        { "a/**", "b/${x}", false },
        { "a-${x}", "b-${x}", false },
    };

    (void)state;
    check_pairs(pairs, COUNT(pairs), POLICY_MATCHING_GLOB);
    assert_true(
        meets("arn:aws:iam::1:role/PR-7", "arn:aws:iam::1:role/pr-${pr}", POLICY_MATCHING_AWS));
    assert_false(meets("arn:aws:iam::1:role/a/b", "arn:aws:iam::1:role/${x}", POLICY_MATCHING_AWS));
}

static void a_hole_takes_64_bytes_and_no_more(void **state)
{
    char name[66];

    (void)state;
    memset(name, 'a', sizeof(name));
    name[64] = '\0';
    assert_true(meets(name, "${x}", POLICY_MATCHING_GLOB));
    name[64] = 'a';
    name[65] = '\0';
    assert_false(meets(name, "${x}", POLICY_MATCHING_GLOB));
    assert_true(meets(name, "${x}*", POLICY_MATCHING_GLOB));
}

static void one_character_is_all_of_its_bytes(void **state)
{
    (void)state;
    assert_true(meets("s3:?", "s3:\xc3\xa9", POLICY_MATCHING_AWS));
    assert_true(meets("s3:?x", "s3:\xe2\x82\xacx", POLICY_MATCHING_AWS));
    assert_false(meets("s3:?x", "s3:abx", POLICY_MATCHING_AWS));
    assert_false(meets("s3:${x}", "s3:\xc3\xa9", POLICY_MATCHING_AWS));
}

static void a_pattern_has_1_to_2048_bytes(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    static char text[PATTERN_LEN_MAX + 1];
    struct pattern pattern;
    const char *problem;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_true(pattern_compile((struct str){ text, PATTERN_LEN_MAX }, POLICY_MATCHING_AWS, arena,
                                &pattern, &problem));
    assert_true(pattern_meets(&pattern, &pattern));
    assert_false(pattern_compile((struct str){ text, PATTERN_LEN_MAX + 1 }, POLICY_MATCHING_AWS,
                                 arena, &pattern, &problem));
    assert_string_equal(problem, "a pattern over names has at most 2048 bytes");
    assert_false(pattern_compile(STR(""), POLICY_MATCHING_AWS, arena, &pattern, &problem));
    assert_string_equal(problem, "an empty pattern fits nothing");
}

/* ---- against a model: all names up to a length are tried ---- */

#define ALPHABET "ab/@"
#define NAME_LEN_MAX 5
#define RUNS 3000

/* Whether a name fits, read off the definition. Patterns have no holes. */
static bool fits(const char *pattern, const char *name, enum policy_matching matching)
{
    bool is_aws = matching == POLICY_MATCHING_AWS;
    bool is_long = pattern[0] == '*' && pattern[1] == '*' && !is_aws;

    if (*pattern == '\0')
        return *name == '\0';
    if (*pattern == '*') {
        if (fits(pattern + (is_long ? 2 : 1), name, matching))
            return true;
        if (*name == '\0' || (!is_aws && !is_long && (*name == '/' || *name == '@')))
            return false;
        return fits(pattern, name + 1, matching);
    }
    if (*name == '\0' || (*pattern != *name && !(is_aws && *pattern == '?')))
        return false;
    return fits(pattern + 1, name + 1, matching);
}

/* The next name in order of length; false behind the last. */
static bool next_name(char name[NAME_LEN_MAX + 1])
{
    static const char alphabet[] = ALPHABET;
    size_t len = strlen(name);

    for (size_t i = 0; i < len; i++) {
        const char *at = strchr(alphabet, name[i]);

        if (at[1] != '\0') {
            name[i] = at[1];
            return true;
        }
        name[i] = alphabet[0];
    }
    if (len == NAME_LEN_MAX)
        return false;
    name[len] = alphabet[0];
    name[len + 1] = '\0';
    return true;
}

static bool have_a_name(const char *a, const char *b, enum policy_matching matching)
{
    char name[NAME_LEN_MAX + 1] = "";

    do {
        if (fits(a, name, matching) && fits(b, name, matching))
            return true;
    } while (next_name(name));
    return false;
}

static uint32_t seed = 20261122;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 16) % below;
}

/* At most three bytes that must be there and wildcards: a common name has at most six, five here.
 */
static void draw_pattern(char out[8], enum policy_matching matching)
{
    const char *pieces = matching == POLICY_MATCHING_AWS ? "ab/?*" : "ab/@*";
    size_t len = 1 + draw(4);
    size_t literals = 0;

    for (size_t i = 0; i < len; i++) {
        out[i] = pieces[draw(5)];
        literals += out[i] != '*';
        if (literals > 2)
            out[i] = '*';
    }
    out[len] = '\0';
}

static void random_patterns_meet_where_a_name_fits_both(void **state)
{
    size_t met_count = 0;

    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        enum policy_matching matching = i % 2 == 0 ? POLICY_MATCHING_AWS : POLICY_MATCHING_GLOB;
        bool expected;
        char a[8];
        char b[8];

        draw_pattern(a, matching);
        draw_pattern(b, matching);
        expected = have_a_name(a, b, matching);
        met_count += expected;
        if (meets(a, b, matching) != expected)
            fail_msg("'%s' and '%s' %s", a, b, expected ? "meet" : "do not meet");
    }
    assert_in_range(met_count, RUNS / 10, RUNS - RUNS / 10);
}

/* ---- covering ---- */

#define OTHERS_MAX 3

static bool is_covered(const char *text, const char *const *texts, size_t count,
                       enum policy_matching matching)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct pattern others[OTHERS_MAX];
    struct pattern pattern;
    const char *problem;

    assert_true(pattern_compile(str_from(text), matching, arena, &pattern, &problem));
    for (size_t i = 0; i < count; i++)
        assert_true(pattern_compile(str_from(texts[i]), matching, arena, &others[i], &problem));
    return pattern_is_covered(&pattern, others, count);
}

struct covering {
    const char *pattern;
    const char *others[OTHERS_MAX];
    bool is_covered;
};

static void check_coverings(const struct covering *rows, size_t count,
                            enum policy_matching matching)
{
    for (size_t i = 0; i < count; i++) {
        size_t others = 0;

        while (others < OTHERS_MAX && rows[i].others[others] != NULL)
            others++;
        if (is_covered(rows[i].pattern, rows[i].others, others, matching) != rows[i].is_covered)
            fail_msg("row %zu: '%s'", i, rows[i].pattern);
    }
}

static void a_pattern_is_covered_where_others_have_all_its_names(void **state)
{
    static const struct covering aws[] = {
        { "s3:PutObject", { "s3:PutObject" }, true },
        { "s3:PutObject", { "S3:putobject" }, true },
        { "s3:PutObject", { "s3:*" }, true },
        { "s3:Put*", { "s3:P*" }, true },
        { "s3:Get??", { "s3:Get*" }, true },
        { "*", { "**" }, true },
        { "a?", { "a*", "b*" }, true },
        { "a*", { "a", "a?*" }, true },
        { "s3:${x}", { "s3:*" }, true },
        { "${x}", { "${y}" }, true },
        { "s3:*", { "s3:PutObject" }, false },
        { "s3:*", { "s3:Get*", "s3:Put*" }, false },
        { "*", { "?*" }, false },
        { "a*", { "a", "a?" }, false },
        { "s3:PutObject", { "s3:GetObject" }, false },
        { "s3:PutObject", { NULL }, false },
        { "s3:${x}", { "s3:a*" }, false },
        { "s3:${x}", { "s3:${y}a" }, false },
        { "s3:*", { "s3:${x}" }, false },
    };
    static const struct covering globs[] = {
        { "a/b", { "a/*" }, true },
        { "a/*", { "a/**" }, true },
        { "*", { "**" }, true },
        { "a-${x}", { "a-*" }, true },
        { "${x}-${y}", { "*" }, true },
        { "a/**", { "a/*" }, false },
        { "a/${x}", { "a/b*", "a/c*" }, false },
        { "**", { "*", "*/*" }, false },
        { "a-*", { "a-${x}" }, false },
        { "root", { "ROOT" }, false },
    };

    (void)state;
    check_coverings(aws, COUNT(aws), POLICY_MATCHING_AWS);
    check_coverings(globs, COUNT(globs), POLICY_MATCHING_GLOB);
}

static void what_takes_too_long_counts_as_not_covered(void **state)
{
    static char long_text[PATTERN_LEN_MAX + 1];
    static char wild_text[PATTERN_LEN_MAX + 1];
    const char *others[] = { wild_text };

    (void)state;
    memset(long_text, 'a', PATTERN_LEN_MAX);
    memset(wild_text, '*', PATTERN_LEN_MAX);
    assert_true(is_covered(long_text, others, 1, POLICY_MATCHING_AWS));
    for (size_t i = 0; i < PATTERN_LEN_MAX; i++) {
        long_text[i] = "*?ab"[i % 4];
        wild_text[i] = "*ab?"[i % 4];
    }
    assert_false(is_covered(long_text, others, 1, POLICY_MATCHING_AWS));
}

static bool have_all_names(const char *pattern, const char *const *others, size_t count,
                           enum policy_matching matching)
{
    char name[NAME_LEN_MAX + 1] = "";

    do {
        bool is_had = !fits(pattern, name, matching);

        for (size_t i = 0; i < count && !is_had; i++)
            is_had = fits(others[i], name, matching);
        if (!is_had)
            return false;
    } while (next_name(name));
    return true;
}

static void random_patterns_are_covered_where_no_name_is_left(void **state)
{
    size_t covered_count = 0;

    (void)state;
    for (size_t i = 0; i < RUNS; i++) {
        enum policy_matching matching = i % 2 == 0 ? POLICY_MATCHING_AWS : POLICY_MATCHING_GLOB;
        char texts[OTHERS_MAX][8];
        const char *const others[] = { texts[0], texts[1], texts[2] };
        size_t count = draw(OTHERS_MAX + 1);
        char pattern[8];
        bool expected;

        draw_pattern(pattern, matching);
        for (size_t k = 0; k < count; k++)
            draw_pattern(texts[k], matching);
        expected = have_all_names(pattern, others, count, matching);
        covered_count += expected;
        if (is_covered(pattern, others, count, matching) != expected)
            fail_msg("'%s' by %zu: '%s' '%s' '%s' %d", pattern, count, texts[0], texts[1], texts[2],
                     expected);
    }
    assert_in_range(covered_count, RUNS / 10, RUNS - RUNS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_of_aws_meet_as_aws_reads_them),
        cmocka_unit_test(globs_stay_between_their_separators),
        cmocka_unit_test(case_counts_where_the_kind_says_so),
        cmocka_unit_test(a_hole_is_every_text_that_can_fill_it),
        cmocka_unit_test(a_hole_takes_64_bytes_and_no_more),
        cmocka_unit_test(one_character_is_all_of_its_bytes),
        cmocka_unit_test(a_pattern_has_1_to_2048_bytes),
        cmocka_unit_test(random_patterns_meet_where_a_name_fits_both),
        cmocka_unit_test(a_pattern_is_covered_where_others_have_all_its_names),
        cmocka_unit_test(what_takes_too_long_counts_as_not_covered),
        cmocka_unit_test(random_patterns_are_covered_where_no_name_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
