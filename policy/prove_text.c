#include <string.h>

#include "base/time_text.h"
#include "policy/prove_internal.h"

/*
 * Texts. Where a condition lists the values that it takes, only these can be. Else texts that look
 * as a person would write them are tried first: values that stand in the policy, its patterns with
 * their wildcards filled, neighbours of both. Only where none of them does are all texts searched
 * (prove_walk.c), so that a proof is exact and an example still pretty.
 */

/* What a token can carry, see security-rules.md 4.2. */
#define TEXT_MAX 1024
#define URL_MAX 2048

/* How many values of a list are likely. */
#define LIKELY_MAX 64

#define TIME_END_S INT64_C(253402300800) /* behind 9999-12-31T23:59:59Z */

struct seeker {
    struct prover *prover;
    const struct prove_demands *demands;
    struct prove_value *value;
};

static bool can_be_carried(struct str text, bool is_fact)
{
    bool is_url = str_starts_with(text, STR("https://")) || str_starts_with(text, STR("http://"));
    /* facts are put together of claims, and so are longer */
    size_t max = is_url || is_fact ? URL_MAX : TEXT_MAX;

    return text.len > 0 && text.len <= max && !str_has_control(text) && str_is_utf8(text);
}

static bool try_text(const struct seeker *seeker, struct str text)
{
    struct prove_value tried = { .kind = PROVE_TEXT, .text = text };
    bool is_fact = seeker->demands->count > 0 && seeker->demands->list[0].atom->variable->is_fact;

    if (!can_be_carried(text, is_fact) || !prove_demands_allow(seeker->demands, &tried))
        return false;
    *seeker->value = tried;
    return true;
}

/* The same of a text that does not live long enough. */
static bool try_made(const struct seeker *seeker, struct str text)
{
    if (!try_text(seeker, text))
        return false;
    seeker->value->text = prove_copy(seeker->prover, text);
    return true;
}

/* ---- what there is to try ---- */

static const struct policy_values *shorter(const struct policy_values *a,
                                           const struct policy_values *b)
{
    return a == NULL || b->count < a->count ? b : a;
}

/* The shortest list of which the text must be one. */
static const struct policy_values *find_list(const struct prove_demands *demands)
{
    const struct policy_values *shortest = NULL;

    for (size_t i = 0; i < demands->count; i++) {
        const struct prove_demand *demand = &demands->list[i];
        const struct policy_values *words = prove_words_of(demand);

        /* of another word nobody could say anything */
        if (words != NULL && (demand->allowed & PROVE_CANNOT_SAY) == 0 &&
            demand->atom->question == PROVE_CONDITION)
            shortest = shorter(shortest, words);
        for (size_t k = 0; prove_reads_texts(demand) && k < demand->atom->condition->test_count;
             k++) {
            const struct policy_test *test = &demand->atom->condition->tests[k];

            if (test->operation == POLICY_ONE_OF && test->values.texts != NULL &&
                prove_needs(demand, test))
                shortest = shorter(shortest, &test->values);
        }
    }
    return shortest;
}

/* The word that the text must be; NULL: there is none. */
static const char *find_word(const struct prove_demands *demands)
{
    for (size_t i = 0; i < demands->count; i++)
        if (demands->list[i].atom->question == PROVE_IS_WORD &&
            demands->list[i].atom->view != PROVE_WORDS && demands->list[i].allowed == PROVE_HOLDS)
            return demands->list[i].atom->word;
    return NULL;
}

static bool try_list(const struct seeker *seeker, const struct policy_values *values, size_t max)
{
    for (size_t i = 0; values->texts != NULL && i < values->count && i < max; i++)
        if (try_text(seeker, values->texts[i]))
            return true;
    return false;
}

static bool try_pattern(const struct seeker *seeker, const struct glob *glob)
{
    static const struct str fillings[] = { STR_INIT("x"), STR_INIT("1"), STR_INIT("main"),
                                           STR_INIT("") };
    char text[TEXT_MAX];

    for (size_t i = 0; i < COUNT(fillings); i++) {
        size_t len =
            glob_fill(glob, fillings[i], i == 0 ? STR("1") : fillings[i], text, sizeof(text));

        if (try_made(seeker, (struct str){ text, len }))
            return true;
    }
    return false;
}

/* "refs/heads/x" for "refs/heads/main", "1" for "4242". */
static bool try_neighbour(const struct seeker *seeker, struct str known)
{
    char text[TEXT_MAX];
    size_t len = known.len;

    if (str_is_made_of(known, "0123456789"))
        return try_text(seeker, STR("1")) || try_text(seeker, STR("2"));
    while (len > 0 && known.data[len - 1] != '/' && known.data[len - 1] != ':' &&
           known.data[len - 1] != '@')
        len--;
    if (len >= sizeof(text))
        return false;
    memcpy(text, known.data, len);
    text[len] = 'x';
    return try_made(seeker, (struct str){ text, len + 1 });
}

static bool try_neighbours(const struct seeker *seeker, const struct policy_values *values)
{
    return values->texts != NULL && values->count > 0 && try_neighbour(seeker, values->texts[0]);
}

/* A time as each of the texts that it is likely to stand in. */
static bool try_second(const struct seeker *seeker, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return try_made(seeker, (struct str){ text, sizeof("2026-11-22") - 1 }) ||
           try_made(seeker, (struct str){ text, TIME_TEXT_S_LEN });
}

static bool try_times(const struct seeker *seeker, int64_t time_s)
{
    return try_second(seeker, time_s) || try_second(seeker, time_s - 1);
}

