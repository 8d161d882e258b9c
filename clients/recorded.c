/*
 * A recorded decision, read back into what it was made of. The ledger keeps all verified claims but
 * the longest, and personal ones as digests whose values can be erased: what is not there any more
 * is listed as unknown, and never guessed.
 */
#include "clients/recorded.h"

#include <string.h>

#include "base/arena.h"
#include "base/claim.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"

#define TTL_MAX_S ((int64_t)366 * 24 * 3600)

struct reading {
    const struct policy_world *world;
    const struct policy_issuer *issuer;
    const json_t *entry;
    const json_t *private_part;
    struct arena *arena;
    struct recorded *out;
    struct error *error;
};

static bool no_memory(const struct reading *reading)
{
    return error_set(reading->error, ERROR_MEMORY, "reading an entry");
}

static bool is_bad(const struct reading *reading, const char *member)
{
    return error_set(reading->error, ERROR_INVALID, "%s is not what a broker writes", member);
}

/* ---- which entries ---- */

static const struct {
    const char *type;
    bool is_allowed;
} decisions[] = {
    { "exchange.denied", false },
    { "lease.requested", true },
    { "credential.issued", true },
};

/* Reasons of denials that are the policy's own: it alone can tell them otherwise. */
static const enum error_code policy_codes[] = { ERROR_NO_PIPELINE, ERROR_CONDITION, ERROR_GUARDRAIL,
                                                ERROR_STAGE,       ERROR_SCOPE,     ERROR_TARGET };

static size_t type_of(const json_t *entry)
{
    size_t i = 0;

    while (i < COUNT(decisions) &&
           !str_eq(json_str(json_object_get(entry, "type")), str_from(decisions[i].type)))
        i++;
    return i;
}

bool recorded_is_of_moment(const struct recorded *recorded)
{
    static const char *const words[] = { "after", "approval", "limits" };

    for (size_t i = 0; i < json_array_size(recorded->failed); i++)
        for (size_t k = 0; k < COUNT(words); k++)
            if (str_eq(json_str(json_array_get(recorded->failed, i)), str_from(words[k])))
                return true;
    return false;
}

/* Of renewals, which are decided otherwise, only denials are of these types: they name the lease.
 */
bool recorded_is_decision(const json_t *entry)
{
    size_t i = type_of(entry);

    return i < COUNT(decisions) && (decisions[i].is_allowed || !json_object_get(entry, "lease"));
}

/*
 * The scope of an audience's token is the target's matter, and a condition without a name was
 * another one: a policy that changed under way, a lease that was ended.
 */
static bool is_of_policy(const struct recorded *recorded)
{
    struct str reason = recorded->reason;

    if (recorded->is_allowed)
        return true;
    if (str_eq(reason, str_from(error_kind(ERROR_SCOPE)->name)) && recorded->request.audience.len)
        return false;
    if (str_eq(reason, str_from(error_kind(ERROR_CONDITION)->name)) &&
        json_array_size(recorded->failed) == 0)
        return false;
    for (size_t i = 0; i < COUNT(policy_codes); i++)
        if (str_eq(reason, str_from(error_kind(policy_codes[i])->name)))
            return true;
    return false;
}

/* ---- personal values ---- */

static bool is_digest(const json_t *value)
{
    return json_is_string(value) && entry_is_digest(json_str(value));
}

/* The value behind a digest, or NULL: it is not there any more, or another one was put there. */
static json_t *disclosed(const struct reading *reading, const json_t *digest, const char *path,
                         const char *name)
{
    struct str member = arena_printf(reading->arena, "%s.%s", path, name);
    const json_t *found = json_object_get(reading->private_part, member.data);

    return entry_discloses(digest, name, found) ? json_object_get(found, "value") : NULL;
}

/* Copy an object's members, digests as what they stand for; `hidden` gets the names of others. */
static bool disclose(const struct reading *reading, const json_t *from, const char *path,
                     json_t *to, json_t *hidden)
{
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(from), name, value) {
        json_t *shown = is_digest(value) ? disclosed(reading, value, path, name) : value;
        bool is_put =
            shown ? json_put(to, name, json_incref(shown)) : json_put(hidden, name, json_true());

        if (!is_put)
            return no_memory(reading);
    }
    return true;
}

