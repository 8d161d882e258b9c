#include "api/block_preview.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/inquiry.h"
#include "ledger/ledger.h"
#include "ledger/search.h"

/* What one preview may cost, and say. What is past it is told to be missing. */
#define HITS_MAX 2000
#define READS_MAX 4000
#define LOOKUPS_MAX 8000
#define USERS_MAX 100
#define LEASES_MAX 100

struct block_preview {
    struct ledger_inquiry inquiry;
    struct ledger *ledger;
    struct ledger_query query;
    bool is_unknown; /* the index cannot tell */
    bool is_complete;
    json_t *users;
    json_t *leases;
    int64_t now_s;
};

/* By what each kind is found; without a name it is not. */
static const char *const words[BLOCK_KIND_COUNT] = {
    [BLOCK_ISSUER] = "issuer",
    [BLOCK_KID] = "kid",
    [BLOCK_REPOSITORY_ID] = "repository",
    [BLOCK_PIPELINE] = "pipeline",
    [BLOCK_STAGE] = "stage",
    [BLOCK_ACTOR] = "actor",
    [BLOCK_COMMIT] = "commit",
    [BLOCK_WORKFLOW_COMMIT] = NULL,
    [BLOCK_KEY] = "proof-key",
    [BLOCK_ADDRESS] = "address",
    [BLOCK_TARGET] = "target",
};

static bool ask(struct block_preview *preview, enum block_kind kind, struct str value,
                struct error *error)
{
    int64_t now_ms = clock_wall_ms();

    return query_add(&preview->query, STR("type"), STR("credential.issued"), now_ms, error) &&
           query_add(&preview->query, STR("since"), STR("30d"), now_ms, error) &&
           query_add(&preview->query, str_from(words[kind]), value, now_ms, error);
}

static bool make_lists(struct block_preview *preview, struct arena *arena, struct error *error)
{
    preview->users = json_array();
    preview->leases = json_array();
    return (preview->users && json_keep(arena, preview->users, error) && preview->leases &&
            json_keep(arena, preview->leases, error)) ||
           error_set(error, ERROR_MEMORY, "preview");
}

struct block_preview *block_preview_new(struct arena *arena, enum block_kind kind, struct str value,
                                        struct error *error)
{
    struct block_preview *preview = arena_alloc(arena, sizeof(*preview));

    if (!preview) {
        (void)error_set(error, ERROR_MEMORY, "preview");
        return NULL;
    }
    preview->is_unknown = !words[kind];
    preview->now_s = clock_wall_s();
    if (!make_lists(preview, arena, error) ||
        (!preview->is_unknown && !ask(preview, kind, value, error)))
        return NULL;
    return preview;
}

/* ---- on the reading thread ---- */

/* A repository where the platform says one, else the subject; one that is personal is left out. */
static struct str name_of(const json_t *entry)
{
    struct str name = json_str(json_object_get(json_object_get(entry, "ci"), "repository"));

    if (name.len == 0)
        name = json_str(json_object_get(entry, "subject"));
    return str_starts_with(name, STR("sd:")) ? STR("") : name;
}

static json_t *find_user(const json_t *users, const json_t *stage, struct str name)
{
    json_t *user = NULL;
    size_t i = 0;

    json_array_foreach (users, i, user)
        if (json_equal(json_object_get(user, "stage"), stage) &&
            str_eq(json_str(json_object_get(user, "name")), name))
            return user;
    return NULL;
}

/* From new to old, so that the first entry of somebody is their latest. */
static bool add_user(struct block_preview *preview, const json_t *entry)
{
    const json_t *stage = json_object_get(entry, "stage");
    struct str name = name_of(entry);
    json_t *user = find_user(preview->users, stage, name);
    json_int_t count = json_integer_value(json_object_get(user, "count"));

    if (user)
        return json_put(user, "count", json_integer(count + 1));
    if (json_array_size(preview->users) == USERS_MAX) {
        preview->is_complete = false;
        return true;
    }
    user = json_append_object(preview->users);
    return json_put(user, "stage", json_incref(json_iterable(stage))) &&
           json_put(user, "name", json_from_str(name)) &&
           json_put(user, "last_at", json_incref(json_object_get(entry, "time"))) &&
           json_put(user, "count", json_integer(1));
}

static bool is_live(const struct block_preview *preview, const json_t *entry)
{
    struct store_lease lease;
    struct error ignored = { 0 };
    int64_t expires_ms = 0;

    return time_text_parse(json_str(json_object_get(entry, "lease_expires")), &expires_ms) &&
           expires_ms / 1000 > preview->now_s &&
           ledger_lease_by_id(preview->ledger, json_str(json_object_get(entry, "lease")), &lease,
                              &ignored) &&
           (lease.state == LEASE_ISSUED || lease.state == LEASE_UNKNOWN) &&
           lease.expires_s > preview->now_s;
}

static bool add_lease(struct block_preview *preview, const json_t *entry)
{
    json_t *lease;

    if (!is_live(preview, entry))
        return true;
    if (json_array_size(preview->leases) == LEASES_MAX) {
        preview->is_complete = false;
        return true;
    }
    lease = json_append_object(preview->leases);
    return json_put(lease, "id", json_incref(json_object_get(entry, "lease"))) &&
           json_put(lease, "stage", json_incref(json_object_get(entry, "stage"))) &&
           json_put(lease, "expires_at", json_incref(json_object_get(entry, "lease_expires")));
}

static bool add_hit(const struct search_hit *hit, void *context, struct error *error)
{
    struct block_preview *preview = context;

    return (add_user(preview, hit->entry) && add_lease(preview, hit->entry)) ||
           error_set(error, ERROR_MEMORY, "preview");
}

static bool run(const struct ledger_view *view, void *context, struct error *error)
{
    struct block_preview *preview = context;
    struct ledger_search search = {
        .query = &preview->query,
        .reader = view->reader,
        .index = view->index,
        .indexed = view->seen.size,
        .limit = HITS_MAX,
        .reads_max = READS_MAX,
        .lookups_max = LOOKUPS_MAX,
        .visit = add_hit,
        .context = preview,
        .before = view->seen.size,
    };

    preview->is_complete = true;
    if (preview->is_unknown)
        return true;
    if (!ledger_search_next(&search, error))
        return false;
    preview->is_complete = preview->is_complete && search.is_over;
    return true;
}

/* ---- the request's side ---- */

bool block_preview_begin(struct block_preview *preview, struct ledger *ledger, struct waker waker,
                         struct error *error)
{
    preview->ledger = ledger;
    preview->inquiry.run = run;
    preview->inquiry.context = preview;
    preview->inquiry.waker = waker;
    preview->inquiry.must_be_fresh = true;
    return ledger_inquire(ledger, &preview->inquiry, error);
}

bool block_preview_forget(struct block_preview *preview, struct ledger *ledger)
{
    return ledger_forget_inquiry(ledger, &preview->inquiry);
}

const struct error *block_preview_error(const struct block_preview *preview)
{
    return preview->inquiry.is_good ? NULL : &preview->inquiry.error;
}

bool block_preview_put(const struct block_preview *preview, json_t *body)
{
    if (preview->is_unknown)
        return json_put(body, "is_unknown", json_true());
    return json_put(body, "is_complete", json_boolean(preview->is_complete)) &&
           json_put(body, "users", json_incref(preview->users)) &&
           json_put(body, "leases", json_incref(preview->leases));
}
