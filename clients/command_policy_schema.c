#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/report.h"
#include "config/schema.h"
#include "policy/schema.h"

struct values {
    char unused; /* it has no options */
};

/* The schemas that are made. That of policies is a file as it is. */
static const struct {
    const char *name;
    bool (*make)(json_t **out, struct error *error);
} made[] = {
    { "broker", config_schema_broker },
    { "catalog", config_schema_catalog },
};

static int print_policy(void)
{
    struct str schema = policy_schema();

    (void)fwrite(schema.data, 1, schema.len,
                 stdout); /* report_finish() asks whether it went well */
    return report_finish();
}

static int print_made(bool (*make)(json_t **out, struct error *error))
{
    JSON_OWNED json_t *schema = NULL;
    struct error error = { 0 };

    if (!make(&schema, &error))
        return report_failure(&error);
    (void)json_dumpf(schema, stdout, JSON_INDENT(2)); /* as above */
    (void)putchar('\n');
    return report_finish();
}

static int run_schema(const void *given, const struct operands *operands)
{
    const char *name = operands->count > 0 ? operands->items[0] : "policy";
    struct error error = { 0 };

    (void)given;
    for (size_t i = 0; i < COUNT(made); i++)
        if (strcmp(name, made[i].name) == 0)
            return print_made(made[i].make);
    if (strcmp(name, "policy") == 0)
        return print_policy();
    (void)error_set(&error, ERROR_USAGE, "there is no schema '%s': name policy, broker or catalog",
                    name);
    return report_failure(&error);
}

const struct command command_policy_schema = {
    .group = "policy",
    .name = "schema",
    .operands = "[policy|broker|catalog]",
    .summary = "Print the JSON Schema of policy files, broker.yaml or a catalog",
    .description =
        "For editors: it completes words and underlines what is misspelt. It is wider than what\n"
        "is taken: what names an issuer, a claim or a target only 'policy check' can tell.",
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run_schema,
};
