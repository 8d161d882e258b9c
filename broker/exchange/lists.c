#include "exchange/lists.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/error.h"
#include "exchange/rules.h"
#include "exchange/token_lists.h"
#include "ledger/ledger.h"
#include "ledger/revoked.h"
#include "ledger/revoked_tokens.h"

#define SET_MAX ((size_t)256 * 1024 * 1024)

/*
 * The lists of one target at one moment.
 *
 * Threads: immutable, but `references`
 */
struct list_set {
    struct lists *owner;
    struct arena *arena;
    struct str target;
    struct target_list lists[TARGET_LISTS_MAX];
    size_t count;
    size_t references; /* guarded by the owner's lock */
    struct list_set *next;
};

struct lists {
    struct revoked_book *book;
    struct token_lists *tokens; /* NULL: there are none */
    struct token_lists_signer signer;
    const struct rules *made_for; /* only compared */
    int64_t made_s;
    bool is_dirty;

    pthread_mutex_t lock;
    struct list_set *first; /* guarded by lock; one a target */
    bool is_ready;          /* guarded by lock */
};

/* ---- sets ---- */

static void set_free(struct list_set *set)
{
    arena_free(set->arena);
    free(set);
}

static void set_put(void *object)
{
    struct list_set *set = object;
    struct lists *owner = set->owner;
    bool is_last;

    (void)pthread_mutex_lock(&owner->lock);
    is_last = --set->references == 0;
    (void)pthread_mutex_unlock(&owner->lock);
    if (is_last)
        set_free(set);
}

static void put_all(struct list_set *first)
{
    while (first != NULL) {
        struct list_set *next = first->next;

        set_put(first);
        first = next;
    }
}

static struct list_set *set_new(struct lists *owner, struct str target)
{
    struct list_set *set = calloc(1, sizeof(*set));

    if (set == NULL)
        return NULL;
    set->owner = owner;
    set->references = 1;
    set->arena = arena_new_frugal(SET_MAX);
    if (set->arena != NULL)
        set->target = arena_copy(set->arena, target);
    if (set->target.data != NULL)
        return set;
    set_free(set);
    return NULL;
}

/* ---- making them ---- */

