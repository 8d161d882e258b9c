#include <inttypes.h>

#include "base/time_text.h"
#include "policy/diff_internal.h"
#include "policy/stage_lines.h"

/*
 * What a stage asks for besides conditions. Numbers of which 0 means "as many as there are" are
 * compared as if it were the largest.
 */

/* ---- numbers ---- */

enum reading {
    LESS_IS_STRICTER, /* 0: unbounded */
    MORE_IS_STRICTER, /* 0: not asked for */
};

static enum policy_way way_of(int64_t before, int64_t after, enum reading reading)
{
    if (reading == LESS_IS_STRICTER) {
        before = before == 0 ? INT64_MAX : before;
        after = after == 0 ? INT64_MAX : after;
        return after > before ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER;
    }
    return after < before ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER;
}

static void diff_count(const char *subject, const char *what, int64_t before, int64_t after,
                       enum reading reading, struct diff_changes *changes)
{
    enum policy_way way = way_of(before, after, reading);

    if (before == after)
        return;
    if (after == 0)
        (void)diff_add(changes, way, subject, "%s is not bounded; it was %" PRId64, what, before);
    else if (before == 0)
        (void)diff_add(changes, way, subject, "%s is %" PRId64 "; it was not bounded", what, after);
    else
        (void)diff_add(changes, way, subject, "%s is %" PRId64 ", not %" PRId64, what, after,
                       before);
}

static void diff_span(const char *subject, const char *what, int64_t before_s, int64_t after_s,
                      enum reading reading, struct diff_changes *changes)
{
    char before[STAGE_DURATION_MAX];
    char after[STAGE_DURATION_MAX];

    if (before_s != after_s)
        (void)diff_add(changes, way_of(before_s, after_s, reading), subject, "%s is %s, not %s",
                       what, stage_duration(after_s, after), stage_duration(before_s, before));
}

/* ---- approval ---- */

static bool has_binding(const struct policy_approval *approval, struct str name)
{
    for (size_t i = 0; i < approval->bind_count; i++)
        if (str_eq(approval->bind[i], name))
            return true;
    return false;
}

static void diff_bindings(const struct policy_approval *before, const struct policy_approval *after,
                          struct diff_changes *changes)
{
    for (size_t i = 0; i < before->bind_count; i++)
        if (!has_binding(after, before->bind[i]))
            (void)diff_add(changes, POLICY_WAY_WIDER, "approval",
                           "'" STR_FMT "' is no more part of what is approved",
                           STR_ARG(before->bind[i]));
    for (size_t i = 0; i < after->bind_count; i++)
        if (!has_binding(before, after->bind[i]))
            (void)diff_add(changes, POLICY_WAY_NARROWER, "approval",
                           "'" STR_FMT "' is part of what is approved", STR_ARG(after->bind[i]));
}

static void diff_approvals(const struct policy_approval *before,
                           const struct policy_approval *after, struct diff_changes *changes)
{
    char wait_before[STAGE_DURATION_MAX];
    char wait_after[STAGE_DURATION_MAX];

    if (!str_eq(before->by, after->by))
        diff_undecided(diff_add(changes, POLICY_WAY_WIDER, "approval",
                                "'" STR_FMT "' approves, not '" STR_FMT "'", STR_ARG(after->by),
                                STR_ARG(before->by)));
    diff_count("approval", "how many approve", before->count, after->count, MORE_IS_STRICTER,
               changes);
    diff_span("approval", "how long an approval serves", before->within_s, after->within_s,
              LESS_IS_STRICTER, changes);
    diff_bindings(before, after, changes);
    if (before->self_is_unchecked != after->self_is_unchecked)
        (void)diff_add(changes, after->self_is_unchecked ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER,
                       "approval",
                       after->self_is_unchecked ? "people may approve their own run"
                                                : "nobody approves their own run");
    if (before->wait_s != after->wait_s)
        (void)diff_add(changes, POLICY_WAY_EVEN, "approval", "a request waits %s, not %s",
                       stage_duration(after->wait_s, wait_after),
                       stage_duration(before->wait_s, wait_before));
}

