/*
 * The lists of an x509 target: one of each of its CA's keys, where its certificates say it is; that
 * of the key that signs now; and all of them together, for servers that read them from one file.
 */
#include <inttypes.h>

#include "base/buf.h"
#include "base/error.h"
#include "targets/x509_internal.h"

#define ALL_MAX ((size_t)64 * 1024 * 1024)
#define DER_TYPE "application/pkix-crl"
#define PEM_TYPE "application/x-pem-file"

static bool add_one(struct target_listing *listing, const struct authority_list *list)
{
    struct str rest = list->created_s == 0
                          ? STR("/root.crl")
                          : arena_printf(listing->arena, "/%" PRId64 ".crl", list->created_s);

    return rest.data != NULL && listing_add(listing, "crl", rest, DER_TYPE, list->der) &&
           (!list->is_current || listing_add(listing, "crl", STR(".crl"), DER_TYPE, list->der));
}

static bool add_all(struct target_listing *listing, const struct authority_list *lists,
                    size_t count)
{
    OWNED(buf_release) struct buf all = { 0 };

    if (count == 0)
        return true; /* none of its keys has a certificate yet */
    buf_init(&all, ALL_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_add(&all, lists[i].pem);
        if (!add_one(listing, &lists[i]))
            return false;
    }
    return buf_is_ok(&all) && listing_add(listing, "crl", STR(".pem"), PEM_TYPE,
                                          arena_copy(listing->arena, buf_str(&all)));
}

bool x509_list(struct target_listing *listing, struct error *error)
{
    const struct x509_settings *own = listing->target->settings;
    struct authority_revoked *revoked =
        arena_alloc_array(listing->arena, listing->revoked_count + 1, sizeof(*revoked));
    struct authority_list_plan plan = {
        .revoked = revoked,
        .count = listing->revoked_count,
        .size = listing->size,
        .now_s = listing->now_s,
        .next_s = listing->now_s + own->list_lives_s,
    };
    struct authority_list *lists = NULL;
    size_t count = 0;

    if (!own->authority)
        return error_set(error, ERROR_MINT, "the target's CA is not loaded");
    if (!revoked)
        return error_set(error, ERROR_MEMORY, "no memory for a list");
    for (size_t i = 0; i < listing->revoked_count; i++)
        revoked[i] = (struct authority_revoked){ listing->revoked[i].ca, listing->revoked[i].id,
                                                 listing->revoked[i].revoked_s };
    if (!authority_sign_lists(own->authority, &plan, listing->arena, &lists, &count, error))
        return false;
    return add_all(listing, lists, count) || error_set(error, ERROR_MEMORY, "no memory for a list");
}
