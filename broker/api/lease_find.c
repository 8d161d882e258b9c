#include "api/lease_find.h"

#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/ledger.h"

#define LIST_LEASES 5 /* of cursors */
#define READS_MAX 4000
#define LOOKUPS_MAX 8000
#define WORDS_BYTES_MAX ((size_t)64 * 1024)

/* What is said of a state, and of what is to be done. */
static const char *const states[] = {
    [LEASE_REQUESTED] = "requested", [LEASE_ISSUED] = "issued",   [LEASE_RELEASED] = "released",
    [LEASE_REVOKED] = "revoked",     [LEASE_EXPIRED] = "expired", [LEASE_FAILED] = "failed",
    [LEASE_UNKNOWN] = "unknown",
};

/* ---- what is asked ---- */

static bool is_one_of(struct str name, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        if (str_eq(name, str_from(names[i])))
            return true;
    return false;
}

/* The cursor comes last: what it is good for is known then. */
static bool read_word(struct lease_find *find, const struct form_parameter *word,
                      struct str *cursor, struct buf *name, struct error *error)
{
    static const char *const others[] = { "type", "text", "reason", "decision", NULL };

    if (str_eq(word->name, STR("cursor"))) {
        *cursor = word->value;
        return word->value.len > 0 || error_set(error, ERROR_REQUEST, "an empty cursor");
    }
    if (is_one_of(word->name, others))
        return error_set(error, ERROR_REQUEST, "leases are not found by '" STR_FMT "'",
                         STR_ARG(word->name));
    buf_add_sized(name, word->name);
    buf_add_sized(name, word->value);
    return query_add(&find->query, word->name, word->value, find->now_s * 1000, error);
}

static bool is_open(const struct ledger_query *query)
{
    return query_is_open(query) && query->since_ms == 0 && query->until_ms == 0;
}

static bool add_bounds(struct lease_find *find, struct error *error)
{
    int64_t now_ms = find->now_s * 1000;

    if (find->query.since_ms == 0 &&
        !query_add(&find->query, STR("since"),
                   find->kind == LEASES_LIVE ? STR(LEASE_FIND_AGE) : STR("30d"), now_ms, error))
        return false;
    return query_add(&find->query, STR("type"), STR("lease.requested"), now_ms, error) &&
           query_add(&find->query, STR("type"), STR("credential.issued"), now_ms, error);
}

bool lease_find_read(struct lease_find *find, const struct form *form, const char *const *own,
                     struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };
    struct str cursor = { 0 };

    find->now_s = clock_wall_s();
    buf_init(&name, WORDS_BYTES_MAX);
    buf_add_sized(&name, find->kind == LEASES_LIVE ? STR("live") : STR("stuck"));
    for (size_t i = 0; i < form->count; i++)
        if (!is_one_of(form->list[i].name, own) &&
            !read_word(find, &form->list[i], &cursor, &name, error))
            return false;
    if (!buf_is_ok(&name))
        return error_set(error, ERROR_MEMORY, "leases");
    find->is_open = is_open(&find->query);
    find->cursor.list = LIST_LEASES;
    sha256(buf_str(&name), find->cursor.sha256);
    return (cursor.len == 0 || cursor_parse(cursor, UINT64_MAX, &find->cursor, error)) &&
           add_bounds(find, error);
}

/* ---- on the reading thread ---- */

static enum search_access access_of(const json_t *entry, void *context)
{
    const struct lease_find *find = context;

    return sight_of(&find->sight, entry);
}

static bool is_wanted(const struct lease_find *find, const struct store_lease *lease)
{
    bool is_live = (lease->state == LEASE_REQUESTED || lease->state == LEASE_ISSUED ||
                    lease->state == LEASE_UNKNOWN) &&
                   lease->expires_s > find->now_s;

    return find->kind == LEASES_LIVE ? is_live : !is_live && store_lease_owes(lease, find->now_s);
}

