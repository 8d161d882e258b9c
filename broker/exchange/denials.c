#include "exchange/denials.h"

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

struct denials {
    pthread_mutex_t lock;
    struct slot slots[DENIALS_TRACKED_MAX]; /* guarded by lock */
    struct slot overflow;                   /* guarded by lock; for all that find no slot */
};

struct denials *denials_new(void)
{
    struct denials *denials = calloc(1, sizeof(*denials));

    if (denials && pthread_mutex_init(&denials->lock, NULL) != 0) {
        free(denials);
        return NULL;
    }
    return denials;
}

void denials_free(struct denials *denials)
{
    if (!denials)
        return;
    for (size_t i = 0; i < DENIALS_TRACKED_MAX; i++)
        json_decref(denials->slots[i].entry);
    json_decref(denials->overflow.entry);
    (void)pthread_mutex_destroy(&denials->lock); /* nobody holds it any more */
    free(denials);
}

/* Its slot, or one that is free or whose minute is over and has nothing left to write. */
static struct slot *find_slot(struct denials *denials, const uint8_t key[SHA256_LEN],
                              int64_t minute)
{
    struct slot *usable = NULL;
    uint32_t start;

    memcpy(&start, key, sizeof(start));
    for (size_t i = 0; i < PROBES_MAX; i++) {
        struct slot *slot = &denials->slots[(start + i) % DENIALS_TRACKED_MAX];

        if (slot->count > 0 && slot->minute == minute && memcmp(slot->key, key, SHA256_LEN) == 0)
            return slot;
        if (!usable && (slot->count == 0 || (slot->minute < minute && !slot->entry)))
            usable = slot;
    }
    if (!usable)
        return &denials->overflow;
    memcpy(usable->key, key, SHA256_LEN);
    usable->minute = minute;
    usable->count = 0;
    return usable;
}

bool denials_admit(struct denials *denials, struct str key, json_t *entry, int64_t now_s)
{
    uint8_t digest[SHA256_LEN];
    struct slot *slot;
    bool is_single;

    sha256(key, digest);
    pthread_mutex_lock(&denials->lock);
    slot = find_slot(denials, digest, now_s / MINUTE_S);
    slot->count++;
    is_single = slot != &denials->overflow && slot->count <= DENIALS_SINGLE_MAX;
    if (slot == &denials->overflow && slot->count == 1)
        slot->minute = now_s / MINUTE_S;
    if (!is_single && !slot->entry)
        slot->entry = json_incref(entry);
    pthread_mutex_unlock(&denials->lock);
    return is_single;
}

/* Take out one slot whose minute is over and that still has something to write. */
static bool take_due(struct denials *denials, int64_t minute, size_t *from, struct slot *due)
{
    bool is_found = false;

    pthread_mutex_lock(&denials->lock);
    for (; !is_found && *from <= DENIALS_TRACKED_MAX; (*from)++) {
        struct slot *slot =
            *from < DENIALS_TRACKED_MAX ? &denials->slots[*from] : &denials->overflow;

        if (slot->entry && slot->minute < minute) {
            *due = *slot;
            memset(slot, 0, sizeof(*slot));
            is_found = true;
        }
    }
    pthread_mutex_unlock(&denials->lock);
    return is_found;
}

/* A slot of its own had its first denials written; the overflow's were all only counted. */
static int64_t unwritten(const struct slot *due, size_t next)
{
    return next <= DENIALS_TRACKED_MAX ? due->count - DENIALS_SINGLE_MAX : due->count;
}

bool denials_flush(struct denials *denials, struct ledger *ledger, int64_t now_s,
                   struct error *error)
{
    struct slot due;
    size_t next = 0;

    while (take_due(denials, now_s / MINUTE_S, &next, &due)) {
        struct ledger_append append = { .entries = { due.entry }, .entry_count = 1 };
        bool is_written = json_put(due.entry, "count", json_integer(unwritten(&due, next))) &&
                          ledger_append_now(ledger, &append, error);

        json_decref(due.entry);
        if (!is_written)
            return false;
    }
    return true;
}
