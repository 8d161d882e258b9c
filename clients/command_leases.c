#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/lease_words.h"
#include "clients/operator.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define QUERY_MAX ((size_t)8 * 1024)
#define CURSOR_MAX 1024
#define PAGES_MAX 20000

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
    { .name = "output",
      .kind = OPTION_CHOICE,
      .value = OUTPUT_NAMES,
      .help = "How they are shown",
      .offset = offsetof(struct values, output),
      .letter = 'o' },
};

/* A page; `next` becomes the cursor of the one behind it, or empty. */
static bool list_page(const struct values *values, char next[CURSOR_MAX], json_t *leases,
                      struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(buf_release) struct buf query = { 0 };
    struct operator_request request = { .method = "GET", .what = "listing leases" };
    const json_t *answer = NULL;
    struct str cursor;

    buf_init(&query, QUERY_MAX);
    lease_words_add(&values->words, &query);
    if (values->is_stuck)
        buf_printf(&query, "%sstuck=1", query.len > 0 ? "&" : "");
    if (next[0] != '\0') {
        buf_printf(&query, "%scursor=", query.len > 0 ? "&" : "");
        buf_add_percent(&query, str_from(next));
    }
    if (!arena || !buf_is_ok(&query))
        return error_set(error, ERROR_MEMORY, "no memory, or too much is asked");
    request.path = arena_printf(arena, "/api/v1/leases%s" STR_FMT, query.len > 0 ? "?" : "",
                                STR_ARG(buf_str(&query)))
                       .data;
    if (!request.path)
        return error_set(error, ERROR_MEMORY, "no memory");
    if (!operator_ask(&values->broker, &request, arena, &answer, error))
        return false;
    cursor = json_str(json_object_get(answer, "next"));
    if (cursor.len >= CURSOR_MAX ||
        json_array_extend(leases, json_object_get(answer, "leases")) != 0)
        return error_set(error, ERROR_INVALID, "the broker's answer is no list of leases");
    (void)snprintf(next, CURSOR_MAX, STR_FMT, STR_ARG(cursor));
    return true;
}

static bool list_all(const struct values *values, json_t *leases, struct error *error)
{
    char next[CURSOR_MAX] = "";

    for (size_t page = 0; page < PAGES_MAX; page++) {
        if (!list_page(values, next, leases, error))
            return false;
        if (next[0] == '\0')
            return true;
    }
    return error_set(error, ERROR_LIMIT, "the broker's list does not end");
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
    if (!leases || !list_all(values, leases, &error))
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
