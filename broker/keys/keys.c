#include "keys/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "keys/issuer_certificate.h"
#include "keys/jwk.h"
#include "keys/keys_internal.h"
#include "keys/pkcs11.h"

#define PUBLIC_TEXT_MAX ((size_t)4096)

/* Put a set in the place of the one in force; whoever still uses that one frees it. */
static void replace_issuer(struct keys *keys, struct issuer_set *take_set)
{
    struct issuer_set *old;

    pthread_mutex_lock(&keys->lock);
    old = keys->issuer;
    keys->issuer = take_set;
    pthread_mutex_unlock(&keys->lock);
    if (old != NULL)
        keys_give_issuer(keys, old);
}

struct issuer_set *keys_take_issuer(struct keys *keys)
{
    struct issuer_set *set;

    pthread_mutex_lock(&keys->lock);
    set = keys->issuer;
    set->ref_count++;
    pthread_mutex_unlock(&keys->lock);
    return set;
}

void keys_give_issuer(struct keys *keys, struct issuer_set *set)
{
    bool is_last;

    pthread_mutex_lock(&keys->lock);
    is_last = --set->ref_count == 0;
    pthread_mutex_unlock(&keys->lock);
    if (is_last)
        issuer_set_free(set);
}

static bool check_algorithm(enum key_algorithm algorithm, struct error *error)
{
    return issuer_algorithm_index(algorithm) < ISSUER_ALGORITHMS ||
           error_set(error, ERROR_CONFIG, "tokens are signed with ES256 or RS256");
}

static bool check_options(const struct keys_options *options, struct error *error)
{
    if (!check_algorithm(options->issuer_algorithm, error))
        return false;
    if (options->rotate_every_s < KEYS_LEAD_S)
        return error_set(error, ERROR_CONFIG,
                         "keys cannot rotate more often than every %" PRId64 " s", KEYS_LEAD_S);
    return true;
}

bool keys_check_token(const char *uri, struct error *error)
{
    return pkcs11_check_uri(uri, error);
}

static bool open_token(struct keys *keys, const struct keys_options *options, struct error *error)
{
    keys->folder.files = options->files;
    keys->folder.file_count = options->file_count;
    return options->token == NULL || pkcs11_open(options->token, &keys->folder.token, error);
}

bool keys_open(const struct keys_options *options, int64_t now_s, struct keys **keys,
               struct error *error)
{
    OWNED(keys_close) struct keys *made = NULL;
    bool has_rotated;

    if (!check_options(options, error))
        return false;
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "the keys");
    pthread_mutex_init(&made->lock, NULL);
    pthread_mutex_init(&made->tending, NULL);
    made->options = *options;
    made->in_use = 1U << issuer_algorithm_index(options->issuer_algorithm);
    made->options.directory = NULL;
    made->options.token = NULL;
    if (!key_folder_open(&made->folder, options->directory, error) ||
        !open_token(made, options, error) || !keys_rotate(made, now_s, &has_rotated, error) ||
        !sealing_open(made, error))
        return error_wrap(error, "keys");
    *keys = TAKE(made);
    return true;
}

void keys_close(struct keys *keys)
{
    if (keys == NULL)
        return;
    sealing_close(keys);
    issuer_set_free(keys->issuer);
    for (size_t i = 0; i < keys->named_count; i++) {
        key_free(keys->named[i].key);
        json_decref(keys->named[i].jwk);
    }
    for (size_t i = 0; i < keys->authority_count; i++)
        authority_free(keys->authorities[i]);
    pthread_mutex_destroy(&keys->lock);
    pthread_mutex_destroy(&keys->tending);
    pkcs11_close(keys->folder.token);
    key_folder_release(&keys->folder);
    free(keys);
}

bool keys_may_block(const struct keys *keys)
{
    return keys->folder.token != NULL;
}

void keys_tend_token(struct keys *keys, struct keys_health *health)
{
    struct pkcs11_health token = { 0 };

    *health = (struct keys_health){ 0 };
    if (keys->folder.token == NULL)
        return;
    pkcs11_tend(keys->folder.token, &token);
    if (token.failing_ms < 0)
        return;
    health->failing_s = token.failing_ms / 1000 + 1;
    memcpy(health->cause, token.cause, sizeof(health->cause));
}

