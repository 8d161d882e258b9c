#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/log.h"
#include "base/secret.h"
#include "broker.h"
#include "config/config.h"
#include "dev.h"
#include "erase.h"
#include "ledger/rebuild.h"
#include "store/store.h"

#define DIAGNOSTICS_ARENA_MAX ((size_t)8 * 1024 * 1024)
#define DIAGNOSTICS_TEXT_MAX ((size_t)1024 * 1024)

static const char usage[] =
    "usage: stagepassd --config FILE [--check|--rebuild] [--log-level LEVEL]\n"
    "       stagepassd --dev [--folder FOLDER]\n"
    "       stagepassd --config FILE --erase [--person P] [--run R] [--lease L]\n"
    "                  --reason TEXT [--yes]\n"
    "       stagepassd --migrate DSN_FILE\n"
    "\n"
    "The Stagepass broker: verifies a CI job's identity token, decides by stage policy,\n"
    "issues short-lived credentials, and records each in its ledger.\n"
    "\n"
    "  --config FILE      broker.yaml\n"
    "  --check            check configuration and policy, say what is wrong, exit\n"
    "  --rebuild          make anew what follows from the ledger's entries (marks, leases, the\n"
    "                     index), exit; the broker must not run\n"
    "  --erase            erase the private parts of entries that are of the person, run and\n"
    "                     lease, exit; without --yes count them. The broker must not run: where\n"
    "                     it does, `stagepass audit erase` asks it\n"
    "  --dev              make keys, a certificate, a store and an example policy under\n"
    "                     one folder, listen on loopback, and say what to try\n"
    "  --folder FOLDER    where --dev puts all that (default: stagepass-dev)\n"
    "  --migrate DSN_FILE bring the PostgreSQL database up to date that the file's first line\n"
    "                     names, as the role that owns its schema, and exit\n"
    "  --log-level LEVEL  error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "Policies are loaded when their folder changes. SIGHUP reloads configuration, policies\n"
    "and certificates; SIGTERM ends after what is under way.\n"
    "Exit codes: 0 ok, 1 failure, 2 usage, configuration or policy, 7 the store's disk failed.\n";

struct arguments {
    const char *config;
    const char *folder;
    const char *migrate;
    bool is_check;
    bool is_rebuild;
    bool is_erase;
    struct erase_options erase;
    bool is_dev;
    bool is_done; /* --help or --version was answered */
};

static bool set_level(const char *text)
{
    static const char *const names[] = { "error", "warn", "info", "debug" };
    static const enum log_level levels[] = { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO,
                                             LOG_LEVEL_DEBUG };

    for (size_t i = 0; i < COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            log_set_level(levels[i]);
            return true;
        }
    return false;
}

static bool complain(const char *what)
{
    (void)fprintf(stderr, "stagepassd: %s\nTry 'stagepassd --help'.\n", what);
    return false;
}

static bool take_option(int option, struct arguments *arguments)
{
    switch (option) {
    case 'c':
        arguments->config = optarg;
        return true;
    case 'f':
        arguments->folder = optarg;
        return true;
    case 'm':
        arguments->migrate = optarg;
        return true;
    case 'k':
        arguments->is_check = true;
        return true;
    case 'r':
        arguments->is_rebuild = true;
        return true;
    case 'e':
        arguments->is_erase = true;
        return true;
    case 'P':
        arguments->erase.person = optarg;
        return true;
    case 'R':
        arguments->erase.run = optarg;
        return true;
    case 'L':
        arguments->erase.lease = optarg;
        return true;
    case 'T':
        arguments->erase.reason = optarg;
        return true;
    case 'y':
        arguments->erase.is_meant = true;
        return true;
    case 'd':
        arguments->is_dev = true;
        return true;
    case 'l':
        return set_level(optarg) || complain("--log-level takes error, warn, info or debug");
    case 'h':
        arguments->is_done = fputs(usage, stdout) >= 0;
        return true;
    case 'v':
        arguments->is_done = puts("stagepassd " STAGEPASS_VERSION) >= 0;
        return true;
    default:
        return false; /* getopt's '?', which read_arguments() tells of */
    }
}

static bool complain_of(const char *argument)
{
    (void)fprintf(stderr,
                  "stagepassd: '%s' is no option here, lacks its value or takes none\n"
                  "Try 'stagepassd --help'.\n",
                  argument);
    return false;
}

static bool check_erase(const struct arguments *arguments)
{
    const struct erase_options *erase = &arguments->erase;
    bool has_some = erase->person || erase->run || erase->lease;

    if (!arguments->is_erase)
        return !(has_some || erase->reason || erase->is_meant) ||
               complain("--person, --run, --lease, --reason and --yes go with --erase");
    if (!arguments->config || arguments->is_check || arguments->is_rebuild)
        return complain("--erase goes with --config, and without --check and --rebuild");
    if (!has_some || !erase->reason)
        return complain("--erase needs --person, --run or --lease, and a --reason");
    return true;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },
        { "folder", required_argument, NULL, 'f' },
        { "check", no_argument, NULL, 'k' },
        { "rebuild", no_argument, NULL, 'r' },
        { "erase", no_argument, NULL, 'e' },
        { "person", required_argument, NULL, 'P' },
        { "run", required_argument, NULL, 'R' },
        { "lease", required_argument, NULL, 'L' },
        { "reason", required_argument, NULL, 'T' },
        { "yes", no_argument, NULL, 'y' },
        { "dev", no_argument, NULL, 'd' },
        { "migrate", required_argument, NULL, 'm' },
        { "log-level", required_argument, NULL, 'l' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },
        { NULL, 0, NULL, 0 },
    };
    int option;

    opterr = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take_option(option, arguments))
            return option == '?' && complain_of(argv[optind - 1]);
    if (arguments->is_done)
        return true;
    if (optind < argc)
        return complain("it takes no further arguments");
    if (arguments->is_dev + (arguments->config != NULL) + (arguments->migrate != NULL) != 1)
        return complain("it needs one of --config FILE, --dev and --migrate DSN_FILE");
    if (arguments->folder && !arguments->is_dev)
        return complain("--folder goes with --dev");
    if (arguments->is_rebuild && (!arguments->config || arguments->is_check))
        return complain("--rebuild goes with --config, and without --check");
    return check_erase(arguments);
}

