#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/time_text.h"
#include "policy/diff_internal.h"
#include "policy/pattern.h"
#include "policy/policy_rails.h"
#include "policy/stage_lines.h"

/*
 * A guardrail that says less is wider, though nothing is possible by it yet: somebody may write it
 * next. Parts that can be ordered are; where one says something else that is not found among them,
 * nobody can tell, and it counts as wider.
 */

#define PATTERNS_BYTES_MAX ((size_t)16 * 1024 * 1024)

/* A comparison of two guardrails of one name and kind. */
struct guarding {
    const struct policy_guardrail *before;
    const struct policy_guardrail *after;
    struct diff_changes *changes;
    bool is_told; /* something was found */
};

/* ---- what is found ---- */

static void tell(struct guarding *guarding, enum policy_way way, bool is_undecided,
                 const char *text)
{
    bool is_advice = guarding->before->is_warning && guarding->after->is_warning;
    struct policy_change *change =
        diff_add(guarding->changes, is_advice ? POLICY_WAY_EVEN : way, "guardrail",
                 "guardrail '" STR_FMT "': %s", STR_ARG(guarding->after->name), text);

    guarding->is_told = true;
    if (is_undecided)
        diff_undecided(change);
}

/* More of what a guardrail binds or forbids is narrower. */
static void tell_if(struct guarding *guarding, bool is_less, bool is_more, const char *less,
                    const char *more)
{
    if (is_less)
        tell(guarding, POLICY_WAY_WIDER, false, less);
    if (is_more)
        tell(guarding, POLICY_WAY_NARROWER, false, more);
}

/* Of numbers that bound, 0 bounds nothing. */
static void tell_bound(struct guarding *guarding, const char *what, int64_t before, int64_t after,
                       const char *(*write)(int64_t number, char out[STAGE_DURATION_MAX]))
{
    int64_t old = before == 0 ? INT64_MAX : before;
    int64_t new = after == 0 ? INT64_MAX : after;
    char texts[2][STAGE_DURATION_MAX];
    struct str text;

    if (before == after)
        return;
    text = arena_printf(guarding->changes->arena, "%s is %s, not %s", what, write(after, texts[0]),
                        write(before, texts[1]));
    if (text.data == NULL)
        guarding->changes->is_out_of_memory = true;
    else
        tell(guarding, new > old ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER, false, text.data);
}

static const char *write_count(int64_t count, char out[STAGE_DURATION_MAX])
{
    (void)snprintf(out, STAGE_DURATION_MAX, "%" PRId64, count);
    return count == 0 ? "unbounded" : out;
}

/* ---- lists of names, of which an empty one is all ---- */

struct names {
    const struct str *list;
    size_t count;
};

static bool has_name(struct names names, struct str name)
{
    for (size_t i = 0; i < names.count; i++)
        if (str_eq(names.list[i], name))
            return true;
    return false;
}

/* Whether there is one in `names` that the others do not have. */
static bool has_more(struct names names, struct names others)
{
    if (others.count == 0)
        return false;
    for (size_t i = 0; i < names.count; i++)
        if (!has_name(others, names.list[i]))
            return true;
    return names.count == 0;
}

static bool bits_have_more(unsigned bits, unsigned others)
{
    return others != 0 && (bits == 0 || (bits & ~others) != 0);
}

/* Whether a reach has a stage that the other one may not have. */
static bool reaches_more(const struct policy_reach *reach, const struct policy_reach *other)
{
    return bits_have_more(reach->kinds, other->kinds) ||
           has_more((struct names){ reach->environments, reach->environment_count },
                    (struct names){ other->environments, other->environment_count }) ||
           has_more((struct names){ reach->tenants, reach->tenant_count },
                    (struct names){ other->tenants, other->tenant_count }) ||
           has_more((struct names){ reach->targets, reach->target_count },
                    (struct names){ other->targets, other->target_count });
}

static void diff_reach(struct guarding *guarding, const struct policy_reach *before,
                       const struct policy_reach *after, const char *less, const char *more)
{
    tell_if(guarding, reaches_more(before, after), reaches_more(after, before), less, more);
}

/* ---- kinds ---- */

