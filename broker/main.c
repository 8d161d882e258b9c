#include <getopt.h>
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
#include "dev.h"

#define DIAGNOSTICS_ARENA_MAX ((size_t)8 * 1024 * 1024)
#define DIAGNOSTICS_TEXT_MAX ((size_t)1024 * 1024)

static const char usage[] =
    "usage: stagepassd --config FILE [--check] [--log-level LEVEL]\n"
    "       stagepassd --dev [--folder FOLDER]\n"
    "\n"
    "The Stagepass broker: verifies a CI job's identity token, decides by stage policy,\n"
    "issues short-lived credentials, and records each in its ledger.\n"
    "\n"
    "  --config FILE      broker.yaml\n"
    "  --check            check configuration and policy, say what is wrong, exit\n"
    "  --dev              make keys, a certificate, a store and an example policy under\n"
    "                     one folder, listen on loopback, and say what to try\n"
    "  --folder FOLDER    where --dev puts all that (default: stagepass-dev)\n"
    "  --log-level LEVEL  error, warn, info (default) or debug\n"
    "  --help, --version\n"
    "\n"
    "SIGHUP reloads configuration, policy and certificates; SIGTERM ends after what is\n"
    "under way. Exit codes: 0 ok, 1 failure, 2 usage, configuration or policy.\n";

struct arguments {
    const char *config;
    const char *folder;
    bool is_check;
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
    case 'k':
        arguments->is_check = true;
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
        return complain("an option is unknown or lacks its value");
    }
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        { "config", required_argument, NULL, 'c' },    { "folder", required_argument, NULL, 'f' },
        { "check", no_argument, NULL, 'k' },           { "dev", no_argument, NULL, 'd' },
        { "log-level", required_argument, NULL, 'l' }, { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'v' },         { NULL, 0, NULL, 0 },
    };
    int option;

    opterr = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take_option(option, arguments))
            return false;
    if (arguments->is_done)
        return true;
    if (optind < argc)
        return complain("it takes no further arguments");
    if (arguments->is_dev == (arguments->config != NULL))
        return complain("it needs either --config FILE or --dev");
    if (arguments->folder && !arguments->is_dev)
        return complain("--folder goes with --dev");
    return true;
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

static bool serve(const char *config, struct diagnostics *diagnostics, struct error *error)
{
    OWNED(broker_stop) struct broker *broker = NULL;

    broker_block_signals();
    return secret_harden_process(error) && broker_start(config, diagnostics, &broker, error) &&
           broker_run(broker, error);
}

static bool run(const struct arguments *arguments, struct diagnostics *diagnostics,
                struct error *error)
{
    const char *config = arguments->config;

    if (arguments->is_check)
        return check(config, diagnostics, error);
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
