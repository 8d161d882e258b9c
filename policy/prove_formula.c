#include <string.h>

#include "policy/policy_rails.h"
#include "policy/prove_internal.h"

/*
 * A term as a formula: what a stage asks of a request, or that one of its demands is not met. For
 * one issuer and one actor at a time, so that what is asked of them is decided while it is built,
 * and the type of each claim is known.
 */

/* ---- nodes ---- */

static struct prove_node *new_node(struct prover *prover, enum prove_node_kind kind)
{
    struct prove_node *node = prove_alloc(prover, 1, sizeof(*node));

    if (node != NULL)
        node->kind = kind;
    return node;
}

static struct prove_node *constant(struct prover *prover, bool holds)
{
    return new_node(prover, holds ? PROVE_ALWAYS : PROVE_NEVER);
}

/* Add a part to an "and" or an "or". NULL, which is for no memory, is passed over. */
static void add(struct prove_node *node, struct prove_node *part)
{
    enum prove_node_kind decides =
        node != NULL && node->kind == PROVE_OR ? PROVE_ALWAYS : PROVE_NEVER;

    if (node == NULL || part == NULL || (node->kind != PROVE_AND && node->kind != PROVE_OR))
        return;
    if (part->kind == decides) {
        node->kind = decides;
        return;
    }
    if (part->kind == PROVE_ALWAYS || part->kind == PROVE_NEVER)
        return;
    if (part->kind == node->kind && part->first != NULL) {
        struct prove_node *last = part->last;

        part = part->first; /* and all behind it */
        if (node->first == NULL)
            node->first = part;
        else
            node->last->next = part;
        node->last = last;
        return;
    }
    if (node->first == NULL)
        node->first = part;
    else
        node->last->next = part;
    node->last = part;
}

/* All parts are added: what it comes to. */
static struct prove_node *closed(struct prove_node *node)
{
    if (node == NULL || (node->kind != PROVE_AND && node->kind != PROVE_OR))
        return node;
    if (node->first == NULL) {
        node->kind = node->kind == PROVE_AND ? PROVE_ALWAYS : PROVE_NEVER;
        return node;
    }
    return node->first == node->last ? node->first : node;
}

/* ---- atoms ---- */

static struct prove_node *new_atom(struct prover *prover, struct prove_variable *variable,
                                   const struct prove_atom *what)
{
    struct prove_node *node = new_node(prover, PROVE_ATOM);
    struct prove_atom *atom = prove_alloc(prover, 1, sizeof(*atom));

    if (node == NULL || atom == NULL || variable == NULL)
        return NULL;
    *atom = *what;
    atom->variable = variable;
    node->atom = atom;
    return node;
}

/* What a condition comes to whatever the request is: of a value that is known already. */
static struct prove_node *decided(struct prover *prover, const struct prove_atom *what,
                                  const struct prove_value *value)
{
    return constant(prover, prove_allows(what, value));
}

static const struct claim_copy *find_copy(const struct policy_issuer *issuer, const char *fact)
{
    for (size_t i = 0; issuer->copies != NULL && i < issuer->copies->count; i++)
        if (str_eq(str_from(issuer->copies->rows[i].fact), str_from(fact)))
            return &issuer->copies->rows[i];
    return NULL;
}

/* The claim that a fact follows from alone; NULL: there is none. */
static const char *find_claim_of_words(const struct policy_issuer *issuer, const char *fact)
{
    for (size_t i = 0; issuer->words != NULL && i < issuer->words->count; i++)
        if (str_eq(str_from(issuer->words->rows[i].fact), str_from(fact)))
            return issuer->words->rows[i].claim;
    return NULL;
}

/* Add a text to sorted ones, once. */
static void add_text(struct str *texts, size_t *count, struct str text)
{
    size_t at = *count;

    for (size_t i = 0; i < *count; i++)
        if (str_eq(texts[i], text))
            return;
    for (; at > 0 && str_compare(texts[at - 1], text) > 0; at--)
        texts[at] = texts[at - 1];
    texts[at] = text;
    (*count)++;
}

/* NULL without memory. */
static const struct prove_words *make_words(struct prover *prover, const char *fact)
{
    const struct claim_words *rows = prover->issuer->words;
    const struct claim *type = claim_find(prover->ci_facts, str_from(fact));
    struct prove_words *words = prove_alloc(prover, 1, sizeof(*words));
    struct str *texts = prove_alloc(prover, rows->count, sizeof(*texts));
    size_t count = 0;

    if (words == NULL || texts == NULL)
        return NULL;
    for (size_t i = 0; i < rows->count; i++)
        if (str_eq(str_from(rows->rows[i].fact), str_from(fact)))
            add_text(texts, &count, str_from(rows->rows[i].word));
    *words = (struct prove_words){ .fact = fact,
                                   .is_boolean = type != NULL && type->type == CLAIM_BOOLEAN,
                                   .rows = rows,
                                   .values = { .texts = texts, .count = count } };
    return words;
}

