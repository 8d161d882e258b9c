#include <string.h>

#include "base/time_zone.h"
#include "policy/prove_internal.h"

/*
 * The search for a request that a formula holds for. What must hold is asserted: each atom becomes
 * a constraint on its variable, and is looked at together with the others on it at once. Of an "or"
 * one alternative must hold: those that contradict what is asserted are ruled out, one that is left
 * alone is asserted, and only then alternatives are tried, of the "or" with the fewest. So the
 * search ends after few steps for policies that people write; where it does not, it is undecided.
 */

/* ---- one variable ---- */

enum proof_answer prove_variable_check(struct prover *prover, struct prove_variable *variable,
                                       const struct prove_atom *more)
{
    switch (variable->kind) {
    case PROVE_OF_TREE:
        return prove_tree_check(prover, variable, more);
    case PROVE_OF_ADDRESS:
        return prove_address_check(prover, variable, more);
    case PROVE_OF_TIME:
        return prove_time_check(prover, variable, more);
    case PROVE_OF_PROOFS:
        break;
    }
    return prove_proofs_check(prover, variable, more);
}

static bool witness_fits(const struct prove_atom *atom)
{
    const struct prove_variable *variable = atom->variable;

    switch (variable->kind) {
    case PROVE_OF_TREE:
        return prove_allows(atom, &variable->witness);
    case PROVE_OF_ADDRESS:
        return prove_address_allows(atom, variable);
    case PROVE_OF_TIME:
        return prove_time_allows(atom, variable);
    case PROVE_OF_PROOFS:
        break;
    }
    return prove_proofs_allows(atom, variable);
}

static bool is_exact_value(const struct policy_condition *condition)
{
    return condition->test_count == 1 && condition->tests[0].operation == POLICY_ONE_OF &&
           !condition->tests[0].is_negated && condition->tests[0].values.count == 1;
}

/* Whether only one value meets an atom. */
static bool pins(const struct prove_atom *atom)
{
    unsigned others = PROVE_KIND(PROVE_ARRAY);

    if (atom->variable->kind != PROVE_OF_TREE || atom->allowed != PROVE_HOLDS ||
        atom->variable->may_be_element || atom->view == PROVE_WORDS)
        return false;
    if (atom->view == PROVE_COPY_NUMBER)
        others |= PROVE_KIND(PROVE_INTEGER);
    if (atom->question == PROVE_IS_WORD)
        others |= PROVE_KIND(PROVE_BOOLEAN);
    return (atom->variable->kinds & others) == 0 &&
           (atom->question == PROVE_IS_WORD ||
            (atom->question == PROVE_CONDITION && is_exact_value(atom->condition)));
}

static bool are_same_windows(const struct prove_atom *a, const struct prove_atom *b)
{
    if (a->windows.count != b->windows.count)
        return false;
    for (size_t i = 0; i < a->windows.count; i++) {
        const struct policy_window *left = &a->windows.list[i];
        const struct policy_window *right = &b->windows.list[i];

        if (left->weekdays != right->weekdays || left->from_minute != right->from_minute ||
            left->to_minute != right->to_minute ||
            !str_eq(time_zone_name(left->zone), time_zone_name(right->zone)))
            return false;
    }
    return true;
}

/* Whether two atoms ask the same question. */
static bool ask_the_same(const struct prove_atom *a, const struct prove_atom *b)
{
    if (a->question != b->question || a->view != b->view)
        return false;
    if (a->view == PROVE_WORDS && !str_eq(str_from(a->words->fact), str_from(b->words->fact)))
        return false;
    switch (a->question) {
    case PROVE_CONDITION:
        return prove_is_same(a->condition, b->condition);
    case PROVE_IS_WORD:
        return str_eq(str_from(a->word), str_from(b->word));
    case PROVE_IS_TRUTH:
        return a->truth == b->truth;
    case PROVE_PROOFS:
        return a->proofs == b->proofs;
    case PROVE_NETWORKS:
        return prove_are_same_networks(&a->networks, &b->networks);
    case PROVE_SPAN:
        return a->span.from_s == b->span.from_s && a->span.to_s == b->span.to_s;
    case PROVE_WINDOWS:
        break;
    }
    return are_same_windows(a, b);
}

/* What an asserted atom that asks the same says of one. */
static enum prove_status compare_asserted(const struct prove_atom *atom)
{
    for (const struct prove_atom *known = atom->variable->atoms; known != NULL;
         known = known->next) {
        if (!ask_the_same(known, atom))
            continue;
        if ((known->allowed & ~atom->allowed) == 0)
            return PROVE_IMPLIED;
        if ((known->allowed & atom->allowed) == 0)
            return PROVE_IMPOSSIBLE;
    }
    return PROVE_OPEN;
}

static enum prove_status find_status(struct prover *prover, const struct prove_atom *atom)
{
    struct prove_variable *variable = atom->variable;
    bool fits = variable->has_witness && !variable->is_doubtful && witness_fits(atom);
    enum prove_status status;

