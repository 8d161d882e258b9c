#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/time_text.h"
#include "policy/prove_internal.h"
#include "random_policy.h"
#include "tests/test.h"

/*
 * Texts, times in texts and numbers, against models that try them all: what the prover says can be
 * must be one of them, and what it says cannot be must be none.
 */

static struct arena *arena;
static struct prover *prover;

static int set_up(void **state)
{
    (void)state;
    arena = arena_new((size_t)256 * 1024 * 1024);
    prover = arena == NULL ? NULL : prover_new(arena);
    return prover == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* ---- random conditions on one value ---- */

#define CONDITIONS_MAX 4
#define TESTS_MAX 3

/* Conditions, and what each must come to. */
struct problem {
    struct prove_variable variable;
    struct policy_test tests[CONDITIONS_MAX][TESTS_MAX];
    struct policy_condition conditions[CONDITIONS_MAX];
    struct prove_atom atoms[CONDITIONS_MAX];
    struct prove_demand demands[CONDITIONS_MAX];
    size_t count;
};

static const struct glob *random_glob(struct chance *chance, const char *const *pieces,
                                      size_t count)
{
    struct glob *glob = arena_alloc(arena, sizeof(*glob));
    const char *problem = NULL;
    char text[64];

    assert_non_null(glob);
    do {
        size_t len = 1 + chance_below(chance, 6);

        text[0] = '\0';
        for (size_t i = 0; i < len; i++) {
            size_t used = strlen(text);

            (void)snprintf(text + used, sizeof(text) - used, "%s",
                           pieces[chance_below(chance, count)]);
        }
    } while (!glob_compile(str_from(text), arena, glob, &problem));
    return glob;
}

/* Two or three of some sorted texts. */
static struct policy_values random_texts(struct chance *chance, const struct str *sorted,
                                         size_t count)
{
    size_t some = 2 + chance_below(chance, 2);

    return (struct policy_values){ .texts = sorted + chance_below(chance, count - some + 1),
                                   .count = some };
}

static void add_condition(struct problem *problem, enum policy_type type, size_t test_count,
                          enum prove_view view, unsigned allowed)
{
    size_t index = problem->count++;

    problem->conditions[index] = (struct policy_condition){ .type = type,
                                                            .tests = problem->tests[index],
                                                            .test_count = test_count };
    problem->atoms[index] = (struct prove_atom){ .variable = &problem->variable,
                                                 .condition = &problem->conditions[index],
                                                 .view = view,
                                                 .allowed = allowed };
    problem->demands[index] = (struct prove_demand){ &problem->atoms[index], PROVE_WHOLE, allowed };
}

static unsigned random_outcome(struct chance *chance)
{
    static const unsigned outcomes[] = { PROVE_HOLDS, PROVE_HOLDS, PROVE_FAILS,
                                         PROVE_FAILS | PROVE_CANNOT_SAY,
                                         PROVE_HOLDS | PROVE_CANNOT_SAY };

    return outcomes[chance_below(chance, COUNT(outcomes))];
}

static bool is_met(const struct problem *problem, const struct prove_value *value)
{
    const struct prove_demands demands = { problem->demands, problem->count };

    return prove_demands_allow(&demands, value);
}

static enum proof_answer find(const struct problem *problem, enum prove_kind kind,
                              struct prove_value *value)
{
    const struct prove_demands demands = { problem->demands, problem->count };
    enum proof_answer answer;

    prove_rewind(prover, (struct prove_mark){ NULL, 0 });
    prover->steps_left = PROVE_STEPS_MAX;
    answer = prove_single(prover, &demands, kind, value);
    assert_false(prover->is_out_of_memory);
    if (answer == PROOF_YES)
        assert_true(is_met(problem, value));
    return answer;
}

static void print_problem(const struct problem *problem)
{
    for (size_t i = 0; i < problem->count; i++)
        for (size_t k = 0; k < problem->conditions[i].test_count; k++) {
            const struct policy_test *test = &problem->tests[i][k];

            print_error("%u: %s%d %s\n", problem->atoms[i].allowed, test->is_negated ? "not " : "",
                        (int)test->operation,
                        test->operation == POLICY_LIKE ? test->glob->text.data : "");
        }
}

/* ---- texts ---- */

static const char letters[] = "ab/@:";
#define LEN_MAX 5

/* Whether some text of few letters meets a problem. */
static bool some_text_meets(const struct problem *problem)
{
    char text[LEN_MAX];
    size_t total = 1;

    for (size_t len = 1; len <= LEN_MAX; len++) {
        total *= sizeof(letters) - 1;
        for (size_t number = 0; number < total; number++) {
            struct prove_value value = { .kind = PROVE_TEXT, .text = { text, len } };
            size_t rest = number;

            for (size_t i = 0; i < len; i++, rest /= sizeof(letters) - 1)
                text[i] = letters[rest % (sizeof(letters) - 1)];
            if (is_met(problem, &value))
                return true;
        }
    }
    return false;
}

static const struct str sorted[] = {
    STR_INIT("a"), STR_INIT("a/b"), STR_INIT("aa"), STR_INIT("ab"),
    STR_INIT("b"), STR_INIT("b:a"), STR_INIT("b@"), STR_INIT("ba")
};

static void make_text_test(struct chance *chance, struct policy_test *test)
{
    static const char *const pieces[] = { "a", "b", "/", "@", ":", "*", "*", "**" };

    *test =
        (struct policy_test){ .operation = POLICY_LIKE, .is_negated = chance_once_in(chance, 3) };
    if (chance_once_in(chance, 5)) {
        test->operation = POLICY_ONE_OF;
        test->values = random_texts(chance, sorted, COUNT(sorted));
    } else {
        test->glob = random_glob(chance, pieces, COUNT(pieces));
    }
}

static void fill_texts(struct chance *chance, struct problem *problem)
{
    size_t count = 1 + chance_below(chance, CONDITIONS_MAX);

    *problem = (struct problem){ 0 };
    for (size_t i = 0; i < count; i++) {
        size_t test_count = 1 + chance_below(chance, TESTS_MAX);

        for (size_t k = 0; k < test_count; k++)
            make_text_test(chance, &problem->tests[i][k]);
        add_condition(problem, POLICY_TEXT, test_count, PROVE_PLAIN, random_outcome(chance));
    }
}

/* A kind of random problem, and how it is tried by hand. */
struct trial {
    enum prove_kind kind;
    void (*fill)(struct chance *chance, struct problem *problem);
    bool (*some_meets)(const struct problem *problem);
};

static void compare(const struct trial *trial, struct chance *chance, size_t counts[3])
{
    struct prove_value value;
    struct problem problem;
    enum proof_answer answer;

    trial->fill(chance, &problem);
    answer = find(&problem, trial->kind, &value);
    counts[answer]++;
    if (answer == PROOF_NO && trial->some_meets(&problem)) {
        print_problem(&problem);
        fail_msg("there is a value");
    }
}

/* Both answers come up, and no problem is left undecided. */
static void compare_all(const struct trial *trial, uint64_t seed, size_t rounds)
{
    struct chance chance = { seed };
    size_t counts[3] = { 0 };

    for (size_t i = 0; i < rounds; i++)
        compare(trial, &chance, counts);
    assert_true(counts[PROOF_NO] > rounds / 10);
    assert_true(counts[PROOF_YES] > rounds / 10);
    assert_int_equal(counts[PROOF_UNDECIDED], 0);
}

static void texts_are_found_where_there_are_any(void **state)
{
    static const struct trial trial = { PROVE_TEXT, fill_texts, some_text_meets };

    (void)state;
    compare_all(&trial, UINT64_C(4101842887655102017), random_rounds(600));
}

static void the_shortest_text_is_found_however_long_it_is(void **state)
{
    static const char *const patterns[] = { "*aaaaaaaaaaaaaaaaaaaaaaaaaaaa*", "*bbbbbbbbbbbbbbbb*",
                                            "*/c/*", "**cccccccccccc" };
    struct problem problem = { 0 };
    struct prove_value value;
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct glob *glob = arena_alloc(arena, sizeof(*glob));

        assert_true(glob_compile(str_from(patterns[i]), arena, glob, &why));
        problem.tests[i][0] = (struct policy_test){ .operation = POLICY_LIKE, .glob = glob };
        add_condition(&problem, POLICY_TEXT, 1, PROVE_PLAIN, PROVE_HOLDS);
    }
    /* the first two have no '/', the third has two */
    assert_int_equal(find(&problem, PROVE_TEXT, &value), PROOF_NO);
    problem.demands[2].allowed = PROVE_FAILS;
    assert_int_equal(find(&problem, PROVE_TEXT, &value), PROOF_YES);
    assert_int_equal(value.text.len, 28 + 16 + 12);
}

