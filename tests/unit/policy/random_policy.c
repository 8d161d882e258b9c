#include "random_policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "tests/test.h"
#include "world.h"

size_t chance_below(struct chance *chance, size_t limit)
{
    chance->state ^= chance->state << 13;
    chance->state ^= chance->state >> 7;
    chance->state ^= chance->state << 17;
    return (size_t)((chance->state >> 11) % limit);
}

bool chance_once_in(struct chance *chance, size_t times)
{
    return chance_below(chance, times) == 0;
}

size_t random_rounds(size_t usual)
{
    const char *text = getenv("STAGEPASS_TEST_ROUNDS"); /* NOLINT(concurrency-mt-unsafe) */
    int64_t rounds = 0;

    return text != NULL && str_to_int64(str_from(text), &rounds) && rounds > 0 ? (size_t)rounds
                                                                               : usual;
}

/* ---- what conditions are about ---- */

enum kind {
    KIND_TEXT,
    KIND_TEXTS,
    KIND_INTEGER,
    KIND_BOOLEAN,
    KIND_ANY, /* a pointer whose type is as written */
    KIND_ADDRESS,
    KIND_ACTOR, /* the rest of a condition on who acts */
};

struct subject {
    const char *name;
    enum kind kind;
};

#define FACTS                                                                                      \
    { "ci.ref", KIND_TEXT }, { "ci.environment", KIND_TEXT }, { "ci.event", KIND_TEXT },           \
        { "ci.fork", KIND_BOOLEAN }, { "ci.runner", KIND_TEXT },                                   \
    {                                                                                              \
        "ci.ref_protected", KIND_BOOLEAN                                                           \
    }

static const struct subject github[] = {
    { "ref", KIND_TEXT },
    { "ref", KIND_TEXT },
    { "environment", KIND_TEXT },
    { "event_name", KIND_TEXT },
    { "event_name", KIND_TEXT },
    { "actor", KIND_TEXT },
    { "/x", KIND_ANY },
    { "/x/y", KIND_ANY },
    { "/x/0", KIND_ANY },
    { "/ref", KIND_ANY },
    { "request.address", KIND_ADDRESS },
    { "actor.issuer", KIND_ACTOR },
    FACTS,
};
static const struct subject gitlab[] = {
    { "ref", KIND_TEXT },           { "ref_type", KIND_TEXT }, { "environment", KIND_TEXT },
    { "actor", KIND_INTEGER },      { "/x/1", KIND_ANY },      { "ci.ref", KIND_TEXT },
    { "actor.issuer", KIND_ACTOR },
};
static const struct subject old_ci[] = {
    { "build_number", KIND_INTEGER }, { "is_manual", KIND_BOOLEAN },
    { "groups", KIND_TEXTS },         { "groups", KIND_TEXTS },
    { "groups", KIND_TEXTS },         { "/groups/0", KIND_ANY },
    { "/groups/1", KIND_ANY },        { "started", KIND_INTEGER },
    { "deadline", KIND_TEXT },        { "name", KIND_TEXT },
    { "/groups", KIND_ANY },
};
static const struct subject cluster[] = {
    { "/kubernetes.io/namespace", KIND_TEXT },
    { "/kubernetes.io/warnafter", KIND_INTEGER },
    { "/kubernetes.io", KIND_ANY },
    { "/kubernetes.io/serviceaccount/name", KIND_ANY },
    { "label_a", KIND_TEXT },
    { "label_tier", KIND_INTEGER },
    { "/x", KIND_ANY },
    { "/x/0", KIND_ANY },
    { "/x/1", KIND_ANY },
    { "/x/0/y", KIND_ANY },
    { "/x/y", KIND_ANY },
    { "/x/y/0", KIND_ANY },
};
static const struct subject forge[] = {
    { "number", KIND_INTEGER },
    { "branch", KIND_TEXT },
    { "pool", KIND_TEXT },
    { "is_safe", KIND_BOOLEAN },
    { "trigger", KIND_TEXT },
    { "trigger", KIND_TEXT },
    { "/run/actor", KIND_TEXT },
    { "/run", KIND_ANY },
    { "ci.actor", KIND_TEXT },
    { "ci.environment", KIND_TEXT },
    FACTS,
};
/* What both of the identities that name two issuers have. */
static const struct subject shared[] = { { "ref", KIND_TEXT },
                                         { "environment", KIND_TEXT },
                                         { "ref_type", KIND_TEXT },
                                         { "ci.ref", KIND_TEXT },
                                         { "ci.runner", KIND_TEXT } };

