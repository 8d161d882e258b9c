#include "ledger/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/error.h"
#include "base/json.h"
#include "base/network.h"
#include "base/time_text.h"
#include "ledger/block.h"
#include "ledger/entry.h"

#define PATH_MAX_LEN 64
#define NUMBER_TEXT_MAX 24
#define TEXT_DEPTH_MAX 32 /* of entries, as their parser has it */

static const struct ledger_field_row fields[LEDGER_FIELD_COUNT] = {
    [LEDGER_FIELD_TYPE] = { "type", "type",
                            "Such entries: credential.issued, exchange.denied ..." },
    [LEDGER_FIELD_PIPELINE] = { "pipeline", "pipeline, or of stage, widened, exceptions",
                                "A pipeline's name" },
    [LEDGER_FIELD_STAGE] = { "stage", "stage, widened", "A stage, as PIPELINE:STAGE" },
    [LEDGER_FIELD_TENANT] = { "tenant", "tenant", "A tenant" },
    [LEDGER_FIELD_OWNER] = { "owner", "owner", "The pipeline's owner" },
    [LEDGER_FIELD_GRANT] = { "grant", "credentials.grant", "The name of a grant" },
    [LEDGER_FIELD_TARGET] = { "target", "credentials.target, target", "A target" },
    [LEDGER_FIELD_ENVIRONMENT] = { "environment", "environment", "The stage's environment" },
    [LEDGER_FIELD_ISSUER] = { "issuer", "issuer, actor.issuer", "An issuer's name" },
    [LEDGER_FIELD_SUBJECT] = { "subject", "subject", "The token's sub", true },
    [LEDGER_FIELD_REPOSITORY] = { "repository",
                                  "ci.repository, ci.repository_id, source.repository",
                                  "A repository, by name or id" },
    [LEDGER_FIELD_RUN] = { "run", "ci.run", "The CI system's id of a run" },
    [LEDGER_FIELD_COMMIT] = { "commit", "ci.commit, source.commit", "A commit" },
    [LEDGER_FIELD_ACTOR] = { "actor", "ci.actor, ci.actor_id, actor.subject, actor.email",
                             "Who started the run, acts for it, or did it; personal", true },
    [LEDGER_FIELD_ADDRESS] = { "address", "facts.address, first.address",
                               "Where the request came from: an address or a range; personal",
                               true },
    [LEDGER_FIELD_DECISION] = { "decision", "decision", "A decision's id" },
    [LEDGER_FIELD_LEASE] = { "lease", "lease, credentials.lease, first.lease", "A lease's id" },
    [LEDGER_FIELD_CREDENTIAL] = { "credential", "credentials.id",
                                  "A credential's public id: jti, serial, access key id ..." },
    [LEDGER_FIELD_REASON] = { "reason", "reason, code", "Why it was refused, or failed" },
    [LEDGER_FIELD_POLICY] = { "policy", "policy, previous, shadow.policy", "A policy's hash" },
    [LEDGER_FIELD_KID] = { "kid", "token.kid", "The key that signed the token" },
    [LEDGER_FIELD_PROOF_KEY] = { "proof-key", "facts.jkt, facts.x5t#S256",
                                 "Thumbprint of the key or certificate that the runner proved" },
};

/* Where values stand; a list on the way is gone through. */
struct place {
    enum ledger_field field;
    const char *outer;
    const char *inner; /* NULL: `outer` is the value */
    char cut;          /* the value ends before it; 0: it is all of it */
};

