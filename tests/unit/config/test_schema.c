#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/config.h"
#include "config/schema.h"
#include "tests/test.h"
#include "tests/unit/policy/schema_check.h"

/* The schemas for editors have the parser's words, and take whatever the parser takes. */

#define ROOT "../../.."
#define CASES "../../data/config"
#define TEXT_MAX ((size_t)512 * 1024)
#define REFUSED_MIN 40     /* files that it does not, and the schema neither */
#define UNKNOWN "zzzzzzzz" /* no word of ours */

enum kind {
    BROKER,
    CATALOG
};

static json_t *schemas[2];

static int make_schemas(void **state)
{
    struct error error = { 0 };

    (void)state;
    assert_true(config_schema_broker(&schemas[BROKER], &error));
    assert_true(config_schema_catalog(&schemas[CATALOG], &error));
    return 0;
}

static int drop_schemas(void **state)
{
    (void)state;
    json_decref(schemas[BROKER]);
    json_decref(schemas[CATALOG]);
    return 0;
}

/* ---- words ---- */

/* What the parser says of a text. */
struct said {
    struct arena *arena;
    struct diagnostics diagnostics;
    bool is_good;
};

static void load_file(struct said *said, enum kind kind, const char *path)
{
    struct config *config = NULL;
    struct error error = { 0 };

    said->arena = arena_new((size_t)4 * 1024 * 1024);
    assert_non_null(said->arena);
    diagnostics_init(&said->diagnostics, said->arena);
    said->is_good = kind == BROKER ? config_load(path, &said->diagnostics, &config, &error)
                                   : config_load_catalog(path, &said->diagnostics, &config, &error);
    config_unref(config);
}

/* `place` has a '%' where the key shall stand. */
static void load_with_key(struct said *said, enum kind kind, const char *place, const char *key)
{
    char path[] = "schema-XXXXXX.yaml";
    int fd = mkstemps(path, 5);
    FILE *file = fdopen(fd, "w");
    struct str rest = str_from(place);
    struct str before;

    assert_non_null(file);
    assert_true(str_cut(rest, '%', &before, &rest));
    (void)fprintf(file, STR_FMT "%s: x" STR_FMT, STR_ARG(before), key, STR_ARG(rest));
    assert_int_equal(fclose(file), 0);
    load_file(said, kind, path);
    (void)unlink(path);
}

static bool says(const struct said *said, const char *what)
{
    for (size_t i = 0; i < said->diagnostics.count; i++)
        if (strstr(said->diagnostics.list[i].message.data, what) != NULL)
            return true;
    return false;
}

/* The keys that the parser knows at a place: "a, b, c". */
static struct str known_at(const struct said *said)
{
    static const char start[] = "known here: ";

    for (size_t i = 0; i < said->diagnostics.count; i++) {
        const struct diagnostic *row = &said->diagnostics.list[i];
        const char *list = strstr(row->message.data, "'" UNKNOWN "'") != NULL
                               ? strstr(row->hint.data, start)
                               : NULL;

        if (list != NULL)
            return str_from(list + sizeof(start) - 1);
    }
    fail_msg("the parser does not say what it knows");
    return STR("");
}

/* Whether the parser refuses a key that it knows: one of a later version, or of the broker's own.
 */
static bool is_refused(enum kind kind, const char *place, const char *key)
{
    struct said said;
    char own[128];
    char later[128];
    bool is_one;

    (void)snprintf(own, sizeof(own), "'%s' is the broker's own", key);
    (void)snprintf(later, sizeof(later), "'%s' is not supported by this version", key);
    load_with_key(&said, kind, place, key);
    is_one = says(&said, own) || says(&said, later);
    arena_free(said.arena);
    return is_one;
}

static void compare(enum kind kind, const char *definition, const char *place)
{
    const json_t *properties =
        json_object_get(schema_definition(schemas[kind], definition), "properties");
    struct said said;
    struct str rest;
    size_t count = 0;

    load_with_key(&said, kind, place, UNKNOWN);
    rest = known_at(&said);
    while (rest.len > 0) {
        struct str key;
        const char *name;

        (void)str_cut(rest, ',', &key, &rest);
        while (rest.len > 0 && rest.data[0] == ' ')
            rest = str_slice(rest, 1, rest.len);
        name = arena_copy(said.arena, key).data;
        assert_string_not_equal(name, "...");
        if (is_refused(kind, place, name))
            continue;
        count++;
        if (json_object_get(properties, name) == NULL)
            fail_msg("'%s' of the schema has no '%s'", definition, name);
    }
    if (json_object_size(properties) != count)
        fail_msg("'%s' of the schema has words that the parser does not know", definition);
    assert_true(json_is_false(
        json_object_get(schema_definition(schemas[kind], definition), "additionalProperties")));
    arena_free(said.arena);
}

