#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/network.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/explanation.h"
#include "clients/kept_policy.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/recorded.h"
#include "clients/report.h"
#include "clients/token_input.h"
#include "config/config.h"
#include "policy/explain.h"

#define EXIT_CANNOT_TELL 1
#define EXIT_DENIED 3
#define ISSUERS_SHOWN_MAX 5

struct values {
    struct policy_source_options source;
    struct token_input_options input;
    const char *issuer;
    const char *stage;
    const char *address;
    const char *at;
    const char *actor;
    struct option_list proofs;
    const char *decision;
    struct ledger_source_options ledger;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "issuer",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Whose claims these are; else `iss` tells, or there is but one",
      .offset = offsetof(struct values, issuer) },
    { .name = "stage",
      .kind = OPTION_TEXT,
      .value = "STAGE",
      .help = "As the job would name it; else the only one that is open",
      .offset = offsetof(struct values, stage) },
    { .name = "address",
      .kind = OPTION_TEXT,
      .value = "IP",
      .help = "Where the request comes from; else that is not known",
      .offset = offsetof(struct values, address) },
    { .name = "at",
      .kind = OPTION_TEXT,
      .value = "TIME",
      .help = "When it comes, 2026-11-22T10:00:00Z; else now",
      .offset = offsetof(struct values, at) },
    { .name = "proof",
      .kind = OPTION_LIST,
      .value = "dpop|mtls|key",
      .help = "Which proof of a key comes along; may be repeated",
      .offset = offsetof(struct values, proofs) },
    { .name = "actor",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Who acts for the job, as JSON: {\"issuer\": NAME, \"claims\": {}}",
      .offset = offsetof(struct values, actor) },
    { .name = "decision",
      .kind = OPTION_TEXT,
      .value = "ID",
      .help = "Instead of all these: a request that a ledger has recorded, by its decision's id",
      .offset = offsetof(struct values, decision) },
    OUTPUT_ROW(struct values, "How the explanation is printed"),
};

/* What is asked, and the answer. Memory is the source's. */
struct question {
    const struct values *values;
    const struct policy_source *source;
    const struct issuer_options *issuer;
    const json_t *claims;
    struct policy_facts facts;
    struct policy_request request;
    struct address address;
    int64_t now_s;
    const char *only_missed; /* a claim by which the token is not even one of ours, or NULL */
    struct explanation explanation;
    struct ledger_source *ledger; /* where one is asked; or NULL */
    struct recorded recorded;     /* with --decision */
    bool is_same_policy;          /* that decided then */
    bool is_kept;                 /* it comes from the store */
    struct str asked; /* what the decision looks at and nobody knows any more; or empty */
};

/* ---- whose claims ---- */

static bool no_issuer(const struct question *question, const char *name, struct error *error)
{
    const struct config *config = question->source->config;
    struct arena *arena = question->source->arena;
    struct str *names = arena_alloc_array(arena, config->issuer_count + 1, sizeof(*names));
    struct str list = STR("");
    struct str nearest = STR("");

    for (size_t i = 0; names && i < config->issuer_count; i++) {
        names[i] = config->issuers[i].name;
        if (i < ISSUERS_SHOWN_MAX)
            list = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(list), i > 0 ? ", " : "",
                                STR_ARG(names[i]));
    }
    if (!name)
        return error_set(error, ERROR_USAGE,
                         "no issuer's URL is the claims' `iss`: say --issuer NAME, one of " STR_FMT,
                         STR_ARG(list));
    if (names)
        nearest = str_nearest(str_from(name), names, config->issuer_count);
    if (nearest.len > 0)
        return error_set(error, ERROR_USAGE, "there is no issuer '%s': did you mean '" STR_FMT "'?",
                         name, STR_ARG(nearest));
    return error_set(error, ERROR_USAGE, "there is no issuer '%s': there are " STR_FMT, name,
                     STR_ARG(list));
}

