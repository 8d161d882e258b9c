#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "lines.h"
#include "options.h"
#include "serve.h"
#include "sign.h"

static const char usage[] =
    "usage: stagepass-dev-issuer serve --folder DIR [OPTION]...\n"
    "       stagepass-dev-issuer token --folder DIR --url ISSUER [OPTION]...\n"
    "       stagepass-dev-issuer lines\n"
    "\n"
    "A CI system's token issuer for development and tests. It vouches for anything: no broker\n"
    "that matters may trust it.\n"
    "\n"
    "serve and token:\n"
    "  --folder DIR         where its keys are: DIR/keys, made when missing\n"
    "  --algorithm ALG      RS256 (default, as GitHub) or ES256\n"
    "  --profile NAME       the CI system it imitates, as in broker.yaml: github (default), "
    "gitlab, ...\n"
    "\n"
    "serve: discovery, the key set and tokens over HTTP, until SIGTERM\n"
    "  --address ADDRESS    default 127.0.0.1\n"
    "  --port PORT          default 0: a free one; the line event=issuer.ready says which\n"
    "  --url URL            the issuer's URL, if it is not where it listens\n"
    "  --tls CERT KEY       PEM files; then it speaks HTTPS\n"
    "  GET /token?run=NAME&audience=URL, with any bearer token, answers {\"value\": \"<token>\"}\n"
    "  with the claims of DIR/runs/NAME.json, as GitHub's runners get theirs. For a job:\n"
    "    ACTIONS_ID_TOKEN_REQUEST_URL=URL/token?run=NAME ACTIONS_ID_TOKEN_REQUEST_TOKEN=x\n"
    "\n"
    "token: signed tokens on standard output, one a line, each with a jti of its own where the\n"
    "platform has one\n"
    "  --url ISSUER         the `iss` of the tokens\n"
    "  --audience AUDIENCE  default: the platform's; where that is fixed, it stays\n"
    "  --claims FILE        a JSON object of claims; times, jti, iss and aud are filled in\n"
    "  --set NAME=VALUE     change a claim, as its type in the profile (text where unknown)\n"
    "  --json NAME=VALUE    change a claim to any JSON value\n"
    "  --unset NAME         leave a claim out\n"
    "  --lifetime DURATION  exp - iat, default: the platform's; a changed iat carries exp along\n"
    "  --count N            how many, default 1\n"
    "\n"
    "lines: as token, for each line of standard input, which is a JSON array of its options; "
    "behind\n"
    "its tokens there is an empty line\n"
    "\n"
    "  --help, --version    this text, or the version\n"
    "\n"
    "Exit codes: 0 ok, 1 failure, 2 usage.\n";

static bool run_serve(const struct options *options, struct error *error)
{
    return serve_run(options, stdout, error);
}

static bool run_token(const struct options *options, struct error *error)
{
    return sign_run(options, clock_wall_s(), stdout, error);
}

static const struct {
    const char *name;
    enum options_command command;
    bool (*run)(const struct options *options, struct error *error);
} commands[] = {
    { "serve", OPTIONS_SERVE, run_serve },
    { "token", OPTIONS_TOKEN, run_token },
};

static bool run(char *const *arguments, struct error *error)
{
    struct options options;

    if (arguments[0] == NULL)
        return error_set(error, ERROR_USAGE, "it needs a command: serve, token or lines");
    if (strcmp(arguments[0], "lines") == 0)
        return arguments[1] == NULL ? lines_run(stdin, stdout, error)
                                    : error_set(error, ERROR_USAGE, "lines takes no options");
    for (size_t i = 0; i < COUNT(commands); i++)
        if (strcmp(arguments[0], commands[i].name) == 0)
            return options_read(commands[i].command, arguments + 1, &options, error) &&
                   commands[i].run(&options, error);
    return error_set(error, ERROR_USAGE, "unknown command '%s': serve, token or lines",
                     arguments[0]);
}

/* Asked for anywhere on the line, these two are all that is done. */
static bool answer_simple(char *const *arguments)
{
    for (; *arguments != NULL; arguments++) {
        if (strcmp(*arguments, "--help") == 0)
            return fputs(usage, stdout) >= 0;
        if (strcmp(*arguments, "--version") == 0)
            return puts("stagepass-dev-issuer " STAGEPASS_VERSION) >= 0;
    }
    return false;
}

int main(int argc, char **argv)
{
    struct error error = { 0 };

    (void)argc;
    if (answer_simple(argv + 1))
        return 0;
    if (run(argv + 1, &error))
        return 0;
    (void)fprintf(stderr, "stagepass-dev-issuer: %s\n", error.cause);
    if (error.code == ERROR_USAGE)
        (void)fputs("Try 'stagepass-dev-issuer --help'.\n", stderr);
    return error_kind(error.code)->exit_code;
}