static void a_walk_that_takes_too_many_steps_proves_nothing(void **state)
{
    const struct prove_shape shape = { .kind = PROVE_SHAPE_TEXT };
    const char *const patterns[] = { "a*b", "*aaaa*" };
    struct problem problem = { 0 };
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct glob *glob = arena_alloc(arena, sizeof(*glob));

        assert_true(glob_compile(str_from(patterns[i]), arena, glob, &why));
        problem.tests[i][0] = (struct policy_test){ .operation = POLICY_LIKE, .glob = glob };
        add_condition(&problem, POLICY_TEXT, 1, PROVE_PLAIN, PROVE_HOLDS);
    }
    for (size_t steps = 0; steps < 40; steps++) {
        const struct prove_demands demands = { problem.demands, problem.count };
        struct prove_value value;
        enum proof_answer answer;

        prove_rewind(prover, (struct prove_mark){ NULL, 0 });
        prover->steps_left = steps;
        answer = prove_walk(prover, &demands, &shape, &value);
        assert_int_equal(answer, prover->steps_left == 0 ? PROOF_UNDECIDED : PROOF_YES);
    }
    assert_true(prover->steps_left > 0);
}

/* ---- what texts can be ---- */

static void no_example_has_what_a_token_cannot_carry(void **state)
{
    static const struct str bad[] = { STR_INIT("a\nb"), STR_INIT("a\x7f"), STR_INIT("a\xff") };
    const struct policy_values values = { .texts = bad, .count = COUNT(bad) };
    struct problem problem = { 0 };
    struct prove_value value;

    (void)state;
    problem.tests[0][0] = (struct policy_test){ .operation = POLICY_ONE_OF, .values = values };
    add_condition(&problem, POLICY_TEXT, 1, PROVE_PLAIN, PROVE_HOLDS);
    assert_int_equal(find(&problem, PROVE_TEXT, &value), PROOF_NO);
}