static bool find_issuer(struct question *question, struct error *error)
{
    const struct config *config = question->source->config;
    const char *name = question->values->issuer;
    struct str url = json_str(json_object_get(question->claims, "iss"));

    for (size_t i = 0; i < config->issuer_count; i++) {
        const struct issuer_options *issuer = &config->issuers[i];

        if (name ? str_eq(issuer->name, str_from(name)) : str_eq(issuer->url, url))
            question->issuer = issuer;
    }
    if (!question->issuer && !name && url.len == 0 && config->issuer_count == 1)
        question->issuer = &config->issuers[0];
    return question->issuer || no_issuer(question, name, error);
}

static const struct policy_issuer *view_of(const struct config *config,
                                           const struct issuer_options *issuer)
{
    return &config->world.issuers[issuer - config->issuers];
}

/* ---- the rest of the request ---- */

static bool read_actor(struct question *question, struct error *error)
{
    const json_t *actor;

    if (!question->values->actor)
        return true;
    if (!token_input_json(question->values->actor, question->source->arena, &actor, error))
        return false;
    if (!json_is_string(json_object_get(actor, "issuer")) ||
        !json_is_object(json_object_get(actor, "claims")))
        return error_set(error, ERROR_USAGE,
                         "--actor: expected {\"issuer\": NAME, \"claims\": {}}");
    question->facts.actor = actor;
    return true;
}

static bool read_proofs(struct question *question, struct error *error)
{
    const struct option_list *proofs = &question->values->proofs;

    for (size_t i = 0; i < proofs->count; i++) {
        unsigned bit = policy_proof_find(str_from(proofs->items[i]));

        if (bit == 0)
            return error_set(error, ERROR_USAGE, "--proof is dpop, mtls or key, not '%s'",
                             proofs->items[i]);
        question->facts.proofs |= bit;
    }
    return true;
}

static bool read_request(struct question *question, struct error *error)
{
    const struct values *values = question->values;
    int64_t now_ms = clock_wall_ms();

    if (values->at && !time_text_parse(str_from(values->at), &now_ms))
        return error_set(error, ERROR_USAGE, "--at: expected a time such as 2026-11-22T10:00:00Z");
    question->now_s = now_ms / 1000;
    if (values->address && !address_parse(str_from(values->address), &question->address))
        return error_set(error, ERROR_USAGE, "--address: expected one such as 192.0.2.1");
    if (values->address)
        question->facts.address = &question->address;
    question->request.stage = str_from(values->stage);
    return read_proofs(question, error) && read_actor(question, error);
}

/* ---- a recorded request ---- */

static bool is_alone(const struct values *values)
{
    return !values->input.claims && !values->input.token && !values->issuer && !values->stage &&
           !values->address && !values->at && !values->actor && values->proofs.count == 0;
}

static bool is_policy(const struct policy *policy, struct str recorded)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)policy_sha256(policy), SHA256_LEN });
    return buf_is_ok(&text) && str_eq(buf_str(&text), recorded);
}

/* What the decision itself looks at; the explanation shows more than that. */
static bool find_asked(struct question *question, struct error *error)
{
    struct policy_decision decision = { 0 };
    struct error why = { 0 };
    struct arena *arena = question->source->arena;

    if (!policy_decide(question->source->policy, &question->facts, &question->request,
                       question->now_s, arena, &decision, &why) &&
        why.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "deciding");
    question->asked = question->recorded.unknown.asked;
    return true;
}

