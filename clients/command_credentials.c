#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/aws_cache.h"
#include "clients/command.h"
#include "clients/environment.h"
#include "clients/report.h"
#include "clients/session.h"
#include "clients/variable.h"

#define FORMAT_NAMES "text|json|env|aws-credential-process"

struct values {
    struct session_options session;
    size_t format; /* which of FORMAT_NAMES */
};

static const struct option_row rows[] = {
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = FORMAT_NAMES,
      .help = "text: what was given, without secrets; json: the broker's answer; env: NAME=value "
              "lines",
      .offset = offsetof(struct values, format),
      .letter = 'o' },
};

static void print_row(const char *title, struct str text)
{
    (void)printf("%-10s ", title);
    print_clean(stdout, text);
    (void)putchar('\n');
}

static bool print_text(struct session *session, struct error *error)
{
    const struct answer *answer = &session->answer;

    (void)error;
    print_row("lease", answer->lease);
    print_row("stage", answer->stage);
    print_row("expires", answer->expires_at);
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        (void)printf("%-10s " STR_FMT " (" STR_FMT ") until " STR_FMT "\n", "credential",
                     STR_ARG(credential->grant), STR_ARG(credential->type_name),
                     STR_ARG(credential->expires_at));
    }
    return true;
}

static bool print_answer(struct session *session, struct error *error)
{
    if (!print_clean_json(stdout, session->answer.json))
        return error_set(error, ERROR_IO, "cannot write JSON");
    return true;
}

static bool print_env(struct session *session, struct error *error)
{
    struct environment environment = { .arena = session->arena };

    if (environment_aws_count(&session->answer) > 1)
        return error_set(error, ERROR_USAGE,
                         "several aws grants do not fit into one environment: "
                         "pick one with --grant");
    if (!environment_add_answer(&environment, &session->answer, error) ||
        !environment_add(&environment, STR("STAGEPASS_LEASE_HANDLE"), session->answer.handle, true,
                         error))
        return false;
    for (size_t i = 0; i < environment.added_count; i++) {
        const struct environment_variable *added = &environment.added[i];

        if (added->is_secret)
            report_mask(added->value);
        (void)printf(STR_FMT "=" STR_FMT "\n", STR_ARG(added->name), STR_ARG(added->value));
    }
    return true;
}

/* What AWS SDKs read from a credential_process. */
static bool build_aws(const struct answer *answer, struct arena *arena, struct str *text,
                      struct error *error)
{
    JSON_OWNED json_t *json = json_object();
    const struct credential *credential = NULL;

    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].type == CREDENTIAL_AWS)
            credential = &answer->credentials[i];
    if (environment_aws_count(answer) != 1 || !credential)
        return error_set(error, ERROR_USAGE,
                         "expected one aws grant, the stage gave %zu: pick one "
                         "with --grant",
                         environment_aws_count(answer));
    if (!json_put(json, "Version", json_integer(1)) ||
        !json_put(json, "AccessKeyId", json_from_str(credential->access_key_id)) ||
        !json_put(json, "SecretAccessKey", json_from_str(credential->secret_access_key)) ||
        !json_put(json, "SessionToken", json_from_str(credential->session_token)) ||
        !json_put(json, "Expiration", json_from_str(credential->expires_at)) ||
        (credential->account_id.len > 0 &&
         !json_put(json, "AccountId", json_from_str(credential->account_id))))
        return error_set(error, ERROR_MEMORY, "no memory for the credential");
    *text = json_text(arena, json);
    return text->data || error_set(error, ERROR_MEMORY, "no memory for the credential");
}

static void add_question(struct buf *question, const char *text)
{
    buf_add_sized(question, str_from(text));
}

/*
 * Who asks for what. With the secret that identifies the job in it: on a shared runner another job
 * must never get this one's answer.
 */
