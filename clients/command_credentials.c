#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/aws_cache.h"
#include "clients/command.h"
#include "clients/environment.h"
#include "clients/git_format.h"
#include "clients/input.h"
#include "clients/proof_key.h"
#include "clients/report.h"
#include "clients/session.h"
#include "clients/tool_format.h"
#include "clients/variable.h"

#define FORMAT_NAMES                                                                               \
    "text|json|env|az-access-token|kubectl|aws-credential-process|gcp-executable|"                 \
    "docker-credential|git-credential"

/* In their order. */
enum format {
    FORMAT_TEXT,
    FORMAT_JSON,
    FORMAT_ENV,
    FORMAT_AZ,
    FORMAT_KUBECTL,
    FORMAT_AWS,
    FORMAT_GCP,
    FORMAT_DOCKER,
    FORMAT_GIT,
};

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

/* The key that a certificate is of is ours: without it nobody could use what is printed. */
static bool put_keys(struct session *session, struct error *error)
{
    struct str key = { (const char *)session->tls_key.pem.data, session->tls_key.pem.len };
    const char *grant;
    json_t *credential;

    json_object_foreach (json_object_get(json_iterable(session->answer.json), "credentials"), grant,
                         credential) {
        json_t *x509 = json_object_get(credential, "x509");

        if (x509 && key.data && !json_put(x509, "key", json_from_str(key)))
            return error_set(error, ERROR_MEMORY, "no memory for the answer");
    }
    return true;
}

static bool print_answer(struct session *session, struct error *error)
{
    if (!put_keys(session, error))
        return false;
    if (!print_clean_json(stdout, session->answer.json))
        return error_set(error, ERROR_IO, "cannot write JSON");
    return true;
}

/* Certificates have lines, which the form of variables has no room for. */
static bool has_files(const struct answer *answer, struct error *error)
{
    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].certificate.len > 0 || answer->credentials[i].ca.len > 0)
            return !error_set(error, ERROR_USAGE,
                              "grant '" STR_FMT "' has a certificate: use --output json, or "
                              "`stagepass exec`",
                              STR_ARG(answer->credentials[i].grant));
    return false;
}

static bool add_postgres(struct environment *environment, const struct answer *answer,
                         struct error *error)
{
    static const struct postgres_files none;
    size_t count;
    const struct credential *only = environment_only(answer, CREDENTIAL_POSTGRES, &count);

    if (count > 1)
        return error_set(error, ERROR_USAGE,
                         "several postgres grants do not fit into one environment: pick one with "
                         "--grant");
    return !only || environment_add_postgres(environment, only, &none, error);
}

