/*
 * How a pipeline came to what it may do: the entries of policies that came into force say which
 * stages each widened, in a word or two. Where both policies are kept they are compared again, and
 * what changed is said in sentences.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/kept_policies.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/jobs.h"
#include "policy/diff.h"
#include "policy/policy.h"

#define DIFF_ARENA_MAX ((size_t)256 * 1024 * 1024)

struct values {
    struct policy_source_options source;
    struct ledger_source_options ledger;
    const char *policies;
    const char *since;
    const char *until;
    bool wants_all;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "since",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Policies of that time and later: 2026-11-22, or 90d before now",
      .offset = offsetof(struct values, since) },
    { .name = "until",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Policies before that time",
      .offset = offsetof(struct values, until) },
    { .name = "all",
      .kind = OPTION_FLAG,
      .help = "Also what became narrower, or else different: needs the kept policies",
      .offset = offsetof(struct values, wants_all) },
    { .name = "policies",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where policies are kept by hash; else `policies` of the store",
      .offset = offsetof(struct values, policies) },
    OUTPUT_ROW(struct values, "How the history is printed"),
};

struct history {
    const struct values *values;
    struct policy_source *source;
    struct kept_policies policies;
    bool has_world; /* policies can be loaded */
    struct str pipeline;
    json_t *list; /* what is printed, in either form */
};

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a history");
}

static bool is_of_pipeline(const struct history *history, struct str stage)
{
    struct str pipeline;
    struct str rest;

    return str_cut(stage, ':', &pipeline, &rest) && str_eq(pipeline, history->pipeline);
}

/* ---- what the entry itself says ---- */

/* A widened stage of the pipeline, or a guardrail, which is of all. */
static bool is_ours(const struct history *history, const json_t *item)
{
    struct str stage = json_str(json_object_get(item, "stage"));

    return stage.len == 0 || is_of_pipeline(history, stage);
}

/* Its list may have its beginning only, or not be there. */
static bool is_list_whole(const json_t *entry)
{
    const json_t *count = json_object_get(json_object_get(entry, "counts"), "widened");
    const json_t *list = json_object_get(entry, "widened");

    return list && json_integer_value(count) == (json_int_t)json_array_size(list);
}

/* Whether no policy was before it: then its entry does not say what it widened. */
static bool is_first(const json_t *entry)
{
    return !json_object_get(entry, "previous");
}

static bool is_concerned(const struct history *history, const json_t *entry)
{
    const json_t *list = json_object_get(entry, "widened");

    if (is_first(entry))
        return history->has_world;
    if (!is_list_whole(entry) || history->values->wants_all)
        return true;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is_ours(history, json_array_get(list, i)))
            return true;
    return false;
}

static bool put_words(const struct history *history, const json_t *entry, json_t *changes)
{
    const json_t *list = json_object_get(entry, "widened");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *words = json_object_get(item, "what");

        for (size_t k = 0; is_ours(history, item) && k < json_array_size(words); k++) {
            json_t *change = json_object();
            struct str stage = json_str(json_object_get(item, "stage"));
            struct str text = json_str(json_object_get(item, "text"));
            struct str word = json_str(json_array_get(words, k));

            if (json_array_append_new(changes, change) != 0 ||
                (stage.len > 0 && !json_put(change, "stage", json_from_str(stage))) ||
                !json_put(change, "way", json_string(policy_way_name(POLICY_WAY_WIDER))) ||
                !json_put(change, "subject", json_from_str(word)) ||
                (text.len > 0 && !json_put(change, "text", json_from_str(text))))
                return false;
        }
    }
    return true;
}

/* ---- comparing again ---- */

static bool is_wanted(const struct history *history, enum policy_way way)
{
    return way == POLICY_WAY_WIDER || history->values->wants_all;
}

static bool put_change(const struct history *history, struct str stage,
                       const struct policy_change *from, json_t *changes)
{
    json_t *change;

    if (!is_wanted(history, from->way))
        return true;
    change = json_object();
    return json_array_append_new(changes, change) == 0 && json_put_text(change, "stage", stage) &&
           json_put(change, "way", json_string(policy_way_name(from->way))) &&
           json_put(change, "subject", json_string(from->subject)) &&
           json_put_text(change, "grant", from->grant) &&
           (!from->is_undecided || json_put(change, "undecided", json_true())) &&
           json_put(change, "text", json_from_str(from->text));
}

static bool put_diff(const struct history *history, const struct policy_diff *diff, json_t *changes)
{
    for (size_t i = 0; i < diff->guardrail_count; i++)
        if (!put_change(history, STR(""), &diff->guardrails[i], changes))
            return false;
    for (size_t i = 0; i < diff->stage_count; i++) {
        const struct policy_stage_diff *stage = &diff->stages[i];

        for (size_t k = 0; is_of_pipeline(history, stage->id) && k < stage->change_count; k++)
            if (!put_change(history, stage->id, &stage->changes[k], changes))
                return false;
    }
    return true;
}

