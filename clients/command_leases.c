#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/lease_words.h"
#include "clients/operator.h"
#include "clients/report.h"

#define PATH_MAX_LEN ((size_t)8 * 1024)

struct values {
    struct broker_options broker;
    struct lease_words words;
    bool is_stuck;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "stuck",
      .kind = OPTION_FLAG,
      .help = "Instead: leases that have ended, with credentials that are not ended yet",
      .offset = offsetof(struct values, is_stuck) },
    OUTPUT_ROW(struct values, "How they are shown"),
};

static bool take(void *context, const json_t *page, struct error *error)
{
    return json_array_extend(context, json_object_get(page, "leases")) == 0 ||
           error_set(error, ERROR_INVALID, "the broker's answer is no list of leases");
}

static bool list(const struct values *values, json_t *leases, struct error *error)
{
    OWNED(buf_release) struct buf path = { 0 };
    OWNED(buf_release) struct buf query = { 0 };
    struct operator_pages pages = {
        .request = { .method = "GET", .what = "listing leases" },
        .take = take,
        .context = leases,
    };

    if (!lease_words_check(&values->words, error))
        return false;
    buf_init(&path, PATH_MAX_LEN);
    buf_init(&query, PATH_MAX_LEN);
    lease_words_add(&values->words, &query);
    if (values->is_stuck)
        buf_add_text(&query, query.len > 0 ? "&stuck=1" : "stuck=1");
    buf_add_text(&path, query.len > 0 ? "/api/v1/leases?" : "/api/v1/leases");
    buf_add(&path, buf_str(&query));
    buf_add_byte(&path, '\0');
    if (!buf_is_ok(&path) || !buf_is_ok(&query))
        return error_set(error, ERROR_LIMIT, "what is asked is too long");
    pages.request.path = path.data;
    return operator_ask_pages(&values->broker, &pages, error);
}

static void print_all(const struct values *values, const json_t *leases)
{
    const json_t *lease = NULL;
    size_t i = 0;

    if (json_array_size(leases) == 0)
        (void)puts(values->is_stuck ? "no lease is stuck" : "no lease lives");
    json_array_foreach (leases, i, lease)
        lease_print(lease);
}

static int run(const void *given, const struct operands *operands)
{
    JSON_OWNED json_t *leases = json_array();
    const struct values *values = given;
    struct error error = { 0 };

    (void)operands;
    if (!leases)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!leases || !list(values, leases, &error))
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(leases);
    print_all(values, leases);
    return report_finish();
}

const struct command command_leases = {
    .name = "leases",
    .operands = "",
    .summary = "Which jobs hold credentials now",
    .description =
        "Lists the leases that live and fit all options, the newest first. With --stuck those\n"
        "that have ended while their credentials could not be ended at their targets yet: they\n"
        "are tried again until it is done. Auditors and operators see the leases of their\n"
        "tenants, members of a pipeline's owner see its own.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(lease_word_rows, offsetof(struct values, words)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
