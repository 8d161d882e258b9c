#include "exchange/token_lists.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/deflate.h"
#include "base/error.h"
#include "base/json.h"
#include "base/token_status.h"
#include "keys/keys.h"
#include "ledger/revoked.h"
#include "ledger/revoked_tokens.h"

#define TYP "statuslist+jwt"
/* A token, its claims, and what is made on the way. */
#define SIGN_MEMORY_MAX ((size_t)256 * 1024)

/* Threads: immutable, but `references` */
struct signed_list {
    struct token_lists *owner;
    size_t references; /* guarded by the owner's lock */
    size_t count;      /* of the tokens that were revoked in it */
    int64_t made_s;
    size_t len;
    char bytes[];
};

struct token_lists {
    pthread_mutex_t lock;
    /* Written by housekeeping under the lock, which it needs not to read them. */
    struct signed_list **lists; /* `max` of them; those of [first, first + count) */
    size_t max;
    uint64_t first;
    size_t count;
    bool is_ready; /* all were there once */
};

/* ---- one list ---- */

static void put_one(void *object)
{
    struct signed_list *list = object;
    struct token_lists *owner = list->owner;
    bool is_last;

    (void)pthread_mutex_lock(&owner->lock);
    is_last = --list->references == 0;
    (void)pthread_mutex_unlock(&owner->lock);
    if (is_last)
        free(list);
}

/* The bits of a list, compressed and encoded. */
static json_t *encoded(const struct revoked_token_list *revoked, struct error *error)
{
    static const uint8_t none[TOKEN_STATUS_BYTES];
    const uint8_t *bits = revoked == NULL ? none : revoked->bits;
    OWNED(buf_release) struct buf zlib = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&zlib, 2 * TOKEN_STATUS_BYTES);
    buf_init(&text, 2 * TOKEN_STATUS_BYTES);
    if (!deflate_zlib((struct str){ (const char *)bits, TOKEN_STATUS_BYTES }, &zlib, error))
        return NULL;
    buf_add_base64url(&text, buf_str(&zlib));
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static json_t *claims_of(const struct revoked_token_list *revoked, uint64_t number,
                         const struct token_lists_signer *signer, int64_t now_s,
                         struct error *error)
{
    struct token_status status = { number, 0 };
    JSON_OWNED json_t *reference = token_status_claim(&status, signer->issuer);
    const json_t *uri = json_object_get(json_object_get(reference, "status_list"), "uri");
    JSON_OWNED json_t *claims = json_object();
    json_t *list = json_object();
    bool is_good = json_put(claims, "status_list", list) &&
                   json_put(claims, "iss", json_from_str(signer->issuer)) &&
                   json_put(claims, "sub", json_incref(json_iterable(uri))) &&
                   json_put(claims, "iat", json_integer(now_s)) &&
                   json_put(claims, "exp", json_integer(now_s + TOKEN_LISTS_LIFE_S)) &&
                   json_put(claims, "ttl", json_integer(TOKEN_LISTS_TTL_S)) &&
                   json_put(list, "bits", json_integer(1)) &&
                   json_put(list, "lst", encoded(revoked, error));

    if (is_good)
        return TAKE(claims);
    if (error->code == ERROR_NONE)
        (void)error_set(error, ERROR_MEMORY, "no memory for a status list");
    return NULL;
}

static struct signed_list *sign(struct token_lists *lists, const struct revoked_token_list *revoked,
                                uint64_t number, const struct token_lists_signer *signer,
                                int64_t now_s, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIGN_MEMORY_MAX);
    JSON_OWNED json_t *claims = claims_of(revoked, number, signer, now_s, error);
    struct signed_list *list;
    struct str token;

    if (claims == NULL)
        return NULL;
    if (arena == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a status list");
        return NULL;
    }
    if (!keys_sign_jwt(signer->keys, TYP, claims, arena, &token, error))
        return NULL;
    list = malloc(sizeof(*list) + token.len);
    if (list == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory for a status list");
        return NULL;
    }
    *list =
        (struct signed_list){ lists, 1, revoked == NULL ? 0 : revoked->count, now_s, token.len };
    memcpy(list->bytes, token.data, token.len);
    return list;
}

/* ---- housekeeping ---- */

static void set_one(struct token_lists *lists, size_t place, struct signed_list *take_list)
{
    struct signed_list *old;

    (void)pthread_mutex_lock(&lists->lock);
    old = lists->lists[place];
    lists->lists[place] = take_list;
    (void)pthread_mutex_unlock(&lists->lock);
    if (old != NULL)
        put_one(old);
}