/* All stages that the ledger's first policy has of the pipeline: it let all of it in at once. */
static bool put_first(const struct history *history, const struct policy *policy, json_t *changes)
{
    for (size_t i = 0; i < policy_stage_count(policy); i++) {
        const struct policy_change change = {
            .way = POLICY_WAY_WIDER,
            .subject = "stage",
            .text = STR("the ledger's first policy has it"),
        };
        struct str stage = policy_stage_at(policy, i)->id;

        if (is_of_pipeline(history, stage) && !put_change(history, stage, &change, changes))
            return false;
    }
    return true;
}

static bool list_first(struct history *history, const json_t *entry, json_t *changes,
                       const char **why, struct error *error)
{
    const struct kept_policy *kept;

    *why = NULL;
    if (!kept_policies_find(&history->policies, json_str(json_object_get(entry, "policy")), &kept,
                            error))
        return false;
    if (!kept->policy)
        *why = kept->why;
    return !kept->policy || put_first(history, kept->policy, changes) || no_memory(error);
}

/* Why two policies cannot be compared is a text, and no failure. */
static bool compare(struct history *history, const json_t *entry, json_t *changes, const char **why,
                    struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIFF_ARENA_MAX);
    const struct kept_policy *before;
    const struct kept_policy *after;
    struct policy_diff_options options = { .run_jobs = jobs_run };
    struct policy_diff diff;

    *why = NULL;
    if (!arena)
        return no_memory(error);
    if (!kept_policies_find(&history->policies, json_str(json_object_get(entry, "previous")),
                            &before, error) ||
        !kept_policies_find(&history->policies, json_str(json_object_get(entry, "policy")), &after,
                            error))
        return false;
    if (!before->policy || !after->policy) {
        *why = !before->policy ? before->why : after->why;
        return true;
    }
    options.before = before->policy;
    options.after = after->policy;
    return policy_diff(&options, arena, &diff, error) &&
           (put_diff(history, &diff, changes) || no_memory(error));
}

static bool put_changes(struct history *history, const json_t *entry, json_t *changes,
                        const char **why, struct error *error)
{
    return is_first(entry) ? list_first(history, entry, changes, why, error)
                           : compare(history, entry, changes, why, error);
}

/* ---- one activation ---- */

static bool put_exceptions(const struct history *history, const json_t *entry, json_t *object)
{
    const json_t *list = json_object_get(entry, "exceptions");
    json_t *ours = json_array();

    if (!json_put(object, "exceptions", ours))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);

        if (str_eq(json_str(json_object_get(item, "pipeline")), history->pipeline) &&
            json_array_append(ours, item) != 0)
            return false;
    }
    return true;
}

static bool put_head(const struct history *history, const struct ledger_found *found,
                     json_t *object)
{
    static const char *const kept[] = { "time", "policy", "previous", "source" };

    for (size_t i = 0; i < COUNT(kept); i++) {
        json_t *value = json_object_get(found->entry, kept[i]);

        if (value && !json_put(object, kept[i], json_incref(value)))
            return false;
    }
    return json_put(object, "index", json_integer((json_int_t)found->item.index)) &&
           put_exceptions(history, found->entry, object);
}

static bool add(struct history *history, const struct ledger_found *found, struct error *error)
{
    json_t *object = json_object();
    json_t *changes = json_array();
    const char *why = "the configuration is not to be had: --config or --catalog names it";

    if (!json_put(object, "changes", changes) || !put_head(history, found, object) ||
        json_array_append(history->list, object) != 0) {
        json_decref(object);
        return no_memory(error);
    }
    json_decref(object); /* the list has it */
    if (history->has_world && !put_changes(history, found->entry, changes, &why, error))
        return false;
    if (why && (!put_words(history, found->entry, changes) ||
                !json_put(object, "not_compared", json_string(why)) ||
                !json_put(object, "is_cut",
                          json_boolean(is_first(found->entry) || !is_list_whole(found->entry)))))
        return no_memory(error);
    return true;
}

/* What turned out not to concern it is taken out again. */
static bool drop_empty(struct history *history)
{
    size_t last = json_array_size(history->list) - 1;
    const json_t *object = json_array_get(history->list, last);

    return json_array_size(json_object_get(object, "changes")) > 0 ||
           json_is_true(json_object_get(object, "is_cut")) ||
           json_array_remove(history->list, last) == 0;
}

static bool look_at(const struct ledger_found *found, void *context, struct error *error)
{
    struct history *history = context;

    if (!is_concerned(history, found->entry))
        return true;
    return add(history, found, error) && (drop_empty(history) || no_memory(error));
}

/* ---- printing ---- */

static void print_named(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)printf("%s", title);
    print_clean(stdout, text);
}

static void print_change(const json_t *change)
{
    struct str stage = json_str(json_object_get(change, "stage"));
    struct str text = json_str(json_object_get(change, "text"));

    (void)printf("  %-9s ", json_string_value(json_object_get(change, "way")));
    print_clean(stdout, stage.len > 0 ? stage : STR("guardrails"));
    (void)fputs(": ", stdout);
    print_clean(stdout, text.len > 0 ? text : json_str(json_object_get(change, "subject")));
    (void)fputs(json_object_get(change, "undecided") ? " (which of them is wider nobody can tell)\n"
                                                     : "\n",
                stdout);
}

