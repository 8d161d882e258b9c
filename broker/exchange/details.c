#include <string.h>

#include "base/json.h"
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

/* What goes on lives no longer than was asked for at first, whatever fresh details say. */
static void keep_short(struct exchange *exchange)
{
    const struct kept *kept = exchange->request.kept;
    const json_t *details = kept ? kept->request.details : NULL;

    for (size_t i = 0; i < json_array_size(details); i++) {
        const json_t *detail = json_array_get(details, i);
        int64_t ttl_s = json_integer_value(json_object_get(detail, "ttl"));
        struct mint *mint = find_mint(exchange, json_str(json_object_get(detail, "grant")));

        if (mint && ttl_s > 0 && ttl_s < mint->ttl_s)
            mint->ttl_s = ttl_s;
    }
}

bool details_assign(struct exchange *exchange, struct error *error)
{
    const json_t *details = exchange->request.details;

    if (details && (!json_is_array(details) || json_array_size(details) > DETAILS_MAX))
        return error_set(error, ERROR_DETAILS, "not an array of at most %d elements", DETAILS_MAX);
    for (size_t i = 0; i < json_array_size(details); i++)
        if (!assign(exchange, json_array_get(details, i), error))
            return false;
    keep_short(exchange);
    for (size_t i = 0; i < exchange->mint_count; i++) {
        const struct policy_granted *granted = &exchange->decision.grants[i];

        if (!check_plain(&exchange->mints[i], target_kind_of(granted->grant->kind), error))
            return false;
    }
    return true;
}
