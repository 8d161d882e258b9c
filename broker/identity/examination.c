#include "identity/examination.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "identity/claims_internal.h"
#include "identity/identity.h"
#include "identity/key_fetch_internal.h"
#include "identity/key_source_internal.h"
#include "identity/profile.h"
#include "upstream/upstream.h"

/* Under way. The upstream thread writes until it is ended; then it is the caller's again. */
struct examiner {
    const struct issuer_options *issuer;
    struct arena *arena;
    struct examination *examination;
    enum examination_step step; /* the next one */
    bool lacks_memory;
    struct key_set *set;
    int64_t max_age_s;
    struct error why; /* ERROR_NONE: the set is there */

    pthread_mutex_t lock;
    pthread_cond_t has_ended;
    bool is_ended; /* guarded by lock */
};

static const char *const step_names[EXAMINATION_STEP_COUNT] = {
    [EXAMINATION_CONFIGURATION] = "configuration",
    [EXAMINATION_DISCOVERY] = "discovery",
    [EXAMINATION_ISSUER] = "issuer",
    [EXAMINATION_KEYS_URL] = "jwks_uri",
    [EXAMINATION_KEYS] = "keys",
    [EXAMINATION_KEY_SET] = "key set",
    [EXAMINATION_LIFETIME] = "lifetime",
};

static const enum examination_step fetch_steps[KEY_FETCH_STEP_COUNT] = {
    [KEY_FETCH_DISCOVERY] = EXAMINATION_DISCOVERY,
    [KEY_FETCH_ISSUER] = EXAMINATION_ISSUER,
    [KEY_FETCH_KEYS_URL] = EXAMINATION_KEYS_URL,
    [KEY_FETCH_KEYS] = EXAMINATION_KEYS,
};

static struct str keep(struct examiner *examiner, struct str text)
{
    struct str copy = arena_copy(examiner->arena, text);

    if (copy.data == NULL && text.len > 0)
        examiner->lacks_memory = true;
    return copy;
}

static void set_step(struct examiner *examiner, enum examination_step step,
                     enum examination_state state, struct str detail)
{
    struct examined_step *row = &examiner->examination->steps[step];

    row->state = state;
    row->detail = keep(examiner, detail);
    examiner->step = step + 1;
}

/* Keys. */

static struct str member(struct examiner *examiner, const json_t *jwk, const char *name)
{
    return keep(examiner, json_str(json_object_get(jwk, name)));
}

static void visit_key(const json_t *jwk, const char *why, void *context)
{
    struct examiner *examiner = context;
    struct examination *examination = examiner->examination;

    examination->keys[examination->key_count++] = (struct examined_key){
        .has_kid = json_object_get(jwk, "kid") != NULL,
        .kid = member(examiner, jwk, "kid"),
        .kty = member(examiner, jwk, "kty"),
        .crv = member(examiner, jwk, "crv"),
        .alg = member(examiner, jwk, "alg"),
        .why = keep(examiner, str_from(why)),
    };
}

static bool is_usable(const struct examined_key *key)
{
    return key->why.len == 0;
}

/* At most KEY_SET_KEYS_MAX of them. */
static bool mark_ambiguous(struct examination *examination)
{
    bool has_any = false;

    for (size_t i = 0; i < examination->key_count; i++)
        for (size_t k = 0; k < examination->key_count; k++) {
            struct examined_key *key = &examination->keys[i];
            const struct examined_key *other = &examination->keys[k];

            if (i == k || !is_usable(key) || !is_usable(other) || !key->has_kid ||
                !other->has_kid || !str_eq(key->kid, other->kid))
                continue;
            key->is_ambiguous = true;
            has_any = true;
        }
    return has_any;
}

/* A fetch, from the upstream thread. */

static void pass_step(enum key_fetch_step step, struct str detail, void *context)
{
    set_step(context, fetch_steps[step], EXAMINATION_PASSED, detail);
}

static void note_unreachable(void *context)
{
    struct examiner *examiner = context;

    examiner->examination->is_unreachable = true;
}

static void end_fetch(struct key_set *take_set, int64_t max_age_s, const struct error *why,
                      void *context)
{
    struct examiner *examiner = context;

    examiner->set = take_set;
    examiner->max_age_s = max_age_s;
    if (take_set == NULL)
        examiner->why = *why;
    pthread_mutex_lock(&examiner->lock);
    examiner->is_ended = true;
    pthread_cond_signal(&examiner->has_ended);
    pthread_mutex_unlock(&examiner->lock);
}

static void await_end(struct examiner *examiner)
{
    pthread_mutex_lock(&examiner->lock);
    while (!examiner->is_ended)
        pthread_cond_wait(&examiner->has_ended, &examiner->lock);
    pthread_mutex_unlock(&examiner->lock);
}

static bool fetch(struct examiner *examiner, const struct key_source *source,
                  struct upstream *upstream, struct error *error)
{
    const struct key_fetch_observer observer = {
        .passed = pass_step,
        .unreachable = note_unreachable,
        .keys = { visit_key, examiner },
        .context = examiner,
    };
    const struct key_fetch_listener listener = { end_fetch, &observer, examiner };

