#include "keys/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "keys/keys_internal.h"

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

static bool check_options(const struct keys_options *options, struct error *error)
{
    if (options->issuer_algorithm != KEY_ES256 && options->issuer_algorithm != KEY_RS256)
        return error_set(error, ERROR_CONFIG, "tokens are signed with ES256 or RS256");
    if (options->rotate_every_s < KEYS_LEAD_S)
        return error_set(error, ERROR_CONFIG,
                         "keys cannot rotate more often than every %" PRId64 " s", KEYS_LEAD_S);
    return true;
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
    made->options = *options;
    made->options.directory = NULL;
    if (!key_folder_open(&made->folder, options->directory, error) ||
        !keys_rotate(made, now_s, &has_rotated, error) || !sealing_open(made, error))
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
    for (size_t i = 0; i < keys->named_count; i++)
        key_free(keys->named[i].key);
    pthread_mutex_destroy(&keys->lock);
    key_folder_release(&keys->folder);
    free(keys);
}

bool keys_rotate(struct keys *keys, int64_t now_s, bool *has_rotated, struct error *error)
{
    const struct issuer_set *old = keys->issuer; /* only this caller replaces it */
    struct issuer_set *fresh = NULL;

    if (!issuer_refresh(&keys->folder, &keys->options, now_s, old, &fresh, error))
        return false;
    *has_rotated = fresh != NULL && old != NULL &&
                   !str_eq(str_from(old->current->kid), str_from(fresh->current->kid));
    if (fresh != NULL)
        replace_issuer(keys, fresh);
    return true;
}

bool keys_jwks(struct keys *keys, struct arena *arena, struct str *json, struct error *error)
{
    struct issuer_set *set = keys_take_issuer(keys);

    *json = arena_copy(arena, (struct str){ set->jwks_text, set->jwks_text_len });
    keys_give_issuer(keys, set);
    return json->data != NULL || error_set(error, ERROR_MEMORY, "the key set's text");
}

bool keys_issuer_kid(struct keys *keys, struct arena *arena, struct str *kid, struct error *error)
{
    struct issuer_set *set = keys_take_issuer(keys);

    *kid = arena_copy(arena, str_from(set->current->kid));
    keys_give_issuer(keys, set);
    return kid->data != NULL || error_set(error, ERROR_MEMORY, "a kid");
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
                         enum key_algorithm algorithm, struct key **key, struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    OWNED(key_free) struct key *loaded = NULL;
    char file[KEY_FILE_NAME_MAX];

    (void)snprintf(file, sizeof(file), STR_FMT ".key", STR_ARG(name));
    if (!key_folder_lock(folder, &lock, error) ||
        !key_load(folder, file, algorithm, &loaded, error))
        return false;
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

bool keys_named(struct keys *keys, struct str name, enum key_algorithm algorithm, struct key **key,
                struct error *error)
{
    OWNED(key_free) struct key *loaded = NULL;
    struct key *used;

    if (!check_name(name, error))
        return false;
    pthread_mutex_lock(&keys->lock);
    used = find_named(keys, name);
    pthread_mutex_unlock(&keys->lock);
    if (used == NULL) {
        if (!load_or_make(&keys->folder, name, algorithm, &loaded, error))
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
