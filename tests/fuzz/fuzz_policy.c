#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/time_zone.h"
#include "base/yaml.h"
#include "policy/policy_loader.h"
#include "tests/unit/policy/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SETS "sets: { s: [a, b], numbers: [\"1\", \"2\"] }\n"
#define TEMPLATE                                                                                   \
    "template: t\nparameters: [a, b]\nstage:\n  kind: deploy\n  environment: production\n"         \
    "  when: { ref: { like: \"refs/${param.a}/{pr}/*\" }, sha: { in: s }, actor: \"${param.b}\" "  \
    "}\n  grants: { g: { ssh: { target: fleet, principals: [\"${param.a}-${pr}\"] } } }\n"

/* What a file may use: a set and a template. */
struct around {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct policy_zones zones;
    struct policy_unit *units[2];
    struct policy_definitions definitions;
};

static struct policy_unit *compile(struct str text, const struct policy_definitions *definitions,
                                   struct diagnostics *diagnostics)
{
    const struct policy_compilation compilation = { .world = &test_world,
                                                    .definitions = definitions,
                                                    .path = STR("p.yaml"),
                                                    .text = text,
                                                    .diagnostics = diagnostics };
    struct policy_unit *unit = NULL;
    bool is_definition;

    assert(policy_compile(&compilation, &is_definition, &unit));
    return unit;
}

static void around_init(struct around *around)
{
    struct diagnostics *diagnostics = &around->diagnostics;

    around->arena = arena_new((size_t)64 * 1024 * 1024);
    assert(around->arena != NULL);
    diagnostics_init(diagnostics, around->arena);
    around->zones.folder = TIME_ZONE_FOLDER;
    around->definitions.zones = &around->zones;
    around->units[0] = compile(STR(SETS), NULL, diagnostics);
    around->units[1] = compile(STR(TEMPLATE), NULL, diagnostics);
    assert(around->units[0] != NULL && around->units[1] != NULL);
    assert(policy_sets_gather(around->units, 2, around->arena, diagnostics, &around->definitions));
    assert(policy_templates_gather(around->units, 2, around->arena, diagnostics,
                                   &around->definitions));
}

static void around_release(struct around *around)
{
    policy_unit_unref(around->units[0]);
    policy_unit_unref(around->units[1]);
    policy_zones_release(&around->zones);
    arena_free(around->arena);
}

/* What is said is text that can be shown, about a line that is there. */
static void check_reports(const struct diagnostics *diagnostics, struct str text)
{
    OWNED(buf_release) struct buf buf = { 0 };
    size_t lines = 1;

    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    buf_init(&buf, (size_t)1024 * 1024);
    diagnostics_write(diagnostics, &buf);
    assert(buf_is_ok(&buf) && str_is_utf8(buf_str(&buf)));
    for (size_t i = 0; i < diagnostics->count; i++)
        assert(diagnostics->list[i].at.line <= lines);
}

/* A good file is a unit, a bad one reports; and the same file comes out the same again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = { (const char *)data, size };
    struct around around = { 0 };
    struct diagnostics *diagnostics = &around.diagnostics;
    struct policy_unit *unit;
    struct policy_unit *again;

    around_init(&around);
    unit = compile(text, &around.definitions, diagnostics);
    assert((unit != NULL) == (diagnostics->error_count == 0));
    check_reports(diagnostics, text);
    again = unit == NULL ? NULL : compile(text, &around.definitions, diagnostics);
    if (unit != NULL) {
        assert(again != NULL && policy_unit_is_fresh(unit, &around.definitions));
        assert(!policy_document_defines(unit->document) || policy_may_define(text));
    }
    if (unit != NULL && unit->pipeline != NULL)
        assert(memcmp(unit->pipeline->document_sha256, again->pipeline->document_sha256,
                      SHA256_LEN) == 0);
    policy_unit_unref(again);
    policy_unit_unref(unit);
    around_release(&around);
    return 0;
}
