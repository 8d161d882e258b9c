#include "ledger/block.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"
#include "ledger/ledger_internal.h"

#define VIEW_MAX ((size_t)8 * 1024 * 1024)
#define READING_MAX ((size_t)64 * 1024)
#define THUMBPRINT_LEN 43
#define BASE64URL "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
#define HEX "0123456789abcdefABCDEF"
#define SHA1_HEX_LEN 40

struct kind_row {
    const char *name;
    bool is_personal;
    bool (*fits)(struct str value, struct network *network);
    const char *form;
};

static bool is_any(struct str value, struct network *network)
{
    (void)value;
    (void)network;
    return true;
}

static bool is_stage(struct str value, struct network *network)
{
    size_t colon = str_find(value, ':');

    (void)network;
    return colon > 0 && colon + 1 < value.len;
}

static bool is_address(struct str value, struct network *network)
{
    return network_parse(value, network);
}

static bool is_thumbprint(struct str value, struct network *network)
{
    (void)network;
    return value.len == THUMBPRINT_LEN && str_is_made_of(value, BASE64URL);
}

/* An abbreviated hash would never fit. Some systems number their commits. */
static bool is_commit(struct str value, struct network *network)
{
    (void)network;
    return value.len >= SHA1_HEX_LEN || !str_is_made_of(value, HEX) ||
           str_is_made_of(value, "0123456789");
}

static const struct kind_row kinds[BLOCK_KIND_COUNT] = {
    [BLOCK_ISSUER] = { "issuer", false, is_any, NULL },
    [BLOCK_KID] = { "kid", false, is_any, NULL },
    [BLOCK_REPOSITORY_ID] = { "repository-id", false, is_any, NULL },
    [BLOCK_PIPELINE] = { "pipeline", false, is_any, NULL },
    [BLOCK_STAGE] = { "stage", false, is_stage, "a stage is PIPELINE:STAGE" },
    [BLOCK_ACTOR] = { "actor", true, is_any, NULL },
    [BLOCK_COMMIT] = { "commit", false, is_commit, "a commit needs its whole hash" },
    [BLOCK_WORKFLOW_COMMIT] = { "workflow-commit", false, is_commit,
                                "a commit needs its whole hash" },
    [BLOCK_KEY] = { "key", false, is_thumbprint, "a key is its SHA-256 thumbprint in base64url" },
    [BLOCK_ADDRESS] = { "address", true, is_address,
                        "an address is one, or a range like 10.0.0.0/8 without host bits" },
    [BLOCK_TARGET] = { "target", false, is_any, NULL },
};

const char *block_kind_name(enum block_kind kind)
{
    return kinds[kind].name;
}

bool block_kind_is_personal(enum block_kind kind)
{
    return kinds[kind].is_personal;
}

bool block_kind_from(struct str name, enum block_kind *kind)
{
    for (size_t i = 0; i < BLOCK_KIND_COUNT; i++) {
        if (str_eq(name, str_from(kinds[i].name))) {
            *kind = (enum block_kind)i;
            return true;
        }
    }
    return false;
}

static bool refuse(const char *why, struct error *error)
{
    (void)error_set(error, ERROR_REQUEST, "%s", why);
    error_tell(error, "%s", why);
    return false;
}

bool block_check(enum block_kind kind, struct str value, struct network *network,
                 struct error *error)
{
    *network = (struct network){ 0 };
    if (value.len == 0 || value.len > BLOCK_VALUE_MAX || str_has_control(value) ||
        !str_is_utf8(value))
        return refuse("what is blocked is 1 to 512 bytes of plain text", error);
    return kinds[kind].fits(value, network) || refuse(kinds[kind].form, error);
}

bool block_put(enum block_kind kind, struct str value, json_t *entry, json_t *private_part,
               struct error *error)
{
    json_t *blocked = json_object();
    JSON_OWNED json_t *text = json_from_str(value);

