#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/pattern.h"
#include "policy/policy_rails.h"

/*
 * `separate` with `principals`: no principal, and no account, is given in two environments, nor
 * both by stages that build and by stages that deploy.
 *
 * What stages give as is sorted by the text before its first hole. Two texts can only meet where
 * the one's beginning starts the other's, so going through them in order it is enough to keep those
 * with holes whose beginning goes on.
 */

#define STEPS_MAX ((size_t)100000000) /* of comparing texts with holes: less than a second */
#define RULE "guardrail-principals"

/* A stage that gives something as a principal. */
struct holder {
    const struct policy_grant_kind
        *kind; /* names of two kinds have nothing to do with each other */
    bool is_account;
    struct str text;
    struct str start; /* of it: up to the first hole */
    const struct policy_stage_rule *stage;
    size_t grant;
    struct policy_rail *rail; /* of the stage */
};

/* Holders of the same text. */
struct group {
    const struct holder *first; /* one that is not exempt, if there is any */
    const struct holder *holders;
    size_t count;
    struct pattern pattern; /* where it was asked for */
    bool is_compiled;
};

struct check {
    const struct policy *policy;
    const struct policy_load_options *options;
    const struct policy_guardrail *guardrail;
    struct arena *scratch;
    struct arena *reading; /* of the pipeline at hand */
    struct holder *holders;
    size_t count;
    size_t capacity;
    struct group *open; /* those with holes whose start goes on, the shortest first */
    size_t open_count;
    size_t steps; /* of comparing */
    bool is_out_of_memory;
};

/* ---- reporting ---- */

struct note {
    struct position at;
    struct str text;
};

/* Say what is wrong with a grant. */
static void complain(const struct check *check, enum diagnostic_severity severity,
                     const struct holder *holder, const struct note *note, struct str text)
{
    struct diagnostics *diagnostics = check->options->diagnostics;

    (void)policy_say(check->policy, diagnostics, severity,
                     policy_grant_position(holder->stage, holder->grant), STR(""), STR_FMT,
                     STR_ARG(text));
    diagnostics_name(diagnostics, RULE);
    policy_relate(check->policy, diagnostics, note->at, note->text);
}

static bool deploys(const struct holder *holder)
{
    enum policy_stage_kind kind = holder->stage->shown.kind;

    return kind == POLICY_RELEASE || kind == POLICY_DEPLOY || kind == POLICY_MAINTENANCE;
}

static bool is_in_another_environment(const struct holder *a, const struct holder *b)
{
    return !str_eq(a->stage->shown.environment, b->stage->shown.environment);
}

static void complain_of_pair(const struct check *check, const struct holder *holder,
                             const struct holder *other)
{
    const char *kept_apart =
        is_in_another_environment(holder, other) ? "environments" : "what builds and what deploys";
    bool is_error = policy_rail_severity(holder->rail) == DIAGNOSTIC_ERROR &&
                    policy_rail_severity(other->rail) == DIAGNOSTIC_ERROR;
    enum diagnostic_severity severity = is_error ? DIAGNOSTIC_ERROR : DIAGNOSTIC_WARNING;
    struct note note = { policy_grant_position(other->stage, other->grant), STR("") };

    if (!diagnostics_have_room(check->options->diagnostics, severity)) { /* it is only counted */
        complain(check, severity, holder, &note, note.text);
        return;
    }
    note.text = arena_printf(check->scratch, "'" STR_FMT "' gives it here",
                             STR_ARG(other->stage->shown.id));
    complain(check, severity, holder, &note,
             arena_printf(check->scratch,
                          "%s '" STR_FMT "' is given here and by '" STR_FMT "': guardrail '" STR_FMT
                          "' keeps %s apart",
                          holder->is_account ? "the account" : "the principal",
                          STR_ARG(str_slice(holder->text, 0, 100)), STR_ARG(other->stage->shown.id),
                          STR_ARG(check->guardrail->name), kept_apart));
}

/* ---- gathering ---- */

static struct str start_of(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] == '$' && text.data[i + 1] == '{')
            return str_slice(text, 0, i);
    return text;
}

static bool has_hole(const struct holder *holder)
{
    return holder->start.len < holder->text.len;
}

/* A copy to compare: without case where the kind's names have none. */
static struct str fold(struct check *check, const struct policy_grant_kind *kind, struct str text)
{
    char *copy = arena_alloc_array(check->scratch, text.len + 1, 1);

    check->is_out_of_memory |= copy == NULL;
    for (size_t i = 0; copy != NULL && i < text.len; i++) {
        char byte = text.data[i];

        copy[i] = kind->matching != POLICY_MATCHING_GLOB && byte >= 'A' && byte <= 'Z'
                      ? (char)(byte - 'A' + 'a')
                      : byte;
    }
    return copy == NULL ? STR("") : (struct str){ copy, text.len };
}