/* They come by other threads, and stay. */
static size_t copy_authorities(struct keys *keys,
                               struct authority *authorities[KEYS_AUTHORITIES_MAX])
{
    size_t count;

    pthread_mutex_lock(&keys->lock);
    count = keys->authority_count;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the array is of pointers */
    memcpy(authorities, keys->authorities, count * sizeof(authorities[0]));
    pthread_mutex_unlock(&keys->lock);
    return count;
}

static bool tend_authorities(struct keys *keys, int64_t now_s, struct error *error)
{
    struct authority *authorities[KEYS_AUTHORITIES_MAX];
    size_t count = copy_authorities(keys, authorities);

    bool is_good = true;

    /* one with a bad file holds up no other; the first error stays */
    for (size_t i = 0; i < count; i++)
        is_good = authority_tend(authorities[i], &keys->folder, now_s, error) && is_good;
    return is_good;
}

/* Whether a key signs now in another one's place. */
static bool signs_anew(const struct issuer_set *old, const struct issuer_set *fresh)
{
    for (size_t i = 0; i < ISSUER_ALGORITHMS; i++) {
        const struct issuer_key *before = old->signers[i];
        const struct issuer_key *now = fresh->signers[i];

        if (before != NULL && now != NULL && !str_eq(str_from(before->kid), str_from(now->kid)))
            return true;
    }
    return false;
}

/* The caller holds `tending`. */
static bool tend(struct keys *keys, int64_t now_s, bool *has_rotated, struct error *error)
{
    const struct issuer_set *old = keys->issuer;
    const struct issuer_order order = { &keys->options, keys->in_use, now_s };
    struct issuer_set *fresh = NULL;

    if (!issuer_refresh(&keys->folder, &order, old, &fresh, error))
        return false;
    *has_rotated = fresh != NULL && old != NULL && signs_anew(old, fresh);
    if (fresh != NULL)
        replace_issuer(keys, fresh);
    return true;
}

bool keys_rotate(struct keys *keys, int64_t now_s, bool *has_rotated, struct error *error)
{
    bool is_done;

    pthread_mutex_lock(&keys->tending);
    is_done = tend(keys, now_s, has_rotated, error);
    pthread_mutex_unlock(&keys->tending);
    return is_done && tend_authorities(keys, now_s, error);
}

bool keys_use(struct keys *keys, enum key_algorithm algorithm, int64_t now_s, struct error *error)
{
    bool has_rotated;
    unsigned bit;
    bool is_done;

    if (!check_algorithm(algorithm, error))
        return false;
    bit = 1U << issuer_algorithm_index(algorithm);
    pthread_mutex_lock(&keys->tending);
    is_done = (keys->in_use & bit) != 0;
    if (!is_done) {
        keys->in_use |= bit;
        is_done = tend(keys, now_s, &has_rotated, error);
    }
    if (!is_done)
        keys->in_use &= ~bit;
    pthread_mutex_unlock(&keys->tending);
    return is_done || error_wrap(error, "keys");
}

enum key_algorithm keys_issuer_algorithm(const struct keys *keys)
{
    return keys->options.issuer_algorithm;
}

bool keys_publishes(struct keys *keys, enum key_algorithm algorithm)
{
    struct issuer_set *set = keys_take_issuer(keys);
    size_t index = issuer_algorithm_index(algorithm);
    bool is_published = index < ISSUER_ALGORITHMS && set->signers[index] != NULL;

    keys_give_issuer(keys, set);
    return is_published;
}

bool keys_jwks(struct keys *keys, struct arena *arena, struct str *json, struct error *error)
{
    struct issuer_set *set = keys_take_issuer(keys);

    *json = arena_copy(arena, (struct str){ set->jwks_text, set->jwks_text_len });
    keys_give_issuer(keys, set);
    return json->data != NULL || error_set(error, ERROR_MEMORY, "the key set's text");
}