struct setting {
    const char *identity[2]; /* before and behind an id */
    const struct subject *subjects;
    size_t subject_count;
};

#define SETTING(before, behind, subjects)                                                          \
    {                                                                                              \
        { (before), (behind) }, (subjects), COUNT(subjects)                                        \
    }

static const struct setting settings[] = {
    SETTING("{ issuer: github, repository_id: \"", "\" }", github),
    SETTING("{ issuer: github, repository_id: \"", "\" }", github),
    SETTING("{ issuer: gitlab, project_id: \"", "\" }", gitlab),
    SETTING("{ issuer: old-ci, project_id: \"", "\" }", old_ci),
    SETTING("{ issuer: cluster, \"/kubernetes.io/serviceaccount/uid\": \"", "\" }", cluster),
    SETTING("{ issuer: forge, project_id: \"", "\" }", forge),
    SETTING("[ { issuer: github, repository_id: \"",
            "\" }, { issuer: gitlab, project_id: \"1\" } ]", shared),
};
_Static_assert(COUNT(settings) == RANDOM_SETTINGS, "all of them are tried");

/* ---- values ---- */

static const char *const words[] = {
    "a",
    "b",
    "ab",
    "a/b",
    "a:b",
    "a@b",
    "push",
    "main",
    "7",
    "12",
    "2026-01-01",
    "merge",
    "2026-01-02T00:00:00Z",
    "hosted",
    "issue_comment",
};

#define NEW_YEAR_S INT64_C(1767225600) /* 2026-01-01 */
static const int64_t numbers[] = { 0, 1, 2, 7, 12, NEW_YEAR_S - 1, NEW_YEAR_S, NEW_YEAR_S + 1 };

static const char *const times[] = { "2026-01-01", "2026-01-01T00:00:01Z", "2026-01-02" };

static const char *const networks[] = { "10.0.0.0/8",  "10.1.0.0/16", "0.0.0.0/0",
                                        "\"::/0\"",    "10.1.2.3",    "\"2001:db8::/32\"",
                                        "128.0.0.0/1", "\"::/1\"" };

static const char *const addresses[] = { "10.1.2.3", "10.2.0.1", "192.0.2.1", "2001:db8::1",
                                         "10.1.0.0", "8.8.8.8",  "::1",       "ffff::1" };

/* ---- writing ---- */

struct writer {
    struct chance *chance;
    const struct setting *setting;
    struct buf *out;
};

static void PRINTF_LIKE(2, 3) put(struct writer *writer, const char *format, ...)
{
    char text[512];
    va_list values;
    int len;

    va_start(values, format);
    len = vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    assert_in_range(len, 0, sizeof(text) - 1);
    buf_add_text(writer->out, text);
}

/* A small pattern whose wildcards do not touch. */
static void make_pattern(struct chance *chance, char out[32])
{
    static const char *const pieces[] = { "a", "b", "/", "@", ":", "7", "a", "b" };
    size_t count = 1 + chance_below(chance, 5);
    bool was_wildcard = false;

    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const char *piece = pieces[chance_below(chance, COUNT(pieces))];
        size_t len = strlen(out);

        if (!was_wildcard && chance_once_in(chance, 2))
            piece = chance_once_in(chance, 3) ? "**" : "*";
        was_wildcard = piece[0] == '*';
        (void)snprintf(out + len, 32 - len, "%s", piece);
    }
}

static void put_pattern(struct writer *writer)
{
    char pattern[32];

    make_pattern(writer->chance, pattern);
    put(writer, "{ like: \"%s\" }", pattern);
}

/* One value, or some that differ. */
static void put_values(struct writer *writer, enum kind kind, bool is_quoted)
{
    size_t count = chance_once_in(writer->chance, 2) ? 1 : 2 + chance_below(writer->chance, 2);
    size_t first = chance_below(writer->chance, 64);

    put(writer, "%s", count > 1 ? "[" : "");
    for (size_t i = 0; i < count; i++) {
        put(writer, "%s", i > 0 ? ", " : "");
        if (kind == KIND_INTEGER)
            put(writer, "%lld", (long long)numbers[(first + i) % COUNT(numbers)]);
        else
            put(writer, is_quoted ? "\"%s\"" : "%s", words[(first + i) % COUNT(words)]);
    }
    put(writer, "%s", count > 1 ? "]" : "");
}