static bool read_recorded(struct question *question, struct error *error)
{
    const struct policy_source *source = question->source;
    const struct values *values = question->values;
    struct recorded *recorded = &question->recorded;
    const json_t *entry;
    const json_t *private_part;

    if (!is_alone(values))
        return error_set(error, ERROR_USAGE,
                         "--decision is all that there is of a request: "
                         "it goes with --ledger and --output only");
    if (!recorded_find(question->ledger, str_from(values->decision), source->arena, &entry,
                       &private_part, error) ||
        !recorded_read(&source->config->world, entry, private_part, source->arena, recorded, error))
        return false;
    if (recorded->cannot)
        return error_set(error, ERROR_NOT_FOUND, "decision %s: %s", values->decision,
                         recorded->cannot);
    question->claims = recorded->facts.claims;
    question->facts = recorded->facts;
    question->request = recorded->request;
    question->now_s = recorded->time_s;
    for (size_t i = 0; i < source->config->issuer_count; i++)
        if (str_eq(source->config->issuers[i].name, recorded->issuer))
            question->issuer = &source->config->issuers[i];
    return true;
}

static bool answer_recorded(struct question *question, struct error *error)
{
    const struct policy_source *source = question->source;

    question->is_same_policy = is_policy(source->policy, question->recorded.policy);
    if (!find_asked(question, error) ||
        !explain_decision(source->policy, &question->facts, &question->request, question->now_s,
                          source->arena, &question->explanation, error))
        return false;
    if (question->is_kept)
        kept_policy_cut_paths(source, &question->explanation);
    return true;
}

static bool answer(struct question *question, struct error *error)
{
    const struct policy_source *source = question->source;

    if (question->values->decision)
        return answer_recorded(question, error);
    if (!token_input_claims(&question->values->input, source->arena, &question->claims, error) ||
        !find_issuer(question, error) || !read_request(question, error) ||
        !policy_facts_read(view_of(source->config, question->issuer), question->claims,
                           source->arena, &question->facts, error))
        return false;
    question->only_missed = identity_only_missed(question->issuer, question->claims);
    return explain_decision(source->policy, &question->facts, &question->request, question->now_s,
                            source->arena, &question->explanation, error);
}

/* ---- by which policy ---- */

/* A decision that is named alone is explained by the policy that made it, where the store has it;
 * else, as all that is asked for claims, by the configured one. */
static bool load_kept(struct question *question, struct policy_source *source, struct error *error)
{
    struct error why = { 0 };

    question->is_kept = kept_policy_load(source, ledger_source_facts(question->ledger)->policies,
                                         question->recorded.policy, &why);
    if (question->is_kept)
        return true;
    if (why.code != ERROR_NOT_FOUND && question->recorded.policy.len > 0) {
        *error = why;
        return false;
    }
    source->folder = source->config->policy_directory;
    return policy_source_load_folder(source, source->folder, &source->policy, error);
}

static bool load(struct question *question, struct policy_source *source,
                 const struct operands *operands, struct error *error)
{
    const struct values *values = question->values;

    if (!policy_source_load_world(source, &values->source, error) ||
        ((values->decision || kept_policy_is_named(operands)) &&
         !ledger_source_open(&values->ledger, &question->ledger, error)) ||
        (values->decision && !read_recorded(question, error)))
        return false;
    if (values->decision && operands->count == 0)
        return load_kept(question, source, error);
    return kept_policy_load_operand(source, question->ledger, operands, error);
}

/* ---- printing ---- */

static void print_recorded(const struct question *question)
{
    const struct recorded *recorded = &question->recorded;
    char time[TIME_TEXT_S_LEN + 1];

    time_text_s(recorded->time_s, time);
    (void)printf("decision %s of %s: %s", question->values->decision, time,
                 recorded->is_allowed ? "allowed" : "denied");
    if (!recorded->is_allowed) {
        (void)fputs(" for ", stdout);
        print_clean(stdout, recorded->reason);
    }
    (void)fputs(question->is_kept          ? ", by this policy, which the store keeps: "
                : question->is_same_policy ? ", by this policy: "
                                           : ", by another policy: ",
                stdout);
    print_clean(stdout, recorded->policy);
    (void)putchar('\n');
    if (question->asked.len > 0) {
        (void)fputs("CANNOT TELL: '", stdout);
        print_clean(stdout, question->asked);
        (void)fputs("' of the request is not known any more, and decides here. Without it:\n",
                    stdout);
    }
    (void)putchar('\n');
}