static void diff_approval(const struct policy_approval *before, const struct policy_approval *after,
                          struct diff_changes *changes)
{
    if (before != NULL && after != NULL)
        diff_approvals(before, after, changes);
    else if (before != NULL)
        (void)diff_add(changes, POLICY_WAY_WIDER, "approval",
                       "nobody has to approve it any more; it was %" PRId64 " of '" STR_FMT "'",
                       before->count, STR_ARG(before->by));
    else if (after != NULL)
        (void)diff_add(changes, POLICY_WAY_NARROWER, "approval",
                       "%" PRId64 " of '" STR_FMT "' must approve it", after->count,
                       STR_ARG(after->by));
}

/* ---- after ---- */

static const struct policy_after *find_after(const struct policy_obligations *obligations,
                                             struct str stage)
{
    for (size_t i = 0; i < obligations->after_count; i++)
        if (str_eq(obligations->after[i].stage, stage))
            return &obligations->after[i];
    return NULL;
}

static void diff_one_after(const struct policy_after *before, const struct policy_after *after,
                           struct diff_changes *changes)
{
    if (before->is_of_commit != after->is_of_commit)
        diff_undecided(diff_add(changes, POLICY_WAY_WIDER, "after",
                                "'" STR_FMT "' before it is of the same %s, not %s",
                                STR_ARG(after->stage), after->is_of_commit ? "commit" : "run",
                                after->is_of_commit ? "run" : "commit"));
    if (before->issued_is_enough != after->issued_is_enough)
        (void)diff_add(changes, after->issued_is_enough ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER,
                       "after",
                       after->issued_is_enough ? "'" STR_FMT "' only has to have begun before it"
                                               : "'" STR_FMT "' must have gone well before it",
                       STR_ARG(after->stage));
    if (!str_eq(before->instance, after->instance))
        diff_undecided(
            diff_add(changes, POLICY_WAY_WIDER, "after",
                     "'" STR_FMT "' before it is its instance '" STR_FMT "', not '" STR_FMT "'",
                     STR_ARG(after->stage), STR_ARG(after->instance), STR_ARG(before->instance)));
    diff_span("after", "how long ago it may be", before->within_s, after->within_s,
              LESS_IS_STRICTER, changes);
}

static void diff_afters(const struct policy_obligations *before,
                        const struct policy_obligations *after, struct diff_changes *changes)
{
    for (size_t i = 0; i < before->after_count; i++) {
        const struct policy_after *found = find_after(after, before->after[i].stage);

        if (found != NULL)
            diff_one_after(&before->after[i], found, changes);
        else
            (void)diff_add(changes, POLICY_WAY_WIDER, "after",
                           "'" STR_FMT "' does not have to come before it any more",
                           STR_ARG(before->after[i].stage));
    }
    for (size_t i = 0; i < after->after_count; i++)
        if (find_after(before, after->after[i].stage) == NULL)
            (void)diff_add(changes, POLICY_WAY_NARROWER, "after",
                           "'" STR_FMT "' must come before it", STR_ARG(after->after[i].stage));
}

/* ---- limits, lease ---- */

static void diff_limits(const struct policy_limits *before, const struct policy_limits *after,
                        struct diff_changes *changes)
{
    static const char *const fulls[] = {
        [POLICY_FULL_REFUSE] = "refused",
        [POLICY_FULL_WAIT] = "kept waiting",
        [POLICY_FULL_REPLACE] = "let in, and the oldest lease ends",
    };

    diff_count("limits", "leases of one job", before->per_job, after->per_job, LESS_IS_STRICTER,
               changes);
    diff_count("limits", "leases at a time", before->concurrent, after->concurrent,
               LESS_IS_STRICTER, changes);
    diff_count("limits", "leases an hour", before->per_hour, after->per_hour, LESS_IS_STRICTER,
               changes);
    if (before->full != after->full)
        (void)diff_add(changes, POLICY_WAY_EVEN, "limits", "one too many is %s, not %s",
                       fulls[after->full], fulls[before->full]);
}

