#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/key_set_internal.h"
#include "identity/lookup_internal.h"

#define KID_MAX 256

struct set_key {
    const json_t *jwk; /* of the set's JSON, as the kid */
    struct str kid;
    bool has_kid;
    bool is_ambiguous;
    struct verifier *verifier;
};

struct key_set {
    atomic_uint references;
    json_t *json; /* holds the kids */
    struct set_key keys[KEY_SET_KEYS_MAX];
    size_t count;
    struct lookup by_kid;
};

struct key_set *key_set_ref(struct key_set *set)
{
    atomic_fetch_add(&set->references, 1);
    return set;
}

void key_set_unref(struct key_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->references, 1) > 1)
        return;
    for (size_t i = 0; i < set->count; i++)
        verifier_free(set->keys[i].verifier);
    lookup_release(&set->by_kid);
    json_decref(set->json);
    free(set);
}

/* False for what no token can name. */
static bool read_kid(const json_t *jwk, bool *has_kid, struct str *kid)
{
    const json_t *value = json_object_get(jwk, "kid");

    *has_kid = value != NULL;
    if (value == NULL)
        return true;
    if (!json_is_string(value) || json_string_length(value) > KID_MAX)
        return false;
    *kid = json_str(value);
    return true;
}

/* Two usable keys of one name: neither is used. */
static void add_name(struct key_set *set, struct str kid, size_t position)
{
    size_t first = 0;

    if (!lookup_add(&set->by_kid, kid, position) && lookup_find(&set->by_kid, kid, &first))
        set->keys[first].is_ambiguous = true;
}

static bool read_key(struct set_key *key, const json_t *jwk, unsigned algorithms,
                     struct error *error)
{
    *key = (struct set_key){ .jwk = jwk };
    if (!json_is_object(jwk))
        return error_set(error, ERROR_INVALID, "it is no object");
    if (!read_kid(jwk, &key->has_kid, &key->kid))
        return error_set(error, ERROR_INVALID, "its kid is no text of at most %d bytes", KID_MAX);
    return verifier_new(jwk, algorithms, &key->verifier, error);
}

/* Adds the key where it is one that we can use; false only without memory. */
static bool add_key(struct key_set *set, const json_t *jwk, unsigned algorithms,
                    const struct key_visitor *visitor, struct error *error)
{
    struct set_key *key = &set->keys[set->count];
    struct error why = { 0 };
    bool is_usable = read_key(key, jwk, algorithms, &why);

    if (why.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "%s", why.cause);
    if (visitor != NULL)
        visitor->visit(jwk, is_usable ? NULL : why.cause, visitor->context);
    if (!is_usable)
        return true;
    if (key->has_kid)
        add_name(set, key->kid, set->count);
    set->count++;
    return true;
}

static bool add_keys(struct key_set *set, unsigned algorithms, const struct key_visitor *visitor,
                     struct error *error)
{
    const json_t *keys = json_object_get(set->json, "keys");

    if (!json_is_array(keys))
        return error_set(error, ERROR_INVALID, "the key set has no array of keys");
    if (json_array_size(keys) > KEY_SET_KEYS_MAX)
        return error_set(error, ERROR_INVALID, "the key set has more than %d keys",
                         KEY_SET_KEYS_MAX);
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (!add_key(set, json_array_get(keys, i), algorithms, visitor, error))
            return false;
    if (set->count == 0)
        return error_set(error, ERROR_INVALID, "the key set has no key that we can use");
    return true;
}

static bool read_set(const json_t *jwks, unsigned algorithms, const struct key_visitor *visitor,
                     struct key_set **set, struct error *error)
{
    OWNED(key_set_unref) struct key_set *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a key set");
    atomic_init(&made->references, 1);
    made->json = json_incref(json_iterable(jwks));
    if (!lookup_init(&made->by_kid, KEY_SET_KEYS_MAX))
        return error_set(error, ERROR_MEMORY, "no memory for a key set");
    if (!add_keys(made, algorithms, visitor, error))
        return false;
    *set = TAKE(made);
    return true;
}

