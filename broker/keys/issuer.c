#include "keys/issuer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "keys/issuer_certificate.h"
#include "keys/jwk.h"

/* Six keys of 4096 bits take 5 KiB, with their certificates 15 KiB. */
#define JWKS_TEXT_MAX ((size_t)32 * 1024)

static const struct algorithm {
    enum key_algorithm algorithm;
    const char *prefix;
} algorithms[ISSUER_ALGORITHMS] = {
    { KEY_ES256, "issuer-es256-" },
    { KEY_RS256, "issuer-rs256-" },
};

size_t issuer_algorithm_index(enum key_algorithm algorithm)
{
    size_t index = 0;

    while (index < ISSUER_ALGORITHMS && algorithms[index].algorithm != algorithm)
        index++;
    return index;
}

void issuer_choose(const int64_t *created_s, size_t count, int64_t now_s, struct issuer_plan *plan,
                   size_t *dropped_count)
{
    size_t current = 0;
    size_t first;

    for (size_t i = 1; i < count; i++) {
        if (created_s[i] <= now_s - KEYS_LEAD_S)
            current = i;
    }
    first = current > 0 ? current - 1 : 0;
    *plan = (struct issuer_plan){ .current_index = current - first };
    for (size_t i = first; i < count && i <= current + 1; i++)
        plan->created_s[plan->count++] = created_s[i];
    *dropped_count = first;
}

bool issuer_is_due(const int64_t *created_s, size_t count, int64_t now_s, int64_t rotate_every_s)
{
    /* no second next one: rotate_every_s is at least KEYS_LEAD_S, so the newest signs by then */
    return count == 0 || created_s[count - 1] <= now_s - rotate_every_s;
}

static void name_file(const struct algorithm *algorithm, int64_t created_s, const char *suffix,
                      char name[KEY_FILE_NAME_MAX])
{
    (void)snprintf(name, KEY_FILE_NAME_MAX, "%s%" PRId64 "%s", algorithm->prefix, created_s,
                   suffix);
}

/* A key that is not needed any more, and its certificate, where it has one. */
static bool remove_files(const struct key_folder *folder, const struct algorithm *algorithm,
                         int64_t created_s, struct error *error)
{
    char name[KEY_FILE_NAME_MAX];

    name_file(algorithm, created_s, ".key", name);
    if (!key_remove_rotating(folder, name, error))
        return false;
    name_file(algorithm, created_s, ".crt", name);
    return !key_folder_has(folder, name) || key_folder_remove(folder, name, error);
}

/* The next key, where it is time, or where the keys are to move into a token. */
static bool make_due(const struct key_folder *folder, const struct algorithm *algorithm,
                     const struct issuer_order *order, struct key_numbers *created_s,
                     struct error *error)
{
    int64_t next_s = key_next_number(created_s, order->now_s);
    char name[KEY_FILE_NAME_MAX];

    if (!created_s->lacks_own && !issuer_is_due(created_s->list, created_s->count, order->now_s,
                                                order->options->rotate_every_s))
        return true;
    name_file(algorithm, next_s, ".key", name);
    if (!key_make(folder, name, algorithm->algorithm, error))
        return false;
    created_s->list[created_s->count++] = next_s;
    return true;
}

/* Make the next key where it is time, and remove those that are not needed any more. */
static bool rotate_files(const struct key_folder *folder, size_t algorithm_index,
                         const struct issuer_order *order, struct issuer_plan *plan,
                         struct error *error)
{
    const struct algorithm *algorithm = &algorithms[algorithm_index];
    struct key_numbers created_s;
    size_t dropped_count;

    if (!key_list(folder, str_from(algorithm->prefix), &created_s, error) ||
        ((order->in_use & 1U << algorithm_index) != 0 &&
         !make_due(folder, algorithm, order, &created_s, error)))
        return false;
    issuer_choose(created_s.list, created_s.count, order->now_s, plan, &dropped_count);
    for (size_t i = 0; i < dropped_count; i++)
        if (!remove_files(folder, algorithm, created_s.list[i], error))
            return false;
    return true;
}

static bool put_certificate(const struct key_folder *folder, const struct algorithm *algorithm,
                            int64_t created_s, const struct issuer_key *key, struct error *error)
{
    char name[KEY_FILE_NAME_MAX];

    name_file(algorithm, created_s, ".crt", name);
    return issuer_certificate_put(folder, name, key->key, created_s, key->jwk, error);
}