/* Let those below go, and leave room at the end. */
static void move_to(struct token_lists *lists, uint64_t first, size_t count)
{
    size_t gone = first <= lists->first ? 0 : (size_t)(first - lists->first);
    size_t kept;

    if (gone > lists->count)
        gone = lists->count;
    for (size_t i = 0; i < gone; i++)
        set_one(lists, i, NULL);
    kept = lists->count - gone;
    (void)pthread_mutex_lock(&lists->lock);
    for (size_t i = 0; gone > 0 && i < kept; i++) {
        lists->lists[i] = lists->lists[i + gone];
        lists->lists[i + gone] = NULL;
    }
    lists->first = first;
    lists->count = count;
    (void)pthread_mutex_unlock(&lists->lock);
}

/* From where the first token may live to one past the log's end; the latest where they are too
 * many, and then false. */
static bool follow(struct token_lists *lists, const struct revoked_book *book)
{
    uint64_t first = revoked_book_first_list(book);
    uint64_t last = revoked_book_size(book) / TOKEN_STATUS_ENTRIES + 1;
    bool is_whole = last - first < lists->max;

    if (first < lists->first)
        first = lists->first;
    if (last - first >= lists->max)
        first = last - lists->max + 1;
    move_to(lists, first, (size_t)(last - first + 1));
    return is_whole;
}

static bool is_due(const struct signed_list *list, const struct revoked_token_list *revoked,
                   int64_t now_s)
{
    return list == NULL || list->count != (revoked == NULL ? 0 : revoked->count) ||
           now_s < list->made_s || now_s >= list->made_s + TOKEN_LISTS_RENEW_S;
}

static bool make_due(struct token_lists *lists, const struct revoked_book *book,
                     const struct token_lists_signer *signer, int64_t now_s, size_t *made,
                     struct error *error)
{
    for (size_t i = lists->count; i-- > 0 && *made < TOKEN_LISTS_BATCH;) {
        const struct revoked_token_list *revoked =
            revoked_tokens_list(revoked_book_tokens(book), lists->first + i);
        struct signed_list *list;

        if (!is_due(lists->lists[i], revoked, now_s))
            continue;
        list = sign(lists, revoked, lists->first + i, signer, now_s, error);
        if (list == NULL)
            return error_wrap(error, "status list %" PRIu64, lists->first + i);
        set_one(lists, i, list);
        (*made)++;
    }
    return true;
}

bool token_lists_tend(struct token_lists *lists, const struct revoked_book *book,
                      const struct token_lists_signer *signer, int64_t now_s, bool *is_made,
                      struct error *error)
{
    size_t made = 0;
    bool is_whole = follow(lists, book);
    bool is_good;

    is_good = make_due(lists, book, signer, now_s, &made, error);
    *is_made = made > 0;
    if (is_good && made < TOKEN_LISTS_BATCH) {
        (void)pthread_mutex_lock(&lists->lock);
        lists->is_ready = true;
        (void)pthread_mutex_unlock(&lists->lock);
    }
    return is_good &&
           (is_whole || error_set(error, ERROR_LIMIT, "more than %zu status lists", lists->max));
}

/* ---- requests ---- */

bool token_lists_get(struct token_lists *lists, uint64_t number, struct arena *arena,
                     struct str *list, struct error *error)
{
    struct signed_list *found = NULL;
    bool is_ready;

    (void)pthread_mutex_lock(&lists->lock);
    is_ready = lists->is_ready;
    if (number >= lists->first && number - lists->first < lists->count)
        found = lists->lists[number - lists->first];
    if (found != NULL)
        found->references++;
    (void)pthread_mutex_unlock(&lists->lock);
    if (found == NULL)
        return is_ready ? error_set(error, ERROR_NOT_FOUND, "no status list of this number")
                        : error_set(error, ERROR_INDEX, "revoked tokens are being read");
    if (!arena_defer(arena, put_one, found))
        return error_set(error, ERROR_MEMORY, "no memory for a list");
    *list = (struct str){ found->bytes, found->len };
    return true;
}

bool token_lists_range(struct token_lists *lists, uint64_t *first, size_t *count,
                       struct error *error)
{
    bool is_ready;

    (void)pthread_mutex_lock(&lists->lock);
    is_ready = lists->is_ready;
    *first = lists->first;
    *count = lists->count;
    (void)pthread_mutex_unlock(&lists->lock);
    return is_ready || error_set(error, ERROR_INDEX, "revoked tokens are being read");
}

struct token_lists *token_lists_new(size_t max)
{
    struct token_lists *lists = calloc(1, sizeof(*lists));

    if (lists == NULL)
        return NULL;
    lists->max = max;
    lists->lists = calloc(max, sizeof(struct signed_list *));
    if (lists->lists != NULL && pthread_mutex_init(&lists->lock, NULL) == 0)
        return lists;
    free(lists->lists);
    free(lists);
    return NULL;
}

void token_lists_free(struct token_lists *lists)
{
    if (lists == NULL)
        return;
    for (size_t i = 0; i < lists->count; i++)
        if (lists->lists[i] != NULL)
            put_one(lists->lists[i]);
    (void)pthread_mutex_destroy(&lists->lock);
    free(lists->lists);
    free(lists);
}