/* A question on a fact that follows from a claim. */
static struct prove_node *ask_words(struct prover *prover, const char *fact, const char *claim,
                                    const struct prove_atom *what)
{
    struct prove_atom atom = *what;

    atom.view = PROVE_WORDS;
    atom.is_of_objects_only = true;
    atom.words = make_words(prover, fact);
    if (atom.words == NULL)
        return NULL;
    return new_atom(prover, prove_variable_named(prover, prover->claims, claim), &atom);
}

/* A question on a fact: on the claim that it is copied from or follows from, if there is one. */
static struct prove_node *ask_fact(struct prover *prover, const char *fact,
                                   const struct prove_atom *what)
{
    static const enum prove_view views[] = {
        [CLAIM_FORM_UNKNOWN] = PROVE_COPY_UNKNOWN,
        [CLAIM_FORM_NONE] = PROVE_COPY_NONE,
        [CLAIM_FORM_NUMBER] = PROVE_COPY_NUMBER,
    };
    static const struct prove_value unknown = { .kind = PROVE_UNKNOWN };
    const struct claim_copy *copy = find_copy(prover->issuer, fact);
    const char *claim = find_claim_of_words(prover->issuer, fact);
    struct prove_atom atom = *what;

    if (prover->issuer->fill_ci == NULL)
        return decided(prover, what, &unknown);
    if (copy == NULL && claim != NULL)
        return ask_words(prover, fact, claim, what);
    if (copy == NULL)
        return new_atom(prover, prove_variable_named(prover, prover->facts, fact), what);
    atom.view = views[copy->form];
    atom.is_of_objects_only = true;
    return new_atom(prover, prove_variable_named(prover, prover->claims, copy->claim), &atom);
}

/* A question on an actor's claim that says nothing unless it is verified. */
static struct prove_node *ask_verified(struct prover *prover, struct prove_variable *variable,
                                       const struct prove_atom *what)
{
    struct prove_atom is_verified = { .question = PROVE_IS_TRUTH,
                                      .truth = true,
                                      .allowed = PROVE_HOLDS };
    struct prove_variable *flag =
        prove_variable_named(prover, prover->actor_claims, "email_verified");
    struct prove_node *verified = new_node(prover, PROVE_AND);
    struct prove_node *unproven = new_node(prover, PROVE_AND);
    struct prove_node *either = new_node(prover, PROVE_OR);
    struct prove_atom blind = *what;

    blind.view = PROVE_UNPROVEN;
    add(verified, new_atom(prover, flag, &is_verified));
    add(verified, new_atom(prover, variable, what));
    is_verified.allowed = PROVE_FAILS;
    add(unproven, new_atom(prover, flag, &is_verified));
    add(unproven, new_atom(prover, variable, &blind));
    add(either, closed(verified));
    add(either, closed(unproven));
    return closed(either);
}

static struct prove_node *ask_actor(struct prover *prover, const struct prove_atom *what)
{
    static const struct prove_value absent = { .kind = PROVE_ABSENT };
    struct prove_value issuer = { .kind = PROVE_TEXT };
    struct prove_variable *variable;
    struct prove_atom atom = *what;

    prover->asks_for_actor = true;
    if (prover->actor == NULL)
        return decided(prover, what, &absent);
    if (what->condition->source == POLICY_SOURCE_ACTOR_ISSUER) {
        issuer.text = prover->actor->name;
        return decided(prover, what, &issuer);
    }
    /* a pointer is that of a row, which goes through objects only */
    atom.is_of_objects_only = true;
    variable = prove_variable_named(prover, prover->actor_claims, what->condition->key);
    if (what->condition->is_address)
        return ask_verified(prover, variable, &atom);
    return new_atom(prover, variable, &atom);
}

