#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/time_text.h"
#include "policy/analyse_internal.h"
#include "policy/example.h"
#include "policy/prove.h"

/*
 * What can be proven of one pipeline: which of its stages, and of their maps, no token reaches; an
 * `unless` that changes nothing; and stages that one token fits both, so that a job must name its
 * stage. What is written for several stages at once matters where it does for one of them.
 */

#define OVERLAPS_SHOWN_MAX 3 /* names of other stages in one message */

struct reaching {
    const struct policy *policy;
    const struct policy_linked *linked;
    struct prover *prover;
    struct findings *findings;
};

/* ---- asking ---- */

static struct proof_term term_of(const struct reaching *reaching, size_t index)
{
    return (struct proof_term){ .policy = reaching->policy,
                                .stage = &reaching->linked->pipeline->stages[index].shown };
}

static bool ask(const struct reaching *reaching, const struct proof_term *terms, size_t count,
                enum proof_answer *answer, struct proof_example *example)
{
    struct error error = { 0 };

    *answer = PROOF_UNDECIDED;
    if (prove(reaching->prover, terms, count, answer, example, &error))
        return true;
    reaching->findings->is_out_of_memory = true;
    return false;
}

/* Whether it is certain that no request meets the term. */
static bool is_nothing(const struct reaching *reaching, const struct proof_term *term)
{
    struct proof_example example = { 0 };
    enum proof_answer answer;

    return ask(reaching, term, 1, &answer, &example) && answer == PROOF_NO;
}

/* ---- stages ---- */

static void warn(const struct reaching *reaching, struct position at, const char *rule,
                 const char *message, const char *hint)
{
    const struct finding finding = { .severity = DIAGNOSTIC_WARNING,
                                     .rule = rule,
                                     .at = at,
                                     .message = str_from(message),
                                     .hint = str_from(hint) };

    findings_add(reaching->findings, &finding);
}

/* Nobody made a mistake: time has passed. */
static void warn_of_end(const struct reaching *reaching, const struct policy_stage_rule *stage)
{
    struct policy_spot spot = stage->words[POLICY_WORD_UNTIL];
    char message[DIAGNOSTIC_TEXT_MAX];
    char until[TIME_TEXT_S_LEN + 1];

    time_text_s(stage->shown.until_s, until);
    (void)snprintf(message, sizeof(message), "this stage has ended: its 'until' was %s", until);
    warn(reaching,
         spot.is_of_template ? policy_stage_position(stage)
                             : policy_spot_position(spot, stage->pipeline->file, stage),
         "ended-stage", message, "remove the stage, or write when it ends now");
}

static bool warn_if_unreachable(const struct reaching *reaching, size_t index)
{
    const struct policy_stage_rule *stage = &reaching->linked->pipeline->stages[index];
    int64_t now_s = reaching->findings->options->now_s;
    struct proof_term term = term_of(reaching, index);

    if (now_s > 0 && policy_is_over(stage->shown.until_s, now_s)) {
        warn_of_end(reaching, stage);
        return true;
    }
    if (!is_nothing(reaching, &term))
        return false;
    warn(reaching, policy_stage_position(stage), "unreachable-stage",
         "no token can fit this stage: what it asks for contradicts itself",
         "look for conditions on one name, here, at the top of the file and in its guardrails");
    return true;
}

/* ---- maps ---- */

/* Where a map stands: its first condition. */
static struct position map_place(const struct reaching *reaching,
                                 const struct policy_stage_rule *stage,
                                 const struct policy_map *map)
{
    if (map->count == 0)
        return policy_stage_position(stage);
    return policy_spot_position(map->conditions[0].spot, reaching->linked->pipeline->file, stage);
}

/* A map that stands in a template is of all its uses: nothing is said of it for one of them. */
static bool is_shared(const struct policy_map *map)
{
    return map->count > 0 && map->conditions[0].spot.is_of_template;
}

static void warn_of_map(const struct reaching *reaching, const struct policy_stage_rule *stage,
                        const struct policy_map *map, const char *word)
{
    char message[DIAGNOSTIC_TEXT_MAX];

    (void)snprintf(
        message, sizeof(message),
        "no token can fit this map of '%s': the rest of what is asked for contradicts it", word);
    warn(reaching, map_place(reaching, stage, map), "unreachable-map", message,
         "remove the map, or what contradicts it");
}