static void print_activation(const json_t *object)
{
    const json_t *source = json_object_get(object, "source");
    const json_t *changes = json_object_get(object, "changes");
    const json_t *exceptions = json_object_get(object, "exceptions");

    (void)putchar('\n');
    print_clean(stdout, json_str(json_object_get(object, "time")));
    (void)printf("  entry %" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(object, "index")));
    print_named("  ", json_str(json_object_get(object, "policy")));
    print_named("\n  source    ", json_str(json_object_get(source, "repository")));
    print_named(" at ", json_str(json_object_get(source, "commit")));
    (void)putchar('\n');
    for (size_t i = 0; i < json_array_size(changes); i++)
        print_change(json_array_get(changes, i));
    for (size_t i = 0; i < json_array_size(exceptions); i++) {
        const json_t *exception = json_array_get(exceptions, i);

        print_named("  exception ", json_str(json_object_get(exception, "from")));
        print_named(" for ", json_str(json_object_get(exception, "stage")));
        print_named(" until ", json_str(json_object_get(exception, "until")));
        print_named(": ", json_str(json_object_get(exception, "why")));
        (void)putchar('\n');
    }
    if (json_is_true(json_object_get(object, "is_cut")))
        (void)puts("  the entry's list is not whole: there may be more");
    print_named("  in words of the entry only: ",
                json_str(json_object_get(object, "not_compared")));
    if (json_object_get(object, "not_compared"))
        (void)putchar('\n');
}

static int print_text(const struct history *history, struct str proof)
{
    print_clean(stdout, history->pipeline);
    (void)printf(": %zu %s %s\n", json_array_size(history->list),
                 report_word(json_array_size(history->list), "policy", "policies"),
                 history->values->wants_all ? "changed it" : "widened it");
    for (size_t i = 0; i < json_array_size(history->list); i++)
        print_activation(json_array_get(history->list, i));
    if (!history->has_world)
        (void)puts("what the ledger's first policy let in is told with --config or --catalog");
    else if (json_array_size(history->list) == 0 && !history->values->since &&
             !history->values->until)
        (void)puts("no policy of this ledger has a pipeline of that name");
    (void)putchar('\n');
    print_clean(stdout, proof);
    (void)putchar('\n');
    return report_finish();
}

static int print_json(const struct history *history, const struct ledger_source *ledger)
{
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "pipeline", json_from_str(history->pipeline)) ||
        !json_put(json, "ledger", ledger_source_json(ledger)) ||
        !json_put(json, "policies", json_incref(history->list)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

/* ---- the command ---- */

/* Without a configuration there are still the words of the entries. */
static bool load_world(struct history *history, struct error *error)
{
    const struct policy_source_options *options = &history->values->source;
    struct error why = { 0 };

    history->has_world = policy_source_load_world(history->source, options, &why);
    if (history->has_world || (!options->config && !options->catalog && why.code != ERROR_MEMORY))
        return true;
    policy_source_report(history->source);
    *error = why;
    return false;
}

static bool look_through(struct history *history, struct ledger_source *ledger, struct error *error)
{
    const struct values *values = history->values;
    struct ledger_filter_options filter = { .since = values->since, .until = values->until };
    struct ledger_query query;
    struct ledger_scan scan = {
        .query = &query, .what = "reading", .each = look_at, .context = history
    };

    filter.fields[LEDGER_FIELD_TYPE] = (struct option_list){ { "policy.activated" }, 1 };
    history->policies.source = history->source;
    history->policies.folder =
        values->policies ? values->policies : ledger_source_facts(ledger)->policies;
    if (!ledger_filter_read(&filter, clock_wall_s() * 1000, &query, error) ||
        !ledger_scan_run(ledger, &scan, error))
        return false;
    ledger_scan_report(&scan);
    return true;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    OWNED(ledger_source_close) struct ledger_source *ledger = NULL;
    JSON_OWNED json_t *list = json_array();
    const struct values *values = given;
    struct history history = {
        .values = values, .source = &source, .pipeline = str_from(operands->items[0]), .list = list
    };
    struct error error = { 0 };
    bool is_done = list && load_world(&history, &error) &&
                   ledger_source_open(&values->ledger, &ledger, &error) &&
                   look_through(&history, ledger, &error);

    kept_policies_release(&history.policies);
    if (!list)
        error.code = ERROR_MEMORY;
    if (!is_done)
        return report_failure(&error);
    return values->output == OUTPUT_JSON
               ? print_json(&history, ledger)
               : print_text(&history, ledger_source_say_proof(ledger, source.arena));
}

const struct command command_audit_history = {
    .group = "audit",
    .name = "history",
    .operands = "PIPELINE",
    .summary = "Which policies widened a pipeline, and when",
    .description =
        "Lists the policies that let more into a pipeline's stages or gave them more, each with\n"
        "when it came into force, the commit that it came from, and what it changed; guardrails\n"
        "that hold back less are of all pipelines. Where a policy and the one before it are kept,\n"
        "as beside a store, they are compared again with the issuers and targets of now; else the\n"
        "words of the entry are all there is.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
