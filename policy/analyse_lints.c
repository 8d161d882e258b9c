#include <string.h>

#include "base/json.h"
#include "policy/analyse_internal.h"
#include "policy/policy_rails.h"

/*
 * A lint is about one condition that is too little by itself. Whether it is harmless is asked of
 * the whole stage: another condition of the same map, or of every map of another clause, makes up
 * for it. So does a condition that a guardrail adds.
 */

#define SHOWN_MAX 64 /* lints of a pipeline that are remembered, so that each is shown once */

/* What lints of a pipeline's stages were shown already: conditions of a pipeline are those of each
 * of its stages. */
struct shown {
    const struct policy_condition *conditions[SHOWN_MAX];
    const char *rules[SHOWN_MAX];
    size_t count;
};

struct linting {
    struct analysed stage;
    struct findings *findings;
    struct shown *shown;
    bool has_found; /* something in this stage */
};

/* ---- conditions ---- */

static bool is_positive(const struct policy_condition *condition)
{
    for (size_t i = 0; i < condition->test_count; i++)
        if (!condition->tests[i].is_negated && condition->tests[i].operation != POLICY_ABSENT &&
            condition->tests[i].operation != POLICY_EXISTS)
            return true;
    return false;
}

/* A name of a row: one that ends with '/' or ':' is of all that start so. */
static bool is_named(struct str name, const char *row)
{
    struct str wanted = str_from(row);
    char end = row[wanted.len - 1];

    return end == '/' || end == ':' ? str_starts_with(name, wanted) : str_eq(name, wanted);
}

static bool is_one_of(struct str name, const char *const *rows)
{
    for (size_t i = 0; rows != NULL && rows[i] != NULL; i++)
        if (is_named(name, rows[i]))
            return true;
    return false;
}

static bool map_names(const struct policy_map *map, const char *const *rows)
{
    for (size_t i = 0; i < map->count; i++)
        if (is_one_of(map->conditions[i].name, rows))
            return true;
    return false;
}

/* Whether a clause asks for one of the names however it holds. */
static bool clause_names(const struct policy_clause *clause, const char *const *rows)
{
    for (size_t i = 0; i < clause->count; i++)
        if (!map_names(&clause->maps[i], rows))
            return false;
    return clause->count > 0;
}

static bool rails_name(const struct analysed *stage, const char *const *rows)
{
    const struct policy_rails *rails = policy_rails_of(stage->linked, stage->stage);

    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        const struct policy_guardrail *guardrail = rails->list[i].guardrail;

        if (guardrail->kind == POLICY_GUARDRAIL_REQUIRE && !guardrail->is_warning &&
            rails->list[i].exempt_until_s == 0 && clause_names(&guardrail->require.when, rows))
            return true;
    }
    return false;
}

/* ---- a stage's clauses ---- */

/* The clauses that let a stage's jobs in. */
#define LETTING_MAX 3

static size_t letting_clauses(const struct analysed *stage,
                              const struct policy_clause *clauses[LETTING_MAX])
{
    const struct policy_pipeline *pipeline = stage->linked->pipeline;

    clauses[0] = &pipeline->identity;
    clauses[1] = &pipeline->when;
    clauses[2] = &stage->stage->when;
    return LETTING_MAX;
}

static bool is_harmless(const struct analysed *stage, const struct policy_clause *clause,
                        const struct policy_map *map, const char *const *rows)
{
    const struct policy_clause *clauses[LETTING_MAX];
    size_t count = letting_clauses(stage, clauses);

    if (rows == NULL)
        return false;
    if (map_names(map, rows) || rails_name(stage, rows))
        return true;
    for (size_t i = 0; i < count; i++)
        if (clauses[i] != clause && clause_names(clauses[i], rows))
            return true;
    return false;
}

/* ---- rows of a profile ---- */

static bool test_has(const struct policy_test *test, struct str piece)
{
    if (test->is_negated)
        return false;
    if (test->operation == POLICY_LIKE)
        return str_contains(test->glob->text, piece);
    if (test->operation != POLICY_ONE_OF || test->values.texts == NULL)
        return false;
    for (size_t i = 0; i < test->values.count; i++)
        if (str_contains(test->values.texts[i], piece))
            return true;
    return false;
}

static bool condition_has(const struct policy_condition *condition, const char *piece)
{
    for (size_t i = 0; piece != NULL && i < condition->test_count; i++)
        if (test_has(&condition->tests[i], str_from(piece)))
            return true;
    return piece == NULL;
}

static bool is_new(struct shown *shown, const struct policy_condition *condition, const char *rule)
{
    for (size_t i = 0; i < shown->count; i++)
        if (shown->conditions[i] == condition && strcmp(shown->rules[i], rule) == 0)
            return false;
    if (shown->count < SHOWN_MAX) {
        shown->conditions[shown->count] = condition;
        shown->rules[shown->count++] = rule;
    }
    return true;
}

struct position analysed_place(const struct analysed *stage,
                               const struct policy_condition *condition)
{
    return policy_spot_position(condition->spot, stage->linked->pipeline->file, stage->stage);
}