static void add(struct check *check, struct holder holder, struct str text)
{
    if (text.len == 0)
        return;
    if (check->count == check->capacity) {
        size_t capacity = check->capacity == 0 ? 256 : check->capacity * 2;
        struct holder *larger = arena_alloc_array(check->scratch, capacity, sizeof(*larger));

        check->is_out_of_memory |= larger == NULL;
        if (larger == NULL)
            return;
        if (check->count > 0)
            memcpy(larger, check->holders, check->count * sizeof(*larger));
        check->holders = larger;
        check->capacity = capacity;
    }
    holder.text = fold(check, holder.kind, text);
    holder.start = start_of(holder.text);
    check->holders[check->count++] = holder;
}

/* A grant that cannot say as whom it acts may act as anybody. */
static void refuse_silent(const struct check *check, const struct holder *holder)
{
    const struct policy_grant *grant = &holder->stage->shown.grants[holder->grant];
    const struct note note = { check->guardrail->at, STR("the guardrail is here") };

    holder->rail->is_broken |= holder->rail->exempt_until_s != 0;
    if (policy_rail_is_exempt(holder->rail, check->options->now_s))
        return;
    complain(check, policy_rail_severity(holder->rail), holder, &note,
             arena_printf(check->scratch,
                          "'" STR_FMT "' cannot say as whom it acts, which guardrail '" STR_FMT
                          "' has to know",
                          STR_ARG(grant->name), STR_ARG(check->guardrail->name)));
}

static void add_grant(struct check *check, struct holder holder)
{
    const struct policy_grant *grant = &holder.stage->shown.grants[holder.grant];
    const struct policy_grant_view view = { grant->name, grant->fields, grant->target,
                                            grant->ttl_s };
    struct policy_given given = { .is_everything = grant->kind->gives == NULL };

    if (grant->kind->gives != NULL && !grant->kind->gives(&view, check->reading, &given)) {
        check->is_out_of_memory = true;
        return;
    }
    if (given.is_everything && given.principal_count == 0 && given.account.len == 0)
        refuse_silent(check, &holder);
    holder.kind = grant->kind;
    for (size_t i = 0; i < given.principal_count; i++)
        add(check, holder, given.principals[i]);
    holder.is_account = true;
    add(check, holder, given.account);
}

static void add_stage(struct check *check, const struct policy_linked *linked, size_t index)
{
    const struct policy_stage_rule *stage = &linked->pipeline->stages[index];
    const struct policy_rails *rails = linked->rails[index];

    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        if (rails->list[i].guardrail != check->guardrail)
            continue;
        for (size_t k = 0; k < stage->shown.grant_count; k++)
            add_grant(check,
                      (struct holder){ .stage = stage, .grant = k, .rail = &rails->list[i] });
    }
}

static void add_pipeline(struct check *check, const struct policy_linked *linked)
{
    OWNED(arena_free) struct arena *reading = arena_new(SIZE_MAX / 2);

    check->reading = reading;
    check->is_out_of_memory |= reading == NULL;
    for (size_t i = 0; reading != NULL && i < linked->pipeline->stage_count; i++)
        add_stage(check, linked, i);
    check->reading = NULL;
}

static bool gather(struct check *check)
{
    for (size_t i = 0; i < check->policy->pipeline_count; i++)
        if (check->policy->pipelines[i].rails != NULL)
            add_pipeline(check, &check->policy->pipelines[i]);
    return !check->is_out_of_memory;
}

/* ---- comparing ---- */

/* A stage that is of a later file, or further down in the same, is told of the earlier one. */
static int compare_holders(const void *a, const void *b)
{
    const struct holder *left = a;
    const struct holder *right = b;
    int order = 0;

    if (left->kind != right->kind)
        order = str_compare(str_from(left->kind->name), str_from(right->kind->name));
    if (order == 0)
        order = (left->is_account > right->is_account) - (left->is_account < right->is_account);
    if (order == 0)
        order = str_compare(left->start, right->start);
    if (order == 0)
        order = str_compare(left->text, right->text);
    if (order == 0)
        order = str_compare(left->stage->pipeline->file, right->stage->pipeline->file);
    if (order == 0)
        order = (left->stage > right->stage) - (left->stage < right->stage);
    return order != 0 ? order : (left->grant > right->grant) - (left->grant < right->grant);
}

/* By an exception that may be over. */
static bool is_excepted(const struct holder *holder)
{
    return holder->rail->exempt_until_s != 0;
}

static bool is_exempt(const struct check *check, const struct holder *holder)
{
    return policy_rail_is_exempt(holder->rail, check->options->now_s);
}

/* Whether two may give the same. */
static bool may_share(const struct holder *a, const struct holder *b)
{
    return deploys(a) == deploys(b) && !is_in_another_environment(a, b);
}

/*
 * Two that give the same: an error, or what it costs the one with an exception when that is over.
 */