static const struct place places[] = {
    /* field                 outer          inner          cut */
    { LEDGER_FIELD_TYPE, "type", NULL, 0 },
    { LEDGER_FIELD_PIPELINE, "pipeline", NULL, 0 },
    { LEDGER_FIELD_PIPELINE, "stage", NULL, ':' },
    { LEDGER_FIELD_PIPELINE, "widened", "stage", ':' },
    { LEDGER_FIELD_PIPELINE, "exceptions", "pipeline", 0 },
    { LEDGER_FIELD_STAGE, "stage", NULL, 0 },
    { LEDGER_FIELD_STAGE, "widened", "stage", 0 },
    { LEDGER_FIELD_TENANT, "tenant", NULL, 0 },
    { LEDGER_FIELD_OWNER, "owner", NULL, 0 },
    { LEDGER_FIELD_GRANT, "credentials", "grant", 0 },
    { LEDGER_FIELD_TARGET, "credentials", "target", 0 },
    { LEDGER_FIELD_TARGET, "target", NULL, 0 },
    { LEDGER_FIELD_ENVIRONMENT, "environment", NULL, 0 },
    { LEDGER_FIELD_ISSUER, "issuer", NULL, 0 },
    { LEDGER_FIELD_ISSUER, "actor", "issuer", 0 },
    { LEDGER_FIELD_SUBJECT, "subject", NULL, 0 },
    { LEDGER_FIELD_REPOSITORY, "ci", "repository", 0 },
    { LEDGER_FIELD_REPOSITORY, "ci", "repository_id", 0 },
    { LEDGER_FIELD_REPOSITORY, "source", "repository", 0 },
    { LEDGER_FIELD_RUN, "ci", "run", 0 },
    { LEDGER_FIELD_COMMIT, "ci", "commit", 0 },
    { LEDGER_FIELD_COMMIT, "source", "commit", 0 },
    { LEDGER_FIELD_ACTOR, "ci", "actor", 0 },
    { LEDGER_FIELD_ACTOR, "ci", "actor_id", 0 },
    { LEDGER_FIELD_ACTOR, "actor", "subject", 0 },
    { LEDGER_FIELD_ACTOR, "actor", "email", 0 },
    { LEDGER_FIELD_ADDRESS, "facts", "address", 0 },
    { LEDGER_FIELD_ADDRESS, "first", "address", 0 },
    { LEDGER_FIELD_DECISION, "decision", NULL, 0 },
    { LEDGER_FIELD_LEASE, "lease", NULL, 0 },
    { LEDGER_FIELD_LEASE, "credentials", "lease", 0 },
    { LEDGER_FIELD_LEASE, "first", "lease", 0 },
    { LEDGER_FIELD_CREDENTIAL, "credentials", "id", 0 },
    { LEDGER_FIELD_REASON, "reason", NULL, 0 },
    { LEDGER_FIELD_REASON, "code", NULL, 0 },
    { LEDGER_FIELD_POLICY, "policy", NULL, 0 },
    { LEDGER_FIELD_POLICY, "previous", NULL, 0 },
    { LEDGER_FIELD_POLICY, "shadow", "policy", 0 },
    { LEDGER_FIELD_KID, "token", "kid", 0 },
    { LEDGER_FIELD_PROOF_KEY, "facts", "jkt", 0 },
    { LEDGER_FIELD_PROOF_KEY, "facts", "x5t#S256", 0 },
};

const struct ledger_field_row *query_field(enum ledger_field field)
{
    return &fields[field];
}

bool query_field_from(struct str name, enum ledger_field *field)
{
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++) {
        if (str_eq(name, str_from(fields[i].name))) {
            *field = (enum ledger_field)i;
            return true;
        }
    }
    return false;
}

/* ---- the values of an entry ---- */

struct visit {
    const json_t *private_part;
    bool (*function)(enum ledger_field field, struct str value, void *context);
    void *context;
};

/* What stands behind a digest, where the reader has it; any other value is itself. */
static const json_t *disclosed(const struct visit *visit, const struct place *place,
                               const json_t *value)
{
    const json_t *shown;
    char path[PATH_MAX_LEN];

    if (!visit->private_part || !entry_is_digest(json_str(value)))
        return value;
    (void)snprintf(path, sizeof(path), "%s%s%s", place->outer, place->inner ? "." : "",
                   place->inner ? place->inner : "");
    shown = json_object_get(json_object_get(visit->private_part, path), "value");
    return shown ? shown : value;
}

