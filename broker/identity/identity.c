#include "identity/identity.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/claim_watch_internal.h"
#include "identity/claims_internal.h"
#include "identity/key_source_internal.h"
#include "identity/lookup_internal.h"
#include "identity/profile.h"
#include "identity/token.h"
#include "keys/verifier.h"
#include "upstream/upstream.h"

struct issuer {
    const struct issuer_options *options;
    char *name; /* for messages, ended by a NUL */
    unsigned algorithms;
    int64_t max_age_s;
    int64_t max_lifetime_s;
    struct key_source *keys;  /* NULL: verification without network */
    struct claim_watch watch; /* all-zero likewise */
};

struct identity {
    atomic_uint references;
    struct issuer *issuers;
    size_t issuer_count;
    struct lookup by_url;
    struct upstream *upstream;
    int64_t leeway_s;
    const char *keys_folder; /* while it is made */
    size_t tended;           /* of the thread that tends: the issuer whose turn is next */
};

/* Each is a file written and synced. */
#define TENDED_AT_ONCE 16

/* A token on its way; kept in the arena while its keys are waited for. */
struct verification {
    struct str token;
    struct arena *arena;
    struct token_envelope envelope;
    json_t *claims; /* unverified until the signature holds */
    const struct issuer *issuer;
    bool has_waited;
};

/* Life cycle. */

/* What stands at zero is the profile's. */
static void issuer_resolve(struct issuer *issuer, const struct issuer_options *options)
{
    const struct profile *profile = options->profile;

    issuer->options = options;
    issuer->algorithms = options->algorithms != 0 ? options->algorithms : profile->algorithms;
    issuer->max_age_s = options->max_age_s != 0 ? options->max_age_s : profile->max_age_s;
    issuer->max_lifetime_s =
        options->max_lifetime_s != 0 ? options->max_lifetime_s : profile->max_lifetime_s;
}

static bool issuer_check(const struct issuer_options *options, struct error *error)
{
    if (options->audience.len == 0)
        return error_set(error, ERROR_CONFIG, "audience: it must not be empty");
    if (!upstream_url_check(options->url, options->may_use_http, error))
        return error_wrap(error, "url");
    if (str_find(options->url, '?') != options->url.len)
        return error_set(error, ERROR_CONFIG, "url: an issuer's URL has no query");
    if (options->profile->audience_is_fixed && options->binding == IDENTITY_BIND_NOTHING)
        return error_set(error, ERROR_CONFIG,
                         "bind: others take this platform's tokens too, so they need a key or a "
                         "certificate besides");
    return claims_check_only(options, error);
}

static const struct issuer *find_previous(const struct issuer *issuer,
                                          const struct identity *previous)
{
    size_t position = 0;

    if (previous == NULL || !lookup_find(&previous->by_url, issuer->options->url, &position))
        return NULL;
    return &previous->issuers[position];
}

static bool find_keys(struct issuer *issuer, const struct identity *identity,
                      const struct issuer *previous, struct error *error)
{
    if (previous != NULL &&
        key_source_fits(previous->keys, issuer->options, issuer->algorithms, identity->upstream)) {
        issuer->keys = key_source_ref(previous->keys);
        return true;
    }
    return key_source_new(issuer->options, issuer->algorithms, identity->upstream,
                          identity->keys_folder, &issuer->keys, error);
}

static bool issuer_init(struct issuer *issuer, const struct issuer_options *options,
                        const struct identity *identity, const struct identity *previous,
                        struct error *error)
{
    const struct issuer *old;

    issuer_resolve(issuer, options);
    old = find_previous(issuer, previous);
    issuer->name = strndup(options->name.data, options->name.len);
    if (issuer->name == NULL ||
        !claim_watch_init(&issuer->watch, &options->claims, old != NULL ? &old->watch : NULL))
        return error_set(error, ERROR_MEMORY, "no memory for an issuer");
    if (!issuer_check(options, error) || !find_keys(issuer, identity, old, error))
        return error_wrap(error, "issuer %s", issuer->name);
    return true;
}