    if (!key_fetch_start(upstream, key_source_location(source), listener, error))
        return false;
    await_end(examiner);
    return true;
}

/* What a set's life is, where there is one. */
static void tell_lifetime(struct examiner *examiner)
{
    int64_t lifetime_s = key_source_lifetime_s(examiner->max_age_s);
    struct str text;

    if (examiner->max_age_s < 0)
        text = arena_printf(examiner->arena,
                            "the issuer says nothing of it: kept for %" PRId64 " s", lifetime_s);
    else
        text =
            arena_printf(examiner->arena, "the issuer says %" PRId64 " s: kept for %" PRId64 " s",
                         examiner->max_age_s, lifetime_s);
    set_step(examiner, EXAMINATION_LIFETIME, EXAMINATION_PASSED, text);
}

/* The step that was under way failed, or all went well. */
static void conclude(struct examiner *examiner)
{
    struct examination *examination = examiner->examination;
    size_t usable = 0;

    if (examiner->why.code != ERROR_NONE) {
        set_step(examiner, examiner->step, EXAMINATION_FAILED, str_from(examiner->why.cause));
        return;
    }
    for (size_t i = 0; i < examination->key_count; i++)
        usable += is_usable(&examination->keys[i]) ? 1 : 0;
    set_step(examiner, EXAMINATION_KEY_SET, EXAMINATION_PASSED,
             arena_printf(examiner->arena, "%zu of %zu keys are usable", usable,
                          examination->key_count));
    if (examiner->issuer->jwks_file == NULL)
        tell_lifetime(examiner);
    else
        set_step(examiner, EXAMINATION_LIFETIME, EXAMINATION_PASSED,
                 STR("a file's: kept until the next reload"));
    examination->is_good = !mark_ambiguous(examination);
}

static void examine_file(struct examiner *examiner)
{
    const struct key_visitor visitor = { visit_key, examiner };
    const struct issuer_options *issuer = examiner->issuer;
    unsigned algorithms =
        issuer->algorithms != 0 ? issuer->algorithms : issuer->profile->algorithms;
    struct str text;

    examiner->step = EXAMINATION_KEYS;
    if (!file_read(examiner->arena, issuer->jwks_file, KEY_SET_MAX_BYTES, &text, &examiner->why))
        return;
    set_step(examiner, EXAMINATION_KEYS, EXAMINATION_PASSED, str_from(issuer->jwks_file));
    if (!key_set_parse_telling(text, algorithms, &visitor, &examiner->set, &examiner->why))
        examiner->step = EXAMINATION_KEY_SET;
}

static bool examine_peer(struct examiner *examiner, struct upstream *upstream, struct error *error)
{
    OWNED(key_source_unref) struct key_source *source = NULL;
    const struct issuer_options *issuer = examiner->issuer;
    unsigned algorithms =
        issuer->algorithms != 0 ? issuer->algorithms : issuer->profile->algorithms;

    return key_source_new(issuer, algorithms, upstream, NULL, &source, error) &&
           fetch(examiner, source, upstream, error);
}

static bool check_configuration(struct examiner *examiner)
{
    const struct issuer_options *issuer = examiner->issuer;

    if (!upstream_url_check(issuer->url, issuer->may_use_http, &examiner->why) ||
        !claims_check_only(issuer, &examiner->why))
        return false;
    set_step(examiner, EXAMINATION_CONFIGURATION, EXAMINATION_PASSED,
             arena_printf(examiner->arena, STR_FMT ", profile %s", STR_ARG(issuer->url),
                          issuer->profile->name));
    return true;
}

bool identity_examine(const struct issuer_options *issuer, struct upstream *upstream,
                      struct arena *arena, struct examination *examination, struct error *error)
{
    struct examiner examiner = { .issuer = issuer, .arena = arena, .examination = examination };
    bool is_done = true;

    *examination = (struct examination){ 0 };
    for (size_t i = 0; i < EXAMINATION_STEP_COUNT; i++)
        examination->steps[i].name = step_names[i];
    examination->keys = arena_alloc_array(arena, KEY_SET_KEYS_MAX, sizeof(*examination->keys));
    if (examination->keys == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for keys");
    pthread_mutex_init(&examiner.lock, NULL);
    pthread_cond_init(&examiner.has_ended, NULL);
    if (check_configuration(&examiner)) {
        if (issuer->jwks_file != NULL)
            examine_file(&examiner);
        else
            is_done = examine_peer(&examiner, upstream, error);
    }
    if (is_done)
        conclude(&examiner);
    key_set_unref(examiner.set);
    pthread_cond_destroy(&examiner.has_ended);
    pthread_mutex_destroy(&examiner.lock);
    if (is_done && examiner.lacks_memory)
        return error_set(error, ERROR_MEMORY, "no memory for an examination");
    return is_done;
}