static void put_boolean(struct writer *writer)
{
    put(writer, "%s", chance_once_in(writer->chance, 2) ? "true" : "false");
}

static void put_value(struct writer *writer, enum kind kind)
{
    if (kind == KIND_BOOLEAN)
        put_boolean(writer);
    else
        put_values(writer, kind, true);
}

static void put_time(struct writer *writer)
{
    static const char *const operators[] = { "before", "after" };

    put(writer, "%s: \"%s\"", operators[chance_below(writer->chance, 2)],
        times[chance_below(writer->chance, COUNT(times))]);
}

static void put_text_operators(struct writer *writer)
{
    char pattern[32];

    make_pattern(writer->chance, pattern);
    put(writer, "{ like: \"%s\", not: ", pattern);
    if (chance_once_in(writer->chance, 2))
        put_pattern(writer);
    else
        put_values(writer, KIND_TEXT, true);
    put(writer, " }");
}

static void put_operators(struct writer *writer, enum kind kind)
{
    switch (chance_below(writer->chance, 7)) {
    case 0:
        put(writer, "{ exists: true }");
        return;
    case 1:
        put(writer, "{ exists: false }");
        return;
    case 2:
        put(writer, "{ not: ");
        put_value(writer, kind);
        put(writer, " }");
        return;
    case 3:
        if (kind == KIND_BOOLEAN || (kind != KIND_INTEGER && !chance_once_in(writer->chance, 3)))
            break;
        put(writer, "{ ");
        put_time(writer);
        put(writer, " }");
        return;
    case 4:
        if (kind == KIND_BOOLEAN || (kind != KIND_INTEGER && !chance_once_in(writer->chance, 3)))
            break;
        put(writer, "{ not: { ");
        put_time(writer);
        put(writer, " } }");
        return;
    default:
        break;
    }
    if (kind != KIND_TEXT && kind != KIND_TEXTS)
        put_value(writer, kind);
    else if (chance_once_in(writer->chance, 2))
        put_pattern(writer);
    else
        put_text_operators(writer);
}

static void put_address(struct writer *writer)
{
    size_t first = chance_below(writer->chance, COUNT(networks));
    size_t second =
        (first + 1 + chance_below(writer->chance, COUNT(networks) - 1)) % COUNT(networks);

    if (chance_once_in(writer->chance, 3))
        put(writer, "{ not: %s }", networks[first]);
    else if (chance_once_in(writer->chance, 2))
        put(writer, "{ within: %s, not: %s }", networks[first], networks[second]);
    else
        put(writer, "[%s, %s]", networks[first], networks[second]);
}

static void put_actor(struct writer *writer)
{
    switch (chance_below(writer->chance, 7)) {
    case 0:
        put(writer, "{ exists: true }");
        break;
    case 1:
        put(writer, "{ exists: false }");
        break;
    case 5:
        put(writer, "cluster, \"actor./kubernetes.io/namespace\": ");
        put_operators(writer, KIND_TEXT);
        break;
    case 2:
        put(writer, "people, actor.groups: ");
        put_values(writer, KIND_TEXTS, true);
        break;
    case 3:
        put(writer, "people, actor.email: ");
        put_operators(writer, KIND_TEXT);
        break;
    case 4:
        put(writer, "[old-ci, gitlab], actor.project_id: ");
        put_value(writer, KIND_TEXT);
        break;
    default:
        put(writer, "old-ci, actor.exp: ");
        put_operators(writer, KIND_INTEGER);
        break;
    }
}

static void put_condition(struct writer *writer, const struct subject *subject)
{
    enum kind kind = subject->kind;

    put(writer, "\"%s\": ", subject->name);
    if (kind == KIND_ADDRESS) {
        put_address(writer);
    } else if (kind == KIND_ACTOR) {
        put_actor(writer);
    } else {
        if (kind == KIND_ANY)
            kind = (enum kind[]){ KIND_TEXT, KIND_TEXT, KIND_INTEGER,
                                  KIND_BOOLEAN }[chance_below(writer->chance, 4)];
        if (chance_once_in(writer->chance, 2))
            put_value(writer, kind);
        else
            put_operators(writer, kind);
    }
}