static bool add_issuers(struct identity *identity, const struct identity_options *options,
                        const struct identity *previous, struct error *error)
{
    for (size_t i = 0; i < options->issuer_count; i++) {
        const struct issuer_options *issuer = &options->issuers[i];

        identity->issuer_count = i + 1;
        if (!issuer_init(&identity->issuers[i], issuer, identity, previous, error))
            return false;
        if (!lookup_add(&identity->by_url, issuer->url, i))
            return error_set(error, ERROR_CONFIG, "issuer " STR_FMT ": another has this URL",
                             STR_ARG(issuer->name));
    }
    return true;
}

bool identity_new(const struct identity_options *options, struct upstream *upstream,
                  const struct identity *previous, struct identity **identity, struct error *error)
{
    OWNED(identity_unref) struct identity *made = NULL;

    if (options->issuer_count > IDENTITY_ISSUERS_MAX)
        return error_set(error, ERROR_CONFIG, "more than %d issuers", IDENTITY_ISSUERS_MAX);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for the issuers");
    atomic_init(&made->references, 1);
    made->upstream = upstream;
    made->leeway_s = options->leeway_s;
    made->keys_folder = options->keys_folder;
    made->issuers = calloc(options->issuer_count + 1, sizeof(*made->issuers));
    if (made->issuers == NULL || !lookup_init(&made->by_url, options->issuer_count))
        return error_set(error, ERROR_MEMORY, "no memory for the issuers");
    if (!add_issuers(made, options, previous, error))
        return false;
    made->keys_folder = NULL; /* the caller's */
    *identity = TAKE(made);
    return true;
}

struct identity *identity_ref(struct identity *identity)
{
    atomic_fetch_add(&identity->references, 1);
    return identity;
}

void identity_unref(struct identity *identity)
{
    if (identity == NULL || atomic_fetch_sub(&identity->references, 1) > 1)
        return;
    for (size_t i = 0; i < identity->issuer_count; i++) {
        key_source_unref(identity->issuers[i].keys);
        claim_watch_release(&identity->issuers[i].watch);
        free(identity->issuers[i].name);
    }
    lookup_release(&identity->by_url);
    free(identity->issuers);
    free(identity);
}

/* The steps of a verification. */

static bool open_token(struct verification *verification, struct str token, const char *typ,
                       struct arena *arena, struct error *error)
{
    verification->token = token;
    verification->arena = arena;
    return token_open(token, typ, arena, &verification->envelope, error) &&
           claims_parse(verification->envelope.payload, CLAIMS_LIMITS, "payload", arena,
                        &verification->claims, error);
}

/* The only claim that is read before the signature holds; it chooses among what is configured. */
static bool read_issuer(const struct verification *verification, struct str *url,
                        struct error *error)
{
    if (!json_get_str(verification->claims, "iss", url))
        return error_set(error, ERROR_TOKEN, "iss is missing or no string");
    return true;
}

static bool check_algorithm(const struct verification *verification, struct error *error)
{
    if ((verification->issuer->algorithms & verification->envelope.algorithm) == 0)
        return error_set(error, ERROR_TOKEN, "alg is none of this issuer's");
    return true;
}

static bool check_signature(const struct verification *verification, struct verifier *verifier,
                            struct error *error)
{
    struct error why = { 0 };

    if (verifier_check(verifier, verification->envelope.algorithm,
                       verification->envelope.signing_input, verification->envelope.signature,
                       &why))
        return true;
    if (why.code == ERROR_INVALID)
        return error_set(error, ERROR_TOKEN, "signature: %s", why.cause);
    return error_set(error, why.code, "%s", why.cause);
}

/* What single use is counted by: lengths in front keep issuer and token id apart. */
static bool mark_token(const struct verification *verification, const struct claims_facts *facts,
                       struct verified_token *verified, struct error *error)
{
    OWNED(buf_release) struct buf named = { 0 };

