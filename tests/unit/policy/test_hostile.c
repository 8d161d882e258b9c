#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "analysing.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/yaml.h"
#include "tests/test.h"
#include "world.h"

/*
 * Files of a mebibyte that are made to cost much. Each is refused, with a reason, in less than a
 * second; with sanitizers in eight.
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECONDS_MAX 8
#else
#define SECONDS_MAX 1
#endif
#define IDENTITY "owner: me\nidentity: { issuer: github, repository_id: \"1\" }\n"
#define HEAD "pipeline: p\n" IDENTITY
#define STAGE HEAD "stages:\n  a:\n    kind: build\n"
#define PLAIN HEAD "stages: { a: { kind: build } }\n"
#define NOBODYS "{ ref: { in: x }, sha: { in: x }, actor: { in: x }, environment: { in: x } }, "
#define REMEMBERING                                                                                \
    "{ ref: { like: \"a{a}b{b}c{c}d{d}e{e}f{f}g{g}h{h}\" }, "                                      \
    "sha: { like: \"a{i}b{j}c{k}d{l}e{m}f{n}g{o}h{p}\" }, "                                        \
    "actor: { like: \"a{q}b{r}c{s}d{t}e{u}f{v}g{w}h{x}\" } }, "
#define SETS 30000
#define FOUR(text) text text text text
#define GRANT(name, start)                                                                         \
    name ": { ssh: { target: fleet, principals: [\"" start                                         \
         "-${a}-%zu-${b}-${c}-${d}-${e}-${f}-${g}-${h}-z\"] } }, "
#define GRANTS(name) GRANT(name "a", "x") GRANT(name "b", "x") GRANT(name "c", "x")
#define USES HEAD "stages: { a: { use: t, with: { a: x } } }\n"

struct hostile {
    const char *name;
    const char *head;
    const char *piece; /* "%zu" in it is its number */
    size_t count;
    const char *tail;
    const char *reason;
    const char *beside; /* another file, or NULL; with "%zu" in it, the line of each of its sets */
};

