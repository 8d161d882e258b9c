/*
 * Recorded decisions, decided again by the very policy that made them: it is kept by its hash, and
 * what it looked at is in the entry. Where the same comes out nobody changed the one or the other;
 * where something of it is gone nothing is claimed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/kept_policies.h"
#include "clients/ledger_filter.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/recorded.h"
#include "clients/report.h"
#include "config/config.h"
#include "policy/policy.h"

#define EXIT_CANNOT_TELL 1
#define LISTED_MAX 1000 /* that differ; what is past them is counted */
#define DOUBTS_MAX 200  /* reasons */

struct values {
    struct policy_source_options source;
    struct ledger_source_options ledger;
    struct ledger_filter_options filter;
    const char *policies;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "policies",
      .kind = OPTION_TEXT,
      .value = "FOLDER",
      .help = "Where policies are kept by hash; else `policies` of the store",
      .offset = offsetof(struct values, policies) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/* One that comes out otherwise. Texts are in the arena of the run. */
struct difference {
    uint64_t index;
    struct str decision;
    struct str before;
    struct str now;
};

/* Decisions of which nothing can be told, by the reason. */
struct doubt {
    struct str why;
    uint64_t first_index;
    uint64_t count;
};

struct replaying {
    struct policy_source *source;
    struct kept_policies policies;
    struct arena *arena;
    uint64_t same_count;
    uint64_t other_count;   /* that no policy decided */
    uint64_t skipped_count; /* not what a broker writes */
    struct difference list[LISTED_MAX];
    size_t difference_count; /* all that there are */
    struct doubt doubts[DOUBTS_MAX];
    size_t doubt_kinds;
    uint64_t doubt_count;
};

/* ---- outcomes ---- */

/* A decision in words, in an order of their own: two are the same where the words are. */
struct outcome {
    struct arena *arena;
    struct str text;
};

static void say(struct outcome *outcome, const char *separator, struct str text)
{
    outcome->text = arena_printf(outcome->arena, STR_FMT "%s" STR_FMT, STR_ARG(outcome->text),
                                 separator, STR_ARG(text));
}

static void say_rule(struct outcome *outcome, struct str stage, struct str rule)
{
    if (stage.len > 0)
        say(outcome, ", stage ", stage);
    if (rule.len > 0)
        say(outcome, ", rule ", rule);
}

static struct str rule_text(const struct policy_decision *decision, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (!decision->stage || !decision->rule_sha256)
        return STR("");
    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)decision->rule_sha256, SHA256_LEN });
    return arena_copy(arena, buf_str(&text));
}

static bool is_among(struct str name, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_str(json_array_get(list, i)), name))
            return true;
    return false;
}

static struct str say_recorded(const struct recorded *recorded, const json_t *entry,
                               struct arena *arena)
{
    struct outcome outcome = { arena, STR("") };

    say(&outcome, "", recorded->is_allowed ? STR("allowed") : STR("denied"));
    if (!recorded->is_allowed)
        say(&outcome, ": ", recorded->reason);
    for (size_t i = 0; i < json_array_size(recorded->failed); i++)
        say(&outcome, i == 0 ? ": " : ", ", json_str(json_array_get(recorded->failed, i)));
    say_rule(&outcome, recorded->stage, json_str(json_object_get(entry, "rule")));
    return outcome.text;
}

static struct str say_decided(const struct policy_decision *decision, bool is_allowed,
                              enum error_code code, struct arena *arena)
{
    struct outcome outcome = { arena, STR("") };

    say(&outcome, "", is_allowed ? STR("allowed") : STR("denied"));
    if (!is_allowed)
        say(&outcome, ": ", str_from(error_kind(code)->name));
    for (size_t i = 0; !is_allowed && i < decision->failed_count; i++)
        say(&outcome, i == 0 ? ": " : ", ", decision->failed[i]);
    say_rule(&outcome, decision->stage ? decision->stage->id : STR(""), rule_text(decision, arena));
    return outcome.text;
}

/* What was given then and would not be now; empty: nothing. A target may shorten a life. */
static struct str missing_grant(const struct recorded *recorded,
                                const struct policy_decision *decision, struct arena *arena)
{
    for (size_t i = 0; i < json_array_size(recorded->credentials); i++) {
        const json_t *item = json_array_get(recorded->credentials, i);
        struct str name = json_str(json_object_get(item, "grant"));
        int64_t ttl_s = json_integer_value(json_object_get(item, "ttl_s"));
        bool is_given = name.len == 0; /* the stage's own token */

        for (size_t k = 0; k < decision->grant_count; k++)
            if (str_eq(decision->grants[k].grant->name, name) && ttl_s <= decision->grants[k].ttl_s)
                is_given = true;
        if (!is_given)
            return arena_printf(arena, "grant " STR_FMT " for %" PRId64 " s", STR_ARG(name), ttl_s);
    }
    return STR("");
}

