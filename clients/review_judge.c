/* What to do with what was counted. */
#include <inttypes.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/review_internal.h"

#define NARROW_MAX 3            /* as few came: the condition could name them */
#define SOON_S INT64_C(2592000) /* 30d: what ends by then is told apart */

void review_count_up(json_t *object, const char *name, json_int_t by)
{
    json_t *count = json_object_get(object, name);

    (void)json_integer_set(count, json_integer_value(count) + by); /* it is one */
}

static bool add_why(json_t *object, struct str text)
{
    json_t *why = json_object_get(object, "why");

    if (!why) {
        why = json_array();
        if (!json_put(object, "why", why))
            return false;
    }
    return json_array_append_new(why, json_from_str(text)) == 0;
}

static bool propose(json_t *object, const char *proposal, struct str why)
{
    return json_put(object, "proposal", json_string(proposal)) && add_why(object, why);
}

static bool judge_grant(const struct reviewing *reviewing, json_t *grant)
{
    json_int_t uses = json_integer_value(json_object_get(grant, "uses"));
    json_int_t ttl_s = json_integer_value(json_object_get(grant, "ttl_s"));
    json_int_t longest_s = json_integer_value(json_object_get(grant, "longest_s"));
    struct str last = json_str(json_object_get(grant, "last_used"));
    char life[DURATION_TEXT_MAX];

    if (uses == 0 && json_is_true(json_object_get(grant, "is_new")))
        return propose(grant, "keep", STR("not used, and not there for all of the time"));
    if (uses == 0)
        return propose(grant, "remove",
                       last.len > 0 ? arena_printf(reviewing->arena, "last used " STR_FMT,
                                                   STR_ARG(str_slice(last, 0, 10)))
                                    : STR("never used"));
    if (longest_s == 0 || longest_s >= ttl_s)
        return json_put(grant, "proposal", json_string("keep"));
    duration_text(longest_s, life);
    return propose(grant, "narrow",
                   arena_printf(reviewing->arena, "ttl: never taken for longer than %s", life));
}

/* "refs/heads/main": the one value that came, or the few. */
static struct str say_came(const struct reviewing *reviewing, const json_t *came)
{
    struct str text = STR("");
    const char *value;
    json_t *count;

    json_object_foreach (json_iterable(came), value, count)
        text = arena_printf(reviewing->arena, STR_FMT "%s%s", STR_ARG(text),
                            text.len > 0 ? ", " : "", value);
    return text;
}

/* A condition that names just what came lets in nothing else. */
static bool judge_condition(const struct reviewing *reviewing, json_t *stage,
                            const json_t *condition, bool *is_narrow)
{
    const json_t *came = json_object_get(condition, "came");
    struct str demand = json_str(json_object_get(condition, "demand"));
    struct str text = say_came(reviewing, came);
    size_t count = json_object_size(came);
    bool is_pattern = str_starts_with(demand, STR("like ")) || str_find(demand, '*') < demand.len;

    if (count == 0 || count > NARROW_MAX || str_eq(demand, text) || (count > 1 && !is_pattern))
        return true;
    *is_narrow = true;
    return add_why(stage, arena_printf(reviewing->arena,
                                       STR_FMT ": lets in " STR_FMT ", and only " STR_FMT " came",
                                       STR_ARG(json_str(json_object_get(condition, "name"))),
                                       STR_ARG(demand), STR_ARG(text)));
}

static size_t count_proposed(const json_t *grants, const char *proposal)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(grants); i++)
        if (str_eq(json_str(json_object_get(json_array_get(grants, i), "proposal")),
                   str_from(proposal)))
            count++;
    return count;
}

static bool judge_dates(const struct reviewing *reviewing, json_t *stage)
{
    struct str by = json_str(json_object_get(stage, "review_by"));
    int64_t by_ms;

    if (!time_text_parse(by, &by_ms))
        return true;
    if (json_is_true(json_object_get(stage, "is_overdue")))
        return add_why(stage, arena_printf(reviewing->arena, "review_by " STR_FMT " is over",
                                           STR_ARG(str_slice(by, 0, 10))));
    return by_ms / 1000 > reviewing->options->now_s + SOON_S ||
           add_why(stage, arena_printf(reviewing->arena, "review_by " STR_FMT " is near",
                                       STR_ARG(str_slice(by, 0, 10))));
}

static bool judge_unused(const struct reviewing *reviewing, json_t *stage)
{
    struct str last = json_str(json_object_get(stage, "last_used"));

    if (json_is_true(json_object_get(stage, "is_new")))
        return propose(stage, "keep", STR("not used, and not there for all of the time"));
    return propose(stage, "remove",
                   last.len > 0 ? arena_printf(reviewing->arena, "last used " STR_FMT,
                                               STR_ARG(str_slice(last, 0, 10)))
                                : STR("never used"));
}

static bool judge_stage(const struct reviewing *reviewing, json_t *stage)
{
    json_t *grants = json_object_get(stage, "grants");
    const json_t *conditions = json_object_get(stage, "conditions");
    bool is_narrow = false;

    for (size_t i = 0; i < json_array_size(grants); i++)
        if (!judge_grant(reviewing, json_array_get(grants, i)))
            return false;
    if (json_integer_value(json_object_get(stage, "uses")) == 0)
        return judge_unused(reviewing, stage) && judge_dates(reviewing, stage);
    for (size_t i = 0; i < json_array_size(conditions); i++)
        if (!judge_condition(reviewing, stage, json_array_get(conditions, i), &is_narrow))
            return false;
    is_narrow =
        is_narrow || count_proposed(grants, "remove") > 0 || count_proposed(grants, "narrow") > 0;
    return json_put(stage, "proposal", json_string(is_narrow ? "narrow" : "keep")) &&
           judge_dates(reviewing, stage);
}

bool review_judge(const struct reviewing *reviewing)
{
    static const char *const proposals[] = { "keep", "narrow", "remove" };
    json_t *counts = json_object();
    const char *id;
    json_t *stage;

    if (!json_put(reviewing->review, "counts", counts))
        return false;
    for (size_t i = 0; i < COUNT(proposals); i++)
        if (!json_put(counts, proposals[i], json_integer(0)))
            return false;
    json_object_foreach (reviewing->by_stage, id, stage) {
        if (!judge_stage(reviewing, stage))
            return false;
        review_count_up(counts, json_string_value(json_object_get(stage, "proposal")), 1);
    }
    return true;
}