/* That a condition comes to one of the allowed outcomes. */
static struct prove_node *ask(struct prover *prover, const struct policy_condition *condition,
                              unsigned allowed)
{
    const struct prove_atom what = { .question = PROVE_CONDITION,
                                     .condition = condition,
                                     .allowed = allowed };

    switch (condition->source) {
    case POLICY_SOURCE_CLAIM:
        return new_atom(prover,
                        prove_variable_at(prover, prover->claims,
                                          (const char *const[]){ condition->key, NULL }),
                        &what);
    case POLICY_SOURCE_POINTER:
        return new_atom(prover, prove_variable_at(prover, prover->claims, condition->path), &what);
    case POLICY_SOURCE_CI:
        return ask_fact(prover, condition->key, &what);
    case POLICY_SOURCE_ADDRESS:
        return new_atom(prover, &prover->address, &what);
    case POLICY_SOURCE_ACTOR:
    case POLICY_SOURCE_ACTOR_ISSUER:
        break;
    }
    return ask_actor(prover, &what);
}

/* ---- maps and clauses ---- */

#define NOT_HOLDS (PROVE_FAILS | PROVE_CANNOT_SAY)
#define NOT_FAILS (PROVE_HOLDS | PROVE_CANNOT_SAY)

/* That each condition of a map comes to one of the allowed outcomes, or that one of them does. */
static struct prove_node *ask_map(struct prover *prover, const struct policy_map *map,
                                  enum prove_node_kind kind, unsigned allowed)
{
    struct prove_node *node = new_node(prover, kind);

    for (size_t i = 0; i < map->count; i++)
        add(node, ask(prover, &map->conditions[i], allowed));
    return closed(node);
}

/* Some of a clause's maps. */
struct selection {
    size_t only;    /* counted from 1; 0: all */
    size_t without; /* 0: none is left out */
};

static bool is_selected(struct selection selection, size_t index)
{
    return (selection.only == 0 || selection.only == index + 1) && selection.without != index + 1;
}

static struct prove_node *ask_when(struct prover *prover, const struct policy_clause *clause,
                                   struct selection selection, bool is_negated)
{
    struct prove_node *node = new_node(prover, is_negated ? PROVE_AND : PROVE_OR);

    if (clause->count == 0)
        return constant(prover, !is_negated);
    for (size_t i = 0; i < clause->count; i++)
        if (is_selected(selection, i))
            add(node, is_negated ? ask_map(prover, &clause->maps[i], PROVE_OR, NOT_HOLDS)
                                 : ask_map(prover, &clause->maps[i], PROVE_AND, PROVE_HOLDS));
    return closed(node);
}

static struct prove_node *ask_unless(struct prover *prover, const struct policy_clause *clause,
                                     struct selection selection, bool is_negated)
{
    struct prove_node *node = new_node(prover, is_negated ? PROVE_OR : PROVE_AND);

    for (size_t i = 0; i < clause->count; i++)
        if (is_selected(selection, i))
            add(node, is_negated ? ask_map(prover, &clause->maps[i], PROVE_AND, NOT_FAILS)
                                 : ask_map(prover, &clause->maps[i], PROVE_OR, PROVE_FAILS));
    return closed(node);
}

static bool has_issuer(const struct policy_identity_map *map, struct str name)
{
    for (size_t i = 0; i < map->issuer_count; i++)
        if (str_eq(map->issuers[i]->name, name))
            return true;
    return false;
}

static struct prove_node *ask_identity(struct prover *prover,
                                       const struct policy_pipeline *pipeline,
                                       struct selection selection, bool is_negated)
{
    struct prove_node *node = new_node(prover, is_negated ? PROVE_AND : PROVE_OR);

    for (size_t i = 0; i < pipeline->identity.count; i++) {
        const struct policy_map *map = &pipeline->identity.maps[i];

        if (!is_selected(selection, i) ||
            !has_issuer(&pipeline->identity_maps[i], prover->issuer->name))
            continue;
        add(node, is_negated ? ask_map(prover, map, PROVE_OR, NOT_HOLDS)
                             : ask_map(prover, map, PROVE_AND, PROVE_HOLDS));
    }
    return closed(node);
}

/* ---- dangers ---- */

/* A question that only keeps a danger away: no example mentions what it is of for that. */
static struct prove_node *ask_danger(struct prover *prover, const struct claim_danger *danger,
                                     unsigned allowed)
{
    struct prove_atom what = { .question = PROVE_IS_WORD,
                               .word = danger->claim != NULL ? danger->value : danger->fact_value,
                               .allowed = allowed,
                               .is_of_danger = allowed == PROVE_FAILS,
                               .is_of_objects_only = true };

    if (danger->claim != NULL)
        return new_atom(prover, prove_variable_named(prover, prover->claims, danger->claim), &what);
    return ask_fact(prover, danger->fact + strlen("ci."), &what);
}

static struct prove_node *ask_harmless(struct prover *prover, const struct claim_danger *danger,
                                       unsigned allowed)
{
    const struct prove_atom what = { .question = PROVE_IS_TRUTH,
                                     .truth = false,
                                     .allowed = allowed };

    return ask_fact(prover, danger->harmless + strlen("ci."), &what);
}

