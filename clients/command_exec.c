#include <stdio.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/delivery.h"
#include "clients/heartbeat.h"
#include "clients/log_trust.h"
#include "clients/process.h"
#include "clients/receipt.h"
#include "clients/renewer.h"
#include "clients/report.h"
#include "clients/session.h"
#include "clients/upcoming.h"

#define EXIT_SIGNALLED 128
#define RECEIPT_WAIT_MS 3000 /* after the command's end; a broker publishes once a second */

extern char **environ;

struct values {
    struct session_options session;
    const char *receipt_file;
    const char *status_file;
    const char *ledger_key;
};

static const struct option_row rows[] = {
    { .name = "receipt",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Keep the receipt, for `stagepass audit verify --against`",
      .offset = offsetof(struct values, receipt_file) },
    { .name = "ledger-key",
      .kind = OPTION_TEXT,
      .value = "KEY|FILE",
      .environment = "STAGEPASS_LEDGER_KEY",
      .help = "The ledger's verifier key: checks the receipt's signature too",
      .offset = offsetof(struct values, ledger_key) },
    { .name = "status-file",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "Write stagepass' own exit code there: 0 where the command ran",
      .offset = offsetof(struct values, status_file) },
};

/* One run. */
struct run {
    const struct values *values;
    struct session session;
    struct delivery delivery;
    struct receipt_fetch receipt;
    struct renewer renewer;
    struct heartbeat heartbeat;
    struct log_trust trust;
};

static void run_release(struct run *run)
{
    delivery_release(&run->delivery);
    session_close(&run->session); /* stops the upstream thread, which may write to `receipt` */
    receipt_fetch_release(&run->receipt);
    renewer_release(&run->renewer);
    heartbeat_release(&run->heartbeat);
}

OWNED_VALUE(run_release, struct run)

static bool keep_receipt(const char *path, const struct receipt *receipt, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *json = json_object();

    buf_init(&text, 2 * RECEIPT_BYTES_MAX);
    if (!json_put(json, "entry", json_from_str(receipt->entry)) ||
        !json_put(json, "proof", json_from_str(receipt->proof)))
        return error_set(error, ERROR_MEMORY, "no memory for the receipt");
    buf_add_json(&text, json);
    buf_add_byte(&text, '\n');
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "no memory for the receipt");
    return file_replace(path, buf_str(&text), 0644, error);
}

/* The line that makes the job's log hold the broker to its word. */
static void report_checkpoint(const struct run *run, const struct receipt *receipt)
{
    const struct answer *answer = &run->session.answer;
    OWNED(buf_release) struct buf root = { 0 };

    buf_init(&root, 64);
    buf_add_base64(&root, (struct str){ (const char *)receipt->checkpoint.root.bytes,
                                        sizeof(receipt->checkpoint.root.bytes) });
    report_line("lease " STR_FMT " stage " STR_FMT " expires " STR_FMT
                " ledger index %llu, checkpoint size %llu root " STR_FMT "%s",
                STR_ARG(answer->lease), STR_ARG(answer->stage), STR_ARG(answer->expires_at),
                (unsigned long long)answer->ledger_index,
                (unsigned long long)receipt->checkpoint.size, STR_ARG(buf_str(&root)),
                receipt->is_signature_checked ? "" : " (signature not checked)");
}

static bool take_receipt(struct run *run, struct error *error)
{
    const struct receipt_fetch *fetched = &run->receipt;
    const struct log_trust *trust = run->trust.log_count > 0 ? &run->trust : NULL;
    struct receipt receipt;

    if (fetched->status == 0)
        return error_set(error, ERROR_UNREACHABLE, "%s", fetched->cause);
    if (fetched->status != 200 || !buf_is_ok(&fetched->body))
        return error_set(error, ERROR_LATER, "the broker answers %d", fetched->status);
    if (!receipt_read(buf_str(&fetched->body), &run->session.answer, trust, run->session.arena,
                      &receipt, error))
        return false;
    report_checkpoint(run, &receipt);
    return !run->values->receipt_file || keep_receipt(run->values->receipt_file, &receipt, error);
}

static void receipt_is_there(void *context)
{
    struct error error = { 0 };
    struct run *run = context;

    if (receipt_fetch_take(&run->receipt) && !take_receipt(run, &error))
        report_line("lease " STR_FMT ": no receipt: %s", STR_ARG(run->session.answer.lease),
                    error.cause);
}