    if (verification->issuer->options->profile->replay == PROFILE_REPLAY_DIGEST) {
        sha256(verification->envelope.signing_input, verified->mark);
        return true;
    }
    buf_init(&named, 2 * TOKEN_MAX);
    buf_add_sized(&named, verification->issuer->options->url);
    buf_add_sized(&named, facts->token_id);
    if (!buf_is_ok(&named))
        return error_set(error, ERROR_MEMORY, "no memory for a mark");
    sha256(buf_str(&named), verified->mark);
    return true;
}

static bool fill_facts(const struct verification *verification, struct verified_token *verified,
                       struct error *error)
{
    json_t *facts = json_object();

    if (facts == NULL || !json_keep(verification->arena, facts, error) ||
        !verification->issuer->options->profile->fill_ci(verification->claims, facts))
        return error_set(error, ERROR_MEMORY, "no memory for ci facts");
    verified->ci = facts;
    return true;
}

static bool find_dangers(const struct verification *verification, struct verified_token *verified,
                         struct error *error)
{
    const struct claim_dangers *dangers = verification->issuer->options->profile->dangers;
    const struct claim_danger **found;

    if (dangers == NULL)
        return true;
    found =
        arena_alloc_array(verification->arena, dangers->count, sizeof(const struct claim_danger *));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a token's dangers");
    verified->danger_count = claim_dangers_find(dangers, verified->claims, verified->ci, found);
    verified->dangers = found;
    return true;
}

static struct claims_rules rules_at(const struct issuer *issuer, const struct identity_input *input,
                                    int64_t leeway_s)
{
    return (struct claims_rules){
        .issuer = issuer->options,
        .max_age_s = issuer->max_age_s,
        .max_lifetime_s = issuer->max_lifetime_s,
        .leeway_s = leeway_s,
        .now_s = input->now_s,
        .thumbprint = str_from(input->thumbprint),
    };
}

/* The key's own name: a token need not say by which key it was signed, whoever holds that key. */
static bool name_key(const struct verification *verification, const struct key_pick *pick,
                     struct verified_token *verified, struct error *error)
{
    verified->kid = arena_copy(verification->arena, key_set_kid(pick->set, pick->verifier));
    return verified->kid.data != NULL || error_set(error, ERROR_MEMORY, "no memory for a kid");
}

/* From a key to a verified token. */
static bool check_token(const struct verification *verification, const struct key_pick *pick,
                        const struct claims_rules *rules, struct verified_token *verified,
                        struct error *error)
{
    struct verified_token made = { .issuer = rules->issuer, .claims = verification->claims };
    struct claims_facts facts = { 0 };

    if (!check_signature(verification, pick->verifier, error) ||
        !name_key(verification, pick, &made, error) ||
        !claims_check(verification->claims, rules, &facts, error) ||
        !mark_token(verification, &facts, &made, error) ||
        !fill_facts(verification, &made, error) || !find_dangers(verification, &made, error))
        return false;
    made.subject = facts.subject;
    made.is_key_bound = facts.is_key_bound;
    made.issued_s = facts.issued_s;
    made.expires_s = facts.expires_s;
    sha256(verification->token, made.sha256);
    *verified = made;
    return true;
}

/* The first entry: the envelope, and whose token it says it is. An unknown issuer causes nothing.
 */
static struct verification *begin(const struct identity *identity, struct str token,
                                  struct arena *arena, struct error *error)
{
    struct verification *verification = arena_alloc(arena, sizeof(*verification));
    struct str url;
    size_t position = 0;

    if (verification == NULL) {
        error_set(error, ERROR_MEMORY, "no memory for a verification");
        return NULL;
    }
    if (!open_token(verification, token, NULL, arena, error) ||
        !read_issuer(verification, &url, error))
        return NULL;
    if (!lookup_find(&identity->by_url, url, &position)) {
        error_set(error, ERROR_TOKEN, "iss is none that is configured");
        return NULL;
    }
    verification->issuer = &identity->issuers[position];
    if (!check_algorithm(verification, error)) {
        error_wrap(error, "issuer %s", verification->issuer->name);
        return NULL;
    }
    return verification;
}