static const struct hostile files[] = {
    { "nested lists", HEAD "when: ", "[", 100000, "", "nested deeper than 16 levels", NULL },
    { "nested maps", HEAD "when: ", "{ ref: ", 100000, "", "nested deeper than 16 levels", NULL },
    { "nested block lists", HEAD "when:\n ", "- ", 100000, "a\n", "nested deeper", NULL },
    { "anchors", HEAD "when:\n", "  a%zu: &b c\n", 60000, "", "YAML anchor", NULL },
    { "aliases", HEAD "when:\n", "  a%zu: *b\n", 60000, "", "YAML alias", NULL },
    { "tags", HEAD "when:\n", "  a%zu: !!str c\n", 50000, "", "YAML tag", NULL },
    { "merge keys", HEAD "when:\n", "  <<: { a: b }\n", 60000, "", "merge key", NULL },
    { "documents", HEAD, "---\n", 200000, "", "second YAML document", NULL },
    { "repeated keys", HEAD "when:\n", "  ref: a\n", 90000, "", "a second time", NULL },
    { "a long key", HEAD, "k", 1000000, ": x\n", "expected 'key: value'", NULL },
    { "a long quoted key", HEAD "? \"", "k", 1000000, "\"\n: x\n", "unknown key", NULL },
    { "a long value", STAGE "    when: { ref: ", "v", 1000000, " }\n", "at most 2048 bytes", NULL },
    { "a long name", "pipeline: ", "p", 1000000, "\n" IDENTITY, "1 to 80", NULL },
    { "a long pattern", STAGE "    when: { ref: { like: ", "p", 1000000, " } }\n",
      "at most 256 bytes", NULL },
    { "unknown words", PLAIN, "word%zu: x\n", 60000, "", "unknown key", NULL },
    { "unknown claims", STAGE "    when:\n", "      claim%zu: x\n", 128, "", "has no claim", NULL },
    { "unknown operators", STAGE "    when:\n      ref:\n", "        like%zu: x\n", 40000, "",
      "unknown key", NULL },
    { "unknown sets", STAGE "    when: [", "{ ref: { in: set%zu } }, ", 16, "]\n", "no set", NULL },
    { "values", STAGE "    when: { ref: [", "v%zu, ", 90000, "] }\n", "at most 1000 values", NULL },
    { "maps", STAGE "    when: [", "{ ref: v%zu }, ", 50000, "]\n", "at most 16 maps", NULL },
    { "networks", STAGE "    when: { request.address: { within: [", "10.0.0.0/8, ", 80000,
      "] } }\n", "1 to 1000 networks", NULL },
    { "stages", HEAD "stages:\n", "  s%zu: { kind: build }\n", 36000, "", "1 to 256 stages", NULL },
    { "grants", STAGE "    grants:\n", "      g%zu: { jwt: { audience: x } }\n", 25000, "",
      "at most 16 grants", NULL },
    { "fields", STAGE "    grants:\n      g:\n        jwt:\n", "          f%zu: x\n", 40000, "",
      "unknown key", NULL },
    { "holes", STAGE "    grants: { g: { jwt: { audience: x, claims: { c: \"", "${x%zu}-", 90000,
      "\" } } } }\n", "remembers", NULL },
    { "texts with holes", STAGE "    grants: { g: { jwt: { audience: x, claims: { c: [",
      "\"${x%zu}\", ", 60000, "] } } } }\n", "remembers", NULL },
    { "tests", PLAIN "tests:\n", "  - { name: t, claims: { ref: x }, expect: deny }\n", 20000, "",
      "at most 1000 tests", NULL },
    { "claims of a test", PLAIN "tests:\n  - name: t\n    expect: deny\n    claims:\n",
      "      claim%zu: x\n", 45000, "", "has no claim", NULL },
    { "sets", "sets:\n", "  S%zu: [a]\n", 70000, "", "a set's name", PLAIN },
    { "values of a set", "sets: { s: [", "v%zu, ", 90000, "] }\n", "at most 10000 values", PLAIN },
    { "the same value", "sets: { s: [", "v, ", 9000, "w] }\n", "there twice", PLAIN },
    { "parameters", "template: t\nparameters: [", "p%zu, ", 90000, "p]\nstage: { kind: build }\n",
      "1 to 32 parameters", USES },
    { "unknown parameters", "template: t\nparameters: [a]\nstage: { kind: build, when: { ref: [",
      "\"${param.a}${param.b%zu}\", ", 30000, "x] } }\n", "'parameters' has no", USES },
    { "unknown arguments", HEAD "stages:\n  a:\n    use: t\n    with:\n", "      p%zu: x\n", 60000,
      "", "has no parameter",
      "template: t\nparameters: [a]\nstage: { kind: build, when: { ref: \"${param.a}\" } }\n" },
    { "words of a template", "template: t\nstage:\n  kind: build\n", "  word%zu: x\n", 60000, "",
      "unknown key", HEAD "stages: { a: { use: t }, b: { use: t }, c: { use: t } }\n" },
    { "guardrails", "guardrails:\n  freeze:\n", "    - { name: a%zu }\n", 40000, "",
      "error: ", PLAIN },
    { "sets that nobody has", HEAD "stages:\n",
      "  s%zu: { kind: build, when: [ " FOUR(FOUR(NOBODYS)) "] }\n", 200, "", "no set 'x'",
      "  s%zu: [a]\n" },
    { "conditions", STAGE "    when:\n", "      /x%zu: y\n", 60000, "",
      "at most 128 conditions, not 60000", NULL },
    { "what is remembered", HEAD "when: [ " FOUR(FOUR(REMEMBERING)) " ]\nstages:\n",
      "  s%zu: { kind: build }\n", 250, "  Z: { kind: build }\n", "a stage's name", NULL },
    { "principals with holes", HEAD "when: [ " REMEMBERING " ]\nstages:\n",
      "  s%zu: { kind: deploy, environment: production, grants: { " GRANTS("k") GRANTS("l")
          GRANTS("m") "} }\n",
      250, "", "too many principals with holes look alike",
      "guardrails:\n  separate: [ { name: own, principals: true } ]\n" },
    { "mistakes in one line", HEAD "stages: { ", "a%zu: { kind: x }, ", 40000, "}\n", "stages",
      NULL },
};

/* A text with a number wherever it has "%zu". */
static void add_piece(struct str piece, size_t number, struct buf *text)
{
    struct str before;

    while (str_cut(piece, '%', &before, &piece)) {
        buf_printf(text, STR_FMT "%zu", STR_ARG(before), number);
        piece = str_slice(piece, 2, piece.len);
    }
    buf_add(text, before);
}

