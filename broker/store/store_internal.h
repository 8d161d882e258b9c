#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/batch.h"
#include "store/recovery.h"
#include "store/snapshot.h"
#include "store/state.h"
#include "store/store.h"
#include "store/writer.h"

/** Threads: shared */
struct store {
    struct store_folders folders;
    int lock_file; /* flock()ed as long as the store is open */
    struct state *state;

    /* the store's thread's alone */
    struct writer writer;
    struct batch batch;
    uint64_t next_index;
    int64_t time_ms;     /* of the last entry */
    int64_t marks_ms;    /* what marks were last held against */
    int64_t marks_at_ms; /* the monotonic clock then */
    void (*on_commit)(uint64_t size, void *context);
    void *on_commit_context;

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store_proposal *first; /* guarded by lock */
    struct store_proposal **end;  /* guarded by lock */
    size_t queued_count;          /* guarded by lock */
    bool is_closing;              /* guarded by lock */

    pthread_mutex_t position_lock;
    struct log_position position; /* guarded by position_lock: all before it is in `state` */
    uint64_t snapshot_size;       /* the second thread's, then store_close()'s */

    atomic_uint_fast64_t size; /* durable entries */
    atomic_bool is_fenced;     /* a write error: nothing is written any more */
    atomic_bool is_full;       /* the last batch found no space */
};