/* Of the entries of a lease only the one that opened it counts. */
static bool add_hit(const struct search_hit *hit, void *context, struct error *error)
{
    struct lease_find *find = context;
    struct store_lease *lease = &find->leases[find->count];
    struct error cause = { 0 };

    if (!ledger_lease_by_id(find->ledger, json_str(json_object_get(hit->entry, "lease")), lease,
                            &cause)) {
        if (cause.code == ERROR_NOT_FOUND)
            return true;
        *error = cause;
        return false;
    }
    if (lease->opened_index != hit->index || !is_wanted(find, lease))
        return true;
    find->entries[find->count] = hit->entry;
    find->count++;
    if (find->count == LEASE_FIND_MAX)
        find->search.limit = 0; /* the page is full */
    return json_keep(find->arena, json_incref(json_iterable(hit->entry)), error);
}

static bool run(const struct ledger_view *view, void *context, struct error *error)
{
    struct lease_find *find = context;
    uint64_t size = view->seen.size;

    find->search = (struct ledger_search){
        .query = &find->query,
        .reader = view->reader,
        .index = view->index,
        .indexed = size,
        .limit = READS_MAX,
        .reads_max = READS_MAX,
        .lookups_max = LOOKUPS_MAX,
        .visit = add_hit,
        .context = find,
        .before = find->cursor.position == 0 || find->cursor.position > size
                      ? size
                      : find->cursor.position,
    };
    return sight_bound(&find->sight, access_of, find->arena, &find->search, error) &&
           ledger_search_next(&find->search, error);
}

/* ---- the request's side ---- */

bool lease_find_begin(struct lease_find *find, struct waker waker, struct error *error)
{
    find->inquiry = (struct ledger_inquiry){
        .run = run,
        .context = find,
        .waker = waker,
        .must_be_fresh = true,
    };
    return ledger_inquire(find->ledger, &find->inquiry, error);
}

const struct error *lease_find_error(const struct lease_find *find)
{
    return find->inquiry.is_good ? NULL : &find->inquiry.error;
}

bool lease_find_forget(struct lease_find *find)
{
    return ledger_forget_inquiry(find->ledger, &find->inquiry);
}

static bool put_copy(json_t *object, const char *name, const json_t *entry)
{
    json_t *value = json_object_get(entry, name);

    return !value || json_put(object, name, json_incref(value));
}

static json_t *time_of(int64_t wall_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(wall_s, text);
    return json_string(text);
}

static bool put_lease(json_t *list, const struct store_lease *lease, int64_t now_s,
                      const json_t *entry)
{
    static const char *const copied[] = { "stage",  "pipeline", "environment",
                                          "tenant", "owner",    "issuer" };
    const json_t *ci = json_object_get(entry, "ci");
    json_t *object = json_append_object(list);

    for (size_t i = 0; i < COUNT(copied); i++)
        if (!put_copy(object, copied[i], entry))
            return false;
    return json_put(object, "id", json_string(lease->id)) &&
           json_put(object, "state", json_string(states[lease->state])) &&
           json_put(object, "opened_at", time_of(lease->opened_s)) &&
           json_put(object, "expires_at", time_of(lease->expires_s)) &&
           json_put(object, "owes", json_boolean(store_lease_owes(lease, now_s))) &&
           json_put(object, "renewals", json_integer(lease->renewal)) &&
           json_put(object, "entry", json_integer((json_int_t)lease->opened_index)) &&
           put_copy(object, "repository", ci) && put_copy(object, "run", ci) &&
           put_copy(object, "commit", ci);
}

bool lease_find_put(struct lease_find *find, json_t *body)
{
    json_t *list = json_array();

    if (!json_put(body, "leases", list))
        return false;
    for (size_t i = 0; i < find->count; i++)
        if (!put_lease(list, &find->leases[i], find->now_s, find->entries[i]))
            return false;
    find->cursor.position = find->search.before;
    return find->search.is_over ||
           json_put(body, "next", json_from_str(cursor_write(&find->cursor, find->arena)));
}