static bool tell(const struct visit *visit, const struct place *place, const json_t *value)
{
    char number[NUMBER_TEXT_MAX];
    struct str text;
    struct str rest;

    value = disclosed(visit, place, value);
    text = json_str(value);
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%" PRId64, (int64_t)json_integer_value(value));
        text = str_from(number);
    }
    if (place->cut != 0 && !str_cut(text, place->cut, &text, &rest))
        return true;
    return text.len == 0 || visit->function(place->field, text, visit->context);
}

static bool tell_inner(const struct visit *visit, const struct place *place, const json_t *outer)
{
    return tell(visit, place, place->inner ? json_object_get(outer, place->inner) : outer);
}

static bool tell_place(const struct visit *visit, const struct place *place, const json_t *entry)
{
    const json_t *outer = json_object_get(entry, place->outer);

    if (!outer)
        return true;
    if (!json_is_array(outer))
        return tell_inner(visit, place, outer);
    for (size_t i = 0; i < json_array_size(outer); i++)
        if (!tell_inner(visit, place, json_array_get(outer, i)))
            return false;
    return true;
}

bool query_each_value(const json_t *entry, const json_t *private_part,
                      bool (*visit)(enum ledger_field field, struct str value, void *context),
                      void *context)
{
    const struct visit each = { private_part, visit, context };

    for (size_t i = 0; i < COUNT(places); i++)
        if (!tell_place(&each, &places[i], entry))
            return false;
    return true;
}

/* ---- comparing ---- */

static bool is_in_range(struct str range, struct str value)
{
    struct network network;
    struct address address;

    return network_parse(range, &network) && address_parse(value, &address) &&
           network_contains(&network, &address);
}

static bool fits(enum ledger_field field, struct str wanted, struct str value)
{
    if (str_eq(wanted, value))
        return true;
    return field == LEDGER_FIELD_ADDRESS && is_in_range(wanted, value);
}

/* A search for one of a field's values; it ends with the first that fits. */
struct comparison {
    const struct query_values *wanted;
    bool has_found;
};

static bool compare(enum ledger_field field, struct str value, void *context)
{
    struct comparison *comparison = context;

    for (size_t i = 0; i < comparison->wanted->count; i++)
        if (fits(field, comparison->wanted->values[i], value))
            comparison->has_found = true;
    return !comparison->has_found;
}

static bool has_value(const struct ledger_query *query, enum ledger_field field,
                      const json_t *entry, const json_t *private_part)
{
    struct comparison comparison = { .wanted = &query->fields[field] };
    const struct visit visit = { private_part, compare, &comparison };

    for (size_t i = 0; i < COUNT(places); i++)
        if (places[i].field == field && !tell_place(&visit, &places[i], entry))
            return true;
    return false;
}

static bool is_in_time(const struct ledger_query *query, const json_t *entry)
{
    int64_t time_ms = 0;

    if (query->since_ms == 0 && query->until_ms == 0)
        return true;
    return time_text_parse(json_str(json_object_get(entry, "time")), &time_ms) &&
           time_ms >= query->since_ms && (query->until_ms == 0 || time_ms < query->until_ms);
}

static bool holds(struct str text, struct str part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (str_eq_ignore_case(str_slice(text, i, part.len), part))
            return true;
    return false;
}

static bool has_text(const json_t *value, struct str part, unsigned depth);

static bool has_text_inside(const json_t *object, struct str part, unsigned depth)
{
    const char *name;
    json_t *member;

    json_object_foreach (json_iterable(object), name, member)
        if (has_text(member, part, depth))
            return true;
    return false;
}

static bool has_text(const json_t *value, struct str part, unsigned depth)
{
    if (json_is_string(value))
        return holds(json_str(value), part);
    if (depth == 0)
        return false;
    if (json_is_object(value))
        return has_text_inside(value, part, depth - 1);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (has_text(json_array_get(value, i), part, depth - 1))
            return true;
    return false;
}

/* The salts beside private values are no text of the entry. */
static bool has_private_text(const json_t *private_part, struct str part)
{
    const char *name;
    json_t *member;

    json_object_foreach (json_iterable(private_part), name, member)
        if (has_text(json_object_get(member, "value"), part, TEXT_DEPTH_MAX))
            return true;
    return false;
}

