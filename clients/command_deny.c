#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/operator.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)
#define FORM_MAX ((size_t)4 * 1024)

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
    OWNED(buf_release) struct buf form = { 0 };
    struct operator_request request = { .method = "POST",
                                        .takes = "the group that is asked, or the role operator",
                                        .what = "refusing an approval" };

    if (!id_is_valid(str_from(id)))
        return error_set(error, ERROR_USAGE,
                         "that is no approval's id: 'stagepass approvals' lists them");
    if (!values->reason || values->reason[0] == '\0')
        return error_set(error, ERROR_USAGE, "refusing needs a --reason");
    buf_init(&form, FORM_MAX);
    buf_add_text(&form, "reason=");
    buf_add_percent(&form, str_from(values->reason));
    request.path = arena_printf(arena, "/api/v1/approvals/%s/deny", id).data;
    if (!buf_is_ok(&form) || !request.path)
        return error_set(error, ERROR_USAGE, "--reason: at most 256 bytes of plain text");
    request.form = buf_str(&form);
    return operator_ask(&values->broker, &request, arena, answer, error);
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
    (void)printf("approval %s is refused: entry %" JSON_INTEGER_FORMAT " says so\n",
                 operands->items[0], json_integer_value(json_object_get(answer, "entry")));
    return report_finish();
}

const struct command command_deny = {
    .name = "deny",
    .operands = "ID",
    .summary = "Refuse what a job asks people to approve",
    .description =
        "The job is told, and gets nothing. What was granted, but not used yet, can be refused\n"
        "too. Takes the group that is asked, or the role operator. It is an entry,\n"
        "`approval.rejected`.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