/* A map of one to three conditions on different subjects. */
static void put_map(struct writer *writer)
{
    const struct setting *setting = writer->setting;
    size_t count = 1 + chance_below(writer->chance, 3);
    size_t at = chance_below(writer->chance, setting->subject_count);
    const char *used[3] = { NULL };

    put(writer, "{ ");
    for (size_t i = 0; i < count; i++) {
        const struct subject *subject = &setting->subjects[at % setting->subject_count];
        bool is_used = false;

        for (size_t k = 0; k < i; k++)
            is_used |= used[k] != NULL && strcmp(used[k], subject->name) == 0;
        at += 1 + chance_below(writer->chance, setting->subject_count);
        if (is_used)
            continue;
        used[i] = subject->name;
        put(writer, "%s", i > 0 ? ", " : "");
        put_condition(writer, subject);
    }
    put(writer, " }");
}

static void put_clause(struct writer *writer, const char *word, const char *indent)
{
    size_t count = 1 + chance_below(writer->chance, 3);

    put(writer, "%s%s: ", indent, word);
    if (count == 1) {
        put_map(writer);
    } else {
        put(writer, "[ ");
        for (size_t i = 0; i < count; i++) {
            put(writer, "%s", i > 0 ? ", " : "");
            put_map(writer);
        }
        put(writer, " ]");
    }
    put(writer, "\n");
}

static void put_pick(struct writer *writer, const char *word, const char *const *values,
                     size_t count)
{
    if (chance_once_in(writer->chance, 6))
        put(writer, "    %s: %s\n", word, values[chance_below(writer->chance, count)]);
}

static void put_stage(struct writer *writer, size_t index)
{
    static const char *const kinds[] = { "build", "test", "deploy" };
    static const char *const proofs[] = { "dpop", "mtls", "key", "[dpop, mtls]", "[mtls, key]" };
    static const char *const ends[] = { "2026-01-05", "2026-01-09T12:00:00Z" };
    static const char *const windows[] = {
        "Mon..Fri 08:00-18:00 Europe/Berlin",
        "Sat,Sun 00:00-24:00 UTC",
        "22:00-06:00 America/New_York",
        "[Mon 00:00-24:00 Pacific/Auckland, \"Wed,Thu 20:00-04:00 Asia/Kolkata\"]",
    };

    put(writer, "  s%zu:\n    kind: %s\n", index, kinds[index]);
    if (!chance_once_in(writer->chance, 6))
        put_clause(writer, "when", "    ");
    if (chance_once_in(writer->chance, 2))
        put_clause(writer, "unless", "    ");
    put_pick(writer, "proof", proofs, COUNT(proofs));
    put_pick(writer, "from", networks, COUNT(networks));
    put_pick(writer, "until", ends, COUNT(ends));
    put_pick(writer, "during", windows, COUNT(windows));
}

static void finish(const struct buf *text, char out[RANDOM_POLICY_MAX])
{
    struct str whole = buf_str(text);

    assert_true(buf_is_ok(text));
    memcpy(out, whole.data, whole.len);
    out[whole.len] = '\0';
}

void random_policy(struct chance *chance, size_t setting, const char *name,
                   char out[RANDOM_POLICY_MAX])
{
    OWNED(buf_release) struct buf text = { 0 };
    struct writer writer = { chance, &settings[setting], &text };

    buf_init(&text, RANDOM_POLICY_MAX - 1);
    put(&writer, "pipeline: %s\nowner: me\nreview_by: 2026-01-03\nidentity: ", name);
    put(&writer, "%s%d%s", writer.setting->identity[0], 1 + (int)chance_below(chance, 2),
        writer.setting->identity[1]);
    put(&writer, "\n");
    if (chance_once_in(chance, 4))
        put_clause(&writer, "when", "");
    if (chance_once_in(chance, 4))
        put_clause(&writer, "unless", "");
    put(&writer, "stages:\n");
    for (size_t i = 0; i < 3; i++)
        put_stage(&writer, i);
    finish(&text, out);
}

/* What guardrails may look at. */
static const struct subject facts[] = {
    FACTS,
    { "ci.actor", KIND_TEXT },
    { "request.address", KIND_ADDRESS },
    { "actor.issuer", KIND_ACTOR },
};