static bool map_names(const struct policy_map *map, const struct claim_danger *danger)
{
    for (size_t i = 0; i < map->count; i++)
        if (policy_condition_names(&map->conditions[i], danger))
            return true;
    return false;
}

/* That a map holds which names a danger; of the negation, that none does. */
static void add_naming(struct prover *prover, struct prove_node *node, const struct policy_map *map,
                       const struct claim_danger *danger, bool is_negated)
{
    if (map_names(map, danger))
        add(node, is_negated ? ask_map(prover, map, PROVE_OR, NOT_HOLDS)
                             : ask_map(prover, map, PROVE_AND, PROVE_HOLDS));
}

/* The same of each map of a stage that may name one. */
static void add_all_naming(struct prover *prover, struct prove_node *node,
                           const struct proof_term *term, const struct claim_danger *danger)
{
    const struct policy_stage_rule *stage = policy_rule_of(term->stage);
    const struct policy_pipeline *pipeline = stage->pipeline;
    const struct selection of_stage = { .only = term->only_when };
    const struct selection of_pipeline = { .only = term->only_pipeline_when };
    const struct selection of_identity = { .only = term->only_identity };

    for (size_t i = 0; i < stage->when.count; i++)
        if (is_selected(of_stage, i))
            add_naming(prover, node, &stage->when.maps[i], danger, term->is_negated);
    for (size_t i = 0; i < pipeline->when.count; i++)
        if (is_selected(of_pipeline, i))
            add_naming(prover, node, &pipeline->when.maps[i], danger, term->is_negated);
    for (size_t i = 0; i < pipeline->identity.count; i++)
        if (is_selected(of_identity, i) &&
            has_issuer(&pipeline->identity_maps[i], prover->issuer->name))
            add_naming(prover, node, &pipeline->identity.maps[i], danger, term->is_negated);
}

/* That a danger is not there or named; or that it is there and not named. */
static struct prove_node *ask_danger_named(struct prover *prover, const struct proof_term *term,
                                           const struct claim_danger *danger)
{
    bool is_negated = term->is_negated;
    struct prove_node *node = new_node(prover, is_negated ? PROVE_AND : PROVE_OR);

    add(node, ask_danger(prover, danger, is_negated ? PROVE_HOLDS : PROVE_FAILS));
    if (danger->harmless != NULL)
        add(node, ask_harmless(prover, danger, is_negated ? PROVE_FAILS : PROVE_HOLDS));
    add_all_naming(prover, node, term, danger);
    return closed(node);
}

static struct prove_node *ask_dangers(struct prover *prover, const struct proof_term *term)
{
    const struct claim_dangers *dangers = prover->issuer->dangers;
    struct prove_node *node = new_node(prover, term->is_negated ? PROVE_OR : PROVE_AND);

    for (size_t i = 0; dangers != NULL && i < dangers->count; i++)
        add(node, ask_danger_named(prover, term, &dangers->rows[i]));
    return closed(node);
}

/* ---- what is not of claims ---- */

static struct prove_node *ask_proofs(struct prover *prover, unsigned proofs, bool is_negated)
{
    const struct prove_atom what = { .question = PROVE_PROOFS,
                                     .proofs = proofs,
                                     .allowed = is_negated ? PROVE_FAILS : PROVE_HOLDS };

    return proofs == 0 ? constant(prover, !is_negated) : new_atom(prover, &prover->proofs, &what);
}

static struct prove_node *ask_networks(struct prover *prover, struct policy_networks networks,
                                       bool is_negated)
{
    const struct prove_atom what = { .question = PROVE_NETWORKS,
                                     .networks = networks,
                                     .allowed = is_negated ? PROVE_FAILS : PROVE_HOLDS };

    return networks.count == 0 ? constant(prover, !is_negated)
                               : new_atom(prover, &prover->address, &what);
}

static struct prove_node *ask_span(struct prover *prover, int64_t from_s, int64_t to_s,
                                   bool is_negated)
{
    const struct prove_atom what = { .question = PROVE_SPAN,
                                     .span = { from_s, to_s },
                                     .allowed = is_negated ? PROVE_FAILS : PROVE_HOLDS };

    return from_s >= to_s ? constant(prover, is_negated) : new_atom(prover, &prover->time, &what);
}

static struct prove_node *ask_before(struct prover *prover, int64_t end_s, bool is_negated)
{
    return end_s == 0 ? constant(prover, !is_negated)
                      : ask_span(prover, INT64_MIN, end_s, is_negated);
}