static bool check_name(struct str name, struct error *error)
{
    if (name.len == 0 || name.len > KEY_NAME_MAX ||
        !str_is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789-"))
        return error_set(error, ERROR_CONFIG, "a key's name is [a-z0-9-]{1,%d}", KEY_NAME_MAX);
    if (str_eq(name, STR("sealing")) || str_starts_with(name, STR("issuer-")))
        return error_set(error, ERROR_CONFIG, "'" STR_FMT "' is the name of a key of ours",
                         STR_ARG(name));
    return true;
}

/* Write the public half each time, so that it is never another key's. */
static bool write_public(const struct key_folder *folder, struct str name, const struct key *key,
                         struct error *error)
{
    OWNED(buf_release) struct buf text;
    char file[KEY_FILE_NAME_MAX];

    buf_init(&text, PUBLIC_TEXT_MAX);
    (void)snprintf(file, sizeof(file), STR_FMT ".pub", STR_ARG(name));
    return key_public_text(key, name, &text, error) &&
           key_folder_write(folder, file, buf_str(&text), 0644, error);
}

static bool load_or_make(const struct key_folder *folder, struct str name,
                         enum key_algorithm algorithm, bool may_make, struct key **key,
                         struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    OWNED(key_free) struct key *loaded = NULL;
    char file[KEY_FILE_NAME_MAX];

    (void)snprintf(file, sizeof(file), STR_FMT ".key", STR_ARG(name));
    if (!key_folder_lock(folder, &lock, error) ||
        !key_load(folder, file, algorithm, &loaded, error))
        return false;
    if (loaded == NULL && !may_make)
        return error_set(error, ERROR_CONFIG, "%s: is not %s, with mode 0600", file,
                         folder->token == NULL
                             ? "in the keys' folder: put it there"
                             : "in the token: import it there, or name it under keys.files and put "
                               "it into the keys' folder");
    if (loaded == NULL && (!key_make(folder, file, algorithm, error) ||
                           !key_load(folder, file, algorithm, &loaded, error)))
        return false;
    if (loaded == NULL)
        return error_set(error, ERROR_IO, "%s: vanished", file);
    if (!write_public(folder, name, loaded, error))
        return false;
    *key = TAKE(loaded);
    return true;
}

/* The caller holds the lock. */
static struct key *find_named(const struct keys *keys, struct str name)
{
    for (size_t i = 0; i < keys->named_count; i++) {
        if (str_eq(name, str_from(keys->named[i].name)))
            return keys->named[i].key;
    }
    return NULL;
}

/* Remember a key; gives the one to use, NULL where there is no room. Two threads may load one. */
static struct key *add_named(struct keys *keys, struct str name, struct key **key)
{
    struct key *used;

    pthread_mutex_lock(&keys->lock);
    used = find_named(keys, name);
    if (used == NULL && keys->named_count < KEYS_NAMED_MAX) {
        struct named_key *slot = &keys->named[keys->named_count++];

        memcpy(slot->name, name.data, name.len);
        used = slot->key = TAKE(*key);
    }
    pthread_mutex_unlock(&keys->lock);
    return used;
}

static bool use_named(struct keys *keys, struct str name, enum key_algorithm algorithm,
                      bool may_make, struct key **key, struct error *error)
{
    OWNED(key_free) struct key *loaded = NULL;
    struct key *used;

    if (!check_name(name, error))
        return false;
    pthread_mutex_lock(&keys->lock);
    used = find_named(keys, name);
    pthread_mutex_unlock(&keys->lock);
    if (used == NULL) {
        if (!load_or_make(&keys->folder, name, algorithm, may_make, &loaded, error))
            return false;
        used = add_named(keys, name, &loaded);
    }
    if (used == NULL)
        return error_set(error, ERROR_LIMIT, "more than %d named keys", KEYS_NAMED_MAX);
    if (used->algorithm != algorithm)
        return error_set(error, ERROR_CONFIG, "key '" STR_FMT "' is used with another algorithm",
                         STR_ARG(name));
    *key = used;
    return true;
}

bool keys_named(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error)
{
    return use_named(keys, name, algorithm, true, key, error);
}

bool keys_given(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error)
{
    return use_named(keys, name, algorithm, false, key, error);
}

/* The public half with its certificate; the folder's lock is held meanwhile. */
static bool certify(const struct keys *keys, struct str name, struct key *key, int64_t now_s,
                    json_t **jwk, struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    char file[KEY_NAME_MAX + sizeof(".crt")];

    (void)snprintf(file, sizeof(file), STR_FMT ".crt", STR_ARG(name));
    return key_folder_lock(&keys->folder, &lock, error) &&
           jwk_write(key->pool.pkey, key->algorithm, jwk, error) &&
           issuer_certificate_put(&keys->folder, file, key, now_s, *jwk, error);
}

/* The JWK of a key that has one; else it takes this one. */
static const json_t *use_jwk(struct keys *keys, const struct key *key, json_t **jwk)
{
    const json_t *used = NULL;

    pthread_mutex_lock(&keys->lock);
    for (size_t i = 0; i < keys->named_count; i++) {
        if (keys->named[i].key != key)
            continue;
        if (keys->named[i].jwk == NULL)
            keys->named[i].jwk = TAKE(*jwk);
        used = keys->named[i].jwk;
    }
    pthread_mutex_unlock(&keys->lock);
    return used;
}

bool keys_certified(struct keys *keys, struct str name, int64_t now_s,
                    struct keys_certified *certified, struct error *error)
{
    JSON_OWNED json_t *jwk = NULL;

    if (!keys_named(keys, name, KEY_ES256, &certified->key, error))
        return false;
    certified->jwk = use_jwk(keys, certified->key, &jwk);
    if (certified->jwk == NULL) {
        if (!certify(keys, name, certified->key, now_s, &jwk, error))
            return false;
        certified->jwk = use_jwk(keys, certified->key, &jwk);
    }
    return true;
}

/* The caller holds the lock. */
static struct authority *find_authority(const struct keys *keys, struct str name)
{
    for (size_t i = 0; i < keys->authority_count; i++) {
        if (str_eq(name, str_from(keys->authorities[i]->name)))
            return keys->authorities[i];
    }
    return NULL;
}

/* Remember one; gives the one to use, NULL where there is no room. */
static struct authority *add_authority(struct keys *keys, struct authority **authority)
{
    struct authority *used;

    pthread_mutex_lock(&keys->lock);
    used = find_authority(keys, str_from((*authority)->name));
    if (used == NULL && keys->authority_count < KEYS_AUTHORITIES_MAX)
        used = keys->authorities[keys->authority_count++] = TAKE(*authority);
    pthread_mutex_unlock(&keys->lock);
    return used;
}

bool keys_authority(struct keys *keys, const struct authority_options *options, int64_t now_s,
                    struct authority **authority, struct error *error)
{
    OWNED(authority_free) struct authority *made = NULL;
    struct authority *used;

    if (!check_name(options->name, error))
        return false;
    pthread_mutex_lock(&keys->lock);
    used = find_authority(keys, options->name);
    pthread_mutex_unlock(&keys->lock);
    if (used != NULL) {
        *authority = used;
        return authority_change(used, &keys->folder, options, now_s, error);
    }
    if (!authority_new(&keys->folder, options, now_s, &made, error))
        return false;
    *authority = add_authority(keys, &made);
    return *authority != NULL ||
           error_set(error, ERROR_LIMIT, "more than %d certificate authorities",
                     KEYS_AUTHORITIES_MAX);
}

static void add_health(struct authority *authority, int64_t now_s, struct authority_health *health)
{
    struct authority_set *set = authority_take(authority);
    const struct authority_signer *signer = authority_choose(set, now_s);

    health->waiting += set->is_waiting;
    health->lacking += signer == NULL;
    if (signer != NULL && (health->ends_s == 0 || signer->ends_s < health->ends_s))
        health->ends_s = signer->ends_s;
    authority_give(authority, set);
}

void keys_authority_health(struct keys *keys, int64_t now_s, struct authority_health *health)
{
    struct authority *authorities[KEYS_AUTHORITIES_MAX];
    size_t count = copy_authorities(keys, authorities);

    *health = (struct authority_health){ 0 };
    for (size_t i = 0; i < count; i++)
        add_health(authorities[i], now_s, health);
}
