#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
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

static void print_blocks(const json_t *blocks)
{
    const json_t *block = NULL;
    size_t i = 0;

    if (json_array_size(blocks) == 0)
        (void)puts("nothing is blocked");
    json_array_foreach (blocks, i, block) {
        print_member(block, "id", "");
        print_member(block, "kind", "  ");
        print_member(block, "value", " ");
        print_member(block, "until", "\n    until ");
        print_member(block, "since", ", since ");
        print_member(block, "by", " by ");
        print_member(block, "reason", "\n    ");
        (void)puts("");
    }
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct operator_request request = { .method = "GET",
                                        .path = "/api/v1/blocks",
                                        .what = "listing blocks" };
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
    print_blocks(json_object_get(answer, "blocks"));
    return report_finish();
}

const struct command command_blocks = {
    .name = "blocks",
    .operands = "",
    .summary = "What is blocked now, by whom, why, and until when",
    .description = "Lists the blocks in force. Takes the role operator or auditor, of all tenants.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
