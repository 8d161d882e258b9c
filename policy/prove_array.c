#include "policy/prove_internal.h"

/*
 * Arrays. An array fits a condition when one element fits all its operators that do not stand under
 * `not`, and none fits one that does. So what a condition comes to is had in a few ways, each of
 * which asks something of all elements, and for an element of its own. The ways of all conditions
 * are tried with each other; elements are then found one by one.
 */

/* How many ways are tried with each other. */
#define WAYS_MAX 4096

/* What one way asks, of one condition. */
struct way {
    unsigned outcome;   /* that it gives */
    bool is_of_unknown; /* only where an operator cannot say: of times */
    unsigned of_all[2]; /* of every element: outcomes of PROVE_FITS_ALL and PROVE_FITS_NONE */
    unsigned of_one[2]; /* for an element: the same; 0: none is needed */
};

static const struct way ways[] = {
    /* outcome         unknown  every element                          an element */
    { PROVE_HOLDS, false, { PROVE_ANY, PROVE_HOLDS }, { PROVE_HOLDS, 0 } },
    { PROVE_FAILS, false, { PROVE_FAILS, PROVE_ANY }, { 0, 0 } },
    { PROVE_FAILS, false, { PROVE_ANY, PROVE_ANY }, { 0, PROVE_FAILS } },
    { PROVE_CANNOT_SAY,
      true,
      { PROVE_FAILS | PROVE_CANNOT_SAY, PROVE_HOLDS | PROVE_CANNOT_SAY },
      { PROVE_CANNOT_SAY, 0 } },
    { PROVE_CANNOT_SAY,
      true,
      { PROVE_ANY, PROVE_HOLDS | PROVE_CANNOT_SAY },
      { PROVE_HOLDS | PROVE_CANNOT_SAY, PROVE_CANNOT_SAY } },
};

struct weaver {
    struct prover *prover;
    const struct prove_array *array;
    struct prove_demand *of_all; /* of every element */
    size_t of_all_count;
    struct prove_demand *of_one; /* an element each */
    size_t of_one_count;
    struct prove_value *elements;
    size_t element_count;
    size_t ways_left;
    bool is_undecided;
};

/* ---- elements ---- */

static const enum prove_kind element_kinds[] = { PROVE_TEXT, PROVE_INTEGER, PROVE_BOOLEAN,
                                                 PROVE_OTHER };

/* An element that meets a demand (NULL: any) and what is asked of all. */
static bool find_element(struct weaver *weaver, const struct prove_demand *demand,
                         struct prove_value *element)
{
    struct prove_demands demands = { weaver->of_all, weaver->of_all_count };

    if (demand != NULL) {
        weaver->of_all[demands.count] = *demand; /* there is room for one more */
        demands.count++;
    }
    for (size_t i = 0; i < COUNT(element_kinds); i++) {
        enum proof_answer answer;

        if ((weaver->array->kinds & PROVE_KIND(element_kinds[i])) == 0)
            continue;
        answer = prove_single(weaver->prover, &demands, element_kinds[i], element);
        if (answer == PROOF_YES)
            return true;
        weaver->is_undecided |= answer == PROOF_UNDECIDED;
    }
    return false;
}

static bool is_element(const struct prove_variable *fixed)
{
    return fixed->index >= 0 && fixed->index <= PROVE_INDEX_MAX;
}

/* Whether an element that was found meets a demand; those at an index too, `with_fixed`. */
static bool has_element(const struct weaver *weaver, const struct prove_demand *demand,
                        bool with_fixed)
{
    const struct prove_demands one = { demand, 1 };

    for (size_t i = 0; i < weaver->element_count; i++)
        if (prove_demands_allow(&one, &weaver->elements[i]))
            return true;
    for (const struct prove_variable *fixed = weaver->array->fixed; with_fixed && fixed != NULL;
         fixed = fixed->sibling)
        if (is_element(fixed) && fixed->witness.kind != PROVE_ABSENT &&
            prove_demands_allow(&one, &fixed->witness))
            return true;
    return false;
}

static bool find_elements(struct weaver *weaver, bool with_fixed)
{
    weaver->element_count = 0;
    for (size_t i = 0; i < weaver->of_one_count; i++) {
        if (has_element(weaver, &weaver->of_one[i], with_fixed))
            continue;
        if (!find_element(weaver, &weaver->of_one[i], &weaver->elements[weaver->element_count]))
            return false;
        weaver->element_count++;
    }
    return true;
}

/* The elements that stand at an index of their own; whether one of them counts. */
static bool find_fixed(struct weaver *weaver, bool *counts)
{
    const struct prove_demands demands = { weaver->of_all, weaver->of_all_count };

    for (struct prove_variable *fixed = weaver->array->fixed; fixed != NULL;
         fixed = fixed->sibling) {
        enum proof_answer answer;

        if (!is_element(fixed))
            continue;
        answer = prove_element(weaver->prover, fixed, &demands,
                               weaver->array->kinds | PROVE_KIND(PROVE_ABSENT));
        if (answer != PROOF_YES) {
            weaver->is_undecided |= answer == PROOF_UNDECIDED;
            return false;
        }
        *counts |= fixed->witness.kind != PROVE_ABSENT;
    }
    return true;
}

/* All ways are chosen. */
static bool finish(struct weaver *weaver)
{
    bool has_fixed = false;

    if (!find_fixed(weaver, &has_fixed))
        return false;
    if (has_fixed)
        return find_elements(weaver, true);
    if (weaver->element_count > 0)
        return true;
    if (!find_element(weaver, NULL, &weaver->elements[0]))
        return false;
    weaver->element_count = 1;
    return true;
}

