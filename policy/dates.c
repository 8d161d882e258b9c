#include "policy/dates.h"

static const char *const names[POLICY_DATE_KINDS] = {
    [POLICY_DATE_REVIEW] = "review_by",
    [POLICY_DATE_UNTIL] = "until",
    [POLICY_DATE_GRANT] = "grant_until",
    [POLICY_DATE_EXCEPTION] = "exception",
};

const char *policy_date_kind_name(enum policy_date_kind kind)
{
    return names[kind];
}

/* The dates that are told, as long as there is room. */
struct telling {
    int64_t now_s;
    int64_t before_s;
    struct policy_date *dates;
    size_t count;
};

static bool is_ahead(int64_t at_s, int64_t now_s)
{
    return at_s > now_s;
}

static void tell(struct telling *telling, enum policy_date_kind kind, struct str name, int64_t at_s)
{
    if (at_s == 0 || at_s >= telling->before_s || telling->count == POLICY_DATES_MAX ||
        (kind != POLICY_DATE_REVIEW && !is_ahead(at_s, telling->now_s)))
        return;
    telling->dates[telling->count++] = (struct policy_date){ kind, name, at_s };
}

size_t policy_stage_dates(const struct policy *policy, const struct policy_stage *stage,
                          int64_t now_s, int64_t before_s,
                          struct policy_date dates[POLICY_DATES_MAX])
{
    struct telling telling = { now_s, before_s, dates, 0 };
    size_t count = 0;
    const struct policy_exception *exceptions = policy_exceptions(policy, &count);

    tell(&telling, POLICY_DATE_REVIEW, STR(""), stage->review_by_s);
    tell(&telling, POLICY_DATE_UNTIL, STR(""), stage->until_s);
    for (size_t i = 0; i < stage->grant_count; i++)
        tell(&telling, POLICY_DATE_GRANT, stage->grants[i].name, stage->grants[i].until_s);
    for (size_t i = 0; i < count; i++)
        if (str_eq(exceptions[i].pipeline, stage->pipeline) &&
            str_eq(exceptions[i].stage, stage->name))
            tell(&telling, POLICY_DATE_EXCEPTION, exceptions[i].guardrail, exceptions[i].until_s);
    return telling.count;
}

static void take(int64_t first_s[POLICY_DATE_KINDS], enum policy_date_kind kind, int64_t now_s,
                 int64_t at_s)
{
    if (at_s != 0 && (kind == POLICY_DATE_REVIEW || is_ahead(at_s, now_s)) &&
        (first_s[kind] == 0 || at_s < first_s[kind]))
        first_s[kind] = at_s;
}

void policy_first_dates(const struct policy *policy, int64_t now_s,
                        int64_t first_s[POLICY_DATE_KINDS])
{
    size_t count = 0;
    const struct policy_exception *exceptions = policy_exceptions(policy, &count);

    for (int kind = 0; kind < POLICY_DATE_KINDS; kind++)
        first_s[kind] = 0;
    for (size_t i = 0; i < count; i++)
        take(first_s, POLICY_DATE_EXCEPTION, now_s, exceptions[i].until_s);
    for (size_t i = 0; i < policy_stage_count(policy); i++) {
        const struct policy_stage *stage = policy_stage_at(policy, i);

        take(first_s, POLICY_DATE_REVIEW, now_s, stage->review_by_s);
        take(first_s, POLICY_DATE_UNTIL, now_s, stage->until_s);
        for (size_t k = 0; k < stage->grant_count; k++)
            take(first_s, POLICY_DATE_GRANT, now_s, stage->grants[k].until_s);
    }
}
