#include <string.h>

#include "base/json.h"
#include "exchange/approval_digest.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"

#define DETAILS_MAX POLICY_STAGE_GRANTS_MAX
#define DETAIL_TYPE "stagepass_grant"

static struct mint *find_mint(struct exchange *exchange, struct str grant)
{
    for (size_t i = 0; i < exchange->mint_count; i++)
        if (str_eq(exchange->mints[i].grant, grant))
            return &exchange->mints[i];
    return NULL;
}

/* `ttl` in a detail is a number of seconds, and only ever shortens. */
static bool shorten(struct mint *mint, const json_t *detail, struct error *error)
{
    const json_t *ttl = json_object_get(detail, "ttl");
    int64_t floor_s = 1;

    if (!ttl)
        return true;
    if (mint->target)
        floor_s = mint->target->kind->grant.ttl_min_s;
    if (!json_is_integer(ttl) || json_integer_value(ttl) < floor_s)
        return error_set(error, ERROR_DETAILS, "'ttl' is not an integer of at least %lld",
                         (long long)floor_s);
    if (json_integer_value(ttl) < mint->ttl_s)
        mint->ttl_s = json_integer_value(ttl);
    return true;
}

static bool assign(struct exchange *exchange, const json_t *detail, struct error *error)
{
    struct str type;
    struct str grant;
    struct mint *mint;

    if (!json_is_object(detail) || !json_get_str(detail, "type", &type) ||
        !str_eq(type, STR(DETAIL_TYPE)))
        return error_set(error, ERROR_DETAILS, "an element is not of type " DETAIL_TYPE);
    if (!json_get_str(detail, "grant", &grant))
        return error_set(error, ERROR_DETAILS, "an element has no 'grant'");
    mint = find_mint(exchange, grant);
    if (!mint)
        return error_set(error, ERROR_DETAILS, "an element names a grant that is not given");
    if (mint->details)
        return error_set(error, ERROR_DETAILS, "two elements name one grant");
    mint->details = detail;
    return shorten(mint, detail, error);
}

/* Members that any kind takes; what is beyond them the kind checks, or there must be none. */
static bool is_common_member(const char *name)
{
    return strcmp(name, "type") == 0 || strcmp(name, "grant") == 0 || strcmp(name, "ttl") == 0;
}

static bool check_plain(const struct mint *mint, const struct target_kind *kind,
                        struct error *error)
{
    const char *name;
    json_t *value;

    if (!mint->details || kind->check_details)
        return true;
    json_object_foreach (json_iterable(mint->details), name, value)
        if (!is_common_member(name))
            return error_set(error, ERROR_DETAILS, "grant '" STR_FMT "' takes no further members",
                             STR_ARG(mint->grant));
    return true;
}

/* ---- what goes on ---- */

static bool holds(const json_t *list, const json_t *wanted)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), wanted))
            return true;
    return false;
}

/* The same, or a list of some of it. */
static bool is_within(const json_t *fresh, const json_t *first)
{
    if (!json_is_array(fresh) || json_array_size(fresh) == 0)
        return json_equal(fresh, first);
    for (size_t i = 0; i < json_array_size(fresh); i++)
        if (!holds(first, json_array_get(fresh, i)))
            return false;
    return true;
}

/* A detail of the mint that may be changed: a copy of what came, or what only names it. */
static json_t *own_detail(struct exchange *exchange, struct mint *mint, struct error *error)
{
    json_t *own = mint->details ? json_copy(json_iterable(mint->details))
                                : json_pack("{s:s, s:o}", "type", DETAIL_TYPE, "grant",
                                            json_from_str(mint->grant));

    if (!own || !json_keep(exchange->arena, own, error)) {
        (void)error_set(error, ERROR_MEMORY, "details");
        return NULL;
    }
    mint->details = own;
    return own;
}

static bool keep_member(struct exchange *exchange, struct mint *mint, const char *name,
                        json_t *first, struct error *error)
{
    const json_t *fresh = json_object_get(mint->details, name);
    json_t *own;

    if (fresh)
        return is_within(fresh, first) ||
               error_set(error, ERROR_DETAILS, "'%s': more than was asked for at first", name);
    own = own_detail(exchange, mint, error);
    return own &&
           (json_put(own, name, json_incref(first)) || error_set(error, ERROR_MEMORY, "details"));
}

static bool keep_detail(struct exchange *exchange, struct mint *mint, const json_t *first,
                        struct error *error)
{
    int64_t ttl_s = json_integer_value(json_object_get(first, "ttl"));
    const char *name;
    json_t *value;

    if (ttl_s > 0 && ttl_s < mint->ttl_s)
        mint->ttl_s = ttl_s;
    json_object_foreach (json_iterable(first), name, value)
        if (!approval_is_of_request(name) && !keep_member(exchange, mint, name, value, error))
            return false;
    return true;
}

/*
 * It lives no longer and is no wider than was asked for at first, whatever fresh details say or
 * leave out: people may have agreed to just that. Keys are fresh ones, or of then.
 */
static bool keep_narrow(struct exchange *exchange, struct error *error)
{
    const struct kept *kept = exchange->request.kept;
    const json_t *details = kept ? kept->request.details : NULL;

    for (size_t i = 0; i < json_array_size(details); i++) {
        const json_t *first = json_array_get(details, i);
        struct mint *mint = find_mint(exchange, json_str(json_object_get(first, "grant")));

        if (mint && !keep_detail(exchange, mint, first, error))
            return false;
    }
    return true;
}

bool details_assign(struct exchange *exchange, struct error *error)
{
    const json_t *details = exchange->request.details;

    if (details && (!json_is_array(details) || json_array_size(details) > DETAILS_MAX))
        return error_set(error, ERROR_DETAILS, "not an array of at most %d elements", DETAILS_MAX);
    for (size_t i = 0; i < json_array_size(details); i++)
        if (!assign(exchange, json_array_get(details, i), error))
            return false;
    if (!keep_narrow(exchange, error))
        return false;
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct policy_granted *granted = &exchange->decision.grants[i];

        if (!check_plain(&exchange->mints[i], target_kind_of(granted->grant->kind), error))
            return false;
    }
    return true;
}