void random_guardrails(struct chance *chance, char out[RANDOM_POLICY_MAX])
{
    static const struct setting setting = SETTING("", "", facts);
    static const char *const modes[] = { "enforce", "enforce", "warn" };
    OWNED(buf_release) struct buf text = { 0 };
    struct writer writer = { chance, &setting, &text };

    buf_init(&text, RANDOM_POLICY_MAX - 1);
    put(&writer, "guardrails:\n  require:\n    - { name: r, for: { kind: build }, mode: %s, when: ",
        modes[chance_below(chance, COUNT(modes))]);
    put_map(&writer);
    put(&writer, " }\n    - { name: s, for: { kind: test }, review_by: { grace: %zud } }\n",
        1 + chance_below(chance, 8));
    put(&writer,
        "    - { name: t, for: { kind: deploy }, proof: [dpop, key], from: 10.0.0.0/8 }\n");
    put(&writer,
        "  freeze:\n    - { name: u, for: { kind: [build, test] }, from: 2026-01-%02zu, to: "
        "2026-01-10 }\n",
        1 + chance_below(chance, 9));
    put(&writer,
        "  exceptions:\n    - { from: u, pipeline: a, stage: s0, until: 2026-01-06, why: w "
        "}\n    - { from: r, pipeline: b, stage: s0, until: 2026-01-03, why: w }\n");
    for (size_t i = 0; i < 2; i++)
        put(&writer, "    - { from: t, pipeline: %s, stage: s2, until: 2026-01-%02zu, why: w }\n",
            i == 0 ? "a" : "b", 1 + chance_below(chance, 14));
    finish(&text, out);
}

/* ---- requests ---- */

static json_t *random_text(struct chance *chance)
{
    static const char letters[] = "ab/:@7x";
    char text[32];
    size_t len;

    if (chance_once_in(chance, 2))
        return json_string(words[chance_below(chance, COUNT(words))]);
    len = 1 + chance_below(chance, 5);
    for (size_t i = 0; i < len; i++)
        text[i] = letters[chance_below(chance, sizeof(letters) - 1)];
    return json_stringn(text, len);
}

static json_t *random_number(struct chance *chance)
{
    return json_integer(numbers[chance_below(chance, COUNT(numbers))]);
}

static json_t *random_texts(struct chance *chance)
{
    json_t *array = json_array();
    size_t count = chance_below(chance, 4);

    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_array_append_new(array, chance_once_in(chance, 6)
                                                          ? json_string("")
                                                          : random_text(chance)),
                         0);
    return array;
}

static json_t *random_json(struct chance *chance, size_t depth);

static json_t *random_array(struct chance *chance, size_t depth)
{
    json_t *array = json_array();
    size_t count = chance_below(chance, 4);

    for (size_t i = 0; i < count; i++)
        assert_int_equal(json_array_append_new(array, random_json(chance, depth - 1)), 0);
    return array;
}

static json_t *random_object(struct chance *chance, size_t depth)
{
    static const char *const names[] = { "y", "0", "1", "actor", "namespace", "name", "uid" };
    json_t *object = json_object();
    size_t count = chance_below(chance, 4);

    for (size_t i = 0; i < count; i++)
        assert_true(json_put(object, names[chance_below(chance, COUNT(names))],
                             random_json(chance, depth - 1)));
    return object;
}

static json_t *random_json(struct chance *chance, size_t depth)
{
    switch (chance_below(chance, depth > 0 ? 9 : 6)) {
    case 0:
        return json_null();
    case 1:
        return json_string("");
    case 2:
        return random_number(chance);
    case 3:
        return json_boolean(chance_once_in(chance, 2));
    case 6:
        return random_array(chance, depth);
    case 7:
    case 8:
        return random_object(chance, depth);
    default:
        return random_text(chance);
    }
}

/* A value of a row's type, or one that is absent; NULL: left out. */
static json_t *random_claim(struct chance *chance, enum claim_type type)
{
    if (chance_once_in(chance, 4))
        return NULL;
    if (chance_once_in(chance, 12))
        return json_null();
    switch (type) {
    case CLAIM_STRING:
        return chance_once_in(chance, 12) ? json_string("") : random_text(chance);
    case CLAIM_INTEGER:
        return random_number(chance);
    case CLAIM_BOOLEAN:
        return json_boolean(chance_once_in(chance, 2));
    case CLAIM_STRINGS:
        return chance_once_in(chance, 4) ? random_text(chance) : random_texts(chance);
    case CLAIM_OBJECT:
    case CLAIM_OBJECTS:
        break;
    }
    return NULL;
}