static bool load_key(const struct key_folder *folder, const struct algorithm *algorithm,
                     int64_t created_s, struct issuer_key *out, struct error *error)
{
    char name[KEY_FILE_NAME_MAX];
    struct str kid;

    name_file(algorithm, created_s, ".key", name);
    if (!key_load_rotating(folder, name, algorithm->algorithm, &out->key, error))
        return false;
    if (out->key == NULL)
        return error_set(error, ERROR_IO, "%s: vanished", name);
    if (!jwk_write(out->key->pool.pkey, algorithm->algorithm, &out->jwk, error) ||
        !verifier_new(out->jwk, jwk_algorithm(algorithm->algorithm), &out->verifier, error))
        return error_wrap(error, "%s", name);
    if (!json_get_str(out->jwk, "kid", &kid) || kid.len >= sizeof(out->kid))
        return error_set(error, ERROR_CRYPTO, "%s: no kid", name);
    memcpy(out->kid, kid.data, kid.len);
    return true;
}

static bool load_algorithm(const struct key_folder *folder, size_t algorithm_index,
                           bool has_certificates, struct issuer_set *set, struct error *error)
{
    const struct algorithm *algorithm = &algorithms[algorithm_index];
    const struct issuer_plan *plan = &set->plans[algorithm_index];

    for (size_t i = 0; i < plan->count; i++) {
        struct issuer_key *key = &set->keys[set->key_count++];

        if (!load_key(folder, algorithm, plan->created_s[i], key, error))
            return false;
        if (has_certificates && !put_certificate(folder, algorithm, plan->created_s[i], key, error))
            return false;
    }
    return true;
}

/* The text that is served: newest keys last, all members sorted. */
static bool write_jwks(struct issuer_set *set, struct error *error)
{
    JSON_OWNED json_t *jwks = json_object();
    OWNED(buf_release) struct buf text;
    json_t *list = json_array();
    bool is_good = json_put(jwks, "keys", list);

    buf_init(&text, JWKS_TEXT_MAX);
    for (size_t i = 0; i < set->key_count && is_good; i++)
        is_good = json_array_append(list, set->keys[i].jwk) == 0;
    if (is_good)
        buf_add_json(&text, jwks);
    if (is_good && buf_is_ok(&text))
        set->jwks_text = strndup(text.data, text.len);
    if (set->jwks_text == NULL)
        return error_set(error, ERROR_MEMORY, "the key set's text");
    set->jwks_text_len = text.len;
    return true;
}

static bool load_set(const struct key_folder *folder, const struct keys_options *options,
                     struct issuer_set *set, struct error *error)
{
    for (size_t i = 0; i < ISSUER_ALGORITHMS; i++) {
        size_t first = set->key_count;

        if (!load_algorithm(folder, i, options->has_certificates, set, error))
            return false;
        if (set->plans[i].count > 0)
            set->signers[i] = &set->keys[first + set->plans[i].current_index];
        if (algorithms[i].algorithm == options->issuer_algorithm)
            set->current = set->signers[i];
    }
    return write_jwks(set, error);
}

static bool new_set(const struct key_folder *folder, const struct keys_options *options,
                    const struct issuer_plan plans[ISSUER_ALGORITHMS], struct issuer_set **set,
                    struct error *error)
{
    struct issuer_set *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "the issuer's keys");
    memcpy(made->plans, plans, sizeof(made->plans));
    made->ref_count = 1;
    if (!load_set(folder, options, made, error)) {
        issuer_set_free(made);
        return false;
    }
    *set = made;
    return true;
}

bool issuer_refresh(const struct key_folder *folder, const struct issuer_order *order,
                    const struct issuer_set *old, struct issuer_set **fresh, struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    struct issuer_plan plans[ISSUER_ALGORITHMS];

    if (!key_folder_lock(folder, &lock, error))
        return false;
    for (size_t i = 0; i < ISSUER_ALGORITHMS; i++) {
        if (!rotate_files(folder, i, order, &plans[i], error))
            return false;
    }
    *fresh = NULL;
    if (old != NULL && memcmp(old->plans, plans, sizeof(plans)) == 0)
        return true;
    return new_set(folder, order->options, plans, fresh, error);
}

void issuer_set_free(struct issuer_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->key_count; i++) {
        key_free(set->keys[i].key);
        verifier_free(set->keys[i].verifier);
        json_decref(set->keys[i].jwk);
    }
    free(set->jwks_text);
    free(set);
}

const struct issuer_key *issuer_find(const struct issuer_set *set, struct str kid)
{
    for (size_t i = 0; i < set->key_count; i++) {
        if (str_eq(kid, str_from(set->keys[i].kid)))
            return &set->keys[i];
    }
    return NULL;
}