    if (variable->is_pinned && !variable->is_doubtful)
        return fits ? PROVE_IMPLIED : PROVE_IMPOSSIBLE;
    status = compare_asserted(atom);
    if (status != PROVE_OPEN || fits || variable->atoms == NULL)
        return status;
    return prove_variable_check(prover, variable, atom) == PROOF_NO ? PROVE_IMPOSSIBLE : PROVE_OPEN;
}

static enum prove_status status_of(struct prover *prover, struct prove_atom *atom)
{
    if (atom->stamp == atom->variable->stamp)
        return atom->status;
    (void)prove_spend(prover, 1); /* where there is none left the search ends by itself */
    atom->status = find_status(prover, atom);
    atom->stamp = atom->variable->stamp;
    return atom->status;
}

/* ---- asserting ---- */

/* False: it contradicts what is asserted. */
static bool assert_atom(struct prover *prover, struct prove_atom *atom)
{
    struct prove_variable *variable = atom->variable;
    bool fits = variable->has_witness && !variable->is_doubtful && witness_fits(atom);
    enum proof_answer answer = PROOF_YES;

    if (variable->is_pinned && !variable->is_doubtful)
        return fits;
    if (!fits) {
        if (compare_asserted(atom) == PROVE_IMPOSSIBLE)
            return false;
        answer = prove_variable_check(prover, variable, atom);
        if (answer == PROOF_NO)
            return false;
    }
    atom->next = variable->atoms;
    atom->trail = prover->trail;
    atom->old_stamp = variable->stamp;
    atom->was_pinned = variable->is_pinned;
    atom->was_doubtful = variable->is_doubtful;
    prover->trail = atom;
    variable->atoms = atom;
    variable->stamp = ++prover->last_stamp;
    variable->is_pinned |= answer == PROOF_YES && pins(atom);
    variable->is_doubtful = answer == PROOF_UNDECIDED;
    return variable->kind != PROVE_OF_TREE || prove_tree_around(prover, variable) != PROOF_NO;
}

static void take_back(struct prover *prover, const struct prove_atom *until)
{
    while (prover->trail != until) {
        struct prove_atom *atom = prover->trail;

        prover->trail = atom->trail;
        atom->variable->atoms = atom->next;
        atom->variable->stamp = atom->old_stamp;
        atom->variable->is_pinned = atom->was_pinned;
        atom->variable->is_doubtful = atom->was_doubtful;
    }
}

static bool push_pending(struct prover *prover, struct prove_node *node)
{
    size_t capacity = prover->pending_capacity == 0 ? 256 : 2 * prover->pending_capacity;
    struct prove_node **larger;

    if (prover->pending_count == prover->pending_capacity) {
        larger = arena_alloc_array(prover->arena, capacity, sizeof(struct prove_node *));
        if (larger == NULL) {
            prover->is_out_of_memory = true;
            return false;
        }
        if (prover->pending_count > 0)
            memcpy(larger, prover->pending, prover->pending_count * sizeof(struct prove_node *));
        prover->pending = larger;
        prover->pending_capacity = capacity;
    }
    prover->pending[prover->pending_count++] = node;
    return true;
}

/* Assert a formula; alternatives in it become pending. False: a contradiction, or no memory. */
static bool assert_node(struct prover *prover, struct prove_node *node)
{
    switch (node->kind) {
    case PROVE_NEVER:
        return false;
    case PROVE_ALWAYS:
        return true;
    case PROVE_ATOM:
        return assert_atom(prover, node->atom);
    case PROVE_OR:
        return push_pending(prover, node);
    case PROVE_AND:
        break;
    }
    for (struct prove_node *part = node->first; part != NULL; part = part->next)
        if (!assert_node(prover, part))
            return false;
    return true;
}

/* ---- alternatives ---- */

static enum prove_status status_of_node(struct prover *prover, const struct prove_node *node);

/* Of parts that must all hold. */
static enum prove_status status_of_all(struct prover *prover, const struct prove_node *node)
{
    enum prove_status status = PROVE_IMPLIED;

    for (const struct prove_node *part = node->first; part != NULL; part = part->next) {
        enum prove_status one = status_of_node(prover, part);

        if (one == PROVE_IMPOSSIBLE)
            return one;
        if (one == PROVE_OPEN)
            status = one;
    }
    return status;
}

/* Of parts one of which must hold. */
static enum prove_status status_of_any(struct prover *prover, const struct prove_node *node)
{
    enum prove_status status = PROVE_IMPOSSIBLE;

    for (const struct prove_node *part = node->first; part != NULL; part = part->next) {
        enum prove_status one = status_of_node(prover, part);

        if (one == PROVE_IMPLIED)
            return one;
        if (one == PROVE_OPEN)
            status = one;
    }
    return status;
}