/* The receipt is asked for with the lease's handle, so it must come before the release. */
static void await_receipt(struct run *run)
{
    if (run->receipt.descriptor < 0)
        return;
    if (process_is_readable(run->receipt.descriptor, RECEIPT_WAIT_MS))
        receipt_is_there(run);
    else
        report_line("lease " STR_FMT ": no receipt in time", STR_ARG(run->session.answer.lease));
}

static void ask_receipt(struct run *run)
{
    const struct session *session = &run->session;
    struct error error = { 0 };

    if (!receipt_fetch_start(&run->receipt, &session->broker, &session->answer, session->arena,
                             &error))
        report_line("no receipt: %s", error.cause);
}

/* Without it the command runs all the same: with what it has. */
static void begin_renewals(struct run *run)
{
    struct error error = { 0 };

    if (!renewer_start(&run->renewer, &run->session, &run->delivery, &error))
        report_line("no renewals: %s", error.cause);
}

static void renewal_is_due(void *context)
{
    struct run *run = context;

    renewer_send(&run->renewer);
}

static void renewal_is_answered(void *context)
{
    struct run *run = context;

    renewer_take(&run->renewer);
}

/* Without it the command runs all the same: until its lease ends. */
static void begin_heartbeat(struct run *run)
{
    const struct session *session = &run->session;
    struct error error = { 0 };

    if (!heartbeat_start(&run->heartbeat, &session->broker, &session->answer, session->arena,
                         &error))
        report_line("no heartbeats: %s", error.cause);
}

static void heartbeat_is_due(void *context)
{
    struct run *run = context;

    heartbeat_send(&run->heartbeat);
}

static void heartbeat_is_answered(void *context)
{
    struct run *run = context;

    heartbeat_take(&run->heartbeat);
}

static bool run_command(struct run *run, char *const argv[], int *exit_code, struct error *error)
{
    const struct delivery_keys keys = { &run->session.ssh_key, &run->session.tls_key };
    const struct process_watch watches[] = {
        { &run->receipt.descriptor, receipt_is_there, run },
        { &run->renewer.timer, renewal_is_due, run },
        { &run->renewer.answered, renewal_is_answered, run },
        { &run->heartbeat.timer, heartbeat_is_due, run },
        { &run->heartbeat.answered, heartbeat_is_answered, run },
    };
    char **environment;
    pid_t child;

    if (!delivery_init(&run->delivery, &run->session.answer, &keys, clock_wall_s(),
                       run->session.arena, error))
        return false;
    environment = environment_build(&run->delivery.environment, environ);
    if (!environment)
        return error_set(error, ERROR_MEMORY, "no memory for the command's environment");
    if (!process_start(PROCESS_COMMAND, argv, environment, &child, exit_code, error))
        return false;
    upcoming_report(run->session.answer.json, run->session.answer.stage, clock_wall_s());
    ask_receipt(run);
    begin_renewals(run);
    begin_heartbeat(run);
    *exit_code = process_wait(child, run->session.signals, watches, COUNT(watches));
    renewer_stop(&run->renewer);
    return true;
}

static bool prepare(struct run *run, struct error *error)
{
    const struct values *values = run->values;

    if (!process_catch_signals(&run->session.signals, error) ||
        !session_open(&run->session, &values->session, error))
        return false;
    return (!values->ledger_key ||
            log_trust_add_keys(&run->trust, values->ledger_key, run->session.arena, error)) &&
           session_identify(&run->session, &values->session, error);
}

/* Everything behind the exchange: whatever happens, the lease is released. */
static int run_leased(struct run *run, char *const argv[], int *own_code)
{
    int signal_number = process_ending_signal(run->session.signals, 0);
    int exit_code = EXIT_SIGNALLED + signal_number;
    struct error error = { 0 };

    if (signal_number == 0) {
        int start_code = 0;
        bool has_run = run_command(run, argv, &start_code, &error);

        *own_code = has_run ? 0 : 1;
        if (!has_run)
            (void)report_failure(&error);
        exit_code = has_run || start_code != 0 ? start_code : 1;
    }
    delivery_release(&run->delivery);
    await_receipt(run);
    session_release(&run->session, exit_code == 0 ? BROKER_SUCCESS : BROKER_FAILURE);
    return exit_code;
}