/* ---- counting ---- */

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for a replay");
}

static bool add_doubt(struct replaying *replaying, uint64_t index, struct str why,
                      struct error *error)
{
    size_t i = 0;

    replaying->doubt_count++;
    while (i < replaying->doubt_kinds && !str_eq(replaying->doubts[i].why, why))
        i++;
    if (i == DOUBTS_MAX)
        i--; /* names are foreign: there is no end to them */
    if (i == replaying->doubt_kinds) {
        replaying->doubts[i] = (struct doubt){ arena_copy(replaying->arena, why), index, 0 };
        replaying->doubt_kinds++;
    }
    replaying->doubts[i].count++;
    return replaying->doubts[i].why.data != NULL || no_memory(error);
}

static bool add_difference(struct replaying *replaying, uint64_t index,
                           const struct recorded *recorded, struct str before, struct str now,
                           struct error *error)
{
    struct difference *difference = &replaying->list[replaying->difference_count];

    if (replaying->difference_count++ >= LISTED_MAX)
        return true;
    *difference = (struct difference){ index, arena_copy(replaying->arena, recorded->decision),
                                       arena_copy(replaying->arena, before),
                                       arena_copy(replaying->arena, now) };
    return (difference->decision.data && difference->before.data && difference->now.data) ||
           no_memory(error);
}

/* ---- deciding ---- */

/* What a policy asks for besides is decided by leases and people of that moment. */
static bool is_of_obligations(const struct recorded *recorded,
                              const struct policy_decision *decision)
{
    struct str names[POLICY_OBLIGATIONS_MAX];
    size_t count = policy_obligations_name(&decision->obligations, names);

    for (size_t i = 0; i < count; i++)
        if (is_among(names[i], recorded->failed))
            return true;
    return false;
}

static bool compare(struct replaying *replaying, const struct ledger_found *found,
                    const struct recorded *recorded, const struct policy_decision *decision,
                    enum error_code code, struct error *error)
{
    bool is_allowed = code == ERROR_NONE;
    struct str before = say_recorded(recorded, found->entry, found->arena);
    struct str now = say_decided(decision, is_allowed, code, found->arena);
    struct str missing = is_allowed && recorded->is_allowed
                             ? missing_grant(recorded, decision, found->arena)
                             : STR("");

    if (!before.data || !now.data)
        return no_memory(error);
    if (is_allowed && !recorded->is_allowed && is_of_obligations(recorded, decision))
        return add_doubt(replaying, found->item.index, STR(RECORDED_OF_MOMENT), error);
    if (str_eq(before, now) && missing.len == 0) {
        replaying->same_count++;
        return true;
    }
    if (missing.len > 0)
        now = arena_printf(found->arena, STR_FMT ", without " STR_FMT, STR_ARG(now),
                           STR_ARG(missing));
    return add_difference(replaying, found->item.index, recorded, before, now, error);
}

static bool decide(struct replaying *replaying, const struct ledger_found *found,
                   struct recorded *recorded, const struct policy *policy, struct error *error)
{
    struct policy_decision decision = { 0 };
    struct error why = { 0 };

    if (!policy_decide(policy, &recorded->facts, &recorded->request, recorded->time_s, found->arena,
                       &decision, &why) &&
        why.code == ERROR_MEMORY)
        return no_memory(error);
    if (recorded->unknown.asked.len > 0)
        return add_doubt(replaying, found->item.index,
                         arena_printf(found->arena, "'" STR_FMT "' is not known any more",
                                      STR_ARG(recorded->unknown.asked)),
                         error);
    return compare(replaying, found, recorded, &decision, why.code, error);
}

static bool replay(struct replaying *replaying, const struct ledger_found *found,
                   struct recorded *recorded, struct error *error)
{
    const struct kept_policy *kept;

