#include "clients/approval_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/str.h"
#include "clients/report.h"

static void print_part(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)printf("  %-12s ", title);
    print_clean(stdout, text);
    (void)puts("");
}

static void print_row(const json_t *object, const char *name, const char *title)
{
    print_part(title, json_str(json_object_get(object, name)));
}

/* "alice (7), for agent x" */
static void print_starter(const json_t *approval, const json_t *ci)
{
    struct str name = json_str(json_object_get(ci, "actor"));
    struct str id = json_str(json_object_get(ci, "actor_id"));

    if (name.len == 0 && id.len == 0)
        return;
    (void)printf("  %-12s ", "started by");
    print_clean(stdout, name);
    if (id.len > 0) {
        (void)fputs(" (", stdout);
        print_clean(stdout, id);
        (void)fputs(")", stdout);
    }
    (void)puts("");
    print_row(json_object_get(approval, "actor"), "subject", "acting");
}

static void print_bindings(const json_t *bindings)
{
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(bindings), name, value) {
        (void)printf("  %-12s ", "binding");
        print_clean(stdout, str_from(name));
        (void)fputs(" ", stdout);
        print_clean(stdout, json_str(value));
        (void)puts("");
    }
}

/* A grant's fields as JSON in one line, or their hash where they are many. */
static void print_fields(const char *title, const json_t *fields)
{
    char *text = json_is_string(fields) ? NULL : json_dumps(fields, JSON_COMPACT | JSON_SORT_KEYS);

    if (!fields)
        return;
    (void)printf("  %-12s   %s ", "", title);
    print_clean(stdout, text ? str_from(text) : json_str(fields));
    (void)puts("");
    free(text);
}

static void print_grants(const json_t *grants)
{
    const json_t *grant = NULL;
    size_t i = 0;

    json_array_foreach (grants, i, grant) {
        struct str target = json_str(json_object_get(grant, "target"));
        struct str scope = json_str(json_object_get(grant, "scope"));

        (void)printf("  %-12s ", "grant");
        print_clean(stdout, json_str(json_object_get(grant, "grant")));
        (void)fputs(": ", stdout);
        print_clean(stdout, json_str(json_object_get(grant, "type")));
        if (target.len > 0) {
            (void)fputs(" at ", stdout);
            print_clean(stdout, target);
        }
        (void)printf(", %" JSON_INTEGER_FORMAT " s\n",
                     json_integer_value(json_object_get(grant, "ttl_s")));
        print_fields("gives", json_object_get(grant, "fields"));
        print_fields("narrowed", json_object_get(grant, "details"));
        if (scope.len > 0)
            print_part("  scope", scope);
    }
}

static void print_terms(const json_t *approval)
{
    const json_t *terms = json_object_get(approval, "approval");
    json_int_t left = json_integer_value(json_object_get(approval, "left"));

    print_row(approval, "state", "state");
    if (left > 0)
        (void)printf("  %-12s %" JSON_INTEGER_FORMAT "\n", "people left", left);
    print_row(terms, "by", "asked");
    print_row(terms, "self_approval", "own runs");
    print_row(approval, "until", "until");
    if (json_is_true(json_object_get(approval, "break_glass")))
        print_part("glass", STR("broken"));
}

void approval_print(const json_t *approval)
{
    const json_t *ci = json_object_get(approval, "ci");

    print_clean(stdout, json_str(json_object_get(approval, "id")));
    (void)fputs("  ", stdout);
    print_clean(stdout, json_str(json_object_get(approval, "stage")));
    (void)puts("");
    print_terms(approval);
    print_row(approval, "instance", "instance");
    print_row(approval, "environment", "environment");
    print_row(approval, "owner", "owner");
    print_row(ci, "repository", "repository");
    print_row(ci, "ref", "ref");
    print_row(ci, "commit", "commit");
    print_row(ci, "run", "run");
    print_row(ci, "attempt", "attempt");
    print_row(ci, "workflow_path", "workflow");
    print_row(ci, "workflow_commit", "its commit");
    print_starter(approval, ci);
    print_row(approval, "reason", "why");
    print_row(approval, "audience", "audience");
    print_bindings(json_object_get(approval, "bindings"));
    print_grants(json_object_get(approval, "grants"));
    print_row(approval, "rule", "rule");
    print_row(approval, "digest", "digest");
}
