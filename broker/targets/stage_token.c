#include "targets/stage_token.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "base/workers.h"
#include "keys/keys.h"

#define TYP "JWT"
#define SIGNING_MEMORY_MAX ((size_t)256 * 1024)

static enum key_algorithm key_of(const struct target_tools *tools,
                                 enum stage_token_algorithm algorithm)
{
    switch (algorithm) {
    case STAGE_TOKEN_ES256:
        return KEY_ES256;
    case STAGE_TOKEN_RS256:
        return KEY_RS256;
    case STAGE_TOKEN_OWN:
        break;
    }
    return keys_issuer_algorithm(tools->keys);
}

bool stage_token_setting(const struct yaml_reader *reader, const json_t *node,
                         enum stage_token_algorithm *algorithm)
{
    static const char *const names[] = { "ES256", "RS256", NULL };
    static const enum stage_token_algorithm values[] = { STAGE_TOKEN_ES256, STAGE_TOKEN_RS256 };
    size_t choice;

    if (!json_object_get(node, "algorithm"))
        return true;
    if (!yaml_get_choice(reader, node, "algorithm", names, &choice))
        return false;
    *algorithm = values[choice];
    return true;
}

bool stage_token_start(const struct target_tools *tools, enum stage_token_algorithm algorithm,
                       struct error *error)
{
    return keys_use(tools->keys, key_of(tools, algorithm), clock_wall_s(), error);
}

struct str stage_token_run_subject(const struct mint *mint)
{
    return arena_printf(mint->arena, STR_FMT ":run:" STR_FMT, STR_ARG(mint->stage),
                        STR_ARG(mint->run));
}

/* ---- the claims ---- */

static bool put_facts(json_t *claims, const struct mint *mint)
{
    struct str pipeline;
    struct str rest;

    (void)str_cut(mint->stage, ':', &pipeline, &rest);
    return json_put(claims, "stage", json_from_str(mint->stage)) &&
           json_put(claims, "pipeline", json_from_str(pipeline)) &&
           json_put(claims, "lease", json_from_str(mint->lease)) &&
           json_put_text(claims, "run", mint->run);
}

static json_t *claims_new(const struct mint *mint, const struct stage_token *wanted,
                          struct str subject, const char *jti)
{
    JSON_OWNED json_t *claims = json_object();
    bool is_good = put_facts(claims, mint) &&
                   json_put(claims, "iss", json_from_str(mint->tools->issuer)) &&
                   json_put(claims, "sub", json_from_str(subject)) &&
                   json_put(claims, "aud", json_from_str(wanted->audience)) &&
                   json_put(claims, "iat", json_integer(mint->now_s)) &&
                   json_put(claims, "nbf", json_integer(mint->now_s)) &&
                   json_put(claims, "exp", json_integer(mint->now_s + STAGE_TOKEN_LIFE_S)) &&
                   json_put(claims, "jti", json_string(jti));

    if (is_good && wanted->claims)
        is_good = json_object_update_missing(claims, json_iterable(wanted->claims)) == 0;
    return is_good ? TAKE(claims) : NULL;
}

static json_t *make_claims(const struct mint *mint, const struct stage_token *wanted,
                           struct error *error)
{
    struct str subject = wanted->subject.len > 0 ? wanted->subject : mint->stage;
    char jti[ID_LEN + 1];
    json_t *claims;

    if (subject.len > STAGE_TOKEN_SUBJECT_MAX) {
        (void)error_set(error, ERROR_MINT, "a subject has at most %d bytes, not %zu",
                        STAGE_TOKEN_SUBJECT_MAX, subject.len);
        return NULL;
    }
    if (!id_new(clock_wall_ms(), jti, error))
        return NULL;
    claims = claims_new(mint, wanted, subject, jti);
    if (!claims)
        (void)error_set(error, ERROR_MEMORY, "no memory for an assertion");
    return claims;
}

/* ---- signing on a worker ---- */

struct stage_signing {
    struct worker_job job; /* first: the worker gives it back */
    struct keys *keys;
    enum key_algorithm algorithm;
    struct key *given; /* instead; NULL: one of the issuer's */
    json_t *claims;
    struct waker waker;
    struct arena *arena; /* its own: the mint's others may use while we wait */
    bool is_signed;
    struct str token;
    struct error error;
};

