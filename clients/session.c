#include "clients/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/id_token.h"
#include "clients/process.h"
#include "clients/proof_key.h"
#include "clients/report.h"
#include "identity/identity.h"
#include "upstream/upstream.h"

#define SESSION_ARENA_MAX ((size_t)8 * 1024 * 1024)
#define FORM_MAX ((size_t)64 * 1024)
#define EXCHANGE_TIMEOUT_MS 30000 /* a remote target may take its time to mint */
#define FIRST_PAUSE_MS 500
#define LONGEST_PAUSE_MS 8000
#define GRANT_EXCHANGE "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
#define TOKEN_TYPE_JWT "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
#define DETAIL_TYPE "stagepass_grant"
#define PROOF_NAMESPACE "stagepass"

#define OFFSET(member) offsetof(struct session_options, member)

const struct option_row session_option_rows[SESSION_OPTION_COUNT] = {
    { .name = "broker",
      .kind = OPTION_TEXT,
      .value = "URL",
      .environment = "STAGEPASS_BROKER",
      .help = "The broker",
      .offset = OFFSET(broker) },
    { .name = "ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CA",
      .help = "Certificates (PEM) that the broker's is to be signed by; else the system's",
      .offset = OFFSET(ca_file) },
    { .name = "token-file",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "The job's identity token; else GitHub Actions' endpoint is asked for one, else "
              "STAGEPASS_ID_TOKEN holds it",
      .offset = OFFSET(token_file) },
    { .name = "audience",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "What GitHub's token is to be for; else the broker's URL, with our key behind it",
      .offset = OFFSET(audience) },
    { .name = "stage",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "The stage, where the job fits several",
      .offset = OFFSET(stage) },
    { .name = "grant",
      .kind = OPTION_LIST,
      .value = "NAME",
      .help = "Only this grant of the stage; may be repeated",
      .offset = OFFSET(grants) },
    { .name = "ssh",
      .kind = OPTION_LIST,
      .value = "NAME",
      .help = "This grant is for ssh: saves asking the broker; may be repeated",
      .offset = OFFSET(ssh_grants) },
    { .name = "ttl",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .help = "A shorter life than the policy gives, such as 5m",
      .offset = OFFSET(ttl_s) },
    { .name = "reason",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "Why, for approvers and auditors",
      .offset = OFFSET(reason) },
    { .name = "wait",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .help = "How long a busy broker is waited for; else 30s",
      .offset = OFFSET(wait_s) },
    { .name = "no-dpop",
      .kind = OPTION_FLAG,
      .help = "Do not bind the tokens to a key that only this process has (RFC 9449)",
      .offset = OFFSET(has_no_proof) },
    { .name = "plain-audience",
      .kind = OPTION_FLAG,
      .help = "Do not ask GitHub for a token that is good beside that key only",
      .offset = OFFSET(has_plain_audience) },
    { .name = "client-certificate",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CLIENT_CERTIFICATE",
      .help = "A certificate (PEM) to show to the broker, which binds the tokens to it (RFC 8705)",
      .offset = OFFSET(certificate_file) },
    { .name = "client-key",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CLIENT_KEY",
      .help = "Its key (PEM, without a passphrase)",
      .offset = OFFSET(key_file) },
};

static bool show_certificate(struct session *session, const struct session_options *options,
                             struct error *error)
{
    if (!options->certificate_file != !options->key_file)
        return error_set(error, ERROR_USAGE, "--client-certificate and --client-key go together");
    session->broker.peer.certificate_file = options->certificate_file;
    session->broker.peer.key_file = options->key_file;
    return true;
}

bool session_open(struct session *session, const struct session_options *options,
                  struct error *error)
{
    session->arena = arena_new(SESSION_ARENA_MAX);
    if (!session->arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    return upstream_start(&session->upstream, error) &&
           broker_init(&session->broker, options->broker, options->ca_file, session->upstream,
                       session->arena, error) &&
           show_certificate(session, options, error) &&
           (options->has_no_proof || proof_key_new(&session->proof_key, error));
}

void session_close(struct session *session)
{
    upstream_stop(session->upstream);
    proof_key_free(session->proof_key);
    ssh_key_release(&session->ssh_key);
    arena_free(session->arena);
    *session = (struct session){ .signals = -1 };
}

/* The broker, and behind it our key: whoever copies such a token cannot use it. */
static const char *token_audience(const struct session *session,
                                  const struct session_options *options)
{
    char thumbprint[44];

    if (options->audience)
        return options->audience;
    if (!session->proof_key || options->has_plain_audience)
        return session->broker.url.data;
    proof_key_thumbprint(session->proof_key, thumbprint);
    return arena_printf(session->arena, STR_FMT IDENTITY_KEY_AUDIENCE "%s",
                        STR_ARG(session->broker.url), thumbprint)
        .data;
}

bool session_identify(struct session *session, const struct session_options *options,
                      struct error *error)
{
    struct id_token_options wanted = {
        .file = options->token_file,
        .audience = token_audience(session, options),
        .upstream = session->upstream,
    };

