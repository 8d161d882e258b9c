#include "fixture.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/yaml.h"
#include "tests/test.h"
#include "tests/unit/keys/help.h"

#define ARENA_MAX ((size_t)16 * 1024 * 1024)

void fixture_init(struct fixture *fixture)
{
    *fixture = (struct fixture){ 0 };
    fixture->folder = temporary_folder();
    fixture->keys = keys_of(fixture->folder, KEY_ES256, FIXTURE_NOW_S);
    fixture->arena = arena_new(ARENA_MAX);
    assert_non_null(fixture->arena);
    assert_true(address_parse(STR("192.0.2.7"), &fixture->address));
    memset(fixture->token_sha256, 0x5a, sizeof(fixture->token_sha256));
    fixture->tools.keys = fixture->keys;
    fixture->tools.issuer = STR(FIXTURE_ISSUER);
    fixture->mint = (struct mint){
        .tools = &fixture->tools,
        .grant = STR("site"),
        .subject_token_sha256 = fixture->token_sha256,
        .stage = STR(FIXTURE_STAGE),
        .lease = STR(FIXTURE_LEASE),
        .run = STR("8817263541"),
        .repository = STR("acme/payments"),
        .address = &fixture->address,
        .now_s = FIXTURE_NOW_S,
        .ttl_s = 900,
        .arena = fixture->arena,
    };
}

void fixture_release(struct fixture *fixture)
{
    fixture_again(fixture);
    arena_free(fixture->arena);
    keys_close(fixture->keys);
    remove_folder(fixture->folder);
}

/* A document that lives as long as the arena. */
static const struct yaml_document *document_of(struct fixture *fixture, const char *yaml)
{
    struct yaml_document *document = NULL;
    struct diagnostics diagnostics;

    diagnostics_init(&diagnostics, fixture->arena);
    if (!yaml_parse(STR("conf/a.yaml"), str_from(yaml), &diagnostics, &document))
        fail_msg("%s: " STR_FMT, yaml, STR_ARG(diagnostics.list[0].message));
    assert_true(arena_defer(fixture->arena, (void (*)(void *))yaml_document_free, document));
    return document;
}

static const char *first_message(struct fixture *fixture, const struct diagnostics *diagnostics)
{
    if (diagnostics->count == 0)
        return NULL;
    return arena_copy(fixture->arena, diagnostics->list[0].message).data;
}

const char *fixture_configure(struct fixture *fixture, const char *kind, const char *yaml)
{
    const struct yaml_document *document = document_of(fixture, yaml);
    struct diagnostics diagnostics;
    struct yaml_reader reader = { document, &diagnostics, NULL };
    const struct target_kind *found = target_kind_find(str_from(kind));
    bool is_good;

    assert_non_null(found);
    diagnostics_init(&diagnostics, fixture->arena);
    fixture->target = (struct target){ .name = STR("prod"), .kind = found };
    fixture->mint.target = &fixture->target;
    is_good = target_configure(&fixture->target, &reader, yaml_root(document), fixture->arena);
    assert_true(is_good == (diagnostics.count == 0));
    return first_message(fixture, &diagnostics);
}

const char *fixture_check(struct fixture *fixture, const char *kind, const char *yaml)
{
    return fixture_check_life(fixture, kind, yaml, 900);
}

const char *fixture_check_life(struct fixture *fixture, const char *kind, const char *yaml,
                               int64_t ttl_s)
{
    const struct yaml_document *document = document_of(fixture, yaml);
    struct policy_target target = { .settings = fixture->target.settings };
    struct policy_grant_view view = { .name = STR("site"), .ttl_s = ttl_s };
    struct diagnostics diagnostics;
    struct yaml_reader reader = { document, &diagnostics, NULL };

    diagnostics_init(&diagnostics, fixture->arena);
    view.fields = yaml_root(document);
    view.target = fixture->target.settings ? &target : NULL;
    target_kind_find(str_from(kind))->grant.check(&reader, &view);
    return first_message(fixture, &diagnostics);
}

void fixture_check_all(struct fixture *fixture, const char *kind, const struct fixture_case *cases,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *expected = cases[i].message;
        const char *message = fixture_check(fixture, kind, cases[i].fields);

        if (!message != !expected || (message && !strstr(message, expected)))
            fail_msg("%s %s: expected %s, got %s", kind, cases[i].fields,
                     expected ? expected : "nothing", message ? message : "nothing");
    }
}