    if (!recorded->is_of_policy) {
        replaying->other_count++;
        return true;
    }
    if (recorded->cannot)
        return add_doubt(replaying, found->item.index, str_from(recorded->cannot), error);
    if (recorded->policy.len == 0)
        return add_doubt(replaying, found->item.index, STR("it names no policy"), error);
    if (!kept_policies_find(&replaying->policies, recorded->policy, &kept, error))
        return false;
    if (!kept->policy)
        return add_doubt(replaying, found->item.index, str_from(kept->why), error);
    return decide(replaying, found, recorded, kept->policy, error);
}

static bool look_at(const struct ledger_found *found, void *context, struct error *error)
{
    struct replaying *replaying = context;
    struct recorded recorded;
    struct error why = { 0 };

    if (!recorded_is_decision(found->entry))
        return true;
    if (recorded_read(&replaying->source->config->world, found->entry, found->private_part,
                      found->arena, &recorded, &why))
        return replay(replaying, found, &recorded, error);
    if (why.code == ERROR_MEMORY)
        return no_memory(error);
    replaying->skipped_count++;
    return true;
}

/* ---- one entry ---- */

static bool replay_index(struct replaying *replaying, struct ledger_source *ledger,
                         const char *operand, struct error *error)
{
    struct ledger_found found = { .arena = replaying->arena };
    int64_t index;

    if (!str_to_int64(str_from(operand), &index) || index < 0)
        return error_set(error, ERROR_USAGE, "'%s' is no index of an entry", operand);
    if (!ledger_source_get_with_private(ledger, (uint64_t)index, &found.item, error) ||
        !ledger_item_parse(&found.item, found.arena, &found.entry, error))
        return false;
    if (!recorded_is_decision(found.entry))
        return error_set(error, ERROR_USAGE, "entry %" PRId64 " is no decision", index);
    found.private_part = ledger_item_private(&found.item, found.arena);
    return look_at(&found, replaying, error);
}

static bool replay_range(struct replaying *replaying, struct ledger_source *ledger,
                         const struct ledger_filter_options *options, struct error *error)
{
    struct ledger_query query;
    struct ledger_scan scan = { .query = &query,
                                .wants_private = true,
                                .what = "replaying",
                                .each = look_at,
                                .context = replaying };

    if (!ledger_filter_read(options, clock_wall_s() * 1000, &query, error) ||
        !ledger_scan_run(ledger, &scan, error))
        return false;
    replaying->skipped_count += scan.skipped_count;
    return true;
}

/* ---- printing ---- */

static void print_field(const char *title, struct str text)
{
    (void)printf("      %-9s ", title);
    print_clean(stdout, text);
    (void)putchar('\n');
}

static void print_text(const struct replaying *replaying, struct str proof)
{
    size_t listed =
        replaying->difference_count < LISTED_MAX ? replaying->difference_count : LISTED_MAX;

    (void)printf("%" PRIu64 " %s out the same, %zu otherwise, %" PRIu64 " cannot be told\n",
                 replaying->same_count,
                 report_word(replaying->same_count, "decision comes", "decisions come"),
                 replaying->difference_count, replaying->doubt_count);
    if (replaying->other_count > 0)
        (void)printf("%" PRIu64 " more were refused for something else than the policy\n",
                     replaying->other_count);
    if (replaying->skipped_count > 0)
        (void)printf("%" PRIu64 " entries are not what a broker writes, and were skipped\n",
                     replaying->skipped_count);
    for (size_t i = 0; i < listed; i++) {
        (void)printf("\nentry %" PRIu64 " comes out otherwise\n", replaying->list[i].index);
        print_field("decision", replaying->list[i].decision);
        print_field("recorded", replaying->list[i].before);
        print_field("decided", replaying->list[i].now);
    }
    if (replaying->difference_count > listed)
        (void)printf("\nand %zu more\n", replaying->difference_count - listed);
    for (size_t i = 0; i < replaying->doubt_kinds; i++) {
        (void)printf("%s  %8" PRIu64 "  ", i == 0 ? "\ncannot tell:\n" : "",
                     replaying->doubts[i].count);
        print_clean(stdout, replaying->doubts[i].why);
        (void)printf(" (first: entry %" PRIu64 ")\n", replaying->doubts[i].first_index);
    }
    (void)putchar('\n');
    print_clean(stdout, proof);
    (void)putchar('\n');
}

static bool put_difference(json_t *list, const struct difference *difference)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) == 0 &&
           json_put(object, "index", json_integer((json_int_t)difference->index)) &&
           json_put(object, "decision", json_from_str(difference->decision)) &&
           json_put(object, "recorded", json_from_str(difference->before)) &&
           json_put(object, "decided", json_from_str(difference->now));
}

