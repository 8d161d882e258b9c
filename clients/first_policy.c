#include "clients/first_policy.h"

#include <string.h>

#include "base/claim.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/profile.h"
#include "policy/fmt.h"

#define TEXT_MAX ((size_t)256 * 1024)
#define NAME_MAX_BYTES 80 /* of a pipeline */
#define OWNER_DEFAULT "CHANGE THIS: who answers for it"

/* What writing works with. */
struct writer {
    const struct first_policy_options *options;
    struct arena *arena;
    json_t *ci;
    const char *id; /* the claim that says who it is */
    struct str pipeline;
    struct buf text; /* of the pipeline, before it is formatted */
    bool has_environment;
};

/* Facts that a stage asks for, where the job has them. */
static const char *const asked_facts[] = { "ref", "event", "environment" };

/* ---- what there is ---- */

/* The claim that names the job's repository or project for ever. */
static const char *find_id(const struct profile *profile, const json_t *claims)
{
    for (size_t i = 0; i < profile->claims.count; i++) {
        const struct claim *claim = &profile->claims.rows[i];
        const json_t *value = claim_value(claims, claim->name);
        bool is_one = (claim->flags & CLAIM_ID) != 0 && (claim->flags & CLAIM_OWNER_ID) == 0;

        if (is_one && (json_is_integer(value) || json_str(value).len > 0))
            return claim->name;
    }
    return json_str(json_object_get(claims, "sub")).len > 0 ? "sub" : NULL;
}

static const char *find_owner_id(const struct profile *profile, const json_t *claims)
{
    for (size_t i = 0; i < profile->claims.count; i++) {
        const struct claim *claim = &profile->claims.rows[i];

        if ((claim->flags & CLAIM_OWNER_ID) != 0 &&
            json_str(claim_value(claims, claim->name)).len > 0)
            return claim->name;
    }
    return NULL;
}

/* Whether a text can stand as a plain value of a condition. */
static bool may_be_asked(struct str text)
{
    return text.len > 0 && text.len <= 1024 && str_find(text, '*') == text.len &&
           str_find(text, '$') == text.len;
}

static struct str fact(const struct writer *writer, const char *name)
{
    struct str text = json_str(json_object_get(writer->ci, name));

    return may_be_asked(text) ? text : STR("");
}

/* The claim that a fact is, or NULL. */
static const char *claim_of(const struct writer *writer, const char *name)
{
    const struct claim_copies *copies = writer->options->profile->copies;

    for (size_t i = 0; copies != NULL && i < copies->count; i++)
        if (strcmp(copies->rows[i].fact, name) == 0 &&
            claim_find(&writer->options->profile->claims, str_from(copies->rows[i].claim)) !=
                NULL &&
            json_is_string(claim_value(writer->options->claims, copies->rows[i].claim)))
            return copies->rows[i].claim;
    return NULL;
}

/* A pipeline's name from a repository's: what may not stand in one becomes '-'. */
static struct str slug(struct arena *arena, struct str text)
{
    struct str copy = arena_copy(arena, str_slice(text, 0, NAME_MAX_BYTES));
    char *name = arena_alloc(arena, copy.len + 1);

    for (size_t i = 0; name != NULL && i < copy.len; i++) {
        char byte = copy.data[i];
        char lower = byte >= 'A' && byte <= 'Z' ? (char)(byte + 32) : byte;

        name[i] =
            str_is_made_of((struct str){ &lower, 1 }, "abcdefghijklmnopqrstuvwxyz0123456789._/-")
                ? lower
                : '-';
    }
    return name == NULL ? STR("") : (struct str){ name, copy.len };
}

/* ---- texts ---- */

static void put_quoted(struct buf *out, struct str text)
{
    buf_add_byte(out, '"');
    buf_add_json_text(out, text);
    buf_add_byte(out, '"');
}

static void put_value(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        put_quoted(out, json_str(value));
    else
        buf_add_json(out, value);
}

static void put_pair(struct buf *out, const char *name, const json_t *value)
{
    put_quoted(out, str_from(name));
    buf_add_text(out, ": ");
    put_value(out, value);
}

/* What keeps other organisations' tokens out; where there is no owner, the job's own id. */
static const char *find_only(const struct writer *writer)
{
    const struct first_policy_options *options = writer->options;
    const char *owner = find_owner_id(options->profile, options->claims);

    if (owner != NULL || !options->profile->is_shared)
        return owner;
    return writer->id;
}