static enum progress verify(const struct identity *identity, struct verification *verification,
                            const struct identity_input *input, struct waker waker,
                            struct verified_token *verified, struct error *error)
{
    const struct issuer *issuer = verification->issuer;
    struct claims_rules rules = rules_at(issuer, input, identity->leeway_s);
    struct key_pick pick = { 0 };
    enum progress progress = key_source_find(issuer->keys, &verification->envelope,
                                             verification->has_waited, waker, &pick, error);
    bool is_good;

    if (progress != PROGRESS_DONE)
        return progress;
    is_good = check_token(verification, &pick, &rules, verified, error) &&
              claims_check_holder(verification->claims, input, error);
    key_set_unref(pick.set);
    if (is_good)
        claim_watch_token(&issuer->watch, verification->arena, verified);
    return is_good ? PROGRESS_DONE : PROGRESS_FAILED;
}

/* NOLINTNEXTLINE(readability-function-size): a step has its state and its waker besides */
enum progress identity_verify(struct identity *identity, const struct identity_input *input,
                              struct arena *arena, struct waker waker, void **state,
                              struct verified_token *verified, struct error *error)
{
    struct verification *verification = *state;
    const char *name;
    enum progress progress;

    if (verification != NULL)
        verification->has_waited = true;
    else
        verification = begin(identity, input->token, arena, error);
    if (verification == NULL)
        return PROGRESS_FAILED;
    /* once it waits, another thread may enter again at any moment: nothing is touched after that */
    *state = verification;
    name = verification->issuer->name;
    progress = verify(identity, verification, input, waker, verified, error);
    if (progress == PROGRESS_FAILED)
        error_wrap(error, "issuer %s", name);
    return progress;
}

/* What was kept. */

/* By its name, which is what was kept; and it must be the issuer that it was. */
static const struct issuer *find_kept(const struct identity *identity,
                                      const struct identity_kept *kept)
{
    struct str url = { 0 };
    size_t position = 0;

    if (!json_get_str(kept->claims, "iss", &url) ||
        !lookup_find(&identity->by_url, url, &position) ||
        !str_eq(identity->issuers[position].options->name, kept->issuer))
        return NULL;
    return &identity->issuers[position];
}

bool identity_restore(const struct identity *identity, const struct identity_kept *kept,
                      struct arena *arena, struct verified_token *verified, struct error *error)
{
    struct verification verification = { .arena = arena, .claims = kept->claims };
    struct verified_token made = { .claims = kept->claims, .kid = kept->kid };
    struct claims_facts facts = { 0 };

    verification.issuer = find_kept(identity, kept);
    if (verification.issuer == NULL)
        return error_set(error, ERROR_TOKEN, "issuer " STR_FMT ": not configured any more",
                         STR_ARG(kept->issuer));
    made.issuer = verification.issuer->options;
    if (!claims_check_kept(kept->claims, made.issuer, &facts, error) ||
        !fill_facts(&verification, &made, error) || !find_dangers(&verification, &made, error))
        return error_wrap(error, "issuer %s", verification.issuer->name);
    made.subject = facts.subject;
    made.issued_s = facts.issued_s;
    made.expires_s = facts.expires_s;
    made.is_key_bound = kept->is_key_bound;
    memcpy(made.mark, kept->mark, sizeof(made.mark));
    memcpy(made.sha256, kept->sha256, sizeof(made.sha256));
    *verified = made;
    return true;
}

bool identity_is_named(const struct identity *identity, struct str token, struct arena *arena)
{
    struct error ignored = { 0 };

    return begin(identity, token, arena, &ignored) != NULL;
}

