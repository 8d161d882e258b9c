#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/glob.h"
#include "tests/test.h"

static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new((size_t)64 * 1024 * 1024);
    return arena == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static struct glob compile(struct str text)
{
    const char *problem = NULL;
    struct glob glob;

    if (!glob_compile(text, arena, &glob, &problem))
        fail_msg("%.*s: %s", STR_ARG(text), problem == NULL ? "no memory" : problem);
    return glob;
}

static bool matches(const char *pattern, const char *value)
{
    struct glob glob = compile(str_from(pattern));

    return glob_match(&glob, str_from(value));
}

static void a_pattern_covers_the_whole_value(void **state)
{
    (void)state;
    assert_true(matches("main", "main"));
    assert_false(matches("main", "mainx"));
    assert_false(matches("main", "xmain"));
    assert_false(matches("main", ""));
    assert_true(matches("a*c", "abc"));
    assert_false(matches("a*c", "abcd"));
    assert_false(matches("*b", "abc"));
}

static void a_star_stays_between_separators(void **state)
{
    (void)state;
    assert_true(matches("refs/heads/*", "refs/heads/main"));
    assert_true(matches("refs/heads/*", "refs/heads/"));
    assert_false(matches("refs/heads/*", "refs/heads/a/b"));
    assert_false(matches("repo:*", "repo:a:b"));
    assert_false(matches("a*", "ab@c"));
    assert_true(matches("refs/*/x", "refs/heads/x"));
    assert_false(matches("refs/*/x", "refs/heads/y/x"));
}

static void two_stars_cross_all_but_an_at(void **state)
{
    (void)state;
    assert_true(matches("refs/heads/**", "refs/heads/a/b:c"));
    assert_false(matches("acme/**", "acme/ci.yml@refs/heads/main"));
    assert_true(matches("acme/**@refs/heads/main", "acme/a/b.yml@refs/heads/main"));
    assert_false(matches("acme/**@refs/heads/main", "acme/a@refs/heads/main@refs/heads/main"));
    assert_true(matches("**x*y", "x/xy"));
    assert_true(matches("**/deploy-*/**", "a/b/deploy-x/c"));
}

static void bytes_are_themselves(void **state)
{
    (void)state;
    assert_true(matches("a.b+[c]?*", "a.b+[c]?d"));
    assert_false(matches("a.b*", "axb"));
    assert_false(matches("Main*", "main"));
    assert_true(matches("gr\xc3\xbc*", "gr\xc3\xbcn"));
}

static void what_cannot_be_a_pattern_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *pattern;
        const char *reason;
    } cases[] = {
        { "", "empty" },        { "a***b", "touch" },   { "a**{x}", "touch" },
        { "{x}{y}", "touch" },  { "{x}*", "touch" },    { "{x", "no '}'" },
        { "x}", "without" },    { "{}", "name in" },    { "{X}", "name in" },
        { "{a b}", "name in" }, { "{x}-{x}", "twice" }, { "a${x}", "grants only" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *problem = NULL;
        struct glob glob;

        assert_false(glob_compile(str_from(cases[i].pattern), arena, &glob, &problem));
        assert_non_null(problem);
        assert_non_null(strstr(problem, cases[i].reason));
    }
}

static void a_pattern_has_at_most_256_bytes(void **state)
{
    char text[GLOB_LEN_MAX + 2];
    const char *problem = NULL;
    struct glob glob;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_true(glob_compile((struct str){ text, GLOB_LEN_MAX }, arena, &glob, &problem));
    assert_true(glob_match(&glob, (struct str){ text, GLOB_LEN_MAX }));
    assert_false(glob_compile((struct str){ text, GLOB_LEN_MAX + 1 }, arena, &glob, &problem));
}