bool query_matches(const struct ledger_query *query, const json_t *entry,
                   const json_t *private_part)
{
    if (!is_in_time(query, entry))
        return false;
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        if (query->fields[i].count > 0 &&
            !has_value(query, (enum ledger_field)i, entry, private_part))
            return false;
    return query->text.len == 0 || has_text(entry, query->text, TEXT_DEPTH_MAX) ||
           has_private_text(private_part, query->text);
}

/* ---- without parsing ---- */

/* A byte that is looked for: of a letter without case both forms have the same other bits. */
struct wanted_byte {
    uint8_t byte;
    uint8_t ignored; /* bits of it that do not matter */
};

static struct wanted_byte wanted_byte(char byte, bool ignores_case)
{
    bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    uint8_t ignored = ignores_case && is_letter ? 0x20 : 0;

    return (struct wanted_byte){ (uint8_t)((uint8_t)byte | ignored), ignored };
}

static bool is_wanted(struct wanted_byte wanted, char byte)
{
    return ((uint8_t)byte | wanted.ignored) == wanted.byte;
}

/* Which of sixteen bytes are wanted, the first in the lowest bit. */
#if defined(__SSE2__)

static unsigned wanted_of_sixteen(struct wanted_byte wanted, const char *bytes)
{
    __m128i some = _mm_loadu_si128((const __m128i *)(const void *)bytes);

    some = _mm_or_si128(some, _mm_set1_epi8((char)wanted.ignored));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(some, _mm_set1_epi8((char)wanted.byte)));
}

#else

static unsigned wanted_of_sixteen(struct wanted_byte wanted, const char *bytes)
{
    unsigned found = 0;

    for (unsigned i = 0; i < 16; i++)
        found |= (unsigned)is_wanted(wanted, bytes[i]) << i;
    return found;
}

#endif

static bool stands_at(struct str text, size_t at, struct str part, bool ignores_case)
{
    struct str there = str_slice(text, at, part.len);

    return ignores_case ? str_eq_ignore_case(there, part) : str_eq(there, part);
}

/*
 * Whether a part, which is not empty, stands anywhere: its first and last byte are looked for in
 * sixteen places at once.
 */
static bool has_bytes(struct str text, struct str part, bool ignores_case)
{
    struct wanted_byte first = wanted_byte(part.data[0], ignores_case);
    struct wanted_byte last = wanted_byte(part.data[part.len - 1], ignores_case);
    size_t at = 0;

    if (text.len < part.len)
        return false;
    for (; at + 16 + part.len - 1 <= text.len; at += 16) {
        unsigned spots = wanted_of_sixteen(first, text.data + at) &
                         wanted_of_sixteen(last, text.data + at + part.len - 1);

        for (; spots != 0; spots &= spots - 1)
            if (stands_at(text, at + (size_t)__builtin_ctz(spots), part, ignores_case))
                return true;
    }
    for (; at + part.len <= text.len; at++)
        if (is_wanted(first, text.data[at]) && stands_at(text, at, part, ignores_case))
            return true;
    return false;
}

/* Our canonical form writes it as it is; an address has several forms. */
static bool is_written_as_is(enum ledger_field field, struct str value)
{
    return str_find(value, '"') == value.len && str_find(value, '\\') == value.len &&
           (field != LEDGER_FIELD_ADDRESS || str_is_made_of(value, "0123456789."));
}

static bool may_have(const struct ledger_query *query, enum ledger_field field, struct str entry,
                     struct str private_part)
{
    const struct query_values *wanted = &query->fields[field];

    for (size_t i = 0; i < wanted->count; i++)
        if (!is_written_as_is(field, wanted->values[i]) ||
            has_bytes(entry, wanted->values[i], false) ||
            has_bytes(private_part, wanted->values[i], false))
            return true;
    return wanted->count == 0;
}

/* What is not ASCII, or escaped, may be written in several ways. */
static bool may_have_text(struct str part, struct str entry, struct str private_part)
{
    for (size_t i = 0; i < part.len; i++)
        if ((uint8_t)part.data[i] < 0x20 || (uint8_t)part.data[i] >= 0x7f || part.data[i] == '"' ||
            part.data[i] == '\\')
            return true;
    return part.len == 0 || has_bytes(entry, part, true) || has_bytes(private_part, part, true);
}