static enum prove_status status_of_node(struct prover *prover, const struct prove_node *node)
{
    switch (node->kind) {
    case PROVE_NEVER:
        return PROVE_IMPOSSIBLE;
    case PROVE_ALWAYS:
        return PROVE_IMPLIED;
    case PROVE_ATOM:
        return status_of(prover, node->atom);
    case PROVE_AND:
        return status_of_all(prover, node);
    case PROVE_OR:
        break;
    }
    return status_of_any(prover, node);
}

/* What is left of an "or". */
struct rest {
    bool is_met;
    size_t count;             /* alternatives that are not ruled out */
    struct prove_node *first; /* of them */
};

static struct rest look_at(struct prover *prover, const struct prove_node *node)
{
    struct rest rest = { 0 };

    for (struct prove_node *part = node->first; part != NULL; part = part->next) {
        enum prove_status status = status_of_node(prover, part);

        if (status == PROVE_IMPLIED)
            return (struct rest){ .is_met = true };
        if (status == PROVE_IMPOSSIBLE)
            continue;
        if (rest.count == 0)
            rest.first = part;
        rest.count++;
    }
    return rest;
}

/* ---- the search ---- */

/* One pass over what is pending. */
struct pass {
    size_t kept; /* where the next one that stays goes */
    size_t fewest;
    size_t fewest_count; /* alternatives that it has */
    bool has_changed;
};

/* Look at a pending "or": it stays, or is met, or its last alternative is asserted. */
static bool pass_over(struct prover *prover, struct prove_node *node, struct pass *pass)
{
    struct rest rest = look_at(prover, node);

    if (rest.is_met)
        return true;
    if (rest.count == 0)
        return false;
    if (rest.count == 1) {
        pass->has_changed = true;
        return assert_node(prover, rest.first);
    }
    if (rest.count < pass->fewest_count) {
        pass->fewest_count = rest.count;
        pass->fewest = pass->kept;
    }
    prover->pending[pass->kept++] = node;
    return true;
}

/*
 * Rule out, and assert what is left alone, until nothing changes. What is pending from `start` on
 * shrinks to what is not met; `*fewest` becomes the one with the fewest alternatives. False: a
 * contradiction.
 */
static bool propagate(struct prover *prover, size_t start, size_t *fewest)
{
    struct pass pass = { .has_changed = true };

    while (pass.has_changed) {
        pass = (struct pass){ start, start, SIZE_MAX, false };
        for (size_t i = start; i < prover->pending_count; i++)
            if (!pass_over(prover, prover->pending[i], &pass))
                return false;
        prover->pending_count = pass.kept;
    }
    *fewest = pass.fewest;
    return !prover->is_out_of_memory;
}

static enum proof_answer search(struct prover *prover, size_t start);

/* What is pending from `start` on but one, once more behind it: for a deeper level. */
static bool copy_pending(struct prover *prover, size_t start, size_t end, size_t except)
{
    for (size_t i = start; i < end; i++)
        if (i != except && !push_pending(prover, prover->pending[i]))
            return false;
    return true;
}

/* Try the alternatives of the "or" at `chosen`. */
static enum proof_answer try_alternatives(struct prover *prover, size_t start, size_t chosen)
{
    const struct prove_node *node = prover->pending[chosen];
    const struct prove_atom *trail = prover->trail;
    size_t end = prover->pending_count;
    bool is_undecided = false;

    for (struct prove_node *part = node->first; part != NULL; part = part->next) {
        enum proof_answer answer = PROOF_NO;

        if (status_of_node(prover, part) == PROVE_IMPOSSIBLE)
            continue;
        if (prover->steps_left == 0)
            return PROOF_UNDECIDED;
        if (copy_pending(prover, start, end, chosen) && assert_node(prover, part))
            answer = search(prover, end);
        if (answer == PROOF_YES)
            return answer;
        is_undecided |= answer == PROOF_UNDECIDED;
        take_back(prover, trail);
        prover->pending_count = end;
    }
    return is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}

/* All is asserted: find values that fit below each other, and show them. */
static enum proof_answer finish(struct prover *prover)
{
    struct prove_variable *const roots[] = { prover->claims, prover->facts, prover->actor_claims };

    if (prover->address.is_doubtful || prover->time.is_doubtful)
        return PROOF_UNDECIDED;
    for (size_t i = 0; i < COUNT(roots); i++) {
        enum proof_answer answer = prove_tree_solve(prover, roots[i]);

        if (answer != PROOF_YES)
            return answer;
    }
    if (prover->example != NULL && !prove_example(prover, prover->example, prover->error))
        prover->is_out_of_memory = true;
    return PROOF_YES;
}

static enum proof_answer search(struct prover *prover, size_t start)
{
    size_t fewest = start;

    if (!propagate(prover, start, &fewest))
        return PROOF_NO;
    if (prover->pending_count == start)
        return finish(prover);
    return try_alternatives(prover, start, fewest);
}

enum proof_answer prove_search(struct prover *prover, struct prove_node *formula)
{
    prover->pending_count = 0;
    prover->trail = NULL;
    if (!assert_node(prover, formula))
        return PROOF_NO;
    return search(prover, 0);
}