static void a_pattern_remembers_at_most_8_names(void **state)
{
    const char *problem = NULL;
    struct glob glob;

    (void)state;
    assert_true(glob_compile(STR("{a}.{b}.{c}.{d}.{e}.{f}.{g}.{h}"), arena, &glob, &problem));
    assert_int_equal(glob.name_count, 8);
    assert_false(glob_compile(STR("{a}.{b}.{c}.{d}.{e}.{f}.{g}.{h}.{i}"), arena, &glob, &problem));
}

static void a_name_has_at_most_40_characters(void **state)
{
    const char *problem = NULL;
    struct glob glob;

    (void)state;
    assert_true(
        glob_compile(STR("{abcdefghijklmnopqrstuvwxyz0123456789_-ab}"), arena, &glob, &problem));
    assert_false(
        glob_compile(STR("{abcdefghijklmnopqrstuvwxyz0123456789_-abc}"), arena, &glob, &problem));
}

static void a_value_has_at_most_16_kib(void **state)
{
    static char value[GLOB_VALUE_MAX + 1];
    struct glob glob = compile(STR("**"));

    (void)state;
    memset(value, 'a', sizeof(value));
    assert_true(glob_match(&glob, (struct str){ value, GLOB_VALUE_MAX }));
    assert_false(glob_match(&glob, (struct str){ value, GLOB_VALUE_MAX + 1 }));
}

static void names_are_remembered(void **state)
{
    static const struct {
        const char *pattern;
        const char *value;
        const char *first;
        const char *second;
    } cases[] = {
        { "refs/pull/{pr}/merge", "refs/pull/17/merge", "17", "" },
        { "{name}", "x", "x", "" },
        { "{a}-{b}", "x-y-z", "x", "y-z" },
        { "{a}/{b}", "x/y", "x", "y" },
        { "**/{a}", "x/y/z", "z", "" },
        { "a{a}", "a", "", "" },
        { "**-{a}.{b}", "x-y/z-1.2.3", "1", "2.3" },
        { "{a}@{b}", "x@y", "x", "y" },
    };
    struct str captures[GLOB_CAPTURES_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct glob glob;

        glob = compile(str_from(cases[i].pattern));
        assert_true(glob_capture(&glob, str_from(cases[i].value), captures));
        assert_true(str_eq(captures[0], str_from(cases[i].first)));
        if (glob.name_count > 1)
            assert_true(str_eq(captures[1], str_from(cases[i].second)));
    }
}

static void nothing_is_remembered_of_a_value_that_does_not_fit(void **state)
{
    struct glob glob = compile(STR("refs/pull/{pr}/merge"));
    struct str captures[GLOB_CAPTURES_MAX];

    (void)state;
    assert_false(glob_capture(&glob, STR("refs/pull/17/head"), captures));
    assert_false(glob_capture(&glob, STR("refs/pull/1/7/merge"), captures));
    assert_false(glob_capture(&glob, STR(""), captures));
}