bool query_may_match(const struct ledger_query *query, struct str entry, struct str private_part)
{
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        if (!may_have(query, (enum ledger_field)i, entry, private_part))
            return false;
    return may_have_text(query->text, entry, private_part);
}

/* ---- reading a query ---- */

bool query_time(struct str text, int64_t now_ms, int64_t *wall_ms)
{
    int64_t age_s = 0;

    if (time_text_parse(text, wall_ms))
        return true;
    if (!duration_parse(text, &age_s) || age_s > QUERY_AGE_MAX_S)
        return false;
    *wall_ms = now_ms > age_s * 1000 ? now_ms - age_s * 1000 : 1;
    return true;
}

static bool add_time(struct ledger_query *query, struct str name, struct str value, int64_t now_ms,
                     struct error *error)
{
    int64_t *time_ms = str_eq(name, STR("since")) ? &query->since_ms : &query->until_ms;

    if (*time_ms != 0)
        return error_set(error, ERROR_REQUEST, "it is given twice");
    if (!query_time(value, now_ms, time_ms) || *time_ms <= 0) {
        *time_ms = 0;
        return error_set(error, ERROR_REQUEST,
                         "expected a time (2026-11-22T10:00:00Z), a date or a duration before now "
                         "(90d)");
    }
    if (query->until_ms != 0 && query->since_ms >= query->until_ms)
        return error_set(error, ERROR_REQUEST, "expected a 'since' before 'until'");
    return true;
}

static bool add_text(struct ledger_query *query, struct str value, struct error *error)
{
    if (query->text.len > 0)
        return error_set(error, ERROR_REQUEST, "it is given twice");
    if (value.len > QUERY_TEXT_MAX)
        return error_set(error, ERROR_REQUEST, "at most %zu bytes", QUERY_TEXT_MAX);
    query->text = value;
    return true;
}

/* An abbreviated commit fits nothing, which looks as if nothing had happened. */
static bool check_form(enum ledger_field field, struct str value, struct error *error)
{
    struct network none;
    struct error why = { 0 };

    return field != LEDGER_FIELD_COMMIT || block_check(BLOCK_COMMIT, value, &none, &why) ||
           error_set(error, ERROR_REQUEST, "%s", why.cause);
}

static bool add_value(struct query_values *values, struct str value, struct error *error)
{
    if (values->count == QUERY_VALUES_MAX)
        return error_set(error, ERROR_REQUEST, "at most %d values", QUERY_VALUES_MAX);
    values->values[values->count++] = value;
    return true;
}

bool query_add_value(struct ledger_query *query, struct str name, struct str value, int64_t now_ms,
                     struct error *error)
{
    enum ledger_field field = LEDGER_FIELD_TYPE;
    bool is_time = str_eq(name, STR("since")) || str_eq(name, STR("until"));
    bool is_text = str_eq(name, STR("text"));

    if (!is_time && !is_text && !query_field_from(name, &field))
        return error_set(error, ERROR_REQUEST, "nothing can be searched by that");
    if (value.len == 0 || value.len > QUERY_VALUE_MAX || !str_is_utf8(value) ||
        str_has_control(value))
        return error_set(error, ERROR_REQUEST,
                         "expected 1 to %zu bytes of text without control characters",
                         QUERY_VALUE_MAX);
    if (is_time)
        return add_time(query, name, value, now_ms, error);
    if (is_text)
        return add_text(query, value, error);
    return check_form(field, value, error) && add_value(&query->fields[field], value, error);
}

bool query_add(struct ledger_query *query, struct str name, struct str value, int64_t now_ms,
               struct error *error)
{
    return query_add_value(query, name, value, now_ms, error) ||
           error_wrap(error, "'" STR_FMT "'", STR_ARG(str_slice(name, 0, PATH_MAX_LEN)));
}

bool query_is_open(const struct ledger_query *query)
{
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++)
        if (query->fields[i].count > 0)
            return false;
    return query->text.len == 0;
}