static bool put_doubt(json_t *list, const struct doubt *doubt)
{
    json_t *object = json_object();

    return json_array_append_new(list, object) == 0 &&
           json_put(object, "why", json_from_str(doubt->why)) &&
           json_put(object, "count", json_integer((json_int_t)doubt->count)) &&
           json_put(object, "first_index", json_integer((json_int_t)doubt->first_index));
}

static int print_json(const struct replaying *replaying, const struct ledger_source *ledger)
{
    JSON_OWNED json_t *json = json_object();
    json_t *differences = json_array();
    json_t *doubts = json_array();
    bool is_put = json_put(json, "differences", differences);

    is_put = json_put(json, "cannot_tell", doubts) && is_put;
    for (size_t i = 0; is_put && i < replaying->difference_count && i < LISTED_MAX; i++)
        is_put = put_difference(differences, &replaying->list[i]);
    for (size_t i = 0; is_put && i < replaying->doubt_kinds; i++)
        is_put = put_doubt(doubts, &replaying->doubts[i]);
    if (!is_put || !json_put(json, "ledger", ledger_source_json(ledger)) ||
        !json_put(json, "same", json_integer((json_int_t)replaying->same_count)) ||
        !json_put(json, "different", json_integer((json_int_t)replaying->difference_count)) ||
        !json_put(json, "not_told", json_integer((json_int_t)replaying->doubt_count)) ||
        !json_put(json, "not_of_the_policy", json_integer((json_int_t)replaying->other_count)) ||
        !json_put(json, "skipped", json_integer((json_int_t)replaying->skipped_count)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

/* ---- the command ---- */

static bool replay_all(struct replaying *replaying, const struct values *values,
                       struct ledger_source *ledger, const struct operands *operands,
                       struct error *error)
{
    if (operands->count > 0 && (values->filter.since || values->filter.until))
        return error_set(error, ERROR_USAGE, "an index is one entry: it goes without a time");
    if (operands->count == 0 && !values->filter.since)
        return error_set(error, ERROR_USAGE, "which decisions? give an entry's index, or --since");
    replaying->policies.source = replaying->source;
    replaying->policies.folder =
        values->policies ? values->policies : ledger_source_facts(ledger)->policies;
    return operands->count > 0 ? replay_index(replaying, ledger, operands->items[0], error)
                               : replay_range(replaying, ledger, &values->filter, error);
}

static int exit_code_of(const struct replaying *replaying, bool is_one)
{
    if (replaying->difference_count > 0)
        return error_kind(ERROR_FOUND)->exit_code;
    return is_one && replaying->same_count == 0 ? EXIT_CANNOT_TELL : 0;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    OWNED(ledger_source_close) struct ledger_source *ledger = NULL;
    const struct values *values = given;
    struct replaying *replaying = NULL;
    struct error error = { 0 };
    bool is_loaded = policy_source_load_world(&source, &values->source, &error);
    bool is_done;
    int failure;

    policy_source_report(&source);
    if (!is_loaded || !ledger_source_open(&values->ledger, &ledger, &error))
        return report_failure(&error);
    replaying = arena_alloc(source.arena, sizeof(*replaying));
    if (!replaying)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    replaying->source = &source;
    replaying->arena = source.arena;
    is_done = replay_all(replaying, values, ledger, operands, &error);
    if (is_done && values->output == OUTPUT_JSON)
        failure = print_json(replaying, ledger);
    else if (is_done) {
        print_text(replaying, ledger_source_say_proof(ledger, source.arena));
        failure = report_finish();
    } else {
        failure = report_failure(&error);
    }
    kept_policies_release(&replaying->policies);
    return failure != 0 ? failure : exit_code_of(replaying, operands->count > 0);
}

const struct command command_audit_replay = {
    .group = "audit",
    .name = "replay",
    .operands = "[INDEX]",
    .summary = "Decide recorded requests again by the policy that decided them",
    .description =
        "Takes the entry of an index, or with --since those of a time, loads the policy that it\n"
        "names by its hash, which a store keeps, and decides again what was asked then. The same\n"
        "must come out: allowed or denied, why, the stage and the rule, the grants. Where\n"
        "something is not known any more, or the policy cannot be had or does not load with the\n"
        "issuers and targets of now, it says so and claims nothing. Exit code 0 where all come "
        "out\n"
        "the same or cannot be told, 6 where one does not, 1 where a single one cannot be told.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0),
                OPTION_GROUP(ledger_filter_option_rows, offsetof(struct values, filter)) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