/* Warn of a condition; of one that stands in a template, where it is used. */
static void warn_of(struct linting *linting, const struct policy_condition *condition,
                    const char *rule, const char *message, struct str hint)
{
    struct finding finding = { .severity = DIAGNOSTIC_WARNING, .rule = rule, .hint = hint };
    char text[DIAGNOSTIC_TEXT_MAX];

    linting->has_found = true;
    if (!is_new(linting->shown, condition, rule))
        return;
    (void)snprintf(text, sizeof(text), "'" STR_FMT "' %s",
                   STR_ARG(str_slice(condition->name, 0, 100)), message);
    finding.message = str_from(text);
    finding.at = analysed_place(&linting->stage, condition);
    if (condition->spot.is_of_template) {
        finding.related = policy_stage_position(linting->stage.stage);
        finding.related_note = STR("used here");
    }
    findings_add(linting->findings, &finding);
}

/* What lints for production are about. */
static bool is_production(const struct analysed *stage)
{
    return str_starts_with(stage->stage->shown.environment, STR("prod"));
}

static void try_lint(struct linting *linting, const struct claim_lint *lint,
                     const struct policy_clause *clause, const struct policy_map *map,
                     const struct policy_condition *condition)
{
    if (is_one_of(condition->name, lint->claims) && condition_has(condition, lint->has) &&
        (!lint->is_of_production || is_production(&linting->stage)) &&
        !is_harmless(&linting->stage, clause, map, lint->unless))
        warn_of(linting, condition, lint->rule, lint->message, str_from(lint->hint));
}

static void try_lints(struct linting *linting, const struct policy_identity_map *issuers,
                      const struct policy_clause *clause, const struct policy_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        if (!is_positive(&map->conditions[i]))
            continue;
        for (size_t k = 0; k < issuers->issuer_count; k++) {
            const struct claim_lints *lints = issuers->issuers[k]->lints;

            for (size_t m = 0; lints != NULL && m < lints->count; m++)
                try_lint(linting, &lints->rows[m], clause, map, &map->conditions[i]);
        }
    }
}

/* The rows of every issuer that a map's conditions can be of. */
static void lint_map(struct linting *linting, const struct policy_clause *clause, size_t index)
{
    const struct policy_pipeline *pipeline = linting->stage.linked->pipeline;
    bool is_identity = clause == &pipeline->identity;

    for (size_t i = 0; i < pipeline->identity.count; i++)
        if (!is_identity || i == index)
            try_lints(linting, &pipeline->identity_maps[i], clause, &clause->maps[index]);
}

static void lint_clauses(struct linting *linting)
{
    const struct policy_clause *clauses[LETTING_MAX];
    size_t count = letting_clauses(&linting->stage, clauses);

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < clauses[i]->count; k++)
            lint_map(linting, clauses[i], k);
}

/* ---- production ---- */

/* The flags of a condition's claim at an issuer, and of the claim that a fact is there. */
static unsigned flags_at(const struct policy_issuer *issuer, struct str name)
{
    struct str fact = str_slice(name, sizeof("ci.") - 1, name.len);
    const struct claim *claim = claim_find(&issuer->claims, name);

    for (size_t i = 0; issuer->copies != NULL && i < issuer->copies->count; i++)
        if (str_starts_with(name, STR("ci.")) &&
            str_eq(str_from(issuer->copies->rows[i].fact), fact))
            claim = claim_find(&issuer->claims, str_from(issuer->copies->rows[i].claim));
    return claim == NULL ? 0 : claim->flags;
}

static unsigned flags_of(const struct analysed *stage, const struct policy_condition *condition)
{
    const struct policy_pipeline *pipeline = stage->linked->pipeline;
    unsigned flags = 0;

    if (condition->source == POLICY_SOURCE_CI) {
        const struct claim *fact =
            claim_find(stage->policy->world->ci_facts, str_from(condition->key));

        flags = fact == NULL ? 0 : fact->flags;
    }
    for (size_t i = 0; i < pipeline->identity.count; i++)
        for (size_t k = 0; k < pipeline->identity_maps[i].issuer_count; k++)
            flags |= flags_at(pipeline->identity_maps[i].issuers[k], condition->name);
    return flags;
}

/* What a map asks for besides whose token it is. */
enum weight {
    ASKS_NOTHING,
    ASKS_NAMES, /* that can be renamed, or are chosen by who starts the job */
    ASKS_MORE,
};

static enum weight condition_weight(const struct analysed *stage,
                                    const struct policy_condition *condition)
{
    unsigned flags = flags_of(stage, condition);

    if ((flags & (CLAIM_ID | CLAIM_OWNER_ID)) != 0)
        return ASKS_NOTHING;
    if (!is_positive(condition))
        return ASKS_NOTHING;
    return (flags & (CLAIM_CAN_BE_RENAMED | CLAIM_SET_BY_USER)) != 0 ? ASKS_NAMES : ASKS_MORE;
}

static enum weight map_weight(const struct analysed *stage, const struct policy_map *map)
{
    enum weight most = ASKS_NOTHING;

