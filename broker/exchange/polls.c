#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "exchange/approval.h"

/* A code that has the place of another one in the table only makes that one's look early or not. */
#define PLACES 4096

/* A job that asks as often as it may must not be told off for a network's haste. */
#define HASTE_MS 1000

struct place {
    uint64_t code;
    int64_t asked_ms;
};

struct polls {
    pthread_mutex_t lock;
    struct place places[PLACES];
};

struct polls *polls_new(void)
{
    struct polls *polls = calloc(1, sizeof(*polls));

    if (polls && pthread_mutex_init(&polls->lock, NULL) != 0) {
        free(polls);
        return NULL;
    }
    return polls;
}

void polls_free(struct polls *polls)
{
    if (!polls)
        return;
    (void)pthread_mutex_destroy(&polls->lock);
    free(polls);
}

bool polls_admit(struct polls *polls, const uint8_t code_sha256[SHA256_LEN], int64_t now_ms)
{
    struct place *place;
    uint64_t code;
    bool is_early;

    memcpy(&code, code_sha256, sizeof(code));
    place = &polls->places[code % PLACES];
    (void)pthread_mutex_lock(&polls->lock);
    is_early = place->code == code &&
               now_ms - place->asked_ms < (int64_t)APPROVAL_INTERVAL_S * 1000 - HASTE_MS;
    *place = (struct place){ code, now_ms };
    (void)pthread_mutex_unlock(&polls->lock);
    return !is_early;
}