static void a_text_is_at_most_as_long_as_a_claim(void **state)
{
    static char text[1025];
    const struct str lengths[] = { { text, 1024 }, { text, 1025 } };
    struct prove_value value;

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < COUNT(lengths); i++) {
        struct problem problem = { 0 };

        problem.tests[0][0] =
            (struct policy_test){ .operation = POLICY_ONE_OF,
                                  .values = { .texts = &lengths[i], .count = 1 } };
        add_condition(&problem, POLICY_TEXT, 1, PROVE_PLAIN, PROVE_HOLDS);
        assert_int_equal(find(&problem, PROVE_TEXT, &value), i == 0 ? PROOF_YES : PROOF_NO);
        problem.variable.is_fact = true; /* is put together of several */
        assert_int_equal(find(&problem, PROVE_TEXT, &value), PROOF_YES);
    }
}

/* ---- the shapes ---- */

static bool has_shape(const struct prove_shape *shape, struct str text)
{
    uint32_t at = prove_shape_start(shape);

    for (size_t i = 0; i < text.len && at != PROVE_SHAPE_BAD; i++)
        at = prove_shape_step(shape, at, (uint8_t)text.data[i]);
    return at != PROVE_SHAPE_BAD && prove_shape_is_whole(shape, at, text.len);
}

static const struct prove_shape any_time = {
    .kind = PROVE_SHAPE_TIME,
    .first = STR_INIT("1970-01-01T00:00:00"),
    .last = STR_INIT("9999-12-31T23:59:59"),
};

static void compare_time(struct str text)
{
    int64_t time_ms;

    if (has_shape(&any_time, text) != time_text_parse(text, &time_ms))
        fail_msg("'" STR_FMT "'", STR_ARG(text));
}

static void each_date_of_the_calendar_has_the_shape_of_a_time(void **state)
{
    static const int years[] = { 1969, 1970, 1972, 1999, 2000, 2004, 2026, 2096,
                                 2100, 2200, 2400, 4000, 8100, 9996, 9999 };

    (void)state;
    for (size_t i = 0; i < COUNT(years); i++)
        for (int day = 0; day < 14 * 40; day++) {
            char text[32];
            int len = snprintf(text, sizeof(text), "%04d-%02d-%02d", years[i], day / 40, day % 40);

            compare_time((struct str){ text, (size_t)len });
        }
}

