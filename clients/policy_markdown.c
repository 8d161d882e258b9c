#include "clients/policy_markdown.h"

#include <inttypes.h>
#include <string.h>

#include "base/time_text.h"
#include "base/utf8.h"
#include "clients/escape.h"
#include "clients/simulation.h"
#include "policy/diff.h"
#include "policy/example.h"

#define EXAMPLE_BYTES_MAX ((size_t)64 * 1024)
#define EXAMPLE_SHOWN_MAX 600
#define LINE_SHOWN_MAX 300

/* ---- foreign text ---- */

/* Within code, where only a backtick means something. */
static void add_code(struct str text, size_t max, struct buf *out)
{
    bool is_cut = text.len > max;

    text = str_slice(text, 0, max);
    while (text.len > 0) {
        struct str character = utf8_take_plain(&text);

        buf_add(out, str_eq(character, STR("`")) ? STR("'") : character);
    }
    if (is_cut)
        buf_add_text(out, "...");
}

/* ---- changes ---- */

static void add_example(const struct policy_change *change, struct buf *out)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (change->example == NULL)
        return;
    buf_init(&text, EXAMPLE_BYTES_MAX);
    proof_example_write(change->example, &text);
    buf_add_text(out, change->way == POLICY_WAY_NARROWER ? ", before: `" : ", now: `");
    add_code(buf_str(&text), EXAMPLE_SHOWN_MAX, out);
    buf_add_text(out, "`");
    if (change->example->is_of_facts)
        buf_add_text(out, " (if its issuer's tokens come to these facts)");
}

static void add_change(const struct policy_change *change, struct buf *out)
{
    static const char *const marks[] = {
        [POLICY_WAY_EVEN] = "- ",
        [POLICY_WAY_NARROWER] = "- narrower: ",
        [POLICY_WAY_WIDER] = "- **wider**: ",
    };

    buf_add_text(out, marks[change->way]);
    escape_markdown(change->text, out);
    if (change->is_undecided)
        buf_add_text(out, " (which of them is wider nobody can tell)");
    add_example(change, out);
    buf_add_text(out, "\n");
}

static void add_lines(const char *mark, const struct str *lines, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, mark);
        add_code(lines[i], LINE_SHOWN_MAX, out);
        buf_add_text(out, "\n");
    }
}

/* ---- stages ---- */

static const char *state_of(const struct policy_stage_diff *stage)
{
    if (stage->before == NULL)
        return "new";
    if (stage->after == NULL)
        return "removed";
    return stage->way == POLICY_WAY_EVEN ? "different, as wide as before"
                                         : policy_way_name(stage->way);
}

static void add_stage(const struct policy_stage_diff *stage, struct buf *out)
{
    buf_add_text(out, "\n#### `");
    add_code(stage->id, LINE_SHOWN_MAX, out);
    buf_printf(out, "` is %s\n\n", state_of(stage));
    for (size_t i = 0; i < stage->change_count; i++)
        add_change(&stage->changes[i], out);
    if (stage->line_before_count + stage->line_after_count == 0)
        return;
    buf_add_text(out, "\n```diff\n");
    add_lines("- ", stage->lines_before, stage->line_before_count, out);
    add_lines("+ ", stage->lines_after, stage->line_after_count, out);
    buf_add_text(out, "```\n");
}

/* Add what was written, if there is room for all of it. */
static bool add_whole(struct buf *part, struct buf *out)
{
    if (!buf_is_ok(part) || out->len + part->len > POLICY_MARKDOWN_MAX)
        return false;
    buf_add(out, buf_str(part));
    return true;
}

/* Stages of one way, as far as there is room; how many there was no room for. */
static size_t add_stages(const struct policy_diff *diff, enum policy_way way, struct buf *out)
{
    size_t left = 0;

    for (size_t i = 0; i < diff->stage_count; i++) {
        OWNED(buf_release) struct buf part = { 0 };

        if (diff->stages[i].way != way)
            continue;
        buf_init(&part, POLICY_MARKDOWN_MAX);
        if (left == 0)
            add_stage(&diff->stages[i], &part);
        left += left > 0 || !add_whole(&part, out);
    }
    return left;
}

static size_t add_guardrails(const struct policy_diff *diff, struct buf *out)
{
    size_t left = 0;

    if (diff->guardrail_count > 0)
        buf_add_text(out, "\n#### Guardrails\n\n");
    for (size_t i = 0; i < diff->guardrail_count; i++) {
        OWNED(buf_release) struct buf part = { 0 };

        buf_init(&part, POLICY_MARKDOWN_MAX);
        add_change(&diff->guardrails[i], &part);
        left += !add_whole(&part, out);
    }
    return left;
}