static int print_text(const struct question *question)
{
    struct paint paint = paint_for(stdout);

    if (question->values->decision)
        print_recorded(question);

    if (question->values->input.token)
        (void)puts("UNVERIFIED: anybody can have written this token. `stagepass token verify` "
                   "tells.");
    if (question->only_missed) {
        (void)fputs("denied: the broker does not take this token at all: ", stdout);
        print_clean(stdout, str_from(question->only_missed));
        (void)printf(" is not what `only` of issuer " STR_FMT " says.\nThe policy alone:\n\n",
                     STR_ARG(question->issuer->name));
    }
    explanation_print(&question->explanation, &paint, stdout);
    return report_finish();
}

static bool put_recorded(const struct question *question, json_t *json)
{
    const struct recorded *recorded = &question->recorded;
    json_t *object;

    if (!question->values->decision)
        return true;
    object = json_object();
    return json_put(json, "recorded", object) &&
           json_put(object, "decision", json_string(question->values->decision)) &&
           json_put(object, "allowed", json_boolean(recorded->is_allowed)) &&
           json_put(object, "reason", json_from_str(recorded->reason)) &&
           json_put(object, "policy", json_from_str(recorded->policy)) &&
           json_put(object, "same_policy", json_boolean(question->is_same_policy)) &&
           json_put(object, "kept_policy", json_boolean(question->is_kept)) &&
           json_put_text(json, "cannot_tell", question->asked);
}

static int print_json(const struct question *question)
{
    JSON_OWNED json_t *json = explanation_json(&question->explanation);
    char time[TIME_TEXT_S_LEN + 1];

    time_text_s(question->now_s, time);
    if (!json_put(json, "verified", json_false()) || !put_recorded(question, json) ||
        !json_put(json, "issuer", json_from_str(question->issuer->name)) ||
        !json_put(json, "at", json_string(time)) ||
        (question->only_missed &&
         !(json_put(json, "only_missed", json_string(question->only_missed)) &&
           json_put(json, "allowed", json_false()))))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int explain(struct question *question, struct policy_source *source,
                   const struct operands *operands)
{
    struct error error = { 0 };
    bool is_loaded = load(question, source, operands, &error);
    int failure;

    policy_source_report(source);
    if (!is_loaded || !answer(question, &error))
        return report_failure(&error);
    failure = question->values->output == OUTPUT_JSON ? print_json(question) : print_text(question);
    if (failure != 0)
        return failure;
    if (question->asked.len > 0)
        return EXIT_CANNOT_TELL;
    return question->explanation.is_allowed && !question->only_missed ? 0 : EXIT_DENIED;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(policy_source_release) struct policy_source source = { 0 };
    struct question question = { .values = given, .source = &source };
    int exit_code = explain(&question, &source, operands);

    ledger_source_close(question.ledger);
    return exit_code;
}

const struct command command_policy_explain = {
    .group = "policy",
    .name = "explain",
    .operands = "[FOLDER|sha256:HASH]",
    .summary = "Show why a job may get what it asks for, or may not",
    .description =
        "Decides for the claims of a file, or of a token that nobody verifies, as the broker "
        "would,\n"
        "and shows each condition with what came. Without --stage: the stage that is open, or the\n"
        "nearest.\n"
        "A recorded --decision is explained by the policy that made it, where the store keeps it;\n"
        "FOLDER, or sha256:HASH for one that the store keeps, names another.\n"
        "Exit code 0 where it is allowed, 3 where it is not. Marks are ASCII unless the locale is\n"
        "UTF-8.",
    .groups = { OPTION_GROUP(token_input_option_rows, offsetof(struct values, input)),
                OPTION_GROUP(policy_source_option_rows, offsetof(struct values, source)),
                OPTION_GROUP(ledger_source_option_rows, offsetof(struct values, ledger)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