static void each_time_of_day_has_the_shape_of_a_time(void **state)
{
    static const char *const ends[] = { "Z", "", ".5Z", ".000Z", ".999Z", ".9999Z", ".99Z", "+" };
    char text[64];

    (void)state;
    for (int second = 0; second < 30 * 70 * 70; second++) {
        int len = snprintf(text, sizeof(text), "2024-02-29T%02d:%02d:%02dZ", second / 4900,
                           second / 70 % 70, second % 70);

        compare_time((struct str){ text, (size_t)len });
    }
    for (size_t i = 0; i < COUNT(ends); i++) {
        int len = snprintf(text, sizeof(text), "2024-02-29T23:59:59%s", ends[i]);

        compare_time((struct str){ text, (size_t)len });
    }
}

static void a_time_of_a_span_has_its_shape(void **state)
{
    static const struct prove_shape span = {
        .kind = PROVE_SHAPE_TIME,
        .first = STR_INIT("2026-01-31T12:00:00"),
        .last = STR_INIT("2026-03-01T11:59:59"),
    };
    static const struct {
        const char *text;
        bool has;
    } rows[] = {
        { "2026-01-31T12:00:00Z", true },
        { "2026-01-31T11:59:59Z", false },
        { "2026-01-31T11:59:59.999Z", false },
        { "2026-01-31T12:00:00.000Z", true },
        { "2026-02-28", true },
        { "2026-02-29", false },
        { "2026-03-01T11:59:59Z", true },
        { "2026-03-01T11:59:59.999Z", true },
        { "2026-03-01T12:00:00Z", false },
        { "2026-03-02", false },
        { "2025-12-31", false },
        { "2026-01-30T23:59:59Z", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (has_shape(&span, str_from(rows[i].text)) != rows[i].has)
            fail_msg("%s", rows[i].text);
}

static void any_text_is_utf8_without_control_characters(void **state)
{
    static const struct prove_shape shape = { .kind = PROVE_SHAPE_TEXT };

    (void)state;
    assert_false(has_shape(&shape, STR("")));
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++)
            for (unsigned third = 0; third < 256; third += 5) {
                const char text[4] = { (char)(uint8_t)first, (char)(uint8_t)second,
                                       (char)(uint8_t)third, (char)(uint8_t)0xbf };

                for (size_t len = 1; len <= sizeof(text); len++) {
                    const struct str part = { text, len };

                    assert_int_equal(has_shape(&shape, part),
                                     str_is_utf8(part) && !str_has_control(part));
                }
            }
}

/* ---- times by patterns ---- */

#define FIRST_S INT64_C(1767225600) /* 2026-01-01 */
#define SPAN_S INT64_C(3456000)     /* 40 days */

/* Whether some time of a few weeks meets a problem: each minute is tried, and seconds of a few. */
static bool some_time_meets(const struct problem *problem)
{
    char text[TIME_TEXT_MS_LEN + 1];
    struct prove_value value = { .kind = PROVE_TEXT };

    for (int64_t time_s = FIRST_S; time_s < FIRST_S + SPAN_S; time_s += 3593) {
        time_text_s(time_s, text);
        value.text = (struct str){ text, TIME_TEXT_S_LEN };
        if (is_met(problem, &value))
            return true;
        value.text.len = sizeof("2026-01-01") - 1;
        if (is_met(problem, &value))
            return true;
        time_text_ms(time_s * 1000 + time_s % 1000, text);
        value.text = (struct str){ text, TIME_TEXT_MS_LEN };
        if (is_met(problem, &value))
            return true;
    }
    return false;
}

static void make_time_test(struct chance *chance, struct policy_test *test)
{
    static const char *const pieces[] = { "2026", "-", "0", "1", ":", "T", "Z", "*", "*", "*" };

    *test =
        (struct policy_test){ .operation = POLICY_LIKE, .is_negated = chance_once_in(chance, 3) };
    if (chance_once_in(chance, 2)) {
        test->operation = chance_once_in(chance, 2) ? POLICY_BEFORE : POLICY_AFTER;
        test->time_s = FIRST_S + (int64_t)chance_below(chance, (size_t)SPAN_S);
    } else {
        test->glob = random_glob(chance, pieces, COUNT(pieces));
    }
}

static void fill_times(struct chance *chance, struct problem *problem)
{
    size_t count = 1 + chance_below(chance, CONDITIONS_MAX);

    *problem = (struct problem){ 0 };
    for (size_t i = 0; i < count; i++) {
        make_time_test(chance, &problem->tests[i][0]);
        make_time_test(chance, &problem->tests[i][1]);
        add_condition(problem, POLICY_TEXT, 2, PROVE_PLAIN, random_outcome(chance));
    }
}

static void times_are_found_where_there_are_any(void **state)
{
    static const struct trial trial = { PROVE_TEXT, fill_times, some_time_meets };

    (void)state;
    compare_all(&trial, UINT64_C(2685821657736338717), random_rounds(200));
}

/* ---- numbers by patterns ---- */

static void fill_numbers(struct chance *chance, struct problem *problem)
{
    static const char *const pieces[] = { "1", "2", "9", "-", "0", "*", "*" };
    static int64_t numbers[CONDITIONS_MAX];
    size_t count = 1 + chance_below(chance, CONDITIONS_MAX);

    *problem = (struct problem){ 0 };
    for (size_t i = 0; i < count; i++) {
        struct policy_test *test = &problem->tests[i][0];
        bool is_text = chance_once_in(chance, 2);

        *test = (struct policy_test){ .operation = POLICY_LIKE,
                                      .is_negated = chance_once_in(chance, 3) };
        numbers[i] = (int64_t)chance_below(chance, 400) - 200;
        if (is_text) {
            test->glob = random_glob(chance, pieces, COUNT(pieces));
        } else if (chance_once_in(chance, 2)) {
            test->operation = POLICY_ONE_OF;
            test->values = (struct policy_values){ .integers = &numbers[i], .count = 1 };
        } else {
            test->operation = chance_once_in(chance, 2) ? POLICY_BEFORE : POLICY_AFTER;
            test->time_s = numbers[i];
        }
        add_condition(problem, is_text ? POLICY_TEXT : POLICY_INTEGER, 1,
                      is_text ? PROVE_COPY_NUMBER : PROVE_PLAIN, random_outcome(chance));
    }
}

static bool some_number_meets(const struct problem *problem)
{
    for (int64_t number = -30000; number <= 30000; number++) {
        const struct prove_value value = { .kind = PROVE_INTEGER, .integer = number };

        if (is_met(problem, &value))
            return true;
    }
    return false;
}

static void numbers_are_found_where_there_are_any(void **state)
{
    static const struct trial trial = { PROVE_INTEGER, fill_numbers, some_number_meets };

    (void)state;
    compare_all(&trial, UINT64_C(1181783497276652981), random_rounds(200));
}

/* Of one with nineteen digits there are those that are too large for a claim. */
static void the_greatest_and_the_least_number_are_found(void **state)
{
    static const char *const patterns[] = { "9223372036854775807",
                                            "9223372036854775808",
                                            "-9223372036854775808",
                                            "-9223372036854775809",
                                            "99*99999999999999999",
                                            "-0",
                                            "00" };
    static const enum proof_answer answers[] = { PROOF_YES, PROOF_NO, PROOF_YES, PROOF_NO,
                                                 PROOF_NO,  PROOF_NO, PROOF_NO };

    (void)state;
    for (size_t i = 0; i < COUNT(patterns); i++) {
        struct glob *glob = arena_alloc(arena, sizeof(*glob));
        struct problem problem = { 0 };
        struct prove_value value;
        const char *why = NULL;

        assert_true(glob_compile(str_from(patterns[i]), arena, glob, &why));
        problem.tests[0][0] = (struct policy_test){ .operation = POLICY_LIKE, .glob = glob };
        add_condition(&problem, POLICY_TEXT, 1, PROVE_COPY_NUMBER, PROVE_HOLDS);
        if (find(&problem, PROVE_INTEGER, &value) != answers[i])
            fail_msg("%s", patterns[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_found_where_there_are_any),
        cmocka_unit_test(the_shortest_text_is_found_however_long_it_is),
        cmocka_unit_test(a_walk_that_takes_too_many_steps_proves_nothing),
        cmocka_unit_test(no_example_has_what_a_token_cannot_carry),
        cmocka_unit_test(a_text_is_at_most_as_long_as_a_claim),
        cmocka_unit_test(each_date_of_the_calendar_has_the_shape_of_a_time),
        cmocka_unit_test(each_time_of_day_has_the_shape_of_a_time),
        cmocka_unit_test(a_time_of_a_span_has_its_shape),
        cmocka_unit_test(any_text_is_utf8_without_control_characters),
        cmocka_unit_test(times_are_found_where_there_are_any),
        cmocka_unit_test(numbers_are_found_where_there_are_any),
        cmocka_unit_test(the_greatest_and_the_least_number_are_found),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