/* What is revoked, as a kind takes it; texts are the book's. */
static bool fill_revoked(const struct revoked_book *book, struct target_listing *listing)
{
    size_t count;
    const struct revoked *rows = revoked_book_rows(book, &count);
    struct target_revoked *out = arena_alloc_array(listing->arena, count + 1, sizeof(*out));

    if (out == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        out[i] = (struct target_revoked){ str_from(rows[i].ca), str_from(rows[i].id),
                                          rows[i].revoked_s };
    listing->revoked = out;
    listing->revoked_count = count;
    listing->size = revoked_book_size(book);
    return true;
}

static bool fill_set(struct list_set *set, const struct target *target,
                     const struct revoked_book *book, int64_t now_s, struct error *error)
{
    struct target_listing listing = { .target = target, .now_s = now_s, .arena = set->arena };

    if (!fill_revoked(book, &listing))
        return error_set(error, ERROR_MEMORY, "no memory for lists");
    if (!target->kind->list(&listing, error))
        return error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
    set->count = listing.list_count;
    for (size_t i = 0; i < listing.list_count; i++)
        set->lists[i] = listing.lists[i];
    return true;
}

/* Only housekeeping changes the chain, so that it may look without the lock. */
static struct list_set *find_set(struct lists *lists, struct str target)
{
    struct list_set *set = lists->first;

    while (set != NULL && !str_eq(set->target, target))
        set = set->next;
    return set;
}

/* The set of before, with a reference more: in a chain of its own it cannot be as it is. */
static struct list_set *copy_set(struct lists *lists, struct str target)
{
    const struct list_set *old = find_set(lists, target);
    struct list_set *set = old == NULL ? NULL : set_new(lists, target);

    if (set == NULL)
        return NULL;
    for (size_t i = 0; i < old->count; i++) {
        set->lists[i] = old->lists[i];
        set->lists[i].path = arena_copy(set->arena, old->lists[i].path);
        set->lists[i].bytes = arena_copy(set->arena, old->lists[i].bytes);
        if (set->lists[i].path.data == NULL || set->lists[i].bytes.data == NULL) {
            set_free(set);
            return NULL;
        }
    }
    set->count = old->count;
    return set;
}

static struct list_set *make_set(struct lists *lists, const struct target *target, int64_t now_s,
                                 struct error *error)
{
    struct list_set *set = set_new(lists, target->name);

    if (set == NULL) {
        (void)error_set(error, ERROR_MEMORY, "no memory for lists");
        return NULL;
    }
    if (fill_set(set, target, lists->book, now_s, error))
        return set;
    set_free(set);
    return copy_set(lists, target->name);
}

static void replace(struct lists *lists, struct list_set *take_first)
{
    struct list_set *old;

    (void)pthread_mutex_lock(&lists->lock);
    old = lists->first;
    lists->first = take_first;
    lists->is_ready = true;
    (void)pthread_mutex_unlock(&lists->lock);
    put_all(old);
}

/* True where all of them could be made; the first that could not says why. */
static bool make_all(struct lists *lists, const struct rules *rules, int64_t now_s,
                     struct error *error)
{
    struct list_set *first = NULL;
    bool is_good = true;

    for (size_t i = 0; i < rules->target_count; i++) {
        const struct target *target = &rules->targets[i];
        struct error cause = { 0 };
        struct list_set *set;

        if (target->kind->list == NULL)
            continue;
        set = make_set(lists, target, now_s, &cause);
        if (cause.code != ERROR_NONE)
            is_good = error_set(error, cause.code, "%s", cause.cause);
        if (set == NULL)
            continue;
        set->next = first;
        first = set;
    }
    replace(lists, first);
    return is_good;
}

/* ---- housekeeping ---- */

static bool is_due(const struct lists *lists, const struct rules *rules, int64_t now_s)
{
    return lists->is_dirty || lists->made_for != rules || now_s < lists->made_s ||
           now_s >= lists->made_s + LISTS_RENEW_S;
}

/* One that has ended stands in one list more (RFC 5280 3.3), and is forgotten then. */
static bool renew(struct lists *lists, const struct rules *rules, int64_t now_s,
                  struct error *error)
{
    bool is_good;

    revoked_book_forget(lists->book, lists->made_s);
    is_good = make_all(lists, rules, now_s, error);
    lists->is_dirty = !is_good;
    lists->made_for = rules;
    lists->made_s = now_s;
    return is_good;
}

static bool tend_tokens(struct lists *lists, int64_t now_s, bool *is_made, struct error *error)
{
    return lists->tokens == NULL ||
           token_lists_tend(lists->tokens, lists->book, &lists->signer, now_s, is_made, error);
}

/* What of certificates cannot be made keeps no token from its list. */
static bool tend_certificates(struct lists *lists, struct rules_table *table, int64_t now_s,
                              bool *is_made, struct error *error)
{
    struct rules *rules = rules_get(table);
    bool is_good = true;

    if (is_due(lists, rules, now_s)) {
        is_good = renew(lists, rules, now_s, error);
        *is_made = is_good;
    }
    rules_put(table, rules);
    return is_good;
}

bool lists_tend(struct lists *lists, struct rules_table *table, struct ledger *ledger,
                int64_t now_s, bool *is_made, struct error *error)
{
    bool has_changed = false;
    bool are_tokens_made = false;
    struct error ignored = { 0 };
    bool is_good;

    *is_made = false;
    if (!revoked_book_tend(lists->book, ledger, now_s, &has_changed, error))
        return false;
    lists->is_dirty = lists->is_dirty || has_changed;
    if (!revoked_book_is_whole(lists->book))
        return true;
    is_good = tend_certificates(lists, table, now_s, is_made, error);
    return tend_tokens(lists, now_s, &are_tokens_made, is_good ? error : &ignored) && is_good;
}

size_t lists_token_count(const struct lists *lists)
{
    return revoked_tokens_count(revoked_book_tokens(lists->book));
}

struct token_lists *lists_of_tokens(const struct lists *lists)
{
    return lists->tokens;
}

size_t lists_count(const struct lists *lists)
{
    size_t count;

    (void)revoked_book_rows(lists->book, &count);
    return count;
}

uint64_t lists_left_out(const struct lists *lists)
{
    return revoked_book_left_out(lists->book);
}

/* ---- requests ---- */

static const struct target_list *find(const struct list_set *set, struct str path)
{
    for (size_t i = 0; i < set->count; i++)
        if (str_eq(set->lists[i].path, path))
            return &set->lists[i];
    return NULL;
}

bool lists_get(struct lists *lists, struct str path, struct arena *arena, struct target_list *list,
               struct error *error)
{
    const struct target_list *found = NULL;
    struct list_set *set;
    bool is_ready;

    (void)pthread_mutex_lock(&lists->lock);
    is_ready = lists->is_ready;
    for (set = lists->first; set != NULL; set = set->next) {
        found = find(set, path);
        if (found != NULL)
            break;
    }
    if (found != NULL)
        set->references++;
    (void)pthread_mutex_unlock(&lists->lock);
    if (found == NULL)
        return is_ready ? error_set(error, ERROR_NOT_FOUND, "no list at this path")
                        : error_set(error, ERROR_INDEX, "revoked certificates are being read");
    if (!arena_defer(arena, set_put, set))
        return error_set(error, ERROR_MEMORY, "no memory for a list");
    *list = *found;
    return true;
}

struct lists *lists_new(const struct token_lists_signer *signer)
{
    struct lists *lists = calloc(1, sizeof(*lists));

    if (lists == NULL)
        return NULL;
    lists->book = revoked_book_new();
    if (signer != NULL) {
        lists->signer = *signer;
        lists->tokens = token_lists_new(TOKEN_LISTS_MAX);
    }
    if (lists->book != NULL && (signer == NULL || lists->tokens != NULL) &&
        pthread_mutex_init(&lists->lock, NULL) == 0)
        return lists;
    token_lists_free(lists->tokens);
    revoked_book_free(lists->book);
    free(lists);
    return NULL;
}

void lists_free(struct lists *lists)
{
    if (lists == NULL)
        return;
    put_all(lists->first);
    token_lists_free(lists->tokens);
    revoked_book_free(lists->book);
    (void)pthread_mutex_destroy(&lists->lock);
    free(lists);
}
