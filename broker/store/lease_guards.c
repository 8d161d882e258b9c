#include "store/lease_guards.h"

#include <stdlib.h>
#include <string.h>

#include "store/lease_chains.h"

static struct store_lease read_row(const struct leases *leases, uint32_t number)
{
    struct store_lease lease = { 0 };

    if (number != 0)
        lease_row_read(leases_row(leases, number), &lease);
    return lease;
}

/* State and version are those that were asked for, and it lives where that was asked for. */
static bool is_as_said(const struct leases *leases, const struct pending *pending,
                       const struct store_guard *guard, int64_t now_s)
{
    const struct pending_lease *found = pending_lease(pending, guard->lease_id);
    struct store_lease lease =
        found != NULL ? found->lease : read_row(leases, leases_find(leases, guard->lease_id));

    return lease.version != 0 && lease.version == guard->version && lease.state == guard->state &&
           (!guard->must_live || lease.expires_s > now_s);
}

static bool is_under(const struct store_lease *lease, const struct store_guard *guard)
{
    return lease->version != 0 &&
           memcmp(lease->keys[guard->key_kind], guard->key, STORE_KEY_LEN) == 0;
}

static bool was_opened(const struct store_lease *lease, const struct store_guard *guard)
{
    return lease->opened_s >= guard->since_s && lease->state != LEASE_FAILED;
}

/* Whether the batch makes or keeps a lease one of those that are counted. */
static bool will_count(const struct leases *leases, const struct store_lease *lease,
                       const struct store_guard *guard)
{
    if (!is_under(lease, guard))
        return false;
    return guard->kind == STORE_GUARD_FEWER_LIVE ? lease_is_live(lease, leases->ends.now_s)
                                                 : was_opened(lease, guard);
}

/* Whether it is one of them without the batch. */
static bool does_count(const struct leases *leases, uint32_t row, const struct store_guard *guard)
{
    struct store_lease lease = read_row(leases, row);

    if (!is_under(&lease, guard))
        return false;
    return guard->kind == STORE_GUARD_FEWER_LIVE ? leases_row(leases, row)->is_live
                                                 : was_opened(&lease, guard);
}

/* How many were opened since, `most` at most; the latest are the first of a chain. */
static size_t count_opened(const struct leases *leases, const struct store_guard *guard,
                           size_t most)
{
    uint32_t row = lease_chains_first(leases, guard->key_kind, guard->key);
    size_t count = 0;

    while (row != 0 && count < most) {
        struct store_lease lease = read_row(leases, row);

        if (lease.opened_s < guard->since_s)
            return count;
        count += was_opened(&lease, guard);
        row = leases_row(leases, row)->chains[guard->key_kind].next;
    }
    return count;
}

struct lease_count lease_count_of(const struct store_guard *guard)
{
    struct lease_count count = {
        .guard = guard->kind,
        .key_kind = guard->key_kind,
        .since_s = guard->kind == STORE_GUARD_FEWER_OPENED ? guard->since_s : 0,
        .most = guard->count,
    };

    memcpy(count.key, guard->key, sizeof(count.key));
    return count;
}

int lease_count_compare(const void *left, const void *right)
{
    const struct lease_count *one = left;
    const struct lease_count *other = right;

    if (one->guard != other->guard)
        return one->guard < other->guard ? -1 : 1;
    if (one->key_kind != other->key_kind)
        return one->key_kind < other->key_kind ? -1 : 1;
    if (one->since_s != other->since_s)
        return one->since_s < other->since_s ? -1 : 1;
    return memcmp(one->key, other->key, sizeof(one->key));
}

/* What a database counted; what it was not asked for is past every limit. */
static size_t counted(const struct lease_counts *counts, const struct store_guard *guard)
{
    struct lease_count wanted = lease_count_of(guard);
    const struct lease_count *found = NULL;

    if (counts->count > 0)
        found = bsearch(&wanted, counts->rows, counts->count, sizeof(wanted), lease_count_compare);
    return found == NULL ? SIZE_MAX / 2 : found->count;
}

/* As it is without the batch. */
static size_t count_now(const struct leases *leases, const struct pending *pending,
                        const struct store_guard *guard)
{
    if (leases->counts != NULL)
        return counted(leases->counts, guard);
    if (guard->kind == STORE_GUARD_FEWER_LIVE)
        return lease_chains_live(leases, guard->key_kind, guard->key);
    return count_opened(leases, guard, (size_t)guard->count + pending->lease_count);
}

/* As it is now, and what the batch takes from it and adds to it. */
static bool are_fewer(const struct leases *leases, const struct pending *pending,
                      const struct store_guard *guard)
{
    size_t count = count_now(leases, pending, guard);

    for (size_t i = 0; i < pending->lease_count; i++) {
        const struct pending_lease *changed = &pending->leases[i];

        if (will_count(leases, &changed->lease, guard))
            count++;
        if (does_count(leases, changed->row, guard))
            count--;
    }
    return count < guard->count;
}

static bool may_be_latest(const struct store_lease *lease, const struct store_guard *guard)
{
    return is_under(lease, guard) && (guard->attempt == 0 || lease->attempt <= guard->attempt);
}

static struct store_lease latest_row(const struct leases *leases, const struct store_guard *guard)
{
    uint32_t row = lease_chains_first(leases, guard->key_kind, guard->key);

    for (; row != 0; row = leases_row(leases, row)->chains[guard->key_kind].next) {
        struct store_lease lease = read_row(leases, row);

        if (may_be_latest(&lease, guard))
            return lease;
    }
    return (struct store_lease){ 0 };
}

static bool is_latest_good(const struct leases *leases, const struct pending *pending,
                           const struct store_guard *guard)
{
    struct store_lease latest = latest_row(leases, guard);

    for (size_t i = 0; i < pending->lease_count; i++) {
        const struct store_lease *lease = &pending->leases[i].lease;

        if (may_be_latest(lease, guard) &&
            (latest.version == 0 || lease->opened_index >= latest.opened_index))
            latest = *lease;
    }
    if (latest.version == 0 || latest.opened_s < guard->since_s)
        return false;
    if (guard->must_succeed)
        return latest.state == LEASE_RELEASED && latest.outcome == OUTCOME_SUCCESS;
    return latest.state == LEASE_ISSUED || latest.state == LEASE_RELEASED ||
           latest.state == LEASE_EXPIRED;
}

bool lease_guard_holds(const struct leases *leases, const struct pending *pending,
                       const struct store_guard *guard, int64_t now_s)
{
    if (guard->kind == STORE_GUARD_LEASE)
        return is_as_said(leases, pending, guard, now_s);
    if ((unsigned)guard->key_kind >= STORE_KEY_COUNT || !lease_has_key(guard->key))
        return false;
    return guard->kind == STORE_GUARD_LATEST ? is_latest_good(leases, pending, guard)
                                             : are_fewer(leases, pending, guard);
}
