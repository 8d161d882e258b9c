#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time_text.h"
#include "policy/prove_internal.h"

/*
 * What conditions come to, of values as the prover has them. It says the same as
 * policy_evaluate.c says of JSON; test_prove.c holds the one against the other.
 */

#define DIGITS_MAX 24

static enum policy_outcome from_bool(bool holds)
{
    return holds ? POLICY_HOLDS : POLICY_FAILS;
}

/* ---- one operator ---- */

static int compare_texts(const void *key, const void *member)
{
    return str_compare(*(const struct str *)key, *(const struct str *)member);
}

static int compare_integers(const void *key, const void *member)
{
    int64_t left = *(const int64_t *)key;
    int64_t right = *(const int64_t *)member;

    return (left > right) - (left < right);
}

static bool is_one_of(const struct policy_values *values, const struct prove_value *value)
{
    if (values->texts != NULL)
        return bsearch(&value->text, values->texts, values->count, sizeof(value->text),
                       compare_texts) != NULL;
    return bsearch(&value->integer, values->integers, values->count, sizeof(value->integer),
                   compare_integers) != NULL;
}

static enum policy_outcome compare_time(const struct policy_test *test,
                                        const struct prove_value *value)
{
    int64_t time_s = value->integer;
    int64_t time_ms;

    if (value->kind == PROVE_TEXT && time_text_parse(value->text, &time_ms))
        time_s = time_ms / 1000;
    else if (value->kind != PROVE_INTEGER)
        return POLICY_UNKNOWN;
    return from_bool((time_s < test->time_s) == (test->operation == POLICY_BEFORE));
}

/* Whether a single value of the condition's type fits an operator, `not` aside. */
static enum policy_outcome try_test(const struct policy_test *test, const struct prove_value *value)
{
    switch (test->operation) {
    case POLICY_ONE_OF:
        return from_bool(is_one_of(&test->values, value));
    case POLICY_LIKE:
        return from_bool(value->kind == PROVE_TEXT && glob_match(test->glob, value->text));
    case POLICY_BEFORE:
    case POLICY_AFTER:
        return compare_time(test, value);
    case POLICY_EXISTS:
        return POLICY_HOLDS;
    case POLICY_ABSENT:
    case POLICY_WITHIN: /* addresses are not values of a tree */
        break;
    }
    return POLICY_FAILS;
}

/* ---- a condition on a single value ---- */

static bool is_typed(const struct policy_condition *condition, const struct prove_value *value)
{
    switch (condition->type) {
    case POLICY_ANY:
        return true;
    case POLICY_TEXT:
        return value->kind == PROVE_TEXT;
    case POLICY_INTEGER:
        return value->kind == PROVE_INTEGER;
    case POLICY_BOOLEAN:
        return value->kind == PROVE_BOOLEAN;
    case POLICY_ADDRESS:
        break;
    }
    return false;
}

static enum policy_outcome fits_all(const struct policy_condition *condition,
                                    const struct prove_value *value)
{
    enum policy_outcome outcome = POLICY_HOLDS;

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];
        enum policy_outcome one = test->is_negated ? POLICY_HOLDS : try_test(test, value);

        if (one == POLICY_FAILS)
            return POLICY_FAILS;
        if (one == POLICY_UNKNOWN)
            outcome = POLICY_UNKNOWN;
    }
    return outcome;
}

static enum policy_outcome fits_none(const struct policy_condition *condition,
                                     const struct prove_value *value)
{
    enum policy_outcome outcome = POLICY_HOLDS;

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];
        enum policy_outcome one = test->is_negated ? try_test(test, value) : POLICY_FAILS;

        if (one == POLICY_HOLDS)
            return POLICY_FAILS;
        if (one == POLICY_UNKNOWN)
            outcome = POLICY_UNKNOWN;
    }
    return outcome;
}

static bool asks_for_absence(const struct policy_condition *condition)
{
    return condition->test_count == 1 && condition->tests[0].operation == POLICY_ABSENT;
}

/* ---- a condition on any value ---- */

