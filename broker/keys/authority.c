#include "keys/authority.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "keys/authority_internal.h"

#define ARENA_MAX ((size_t)512 * 1024)
#define SMALL_NAME "abcdefghijklmnopqrstuvwxyz0123456789-"

/* ---- sets ---- */

static void set_free(struct authority_set *set)
{
    if (set == NULL)
        return;
    authority_set_clear(set);
    arena_free(set->arena);
    free(set);
}

OWNED_POINTER(set_free, struct authority_set)

static bool copy_options(struct authority_set *set, const struct authority_options *options)
{
    struct certificate_name *names =
        arena_alloc_array(set->arena, options->permitted_count + 1, sizeof(*names));

    set->options = *options;
    set->options.name = arena_copy(set->arena, options->name);
    set->options.user = arena_copy(set->arena, options->user);
    set->options.permitted = names;
    if (names == NULL || set->options.name.data == NULL || set->options.user.data == NULL)
        return false;
    for (size_t i = 0; i < options->permitted_count; i++) {
        names[i] = options->permitted[i];
        names[i].text = arena_copy(set->arena, options->permitted[i].text);
        if (names[i].text.data == NULL)
            return false;
    }
    return true;
}

static struct authority_set *set_new(const struct authority_options *options)
{
    struct authority_set *set = calloc(1, sizeof(*set));

    if (set == NULL)
        return NULL;
    set->references = 1;
    set->arena = arena_new_frugal(ARENA_MAX);
    if (set->arena != NULL && copy_options(set, options))
        return set;
    set_free(set);
    return NULL;
}

static bool make_set(const struct key_folder *folder, const struct authority_options *options,
                     int64_t now_s, struct authority_set **out, struct error *error)
{
    OWNED(set_free) struct authority_set *set = set_new(options);

    if (set == NULL)
        return error_set(error, ERROR_MEMORY, "a CA");
    if (!authority_load(folder, now_s, set, error))
        return error_wrap(error, "CA " STR_FMT, STR_ARG(options->name));
    *out = TAKE(set);
    return true;
}

struct authority_set *authority_take(struct authority *authority)
{
    struct authority_set *set;

    (void)pthread_mutex_lock(&authority->lock);
    set = authority->set;
    set->references++;
    (void)pthread_mutex_unlock(&authority->lock);
    return set;
}

void authority_give(struct authority *authority, struct authority_set *set)
{
    bool is_last;

    (void)pthread_mutex_lock(&authority->lock);
    is_last = --set->references == 0;
    (void)pthread_mutex_unlock(&authority->lock);
    if (is_last)
        set_free(set);
}

/* In the place of `known` only; NULL: of whichever is there. */
static void replace(struct authority *authority, const struct authority_set *known,
                    struct authority_set *take_set)
{
    struct authority_set *old = take_set;

    (void)pthread_mutex_lock(&authority->lock);
    if (known == NULL || authority->set == known) {
        old = authority->set;
        authority->set = take_set;
    }
    (void)pthread_mutex_unlock(&authority->lock);
    if (old != NULL)
        authority_give(authority, old);
}

/* ---- its life ---- */