enum pass {
    PASS_VALUES,
    PASS_PATTERNS,
    PASS_NEIGHBOURS,
    PASS_TIMES,
    PASSES,
};

static bool try_test(const struct seeker *seeker, const struct policy_test *test, enum pass pass)
{
    switch (test->operation) {
    case POLICY_ONE_OF:
        return (pass == PASS_VALUES && try_list(seeker, &test->values, LIKELY_MAX)) ||
               (pass == PASS_NEIGHBOURS && try_neighbours(seeker, &test->values));
    case POLICY_LIKE:
        return pass == PASS_PATTERNS && try_pattern(seeker, test->glob);
    case POLICY_BEFORE:
    case POLICY_AFTER:
        return pass == PASS_TIMES && try_times(seeker, test->time_s);
    case POLICY_EXISTS:
    case POLICY_ABSENT:
    case POLICY_WITHIN:
        break;
    }
    return false;
}

static bool try_demand(const struct seeker *seeker, const struct prove_demand *demand,
                       enum pass pass)
{
    const struct prove_atom *atom = demand->atom;
    const struct policy_values *words = prove_words_of(demand);

    if (words != NULL)
        return pass == PASS_VALUES && try_list(seeker, words, words->count);
    if (atom->question == PROVE_IS_WORD)
        return pass == PASS_VALUES && try_text(seeker, str_from(atom->word));
    for (size_t i = 0; prove_reads_texts(demand) && i < atom->condition->test_count; i++)
        if (try_test(seeker, &atom->condition->tests[i], pass))
            return true;
    return false;
}

static bool try_likely(const struct seeker *seeker)
{
    for (enum pass pass = PASS_VALUES; pass < PASSES; pass++)
        for (size_t i = 0; i < seeker->demands->count; i++)
            if (try_demand(seeker, &seeker->demands->list[i], pass))
                return true;
    return try_text(seeker, STR("x")) || try_text(seeker, STR("1"));
}

/* ---- what all texts have in common ---- */

/* Whether a demand comes to the same for each text, and that is not allowed. */
static bool is_hopeless(const struct prove_demand *demand)
{
    struct prove_value any = { .kind = PROVE_TEXT, .text = STR("x") };
    const struct prove_atom *atom = demand->atom;
    struct prove_demands one = { demand, 1 };

    if (atom->view == PROVE_WORDS || atom->question == PROVE_IS_WORD ||
        demand->part == PROVE_FITS_ALL || demand->part == PROVE_FITS_NONE)
        return false;
    if (demand->part == PROVE_WHOLE && prove_reads_texts(demand) &&
        !(atom->condition->test_count == 1 &&
          (atom->condition->tests[0].operation == POLICY_EXISTS ||
           atom->condition->tests[0].operation == POLICY_ABSENT)))
        return false;
    return !prove_demands_allow(&one, &any);
}

/* ---- times ---- */

/* Between the times that conditions name they come to the same, patterns and lists aside. */
static enum proof_answer walk_times(const struct seeker *seeker, int64_t from_s, int64_t to_s)
{
    char first[TIME_TEXT_S_LEN + 1];
    char last[TIME_TEXT_S_LEN + 1];
    const struct prove_shape shape = {
        .kind = PROVE_SHAPE_TIME,
        .first = { first, TIME_TEXT_S_LEN - 1 }, /* without the 'Z' */
        .last = { last, TIME_TEXT_S_LEN - 1 },
    };

    if (from_s >= to_s)
        return PROOF_NO;
    time_text_s(from_s, first);
    time_text_s(to_s - 1, last);
    return prove_walk(seeker->prover, seeker->demands, &shape, seeker->value);
}

static enum proof_answer find_time(const struct seeker *seeker)
{
    struct prove_breaks breaks;
    enum proof_answer worst = PROOF_NO;

    if (!prove_breaks(seeker->prover, seeker->demands, PROVE_TEXT, &breaks))
        return PROOF_UNDECIDED;
    for (size_t i = 0; breaks.count > 0 && i <= breaks.count; i++) {
        int64_t from_s = i == 0 ? 0 : breaks.list[i - 1];
        int64_t to_s = i == breaks.count ? TIME_END_S : breaks.list[i];
        enum proof_answer answer = walk_times(seeker, from_s, to_s);

        if (answer == PROOF_YES)
            return answer;
        worst = answer == PROOF_UNDECIDED ? answer : worst;
    }
    return worst;
}

enum proof_answer prove_text(struct prover *prover, const struct prove_demands *demands,
                             struct prove_value *value)
{
    static const struct prove_shape any_text = { .kind = PROVE_SHAPE_TEXT };
    const struct seeker seeker = { prover, demands, value };
    const struct policy_values *values = find_list(demands);
    const char *word = find_word(demands);
    enum proof_answer answer;
    enum proof_answer times;

    for (size_t i = 0; i < demands->count; i++)
        if (is_hopeless(&demands->list[i]))
            return PROOF_NO;
    if (word != NULL)
        return try_text(&seeker, str_from(word)) ? PROOF_YES : PROOF_NO;
    if (values != NULL)
        return try_list(&seeker, values, values->count) ? PROOF_YES : PROOF_NO;
    if (try_likely(&seeker))
        return PROOF_YES;
    answer = prove_walk(prover, demands, &any_text, value);
    if (answer == PROOF_YES)
        return answer;
    times = find_time(&seeker);
    return times == PROOF_NO ? answer : times;
}