static void diff_ttl(struct guarding *guarding)
{
    for (size_t i = 0; i < POLICY_STAGE_KINDS; i++)
        tell_bound(guarding, policy_stage_kind_name((enum policy_stage_kind)i),
                   guarding->before->ttl.max_s[i], guarding->after->ttl.max_s[i], stage_duration);
}

static const struct policy_forbidden *find_kind(const struct policy_forbid_rule *forbid,
                                                const struct policy_grant_kind *kind)
{
    for (size_t i = 0; i < forbid->kind_count; i++)
        if (str_eq(str_from(forbid->kinds[i].kind->name), str_from(kind->name)))
            return &forbid->kinds[i];
    return NULL;
}

/* The first pattern that a rule forbids and the other one does not, or NULL. */
static const struct pattern *first_uncovered(const struct policy_forbid_rule *forbid,
                                             const struct policy_forbid_rule *other)
{
    for (size_t i = 0; i < forbid->kind_count; i++) {
        const struct policy_forbidden *found = find_kind(other, forbid->kinds[i].kind);

        for (size_t k = 0; k < forbid->kinds[i].count; k++)
            if (found == NULL ||
                !pattern_is_covered(&forbid->kinds[i].patterns[k], found->patterns, found->count))
                return &forbid->kinds[i].patterns[k];
    }
    return NULL;
}

static void tell_pattern(struct guarding *guarding, enum policy_way way, const char *what,
                         const struct pattern *pattern)
{
    struct str text;

    if (pattern == NULL)
        return;
    text = arena_printf(guarding->changes->arena, "%s '" STR_FMT "'", what,
                        STR_ARG(str_slice(pattern->text, 0, 120)));
    if (text.data == NULL)
        guarding->changes->is_out_of_memory = true;
    else
        tell(guarding, way, false, text.data);
}

static void diff_forbid(struct guarding *guarding)
{
    const struct policy_forbid_rule *before = &guarding->before->forbid;
    const struct policy_forbid_rule *after = &guarding->after->forbid;

    tell_pattern(guarding, POLICY_WAY_WIDER, "does not forbid any more",
                 first_uncovered(before, after));
    tell_pattern(guarding, POLICY_WAY_NARROWER, "now forbids", first_uncovered(after, before));
    tell_if(guarding, after->has_except && !before->has_except,
            before->has_except && !after->has_except, "excepts some stages now",
            "excepts no stage any more");
    if (!before->has_except || !after->has_except)
        return;
    diff_reach(guarding, &after->except, &before->except, "excepts fewer stages",
               "excepts more stages");
    tell_if(guarding,
            after->except_approvals<before->except_approvals, after->except_approvals> before
                ->except_approvals,
            "excepts with fewer approvals", "excepts with more approvals only");
}

static void diff_separate(struct guarding *guarding)
{
    const struct policy_separate_rule *before = &guarding->before->separate;
    const struct policy_separate_rule *after = &guarding->after->separate;

    tell_if(guarding, (before->kinds & ~after->kinds) != 0, (after->kinds & ~before->kinds) != 0,
            "keeps fewer kinds of stages apart", "keeps more kinds of stages apart");
    diff_reach(guarding, &before->from, &after->from, "keeps them apart from fewer stages",
               "keeps them apart from more stages");
    tell_if(guarding, before->principals && !after->principals,
            after->principals && !before->principals, "does not look at principals any more",
            "looks at principals");
}

static void add_conditions(const struct policy_clause *clause, struct buf *out)
{
    for (size_t i = 0; i < clause->count; i++) {
        buf_add_text(out, i > 0 ? " or {" : "{");
        for (size_t k = 0; k < clause->maps[i].count; k++) {
            const struct policy_condition *condition = &clause->maps[i].conditions[k];

            buf_add_text(out, k > 0 ? ", " : "");
            buf_add(out, condition->name);
            buf_add_text(out, ": ");
            policy_condition_describe(condition, STAGE_LINES_VALUES_MAX, out);
        }
        buf_add_text(out, "}");
    }
    if (clause->count == 0)
        buf_add_text(out, "nothing");
}

