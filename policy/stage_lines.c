#include "policy/stage_lines.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/time_text.h"
#include "policy/policy_rails.h"

#define LINE_BYTES_MAX ((size_t)256 * 1024) /* 16 maps of long values */

/* Lines as they are written; there are never more than `capacity`. */
struct writing {
    struct arena *arena;
    struct str *lines;
    size_t capacity;
    size_t count;
    bool is_out_of_memory;
};

/* ---- one line ---- */

static void end_line(struct writing *writing, struct buf *line)
{
    struct str text = { 0 };

    if (buf_is_ok(line) && writing->count < writing->capacity)
        text = arena_copy(writing->arena, buf_str(line));
    writing->is_out_of_memory |= text.data == NULL;
    if (text.data != NULL)
        writing->lines[writing->count++] = text;
    buf_release(line);
}

static void add_condition(const struct policy_condition *condition, struct buf *line)
{
    buf_add(line, condition->name);
    buf_add_text(line, ": ");
    policy_condition_describe(condition, STAGE_LINES_VALUES_MAX, line);
}

static void add_map(const struct policy_map *map, const struct policy_identity_map *issuers,
                    struct buf *line)
{
    const char *before = "";

    buf_add_text(line, "{");
    if (issuers != NULL) {
        buf_add_text(line, "issuer: ");
        for (size_t i = 0; i < issuers->issuer_count; i++) {
            buf_add_text(line, i > 0 ? " or " : "");
            buf_add(line, issuers->issuers[i]->name);
        }
        before = ", ";
    }
    for (size_t i = 0; i < map->count; i++) {
        buf_add_text(line, before);
        add_condition(&map->conditions[i], line);
        before = ", ";
    }
    buf_add_text(line, "}");
}

/* ---- clauses ---- */

/* A clause of several maps, or whose one map refuses as a whole. */
static void write_maps(struct writing *writing, const char *word,
                       const struct policy_clause *clause,
                       const struct policy_identity_map *issuers)
{
    struct buf line = { 0 };

    buf_init(&line, LINE_BYTES_MAX);
    buf_add_text(&line, word);
    buf_add_text(&line, clause->count > 1 ? " either " : " ");
    for (size_t i = 0; i < clause->count; i++) {
        buf_add_text(&line, i > 0 ? " or " : "");
        add_map(&clause->maps[i], issuers == NULL ? NULL : &issuers[i], &line);
    }
    end_line(writing, &line);
}

static void write_issuers(struct writing *writing, const char *word,
                          const struct policy_identity_map *issuers)
{
    struct buf line = { 0 };

    buf_init(&line, LINE_BYTES_MAX);
    buf_printf(&line, "%s issuer: ", word);
    for (size_t i = 0; i < issuers->issuer_count; i++) {
        buf_add_text(&line, i > 0 ? " or " : "");
        buf_add(&line, issuers->issuers[i]->name);
    }
    end_line(writing, &line);
}

static void write_conditions(struct writing *writing, const char *word,
                             const struct policy_map *map)
{
    for (size_t i = 0; i < map->count; i++) {
        struct buf line = { 0 };

        buf_init(&line, LINE_BYTES_MAX);
        buf_printf(&line, "%s ", word);
        add_condition(&map->conditions[i], &line);
        end_line(writing, &line);
    }
}

static void write_identity(struct writing *writing, const struct policy_pipeline *pipeline)
{
    if (pipeline->identity.count > 1) {
        write_maps(writing, "identity", &pipeline->identity, pipeline->identity_maps);
        return;
    }
    for (size_t i = 0; i < pipeline->identity.count; i++) {
        write_issuers(writing, "identity", &pipeline->identity_maps[i]);
        write_conditions(writing, "identity", &pipeline->identity.maps[i]);
    }
}

static void write_when(struct writing *writing, const char *word,
                       const struct policy_clause *clause)
{
    if (clause->count == 1)
        write_conditions(writing, word, &clause->maps[0]);
    else if (clause->count > 1)
        write_maps(writing, word, clause, NULL);
}

/* Each map refuses by itself, so each has a line. */
static void write_unless(struct writing *writing, const struct policy_clause *clause)
{
    for (size_t i = 0; i < clause->count; i++) {
        const struct policy_clause one = { &clause->maps[i], 1 };

        write_maps(writing, "unless", &one, NULL);
    }
}

/* ---- the other words ---- */