static bool print_env(struct session *session, struct error *error)
{
    struct environment environment = { .arena = session->arena };

    if (has_files(&session->answer, error))
        return false;
    if (environment_count(&session->answer, CREDENTIAL_AWS) > 1)
        return error_set(error, ERROR_USAGE,
                         "several aws grants do not fit into one environment: "
                         "pick one with --grant");
    if (!environment_add_answer(&environment, &session->answer, error) ||
        !add_postgres(&environment, &session->answer, error) ||
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

/* The answer, and by what another call renews its lease. */
static bool keep_aws(const struct session *session, const struct aws_cache *cache, struct str text,
                     struct error *error)
{
    struct aws_renewal renewal = { .token = session->answer.refresh_token };
    OWNED(buf_release) struct buf key = { 0 };

    buf_init(&key, PROOF_KEY_TEXT_MAX);
    if (renewal.token.len > 0 && session->proof_key &&
        !proof_key_write(session->proof_key, &key, error))
        return false;
    renewal.key = buf_str(&key);
    return aws_cache_put(cache, text, &renewal, error);
}

/*
 * The lease of the last answer goes on, where it may: a job has few tokens, and each exchange is a
 * lease of its own. This is a session beside ours, whose key our token may be bound to. False where
 * it does not, whatever the reason: then it is asked for as at first.
 */
static bool renew_aws(const struct session *session, const struct values *values,
                      const struct aws_cache *cache, struct str *text)
{
    OWNED(session_close) struct session renewing = { .signals = -1 };
    struct proof_key *key = NULL;
    struct aws_renewal renewal;
    struct error ignored = { 0 };
    struct str made;

    if (!aws_cache_get_renewal(cache, session->arena, &renewal) ||
        (renewal.key.len > 0 && !proof_key_read(renewal.key, &key, &ignored)))
        return false;
    if (!session_open(&renewing, &values->session, &ignored)) {
        proof_key_free(key);
        return false;
    }
    if (!session_renew(&renewing, renewal.token, key, &ignored) ||
        !tool_format_aws(&renewing.answer, renewing.arena, &made, &ignored) ||
        !keep_aws(&renewing, cache, made, &ignored))
        return false;
    *text = arena_copy(session->arena, made);
    return text->data;
}

static bool exchange_aws(struct session *session, const struct values *values,
                         const struct aws_cache *cache, struct str *text, struct error *error)
{
    if (aws_cache_get(cache, clock_wall_s(), session->arena, text) ||
        renew_aws(session, values, cache, text))
        return true;
    if (!session_exchange(session, &values->session, error))
        return false;
    if (tool_format_aws(&session->answer, session->arena, text, error) &&
        keep_aws(session, cache, *text, error))
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

/* As `az account get-access-token` does. */
static bool print_az(struct session *session, struct error *error)
{
    struct str text;

    if (!tool_format_az(&session->answer, session->arena, &text, error))
        return false;
    (void)printf(STR_FMT "\n", STR_ARG(text));
    return true;
}

/* As docker's credential helpers answer. */
static bool print_docker(struct session *session, struct error *error)
{
    struct str text;

    if (!tool_format_docker(&session->answer, session->arena, &text, error))
        return false;
    (void)printf(STR_FMT "\n", STR_ARG(text));
    return true;
}

/* As an exec plugin of kubectl does. */
static bool print_kubectl(struct session *session, struct error *error)
{
    struct str text;

    if (!tool_format_kubectl(&session->answer, variable_get("KUBERNETES_EXEC_INFO"), session->arena,
                             &text, error))
        return false;
    (void)printf(STR_FMT "\n", STR_ARG(text));
    return true;
}

/* As a credential helper of git's does. What it asks is read first: nothing else is for it. */
static bool run_git(struct session *session, const struct values *values, struct error *error)
{
    struct str question;
    struct str host;
    struct str text;

    if (!input_read("-", GIT_QUESTION_MAX, session->arena, &question, error) ||
        !git_format_read(question, &host, error) ||
        !session_exchange(session, &values->session, error))
        return false;
    if (git_format_write(&session->answer, host, session->arena, &text, error)) {
        (void)printf(STR_FMT, STR_ARG(text));
        return true;
    }
    session_release(session, BROKER_FAILURE);
    return false;
}

static bool run_plain(struct session *session, const struct values *values, struct error *error)
{
    static bool (*const printers[])(struct session *, struct error *) = {
        [FORMAT_TEXT] = print_text,       [FORMAT_JSON] = print_answer,
        [FORMAT_ENV] = print_env,         [FORMAT_AZ] = print_az,
        [FORMAT_KUBECTL] = print_kubectl, [FORMAT_DOCKER] = print_docker,
    };

    if (!session_exchange(session, &values->session, error))
        return false;
    if (!has_unusable(&session->answer, error) && printers[values->format](session, error) &&
        fflush(stdout) == 0)
        return true;
    session_release(session, BROKER_FAILURE);
    return error_set(error, ERROR_IO, "cannot write to standard output");
}

/* Google's libraries look there before they ask again, where their configuration names a file. */
static bool keep_for_google(struct str text, struct error *error)
{
    const char *file = variable_get("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE");

    return !file || file[0] == '\0' || file_replace(file, text, 0600, error);
}

static bool run_google(struct session *session, const struct values *values, struct error *error)
{
    struct str text;

    if (!session_exchange(session, &values->session, error))
        return false;
    if (tool_format_gcp(&session->answer, session->arena, &text, error) &&
        keep_for_google(text, error)) {
        (void)printf(STR_FMT "\n", STR_ARG(text));
        return true;
    }
    session_release(session, BROKER_FAILURE);
    return false;
}

/* What goes wrong is told in Google's shape, too: its libraries show nothing else to people. */
static void tell_google(const struct session *session, const struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str text = { 0 };

    if (arena)
        text = tool_format_gcp_failure(&session->refusal, error, arena);
    if (text.data)
        (void)printf(STR_FMT "\n", STR_ARG(text));
    (void)fflush(stdout); /* there is no other way to tell it */
}

typedef bool (*runner)(struct session *session, const struct values *values, struct error *error);

static const runner runners[] = {
    [FORMAT_TEXT] = run_plain, [FORMAT_JSON] = run_plain,    [FORMAT_ENV] = run_plain,
    [FORMAT_AZ] = run_plain,   [FORMAT_KUBECTL] = run_plain, [FORMAT_AWS] = run_aws,
    [FORMAT_GCP] = run_google, [FORMAT_DOCKER] = run_plain,  [FORMAT_GIT] = run_git,
};

/* One of Google's libraries reads standard error as if it were the answer. */
static void silence_errors(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (nowhere >= 0 && dup2(nowhere, STDERR_FILENO) >= 0)
        (void)close(nowhere); /* nothing was written */
}

static bool identify(struct session *session, const struct values *values, struct error *error)
{
    return session_open(session, &values->session, error) &&
           session_identify(session, &values->session, error);
}

/* Git says what it wants of a helper; it keeps what it got to itself, so there is nothing to store
 * or to erase, and what else it may come to want is none of ours. */
static bool is_for_nothing(const struct operands *operands)
{
    return operands->count > 0 && !str_eq(str_from(operands->items[0]), STR("get"));
}

static bool check_operands(const struct values *values, const struct operands *operands,
                           struct error *error)
{
    if (values->format == FORMAT_GIT || operands->count == 0)
        return true;
    return error_set(error, ERROR_USAGE, "'%s': only git-credential takes an operand",
                     operands->items[0]);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(session_close) struct session session = { .signals = -1 };
    const struct values *values = given;
    struct error error = { 0 };

    if (!check_operands(values, operands, &error))
        return report_failure(&error);
    if (values->format == FORMAT_GIT && is_for_nothing(operands))
        return report_finish();
    if (values->format == FORMAT_GCP)
        silence_errors();
    if (identify(&session, values, &error) && runners[values->format](&session, values, &error))
        return report_finish();
    if (values->format == FORMAT_GCP)
        tell_google(&session, &error);
    return session_report(&session, &error);
}

const struct command command_credentials = {
    .name = "credentials",
    .operands = "[OPERATION]",
    .summary = "Get a stage's credentials and print them",
    .description =
        "For tools that `stagepass exec` cannot wrap. The lease is not released by this: do it "
        "with\n"
        "`stagepass release` and the handle (json: lease.handle; env: STAGEPASS_LEASE_HANDLE), or "
        "it\n"
        "ends when its credentials do.\n"
        "\n"
        "Of an x509 grant json has the key, too, which is made here.\n"
        "\n"
        "As a credential_process in an AWS profile:\n"
        "  credential_process = stagepass credentials --output aws-credential-process --grant "
        "site\n"
        "SDKs ask often; the answer is kept until a minute before it ends in a folder that only "
        "this\n"
        "user can read, for this job only (in XDG_RUNTIME_DIR, else RUNNER_TEMP; else not at "
        "all).\n"
        "Where its lease may go on, it is renewed then, with the key that is kept beside it.\n"
        "\n"
        "As an executable of Google's external accounts, for a jwt grant whose audience is the "
        "provider:\n"
        "  \"executable\": {\"command\": \"stagepass credentials --output gcp-executable --grant "
        "gcloud\"}\n"
        "Of a gcp grant, whose token is made already, env has what gcloud reads.\n"
        "\n"
        "az-access-token prints an azure grant as `az account get-access-token` does.\n"
        "\n"
        "docker-credential prints a registry grant as docker's credential helpers answer `get`: "
        "call it\n"
        "from a docker-credential-NAME of your own. Each call is a lease; `stagepass exec` has one "
        "for\n"
        "all of a command.\n"
        "\n"
        "As a credential helper of git's, of a github or gitlab grant; git puts its OPERATION "
        "behind "
        "it:\n"
        "  git config credential.https://github.com.helper \\\n"
        "    '!stagepass credentials --output git-credential --grant repo'\n"
        "Each call is a lease, too.\n"
        "\n"
        "As an exec plugin in a kubeconfig, of a kubernetes grant:\n"
        "  exec: {apiVersion: client.authentication.k8s.io/v1, command: stagepass, "
        "interactiveMode: "
        "Never,\n"
        "         args: [credentials, --output, kubectl, --grant, cluster]}",
    .groups = { OPTION_GROUP(session_option_rows, offsetof(struct values, session)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
