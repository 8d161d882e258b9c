#include <poll.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "clients/broker.h"
#include "clients/command.h"
#include "clients/device_flow.h"
#include "clients/login_file.h"
#include "clients/person.h"
#include "clients/report.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define SECOND_NS INT64_C(1000000000)

struct values {
    struct broker_options broker;
    const char *provider_ca_file;
};

static const struct option_row rows[] = {
    { .name = "provider-ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_PROVIDER_CA",
      .help = "The same of the provider that people log in at",
      .offset = offsetof(struct values, provider_ca_file) },
};

static void show_codes(const struct device_flow *flow)
{
    bool has_complete = flow->verification_uri_complete.len > 0;

    (void)fputs("open ", stdout);
    print_clean(stdout, has_complete ? flow->verification_uri_complete : flow->verification_uri);
    (void)fputs(has_complete ? "\nand compare the code " : "\nand enter the code ", stdout);
    print_clean(stdout, flow->user_code);
    (void)putchar('\n');
    (void)fflush(stdout); /* whoever reads it is to read it now */
}

/* Poll until the person is done, or the codes are over. */
static bool wait_for_person(struct device_flow *flow, struct str *id_token, struct error *error)
{
    int64_t end_ns = clock_monotonic_ns() + flow->expires_in_s * SECOND_NS;
    enum progress progress = PROGRESS_WAIT;

    while (progress == PROGRESS_WAIT) {
        if (clock_monotonic_ns() + flow->interval_s * SECOND_NS > end_ns)
            return error_set(error, ERROR_REFUSED, "nobody logged in in time");
        (void)poll(NULL, 0, (int)flow->interval_s * 1000); /* a signal shortens it: no harm */
        progress = device_flow_poll(flow, id_token, error);
    }
    return progress == PROGRESS_DONE;
}

/* What the broker does not take is not kept. */
static bool keep(const struct broker *broker, struct str id_token, struct arena *arena,
                 struct error *error)
{
    const json_t *me;

    if (!person_ask(broker, id_token, arena, &me, error) ||
        !login_file_write(broker->url, id_token, arena, error))
        return false;
    person_print(me);
    return true;
}

static bool log_in(const struct values *values, struct upstream *upstream, struct arena *arena,
                   struct error *error)
{
    struct device_flow flow = { .upstream = upstream, .arena = arena };
    struct person_provider provider;
    struct broker broker;
    struct str id_token;

    if (!broker_init(&broker, values->broker.url, values->broker.ca_file, upstream, arena, error) ||
        !fetch_peer_init(&flow.peer, values->provider_ca_file, arena, error) ||
        !person_find_provider(&broker, arena, &provider, error))
        return false;
    flow.issuer = provider.issuer;
    flow.client_id = provider.client_id;
    flow.scope = provider.scope;
    if (!device_flow_begin(&flow, error))
        return false;
    show_codes(&flow);
    return wait_for_person(&flow, &id_token, error) && keep(&broker, id_token, arena, error);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct upstream *upstream = NULL;
    struct error error = { 0 };
    bool is_good;

    (void)operands;
    is_good = arena ? upstream_start(&upstream, &error) && log_in(given, upstream, arena, &error)
                    : error_set(&error, ERROR_MEMORY, "no memory");
    upstream_stop(upstream);
    return is_good ? report_finish() : report_failure(&error);
}

const struct command command_login = {
    .name = "login",
    .operands = "",
    .summary = "Log a person in",
    .description = "Log in at the provider of the broker's people, in a browser anywhere (device "
                   "flow, RFC 8628).\n"
                   "The ID token is kept for later commands, readable by you alone, in\n"
                   "$XDG_STATE_HOME/stagepass (else ~/.local/state/stagepass).",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