/* ---- the job's claims and facts ---- */

static bool add_dropped(const struct reading *reading, json_t *hidden)
{
    const json_t *list = json_object_get(reading->entry, "claims_dropped");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *name = json_array_get(list, i);

        if (!json_is_string(name))
            return is_bad(reading, "claims_dropped");
        if (!json_put(hidden, json_string_value(name), json_true()))
            return no_memory(reading);
    }
    return true;
}

static json_t *new_object(const struct reading *reading)
{
    json_t *object = json_object();

    return object && json_keep(reading->arena, object, reading->error) ? object : NULL;
}

/* What the issuer's facts come to with some text in place of what is not known. */
static json_t *probe(const struct reading *reading, const json_t *claims, const json_t *hidden)
{
    json_t *probed = new_object(reading);
    json_t *facts = new_object(reading);
    const char *name;
    json_t *value;

    if (!probed || !facts || json_object_update(probed, json_iterable(claims)) != 0)
        return NULL;
    json_object_foreach (json_iterable(hidden), name, value)
        if (!json_put(probed, name, json_string("?")))
            return NULL;
    return reading->issuer->fill_ci(probed, facts) ? facts : NULL;
}

/*
 * A fact of a token whose claims are not all there: what was recorded, or that there is none where
 * that is so with and without the missing claims. Else nobody knows.
 */
static bool put_fact(const struct reading *reading, const char *name, const json_t *probes[2],
                     json_t *ci, json_t *hidden)
{
    json_t *recorded = json_object_get(json_object_get(reading->entry, "ci"), name);
    json_t *without = json_object_get(probes[0], name);
    json_t *with = json_object_get(probes[1], name);

    if (is_digest(recorded))
        recorded = disclosed(reading, recorded, "ci", name);
    else if (!recorded && !without && !with)
        return true;
    else if (!recorded && json_is_null(without) && json_is_null(with))
        recorded = without;
    if (recorded)
        return json_put(ci, name, json_incref(recorded)) || no_memory(reading);
    return json_put(hidden, name, json_true()) || no_memory(reading);
}

static bool put_facts(const struct reading *reading, const json_t *claims, json_t *hidden_claims,
                      json_t *ci, json_t *hidden)
{
    const struct claim_table *table = reading->world->ci_facts;
    const json_t *probes[2];

    probes[0] = new_object(reading);
    if (!probes[0] || !reading->issuer->fill_ci(claims, json_iterable(probes[0])))
        return no_memory(reading);
    probes[1] = probe(reading, claims, hidden_claims);
    if (!probes[1])
        return no_memory(reading);
    for (size_t i = 0; i < table->count; i++)
        if (!put_fact(reading, table->rows[i].name, probes, ci, hidden))
            return false;
    return true;
}

static bool is_unknown_fact(const json_t *hidden, const char *fact)
{
    return fact && strncmp(fact, "ci.", 3) == 0 && json_object_get(hidden, fact + 3);
}

/* Whether something that tells of a danger is not known. */
static bool are_dangers_unknown(const struct reading *reading)
{
    const struct claim_dangers *dangers = reading->issuer->dangers;
    const struct policy_unknown *unknown = &reading->out->unknown;

    for (size_t i = 0; dangers && i < dangers->count; i++) {
        const struct claim_danger *row = &dangers->rows[i];

        if (is_unknown_fact(unknown->ci, row->fact) || is_unknown_fact(unknown->ci, row->harmless))
            return true;
        if (row->claim && !claim_value(reading->out->facts.claims, row->claim) &&
            (json_object_get(unknown->claims, row->claim) || json_object_get(unknown->claims, "*")))
            return true;
    }
    return false;
}

static bool find_dangers(const struct reading *reading)
{
    const struct claim_dangers *dangers = reading->issuer->dangers;
    struct policy_facts *facts = &reading->out->facts;
    const struct claim_danger **found;

    if (!dangers)
        return true;
    found =
        arena_alloc_array(reading->arena, dangers->count + 1, sizeof(const struct claim_danger *));
    if (!found)
        return no_memory(reading);
    facts->danger_count = claim_dangers_find(dangers, facts->claims, facts->ci, found);
    facts->dangers = found;
    reading->out->unknown.dangers = are_dangers_unknown(reading);
    return true;
}