bool key_set_read(const json_t *jwks, unsigned algorithms, struct key_set **set,
                  struct error *error)
{
    return read_set(jwks, algorithms, NULL, set, error);
}

bool key_set_parse_telling(struct str jwks, unsigned algorithms, const struct key_visitor *visitor,
                           struct key_set **set, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error why = { 0 };

    if (!json_parse_object(jwks, JSON_LIMITS_JWKS, &parsed, &why))
        return error_set(error, why.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID,
                         "key set: %s", why.cause);
    return read_set(parsed, algorithms, visitor, set, error);
}

bool key_set_parse(struct str jwks, unsigned algorithms, struct key_set **set, struct error *error)
{
    return key_set_parse_telling(jwks, algorithms, NULL, set, error);
}

static bool add_name_of(const struct set_key *key, json_t *names)
{
    char thumbprint[44];
    struct error why = { 0 };
    OWNED(buf_release) struct buf name = { 0 };

    if (!jwk_thumbprint(key->jwk, thumbprint, &why))
        return false;
    buf_init(&name, sizeof(thumbprint) + 1 + KID_MAX + 1);
    buf_add_text(&name, thumbprint);
    buf_add(&name, STR(":"));
    buf_add(&name, key->kid);
    return buf_is_ok(&name) &&
           json_put(names, name.data,
                    key->has_kid ? json_from_str(key->kid) : json_string(thumbprint));
}

json_t *key_set_names(const struct key_set *set)
{
    json_t *names = json_object();
    bool is_good = names != NULL;

    for (size_t i = 0; i < set->count && is_good; i++)
        is_good = add_name_of(&set->keys[i], names);
    if (is_good)
        return names;
    json_decref(names);
    return NULL;
}

json_t *key_set_json(const struct key_set *set)
{
    json_t *keys = json_array();
    json_t *json = json_object();
    bool is_good = keys != NULL;

    for (size_t i = 0; i < set->count && is_good; i++)
        is_good = json_array_append(keys, json_iterable(set->keys[i].jwk)) == 0;
    if (!is_good) {
        json_decref(keys);
        keys = NULL;
    }
    if (json_put(json, "keys", keys))
        return json;
    json_decref(json);
    return NULL;
}

static enum key_match find_by_kid(const struct key_set *set, const struct token_envelope *envelope,
                                  struct verifier **verifier, struct error *error)
{
    const struct set_key *key;
    size_t position = 0;

    if (!lookup_find(&set->by_kid, envelope->kid, &position))
        return KEY_MATCH_UNKNOWN;
    key = &set->keys[position];
    if (key->is_ambiguous) {
        error_set(error, ERROR_TOKEN, "two keys have its kid");
        return KEY_MATCH_REFUSED;
    }
    if ((verifier_algorithms(key->verifier) & envelope->algorithm) == 0) {
        error_set(error, ERROR_TOKEN, "its key is for another algorithm");
        return KEY_MATCH_REFUSED;
    }
    *verifier = key->verifier;
    return KEY_MATCH_FOUND;
}

static enum key_match find_only(const struct key_set *set, const struct token_envelope *envelope,
                                struct verifier **verifier, struct error *error)
{
    struct verifier *found = NULL;

    for (size_t i = 0; i < set->count; i++) {
        if ((verifier_algorithms(set->keys[i].verifier) & envelope->algorithm) == 0)
            continue;
        if (found != NULL) {
            error_set(error, ERROR_TOKEN, "it has no kid, and several keys fit");
            return KEY_MATCH_REFUSED;
        }
        found = set->keys[i].verifier;
    }
    *verifier = found;
    return found != NULL ? KEY_MATCH_FOUND : KEY_MATCH_UNKNOWN;
}

enum key_match key_set_find(const struct key_set *set, const struct token_envelope *envelope,
                            struct verifier **verifier, struct error *error)
{
    return envelope->has_kid ? find_by_kid(set, envelope, verifier, error)
                             : find_only(set, envelope, verifier, error);
}

struct str key_set_kid(const struct key_set *set, const struct verifier *verifier)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->keys[i].verifier == verifier)
            return set->keys[i].kid;
    return STR("");
}