    if (!wanted.audience)
        return error_set(error, ERROR_MEMORY, "no memory for an audience");
    return id_token_get(&wanted, session->arena, &session->subject_token, error);
}

static void add_parameter(struct buf *form, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    buf_printf(form, "&%s=", name);
    buf_add_percent(form, value);
}

static void add_scope(struct buf *form, const struct option_list *grants)
{
    if (grants->count == 0)
        return;
    buf_add_text(form, "&scope=");
    for (size_t i = 0; i < grants->count; i++) {
        buf_add_text(form, i > 0 ? "%20" : "");
        buf_add_percent(form, str_from(grants->items[i]));
    }
}

static bool prepare_ssh_key(struct session *session, struct str *line, struct str *proof,
                            struct error *error)
{
    uint8_t digest[SHA256_LEN];

    if (!session->ssh_key.seed.data && !ssh_key_init(&session->ssh_key, error))
        return false;
    sha256(session->subject_token, digest);
    *line = ssh_key_line(&session->ssh_key, session->arena);
    if (!line->data)
        return error_set(error, ERROR_MEMORY, "no memory for the ssh key");
    return ssh_key_sign(&session->ssh_key, PROOF_NAMESPACE,
                        (struct str){ (const char *)digest, sizeof(digest) }, session->arena, proof,
                        error);
}

static bool add_detail(json_t *details, const char *grant, struct str line, struct str proof)
{
    json_t *detail = json_object();

    return detail && json_array_append_new(details, detail) == 0 &&
           json_put(detail, "type", json_string(DETAIL_TYPE)) &&
           json_put(detail, "grant", json_string(grant)) &&
           json_put(detail, "public_key", json_from_str(line)) &&
           json_put(detail, "proof", json_from_str(proof));
}

/* Our key, with the proof that we hold it, for each ssh grant. */
static bool add_details(struct session *session, const struct option_list *ssh_grants,
                        struct buf *form, struct error *error)
{
    JSON_OWNED json_t *details = json_array();
    struct str line;
    struct str proof;
    struct str text;