static void write_catalog(const struct writer *writer, struct buf *out)
{
    const struct first_policy_options *options = writer->options;
    const json_t *claims = options->claims;
    const json_t *audience = json_object_get(claims, "aud");
    const char *owner = find_only(writer);

    buf_add_text(out,
                 "# Issuers and targets, without secrets: what `stagepass policy check` needs. "
                 "The broker's\n# broker.yaml can name this file (`catalog: catalog.yaml`).\n");
    buf_printf(out,
               "issuers:\n  " STR_FMT ":\n    profile: %s\n    url: ", STR_ARG(options->issuer),
               options->profile->name);
    put_value(out, json_object_get(claims, "iss"));
    buf_add_text(out, "\n    audience: ");
    put_value(out, json_is_array(audience) ? json_array_get(audience, 0) : audience);
    if (options->profile->audience_is_fixed)
        buf_add_text(out,
                     "\n    bind: dpop  # their audience is not ours: a key binds them to the job");
    if (strcmp(writer->id, "sub") == 0)
        buf_add_text(out,
                     "\n    ids: [sub]  # nothing of these tokens is an id: this is the nearest");
    if (owner != NULL) {
        buf_add_text(out, "\n    only: { ");
        put_pair(out, owner, claim_value(claims, owner));
        buf_add_text(out, " }  # other organisations' tokens are none");
    }
    buf_add_text(out, "\ntargets: {}\n");
}

static void write_head(struct writer *writer)
{
    const struct first_policy_options *options = writer->options;
    struct buf *out = &writer->text;

    buf_printf(out, "pipeline: " STR_FMT "\n", STR_ARG(writer->pipeline));
    buf_add_text(out, "owner: ");
    put_quoted(out, options->owner.len > 0 ? options->owner : STR(OWNER_DEFAULT));
    buf_add_text(out, " # whoever is denied is told this\n"
                      "# By an id: a name can be given to somebody else after its owner left.\n"
                      "identity: { issuer: ");
    buf_add(out, options->issuer);
    buf_add_text(out, ", ");
    put_pair(out, writer->id, claim_value(options->claims, writer->id));
    buf_add_text(out, " }\n");
}

static void write_stage(struct writer *writer)
{
    struct buf *out = &writer->text;
    size_t count = 0;

    buf_printf(out, "stages:\n  %s:\n    kind: %s\n", writer->has_environment ? "deploy" : "build",
               writer->has_environment ? "deploy" : "build");
    for (size_t i = 0; i < COUNT(asked_facts); i++) {
        struct str text = fact(writer, asked_facts[i]);

        if (text.len == 0)
            continue;
        buf_add_text(out, count++ == 0 ? "    # The ci.* facts are the same for every CI system.\n"
                                         "    when: { "
                                       : ", ");
        buf_printf(out, "ci.%s: ", asked_facts[i]);
        put_quoted(out, text);
    }
    buf_add_text(out, count > 0 ? " }\n" : "");
    buf_add_text(out, "    # What it gets is written here; until then it gets a token that says "
                      "which stage it is.\n    # grants:\n    #   artifacts: { jwt: { audience: "
                      "\"https://artifacts.example\" }, ttl: 10m }\n");
}

static void write_denial(struct writer *writer, const char *name, const char *claim,
                         const char *because)
{
    struct buf *out = &writer->text;

    buf_printf(out, "  - { name: %s, base: claims/" STR_FMT ".json, claims: { ", name,
               STR_ARG(writer->options->issuer));
    put_quoted(out, str_from(claim));
    buf_printf(out, ": %s }, stage: %s, expect: deny, because: [%s] }\n",
               json_is_integer(claim_value(writer->options->claims, claim)) ? "0" : "\"another\"",
               writer->has_environment ? "deploy" : "build", because);
}

static void write_tests(struct writer *writer)
{
    struct buf *out = &writer->text;

    buf_printf(out,
               "tests:\n  - { name: this job is let in, claims: claims/" STR_FMT
               ".json, stage: %s, expect: allow }\n",
               STR_ARG(writer->options->issuer), writer->has_environment ? "deploy" : "build");
    write_denial(writer, "somebody else is nobody", writer->id, "identity");
    for (size_t i = 0; i < COUNT(asked_facts); i++) {
        const char *claim = claim_of(writer, asked_facts[i]);

        if (claim == NULL || fact(writer, asked_facts[i]).len == 0 ||
            strcmp(claim, writer->id) == 0)
            continue;
        write_denial(writer,
                     arena_printf(writer->arena, "another %s is denied", asked_facts[i]).data,
                     claim, arena_printf(writer->arena, "ci.%s", asked_facts[i]).data);
    }
}

