#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ledger/mirror_watch.h"
#include "ledger/note.h"
#include "ledger/publisher.h"
#include "ledger/tile_builder.h"
#include "ledger/waiters.h"

struct store_reader;

/*
 * A checkpoint is signed, then published: at once, or with a quorum once enough witnesses have
 * cosigned it. While it is with witnesses that use to answer no other is signed, so that their
 * cosignatures stand on the one that is published; each further one is added to it as it comes.
 */
struct publisher {
    struct publisher_options options;
    char *checkpoint_path;
    struct key *keys[NOTE_LOGS_MAX];
    size_t key_count;
    struct witnesses *witnesses;  /* NULL: there are none */
    struct mirror_watch *mirrors; /* NULL: none are known */

    /* the thread's */
    struct store_reader *reader;
    struct tile_builder builder;
    struct publication *newest; /* signed, without cosignatures; NULL: none since the start */
    int64_t signed_ms;          /* when the last one was */
    bool has_cosignatures;      /* of `newest`, that are not published yet */
    bool has_failed;            /* to write or publish: it is tried again */

    struct waiters waiters;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    uint64_t committed;          /* guarded by lock */
    bool watches_commits;        /* guarded by lock: the thread waits for one */
    bool has_answers;            /* guarded by lock: a witness has answered */
    struct publication *current; /* guarded by lock; only the thread changes it */
    bool is_stopping;            /* guarded by lock */
};

/** The edge of a publication; of none the empty tree's. */
const struct tile_edge *publisher_edge_of(const struct publication *publication);

/** One more checkpoint: tiles, then the signature, then whether others agree. */
bool publisher_sign_next(struct publisher *publisher, struct error *error) MUST_USE;

/** Take in what witnesses have answered, and ask those that are due. */
void publisher_take_answers(struct publisher *publisher, int64_t now_ms);
void publisher_ask_witnesses(struct publisher *publisher, int64_t now_ms);

/* publisher_witness.c: before the thread runs */

/** Keys and witnesses of the options. Errors: ERROR_LIMIT, ERROR_MEMORY */
bool publisher_take_options(struct publisher *publisher, const struct publisher_options *options,
                            struct error *error) MUST_USE;

/**
 * Before anything is committed: whether the store is the one that witnesses know. First their
 * sizes, by a checkpoint that is no fork of any log; only then one of this store is signed.
 *
 * Errors: as publisher_start()
 */
bool publisher_meet_witnesses(struct publisher *publisher, struct error *error) MUST_USE;