/* Of a token whose claims are all there the facts follow as they did then. */
static bool read_token(const struct reading *reading)
{
    struct recorded *out = reading->out;
    json_t *claims = new_object(reading);
    json_t *hidden = new_object(reading);
    json_t *ci = new_object(reading);
    json_t *hidden_ci = new_object(reading);

    if (!claims || !hidden || !ci || !hidden_ci)
        return no_memory(reading);
    if (!disclose(reading, json_object_get(reading->entry, "claims"), "claims", claims, hidden) ||
        !add_dropped(reading, hidden))
        return false;
    if (json_object_size(hidden) == 0)
        return policy_facts_read(reading->issuer, claims, reading->arena, &out->facts,
                                 reading->error);
    out->unknown.claims = hidden;
    out->unknown.ci = hidden_ci;
    out->facts.issuer = reading->issuer->name;
    out->facts.claims = claims;
    if (reading->issuer->fill_ci) {
        out->facts.ci = ci;
        if (!put_facts(reading, claims, hidden, ci, hidden_ci))
            return false;
    }
    return find_dangers(reading);
}

/* ---- the rest of the facts ---- */

static bool read_address(const struct reading *reading)
{
    struct recorded *out = reading->out;
    const json_t *value = json_object_get(json_object_get(reading->entry, "facts"), "address");

    if (!value)
        return true;
    if (is_digest(value))
        value = disclosed(reading, value, "facts", "address");
    if (!value) {
        out->unknown.address = true;
        return true;
    }
    if (!json_is_string(value) || !address_parse(json_str(value), &out->address))
        return is_bad(reading, "the address");
    out->facts.address = &out->address;
    return true;
}

static void read_proofs(const struct reading *reading)
{
    static const struct {
        const char *member;
        enum policy_proof proof;
    } rows[] = {
        { "jkt", POLICY_PROOF_DPOP },
        { "x5t#S256", POLICY_PROOF_MTLS },
        { "key_bound", POLICY_PROOF_KEY },
    };
    const json_t *facts = json_object_get(reading->entry, "facts");

    reading->out->facts.passes_freezes =
        json_is_true(json_object_get(reading->entry, "break_glass"));
    for (size_t i = 0; i < COUNT(rows); i++)
        if (json_object_get(facts, rows[i].member))
            reading->out->facts.proofs |= (unsigned)rows[i].proof;
}

/* Of an actor's claims only some are recorded: one that is not there is not known. */
static bool read_actor(const struct reading *reading)
{
    const json_t *recorded = json_object_get(reading->entry, "actor");
    const json_t *issuer = json_object_get(recorded, "issuer");
    const json_t *from = json_object_get(recorded, "claims");
    json_t *actor = new_object(reading);
    json_t *claims = new_object(reading);
    json_t *ignored = new_object(reading); /* the names: all that is not there is unknown */

    if (!recorded)
        return true;
    if (!json_is_string(issuer) || !json_is_object(from))
        return is_bad(reading, "the actor");
    if (!actor || !claims || !ignored ||
        !json_put(actor, "issuer", json_incref(json_iterable(issuer))) ||
        !json_put(actor, "claims", json_incref(claims)))
        return no_memory(reading);
    reading->out->facts.actor = actor;
    reading->out->unknown.actor = true;
    return disclose(reading, from, "actor.claims", claims, ignored);
}

/* ---- the request ---- */

static bool read_text(const struct reading *reading, const json_t *object, const char *name,
                      struct str *text)
{
    const json_t *value = json_object_get(object, name);

    if (value && !json_is_string(value))
        return is_bad(reading, name);
    *text = json_str(value);
    return true;
}