/* A grant with that many items. */
static const char *fields_of(struct fixture *fixture, const char *fields, const char *item,
                             size_t count)
{
    const char *at = strstr(fields, "%s");
    struct buf text = { 0 };
    struct str copy;

    assert_non_null(at);
    buf_init(&text, ARENA_MAX / 16);
    buf_add(&text, (struct str){ fields, (size_t)(at - fields) });
    for (size_t i = 0; i < count; i++) {
        const char *number = strstr(item, "%zu");

        buf_add(&text, (struct str){ item, number ? (size_t)(number - item) : strlen(item) });
        if (number)
            buf_printf(&text, "%zu%s", i + 1, number + strlen("%zu"));
    }
    buf_add_text(&text, at + strlen("%s"));
    copy = arena_copy(fixture->arena, buf_str(&text));
    buf_release(&text);
    assert_non_null(copy.data);
    return copy.data;
}

void fixture_check_limit(struct fixture *fixture, const char *kind, const char *fields,
                         const char *item, size_t most)
{
    const char *message = fixture_check(fixture, kind, fields_of(fixture, fields, item, most));

    if (message)
        fail_msg("%s: %zu times '%s': %s", kind, most, item, message);
    if (!fixture_check(fixture, kind, fields_of(fixture, fields, item, most + 1)))
        fail_msg("%s: %zu times '%s' is one too many", kind, most + 1, item);
}

static void add_list(struct buf *text, const char *before, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(text, "%s" STR_FMT, i > 0 ? ", " : before, STR_ARG(list[i]));
}

const char *fixture_gives(struct fixture *fixture, const char *kind, const char *fields,
                          const struct policy_target *target)
{
    const struct policy_grant_kind *grant = &target_kind_find(str_from(kind))->grant;
    struct policy_given given = { 0 };
    struct policy_grant_view view = { .target = target };
    struct buf text = { 0 };
    struct str copy;

    fixture_fields(fixture, fields);
    view.fields = fixture->mint.fields;
    assert_true(grant->gives(&view, fixture->arena, &given));
    buf_init(&text, (size_t)16 * 1024);
    buf_add_text(&text, given.is_everything ? "everything" : "");
    add_list(&text, given.is_everything ? ": " : "", given.names, given.name_count);
    add_list(&text, " as ", given.principals, given.principal_count);
    add_list(&text, " in ", &given.account, given.account.len > 0);
    copy = arena_copy(fixture->arena, buf_str(&text));
    buf_release(&text);
    return copy.data;
}

bool fixture_gives_nothing_without_memory(struct fixture *fixture, const char *kind,
                                          const char *fields)
{
    OWNED(arena_free) struct arena *empty = arena_new(1);
    struct policy_given given = { 0 };
    struct policy_grant_view view = { 0 };

    fixture_fields(fixture, fields);
    view.fields = fixture->mint.fields;
    return !target_kind_find(str_from(kind))->grant.gives(&view, empty, &given);
}

void fixture_fields(struct fixture *fixture, const char *yaml)
{
    fixture->mint.fields = yaml_root(document_of(fixture, yaml));
}

void fixture_details(struct fixture *fixture, const char *json)
{
    struct error error = { 0 };
    json_t *details = json_of(json);

    assert_non_null(details);
    assert_true(json_keep(fixture->arena, details, &error));
    fixture->mint.details = details;
}

void fixture_again(struct fixture *fixture)
{
    json_decref(fixture->mint.credential);
    json_decref(fixture->mint.record);
    json_decref(fixture->mint.handle);
    fixture->mint.credential = NULL;
    fixture->mint.record = NULL;
    fixture->mint.handle = NULL;
    fixture->mint.state = NULL;
    fixture->mint.may_exist = false;
    fixture->error = (struct error){ 0 };
}

struct str fixture_text(const json_t *object, const char *name, const char *member)
{
    struct str text = { 0 };

    if (!json_get_str(name ? json_object_get(object, name) : object, member, &text))
        fail_msg("no '%s'", member);
    return text;
}