static void write_proofs(struct writing *writing, const char *word, unsigned bits)
{
    static const struct {
        unsigned bit;
        const char *name;
    } names[] = {
        { POLICY_PROOF_DPOP, "dpop" },
        { POLICY_PROOF_MTLS, "mtls" },
        { POLICY_PROOF_KEY, "key" },
    };
    struct buf line = { 0 };
    const char *before = "";

    if (bits == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_printf(&line, "%s: ", word);
    for (size_t i = 0; i < COUNT(names); i++)
        if ((bits & names[i].bit) != 0) {
            buf_printf(&line, "%s%s", before, names[i].name);
            before = " or ";
        }
    end_line(writing, &line);
}

static void write_networks(struct writing *writing, const char *word,
                           const struct policy_networks *networks)
{
    struct buf line = { 0 };

    if (networks->count == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_printf(&line, "%s: ", word);
    for (size_t i = 0; i < networks->count; i++) {
        char base[ADDRESS_TEXT_MAX];

        address_text(&networks->list[i].base, base);
        buf_printf(&line, "%s%s/%u", i > 0 ? " or " : "", base, (unsigned)networks->list[i].bits);
    }
    end_line(writing, &line);
}

static void write_windows(struct writing *writing, const struct policy_stage_rule *stage)
{
    struct buf line = { 0 };

    if (stage->during_count == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_add_text(&line, "during: ");
    for (size_t i = 0; i < stage->during_count; i++) {
        buf_add_text(&line, i > 0 ? " or " : "");
        policy_window_describe(&stage->during[i], &line);
    }
    end_line(writing, &line);
}

static void write_time(struct writing *writing, const char *word, int64_t time_s)
{
    struct buf line = { 0 };
    char text[TIME_TEXT_S_LEN + 1];

    if (time_s == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    time_text_s(time_s, text);
    buf_printf(&line, "%s: %s", word, text);
    end_line(writing, &line);
}

/* ---- guardrails ---- */

static void write_freeze(struct writing *writing, const struct policy_guardrail *guardrail)
{
    struct buf line = { 0 };
    char from[TIME_TEXT_S_LEN + 1];
    char to[TIME_TEXT_S_LEN + 1];

    buf_init(&line, LINE_BYTES_MAX);
    time_text_s(guardrail->freeze.from_s, from);
    time_text_s(guardrail->freeze.to_s, to);
    buf_printf(&line, STR_FMT " closes it from %s to %s", STR_ARG(guardrail->name), from, to);
    end_line(writing, &line);
}

/* What a guardrail adds to the conditions. The rest of it bounds the stage's own words. */
static void write_rail(struct writing *writing, const struct policy_rail *rail)
{
    const struct policy_guardrail *guardrail = rail->guardrail;
    struct str excepted =
        arena_printf(writing->arena, STR_FMT " excepts it until", STR_ARG(guardrail->name));
    struct str requires =
        arena_printf(writing->arena, STR_FMT " requires", STR_ARG(guardrail->name));

    writing->is_out_of_memory |= excepted.data == NULL || requires.data == NULL;
    if (guardrail->is_warning || writing->is_out_of_memory)
        return;
    write_time(writing, excepted.data, rail->exempt_until_s);
    if (guardrail->kind == POLICY_GUARDRAIL_REQUIRE)
        write_when(writing, requires.data, &guardrail->require.when);
    if (guardrail->kind == POLICY_GUARDRAIL_FREEZE)
        write_freeze(writing, guardrail);
}

/* ---- all of it ---- */

static size_t count_clause(const struct policy_clause *clause)
{
    size_t count = 0;

    for (size_t i = 0; i < clause->count; i++)
        count += 2 + clause->maps[i].count;
    return count;
}

static size_t count_lines(const struct policy_stage_rule *stage, const struct policy_rails *rails)
{
    const struct policy_pipeline *pipeline = stage->pipeline;
    size_t count = 4 + count_clause(&pipeline->identity) + count_clause(&pipeline->when) +
                   count_clause(&pipeline->unless) + count_clause(&stage->when) +
                   count_clause(&stage->unless);

    for (size_t i = 0; rails != NULL && i < rails->count; i++) {
        const struct policy_guardrail *guardrail = rails->list[i].guardrail;

        count += 1 + (guardrail->kind == POLICY_GUARDRAIL_REQUIRE
                          ? count_clause(&guardrail->require.when)
                          : 1);
    }
    return count;
}

static void write_all(struct writing *writing, const struct policy_stage_rule *stage,
                      const struct policy_rails *rails)
{
    write_identity(writing, stage->pipeline);
    write_when(writing, "when", &stage->pipeline->when);
    write_when(writing, "when", &stage->when);
    write_unless(writing, &stage->pipeline->unless);
    write_unless(writing, &stage->unless);
    write_proofs(writing, "proof", stage->proofs);
    write_networks(writing, "from", &stage->from);
    write_windows(writing, stage);
    write_time(writing, "until", stage->shown.until_s);
    for (size_t i = 0; rails != NULL && i < rails->count; i++)
        write_rail(writing, &rails->list[i]);
}

bool stage_lines(const struct policy *policy, const struct policy_stage *stage, struct arena *arena,
                 struct str **lines, size_t *count)
{
    const struct policy_stage_rule *rule = policy_rule_of(stage);
    const struct policy_rails *rails = policy_rails_of(policy_linked_of(policy, stage), rule);
    struct writing writing = { .arena = arena, .capacity = count_lines(rule, rails) };

    writing.lines = arena_alloc_array(arena, writing.capacity + 1, sizeof(*writing.lines));
    if (writing.lines == NULL)
        return false;
    write_all(&writing, rule, rails);
    *lines = writing.lines;
    *count = writing.count;
    return !writing.is_out_of_memory;
}

/* ---- duties ---- */

const char *stage_duration(int64_t duration_s, char out[STAGE_DURATION_MAX])
{
    static const struct {
        int64_t s;
        char name;
    } units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };

    for (size_t i = 0; i < COUNT(units); i++)
        if (duration_s != 0 && duration_s % units[i].s == 0) {
            (void)snprintf(out, STAGE_DURATION_MAX, "%" PRId64 "%c", duration_s / units[i].s,
                           units[i].name);
            return out;
        }
    return "unbounded";
}

static void write_afters(struct writing *writing, const struct policy_obligations *obligations)
{
    for (size_t i = 0; i < obligations->after_count; i++) {
        const struct policy_after *after = &obligations->after[i];
        struct buf line = { 0 };
        char within[STAGE_DURATION_MAX];

        buf_init(&line, LINE_BYTES_MAX);
        buf_add_text(&line, "after: ");
        buf_add(&line, after->stage);
        buf_printf(&line, ", in the same %s", after->is_of_commit ? "commit" : "run");
        buf_printf(&line, ", within %s", stage_duration(after->within_s, within));
        if (after->issued_is_enough)
            buf_add_text(&line, ", however it went");
        end_line(writing, &line);
    }
}

static void write_approval(struct writing *writing, const struct policy_approval *approval)
{
    struct buf line = { 0 };
    char within[STAGE_DURATION_MAX];

    if (approval == NULL)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_printf(&line, "approval: %" PRId64 " of ", approval->count);
    policy_value_describe(approval->by, &line);
    buf_printf(&line, ", serves %s", stage_duration(approval->within_s, within));
    for (size_t i = 0; i < approval->bind_count; i++) {
        buf_add_text(&line, i == 0 ? ", with " : " and ");
        buf_add(&line, approval->bind[i]);
    }
    if (approval->self_is_unchecked)
        buf_add_text(&line, ", also by who started the run");
    end_line(writing, &line);
}

static void write_limits(struct writing *writing, const struct policy_limits *limits)
{
    const struct {
        int64_t count;
        const char *what;
    } rows[] = {
        { limits->per_job, "a job" },
        { limits->concurrent, "at a time" },
        { limits->per_hour, "an hour" },
    };
    struct buf line = { 0 };
    const char *before = "limits: ";

    if (limits->per_job == 0 && limits->concurrent == 0 && limits->per_hour == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (rows[i].count == 0)
            continue;
        buf_printf(&line, "%s%" PRId64 " %s", before, rows[i].count, rows[i].what);
        before = ", ";
    }
    end_line(writing, &line);
}

static void write_lease(struct writing *writing, const struct policy_lease *lease)
{
    struct buf line = { 0 };
    char text[STAGE_DURATION_MAX];

    if (lease->max_s == 0 && lease->heartbeat_s == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_add_text(&line, "lease:");
    if (lease->max_s != 0)
        buf_printf(&line, " %s with its renewals", stage_duration(lease->max_s, text));
    if (lease->heartbeat_s != 0)
        buf_printf(&line, "%s a heartbeat each %s", lease->max_s != 0 ? "," : "",
                   stage_duration(lease->heartbeat_s, text));
    end_line(writing, &line);
}

static void write_instance(struct writing *writing, struct str instance)
{
    struct buf line = { 0 };

    if (instance.len == 0)
        return;
    buf_init(&line, LINE_BYTES_MAX);
    buf_add_text(&line, "instance: ");
    buf_add(&line, instance);
    end_line(writing, &line);
}

bool stage_duties(const struct policy_stage *stage, struct arena *arena, struct str **lines,
                  size_t *count)
{
    const struct policy_obligations *obligations = &stage->obligations;
    struct writing writing = { .arena = arena, .capacity = obligations->after_count + 4 };

    writing.lines = arena_alloc_array(arena, writing.capacity, sizeof(*writing.lines));
    if (writing.lines == NULL)
        return false;
    write_afters(&writing, obligations);
    write_approval(&writing, obligations->approval);
    write_limits(&writing, &obligations->limits);
    write_lease(&writing, &obligations->lease);
    write_instance(&writing, stage->instance);
    *lines = writing.lines;
    *count = writing.count;
    return !writing.is_out_of_memory;
}