/* Without a word for it, it lives as long as its grants do. */
static int64_t lease_max_s(const struct policy_stage *stage)
{
    int64_t max_s = stage->obligations.lease.max_s;

    for (size_t i = 0; stage->obligations.lease.max_s == 0 && i < stage->grant_count; i++)
        max_s = stage->grants[i].ttl_s > max_s ? stage->grants[i].ttl_s : max_s;
    return max_s;
}

static void diff_lease(const struct policy_stage *before, const struct policy_stage *after,
                       struct diff_changes *changes)
{
    const struct policy_lease *old = &before->obligations.lease;
    const struct policy_lease *new = &after->obligations.lease;
    int64_t before_s = lease_max_s(before);
    int64_t after_s = lease_max_s(after);
    char texts[2][STAGE_DURATION_MAX];

    if (before_s != after_s && (old->max_s != 0 || new->max_s != 0))
        (void)diff_add(changes, after_s > before_s ? POLICY_WAY_WIDER : POLICY_WAY_NARROWER,
                       "lease", "a lease lives %s with its renewals, not %s",
                       stage_duration(after_s, texts[0]), stage_duration(before_s, texts[1]));
    diff_span("lease", "the time between heartbeats", old->heartbeat_s, new->heartbeat_s,
              LESS_IS_STRICTER, changes);
}

/* ---- the rest ---- */

/* Limits and `after` are counted for each instance: another one makes them mean something else. */
static void diff_instance(const struct policy_stage *before, const struct policy_stage *after,
                          struct diff_changes *changes)
{
    const struct policy_limits *limits = &after->obligations.limits;
    bool counts = after->obligations.after_count > 0 || limits->per_job != 0 ||
                  limits->concurrent != 0 || limits->per_hour != 0;
    struct policy_change *change;

    if (str_eq(before->instance, after->instance))
        return;
    change = diff_add(changes, counts ? POLICY_WAY_WIDER : POLICY_WAY_EVEN, "instance",
                      "its instances are told by '" STR_FMT "', not '" STR_FMT "'",
                      STR_ARG(after->instance), STR_ARG(before->instance));
    if (counts)
        diff_undecided(change);
}

static void note_text(const char *subject, struct str before, struct str after,
                      struct diff_changes *changes)
{
    if (!str_eq(before, after))
        (void)diff_add(changes, POLICY_WAY_EVEN, subject, "%s is '" STR_FMT "', not '" STR_FMT "'",
                       subject, STR_ARG(after), STR_ARG(before));
}

static const char *date(int64_t time_s, char out[TIME_TEXT_S_LEN + 1])
{
    time_text_s(time_s, out);
    out[sizeof("2026-11-22") - 1] = '\0';
    return time_s == 0 ? "never" : out;
}

static void diff_notes(const struct policy_stage *before, const struct policy_stage *after,
                       struct diff_changes *changes)
{
    char texts[2][TIME_TEXT_S_LEN + 1];

    note_text("kind", str_from(policy_stage_kind_name(before->kind)),
              str_from(policy_stage_kind_name(after->kind)), changes);
    note_text("environment", before->environment, after->environment, changes);
    note_text("tenant", before->tenant, after->tenant, changes);
    note_text("owner", before->owner, after->owner, changes);
    if (before->review_by_s != after->review_by_s)
        (void)diff_add(changes, POLICY_WAY_EVEN, "review_by", "it is to be reviewed by %s, not %s",
                       date(after->review_by_s, texts[0]), date(before->review_by_s, texts[1]));
}

void diff_obligations(const struct policy_stage *before, const struct policy_stage *after,
                      struct diff_changes *changes)
{
    const struct policy_obligations *old = &before->obligations;
    const struct policy_obligations *new = &after->obligations;

    diff_afters(old, new, changes);
    diff_approval(old->approval, new->approval, changes);
    diff_limits(&old->limits, &new->limits, changes);
    diff_lease(before, after, changes);
    diff_instance(before, after, changes);
    diff_notes(before, after, changes);
}