static void the_schemas_have_all_words_and_no_other(void **state)
{
    static const struct {
        const char *definition;
        const char *place;
        bool is_of_catalog;
    } places[] = {
        { "broker", "%\n", false },
        { "catalog", "%\n", true },
        { "listen", "listen: { % }\n", false },
        { "tls", "listen: { tls: { % } }\n", false },
        { "admin", "admin: { % }\n", false },
        { "store", "store: { % }\n", false },
        { "keys", "keys: { % }\n", false },
        { "ledger", "ledger: { % }\n", false },
        { "stream_file", "ledger: { streams: { a: { type: file, % } } }\n", false },
        { "stream_syslog", "ledger: { streams: { a: { type: syslog, % } } }\n", false },
        { "stream_webhook", "ledger: { streams: { a: { type: webhook, % } } }\n", false },
        { "stream_otlp", "ledger: { streams: { a: { type: otlp, % } } }\n", false },
        { "witness", "ledger: { witnesses: [ { % } ] }\n", false },
        { "mirror", "ledger: { mirrors: [ { % } ] }\n", false },
        { "dpop", "dpop: { % }\n", false },
        { "limits", "limits: { % }\n", true },
        { "policy", "policy: { % }\n", true },
        { "issuer", "issuers: { a: { % } }\n", true },
        { "people", "people: { % }\n", true },
        { "roles", "people: { roles: { % } }\n", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(places); i++) {
        if (strcmp(places[i].definition, "catalog") != 0)
            compare(BROKER, places[i].definition, places[i].place);
        if (places[i].is_of_catalog)
            compare(CATALOG, places[i].definition, places[i].place);
    }
}

static void the_schemas_have_all_settings_of_all_targets(void **state)
{
    size_t count = 0;

    (void)state;
    for (size_t i = 0; i < target_kind_count; i++) {
        const struct target_kind *kind = target_kinds[i];
        char definition[64];
        char place[128];

        if (!kind->grant.has_target)
            continue;
        (void)snprintf(definition, sizeof(definition), "target_%s", kind->grant.name);
        (void)snprintf(place, sizeof(place), "targets: { a: { type: %s, %% } }\n",
                       kind->grant.name);
        compare(CATALOG, definition, place);
        compare(BROKER, definition, place);
        count++;
    }
    assert_true(count >= 11);
}

/* ---- files ---- */

static bool takes(enum kind kind, struct str text)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    struct yaml_document *document = NULL;
    struct diagnostics diagnostics;
    bool fits = false;

    diagnostics_init(&diagnostics, arena);
    if (yaml_parse(STR("c.yaml"), text, &diagnostics, &document))
        fits = schema_fits(&(struct schema_check){ schemas[kind], document }, schemas[kind],
                           yaml_root(document));
    yaml_document_free(document);
    return fits;
}

static bool takes_file(enum kind kind, const char *path)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct error error = { 0 };
    struct str text;

    assert_true(file_read(arena, path, TEXT_MAX, &text, &error));
    return takes(kind, text);
}

struct tally {
    size_t good;
    size_t refused;
};

/* A file that the parser takes must fit. */
static void try_file(struct tally *tally, enum kind kind, const char *path)
{
    bool fits = takes_file(kind, path);
    struct said said;

    load_file(&said, kind, path);
    if (said.is_good && !fits)
        fail_msg("the schema refuses %s", path);
    tally->good += said.is_good;
    tally->refused += !said.is_good && !fits;
    arena_free(said.arena);
}

static void try_tree(struct tally *tally, const char *root, const char *end, enum kind kind)
{
    char copy[256];
    char *const roots[] = { copy, NULL };
    FTS *tree;
    const FTSENT *entry;

    (void)snprintf(copy, sizeof(copy), "%s", root);
    tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    assert_non_null(tree);
    while ((entry = fts_read(tree)) != NULL)
        if (entry->fts_info == FTS_F && str_ends_with(str_from(entry->fts_path), str_from(end)))
            try_file(tally, kind, entry->fts_path);
    (void)fts_close(tree);
}

