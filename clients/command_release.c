#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "clients/broker.h"
#include "clients/command.h"
#include "clients/report.h"
#include "clients/variable.h"
#include "upstream/upstream.h"

#define HANDLE_MAX_BYTES 256
#define ARENA_MAX ((size_t)256 * 1024)

struct values {
    struct broker_options broker;
    size_t outcome; /* as enum broker_outcome */
};

static const struct option_row rows[] = {
    { .name = "outcome",
      .kind = OPTION_CHOICE,
      .value = "unsaid|success|failure",
      .help = "How the task ended, for stages that come after it",
      .offset = offsetof(struct values, outcome) },
};

/* From the environment, else one line of standard input: never from the command line. */
static bool get_handle(char storage[HANDLE_MAX_BYTES], struct str *handle, struct error *error)
{
    const char *text = variable_get("STAGEPASS_LEASE_HANDLE");

    *handle = str_from(text);
    if (handle->len == 0 && fgets(storage, HANDLE_MAX_BYTES, stdin))
        *handle = str_trim(str_from(storage));
    if (handle->len == 0)
        return error_set(error, ERROR_USAGE,
                         "which lease? its handle is read from STAGEPASS_LEASE_HANDLE, else from "
                         "standard input");
    if (str_has_control(*handle) || handle->len >= HANDLE_MAX_BYTES - 1)
        return error_set(error, ERROR_USAGE, "that is no lease's handle");
    return true;
}

struct calling {
    struct arena *arena;
    struct upstream *upstream;
};

static void calling_release(struct calling *calling)
{
    upstream_stop(calling->upstream);
    arena_free(calling->arena);
}

OWNED_VALUE(calling_release, struct calling)

static bool release(const struct values *values, struct str handle, struct error *error)
{
    OWNED(calling_release) struct calling calling = { .arena = arena_new(ARENA_MAX) };
    struct broker broker;

    if (!calling.arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    return upstream_start(&calling.upstream, error) &&
           broker_init(&broker, values->broker.url, values->broker.ca_file, calling.upstream,
                       calling.arena, error) &&
           broker_release(&broker, handle, (enum broker_outcome)values->outcome, calling.arena,
                          error);
}

static int run(const void *given, const struct operands *operands)
{
    char storage[HANDLE_MAX_BYTES];
    struct error error = { 0 };
    struct str handle;

    (void)operands;
    if (!get_handle(storage, &handle, &error) || !release(given, handle, &error))
        return report_failure(&error);
    return 0;
}

const struct command command_release = {
    .name = "release",
    .operands = "",
    .summary = "Give a lease back",
    .description = "Ends a lease that `stagepass credentials` opened: what can be revoked is "
                   "revoked. The handle is\n"
                   "read from STAGEPASS_LEASE_HANDLE, else from standard input. A handle that is "
                   "not known (any\n"
                   "more) is no failure: the broker does not tell (RFC 7009).",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