    if (!json_put(entry, "blocked", blocked) ||
        !json_put(blocked, "kind", json_string(kinds[kind].name)) || text == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    if (kinds[kind].is_personal)
        return entry_put_personal(blocked, "blocked", "value", text, private_part, error);
    return json_put(blocked, "value", json_incref(text)) ||
           error_set(error, ERROR_MEMORY, "no memory for an entry");
}

/* ---- views ---- */

void block_view_put(struct block_view *view)
{
    if (view == NULL || __atomic_sub_fetch(&view->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    arena_free(view->arena);
    free(view);
}

static struct block_view *view_get(struct block_view *view)
{
    if (view != NULL)
        (void)__atomic_add_fetch(&view->references, 1, __ATOMIC_ACQ_REL);
    return view;
}

static struct block_view *view_new(size_t capacity)
{
    struct block_view *view = calloc(1, sizeof(*view) + capacity * sizeof(view->blocks[0]));

    if (view == NULL)
        return NULL;
    view->references = 1;
    view->arena = arena_new_frugal(VIEW_MAX);
    if (view->arena != NULL)
        return view;
    free(view);
    return NULL;
}

size_t block_view_count(const struct block_view *view, int64_t now_s)
{
    size_t count = 0;

    for (size_t i = 0; i < view->count; i++)
        count += view->blocks[i].expires_s > now_s;
    return count;
}

bool block_view_has_room(const struct block_view *view, int64_t now_s)
{
    return block_view_count(view, now_s) < BLOCKS_MAX;
}

const struct block *block_view_find(const struct block_view *view, struct str id, int64_t now_s)
{
    for (size_t i = 0; i < view->count; i++)
        if (view->blocks[i].expires_s > now_s && str_eq(id, str_from(view->blocks[i].id)))
            return &view->blocks[i];
    return NULL;
}

/* ---- reading one ---- */

static bool is_digest(const json_t *value)
{
    return entry_is_digest(json_str(value));
}

/* What stands behind a digest. Private parts are not hashed: it must be what the digest is of. */
static struct str disclose(const json_t *digest, const char *name, const char *path,
                           const json_t *private_json)
{
    const json_t *disclosed = json_object_get(private_json, path);

    if (!is_digest(digest))
        return json_str(digest);
    if (disclosed == NULL || !entry_discloses(digest, name, disclosed))
        return STR("");
    return json_str(json_object_get(disclosed, "value"));
}

static struct str read_actor(const json_t *entry, const json_t *private_json)
{
    const json_t *actor = json_object_get(entry, "actor");
    struct str by = disclose(json_object_get(actor, "email"), "email", "actor.email", private_json);

    if (by.len > 0)
        return by;
    return disclose(json_object_get(actor, "subject"), "subject", "actor.subject", private_json);
}

static bool read_what(const json_t *entry, const json_t *private_json, struct block *block)
{
    const json_t *blocked = json_object_get(entry, "blocked");
    const json_t *value = json_object_get(blocked, "value");
    struct error ignored = { 0 };
    struct str kind = { 0 };

    if (!json_get_str(blocked, "kind", &kind) || !block_kind_from(kind, &block->kind))
        return false;
    block->value = kinds[block->kind].is_personal
                       ? disclose(value, "value", "blocked.value", private_json)
                       : json_str(value);
    return block_check(block->kind, block->value, &block->network, &ignored);
}

static bool copy_texts(struct block *block, const json_t *entry, const json_t *private_json,
                       struct arena *arena)
{
    struct str time = json_str(json_object_get(entry, "time"));

    block->value = arena_copy(arena, block->value);
    block->reason = arena_copy(arena, json_str(json_object_get(entry, "reason")));
    block->by = arena_copy(arena, read_actor(entry, private_json));
    return time_text_parse(time, &block->since_ms) && block->value.data != NULL &&
           block->reason.data != NULL && block->by.data != NULL;
}

static bool parse(struct str bytes, struct str private_part, struct block *block,
                  struct arena *arena, struct error *error)
{
    JSON_OWNED json_t *entry = NULL;
    /* Without it, or where it does not parse, there is nothing behind the digests. */
    JSON_OWNED json_t *private_json = entry_parse_private(private_part);

    if (!entry_parse(bytes, &entry, error))
        return false;
    return (read_what(entry, private_json, block) &&
            copy_texts(block, entry, private_json, arena)) ||
           error_set(error, ERROR_LEDGER, "it does not say what is blocked, or not any more");
}

static bool read_block(struct ledger *ledger, struct block *block, struct arena *arena,
                       struct error *error)
{
    OWNED(arena_free) struct arena *reading = arena_new(READING_MAX);
    struct error cause = { 0 };
    struct str bytes = { 0 };
    struct str private_part = { 0 };

    if (reading == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for blocks");
    if (ledger_entry_with_private(ledger, block->index, reading, &bytes, &private_part, &cause) &&
        parse(bytes, private_part, block, arena, &cause))
        return true;
    return error_set(error, ERROR_LEDGER, "block %s, entry %" PRIu64 ": %s", block->id,
                     block->index, cause.cause);
}

/* ---- all of them ---- */

struct block_book {
    pthread_mutex_t lock;
    struct block_view *newest; /* guarded by lock; NULL: none was read yet */
};

struct block_book *block_book_new(void)
{
    struct block_book *book = calloc(1, sizeof(*book));

    if (book != NULL && pthread_mutex_init(&book->lock, NULL) == 0)
        return book;
    free(book);
    return NULL;
}

void block_book_free(struct block_book *book)
{
    if (book == NULL)
        return;
    block_view_put(book->newest);
    (void)pthread_mutex_destroy(&book->lock);
    free(book);
}

static struct block_view *book_newest(struct block_book *book)
{
    struct block_view *view = NULL;

    (void)pthread_mutex_lock(&book->lock);
    view = view_get(book->newest);
    (void)pthread_mutex_unlock(&book->lock);
    return view;
}

/* Another thread may have read a newer one meanwhile. */
static void book_keep(struct block_book *book, struct block_view *view)
{
    struct block_view *older = NULL;

    (void)pthread_mutex_lock(&book->lock);
    if (book->newest == NULL || book->newest->version <= view->version) {
        older = book->newest;
        book->newest = view_get(view);
    }
    (void)pthread_mutex_unlock(&book->lock);
    block_view_put(older);
}

static const struct block *find_known(const struct block_view *known, const struct store_block *row)
{
    for (size_t i = 0; known != NULL && i < known->count; i++)
        if (known->blocks[i].index == row->index && strcmp(known->blocks[i].id, row->id) == 0)
            return &known->blocks[i];
    return NULL;
}

static bool copy_known(const struct block *known, struct block *block, struct arena *arena)
{
    *block = *known;
    block->value = arena_copy(arena, known->value);
    block->reason = arena_copy(arena, known->reason);
    block->by = arena_copy(arena, known->by);
    return block->value.data != NULL && block->reason.data != NULL && block->by.data != NULL;
}

/* One that has ended and cannot be read any more, as its private part was erased, is left out. */
static bool add_row(struct ledger *ledger, const struct store_block *row,
                    const struct block_view *known, struct block_view *view, struct error *error)
{
    struct block *block = &view->blocks[view->count];
    const struct block *same = find_known(known, row);
    struct error cause = { 0 };

    if (same != NULL && !copy_known(same, block, view->arena))
        return error_set(error, ERROR_MEMORY, "no memory for blocks");
    if (same == NULL) {
        *block = (struct block){ .expires_s = row->expires_s, .index = row->index };
        memcpy(block->id, row->id, sizeof(block->id));
        if (!read_block(ledger, block, view->arena, &cause)) {
            if (row->expires_s <= clock_wall_s() && cause.code == ERROR_LEDGER)
                return true;
            return error_set(error, cause.code, "%s", cause.cause);
        }
    }
    view->count++;
    return true;
}

static bool read_all(struct ledger *ledger, const struct block_view *known,
                     struct store_blocks *rows, struct block_view **out, struct error *error)
{
    OWNED(block_view_put) struct block_view *view = NULL;

    if (!store_blocks(ledger_store(ledger), rows, error))
        return false;
    view = view_new(rows->count);
    if (view == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for blocks");
    view->version = rows->version;
    for (size_t i = 0; i < rows->count; i++)
        if (!add_row(ledger, &rows->rows[i], known, view, error))
            return false;
    *out = TAKE(view);
    return true;
}

bool ledger_blocks(struct ledger *ledger, bool fresh, struct block_view **view, struct error *error)
{
    struct block_book *book = ledger_block_book(ledger);
    OWNED(block_view_put) struct block_view *known = book_newest(book);
    struct store_blocks *rows = NULL;
    bool is_read = false;

    if (!fresh && known != NULL && known->version >= store_blocks_version(ledger_store(ledger))) {
        *view = TAKE(known);
        return true;
    }
    rows = malloc(sizeof(*rows));
    if (rows == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for blocks");
    is_read = read_all(ledger, known, rows, view, error);
    free(rows);
    if (is_read)
        book_keep(book, *view);
    return is_read;
}