static bool check_options(const struct authority_options *options, struct error *error)
{
    if (options->name.len == 0 || options->name.len > AUTHORITY_NAME_MAX ||
        !str_is_made_of(options->name, SMALL_NAME))
        return error_set(error, ERROR_CONFIG, "a CA's name is [a-z0-9-]{1,%d}", AUTHORITY_NAME_MAX);
    if (options->rotate_every_s < AUTHORITY_ROTATE_MIN_S)
        return error_set(error, ERROR_CONFIG, "a CA rotates every %" PRId64 " s at most",
                         AUTHORITY_ROTATE_MIN_S);
    if (options->permitted_count > AUTHORITY_PERMITTED_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d names of a CA", AUTHORITY_PERMITTED_MAX);
    return true;
}

bool authority_new(const struct key_folder *folder, const struct authority_options *options,
                   int64_t now_s, struct authority **authority, struct error *error)
{
    OWNED(authority_free) struct authority *made = NULL;

    if (!check_options(options, error))
        return false;
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a CA");
    (void)pthread_mutex_init(&made->lock, NULL);
    memcpy(made->name, options->name.data, options->name.len);
    made->arena = arena_new_frugal(ARENA_MAX);
    if (made->arena != NULL)
        made->user = arena_copy(made->arena, options->user);
    if (made->user.data == NULL)
        return error_set(error, ERROR_MEMORY, "a CA");
    if (!make_set(folder, options, now_s, &made->set, error))
        return false;
    *authority = TAKE(made);
    return true;
}

void authority_free(struct authority *authority)
{
    if (authority == NULL)
        return;
    set_free(authority->set);
    arena_free(authority->arena);
    (void)pthread_mutex_destroy(&authority->lock);
    free(authority);
}

bool authority_change(struct authority *authority, const struct key_folder *folder,
                      const struct authority_options *options, int64_t now_s, struct error *error)
{
    struct authority_set *set = NULL;

    if (!str_eq(authority->user, options->user))
        return error_set(error, ERROR_CONFIG,
                         "CA " STR_FMT ": it is '" STR_FMT "''s until the next start",
                         STR_ARG(options->name), STR_ARG(authority->user));
    if (!check_options(options, error) || !make_set(folder, options, now_s, &set, error))
        return false;
    replace(authority, NULL, set);
    return true;
}

bool authority_tend(struct authority *authority, const struct key_folder *folder, int64_t now_s,
                    struct error *error)
{
    struct authority_set *known = authority_take(authority);
    struct authority_set *set = NULL;
    bool is_made = make_set(folder, &known->options, now_s, &set, error);

    if (is_made)
        replace(authority, known, set);
    authority_give(authority, known);
    return is_made;
}

/* ---- issuing ---- */

static bool is_usable(const struct authority_signer *signer, int64_t now_s)
{
    return signer->fits && signer->begins_s <= now_s && now_s < signer->ends_s;
}

const struct authority_signer *authority_choose(const struct authority_set *set, int64_t now_s)
{
    const struct authority_signer *chosen = NULL;

    for (size_t i = 0; i < set->count; i++) {
        const struct authority_signer *signer = &set->signers[i];

        if (is_usable(signer, now_s) && (chosen == NULL || signer->signs_from_s <= now_s))
            chosen = signer;
    }
    return chosen;
}

static bool fill_in(const struct authority_set *set, const struct authority_signer *signer,
                    X509 *signed_one, struct arena *arena, struct certificate *out,
                    struct error *error)
{
    if (!certificate_tell(signed_one, arena, out, error))
        return false;
    out->chain = arena_copy(arena, signer->chain);
    out->root = arena_copy(arena, set->root_pem);
    out->issuer = arena_copy(arena, signer->id);
    return (out->chain.data != NULL && out->root.data != NULL && out->issuer.data != NULL) ||
           error_set(error, ERROR_MEMORY, "a certificate");
}

static bool issue(const struct authority_set *set, const struct certificate_plan *plan,
                  const struct certificate_request *request, struct arena *arena,
                  struct certificate *out, struct error *error)
{
    const struct authority_signer *signer = authority_choose(set, plan->now_s);
    OWNED(x509_free) X509 *signed_one = NULL;
    struct certificate_plan bounded = *plan;

    if (signer == NULL)
        return error_set(error, ERROR_MINT,
                         "CA " STR_FMT " has no certificate in force: have its newest request in "
                         "the keys' folder signed",
                         STR_ARG(set->options.name));
    if (bounded.valid_before_s > signer->ends_s)
        bounded.valid_before_s = signer->ends_s;
    if (plan->crl_url.len > 0) {
        bounded.crl_url = arena_printf(arena, STR_FMT "/%" PRId64 ".crl", STR_ARG(plan->crl_url),
                                       signer->created_s);
        if (bounded.crl_url.data == NULL)
            return error_set(error, ERROR_MEMORY, "a list's URL");
    }
    return certificate_sign(&bounded, request, &signer->self, &signed_one, error) &&
           fill_in(set, signer, signed_one, arena, out, error);
}

bool authority_issue(struct authority *authority, const struct certificate_plan *plan,
                     const struct certificate_request *request, struct arena *arena,
                     struct certificate *certificate, struct error *error)
{
    struct authority_set *set = authority_take(authority);
    bool is_issued = issue(set, plan, request, arena, certificate, error);

    authority_give(authority, set);
    return is_issued;
}