/* Where what is above it is no object, it is left out. */
static void put_claim(json_t *claims, const char *name, json_t *value)
{
    if (value != NULL && !claim_put(claims, name, value))
        return;
}

/* Take out what has another type than its row says: no token has it. */
static void drop_strangers(json_t *claims, const struct policy_issuer *issuer)
{
    for (size_t i = 0; i < issuer->claims.count; i++) {
        const struct claim *row = &issuer->claims.rows[i];
        const json_t *value = claim_value(claims, row->name);

        if (value != NULL && !json_is_null(value) && !claim_has_type(value, row->type))
            assert_true(claim_put(claims, row->name, json_null()));
    }
}

static json_t *random_claims(struct chance *chance, const struct policy_issuer *issuer)
{
    json_t *claims = json_object();

    if (chance_once_in(chance, 2))
        put_claim(claims, "x", random_json(chance, 3));
    for (size_t i = 0; i < issuer->claims.count; i++) {
        const struct claim *row = &issuer->claims.rows[i];
        bool is_id = (row->flags & CLAIM_ID) != 0;

        if ((row->flags & CLAIM_PREFIX) != 0)
            put_claim(claims, "label_a", random_claim(chance, row->type));
        else if (is_id && !chance_once_in(chance, 8))
            put_claim(claims, row->name, json_string(chance_once_in(chance, 2) ? "1" : "2"));
        else
            put_claim(claims, row->name, random_claim(chance, row->type));
    }
    if (str_eq(issuer->name, STR("cluster")) && chance_once_in(chance, 3))
        put_claim(claims, "/kubernetes.io/serviceaccount/name", random_json(chance, 2));
    if (str_eq(issuer->name, STR("forge")) && chance_once_in(chance, 3))
        put_claim(claims, "run", random_json(chance, 2));
    drop_strangers(claims, issuer);
    return claims;
}

static json_t *random_facts(struct chance *chance)
{
    json_t *ci = json_object();

    for (size_t i = 0; i < test_world.ci_facts->count; i++) {
        const struct claim *row = &test_world.ci_facts->rows[i];
        json_t *value = random_claim(chance, row->type);

        /* what is left out of an example cannot be said; what is absent is "" */
        if (value == NULL)
            value = chance_once_in(chance, 2) ? json_string("") : json_null();
        assert_true(json_put(ci, row->name, value));
    }
    return ci;
}

static json_t *random_actor(struct chance *chance)
{
    const struct policy_issuer *issuer = test_world.people;
    json_t *claims;

    if (chance_once_in(chance, 2))
        issuer = &test_world.issuers[chance_below(chance, test_world.issuer_count)];
    claims = random_claims(chance, issuer);
    if (chance_once_in(chance, 2))
        put_claim(claims, "email_verified", json_boolean(chance_once_in(chance, 2)));
    if (chance_once_in(chance, 2))
        put_claim(claims, "exp", random_number(chance));
    return json_pack("{s:o,s:o}", "issuer", json_from_str(issuer->name), "claims", claims);
}

static json_t *keep(struct arena *arena, json_t *json)
{
    struct error error = { 0 };

    assert_true(json_keep(arena, json, &error));
    return json;
}

void random_request(struct chance *chance, struct arena *arena, struct proof_example *request)
{
    static const unsigned proofs[] = { 0, 1, 2, 3, 5, 7 };
    const struct policy_issuer *issuer =
        &test_world.issuers[chance_below(chance, test_world.issuer_count)];

    *request = (struct proof_example){ .issuer = issuer->name };
    request->claims = keep(arena, random_claims(chance, issuer));
    if (chance_once_in(chance, 2))
        request->ci = keep(arena, random_facts(chance));
    if (chance_once_in(chance, 2))
        request->actor = keep(arena, random_actor(chance));
    assert_true(address_parse(str_from(addresses[chance_below(chance, COUNT(addresses))]),
                              &request->address));
    request->proofs = proofs[chance_below(chance, COUNT(proofs))];
    request->time_s = NEW_YEAR_S + (int64_t)chance_below(chance, (size_t)14 * 86400);
}