static void signing_release(void *object)
{
    struct stage_signing *signing = object;

    json_decref(signing->claims);
    arena_free(signing->arena);
}

/* On a worker; the mint waits. */
static void sign_there(struct worker_job *job)
{
    struct stage_signing *signing = (struct stage_signing *)job;
    const struct keys_jwt jwt = { signing->algorithm, TYP, signing->claims };
    struct waker waker = signing->waker;

    if (signing->given)
        signing->is_signed = keys_sign_jwt_by(signing->given, TYP, signing->claims, signing->arena,
                                              &signing->token, &signing->error);
    else
        signing->is_signed = keys_sign_jwt_with(signing->keys, &jwt, signing->arena,
                                                &signing->token, &signing->error);
    waker.wake(waker.context); /* from here on the signing is not ours */
}

/* With `given`, or where that is NULL with the issuer's key of the algorithm. */
static struct stage_signing *signing_new(const struct mint *mint, enum key_algorithm algorithm,
                                         struct key *given, json_t **claims, struct error *error)
{
    struct stage_signing *made = arena_alloc(mint->arena, sizeof(*made));

    if (made) {
        made->job.run = sign_there;
        made->keys = mint->tools->keys;
        made->algorithm = algorithm;
        made->given = given;
        made->waker = mint->waker;
        made->arena = arena_new(SIGNING_MEMORY_MAX);
        made->claims = TAKE(*claims);
        if (arena_defer(mint->arena, signing_release, made) && made->arena)
            return made;
    }
    (void)error_set(error, ERROR_MEMORY, "no memory for an assertion");
    return NULL;
}

static enum progress give_to_worker(const struct mint *mint, enum key_algorithm algorithm,
                                    struct key *given, json_t **claims,
                                    struct stage_signing **signing, struct error *error)
{
    struct workers *workers =
        keys_may_block(mint->tools->keys) ? mint->tools->signers : mint->tools->workers;
    struct error inner = { 0 };

    *signing = signing_new(mint, algorithm, given, claims, error);
    if (!*signing)
        return PROGRESS_FAILED;
    if (workers_submit(workers, &(*signing)->job, &inner))
        return PROGRESS_WAIT;
    *signing = NULL;
    (void)error_set(error, ERROR_MINT, "no assertion: %s", inner.cause);
    return PROGRESS_FAILED;
}

static enum progress take_from_worker(const struct mint *mint, const struct stage_signing *signing,
                                      struct str *token, struct error *error)
{
    if (!signing->is_signed) {
        *error = signing->error;
        return PROGRESS_FAILED;
    }
    *token = arena_copy(mint->arena, signing->token);
    if (token->data)
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_MEMORY, "no memory for an assertion");
    return PROGRESS_FAILED;
}

enum progress stage_token_sign(const struct mint *mint, const struct stage_token *wanted,
                               struct stage_signing **signing, struct str *token,
                               struct error *error)
{
    enum key_algorithm algorithm = key_of(mint->tools, wanted->algorithm);
    JSON_OWNED json_t *claims = NULL;
    struct keys_jwt jwt;

    if (*signing)
        return take_from_worker(mint, *signing, token, error);
    claims = make_claims(mint, wanted, error);
    if (!claims)
        return PROGRESS_FAILED;
    if (algorithm == KEY_RS256 || keys_may_block(mint->tools->keys))
        return give_to_worker(mint, algorithm, NULL, &claims, signing, error);
    jwt = (struct keys_jwt){ algorithm, TYP, claims };
    return keys_sign_jwt_with(mint->tools->keys, &jwt, mint->arena, token, error) ? PROGRESS_DONE
                                                                                  : PROGRESS_FAILED;
}

enum progress given_key_sign(const struct mint *mint, struct key *key, json_t **take_claims,
                             struct stage_signing **signing, struct str *token, struct error *error)
{
    return *signing ? take_from_worker(mint, *signing, token, error)
                    : give_to_worker(mint, key_algorithm(key), key, take_claims, signing, error);
}