/* The definition, read aloud: no cleverness. */
static bool naive(const char *pattern, const char *value)
{
    bool crosses = strncmp(pattern, "**", 2) == 0;
    const char *behind = pattern + (crosses ? 2 : 1);

    if (*pattern == '\0')
        return *value == '\0';
    if (*pattern == '{')
        behind = strchr(pattern, '}') + 1;
    else if (*pattern != '*')
        return *pattern == *value && naive(pattern + 1, value + 1);
    for (;; value++) {
        if (naive(behind, value))
            return true;
        if (*value == '\0' || *value == '@' || (!crosses && (*value == '/' || *value == ':')))
            return false;
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525U + 1013904223U;
    return *seed >> 16;
}

/* A random text of pieces, at most `max` of them. */
static void make_text(uint32_t *seed, const char *const *pieces, size_t count, size_t max,
                      char *out, size_t out_size)
{
    size_t len = next_random(seed) % (max + 1);

    out[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        size_t used = strlen(out);

        (void)snprintf(out + used, out_size - used, "%s", pieces[next_random(seed) % count]);
    }
}

static void random_patterns_match_as_the_definition_says(void **state)
{
    static const char *const pattern_pieces[] = { "a", "b", "/", ":", "@", "*", "**", "{x}", "a" };
    static const char *const value_pieces[] = { "a", "b", "a", "/", ":", "@" };
    struct str captures[GLOB_CAPTURES_MAX];
    uint32_t seed = 20261122;
    size_t fitting = 0;

    (void)state;
    for (size_t i = 0; i < 60000; i++) {
        char pattern[64];
        char value[64];
        const char *problem = NULL;
        struct glob glob;
        bool expected;

        make_text(&seed, pattern_pieces, COUNT(pattern_pieces), 7, pattern, sizeof(pattern));
        make_text(&seed, value_pieces, COUNT(value_pieces), 8, value, sizeof(value));
        if (!glob_compile(str_from(pattern), arena, &glob, &problem))
            continue;
        expected = naive(pattern, value);
        if (glob_match(&glob, str_from(value)) != expected ||
            glob_capture(&glob, str_from(value), captures) != expected)
            fail_msg("pattern '%s' value '%s'", pattern, value);
        fitting += expected;
    }
    assert_true(fitting > 1000);
}

/* ---- walking and filling ---- */

static bool walks(const struct glob *glob, struct str value)
{
    struct glob_places places[2];
    size_t now = 0;

    glob_walk_start(glob, &places[now]);
    for (size_t i = 0; i < value.len; i++) {
        if (!glob_walk_step(glob, &places[now], (uint8_t)value.data[i], &places[1 - now]))
            return false;
        now = 1 - now;
    }
    return glob_walk_is_end(glob, &places[now]);
}

/* All bytes that are not marked lead to one place, separators aside. */
static void check_marks(const struct glob *glob, struct str value)
{
    struct glob_places places[2];
    struct glob_places first = { 0 };
    struct glob_places other;
    uint64_t marks[4] = { 0 };
    bool has_first = false;
    size_t now = 0;

    glob_walk_start(glob, &places[now]);
    for (size_t i = 0; i < value.len; i++, now = 1 - now)
        if (!glob_walk_step(glob, &places[now], (uint8_t)value.data[i], &places[1 - now]))
            return;
    glob_walk_mark(glob, &places[now], marks);
    for (unsigned byte = 0; byte < 256; byte++) {
        if ((marks[byte / 64] >> (byte % 64) & 1) != 0 || byte == '/' || byte == ':' || byte == '@')
            continue;
        if (!glob_walk_step(glob, &places[now], (uint8_t)byte, &other))
            assert_memory_equal(&other, &(struct glob_places){ 0 }, sizeof(other));
        if (has_first)
            assert_memory_equal(&other, &first, sizeof(other));
        first = other;
        has_first = true;
    }
}

static void walking_a_pattern_byte_by_byte_matches(void **state)
{
    static const char *const pattern_pieces[] = { "a", "b", "/", ":", "@", "*", "**", "{x}", "a" };
    static const char *const value_pieces[] = { "a", "b", "a", "/", ":", "@" };
    uint32_t seed = 4242;

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        char pattern[64];
        char value[64];
        const char *problem = NULL;
        struct glob glob;

        make_text(&seed, pattern_pieces, COUNT(pattern_pieces), 7, pattern, sizeof(pattern));
        make_text(&seed, value_pieces, COUNT(value_pieces), 8, value, sizeof(value));
        if (!glob_compile(str_from(pattern), arena, &glob, &problem))
            continue;
        if (walks(&glob, str_from(value)) != glob_match(&glob, str_from(value)))
            fail_msg("pattern '%s' value '%s'", pattern, value);
        if (i % 20 == 0)
            check_marks(&glob, str_from(value));
    }
}