bool identity_has_issuer(const struct identity *identity, struct str name_or_url)
{
    size_t position = 0;

    for (size_t i = 0; i < identity->issuer_count; i++)
        if (str_eq(identity->issuers[i].options->name, name_or_url))
            return true;
    return lookup_find(&identity->by_url, name_or_url, &position);
}

bool identity_forget(struct identity *identity, const void *waker_context)
{
    for (size_t i = 0; i < identity->issuer_count; i++)
        if (key_source_forget(identity->issuers[i].keys, waker_context))
            return true;
    return false;
}

bool identity_note_workflow(struct identity *identity, const struct verified_token *verified,
                            struct str stage)
{
    size_t position = 0;

    return lookup_find(&identity->by_url, verified->issuer->url, &position) &&
           claim_watch_workflow(&identity->issuers[position].watch, verified->ci, stage);
}

const char *identity_degraded(const struct identity *identity)
{
    for (size_t i = 0; i < identity->issuer_count; i++)
        if (key_source_is_failing(identity->issuers[i].keys))
            return identity->issuers[i].name;
    return NULL;
}

void identity_measure(const struct identity *identity, struct identity_health *health)
{
    for (size_t i = 0; i < identity->issuer_count; i++) {
        int64_t failing_s = key_source_failing_s(identity->issuers[i].keys);

        health->failing += failing_s >= 0 ? 1 : 0;
        if (failing_s > health->longest_s)
            health->longest_s = failing_s;
    }
}

void identity_tend(struct identity *identity, const struct identity_listener *listener)
{
    size_t done = 0;

    for (size_t i = 0; i < identity->issuer_count && done < TENDED_AT_ONCE; i++) {
        struct issuer *issuer = &identity->issuers[identity->tended];

        identity->tended = (identity->tended + 1) % identity->issuer_count;
        done += key_source_tend(issuer->keys, issuer->options->name, listener) ? 1 : 0;
    }
}

/* Without network. */

static bool find_offline(struct key_set *set, const struct verification *verification,
                         struct key_pick *pick, struct error *error)
{
    pick->set = set;
    switch (key_set_find(set, &verification->envelope, &pick->verifier, error)) {
    case KEY_MATCH_FOUND:
        return true;
    case KEY_MATCH_UNKNOWN:
        return error_set(error, ERROR_TOKEN, "the key set has no key of its kid");
    case KEY_MATCH_REFUSED:
        break;
    }
    return false;
}

/* NOLINTNEXTLINE(readability-function-size): what an identity else holds comes with the call */
bool identity_verify_offline(const struct issuer_options *options, struct str jwks,
                             const struct identity_input *input, int64_t leeway_s,
                             struct arena *arena, struct verified_token *verified,
                             struct error *error)
{
    struct issuer issuer = { 0 };
    struct verification verification = { .issuer = &issuer };
    struct claims_rules rules;
    OWNED(key_set_unref) struct key_set *set = NULL;
    struct key_pick pick = { 0 };
    struct str url;

    issuer_resolve(&issuer, options);
    rules = rules_at(&issuer, input, leeway_s);
    if (!open_token(&verification, input->token, options->typ, arena, error) ||
        !read_issuer(&verification, &url, error))
        return false;
    if (!str_eq(url, options->url))
        return error_set(error, ERROR_TOKEN, "iss is another issuer");
    return check_algorithm(&verification, error) &&
           key_set_parse(jwks, issuer.algorithms, &set, error) &&
           find_offline(set, &verification, &pick, error) &&
           check_token(&verification, &pick, &rules, verified, error);
}

int64_t identity_job_end_s(const struct verified_token *verified)
{
    const struct profile *profile = verified->issuer->profile;
    int64_t life_s = verified->expires_s - verified->issued_s;

    if (!profile->expires_with_job || life_s == profile->life_without_limit_s)
        return 0;
    return verified->expires_s;
}

const char *identity_only_missed(const struct issuer_options *issuer, const json_t *claims)
{
    return claims_only_missed(claims, issuer);
}
