#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/operator.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)
#define PATH_MAX_LEN ((size_t)4 * 1024)

struct values {
    struct broker_options broker;
    const char *reason;
    size_t output;
};

static const struct option_row rows[] = {
    REASON_ROW(struct values),
    OUTPUT_ROW(struct values, "How the result is printed"),
};

static bool ask(const struct values *values, const char *id, struct arena *arena,
                const json_t **answer, struct error *error)
{
    OWNED(buf_release) struct buf path = { 0 };
    struct operator_request request = { .method = "DELETE", .what = "unblocking" };

    if (!id_is_valid(str_from(id)))
        return error_set(error, ERROR_USAGE,
                         "that is no block's id: 'stagepass blocks' lists them");
    if (!values->reason || values->reason[0] == '\0')
        return error_set(error, ERROR_USAGE, "ending a block needs a --reason");
    buf_init(&path, PATH_MAX_LEN);
    buf_printf(&path, "/api/v1/blocks/%s?reason=", id);
    buf_add_percent(&path, str_from(values->reason));
    buf_add(&path, (struct str){ "", 1 });
    if (!buf_is_ok(&path))
        return error_set(error, ERROR_USAGE, "--reason: at most 256 bytes of plain text");
    request.path = path.data;
    if (operator_ask(&values->broker, &request, arena, answer, error))
        return true;
    if (error->code == ERROR_NOT_FOUND)
        (void)error_wrap(error, "no such block is in force ('stagepass blocks' lists them)");
    return false;
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    const json_t *answer = NULL;
    struct error error = { 0 };

    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!arena || !ask(values, operands->items[0], arena, &answer, &error))
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(answer);
    (void)printf("block %s is over: entry %" JSON_INTEGER_FORMAT " says so\n", operands->items[0],
                 json_integer_value(json_object_get(answer, "entry")));
    return report_finish();
}

const struct command command_unblock = {
    .name = "unblock",
    .operands = "ID",
    .summary = "End a block before its time",
    .description =
        "The block's end is an entry, `admin.unblocked`. Takes the role operator, of all\n"
        "tenants. 'stagepass blocks' lists what is in force.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
