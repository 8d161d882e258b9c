#include "policy/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy.h"
#include "policy/who_can.h"

static const char *const may_names[] = {
    [INVENTORY_MAY_UNKNOWN] = "unknown",
    [INVENTORY_MAY] = "yes",
    [INVENTORY_MAY_CLOSED] = "closed",
    [INVENTORY_MAY_NOT] = "no",
};

int inventory_compare(const struct inventory_row *a, const struct inventory_row *b)
{
    int order = str_compare(a->stage, b->stage);

    if (order == 0)
        order = str_compare(a->target, b->target);
    return order != 0 ? order : str_compare(a->grant, b->grant);
}

static int compare(const void *a, const void *b)
{
    return inventory_compare(a, b);
}

/* ---- what may be ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    if (a == 0 || b == 0)
        return a == 0 ? b : a;
    return a < b ? a : b;
}

static void close_row(struct inventory_row *row, struct str why)
{
    row->may = INVENTORY_MAY_CLOSED;
    for (size_t i = 0; i < row->closed_count; i++)
        if (str_eq(row->closed[i], why))
            return;
    if (row->closed_count < INVENTORY_CLOSED_MAX)
        row->closed[row->closed_count++] = why;
}

static struct inventory_row row_of_grant(const struct who_stage *found,
                                         const struct who_grant *given)
{
    const struct policy_stage *stage = found->stage;
    const struct policy_grant *grant = given->grant;
    struct inventory_row row = {
        .stage = stage->id,
        .target = grant->target ? grant->target->name : STR(""),
        .grant = grant->name,
        .pipeline = stage->pipeline,
        .owner = stage->owner,
        .tenant = stage->tenant,
        .environment = stage->environment,
        .kind = str_from(policy_stage_kind_name(stage->kind)),
        .type = str_from(grant->kind->name),
        .may = INVENTORY_MAY,
        .until_s = earlier(grant->until_s, stage->until_s),
        .review_by_s = stage->review_by_s,
        .ttl_s = grant->ttl_s,
    };

    for (size_t i = 0; i < found->closed_count; i++)
        close_row(&row, found->closed[i]);
    if (given->is_over)
        close_row(&row, STR("until"));
    return row;
}

/* ---- what was ---- */

static struct inventory_row row_of_use(const struct inventory_use *use, enum inventory_may may)
{
    return (struct inventory_row){
        .stage = use->stage,
        .target = use->target,
        .grant = use->grant,
        .pipeline = use->pipeline,
        .owner = use->owner,
        .tenant = use->tenant,
        .environment = use->environment,
        .kind = use->kind,
        .type = use->type,
        .may = may,
        .use = use,
    };
}

/* The rows of the policy are sorted; what was done besides comes behind them. */
static size_t add_uses(const struct inventory_question *question, struct inventory_row *rows,
                       size_t may_count)
{
    size_t count = may_count;
    enum inventory_may may = question->policy ? INVENTORY_MAY_NOT : INVENTORY_MAY_UNKNOWN;

    for (size_t i = 0; i < question->use_count; i++) {
        const struct inventory_use *use = &question->uses[i];
        struct inventory_row row = row_of_use(use, may);
        struct inventory_row *found;

        if (use->grant.len == 0)
            continue;
        found = bsearch(&row, rows, may_count, sizeof(*rows), compare);
        if (found)
            found->use = use;
        else
            rows[count++] = row;
    }
    return count;
}

/* ---- which are asked for ---- */

static bool is_wanted(struct str wanted, struct str value)
{
    return wanted.len == 0 || str_eq(wanted, value);
}

static bool fits(const struct inventory_question *question, const struct inventory_row *row)
{
    return is_wanted(question->environment, row->environment) &&
           is_wanted(question->target, row->target) && is_wanted(question->owner, row->owner) &&
           is_wanted(question->tenant, row->tenant) &&
           is_wanted(question->pipeline, row->pipeline) && is_wanted(question->stage, row->stage) &&
           (!question->only_unused || row->is_unused) &&
           (!question->may_see || question->may_see(row->tenant, row->owner, question->context));
}