static enum policy_outcome try_array(const struct policy_condition *condition,
                                     const struct prove_value *array)
{
    enum policy_outcome any = POLICY_FAILS;
    enum policy_outcome none = POLICY_HOLDS;

    for (size_t i = 0; i < array->element_count; i++)
        if (!is_typed(condition, &array->elements[i]))
            return POLICY_UNKNOWN;
    if (asks_for_absence(condition))
        return POLICY_FAILS;
    for (size_t i = 0; i < array->element_count; i++) {
        enum policy_outcome one = fits_all(condition, &array->elements[i]);

        if (any != POLICY_HOLDS && one != POLICY_FAILS)
            any = one;
        none = policy_outcome_both(none, fits_none(condition, &array->elements[i]));
    }
    return policy_outcome_both(any, none);
}

static enum policy_outcome try_condition(const struct policy_condition *condition,
                                         const struct prove_value *value)
{
    if (value->kind == PROVE_UNKNOWN)
        return POLICY_UNKNOWN;
    if (value->kind == PROVE_ABSENT)
        return from_bool(asks_for_absence(condition));
    if (value->kind == PROVE_ARRAY && condition->may_be_array)
        return try_array(condition, value);
    if (!is_typed(condition, value))
        return POLICY_UNKNOWN;
    if (asks_for_absence(condition))
        return POLICY_FAILS;
    return policy_outcome_both(fits_all(condition, value), fits_none(condition, value));
}

static bool is_word(const struct prove_value *value, const char *word)
{
    if (value->kind == PROVE_BOOLEAN)
        return str_eq(value->integer != 0 ? STR("true") : STR("false"), str_from(word));
    return value->kind == PROVE_TEXT && str_eq(value->text, str_from(word));
}

/* The fact that follows from a claim. */
static struct prove_value follow(const struct prove_words *words, const struct prove_value *value)
{
    struct prove_value fact = { .kind = PROVE_UNKNOWN };

    for (size_t i = 0; i < words->rows->count; i++) {
        const struct claim_word *row = &words->rows->rows[i];

        if (!str_eq(str_from(row->fact), str_from(words->fact)) || !is_word(value, row->word))
            continue;
        fact.kind = words->is_boolean ? PROVE_BOOLEAN : PROVE_TEXT;
        fact.text = str_from(row->value);
        fact.integer = str_eq(fact.text, STR("true"));
    }
    return fact;
}

/* What an atom sees of a value; the text of a number is written to `digits`. */
static struct prove_value look(const struct prove_atom *atom, const struct prove_value *value,
                               char digits[DIGITS_MAX])
{
    struct prove_value seen = { .kind = PROVE_UNKNOWN };
    enum prove_view view = atom->view;

    if (view == PROVE_PLAIN)
        return *value;
    if (view == PROVE_WORDS)
        return follow(atom->words, value);
    if (value->kind == PROVE_ABSENT && (view == PROVE_COPY_NONE || view == PROVE_UNPROVEN))
        return *value;
    if (value->kind == PROVE_TEXT && view != PROVE_UNPROVEN)
        return *value;
    if (value->kind == PROVE_INTEGER && view == PROVE_COPY_NUMBER) {
        int len = snprintf(digits, DIGITS_MAX, "%" PRId64, value->integer);

        seen = (struct prove_value){ .kind = PROVE_TEXT, .text = { digits, (size_t)len } };
    }
    return seen;
}

/* What an atom's question comes to for a value of its variable. */
static enum policy_outcome outcome_of(const struct prove_atom *atom,
                                      const struct prove_value *value)
{
    char digits[DIGITS_MAX];
    struct prove_value seen = look(atom, value, digits);

    if (atom->question == PROVE_IS_WORD)
        return from_bool(is_word(&seen, atom->word));
    if (atom->question == PROVE_IS_TRUTH)
        return from_bool(seen.kind == PROVE_BOOLEAN && (seen.integer != 0) == atom->truth);
    return try_condition(atom->condition, &seen);
}