static void write_pieces(const char *folder, const char *file, const struct hostile *hostile)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 4 * YAML_BYTES_MAX);
    buf_add_text(&text, hostile->head);
    for (size_t i = 0; i < hostile->count; i++)
        add_piece(str_from(hostile->piece), i, &text);
    buf_add_text(&text, hostile->tail);
    assert_true(buf_is_ok(&text));
    if (text.len > YAML_BYTES_MAX)
        fail_msg("%s: %zu bytes", hostile->name, text.len);
    world_write(folder, file, text.data);
}

static void write_file(const char *folder, const struct hostile *hostile)
{
    struct hostile beside = {
        .name = hostile->name, .head = hostile->beside, .piece = "", .tail = ""
    };

    if (hostile->beside != NULL && strchr(hostile->beside, '%') != NULL)
        beside = (struct hostile){ .name = hostile->name,
                                   .head = "sets:\n",
                                   .piece = hostile->beside,
                                   .count = SETS,
                                   .tail = "" };
    write_pieces(folder, "hostile.yaml", hostile);
    if (hostile->beside != NULL)
        write_pieces(folder, "beside.yaml", &beside);
}

/* Whether it is refused for its reason, and how long that takes. */
static bool is_refused(const struct hostile *hostile, const char *folder, clock_t *taken)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)256 * 1024 * 1024);
    OWNED(policy_unref) struct policy *policy = NULL;
    OWNED(buf_release) struct buf said = { 0 };
    struct diagnostics diagnostics;
    const struct policy_load_options options = { .folder = folder,
                                                 .world = &test_world,
                                                 .diagnostics = &diagnostics };
    struct error error = { 0 };
    clock_t start = clock(); /* CPU time: other programs do not count */
    bool is_loaded;

    diagnostics_init(&diagnostics, arena);
    is_loaded = policy_load(&options, &policy, &error);
    *taken = clock() - start;
    buf_init(&said, (size_t)1024 * 1024);
    diagnostics_write(&diagnostics, &said);
    assert_true(buf_is_ok(&said) && str_is_utf8(buf_str(&said)));
    if (!is_loaded && said.len > 0 && strstr(said.data, hostile->reason) != NULL)
        return true;
    print_error("%s: no '%s' in: %.1000s\n", hostile->name, hostile->reason,
                said.len > 0 ? said.data : "");
    return false;
}

static void hostile_files_are_refused_quickly(void **state)
{
    size_t failures = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(files); i++) {
        clock_t taken = 0;
        char folder[64];

        world_make_folder(folder);
        write_file(folder, &files[i]);
        failures += !is_refused(&files[i], folder, &taken);
        world_remove(folder);
        if (taken <= SECONDS_MAX * CLOCKS_PER_SEC)
            continue;
        print_error("%s: %ld ms\n", files[i].name, (long)(taken / (CLOCKS_PER_SEC / 1000)));
        failures++;
    }
    assert_int_equal(failures, 0);
}

/* Any two of these stages are a hard proof. */
static void what_is_hard_to_prove_is_given_up_quickly(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf said = { 0 };
    clock_t start;

    (void)state;
    buf_init(&text, YAML_BYTES_MAX);
    buf_init(&said, YAML_BYTES_MAX);
    buf_add_text(&text, HEAD "stages:\n");
    for (size_t i = 0; i < 12; i++) {
        buf_printf(&text, "  s%zu:\n    kind: build\n    when:\n", i);
        for (size_t k = 0; k < 16; k++)
            buf_printf(
                &text,
                "      - { ref: { like: \"*a%zu*c%zu*d*e*f\", not: { like: \"*a%zu*d%zu*e*\" } }, "
                "sha: { like: \"*b%zu*a*b*c*\", not: { like: \"*c%zu*b*a*\" } }, "
                "head_ref: { like: \"*x%zu*y*z*\" }, "
                "event_name: { not: { like: \"*q*%zu*\" } } }\n",
                k, i, i, k, i, i, k, i);
    }
    assert_true(buf_is_ok(&text));
    start = clock();
    assert_true(analysing_says(text.data, &said));
    assert_in_range(clock() - start, 0, 5 * SECONDS_MAX * CLOCKS_PER_SEC);
    assert_non_null(strstr(said.data, "their conditions are too many to tell"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_files_are_refused_quickly),
        cmocka_unit_test(what_is_hard_to_prove_is_given_up_quickly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
