#include <inttypes.h>
#include <stdio.h>

#include "policy/prove_internal.h"

/*
 * Single values that are no text. What conditions say of an integer changes only at the values and
 * times that they name, so those, and what is just before and behind, are all that must be tried.
 */

#define DIGITS_MAX 24

static bool try_integer(const struct prove_demands *demands, int64_t integer,
                        struct prove_value *value)
{
    struct prove_value tried = { .kind = PROVE_INTEGER, .integer = integer };

    if (!prove_demands_allow(demands, &tried))
        return false;
    *value = tried;
    return true;
}

static bool try_around(const struct prove_demands *demands, int64_t integer,
                       struct prove_value *value)
{
    return try_integer(demands, integer, value) ||
           (integer < INT64_MAX && try_integer(demands, integer + 1, value)) ||
           (integer > INT64_MIN && try_integer(demands, integer - 1, value));
}

static bool try_values(const struct prove_demands *demands, const struct policy_values *values,
                       struct prove_value *value)
{
    if (values->integers == NULL)
        return false;
    for (size_t i = 0; i < values->count; i++)
        if (try_integer(demands, values->integers[i], value))
            return true;
    for (size_t i = 0; i < values->count; i++)
        if (try_around(demands, values->integers[i], value))
            return true;
    return false;
}

static bool try_condition(const struct prove_demands *demands,
                          const struct policy_condition *condition, struct prove_value *value)
{
    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];
        bool is_time = test->operation == POLICY_BEFORE || test->operation == POLICY_AFTER;

        if (test->operation == POLICY_ONE_OF && try_values(demands, &test->values, value))
            return true;
        if (is_time && try_around(demands, test->time_s, value))
            return true;
    }
    return false;
}

/* ---- where conditions change ---- */

static bool add_break(struct prove_breaks *breaks, int64_t value)
{
    size_t at = breaks->count;

    for (size_t i = 0; i < breaks->count; i++)
        if (breaks->list[i] == value)
            return true;
    if (breaks->count == PROVE_BREAKS_MAX)
        return false;
    for (; at > 0 && breaks->list[at - 1] > value; at--)
        breaks->list[at] = breaks->list[at - 1];
    breaks->list[at] = value;
    breaks->count++;
    return true;
}

static bool add_breaks(struct prove_breaks *breaks, const struct policy_test *test,
                       enum prove_kind kind)
{
    const struct policy_values *values = &test->values;
    bool is_good = true;

    if (test->operation == POLICY_BEFORE || test->operation == POLICY_AFTER)
        return add_break(breaks, test->time_s);
    if (test->operation != POLICY_ONE_OF || values->integers == NULL || kind != PROVE_INTEGER)
        return true;
    for (size_t i = 0; i < values->count && is_good; i++)
        is_good = add_break(breaks, values->integers[i]);
    return is_good;
}

bool prove_breaks(struct prover *prover, const struct prove_demands *demands, enum prove_kind kind,
                  struct prove_breaks *breaks)
{
    breaks->count = 0;
    breaks->list = prove_alloc(prover, PROVE_BREAKS_MAX, sizeof(*breaks->list));
    for (size_t i = 0; breaks->list != NULL && i < demands->count; i++) {
        const struct prove_atom *atom = demands->list[i].atom;

        for (size_t k = 0; atom->question == PROVE_CONDITION && k < atom->condition->test_count;
             k++)
            if (!add_breaks(breaks, &atom->condition->tests[k], kind))
                return false;
    }
    return breaks->list != NULL;
}

/* ---- integers that are looked at as text too ---- */

static bool are_seen_as_text(const struct prove_demands *demands)
{
    for (size_t i = 0; i < demands->count; i++)
        if (demands->list[i].atom->view == PROVE_COPY_NUMBER)
            return true;
    return false;
}

static struct str write_integer(char out[DIGITS_MAX], int64_t integer)
{
    int len = snprintf(out, DIGITS_MAX, "%" PRId64, integer);

    return (struct str){ out, (size_t)len };
}

