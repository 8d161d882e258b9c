#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/approval_print.h"
#include "clients/command.h"
#include "clients/operator.h"
#include "clients/report.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)

struct values {
    struct broker_options broker;
    size_t output;
};

static const struct option_row rows[] = {
    OUTPUT_ROW(struct values, "How they are shown"),
};

static void print_all(const json_t *answer)
{
    const json_t *approvals = json_object_get(answer, "approvals");
    const json_t *approval = NULL;
    size_t i = 0;

    if (json_array_size(approvals) == 0)
        (void)puts("nothing is asked that you can see");
    json_array_foreach (approvals, i, approval) {
        if (i > 0)
            (void)puts("");
        approval_print(approval);
    }
    if (json_is_true(json_object_get(answer, "is_cut")))
        (void)puts("\nthere are more: these are the oldest");
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct operator_request request = { .method = "GET",
                                        .path = "/api/v1/approvals",
                                        .takes = "a group, an address or a role",
                                        .what = "listing approvals" };
    const struct values *values = given;
    const json_t *answer = NULL;
    struct error error = { 0 };

    (void)operands;
    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!arena || !operator_ask(&values->broker, &request, arena, &answer, &error))
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(answer);
    print_all(answer);
    return report_finish();
}

const struct command command_approvals = {
    .name = "approvals",
    .operands = "",
    .summary = "What people are asked to approve, and what they approved that is not used yet",
    .description =
        "Shows what is asked for exactly: stage, commit, run, who started it and why, bindings,\n"
        "and each grant with what it gives. You see what your groups are asked for, what stages\n"
        "do that you own, and with the role approver, operator or auditor what is of its tenants.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