    if (ssh_grants->count == 0)
        return true;
    if (!prepare_ssh_key(session, &line, &proof, error))
        return false;
    for (size_t i = 0; i < ssh_grants->count; i++)
        if (!add_detail(details, ssh_grants->items[i], line, proof))
            return error_set(error, ERROR_USAGE, "a grant's name is not UTF-8");
    text = json_text(session->arena, details);
    if (!text.data)
        return error_set(error, ERROR_MEMORY, "no memory for the request");
    add_parameter(form, "authorization_details", text);
    return true;
}

static bool build_form(struct session *session, const struct session_options *options,
                       const struct option_list *ssh_grants, struct buf *form, struct error *error)
{
    buf_add_text(form, "grant_type=" GRANT_EXCHANGE "&subject_token_type=" TOKEN_TYPE_JWT);
    add_parameter(form, "subject_token", session->subject_token);
    add_parameter(form, "stage", str_from(options->stage));
    add_parameter(form, "reason", str_from(options->reason));
    add_scope(form, &options->grants);
    if (options->ttl_s > 0)
        buf_printf(form, "&ttl=%lld", (long long)options->ttl_s);
    if (!add_details(session, ssh_grants, form, error))
        return false;
    return buf_is_ok(form) ||
           error_set(error, ERROR_LIMIT, "the request is larger than %zu bytes", FORM_MAX);
}

/* A proof is good for one request, so each has its own. */
static bool build_proof(const struct session *session, const char **header, struct error *error)
{
    struct proof_request request = {
        .method = "POST",
        .url = broker_path(&session->broker, "/token", session->arena),
        .now_s = clock_wall_s(),
        .nonce = session->dpop_nonce,
    };
    struct str proof;
    struct str line;

    *header = NULL;
    if (!session->proof_key)
        return true;
    if (!request.url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a proof");
    if (!proof_key_prove(session->proof_key, &request, session->arena, &proof, error))
        return false;
    line = arena_printf(session->arena, "DPoP: " STR_FMT, STR_ARG(proof));
    *header = line.data;
    return line.data || error_set(error, ERROR_MEMORY, "no memory for a proof");
}

static bool send_once(struct session *session, const struct session_options *options,
                      const struct option_list *ssh_grants, struct fetch_answer *answer,
                      struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct broker_post post = { .path = "/token", .timeout_ms = EXCHANGE_TIMEOUT_MS };

    buf_init(&form, FORM_MAX);
    if (!build_form(session, options, ssh_grants, &form, error) ||
        !build_proof(session, &post.header, error))
        return false;
    post.form = buf_str(&form);
    return broker_send(&session->broker, &post, session->arena, answer, error);
}

/* Once: a broker that wants another nonce each time is none. */
static bool send_with_nonce(struct session *session, const struct session_options *options,
                            const struct option_list *ssh_grants, struct fetch_answer *answer,
                            struct error *error)
{
    struct refusal refusal = { 0 };

    if (!send_once(session, options, ssh_grants, answer, error))
        return false;
    session->dpop_nonce = answer->dpop_nonce;
    if (answer->status != 400 || answer->dpop_nonce.len == 0)
        return true;
    refusal_read(answer->status, answer->body, session->arena, &refusal);
    if (!str_eq(refusal.code, STR("use_dpop_nonce")))
        return true;
    if (!send_once(session, options, ssh_grants, answer, error))
        return false;
    session->dpop_nonce = answer->dpop_nonce;
    return true;
}

static bool is_busy(int status)
{
    return status == 429 || status == 503;
}

/* Ask until the broker is no longer busy. */
static bool send_patiently(struct session *session, const struct session_options *options,
                           const struct option_list *ssh_grants, struct fetch_answer *answer,
                           struct error *error)
{
    int64_t wait_s = options->wait_s > 0 ? options->wait_s : SESSION_WAIT_S;
    int64_t last_ms = clock_monotonic_ms() + wait_s * 1000;
    int pause_ms = FIRST_PAUSE_MS;

    for (;;) {
        if (!send_with_nonce(session, options, ssh_grants, answer, error))
            return false;
        if (!is_busy(answer->status) || clock_monotonic_ms() + pause_ms > last_ms)
            return true;
        if (process_is_readable(session->signals, pause_ms))
            return error_set(error, ERROR_LATER, "interrupted while the broker was busy");
        pause_ms = pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * pause_ms : LONGEST_PAUSE_MS;
    }
}

/* Which grants want a key, if that is all that is amiss. */
static bool wants_keys(const struct session *session, struct option_list *ssh_grants)
{
    const struct refusal *refusal = &session->refusal;

    if (!str_eq(refusal->code, STR("invalid_authorization_details")) || ssh_grants->count > 0 ||
        refusal->grants_needing_keys_count == 0)
        return false;
    for (size_t i = 0; i < refusal->grants_needing_keys_count; i++)
        ssh_grants->items[i] = refusal->grants_needing_keys[i].data; /* NUL-terminated by jansson */
    ssh_grants->count = refusal->grants_needing_keys_count;
    return true;
}

static bool refused(const struct session *session, struct error *error)
{
    int status = session->refusal.status;

    if (is_busy(status))
        return error_set(error, ERROR_LATER,
                         "the broker answers %d: nothing was released, try "
                         "again later",
                         status);
    if (session->refusal.code.len > 0 && status >= 400 && status < 500)
        return error_set(error, ERROR_REFUSED, "refused");
    return error_set(error, ERROR_IO,
                     STR_FMT " answers %d, not as a broker does: is the URL right?",
                     STR_ARG(session->broker.url), status);
}

bool session_exchange(struct session *session, const struct session_options *options,
                      struct error *error)
{
    struct option_list ssh_grants = options->ssh_grants;
    struct fetch_answer answer;

    do {
        session->refusal = (struct refusal){ 0 };
        if (!send_patiently(session, options, &ssh_grants, &answer, error))
            return false;
        if (answer.status == 200)
            return answer_read(answer.body, session->arena, &session->answer, error);
        refusal_read(answer.status, answer.body, session->arena, &session->refusal);
    } while (wants_keys(session, &ssh_grants));
    return refused(session, error);
}

static void report_part(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)fprintf(stderr, "  %-11s ", title);
    print_clean(stderr, text);
    (void)fputc('\n', stderr);
}

static void report_failed(const struct refusal *refusal)
{
    if (refusal->failed_count == 0)
        return;
    (void)fprintf(stderr, "  %-11s ", "not met:");
    for (size_t i = 0; i < refusal->failed_count; i++) {
        (void)fputs(i > 0 ? ", " : "", stderr);
        print_clean(stderr, refusal->failed[i]);
    }
    (void)fputc('\n', stderr);
}

int session_report(const struct session *session, const struct error *error)
{
    const struct refusal *refusal = &session->refusal;

    if (error->code != ERROR_REFUSED || refusal->status == 0)
        return report_failure(error);
    report_line("refused: " STR_FMT, STR_ARG(refusal->code));
    report_part("why:", refusal->description);
    report_part("reason:", refusal->reason);
    report_failed(refusal);
    report_part("owner:", refusal->owner);
    report_part("help:", refusal->help);
    report_part("decision:", refusal->decision);
    if (refusal->grants_needing_keys_count > 0)
        (void)fputs("  ssh grants need a key of the job's own: `stagepass exec` makes one\n",
                    stderr);
    return error_kind(ERROR_REFUSED)->exit_code;
}

void session_release(struct session *session, enum broker_outcome outcome)
{
    struct error error = { 0 };

    if (session->answer.handle.len == 0)
        return;
    if (!broker_release(&session->broker, session->answer.handle, outcome, session->arena, &error))
        report_line("the lease is not released, it ends at " STR_FMT ": %s",
                    STR_ARG(session->answer.expires_at), error.cause);
    session->answer.handle = (struct str){ 0 };
}