static void add_head(const struct policy_diff *diff, struct buf *out)
{
    static const char *const titles[] = {
        [POLICY_WAY_EVEN] = "as wide as before",
        [POLICY_WAY_NARROWER] = "narrower",
        [POLICY_WAY_WIDER] = "wider",
    };
    struct policy_diff_counts counts = policy_diff_count(diff);

    buf_printf(out, "### Stagepass policy: %s\n\n", titles[diff->way]);
    buf_add_text(out, "| stages | |\n| --- | ---: |\n");
    buf_printf(out, "| wider | %zu |\n| narrower | %zu |\n| otherwise different | %zu |\n",
               counts.wider, counts.narrower, counts.even);
    buf_printf(out, "| new | %zu |\n| removed | %zu |\n| the same | %zu |\n", counts.added,
               counts.removed, diff->same_count);
}

void policy_markdown_write(const struct policy_diff *diff, struct buf *out)
{
    size_t left;

    add_head(diff, out);
    left = add_guardrails(diff, out);
    left += add_stages(diff, POLICY_WAY_WIDER, out);
    left += add_stages(diff, POLICY_WAY_NARROWER, out);
    left += add_stages(diff, POLICY_WAY_EVEN, out);
    if (left > 0)
        buf_printf(out, "\nand %zu more: `stagepass policy diff` shows all\n", left);
}

/* ---- a simulation ---- */

static void add_field(const char *title, struct str text, struct buf *out)
{
    if (text.len == 0)
        return;
    buf_printf(out, "%s `", title);
    add_code(text, LINE_SHOWN_MAX, out);
    buf_add_text(out, "`");
}

static void add_flip(const struct flip *flip, struct buf *out)
{
    char last[TIME_TEXT_S_LEN + 1];

    time_text_s(flip->last_s, last);
    buf_printf(out, "- **now %s**", flip_kind_name(flip->kind));
    add_field("", flip->stage, out);
    buf_printf(out, ", %" PRId64 " times, last %s", flip->count, last);
    add_field("; before", flip->before, out);
    add_field("; now", flip->now, out);
    add_field("; owner", flip->owner, out);
    buf_add_text(out, "\n");
}

static void add_doubt(const struct doubt *doubt, struct buf *out)
{
    buf_printf(out, "- cannot tell, %" PRId64 " times: ", doubt->count);
    escape_markdown(doubt->why, out);
    buf_add_text(out, "\n");
}

static void add_unused(const struct unused_grant *unused, struct buf *out)
{
    char last[TIME_TEXT_S_LEN + 1];

    time_text_s(unused->last_s, last);
    add_field("- nobody used", unused->grant, out);
    add_field(" of", unused->stage, out);
    buf_printf(out, ", last: %s\n", unused->last_s > 0 ? last : "never");
}

static void add_totals(const struct simulation *simulation, struct buf *out)
{
    const struct {
        const char *title;
        int64_t count;
    } totals[] = {
        { "decided again", simulation->request_count },
        { "the same", simulation->same_count },
        { "now denied", simulation->flipped_count[FLIP_DENIED] },
        { "now allowed", simulation->flipped_count[FLIP_ALLOWED] },
        { "changed", simulation->flipped_count[FLIP_CHANGED] },
        { "cannot be told", simulation->doubt_count },
    };

    buf_add_text(out,
                 "### Stagepass policy: recorded requests\n\n| requests | |\n| --- | ---: |\n");
    for (size_t i = 0; i < COUNT(totals); i++)
        buf_printf(out, "| %s | %" PRId64 " |\n", totals[i].title, totals[i].count);
    buf_add_text(out, "\n");
}

void policy_markdown_simulation(const struct simulation *simulation, struct buf *out)
{
    size_t count = simulation->flip_count + simulation->doubt_kinds + simulation->unused_count;
    size_t left = 0;

    add_totals(simulation, out);
    for (size_t i = 0; i < count; i++) {
        OWNED(buf_release) struct buf part = { 0 };
        size_t doubt = i - simulation->flip_count;

        buf_init(&part, POLICY_MARKDOWN_MAX);
        if (i < simulation->flip_count)
            add_flip(&simulation->flips[i], &part);
        else if (doubt < simulation->doubt_kinds)
            add_doubt(&simulation->doubts[doubt], &part);
        else
            add_unused(&simulation->unused[doubt - simulation->doubt_kinds], &part);
        left += left > 0 || !add_whole(&part, out);
    }
    if (left > 0)
        buf_printf(out, "\nand %zu more: `stagepass policy simulate` shows all\n", left);
}
