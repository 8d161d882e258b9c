#include "exchange/tally.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/ledger.h"

#define MINUTE_S 60
#define PROBES_MAX 8

/* One identity and stage in one minute. A free slot has no count. */
struct slot {
    uint8_t key[SHA256_LEN];
    int64_t minute;
    int64_t count;
    json_t *entry; /* the form of the minute's entry, once something was only counted */
};

struct tally {
    int64_t single_max;
    pthread_mutex_t lock;
    struct slot slots[TALLY_TRACKED_MAX]; /* guarded by lock */
    struct slot overflow;                 /* guarded by lock; for all that find no slot */
};

struct tally *tally_new(int64_t single_max)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (tally && pthread_mutex_init(&tally->lock, NULL) != 0) {
        free(tally);
        return NULL;
    }
    if (tally)
        tally->single_max = single_max;
    return tally;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    for (size_t i = 0; i < TALLY_TRACKED_MAX; i++)
        json_decref(tally->slots[i].entry);
    json_decref(tally->overflow.entry);
    (void)pthread_mutex_destroy(&tally->lock); /* nobody holds it any more */
    free(tally);
}

/* Its slot, or one that is free or whose minute is over and has nothing left to write. */
static struct slot *find_slot(struct tally *tally, const uint8_t key[SHA256_LEN], int64_t minute)
{
    struct slot *usable = NULL;
    uint32_t start;

    memcpy(&start, key, sizeof(start));
    for (size_t i = 0; i < PROBES_MAX; i++) {
        struct slot *slot = &tally->slots[(start + i) % TALLY_TRACKED_MAX];

        if (slot->count > 0 && slot->minute == minute && memcmp(slot->key, key, SHA256_LEN) == 0)
            return slot;
        if (!usable && (slot->count == 0 || (slot->minute < minute && !slot->entry)))
            usable = slot;
    }
    if (!usable)
        return &tally->overflow;
    memcpy(usable->key, key, SHA256_LEN);
    usable->minute = minute;
    usable->count = 0;
    return usable;
}

bool tally_admit(struct tally *tally, struct str key, json_t *entry, int64_t now_s)
{
    uint8_t digest[SHA256_LEN];
    struct slot *slot;
    bool is_single;

    sha256(key, digest);
    pthread_mutex_lock(&tally->lock);
    slot = find_slot(tally, digest, now_s / MINUTE_S);
    slot->count++;
    is_single = slot != &tally->overflow && slot->count <= tally->single_max;
    if (slot == &tally->overflow && slot->count == 1)
        slot->minute = now_s / MINUTE_S;
    if (!is_single && !slot->entry)
        slot->entry = json_incref(entry);
    pthread_mutex_unlock(&tally->lock);
    return is_single;
}

bool tally_count(struct tally *tally, struct str key, int64_t now_s)
{
    uint8_t digest[SHA256_LEN];
    struct slot *slot;
    bool is_counted;

    sha256(key, digest);
    pthread_mutex_lock(&tally->lock);
    slot = find_slot(tally, digest, now_s / MINUTE_S);
    is_counted = slot->entry != NULL && slot->count > 0;
    slot->count += is_counted;
    pthread_mutex_unlock(&tally->lock);
    return is_counted;
}

/* Take out one slot whose minute is over and that still has something to write. */
static bool take_due(struct tally *tally, int64_t minute, size_t *from, struct slot *due)
{
    bool is_found = false;

    pthread_mutex_lock(&tally->lock);
    for (; !is_found && *from <= TALLY_TRACKED_MAX; (*from)++) {
        struct slot *slot = *from < TALLY_TRACKED_MAX ? &tally->slots[*from] : &tally->overflow;

        if (slot->entry && slot->minute < minute) {
            *due = *slot;
            memset(slot, 0, sizeof(*slot));
            is_found = true;
        }
    }
    pthread_mutex_unlock(&tally->lock);
    return is_found;
}

/* A slot of its own had its first ones written; the overflow's were all only counted. */
static int64_t unwritten(const struct tally *tally, const struct slot *due, size_t next)
{
    return next <= TALLY_TRACKED_MAX ? due->count - tally->single_max : due->count;
}

bool tally_flush(struct tally *tally, struct ledger *ledger, int64_t now_s, struct error *error)
{
    struct slot due;
    size_t next = 0;

    while (take_due(tally, now_s / MINUTE_S, &next, &due)) {
        bool is_written =
            json_put(due.entry, "count", json_integer(unwritten(tally, &due, next))) &&
            ledger_record(ledger, due.entry, error);

        json_decref(due.entry);
        if (!is_written)
            return false;
    }
    return true;
}