/* Mistakes as compilers print them; anything else as one line. */
static void report(const struct diagnostics *diagnostics, const struct error *error)
{
    struct buf text;

    buf_init(&text, DIAGNOSTICS_TEXT_MAX);
    diagnostics_write(diagnostics, &text);
    if (text.len > 0)
        (void)fwrite(text.data, 1, text.len, stderr);
    buf_release(&text);
    if (error->code != ERROR_NONE)
        (void)fprintf(stderr, "stagepassd: %s\n", error->cause);
}

static bool check(const char *config, struct diagnostics *diagnostics, struct error *error)
{
    if (!broker_check(config, diagnostics, error))
        return false;
    (void)printf("%s: configuration and policy are good\n", config);
    return true;
}

static void show_progress(uint64_t done, uint64_t total, void *context)
{
    (void)context;
    (void)fprintf(stderr, "\r%" PRIu64 " of %" PRIu64 " entries%s", done, total,
                  done == total ? "\n" : "");
}

static bool rebuild(const char *path, struct diagnostics *diagnostics, struct error *error)
{
    OWNED(config_unref) struct config *config = NULL;
    struct rebuild_options options = { 0 };
    uint64_t count = 0;

    if (!config_load(path, diagnostics, &config, error))
        return false;
    options.store = config->store;
    options.database = config->store_url;
    options.dsn_file = config->store_dsn_file;
    if (isatty(STDERR_FILENO))
        options.progress = show_progress;
    if (!ledger_rebuild(&options, &count, error))
        return false;
    (void)printf("%s: rebuilt from %" PRIu64 " entries\n", config->store, count);
    return true;
}

static bool erase(const struct arguments *arguments, struct diagnostics *diagnostics,
                  struct error *error)
{
    struct erase_options options = arguments->erase;
    struct erase_outcome outcome = { 0 };

    options.config = arguments->config;
    if (!erase_offline(&options, diagnostics, &outcome, error))
        return false;
    (void)printf("%" PRIu64 " %s a private part to erase, %" PRIu64
                 " of them wait until their lease is over\n",
                 outcome.matched, outcome.matched == 1 ? "entry has" : "entries have",
                 outcome.live);
    if (options.is_meant)
        (void)printf("%" PRIu64 " were erased\n", outcome.erased);
    else
        (void)puts("nothing was erased: --yes does it");
    return true;
}

static bool serve(const char *config, struct diagnostics *diagnostics, struct error *error)
{
    OWNED(broker_stop) struct broker *broker = NULL;

    broker_block_signals();
    return secret_harden_process(error) && broker_start(config, diagnostics, &broker, error) &&
           broker_run(broker, error);
}

static bool migrate(const char *dsn_file, struct error *error)
{
    if (!store_migrate(dsn_file, error))
        return false;
    (void)printf("%s: the database is up to date\n", dsn_file);
    return true;
}

static bool run(const struct arguments *arguments, struct diagnostics *diagnostics,
                struct error *error)
{
    const char *config = arguments->config;

    if (arguments->migrate)
        return migrate(arguments->migrate, error);
    if (arguments->is_check)
        return check(config, diagnostics, error);
    if (arguments->is_erase)
        return erase(arguments, diagnostics, error);
    if (arguments->is_rebuild)
        return rebuild(config, diagnostics, error);
    if (arguments->is_dev && !dev_prepare(arguments->folder ? arguments->folder : "stagepass-dev",
                                          diagnostics->arena, &config, error))
        return false;
    return serve(config, diagnostics, error);
}

/* Both TLS libraries would write every session's secrets to the file that it names. */
static void forbid_key_logs(void)
{
    (void)unsetenv("SSLKEYLOGFILE"); /* NOLINT(concurrency-mt-unsafe): no other thread is there */
}

int main(int argc, char **argv)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_ARENA_MAX);
    struct arguments arguments = { 0 };
    struct diagnostics diagnostics = { 0 };
    struct error error = { 0 };
    bool is_good;

    forbid_key_logs();
    if (!read_arguments(argc, argv, &arguments))
        return error_kind(ERROR_USAGE)->exit_code;
    if (arguments.is_done)
        return 0;
    if (!arena)
        return error_kind(ERROR_MEMORY)->exit_code;
    diagnostics_init(&diagnostics, arena);
    is_good = run(&arguments, &diagnostics, &error);
    report(&diagnostics, &error);
    return is_good ? 0 : error_kind(error.code)->exit_code;
}