static void the_schemas_take_whatever_the_parser_takes(void **state)
{
    struct tally tally = { 0 };

    (void)state;
    try_tree(&tally, CASES "/good/catalog.yaml", ".yaml", CATALOG);
    try_tree(&tally, CASES "/good/least.yaml", ".yaml", BROKER);
    try_tree(&tally, CASES "/good/whole.yaml", ".yaml", BROKER);
    try_tree(&tally, CASES "/good/with-catalog.yaml", ".yaml", BROKER);
    try_tree(&tally, CASES "/good/streams.yaml", ".yaml", BROKER);
    assert_int_equal(tally.good, 5);
    try_tree(&tally, CASES "/refused", ".yaml", BROKER);
    try_tree(&tally, CASES "/catalog-refused", ".yaml", CATALOG);
    try_tree(&tally, ROOT "/policy/examples", "/catalog.yaml", CATALOG);
    try_tree(&tally, ROOT "/tests/data/design", "/broker.yaml", BROKER);
    assert_true(tally.good >= 12);
    assert_true(tally.refused >= REFUSED_MIN);
}

/* ---- documents ---- */

/* Of "<!-- tested: broker a.yaml -->" the way; "broker", say, and nothing of what is refused. */
static bool way_of(struct str line, struct str *way)
{
    static const char start[] = "<!-- tested: ";

    if (!str_starts_with(line, STR("<!-- tested: ")) || str_ends_with(line, STR(" refused -->")))
        return false;
    *way = str_slice(line, sizeof(start) - 1, line.len);
    *way = str_slice(*way, 0, str_find(*way, ' '));
    return true;
}

static struct str block_behind(struct str *text)
{
    struct str fence;
    struct str block = { 0 };
    struct str line;

    assert_true(str_cut(*text, '\n', &fence, text));
    block.data = text->data;
    while (str_cut(*text, '\n', &line, text) && !str_eq(line, STR("```")))
        block.len = (size_t)(text->data - block.data);
    return block;
}

static size_t try_document(const char *path)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    struct error error = { 0 };
    struct str text;
    struct str line;
    struct str way;
    size_t count = 0;

    assert_true(file_read(arena, path, TEXT_MAX, &text, &error));
    while (str_cut(text, '\n', &line, &text)) {
        struct str block;

        if (!way_of(line, &way))
            continue;
        block = block_behind(&text);
        if (str_eq(way, STR("issuers"))) /* a part of broker.yaml */
            block = arena_printf(arena,
                                 "issuer: https://a.example\nlisten: {}\nstore: s\n"
                                 "policy: { directory: p }\n" STR_FMT,
                                 STR_ARG(block));
        else if (!str_eq(way, STR("broker")) && !str_eq(way, STR("catalog")))
            continue;
        if (!takes(str_eq(way, STR("catalog")) ? CATALOG : BROKER, block))
            fail_msg("the schema refuses in %s:\n" STR_FMT, path, STR_ARG(block));
        count++;
    }
    return count;
}

static void the_schemas_take_what_documents_show(void **state)
{
    (void)state;
    assert_int_equal(try_document(ROOT "/README.md"), 1);
    assert_int_equal(try_document(ROOT "/policy/README.md"), 1);
    assert_true(try_document(ROOT "/docs/broker.yaml.md") >= 4);
    assert_true(try_document(ROOT "/docs/issuers.md") >= 15);
}

/* ---- mistakes ---- */

#define HEAD "issuer: https://a.example\nlisten: {}\nstore: s\n"
#define ISSUERS "issuers: { ci: { profile: generic, url: https://b.example, audience: c } }\n"
#define WHOLE HEAD ISSUERS "policy: { directory: p }\n"