static void diff_required_conditions(struct guarding *guarding)
{
    OWNED(buf_release) struct buf before = { 0 };
    OWNED(buf_release) struct buf after = { 0 };
    struct str text;

    buf_init(&before, PATTERNS_BYTES_MAX);
    buf_init(&after, PATTERNS_BYTES_MAX);
    add_conditions(&guarding->before->require.when, &before);
    add_conditions(&guarding->after->require.when, &after);
    if (str_eq(buf_str(&before), buf_str(&after)))
        return;
    text = arena_printf(guarding->changes->arena, "requires " STR_FMT ", not " STR_FMT,
                        STR_ARG(str_slice(buf_str(&after), 0, 300)),
                        STR_ARG(str_slice(buf_str(&before), 0, 300)));
    if (text.data == NULL)
        guarding->changes->is_out_of_memory = true;
    else if (guarding->before->require.when.count == 0)
        tell(guarding, POLICY_WAY_NARROWER, false, text.data);
    else
        tell(guarding, POLICY_WAY_WIDER, guarding->after->require.when.count > 0, text.data);
}

static bool are_within(const struct policy_networks *networks, const struct policy_networks *others)
{
    if (others->count == 0)
        return true;
    for (size_t i = 0; i < networks->count; i++) {
        bool is_within = false;

        for (size_t k = 0; !is_within && k < others->count; k++)
            is_within = others->list[k].bits <= networks->list[i].bits &&
                        network_contains(&others->list[k], &networks->list[i].base);
        if (!is_within)
            return false;
    }
    return networks->count > 0;
}

static void diff_required_limits(struct guarding *guarding)
{
    const struct policy_require_rule *before = &guarding->before->require;
    const struct policy_require_rule *after = &guarding->after->require;

    tell_bound(guarding, "required 'per_job'", before->limits.per_job, after->limits.per_job,
               write_count);
    tell_bound(guarding, "required 'concurrent'", before->limits.concurrent,
               after->limits.concurrent, write_count);
    tell_bound(guarding, "required 'per_hour'", before->limits.per_hour, after->limits.per_hour,
               write_count);
    tell_bound(guarding, "the longest lease", before->lease_max_s, after->lease_max_s,
               stage_duration);
    tell_if(guarding, after->approvals<before->approvals, after->approvals> before->approvals,
            "requires fewer approvals", "requires more approvals");
    tell_if(guarding, before->has_review && !after->has_review,
            after->has_review && !before->has_review, "requires no review any more",
            "requires a review");
    if (before->has_review && after->has_review)
        tell_if(guarding, after->review_grace_s > before->review_grace_s,
                after->review_grace_s < before->review_grace_s, "a review may be late by more",
                "a review may be late by less");
}

static void diff_require(struct guarding *guarding)
{
    const struct policy_require_rule *before = &guarding->before->require;
    const struct policy_require_rule *after = &guarding->after->require;

    diff_required_conditions(guarding);
    tell_if(guarding, bits_have_more(after->proofs, before->proofs),
            bits_have_more(before->proofs, after->proofs), "takes more kinds of proof",
            "takes fewer kinds of proof");
    tell_if(guarding, !are_within(&after->from, &before->from),
            !are_within(&before->from, &after->from), "takes requests from more networks",
            "takes requests from fewer networks");
    diff_required_limits(guarding);
}

static void diff_freeze(struct guarding *guarding)
{
    const struct policy_freeze_rule *before = &guarding->before->freeze;
    const struct policy_freeze_rule *after = &guarding->after->freeze;

    tell_if(guarding, after->from_s > before->from_s || after->to_s < before->to_s,
            after->from_s < before->from_s || after->to_s > before->to_s,
            "is closed for less of the time", "is closed for more of the time");
}

static void (*const kinds[])(struct guarding *guarding) = {
    [POLICY_GUARDRAIL_TTL] = diff_ttl,           [POLICY_GUARDRAIL_FORBID] = diff_forbid,
    [POLICY_GUARDRAIL_SEPARATE] = diff_separate, [POLICY_GUARDRAIL_REQUIRE] = diff_require,
    [POLICY_GUARDRAIL_FREEZE] = diff_freeze,
};

/* ---- all of them ---- */

static const struct policy_guardrail *find_guardrail(const struct policy *policy,
                                                     const struct policy_guardrail *like)
{
    for (size_t i = 0; i < policy->guardrail_count; i++)
        if (policy->guardrails[i]->kind == like->kind &&
            str_eq(policy->guardrails[i]->name, like->name))
            return policy->guardrails[i];
    return NULL;
}