    for (size_t i = 0; i < map->count; i++) {
        enum weight weight = condition_weight(stage, &map->conditions[i]);

        most = weight > most ? weight : most;
    }
    return most;
}

/* The least that a clause asks for, whichever of its maps holds. */
static enum weight clause_weight(const struct analysed *stage, const struct policy_clause *clause)
{
    enum weight least = clause->count > 0 ? ASKS_MORE : ASKS_NOTHING;

    for (size_t i = 0; i < clause->count; i++) {
        enum weight weight = map_weight(stage, &clause->maps[i]);

        least = weight < least ? weight : least;
    }
    return least;
}

static enum weight stage_weight(const struct analysed *stage)
{
    const struct policy_clause *clauses[LETTING_MAX];
    size_t count = letting_clauses(stage, clauses);
    const struct policy_rails *rails = policy_rails_of(stage->linked, stage->stage);
    enum weight most = stage->stage->proofs != 0 ? ASKS_MORE : ASKS_NOTHING;

    for (size_t i = 0; i < count; i++) {
        enum weight weight = clause_weight(stage, clauses[i]);

        most = weight > most ? weight : most;
    }
    for (size_t i = 0; rails != NULL && i < rails->count; i++)
        if (rails->list[i].guardrail->kind == POLICY_GUARDRAIL_REQUIRE &&
            rails->list[i].guardrail->require.when.count > 0)
            most = ASKS_MORE;
    return stage->stage->shown.obligations.approval != NULL ? ASKS_MORE : most;
}

static void lint_weight(struct linting *linting)
{
    enum weight weight = stage_weight(&linting->stage);
    struct finding finding = { .severity = DIAGNOSTIC_WARNING,
                               .at = policy_stage_position(linting->stage.stage),
                               .rule = "production-without-conditions",
                               .message = STR("every job of this identity gets this stage of "
                                              "production: nothing else is asked for"),
                               .hint = STR("add a 'when': the ref, the environment, the "
                                           "workflow's commit") };

    if (weight == ASKS_MORE || linting->has_found)
        return;
    if (weight == ASKS_NAMES) {
        finding.rule = "production-by-names";
        finding.message = STR("all that this stage of production asks for can be renamed, or is "
                              "chosen by whoever starts the job");
        finding.hint = STR("add a condition on what they cannot choose");
    }
    findings_add(linting->findings, &finding);
}

/* ---- dangers ---- */

static bool has_value(const struct policy_condition *condition, const char *value)
{
    struct str text = str_from(value);

    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];

        if (test->operation != POLICY_ONE_OF || test->is_negated)
            continue;
        for (size_t k = 0; k < test->values.count; k++)
            if (test->values.texts != NULL
                    ? str_eq(test->values.texts[k], text)
                    : (test->values.integers[k] != 0) == str_eq(text, STR("true")))
                return true;
    }
    return false;
}

static bool names_danger(const struct policy_condition *condition,
                         const struct claim_danger *danger)
{
    if (danger->claim != NULL && str_eq(condition->name, str_from(danger->claim)))
        return has_value(condition, danger->value);
    return danger->fact != NULL && str_eq(condition->name, str_from(danger->fact)) &&
           has_value(condition, danger->fact_value);
}

static void lint_dangers(struct linting *linting, const struct policy_condition *condition,
                         const struct policy_issuer *issuer)
{
    const struct claim_dangers *dangers = issuer->dangers;

    for (size_t i = 0; dangers != NULL && i < dangers->count; i++)
        if (names_danger(condition, &dangers->rows[i]))
            warn_of(linting, condition, "production-by-danger",
                    "lets jobs into production that strangers can start or steer",
                    STR("give what such a job needs to a stage of its own, out of production"));
}

static void lint_map_dangers(struct linting *linting, const struct policy_map *map)
{
    const struct policy_pipeline *pipeline = linting->stage.linked->pipeline;

    for (size_t i = 0; i < map->count; i++)
        for (size_t k = 0; k < pipeline->identity.count; k++)
            for (size_t m = 0; m < pipeline->identity_maps[k].issuer_count; m++)
                lint_dangers(linting, &map->conditions[i], pipeline->identity_maps[k].issuers[m]);
}

static void lint_production(struct linting *linting)
{
    const struct policy_clause *clauses[LETTING_MAX];
    size_t count = letting_clauses(&linting->stage, clauses);

    if (!is_production(&linting->stage))
        return;
    lint_weight(linting);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < clauses[i]->count; k++)
            lint_map_dangers(linting, &clauses[i]->maps[k]);
}

void analyse_lints(const struct policy *policy, const struct policy_linked *linked,
                   struct findings *findings)
{
    struct shown shown = { .count = 0 };

    for (size_t i = 0; i < linked->pipeline->stage_count; i++) {
        struct linting linting = {
            .stage = { policy, linked, &linked->pipeline->stages[i] },
            .findings = findings,
            .shown = &shown,
        };

        lint_clauses(&linting);
        lint_production(&linting);
    }
}