static void mistakes_are_refused(void **state)
{
    static const struct {
        enum kind kind;
        bool is_good;
        const char *text;
    } rows[] = {
        { BROKER, true, WHOLE },
        { BROKER, true, HEAD "catalog: c.yaml\n" },
        { BROKER, true,
          HEAD "catalog: c.yaml\ntargets: { a: { dsn_file: d, endpoint: 'https://e' } }" },
        { BROKER, true, HEAD ISSUERS "policy: { directory: p, watch: false, shadow: s }\n" },
        { BROKER, true, WHOLE "admin: { port: '0' }\nlimits: { threads: '2' }\n" },
        { BROKER, true, HEAD ISSUERS "policy: { directory: p, watch: 'false' }\n" },
        { BROKER, false, WHOLE "admin: { port: '0x' }\n" },
        { BROKER, true, WHOLE "targets: { a: { type: ssh, key: k, tenants: [t] } }\n" },
        { BROKER, true,
          WHOLE
          "people: { url: 'https://p.example', client_id: c, roles: { auditor: { g: h } } }\n" },
        { BROKER, true,
          WHOLE "people: { url: 'https://p.example', client_id: c, console_client_id: d, "
                "console_hosts: [h] }\n" },
        { BROKER, false, HEAD },
        { BROKER, false, HEAD ISSUERS },
        { BROKER, false, WHOLE "isuers: {}\n" },
        { BROKER, false, HEAD ISSUERS "policy: { directory: p, wach: false }\n" },
        { BROKER, false, HEAD ISSUERS "policy: { directory: p, watch: 'fals' }\n" },
        { BROKER, false, HEAD ISSUERS "policy: { shadow: p }\n" },
        { BROKER, false, HEAD "policy: { directory: p }\nissuers: { ci: { profile: generic } }\n" },
        { BROKER, false,
          HEAD "policy: { directory: p }\nissuers: { ci: { profile: githup, audience: a } }\n" },
        { BROKER, false,
          HEAD
          "policy: { directory: p }\nissuers: { people: { profile: github, audience: a } }\n" },
        { BROKER, false, WHOLE "targets: { a: { type: shh } }\n" },
        { BROKER, false, WHOLE "targets: { a: { type: ssh, region: r } }\n" },
        { BROKER, false, WHOLE "targets: { a: { type: gitlab, url: p } }\n" },
        { BROKER, false, WHOLE "targets: { a: { key: k } }\n" },
        { BROKER, false, WHOLE "targets: { A: { type: ssh, key: k } }\n" },
        { BROKER, false, HEAD "catalog: c.yaml\ntargets: { a: { kye: k } }\n" },
        { BROKER, false, WHOLE "limits: { threads: 65 }\n" },
        { BROKER, false, WHOLE "limits: { leeway: 30 }\n" },
        { BROKER, true, WHOLE "ledger: { keep: 400d }\n" },
        { BROKER, false, WHOLE "ledger: { keep: 400 }\n" },
        { BROKER, true, WHOLE "ledger: { streams: { a: { type: file, path: p } } }\n" },
        { BROKER, false, WHOLE "ledger: { streams: { a: { type: file } } }\n" },
        { BROKER, false, WHOLE "ledger: { streams: { a: { path: p } } }\n" },
        { BROKER, false, WHOLE "ledger: { streams: { a: { type: file, path: p, url: u } } }\n" },
        { BROKER, false, WHOLE "ledger: { streams: { A: { type: file, path: p } } }\n" },
        { BROKER, false, WHOLE "ledger: { streams: { a: { type: syslog, address: h:1 } } }\n" },
        { BROKER, false, WHOLE "keys: { algorithm: ES384 }\n" },
        { BROKER, false,
          WHOLE "people: { url: 'https://p.example', client_id: c, roles: { auditor: {} } }\n" },
        { CATALOG, true, ISSUERS },
        { CATALOG, true,
          ISSUERS "targets: { a: { type: gcp, projects: [p] }, b: { type: ssh } }\n" },
        { CATALOG, false, "targets: { a: { type: ssh } }\n" },
        { CATALOG, false, ISSUERS "store: s\n" },
        { CATALOG, false, ISSUERS "targets: { a: { type: ssh, key: k } }\n" },
        { CATALOG, false, ISSUERS "targets: { a: { environment: e } }\n" },
        { CATALOG, false, ISSUERS "policy: { directory: p, watch: true }\n" },
        { CATALOG, false, "issuers: { ci: { profile: generic, audience: c, ca: d } }\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (takes(rows[i].kind, str_from(rows[i].text)) != rows[i].is_good)
            fail_msg("%s:\n%s", rows[i].is_good ? "refused" : "taken", rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schemas_have_all_words_and_no_other),
        cmocka_unit_test(the_schemas_have_all_settings_of_all_targets),
        cmocka_unit_test(the_schemas_take_whatever_the_parser_takes),
        cmocka_unit_test(the_schemas_take_what_documents_show),
        cmocka_unit_test(mistakes_are_refused),
    };

    return cmocka_run_group_tests(tests, make_schemas, drop_schemas);
}