/* The claims that tests read: no times, nothing of a person. */
static bool write_claims(const struct writer *writer, struct buf *out)
{
    static const char *const left_out[] = { "exp", "iat", "nbf", "jti", "auth_time" };
    const struct first_policy_options *options = writer->options;
    JSON_OWNED json_t *claims = json_deep_copy(options->claims);

    if (claims == NULL)
        return false;
    for (size_t i = 0; i < COUNT(left_out); i++)
        (void)json_object_del(claims, left_out[i]); /* where it is not there it need not go */
    for (size_t i = 0; i < options->profile->claims.count; i++) {
        const struct claim *claim = &options->profile->claims.rows[i];

        if ((claim->flags & CLAIM_PERSONAL) != 0 && strcmp(claim->name, writer->id) != 0)
            (void)json_object_del(claims, claim->name);
    }
    buf_add_json(out, claims);
    buf_add_byte(out, '\n');
    return buf_is_ok(out);
}

/* ---- the whole ---- */

static bool check_dangers(const struct writer *writer, struct error *error)
{
    const struct claim_dangers *dangers = writer->options->profile->dangers;
    const struct claim_danger **found;

    if (dangers == NULL)
        return true;
    found =
        arena_alloc_array(writer->arena, dangers->count + 1, sizeof(const struct claim_danger *));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "a first policy");
    if (claim_dangers_find(dangers, writer->options->claims, writer->ci, found) == 0)
        return true;
    return error_set(
        error, ERROR_TOKEN,
        "this is a job that runs what others wrote, or with somebody's hands in it (%s): "
        "make the policy from a job of your main branch",
        found[0]->claim != NULL ? found[0]->claim : found[0]->fact);
}

static bool read_job(struct writer *writer, struct error *error)
{
    const struct first_policy_options *options = writer->options;

    writer->ci = json_object();
    if (writer->ci == NULL || !json_keep(writer->arena, writer->ci, error) ||
        !options->profile->fill_ci(options->claims, writer->ci))
        return error_set(error, ERROR_MEMORY, "a first policy");
    writer->id = find_id(options->profile, options->claims);
    if (writer->id == NULL)
        return error_set(error, ERROR_TOKEN, "there is neither an id claim nor a subject in it");
    if (json_str(json_object_get(options->claims, "iss")).len == 0)
        return error_set(error, ERROR_TOKEN, "there is no issuer ('iss') in it");
    writer->has_environment = fact(writer, "environment").len > 0;
    writer->pipeline = slug(writer->arena, options->pipeline.len > 0 ? options->pipeline
                                                                     : fact(writer, "repository"));
    if (writer->pipeline.len == 0)
        writer->pipeline = STR("first");
    return check_dangers(writer, error);
}

static bool format(const struct writer *writer, struct str text, struct buf *out,
                   struct error *error)
{
    struct diagnostics diagnostics;

    diagnostics_init(&diagnostics, writer->arena);
    if (fmt_text(STR("policy"), text, writer->arena, &diagnostics, out))
        return true;
    return error_set(error, ERROR_TOKEN, "its claims hold what cannot be written into a policy");
}

static bool write_all(struct writer *writer, struct buf *catalog, struct first_policy *policy,
                      struct error *error)
{
    if (!read_job(writer, error))
        return false;
    write_catalog(writer, catalog);
    write_head(writer);
    write_stage(writer);
    write_tests(writer);
    if (!buf_is_ok(catalog) || !buf_is_ok(&writer->text) || !write_claims(writer, &policy->claims))
        return error_set(error, ERROR_MEMORY, "a first policy");
    return format(writer, buf_str(catalog), &policy->catalog, error) &&
           format(writer, buf_str(&writer->text), &policy->pipeline, error);
}

bool first_policy_write(const struct first_policy_options *options, struct arena *arena,
                        struct first_policy *policy, struct error *error)
{
    OWNED(buf_release) struct buf catalog = { 0 };
    struct writer writer = { .options = options, .arena = arena };
    bool is_good;

    buf_init(&writer.text, TEXT_MAX);
    buf_init(&catalog, TEXT_MAX);
    buf_init(&policy->catalog, TEXT_MAX);
    buf_init(&policy->pipeline, TEXT_MAX);
    buf_init(&policy->claims, TEXT_MAX);
    is_good = write_all(&writer, &catalog, policy, error);
    buf_release(&writer.text);
    return is_good;
}

void first_policy_release(struct first_policy *policy)
{
    buf_release(&policy->catalog);
    buf_release(&policy->pipeline);
    buf_release(&policy->claims);
}