static void warn_of_unless(const struct reaching *reaching, const struct policy_stage_rule *stage,
                           const struct policy_map *map)
{
    warn(reaching, map_place(reaching, stage, map), "useless-unless",
         "this 'unless' refuses nothing: whatever it holds for is refused without it",
         "remove it, or look whether it says what it should");
}

/* A clause of which each map is asked about by itself: where it stands in a term. */
struct clause_of_term {
    const char *word;
    bool is_of_pipeline;
    bool is_refusing;
    size_t offset; /* of the member that counts its maps from 1 */
};

static const struct clause_of_term clauses[] = {
    { "identity", true, false, offsetof(struct proof_term, only_identity) },
    { "when", true, false, offsetof(struct proof_term, only_pipeline_when) },
    { "when", false, false, offsetof(struct proof_term, only_when) },
    { "unless", true, true, offsetof(struct proof_term, without_pipeline_unless) },
    { "unless", false, true, offsetof(struct proof_term, without_unless) },
};

static const struct policy_clause *clause_at(const struct reaching *reaching,
                                             const struct clause_of_term *clause, size_t stage)
{
    const struct policy_pipeline *pipeline = reaching->linked->pipeline;
    const struct policy_stage_rule *rule = &pipeline->stages[stage];

    if (clause->is_of_pipeline && clause->is_refusing)
        return &pipeline->unless;
    if (clause->is_of_pipeline)
        return clause->word[0] == 'i' ? &pipeline->identity : &pipeline->when;
    return clause->is_refusing ? &rule->unless : &rule->when;
}

/* Whether a map does nothing for one stage. */
static bool is_idle(const struct reaching *reaching, const struct clause_of_term *clause,
                    size_t stage, size_t map)
{
    struct proof_term terms[2] = { term_of(reaching, stage), term_of(reaching, stage) };
    struct proof_example example = { 0 };
    enum proof_answer answer;

    *(size_t *)(void *)((char *)&terms[0] + clause->offset) = map + 1;
    if (!clause->is_refusing)
        return is_nothing(reaching, &terms[0]);
    terms[1].is_negated = true;
    return ask(reaching, terms, 2, &answer, &example) && answer == PROOF_NO;
}

/* Look at each map of one stage's own clause. */
static void check_own(const struct reaching *reaching, const struct clause_of_term *clause,
                      size_t stage)
{
    const struct policy_clause *maps = clause_at(reaching, clause, stage);
    const struct policy_stage_rule *rule = &reaching->linked->pipeline->stages[stage];

    for (size_t i = 0; i < maps->count; i++) {
        if (is_shared(&maps->maps[i]) || (!clause->is_refusing && maps->count == 1) ||
            !is_idle(reaching, clause, stage, i))
            continue;
        if (clause->is_refusing)
            warn_of_unless(reaching, rule, &maps->maps[i]);
        else
            warn_of_map(reaching, rule, &maps->maps[i], clause->word);
    }
}

/* Look at each map of a clause of the pipeline: it does nothing where it does for no stage. */
static void check_common(const struct reaching *reaching, const struct clause_of_term *clause,
                         const bool *is_reachable)
{
    const struct policy_pipeline *pipeline = reaching->linked->pipeline;
    const struct policy_clause *maps = clause_at(reaching, clause, 0);

    for (size_t i = 0; i < maps->count; i++) {
        bool is_needed = !clause->is_refusing && maps->count == 1;
        bool is_asked = false;

        for (size_t k = 0; !is_needed && k < pipeline->stage_count; k++) {
            is_asked |= is_reachable[k];
            is_needed = is_reachable[k] && !is_idle(reaching, clause, k, i);
        }
        if (is_needed || !is_asked)
            continue;
        if (clause->is_refusing)
            warn_of_unless(reaching, &pipeline->stages[0], &maps->maps[i]);
        else
            warn_of_map(reaching, &pipeline->stages[0], &maps->maps[i], clause->word);
    }
}

static void check_maps(const struct reaching *reaching, const bool *is_reachable)
{
    const struct policy_pipeline *pipeline = reaching->linked->pipeline;

    for (size_t i = 0; i < COUNT(clauses); i++) {
        if (clauses[i].is_of_pipeline) {
            check_common(reaching, &clauses[i], is_reachable);
            continue;
        }
        for (size_t k = 0; k < pipeline->stage_count; k++)
            if (is_reachable[k])
                check_own(reaching, &clauses[i], k);
    }
}