bool prove_allows(const struct prove_atom *atom, const struct prove_value *value)
{
    return (atom->allowed & PROVE_OUTCOME(outcome_of(atom, value))) != 0;
}

/* ---- demands ---- */

static enum policy_outcome demand_outcome(const struct prove_demand *demand,
                                          const struct prove_value *value)
{
    switch (demand->part) {
    case PROVE_FITS_ALL:
        return fits_all(demand->atom->condition, value);
    case PROVE_FITS_NONE:
        return fits_none(demand->atom->condition, value);
    case PROVE_IS_TYPED:
        return from_bool(is_typed(demand->atom->condition, value));
    case PROVE_WHOLE:
        break;
    }
    return outcome_of(demand->atom, value);
}

bool prove_demands_allow(const struct prove_demands *demands, const struct prove_value *value)
{
    for (size_t i = 0; i < demands->count; i++)
        if ((demands->list[i].allowed & PROVE_OUTCOME(demand_outcome(&demands->list[i], value))) ==
            0)
            return false;
    return true;
}

bool prove_reads_texts(const struct prove_demand *demand)
{
    const struct prove_atom *atom = demand->atom;

    return atom->question == PROVE_CONDITION && atom->view != PROVE_UNPROVEN &&
           atom->view != PROVE_WORDS &&
           (atom->condition->type == POLICY_TEXT || atom->condition->type == POLICY_ANY);
}

const struct policy_values *prove_words_of(const struct prove_demand *demand)
{
    return demand->atom->view == PROVE_WORDS ? &demand->atom->words->values : NULL;
}

bool prove_needs(const struct prove_demand *demand, const struct policy_test *test)
{
    return (demand->part == PROVE_WHOLE || demand->part == PROVE_FITS_ALL) &&
           (demand->allowed & PROVE_FAILS) == 0 && !test->is_negated;
}

/* ---- conditions that say the same ---- */

static bool are_same_values(const struct policy_values *a, const struct policy_values *b)
{
    if (a->count != b->count || (a->texts == NULL) != (b->texts == NULL))
        return false;
    if (a->texts == b->texts && a->integers == b->integers)
        return true;
    for (size_t i = 0; i < a->count; i++)
        if (a->texts != NULL ? !str_eq(a->texts[i], b->texts[i]) : a->integers[i] != b->integers[i])
            return false;
    return true;
}

bool prove_are_same_networks(const struct policy_networks *a, const struct policy_networks *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct network *left = &a->list[i];
        const struct network *right = &b->list[i];

        if (left->bits != right->bits || left->base.len != right->base.len ||
            !network_contains(left, &right->base))
            return false;
    }
    return true;
}

static struct policy_networks networks_of(const struct policy_test *test)
{
    return (struct policy_networks){ test->networks.list, test->networks.count };
}

static bool are_same_within(const struct policy_test *a, const struct policy_test *b)
{
    const struct policy_networks left = networks_of(a);
    const struct policy_networks right = networks_of(b);

    return prove_are_same_networks(&left, &right);
}

static bool is_same_test(const struct policy_test *a, const struct policy_test *b)
{
    if (a->operation != b->operation || a->is_negated != b->is_negated)
        return false;
    switch (a->operation) {
    case POLICY_ONE_OF:
        return are_same_values(&a->values, &b->values);
    case POLICY_LIKE:
        return str_eq(a->glob->text, b->glob->text);
    case POLICY_BEFORE:
    case POLICY_AFTER:
        return a->time_s == b->time_s;
    case POLICY_WITHIN:
        return are_same_within(a, b);
    case POLICY_EXISTS:
    case POLICY_ABSENT:
        break;
    }
    return true;
}

bool prove_is_same(const struct policy_condition *a, const struct policy_condition *b)
{
    if (a == b)
        return true;
    if (a->type != b->type || a->may_be_array != b->may_be_array || a->test_count != b->test_count)
        return false;
    for (size_t i = 0; i < a->test_count; i++)
        if (!is_same_test(&a->tests[i], &b->tests[i]))
            return false;
    return true;
}
