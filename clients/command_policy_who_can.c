#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/endings.h"
#include "clients/policy_source.h"
#include "clients/report.h"
#include "config/config.h"
#include "policy/policy.h"
#include "policy/stage_lines.h"
#include "policy/who_can.h"

struct values {
    struct policy_source_options source;
    const char *environment;
    const char *target;
    const char *can;
    const char *account;
    const char *at;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "environment",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Stages of this environment",
      .offset = offsetof(struct values, environment),
      .letter = 'e' },
    { .name = "target",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Grants for this target",
      .offset = offsetof(struct values, target),
      .letter = 't' },
    { .name = "can",
      .kind = OPTION_TEXT,
      .value = "KIND:NAME",
      .help = "Grants of this kind that give this name, or one that fits this pattern: "
              "aws:s3:PutObject, 'kubernetes:kube-system/**', ssh:root; KIND alone: any name",
      .offset = offsetof(struct values, can) },
    { .name = "account",
      .kind = OPTION_TEXT,
      .value = "ID",
      .help = "Grants in this account",
      .offset = offsetof(struct values, account) },
    { .name = "at",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "Also say what is closed at that time: 2026-12-24, 2026-12-24T10:00:00Z",
      .offset = offsetof(struct values, at) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/** What was found, with what printing it needs. */
struct found {
    const struct policy *policy;
    const struct who_question *question;
    struct arena *arena;
    const struct who_stage *stages;
    size_t count;
};

/* ---- the question ---- */

static const struct policy_grant_kind *find_kind(const struct policy_world *world, struct str name)
{
    for (size_t i = 0; i < world->kind_count; i++)
        if (str_eq(str_from(world->kinds[i]->name), name))
            return world->kinds[i];
    return NULL;
}

/* "did you mean 'aws'?" of a kind that is not there. */
static bool refuse_kind(const struct policy_world *world, struct str name, struct error *error)
{
    struct str names[64];
    struct str nearest;
    size_t count = 0;

    for (size_t i = 0; i < world->kind_count && count < COUNT(names); i++)
        names[count++] = str_from(world->kinds[i]->name);
    nearest = str_nearest(name, names, count);
    if (nearest.len > 0)
        return error_set(error, ERROR_USAGE,
                         "--can: there is no kind '" STR_FMT "': did you mean '" STR_FMT "'?",
                         STR_ARG(str_slice(name, 0, 60)), STR_ARG(nearest));
    return error_set(error, ERROR_USAGE, "--can: there is no kind '" STR_FMT "'",
                     STR_ARG(str_slice(name, 0, 60)));
}

static bool read_can(const struct policy_world *world, const char *can,
                     struct who_question *question, struct error *error)
{
    struct str kind;

    if (can == NULL)
        return true;
    (void)str_cut(str_from(can), ':', &kind, &question->name);
    question->kind = find_kind(world, kind);
    return question->kind != NULL || refuse_kind(world, kind, error);
}

static bool read_time(const char *text, struct who_question *question, struct error *error)
{
    int64_t time_ms;

    if (text == NULL)
        return true;
    if (!time_text_parse(str_from(text), &time_ms))
        return error_set(error, ERROR_USAGE,
                         "--at: expected a time such as 2026-11-22T10:00:00Z or 2026-11-22");
    question->has_time = true;
    question->at_s = time_ms / 1000;
    return true;
}

static bool read_target(const struct policy_world *world, const char *target, struct error *error)
{
    for (size_t i = 0; target != NULL && i < world->target_count; i++)
        if (str_eq(world->targets[i].name, str_from(target)))
            return true;
    if (target == NULL)
        return true;
    return error_set(error, ERROR_USAGE, "--target: there is no target '%s'", target);
}

/* An environment that neither a stage nor a target has is a mistake: "nobody" would mislead. */
static bool read_environment(const struct policy_source *source, struct str environment,
                             struct error *error)
{
    const struct policy_world *world = &source->config->world;
    size_t stages = policy_stage_count(source->policy);
    struct str *names =
        arena_alloc_array(source->arena, stages + world->target_count + 1, sizeof(*names));
    struct str nearest;
    size_t count = 0;

    if (environment.len == 0)
        return true;
    if (names == NULL)
        return error_set(error, ERROR_MEMORY, "asking who can");
    for (size_t i = 0; i < stages; i++)
        names[count++] = policy_stage_at(source->policy, i)->environment;
    for (size_t i = 0; i < world->target_count; i++)
        names[count++] = world->targets[i].environment;
    for (size_t i = 0; i < count; i++)
        if (str_eq(names[i], environment))
            return true;
    nearest = str_nearest(environment, names, count);
    return error_set(error, ERROR_USAGE,
                     "--environment: no stage and no target is in '" STR_FMT "'%s" STR_FMT "%s",
                     STR_ARG(str_slice(environment, 0, 60)),
                     nearest.len > 0 ? ": did you mean '" : "", STR_ARG(nearest),
                     nearest.len > 0 ? "'?" : "");
}

static bool read_question(const struct policy_source *source, const struct values *values,
                          struct who_question *question, struct error *error)
{
    const struct policy_world *world = &source->config->world;

    question->environment = str_from(values->environment);
    question->target = str_from(values->target);
    question->account = str_from(values->account);
    return read_can(world, values->can, question, error) &&
           read_target(world, values->target, error) && read_time(values->at, question, error) &&
           read_environment(source, question->environment, error);
}

/* ---- text ---- */

static void print_str(const char *before, struct str text)
{
    if (text.len == 0)
        return;
    (void)fputs(before, stdout);
    print_clean(stdout, text);
}

static void print_names(const char *before, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_str(i == 0 ? before : ", ", names[i]);
}

static void print_day(const char *before, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    if (time_s == 0)
        return;
    time_text_s(time_s, text);
    (void)printf("%s%.10s", before, text);
}

static void print_grant(const struct who_grant *found)
{
    const struct policy_grant *grant = found->grant;
    const char *note = ending_note(grant, grant->fields);
    char life[STAGE_DURATION_MAX];

    print_str("  ", grant->name);
    (void)printf(": %s", grant->kind->name);
    print_str(" at ", grant->target == NULL ? STR("") : grant->target->name);
    (void)printf(", lives %s, %s", stage_duration(grant->ttl_s, life),
                 ending_sentence(grant, grant->fields));
    print_day(found->is_over ? ", is over since " : ", until ", grant->until_s);
    if (note)
        (void)printf("\n    (%s)", note);
    print_str("\n    account ", found->given.account);
    print_names("\n    as ", found->given.principals, found->given.principal_count);
    if (!found->is_certain)
        (void)fputs("\n    may: it cannot say what it gives", stdout);
    else if (found->met_count > 0)
        print_names("\n    gives ", found->met, found->met_count);
    else
        print_names("\n    gives ", found->given.names, found->given.name_count);
    (void)putchar('\n');
}

static bool print_lines(const struct found *found, const struct policy_stage *stage)
{
    struct str *lines;
    size_t count;

    if (!stage_lines(found->policy, stage, found->arena, &lines, &count))
        return false;
    print_names("  asks for\n    ", lines, count > 0 ? 1 : 0);
    for (size_t i = 1; i < count; i++)
        print_str("\n    ", lines[i]);
    (void)putchar('\n');
    if (!stage_duties(stage, found->arena, &lines, &count))
        return false;
    for (size_t i = 0; i < count; i++) {
        print_str("    ", lines[i]);
        (void)putchar('\n');
    }
    return true;
}

static void print_exceptions(const struct who_stage *stage)
{
    for (size_t i = 0; i < stage->exception_count; i++) {
        print_str("  excepted from ", stage->exceptions[i]->guardrail);
        print_day(" until ", stage->exceptions[i]->until_s);
        print_str(": ", stage->exceptions[i]->why);
        (void)putchar('\n');
    }
}

static bool print_stage(const struct found *found, const struct who_stage *stage)
{
    const struct policy_stage *shown = stage->stage;

    print_str("\n", shown->id);
    (void)printf("\n  %s", policy_stage_kind_name(shown->kind));
    print_str(" in ", shown->environment);
    print_str(", tenant ", shown->tenant);
    print_str(", owner ", shown->owner);
    print_day(", review by ", shown->review_by_s);
    (void)putchar('\n');
    for (size_t i = 0; i < stage->grant_count; i++)
        print_grant(&stage->grants[i]);
    if (shown->grant_count == 0)
        (void)puts("  no grants: a stage token only");
    if (!print_lines(found, shown))
        return false;
    print_exceptions(stage);
    if (stage->closed_count > 0) {
        print_names("  closed at that time by ", stage->closed, stage->closed_count);
        (void)putchar('\n');
    }
    return true;
}

static int print_text(const struct found *found)
{
    (void)printf("%zu stage%s can\n", found->count, found->count == 1 ? "" : "s");
    for (size_t i = 0; i < found->count; i++)
        if (!print_stage(found, &found->stages[i]))
            return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_finish();
}

/* ---- JSON ---- */

/* A member that is left out where the text is empty. */
static bool put_time(json_t *json, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return time_s == 0 || json_put(json, name, json_string(text));
}

static bool fill_grant(json_t *json, const struct who_grant *found)
{
    const struct policy_grant *grant = found->grant;
    const char *note = ending_note(grant, grant->fields);
    bool has_met = found->met_count > 0;

    return json_put(json, "name", json_from_str(grant->name)) &&
           json_put(json, "kind", json_string(grant->kind->name)) &&
           json_put_text(json, "target", grant->target == NULL ? STR("") : grant->target->name) &&
           json_put(json, "ttl_s", json_integer(grant->ttl_s)) &&
           put_time(json, "until", grant->until_s) &&
           json_put(json, "ends", json_string(ending_word(grant, grant->fields))) &&
           (!note || json_put(json, "ends_note", json_string(note))) &&
           json_put_text(json, "account", found->given.account) &&
           json_put(json, "principals",
                    json_from_strs(found->given.principals, found->given.principal_count)) &&
           json_put(json, "certain", json_boolean(found->is_certain)) &&
           json_put(json, "gives",
                    found->given.is_everything
                        ? json_null()
                        : json_from_strs(has_met ? found->met : found->given.names,
                                         has_met ? found->met_count : found->given.name_count));
}

static bool put_grants(json_t *json, const struct who_stage *stage)
{
    json_t *list = json_array();

    if (!json_put(json, "grants", list))
        return false;
    for (size_t i = 0; i < stage->grant_count; i++) {
        json_t *grant = json_object();

        if (json_array_append_new(list, grant) != 0 || !fill_grant(grant, &stage->grants[i]))
            return false;
    }
    return true;
}

static bool put_exceptions(json_t *json, const struct who_stage *stage)
{
    json_t *list = json_array();

    if (!json_put(json, "exceptions", list))
        return false;
    for (size_t i = 0; i < stage->exception_count; i++) {
        json_t *exception = json_object();

        if (json_array_append_new(list, exception) != 0 ||
            !json_put(exception, "guardrail", json_from_str(stage->exceptions[i]->guardrail)) ||
            !put_time(exception, "until", stage->exceptions[i]->until_s) ||
            !json_put(exception, "why", json_from_str(stage->exceptions[i]->why)))
            return false;
    }
    return true;
}

static bool put_asked(json_t *json, const struct found *found, const struct policy_stage *stage)
{
    struct str *lines;
    struct str *duties;
    size_t line_count;
    size_t duty_count;

    return stage_lines(found->policy, stage, found->arena, &lines, &line_count) &&
           stage_duties(stage, found->arena, &duties, &duty_count) &&
           json_put(json, "conditions", json_from_strs(lines, line_count)) &&
           json_put(json, "obligations", json_from_strs(duties, duty_count));
}

static bool fill_stage(json_t *json, const struct found *found, const struct who_stage *stage)
{
    const struct policy_stage *shown = stage->stage;

    return json_put(json, "stage", json_from_str(shown->id)) &&
           json_put(json, "kind", json_string(policy_stage_kind_name(shown->kind))) &&
           json_put_text(json, "environment", shown->environment) &&
           json_put_text(json, "tenant", shown->tenant) &&
           json_put(json, "owner", json_from_str(shown->owner)) &&
           put_time(json, "review_by", shown->review_by_s) &&
           json_put(json, "certain", json_boolean(stage->is_certain)) && put_grants(json, stage) &&
           put_asked(json, found, shown) && put_exceptions(json, stage) &&
           json_put(json, "closed_by", json_from_strs(stage->closed, stage->closed_count));
}

static int print_json(const struct found *found)
{
    JSON_OWNED json_t *json = json_object();
    json_t *list = json_array();
    bool is_built = json_put(json, "stages", list);

    for (size_t i = 0; is_built && i < found->count; i++) {
        json_t *stage = json_object();

        is_built =
            json_array_append_new(list, stage) == 0 && fill_stage(stage, found, &found->stages[i]);
    }
    return is_built ? report_json(json) : report_failure(&(struct error){ .code = ERROR_MEMORY });
}

/* ---- the command ---- */

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    const struct values *values = given;
    struct who_question question = { 0 };
    struct found found = { .question = &question };
    struct who_stage *stages = NULL;
    struct error error = { 0 };
    bool is_loaded = policy_source_load(&source, &values->source, operands, &error);

    policy_source_report(&source);
    if (!is_loaded || !read_question(&source, values, &question, &error) ||
        !policy_who_can(source.policy, &question, source.arena, &stages, &found.count, &error))
        return report_failure(&error);
    found.policy = source.policy;
    found.arena = source.arena;
    found.stages = stages;
    return values->output == OUTPUT_JSON ? print_json(&found) : print_text(&found);
}

const struct command command_policy_who_can = {
    .group = "policy",
    .name = "who-can",
    .operands = "[FOLDER]",
    .summary = "List the stages that can get something",
    .description =
        "Every stage with a grant that meets all that is asked for, with what it asks of a job,\n"
        "its owner and its review date. A grant that cannot say what it gives (AWS without\n"
        "'allow', say) may give it, and is listed as such. Without options: all stages.",
    .groups = { OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