/* Integers of one sign and as many digits, between two that have them. */
static enum proof_answer walk_alike(struct prover *prover, const struct prove_demands *demands,
                                    int64_t from, int64_t to, struct prove_value *value)
{
    char first[DIGITS_MAX];
    char last[DIGITS_MAX];
    const struct prove_shape shape = {
        .kind = PROVE_SHAPE_INTEGER, /* the order of bytes goes by the digits */
        .first = write_integer(first, from < 0 ? to : from),
        .last = write_integer(last, from < 0 ? from : to),
    };

    return prove_walk(prover, demands, &shape, value);
}

/* The last integer that has the sign and as many digits as `from`, and is not above `to`. */
static int64_t last_alike(int64_t from, int64_t to)
{
    int64_t end = from < 0 ? from : 9;

    if (from >= 0) {
        while (end < from && end <= INT64_MAX / 10 - 1)
            end = end * 10 + 9;
        end = end < from ? INT64_MAX : end;
    } else {
        for (end = -1; end >= from / 10; end *= 10)
            ; /* the power of ten that has as many digits */
    }
    return end < to ? end : to;
}

static enum proof_answer walk_between(struct prover *prover, const struct prove_demands *demands,
                                      int64_t from, int64_t to, struct prove_value *value)
{
    enum proof_answer worst = PROOF_NO;

    while (from <= to) {
        int64_t last = last_alike(from, to);
        enum proof_answer answer = walk_alike(prover, demands, from, last, value);

        if (answer == PROOF_YES)
            return answer;
        worst = answer == PROOF_UNDECIDED ? answer : worst;
        if (last == INT64_MAX)
            break;
        from = last + 1;
    }
    return worst;
}

/* The integers that conditions name, and their neighbours, were tried. */
static enum proof_answer walk_integers(struct prover *prover, const struct prove_demands *demands,
                                       struct prove_value *value)
{
    struct prove_breaks breaks;
    enum proof_answer worst = PROOF_NO;

    if (!prove_breaks(prover, demands, PROVE_INTEGER, &breaks))
        return PROOF_UNDECIDED;
    for (size_t i = 0; i <= breaks.count; i++) {
        int64_t from = i == 0 ? INT64_MIN : breaks.list[i - 1];
        int64_t to = i == breaks.count ? INT64_MAX : breaks.list[i];
        enum proof_answer answer;

        if (to == INT64_MIN || from == INT64_MAX || to - 1 < from + 1)
            continue;
        answer = walk_between(prover, demands, i == 0 ? from : from + 1,
                              i == breaks.count ? to : to - 1, value);
        if (answer == PROOF_YES)
            return answer;
        worst = answer == PROOF_UNDECIDED ? answer : worst;
    }
    return worst;
}

static enum proof_answer find_integer(struct prover *prover, const struct prove_demands *demands,
                                      struct prove_value *value)
{
    for (int64_t i = 1; i <= 2; i++)
        if (try_integer(demands, i, value))
            return PROOF_YES;
    for (size_t i = 0; i < demands->count; i++)
        if (demands->list[i].atom->question == PROVE_CONDITION &&
            try_condition(demands, demands->list[i].atom->condition, value))
            return PROOF_YES;
    return are_seen_as_text(demands) ? walk_integers(prover, demands, value) : PROOF_NO;
}

/* ---- all of them ---- */

static enum proof_answer find_boolean(const struct prove_demands *demands,
                                      struct prove_value *value)
{
    for (int64_t i = 1; i >= 0; i--) {
        *value = (struct prove_value){ .kind = PROVE_BOOLEAN, .integer = i };
        if (prove_demands_allow(demands, value))
            return PROOF_YES;
    }
    return PROOF_NO;
}

enum proof_answer prove_single(struct prover *prover, const struct prove_demands *demands,
                               enum prove_kind kind, struct prove_value *value)
{
    if (kind == PROVE_TEXT)
        return prove_text(prover, demands, value);
    if (kind == PROVE_INTEGER)
        return find_integer(prover, demands, value);
    if (kind == PROVE_BOOLEAN)
        return find_boolean(demands, value);
    *value = (struct prove_value){ .kind = kind };
    return prove_demands_allow(demands, value) ? PROOF_YES : PROOF_NO;
}