/* With an audience the words are not names of grants. */
static bool read_scope(const struct reading *reading, const json_t *scope)
{
    struct policy_request *request = &reading->out->request;
    size_t count = json_array_size(scope);
    struct str *names;

    if (count > RECORDED_SCOPE_MAX || (scope && !json_is_array(scope)))
        return is_bad(reading, "scope");
    if (count == 0 || request->audience.len > 0)
        return true;
    names = arena_alloc_array(reading->arena, count, sizeof(*names));
    if (!names)
        return no_memory(reading);
    for (size_t i = 0; i < count; i++) {
        if (!json_is_string(json_array_get(scope, i)))
            return is_bad(reading, "scope");
        names[i] = json_str(json_array_get(scope, i));
    }
    request->grants = names;
    request->grant_count = count;
    return true;
}

static bool read_request(const struct reading *reading)
{
    const json_t *request = json_object_get(reading->entry, "request");
    const json_t *ttl = json_object_get(request, "ttl_s");
    struct recorded *out = reading->out;

    out->request.ttl_s = json_integer_value(ttl);
    if (ttl && (!json_is_integer(ttl) || out->request.ttl_s < 0 || out->request.ttl_s > TTL_MAX_S))
        return is_bad(reading, "ttl_s");
    return read_text(reading, request, "stage", &out->request.stage) &&
           read_text(reading, request, "audience", &out->request.audience) &&
           read_scope(reading, json_object_get(request, "scope"));
}

/* ---- the outcome ---- */

static bool read_credentials(const struct reading *reading)
{
    const json_t *list = json_object_get(reading->entry, "credentials");

    reading->out->credentials = list;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *grant = json_object_get(item, "grant");

        if (!json_is_object(item) || (grant && !json_is_string(grant)) ||
            !json_is_integer(json_object_get(item, "ttl_s")))
            return is_bad(reading, "credentials");
    }
    return true;
}

static bool read_outcome(const struct reading *reading)
{
    const json_t *entry = reading->entry;
    const json_t *count = json_object_get(entry, "count");
    struct recorded *out = reading->out;
    int64_t time_ms = 0;

    if (!time_text_parse(json_str(json_object_get(entry, "time")), &time_ms))
        return is_bad(reading, "time");
    out->time_s = time_ms / 1000;
    out->is_allowed = decisions[type_of(entry)].is_allowed;
    out->failed = json_object_get(entry, "failed");
    out->count = json_integer_value(count) > 1 ? json_integer_value(count) : 1;
    if (!read_text(reading, entry, "decision", &out->decision) ||
        !read_text(reading, entry, "issuer", &out->issuer) ||
        !read_text(reading, entry, "reason", &out->reason) ||
        !read_text(reading, entry, "stage", &out->stage) ||
        !read_text(reading, entry, "owner", &out->owner) ||
        !read_text(reading, entry, "policy", &out->policy))
        return false;
    return read_credentials(reading);
}

static const struct policy_issuer *find_issuer(const struct policy_world *world, struct str name)
{
    for (size_t i = 0; i < world->issuer_count; i++)
        if (str_eq(world->issuers[i].name, name))
            return &world->issuers[i];
    return NULL;
}

static bool check_form(const struct reading *reading)
{
    if (!entry_check(reading->entry, reading->error))
        return false;
    if (type_of(reading->entry) == COUNT(decisions))
        return is_bad(reading, "type");
    return json_is_object(json_object_get(reading->entry, "claims")) || is_bad(reading, "claims");
}

bool recorded_read(const struct policy_world *world, const json_t *entry,
                   const json_t *private_part, struct arena *arena, struct recorded *out,
                   struct error *error)
{
    struct reading reading = {
        .world = world,
        .entry = entry,
        .private_part = private_part,
        .arena = arena,
        .out = out,
        .error = error,
    };

    *out = (struct recorded){ 0 };
    if (!check_form(&reading) || !read_outcome(&reading) || !read_request(&reading))
        return false;
    out->is_of_policy = is_of_policy(out);
    out->facts.unknown = &out->unknown;
    reading.issuer = find_issuer(world, out->issuer);
    if (!reading.issuer) {
        out->cannot = "its issuer is not configured here";
        return true;
    }
    read_proofs(&reading);
    return read_token(&reading) && read_address(&reading) && read_actor(&reading);
}