static void compare_pair(const struct check *check, const struct holder *holder,
                         const struct holder *other)
{
    if (may_share(holder, other))
        return;
    holder->rail->is_broken |= is_excepted(holder);
    other->rail->is_broken |= is_excepted(other);
    if (!is_exempt(check, holder) && !is_exempt(check, other))
        complain_of_pair(check, holder, other);
}

/* Two groups that meet. Whoever differs from its own group's first was told so already. */
static void compare_groups(const struct check *check, const struct group *group,
                           const struct group *other)
{
    if (!is_exempt(check, group->first) && !is_exempt(check, other->first)) {
        compare_pair(check, group->first, other->first);
        return;
    }
    for (size_t i = 0; is_exempt(check, group->first) && i < group->count; i++)
        compare_pair(check, &group->holders[i], other->first);
    for (size_t i = 0; is_exempt(check, other->first) && i < other->count; i++)
        compare_pair(check, group->first, &other->holders[i]);
}

static const struct pattern *pattern_of(struct check *check, struct group *group)
{
    const char *problem = NULL;

    if (!group->is_compiled && !pattern_compile(group->first->text, group->first->kind->matching,
                                                check->scratch, &group->pattern, &problem)) {
        check->is_out_of_memory |= problem == NULL;
        return NULL; /* too long: it counts as met */
    }
    group->is_compiled = true;
    return &group->pattern;
}

static bool groups_meet(struct check *check, struct group *group, struct group *other)
{
    const struct pattern *pattern = pattern_of(check, group);
    const struct pattern *open = pattern_of(check, other);

    if (pattern == NULL || open == NULL)
        return true;
    check->steps += pattern_meeting_steps(pattern, open);
    return pattern_meets(pattern, open);
}

/* Whether a group with holes can meet what comes from `holder` on. */
static bool goes_on(const struct group *open, const struct holder *holder)
{
    return open->first->kind == holder->kind && open->first->is_account == holder->is_account &&
           str_starts_with(holder->start, open->first->start);
}

static void check_group(struct check *check, struct group *group)
{
    for (size_t i = 0; i < group->count; i++)
        if (&group->holders[i] != group->first)
            compare_pair(check, &group->holders[i], group->first);
    while (check->open_count > 0 && !goes_on(&check->open[check->open_count - 1], group->first))
        check->open_count--;
    for (size_t i = 0; i < check->open_count && check->steps < STEPS_MAX; i++)
        if (groups_meet(check, group, &check->open[i]))
            compare_groups(check, group, &check->open[i]);
    if (has_hole(group->first))
        check->open[check->open_count++] = *group;
}

static struct group group_at(const struct check *check, size_t first)
{
    struct group group = { .first = &check->holders[first], .holders = &check->holders[first] };

    while (first + group.count < check->count) {
        const struct holder *holder = &group.holders[group.count];

        if (holder->kind != group.holders[0].kind ||
            holder->is_account != group.holders[0].is_account ||
            !str_eq(holder->text, group.holders[0].text))
            break;
        if (is_exempt(check, group.first) && !is_exempt(check, holder))
            group.first = holder;
        group.count++;
    }
    return group;
}

static bool check_all(struct check *check)
{
    struct group group;

    if (check->count == 0)
        return true;
    qsort(check->holders, check->count, sizeof(check->holders[0]), compare_holders);
    check->open = arena_alloc_array(check->scratch, check->count, sizeof(check->open[0]));
    if (check->open == NULL)
        return false;
    for (size_t i = 0; i < check->count; i += group.count) {
        group = group_at(check, i);
        check_group(check, &group);
    }
    if (check->steps < STEPS_MAX)
        return !check->is_out_of_memory;
    (void)policy_say(check->policy, check->options->diagnostics, DIAGNOSTIC_ERROR,
                     check->guardrail->at, STR("let principals start with different text"),
                     "guardrail '" STR_FMT "' cannot be proven: too many principals with holes "
                     "look alike",
                     STR_ARG(check->guardrail->name));
    return !check->is_out_of_memory;
}

static bool check_guardrail(struct policy *policy, const struct policy_load_options *options,
                            const struct policy_guardrail *guardrail)
{
    OWNED(arena_free) struct arena *scratch = arena_new(SIZE_MAX / 2);
    struct check check = {
        .policy = policy, .options = options, .guardrail = guardrail, .scratch = scratch
    };

    return scratch != NULL && gather(&check) && check_all(&check);
}

bool policy_principals_check(struct policy *policy, const struct policy_load_options *options,
                             struct error *error)
{
    for (size_t i = 0; i < policy->guardrail_count; i++) {
        const struct policy_guardrail *guardrail = policy->guardrails[i];

        if (guardrail->kind == POLICY_GUARDRAIL_SEPARATE && guardrail->separate.principals &&
            !check_guardrail(policy, options, guardrail))
            return error_set(error, ERROR_MEMORY, "checking guardrails");
    }
    return true;
}
