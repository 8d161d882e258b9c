#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/bar.h"
#include "clients/command.h"
#include "clients/policy_markdown.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/jobs.h"
#include "policy/diff.h"
#include "policy/example.h"
#include "policy/policy.h"

#define EXIT_WIDER 6
#define EXAMPLE_BYTES_MAX ((size_t)64 * 1024)
#define BAR_FILES_MIN 1000 /* what takes longer than a moment */
#define BAR_CHUNKS_MIN 64

enum form {
    FORM_TEXT,
    FORM_JSON,
    FORM_MARKDOWN,
};

struct values {
    struct policy_source_options source;
    size_t form;
};

static const struct option_row rows[] = {
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = "text|json|markdown",
      .help = "How the result is printed; markdown is fit for a comment on a pull request",
      .offset = offsetof(struct values, form),
      .letter = 'o' },
};

/* ---- text ---- */

static void print_example(enum policy_way way, const struct proof_example *example)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (example == NULL)
        return;
    buf_init(&text, EXAMPLE_BYTES_MAX);
    proof_example_write(example, &text);
    (void)printf("            %s ", way == POLICY_WAY_NARROWER ? "before:" : "now:");
    print_clean(stdout, buf_str(&text));
    (void)putchar('\n');
    if (example->is_of_facts)
        (void)puts("            (whether its issuer's tokens come to these facts is not proven)");
}

static void print_change(const struct policy_change *change)
{
    (void)printf("  %-9s ", policy_way_name(change->way));
    print_clean(stdout, change->text);
    if (change->is_undecided)
        (void)fputs(" (which of them is wider nobody can tell)", stdout);
    (void)putchar('\n');
    print_example(change->way, change->example);
}

static void print_lines(const char *mark, const struct str *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)printf("          %s ", mark);
        print_clean(stdout, lines[i]);
        (void)putchar('\n');
    }
}

static void print_stage(const struct policy_stage_diff *stage)
{
    (void)putchar('\n');
    print_clean(stdout, stage->id);
    (void)printf(" is %s%s\n",
                 stage->before == NULL           ? "new"
                 : stage->after == NULL          ? "removed"
                 : stage->way == POLICY_WAY_EVEN ? "as wide as before"
                                                 : policy_way_name(stage->way),
                 stage->way == POLICY_WAY_WIDER && stage->is_narrower ? ", and narrower" : "");
    for (size_t i = 0; i < stage->change_count; i++)
        print_change(&stage->changes[i]);
    print_lines("-", stage->lines_before, stage->line_before_count);
    print_lines("+", stage->lines_after, stage->line_after_count);
}

static int print_text(const struct policy_diff *diff)
{
    struct policy_diff_counts counts = policy_diff_count(diff);

    (void)printf("%s\nstages: %zu wider, %zu narrower, %zu otherwise different, %zu new, "
                 "%zu removed, %zu the same\n",
                 diff->way == POLICY_WAY_EVEN ? "as wide as before" : policy_way_name(diff->way),
                 counts.wider, counts.narrower, counts.even, counts.added, counts.removed,
                 diff->same_count);
    for (size_t i = 0; i < diff->guardrail_count; i++)
        print_change(&diff->guardrails[i]);
    for (size_t i = 0; i < diff->stage_count; i++)
        print_stage(&diff->stages[i]);
    return report_finish();
}

/* ---- JSON ---- */

static bool fill_change(json_t *json, const struct policy_change *change)
{
    return json_put(json, "way", json_string(policy_way_name(change->way))) &&
           json_put(json, "subject", json_string(change->subject)) &&
           json_put(json, "text", json_from_str(change->text)) &&
           json_put_text(json, "grant", change->grant) &&
           json_put(json, "undecided", json_boolean(change->is_undecided)) &&
           (change->example == NULL ||
            (json_put(json, "example", proof_example_json(change->example)) &&
             json_put(json, "example_of_facts", json_boolean(change->example->is_of_facts))));
}

static bool put_changes(json_t *json, const char *name, const struct policy_change *changes,
                        size_t count)
{
    json_t *list = json_array();

    if (!json_put(json, name, list))
        return false;
    for (size_t i = 0; i < count; i++) {
        json_t *change = json_object();

        if (json_array_append_new(list, change) != 0 || !fill_change(change, &changes[i]))
            return false;
    }
    return true;
}