/* ---- overlaps ---- */

/* What is known of the earlier stages that overlap with one. */
struct overlaps {
    size_t first; /* index of the first of them */
    size_t count;
    bool is_certain; /* of the first */
    struct buf names;
    struct buf example; /* of the first */
};

static void add_overlap(const struct reaching *reaching, struct overlaps *overlaps, size_t index,
                        bool is_certain, const struct proof_example *example)
{
    const struct policy_stage *stage = &reaching->linked->pipeline->stages[index].shown;

    if (overlaps->count == 0) {
        overlaps->first = index;
        overlaps->is_certain = is_certain;
        if (is_certain)
            proof_example_write(example, &overlaps->example);
    }
    if (overlaps->count < OVERLAPS_SHOWN_MAX)
        buf_printf(&overlaps->names, "%s'" STR_FMT "'", overlaps->count > 0 ? ", " : "",
                   STR_ARG(stage->name));
    overlaps->count++;
}

static void report_overlaps(const struct reaching *reaching, size_t index,
                            const struct overlaps *overlaps)
{
    const struct policy_stage_rule *stages = reaching->linked->pipeline->stages;
    struct finding finding = { .severity = DIAGNOSTIC_WARNING,
                               .rule = "overlapping-stages",
                               .at = policy_stage_position(&stages[index]),
                               .related = policy_stage_position(&stages[overlaps->first]),
                               .related_note = STR("the other stage") };
    char message[DIAGNOSTIC_TEXT_MAX];
    char hint[DIAGNOSTIC_TEXT_MAX];
    char more[40] = "";

    if (overlaps->count > OVERLAPS_SHOWN_MAX)
        (void)snprintf(more, sizeof(more), " and %zu more", overlaps->count - OVERLAPS_SHOWN_MAX);
    (void)snprintf(message, sizeof(message),
                   overlaps->is_certain ? "a token can fit '" STR_FMT "' as well as " STR_FMT
                                          "%s: such a job must name its stage"
                                        : "'" STR_FMT "' may overlap with " STR_FMT
                                          "%s: their conditions are too many to tell",
                   STR_ARG(stages[index].shown.name), STR_ARG(buf_str(&overlaps->names)), more);
    (void)snprintf(hint, sizeof(hint), "for example " STR_FMT,
                   STR_ARG(buf_str(&overlaps->example)));
    finding.message = str_from(message);
    finding.hint = overlaps->is_certain ? str_from(hint) : STR("");
    findings_add(reaching->findings, &finding);
}

static void check_overlaps(const struct reaching *reaching, size_t index, const bool *is_reachable)
{
    struct overlaps overlaps = { .count = 0 };

    buf_init(&overlaps.names, DIAGNOSTIC_TEXT_MAX);
    buf_init(&overlaps.example, (size_t)64 * 1024);
    for (size_t i = 0; i < index; i++) {
        const struct proof_term terms[] = { term_of(reaching, i), term_of(reaching, index) };
        struct proof_example example = { 0 };
        struct proof_example *wanted = overlaps.count == 0 ? &example : NULL;
        enum proof_answer answer;

        if (is_reachable[i] && ask(reaching, terms, 2, &answer, wanted) && answer != PROOF_NO)
            add_overlap(reaching, &overlaps, i, answer == PROOF_YES, &example);
    }
    if (overlaps.count > 0)
        report_overlaps(reaching, index, &overlaps);
    buf_release(&overlaps.names);
    buf_release(&overlaps.example);
}

void analyse_reach(const struct policy *policy, const struct policy_linked *linked,
                   struct prover *prover, struct findings *findings)
{
    const struct reaching reaching = { policy, linked, prover, findings };
    bool is_reachable[POLICY_STAGES_MAX] = { false };

    for (size_t i = 0; i < linked->pipeline->stage_count; i++)
        is_reachable[i] = !warn_if_unreachable(&reaching, i);
    check_maps(&reaching, is_reachable);
    for (size_t i = 1; i < linked->pipeline->stage_count; i++)
        if (is_reachable[i])
            check_overlaps(&reaching, i, is_reachable);
}