static int run_all(const struct values *values, char *const argv[], int *own_code)
{
    OWNED(run_release) struct run run = { .values = values,
                                          .session.signals = -1,
                                          .receipt.descriptor = -1,
                                          .renewer.timer = -1,
                                          .renewer.answered = -1,
                                          .heartbeat.timer = -1,
                                          .heartbeat.answered = -1 };
    struct error error = { 0 };
    int signal_number;
    int exit_code;

    if (!process_find(argv[0], &exit_code, &error)) {
        (void)report_failure(&error); /* before a token, and perhaps an approval, is used up */
        return exit_code;
    }
    if (prepare(&run, &error) && session_exchange(&run.session, &values->session, &error))
        return run_leased(&run, argv, own_code);
    *own_code = session_report(&run.session, &error);
    session_release(&run.session, BROKER_FAILURE);
    signal_number = process_ending_signal(run.session.signals, 0);
    return signal_number == 0 ? *own_code : EXIT_SIGNALLED + signal_number;
}

static void write_status(const char *path, int own_code)
{
    struct error error = { 0 };
    char text[16];
    int len = snprintf(text, sizeof(text), "%d\n", own_code);

    if (!file_replace(path, (struct str){ text, (size_t)len }, 0644, &error))
        (void)report_failure(&error);
}

static int run(const void *given, const struct operands *operands)
{
    const struct values *values = given;
    int own_code = 1;
    int exit_code = run_all(values, operands->items, &own_code);

    if (values->status_file)
        write_status(values->status_file, own_code);
    return exit_code;
}

const struct command command_exec = {
    .name = "exec",
    .operands = "[--] COMMAND [ARGUMENT]...",
    .summary = "Run a command with a stage's credentials",
    .description =
        "Exchanges the job's identity token for the credentials of its stage, runs COMMAND with "
        "them\n"
        "and releases them when it ends, however it ends. Its exit code is passed through (128 + "
        "n\n"
        "where signal n ended it; 127 not found, 126 not runnable), and so are the signals we "
        "get.\n"
        "\n"
        "COMMAND finds STAGEPASS_LEASE, STAGEPASS_STAGE, STAGEPASS_ACCESS_TOKEN and\n"
        "STAGEPASS_TOKEN_TYPE, and for each grant\n"
        "  jwt   STAGEPASS_<GRANT>_TOKEN, in capitals, '-' as '_'\n"
        "  aws   AWS_ACCESS_KEY_ID and its kin; of several grants, profiles named like them\n"
        "  gcp   CLOUDSDK_AUTH_ACCESS_TOKEN, GOOGLE_OAUTH_ACCESS_TOKEN and the project's names\n"
        "  azure AZURE_ACCESS_TOKEN, AZURE_CLIENT_ID and AZURE_TENANT_ID\n"
        "  ssh   SSH_AUTH_SOCK, an ssh-agent of its own that holds key and certificate\n"
        "  x509  STAGEPASS_<GRANT>_CERTIFICATE, _CHAIN, _KEY and _CA: paths of files\n"
        "  kubernetes  KUBECONFIG\n"
        "  vault  VAULT_TOKEN, VAULT_ADDR and VAULT_NAMESPACE\n"
        "  postgres  PGHOST, PGUSER, PGPASSWORD and their kin; of several grants, libpq services\n"
        "        named like them\n"
        "  registry  DOCKER_CONFIG and REGISTRY_AUTH_FILE, where docker, skopeo and their kin "
        "find\n"
        "        passwords\n"
        "  github  GH_TOKEN and GITHUB_TOKEN (GH_ENTERPRISE_TOKEN and its kin of a server of "
        "one's\n"
        "        own), GH_HOST; git finds it, too\n"
        "  gitlab  GITLAB_TOKEN and GITLAB_HOST; of a deploy token CI_DEPLOY_USER and\n"
        "        CI_DEPLOY_PASSWORD; git, and the registry's clients, find it, too\n"
        "\n"
        "Where the stage's lease may go on it is renewed until COMMAND ends. What is in files, and "
        "in "
        "the\n"
        "ssh-agent, is replaced then; tokens are in files, too: STAGEPASS_<GRANT>_TOKEN_FILE and\n"
        "STAGEPASS_ACCESS_TOKEN_FILE. Variables stay what they were, and end as they would.\n"
        "\n"
        "The ledger's checkpoint is printed on standard error: the job's log keeps it.\n"
        "\n"
        "Where a stage comes `after` others it goes by COMMAND's exit code: 0 releases the lease\n"
        "with success. 'not met: after' says that one of these has not gone well, in this run or\n"
        "of this commit; 'not met: limits' that the stage has as many leases as it may. One that\n"
        "is full, and where one waits, is waited for: see --wait and --no-wait.",
    .groups = { OPTION_GROUP(session_option_rows, offsetof(struct values, session)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = COMMAND_OPERANDS_ANY,
    .stops_at_operand = true,
    .run = run,
};