static bool digest_question(const struct session *session, const struct session_options *options,
                            uint8_t digest[SHA256_LEN], struct error *error)
{
    OWNED(buf_release) struct buf question = { 0 };
    const char *job = variable_get("ACTIONS_ID_TOKEN_REQUEST_TOKEN");

    buf_init(&question, (size_t)128 * 1024);
    if (options->token_file || !job)
        buf_add_sized(&question, session->subject_token);
    else
        add_question(&question, job);
    buf_add_sized(&question, session->broker.url);
    add_question(&question, options->stage);
    add_question(&question, options->audience);
    buf_add_u64(&question, (uint64_t)options->ttl_s);
    for (size_t i = 0; i < options->grants.count; i++)
        add_question(&question, options->grants.items[i]);
    if (!buf_is_ok(&question))
        return error_set(error, ERROR_LIMIT, "no room for the question");
    sha256(buf_str(&question), digest);
    return true;
}

static bool exchange_aws(struct session *session, const struct values *values,
                         const struct aws_cache *cache, struct str *text, struct error *error)
{
    if (aws_cache_get(cache, clock_wall_s(), session->arena, text))
        return true;
    if (!session_exchange(session, &values->session, error))
        return false;
    if (build_aws(&session->answer, session->arena, text, error) &&
        aws_cache_put(cache, *text, error))
        return true;
    session_release(session, BROKER_FAILURE);
    return false;
}

static bool run_aws(struct session *session, const struct values *values, struct error *error)
{
    OWNED(aws_cache_close) struct aws_cache cache = { .file = -1 };
    uint8_t question[SHA256_LEN];
    struct str text;

    if (!digest_question(session, &values->session, question, error) ||
        !aws_cache_open(&cache, question, session->arena, error) ||
        !exchange_aws(session, values, &cache, &text, error))
        return false;
    (void)printf(STR_FMT "\n", STR_ARG(text));
    return true;
}

static bool has_unusable(const struct answer *answer, struct error *error)
{
    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].type == CREDENTIAL_SSH)
            return !error_set(error, ERROR_USAGE,
                              "grant '" STR_FMT "' is for ssh, whose key stays "
                              "in memory: use `stagepass exec`",
                              STR_ARG(answer->credentials[i].grant));
    return false;
}

static bool run_plain(struct session *session, const struct values *values, struct error *error)
{
    static bool (*const printers[])(struct session *, struct error *) = { print_text, print_answer,
                                                                          print_env };

    if (!session_exchange(session, &values->session, error))
        return false;
    if (!has_unusable(&session->answer, error) && printers[values->format](session, error) &&
        fflush(stdout) == 0)
        return true;
    session_release(session, BROKER_FAILURE);
    return error_set(error, ERROR_IO, "cannot write to standard output");
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(session_close) struct session session = { .signals = -1 };
    const struct values *values = given;
    struct error error = { 0 };
    bool is_aws = values->format == 3;

    (void)operands;
    if (!session_open(&session, &values->session, &error) ||
        !session_identify(&session, &values->session, &error) ||
        !(is_aws ? run_aws : run_plain)(&session, values, &error))
        return session_report(&session, &error);
    return report_finish();
}

const struct command command_credentials = {
    .name = "credentials",
    .operands = "",
    .summary = "Get a stage's credentials and print them",
    .description =
        "For tools that `stagepass exec` cannot wrap. The lease is not released by this: do it "
        "with\n"
        "`stagepass release` and the handle (json: lease.handle; env: STAGEPASS_LEASE_HANDLE), or "
        "it\n"
        "ends when its credentials do.\n"
        "\n"
        "As a credential_process in an AWS profile:\n"
        "  credential_process = stagepass credentials --output aws-credential-process --grant "
        "site\n"
        "SDKs ask often; the answer is kept until a minute before it ends in a folder that only "
        "this\n"
        "user can read, for this job only (in XDG_RUNTIME_DIR, else RUNNER_TEMP; else not at all).",
    .groups = { OPTION_GROUP(session_option_rows, offsetof(struct values, session)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