static void a_pattern_of_256_bytes_is_walked_to_its_end(void **state)
{
    char text[256];
    struct glob glob;

    (void)state;
    memset(text, 'a', sizeof(text));
    glob = compile((struct str){ text, sizeof(text) });
    assert_true(walks(&glob, (struct str){ text, 256 }));
    assert_false(walks(&glob, (struct str){ text, 255 }));
    text[255] = '*';
    glob = compile((struct str){ text, sizeof(text) });
    assert_true(walks(&glob, (struct str){ text, 255 }));
    assert_true(walks(&glob, (struct str){ text, 256 }));
    assert_false(walks(&glob, (struct str){ text, 254 }));
}

static void a_pattern_is_filled_where_there_is_room(void **state)
{
    struct glob glob = compile(STR("refs/*/{pr}/**"));
    char out[64];

    (void)state;
    assert_int_equal(glob_fill(&glob, STR("x"), STR("17"), out, sizeof(out)), 11);
    assert_memory_equal(out, "refs/x/17/x", 11);
    assert_int_equal(glob_fill(&glob, STR(""), STR(""), out, sizeof(out)), 7);
    assert_int_equal(glob_fill(&glob, STR("x"), STR("17"), out, 11), 11);
    assert_int_equal(glob_fill(&glob, STR("x"), STR("17"), out, 10), 0);
}

static void what_is_remembered_put_back_gives_the_value(void **state)
{
    static const char *const value_pieces[] = { "a", "b", "-", "a" };
    struct glob glob = compile(STR("{x}-{y}a{z}"));
    struct str captures[GLOB_CAPTURES_MAX];
    uint32_t seed = 7;
    size_t fitting = 0;

    (void)state;
    for (size_t i = 0; i < 5000; i++) {
        char value[64];
        char again[128];

        make_text(&seed, value_pieces, COUNT(value_pieces), 10, value, sizeof(value));
        if (!glob_capture(&glob, str_from(value), captures))
            continue;
        (void)snprintf(again, sizeof(again), STR_FMT "-" STR_FMT "a" STR_FMT, STR_ARG(captures[0]),
                       STR_ARG(captures[1]), STR_ARG(captures[2]));
        assert_string_equal(again, value);
        assert_int_equal(str_find(captures[0], '-'), captures[0].len); /* shortest first */
        assert_int_equal(str_find(captures[1], 'a'), captures[1].len);
        fitting++;
    }
    assert_true(fitting > 500);
}

/* Backtracking would take longer than the universe has. */
static void a_hostile_value_costs_no_more_than_its_length(void **state)
{
    static char value[GLOB_VALUE_MAX];
    struct glob glob = compile(STR("**a*a**a*a**a*a**a*a**a*a**a*a**a*a**a*a**b"));

    (void)state;
    memset(value, 'a', sizeof(value));
    assert_false(glob_match(&glob, (struct str){ value, sizeof(value) }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_covers_the_whole_value),
        cmocka_unit_test(a_star_stays_between_separators),
        cmocka_unit_test(two_stars_cross_all_but_an_at),
        cmocka_unit_test(bytes_are_themselves),
        cmocka_unit_test(what_cannot_be_a_pattern_is_refused_with_a_reason),
        cmocka_unit_test(a_pattern_has_at_most_256_bytes),
        cmocka_unit_test(a_pattern_remembers_at_most_8_names),
        cmocka_unit_test(a_name_has_at_most_40_characters),
        cmocka_unit_test(a_value_has_at_most_16_kib),
        cmocka_unit_test(names_are_remembered),
        cmocka_unit_test(nothing_is_remembered_of_a_value_that_does_not_fit),
        cmocka_unit_test(random_patterns_match_as_the_definition_says),
        cmocka_unit_test(walking_a_pattern_byte_by_byte_matches),
        cmocka_unit_test(a_pattern_of_256_bytes_is_walked_to_its_end),
        cmocka_unit_test(a_pattern_is_filled_where_there_is_room),
        cmocka_unit_test(what_is_remembered_put_back_gives_the_value),
        cmocka_unit_test(a_hostile_value_costs_no_more_than_its_length),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