/* ---- ways ---- */

static bool choose(struct weaver *weaver, size_t index);

static void ask_all(struct weaver *weaver, const struct prove_atom *atom, enum prove_part part,
                    unsigned allowed)
{
    if (allowed != PROVE_ANY)
        weaver->of_all[weaver->of_all_count++] = (struct prove_demand){ atom, part, allowed };
}

static void ask_one(struct weaver *weaver, const struct prove_atom *atom, enum prove_part part,
                    unsigned allowed)
{
    if (allowed != 0)
        weaver->of_one[weaver->of_one_count++] = (struct prove_demand){ atom, part, allowed };
}

/* Go on with what was asked so far, and take it back if it does not lead anywhere. */
static bool go_on(struct weaver *weaver, size_t index, size_t of_all_count, size_t of_one_count)
{
    if (weaver->ways_left == 0 || !prove_spend(weaver->prover, 1)) {
        weaver->is_undecided = true;
    } else {
        weaver->ways_left--;
        if (find_elements(weaver, false) && choose(weaver, index + 1))
            return true;
    }
    weaver->of_all_count = of_all_count;
    weaver->of_one_count = of_one_count;
    return false;
}

static bool take_way(struct weaver *weaver, size_t index, const struct way *way)
{
    const struct prove_atom *atom = weaver->array->demands->list[index].atom;
    size_t of_all_count = weaver->of_all_count;
    size_t of_one_count = weaver->of_one_count;

    ask_all(weaver, atom, PROVE_IS_TYPED, PROVE_HOLDS);
    ask_all(weaver, atom, PROVE_FITS_ALL, way->of_all[0]);
    ask_all(weaver, atom, PROVE_FITS_NONE, way->of_all[1]);
    ask_one(weaver, atom, PROVE_FITS_ALL, way->of_one[0]);
    ask_one(weaver, atom, PROVE_FITS_NONE, way->of_one[1]);
    return go_on(weaver, index, of_all_count, of_one_count);
}

/* With an element of another type nobody can say. */
static bool take_stranger(struct weaver *weaver, size_t index)
{
    const struct prove_demand *demand = &weaver->array->demands->list[index];
    size_t of_all_count = weaver->of_all_count;
    size_t of_one_count = weaver->of_one_count;

    if ((demand->allowed & PROVE_CANNOT_SAY) == 0 || demand->atom->condition->type == POLICY_ANY)
        return false;
    ask_one(weaver, demand->atom, PROVE_IS_TYPED, PROVE_FAILS);
    return go_on(weaver, index, of_all_count, of_one_count);
}

static bool has_times(const struct policy_condition *condition)
{
    for (size_t i = 0; i < condition->test_count; i++)
        if (condition->tests[i].operation == POLICY_BEFORE ||
            condition->tests[i].operation == POLICY_AFTER)
            return true;
    return false;
}

/* Whether a demand is met by elements; of an array in an array others look at the whole only. */
static bool is_of_elements(const struct prove_demand *demand)
{
    return demand->part == PROVE_WHOLE && demand->atom->question == PROVE_CONDITION &&
           demand->atom->view == PROVE_PLAIN && demand->atom->condition->may_be_array;
}

static bool asks_for_absence(const struct policy_condition *condition)
{
    return condition->test_count == 1 && condition->tests[0].operation == POLICY_ABSENT;
}

/* An array that counts is not absent, where its elements are of the type. */
static bool take_presence(struct weaver *weaver, size_t index)
{
    static const struct way presence = { PROVE_FAILS, false, { PROVE_ANY, PROVE_ANY }, { 0, 0 } };

    return ((weaver->array->demands->list[index].allowed & PROVE_FAILS) != 0 &&
            take_way(weaver, index, &presence)) ||
           take_stranger(weaver, index);
}

static bool choose(struct weaver *weaver, size_t index)
{
    static const struct prove_value any = { .kind = PROVE_ARRAY };
    const struct prove_demand *demand;

    if (index == weaver->array->demands->count)
        return finish(weaver);
    demand = &weaver->array->demands->list[index];
    if (!is_of_elements(demand)) {
        const struct prove_demands one = { demand, 1 };

        return prove_demands_allow(&one, &any) && choose(weaver, index + 1);
    }
    if (asks_for_absence(demand->atom->condition))
        return take_presence(weaver, index);
    for (size_t i = 0; i < COUNT(ways); i++)
        if ((ways[i].outcome & demand->allowed) != 0 &&
            (!ways[i].is_of_unknown || has_times(demand->atom->condition)) &&
            take_way(weaver, index, &ways[i]))
            return true;
    return take_stranger(weaver, index);
}

enum proof_answer prove_array(struct prover *prover, const struct prove_array *array,
                              struct prove_value *value)
{
    size_t count = array->demands->count;
    struct weaver weaver = { .prover = prover, .array = array, .ways_left = WAYS_MAX };

    weaver.of_all = prove_alloc(prover, 3 * count + 1, sizeof(*weaver.of_all));
    weaver.of_one = prove_alloc(prover, 2 * count + 1, sizeof(*weaver.of_one));
    weaver.elements = prove_alloc(prover, 2 * count + 1, sizeof(*weaver.elements));
    if (weaver.of_all == NULL || weaver.of_one == NULL || weaver.elements == NULL)
        return PROOF_UNDECIDED;
    if (!choose(&weaver, 0))
        return weaver.is_undecided ? PROOF_UNDECIDED : PROOF_NO;
    *value = (struct prove_value){ .kind = PROVE_ARRAY,
                                   .elements = weaver.elements,
                                   .element_count = weaver.element_count };
    return PROOF_YES;
}