static void diff_one(const struct policy_guardrail *before, const struct policy_guardrail *after,
                     struct diff_changes *changes)
{
    struct guarding guarding = { before, after, changes, false };

    if (memcmp(before->sha256, after->sha256, SHA256_LEN) == 0)
        return;
    if (before->is_warning != after->is_warning)
        tell(&guarding, after->is_warning ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER, false,
             after->is_warning ? "only warns now" : "is enforced now");
    diff_reach(&guarding, &before->reach, &after->reach, "binds fewer stages", "binds more stages");
    kinds[before->kind](&guarding);
    if (!guarding.is_told)
        tell(&guarding, POLICY_WAY_WIDER, true, "says something else");
}

static void tell_alone(const struct policy_guardrail *guardrail, bool is_new,
                       struct diff_changes *changes)
{
    enum policy_way way = is_new ? POLICY_WAY_NARROWER : POLICY_WAY_WIDER;

    (void)diff_add(changes, guardrail->is_warning ? POLICY_WAY_EVEN : way, "guardrail",
                   "guardrail '" STR_FMT "' %s", STR_ARG(guardrail->name),
                   is_new ? "is new" : "is removed");
}

static void diff_rules(const struct policy *before, const struct policy *after,
                       struct diff_changes *changes)
{
    for (size_t i = 0; i < before->guardrail_count; i++) {
        const struct policy_guardrail *found = find_guardrail(after, before->guardrails[i]);

        if (found != NULL)
            diff_one(before->guardrails[i], found, changes);
        else
            tell_alone(before->guardrails[i], false, changes);
    }
    for (size_t i = 0; i < after->guardrail_count; i++)
        if (find_guardrail(before, after->guardrails[i]) == NULL)
            tell_alone(after->guardrails[i], true, changes);
}

/* ---- exceptions ---- */

static const struct policy_exception *find_exception(const struct policy *policy,
                                                     const struct policy_exception *like)
{
    for (size_t i = 0; i < policy->exception_count; i++) {
        const struct policy_exception *exception = &policy->exceptions[i];

        if (str_eq(exception->guardrail, like->guardrail) &&
            str_eq(exception->pipeline, like->pipeline) && str_eq(exception->stage, like->stage))
            return exception;
    }
    return NULL;
}

static void tell_exception(const struct policy_exception *exception, enum policy_way way,
                           const char *what, struct diff_changes *changes)
{
    char until[TIME_TEXT_S_LEN + 1];

    time_text_s(exception->until_s, until);
    (void)diff_add(changes, way, "exception",
                   "%s: guardrail '" STR_FMT "' excepts " STR_FMT ":" STR_FMT " until %s (" STR_FMT
                   ")",
                   what, STR_ARG(exception->guardrail), STR_ARG(exception->pipeline),
                   STR_ARG(exception->stage), until, STR_ARG(exception->why));
}

static void diff_exceptions(const struct policy *before, const struct policy *after,
                            struct diff_changes *changes)
{
    for (size_t i = 0; i < before->exception_count; i++)
        if (find_exception(after, &before->exceptions[i]) == NULL)
            tell_exception(&before->exceptions[i], POLICY_WAY_NARROWER, "an exception less",
                           changes);
    for (size_t i = 0; i < after->exception_count; i++) {
        const struct policy_exception *exception = &after->exceptions[i];
        const struct policy_exception *found = find_exception(before, exception);

        if (found == NULL)
            tell_exception(exception, POLICY_WAY_WIDER, "a new exception", changes);
        else if (found->until_s < exception->until_s)
            tell_exception(exception, POLICY_WAY_WIDER, "a longer exception", changes);
        else if (found->until_s > exception->until_s)
            tell_exception(exception, POLICY_WAY_NARROWER, "a shorter exception", changes);
        else if (!str_eq(found->why, exception->why))
            tell_exception(exception, POLICY_WAY_EVEN, "an exception for another reason", changes);
    }
}

void diff_guardrails(const struct policy *before, const struct policy *after,
                     struct diff_changes *changes)
{
    diff_rules(before, after, changes);
    diff_exceptions(before, after, changes);
}