static struct prove_node *ask_windows(struct prover *prover, const struct policy_stage_rule *stage,
                                      bool is_negated)
{
    const struct prove_atom what = { .question = PROVE_WINDOWS,
                                     .windows = { stage->during, stage->during_count },
                                     .allowed = is_negated ? PROVE_FAILS : PROVE_HOLDS };

    return stage->during_count == 0 ? constant(prover, !is_negated)
                                    : new_atom(prover, &prover->time, &what);
}

/* ---- guardrails ---- */

static struct prove_node *ask_require(struct prover *prover, const struct policy_require_rule *rule,
                                      const struct policy_stage_rule *stage, bool is_negated)
{
    struct prove_node *node = new_node(prover, is_negated ? PROVE_OR : PROVE_AND);
    int64_t end_s = 0;

    if (rule->has_review && stage->shown.review_by_s != 0)
        end_s = stage->shown.review_by_s + rule->review_grace_s;
    add(node, constant(prover, policy_demands_hold(rule, stage) != is_negated));
    add(node, ask_when(prover, &rule->when, (struct selection){ 0 }, is_negated));
    add(node, ask_before(prover, end_s, is_negated));
    add(node, ask_proofs(prover, rule->proofs, is_negated));
    add(node, ask_networks(prover, rule->from, is_negated));
    return closed(node);
}

/* That a guardrail which looks at the request and the time lets it through, or an exception does.
 */
static struct prove_node *ask_rail(struct prover *prover, const struct policy_rail *rail,
                                   const struct policy_stage_rule *stage, bool is_negated)
{
    const struct policy_guardrail *guardrail = rail->guardrail;
    struct prove_node *node = new_node(prover, is_negated ? PROVE_AND : PROVE_OR);

    if (rail->exempt_until_s != 0)
        add(node, ask_before(prover, rail->exempt_until_s, is_negated));
    if (guardrail->kind == POLICY_GUARDRAIL_REQUIRE)
        add(node, ask_require(prover, &guardrail->require, stage, is_negated));
    else
        add(node, ask_span(prover, guardrail->freeze.from_s, guardrail->freeze.to_s, !is_negated));
    return closed(node);
}

/* What else guardrails say is of grants, not of who is let in. */
static bool looks_at_requests(const struct policy_guardrail *guardrail)
{
    return !guardrail->is_warning && (guardrail->kind == POLICY_GUARDRAIL_REQUIRE ||
                                      guardrail->kind == POLICY_GUARDRAIL_FREEZE);
}

static struct prove_node *ask_rails(struct prover *prover, const struct proof_term *term)
{
    const struct policy_stage_rule *stage = policy_rule_of(term->stage);
    const struct policy_rails *rails =
        policy_rails_of(policy_linked_of(term->policy, term->stage), stage);
    struct prove_node *node = new_node(prover, term->is_negated ? PROVE_OR : PROVE_AND);

    for (size_t i = 0; rails != NULL && i < rails->count; i++)
        if (looks_at_requests(rails->list[i].guardrail))
            add(node, ask_rail(prover, &rails->list[i], stage, term->is_negated));
    return closed(node);
}

/* ---- a stage ---- */

struct prove_node *prove_formula(struct prover *prover, const struct proof_term *term)
{
    const struct policy_stage_rule *stage = policy_rule_of(term->stage);
    const struct policy_pipeline *pipeline = stage->pipeline;
    bool is_negated = term->is_negated;
    struct prove_node *node = new_node(prover, is_negated ? PROVE_OR : PROVE_AND);

    add(node, ask_identity(prover, pipeline, (struct selection){ .only = term->only_identity },
                           is_negated));
    add(node, ask_when(prover, &pipeline->when,
                       (struct selection){ .only = term->only_pipeline_when }, is_negated));
    add(node,
        ask_when(prover, &stage->when, (struct selection){ .only = term->only_when }, is_negated));
    add(node,
        ask_unless(prover, &pipeline->unless,
                   (struct selection){ .without = term->without_pipeline_unless }, is_negated));
    add(node, ask_unless(prover, &stage->unless,
                         (struct selection){ .without = term->without_unless }, is_negated));
    add(node, ask_dangers(prover, term));
    add(node, ask_proofs(prover, stage->proofs, is_negated));
    add(node, ask_networks(prover, stage->from, is_negated));
    add(node, ask_before(prover, stage->shown.until_s, is_negated));
    add(node, ask_windows(prover, stage, is_negated));
    add(node, ask_rails(prover, term));
    return closed(node);
}