static bool fill_stage(json_t *json, const struct policy_stage_diff *stage)
{
    const char *state = stage->before == NULL ? "new" : stage->after == NULL ? "removed" : "both";

    return json_put(json, "stage", json_from_str(stage->id)) &&
           json_put(json, "state", json_string(state)) &&
           json_put(json, "way", json_string(policy_way_name(stage->way))) &&
           json_put(json, "narrower", json_boolean(stage->is_narrower)) &&
           put_changes(json, "changes", stage->changes, stage->change_count) &&
           json_put(json, "conditions_before",
                    json_from_strs(stage->lines_before, stage->line_before_count)) &&
           json_put(json, "conditions_now",
                    json_from_strs(stage->lines_after, stage->line_after_count));
}

static bool put_stages(json_t *json, const struct policy_diff *diff)
{
    json_t *list = json_array();

    if (!json_put(json, "stages", list))
        return false;
    for (size_t i = 0; i < diff->stage_count; i++) {
        json_t *stage = json_object();

        if (json_array_append_new(list, stage) != 0 || !fill_stage(stage, &diff->stages[i]))
            return false;
    }
    return true;
}

static int print_json(const struct policy_diff *diff)
{
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "way", json_string(policy_way_name(diff->way))) ||
        !json_put(json, "same", json_integer((json_int_t)diff->same_count)) ||
        !put_changes(json, "guardrails", diff->guardrails, diff->guardrail_count) ||
        !put_stages(json, diff))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int print_markdown(const struct policy_diff *diff)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 2 * POLICY_MARKDOWN_MAX);
    policy_markdown_write(diff, &text);
    if (!buf_is_ok(&text))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    (void)fwrite(text.data, 1, text.len, stdout); /* report_finish() asks */
    return report_finish();
}

/* ---- the command ---- */

static bool load(struct policy_source *source, const char *folder, struct policy **policy,
                 struct error *error)
{
    struct bar bar = { .what = "loading", .total_min = BAR_FILES_MIN };
    bool is_loaded;

    source->progress = bar_show;
    source->progress_context = &bar;
    is_loaded = policy_source_load_folder(source, folder, policy, error);
    bar_end(&bar);
    return is_loaded;
}

static bool compare(struct policy_source *source, const struct policy *before,
                    const struct policy *after, struct policy_diff *diff, struct error *error)
{
    struct bar bar = { .what = "comparing", .total_min = BAR_CHUNKS_MIN };
    const struct policy_diff_options options = {
        .before = before,
        .after = after,
        .now_s = clock_wall_s(),
        .run_jobs = jobs_run,
        .progress = bar_show,
        .progress_context = &bar,
    };
    bool is_compared = policy_diff(&options, source->arena, diff, error);

    bar_end(&bar);
    return is_compared;
}

static int print(const struct policy_diff *diff, size_t form)
{
    static int (*const printers[])(const struct policy_diff *) = {
        [FORM_TEXT] = print_text,
        [FORM_JSON] = print_json,
        [FORM_MARKDOWN] = print_markdown,
    };
    int failure = printers[form](diff);

    return failure == 0 && diff->way == POLICY_WAY_WIDER ? EXIT_WIDER : failure;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    OWNED(policy_unref) struct policy *before = NULL;
    OWNED(policy_unref) struct policy *after = NULL;
    const struct values *values = given;
    struct policy_diff diff = { 0 };
    struct error error = { 0 };
    bool is_loaded = policy_source_load_world(&source, &values->source, &error) &&
                     load(&source, operands->items[0], &before, &error) &&
                     load(&source, operands->items[1], &after, &error);

    policy_source_report(&source);
    if (!is_loaded || !compare(&source, before, after, &diff, &error))
        return report_failure(&error);
    return print(&diff, values->form);
}

const struct command command_policy_diff = {
    .group = "policy",
    .name = "diff",
    .operands = "OLD NEW",
    .summary = "Show what becomes possible and impossible between two policy folders",
    .description =
        "Compares two folders of policy files, stage by stage, in the same world of issuers and\n"
        "targets: what a stage lets in (proven for every token that there can be, with an\n"
        "example), what its grants give, what it asks for, guardrails and exceptions. What cannot\n"
        "be told counts as wider. A folder of another commit: git worktree add OLD COMMIT, or\n"
        "git archive COMMIT policies | tar -x -C OLD. Exit code 6 where something is wider.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