static void judge(const struct inventory_question *question, struct inventory_row *row)
{
    bool is_open = row->may == INVENTORY_MAY || row->may == INVENTORY_MAY_CLOSED;
    int64_t last_s = row->use ? row->use->last_s : 0;

    row->is_unused = question->unused_since_s != 0 && is_open && last_s < question->unused_since_s;
    row->is_overdue = row->review_by_s != 0 && question->at_s >= row->review_by_s;
}

static size_t select_rows(const struct inventory_question *question, struct inventory_row *rows,
                          size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        judge(question, &rows[i]);
        if (fits(question, &rows[i]))
            rows[kept++] = rows[i];
    }
    return kept;
}

static bool find_stages(const struct inventory_question *question, struct arena *arena,
                        struct who_stage **stages, size_t *count, struct error *error)
{
    const struct who_question who = { .has_time = true, .at_s = question->at_s };

    *stages = NULL;
    *count = 0;
    return !question->policy || policy_who_can(question->policy, &who, arena, stages, count, error);
}

bool inventory_make(const struct inventory_question *question, struct arena *arena,
                    struct inventory_row **out, size_t *count, struct error *error)
{
    struct who_stage *stages = NULL;
    struct inventory_row *rows;
    size_t stage_count = 0;
    size_t may_count = 0;

    if (!find_stages(question, arena, &stages, &stage_count, error))
        return false;
    for (size_t i = 0; i < stage_count; i++)
        may_count += stages[i].grant_count;
    rows = arena_alloc_array(arena, may_count + question->use_count + 1, sizeof(*rows));
    if (!rows)
        return error_set(error, ERROR_MEMORY, "an inventory");
    may_count = 0;
    for (size_t i = 0; i < stage_count; i++)
        for (size_t k = 0; k < stages[i].grant_count; k++)
            rows[may_count++] = row_of_grant(&stages[i], &stages[i].grants[k]);
    qsort(rows, may_count, sizeof(*rows), compare);
    *count = add_uses(question, rows, may_count);
    *count = select_rows(question, rows, *count);
    qsort(rows, *count, sizeof(*rows), compare);
    *out = rows;
    return true;
}

/* ---- as JSON ---- */

static bool put_str(json_t *object, const char *name, struct str value)
{
    return value.len == 0 || json_put(object, name, json_from_str(value));
}

static bool put_time(json_t *object, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return time_s == 0 || json_put(object, name, json_string(text));
}

static bool put_closed(json_t *object, const struct inventory_row *row)
{
    json_t *list;

    if (row->closed_count == 0)
        return true;
    list = json_array();
    if (!json_put(object, "closed", list))
        return false;
    for (size_t i = 0; i < row->closed_count; i++)
        if (json_array_append_new(list, json_from_str(row->closed[i])) != 0)
            return false;
    return true;
}

static bool put_may(json_t *object, const struct inventory_row *row)
{
    return json_put(object, "may", json_string(may_names[row->may])) && put_closed(object, row) &&
           put_time(object, "until", row->until_s) &&
           put_time(object, "review_by", row->review_by_s) &&
           (row->ttl_s == 0 || json_put(object, "ttl_s", json_integer(row->ttl_s)));
}

static bool put_does(json_t *object, const struct inventory_use *use)
{
    return json_put(object, "used", json_integer(use ? use->count : 0)) &&
           (!use || (put_time(object, "first_used", use->first_s) &&
                     put_time(object, "last_used", use->last_s) &&
                     (use->failed == 0 || json_put(object, "failed", json_integer(use->failed)))));
}

static bool put_who(json_t *object, const struct inventory_row *row)
{
    return put_str(object, "stage", row->stage) && put_str(object, "target", row->target) &&
           put_str(object, "grant", row->grant) && put_str(object, "type", row->type) &&
           put_str(object, "pipeline", row->pipeline) && put_str(object, "owner", row->owner) &&
           put_str(object, "tenant", row->tenant) &&
           put_str(object, "environment", row->environment) && put_str(object, "kind", row->kind);
}

json_t *inventory_json(const struct inventory_row *row)
{
    json_t *object = json_object();

    if (object && put_who(object, row) && put_may(object, row) && put_does(object, row->use) &&
        (!row->is_unused || json_put(object, "unused", json_true())) &&
        (!row->is_overdue || json_put(object, "overdue", json_true())))
        return object;
    json_decref(object);
    return NULL;
}
