#include "base/error.h"
#include "clients/broker.h"
#include "clients/command.h"
#include "clients/login_file.h"
#include "clients/person.h"
#include "clients/report.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)1024 * 1024)

struct values {
    struct broker_options broker;
    size_t output;
};

static const struct option_row rows[] = {
    OUTPUT_ROW(struct values, "How it is shown"),
};

static bool ask(const struct values *values, struct upstream *upstream, struct arena *arena,
                const json_t **me, struct error *error)
{
    struct broker broker;
    struct str id_token;

    return broker_init(&broker, values->broker.url, values->broker.ca_file, upstream, arena,
                       error) &&
           login_file_read(broker.url, arena, &id_token, error) &&
           person_ask(&broker, id_token, arena, me, error);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct upstream *upstream = NULL;
    struct error error = { 0 };
    const json_t *me = NULL;
    bool is_good;

    (void)operands;
    is_good = arena ? upstream_start(&upstream, &error) && ask(values, upstream, arena, &me, &error)
                    : error_set(&error, ERROR_MEMORY, "no memory");
    upstream_stop(upstream);
    if (!is_good)
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(me);
    person_print(me);
    return report_finish();
}

const struct command command_whoami = {
    .name = "whoami",
    .operands = "",
    .summary = "Who is logged in, and with which roles",
    .description =
        "Ask the broker who the person is that logged in, which roles it gives them, and "
        "until when.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
