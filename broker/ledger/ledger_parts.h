#pragma once

#include <pthread.h>
#include <stddef.h>

#include "ledger/proposals.h"

struct block_book;
struct eraser;
struct indexer;
struct inquiries;
struct publisher;
struct store;
struct store_reader;

/* Readers that are kept; more are opened and closed as they are needed. */
#define READERS_KEPT 4

/** What a ledger is made of, for ledger.c and ledger_reading.c alone. Threads: shared */
struct ledger {
    char *log_path; /* "log" in the store's folder */
    char *origin;
    char *broker;
    char *keys_before; /* text of "log/verifier", where other keys sign now; else NULL */
    char *keys_now;
    int tiles;        /* the folder "log/tile" */
    char *index_path; /* in the store's folder */
    struct store *store;
    struct publisher *publisher;
    struct indexer *indexer;
    struct inquiries *inquiries;
    struct eraser *eraser;
    struct block_book *blocks;
    struct proposals proposals;

    pthread_mutex_t lock;
    struct store_reader *readers[READERS_KEPT]; /* guarded by lock */
    size_t reader_count;                        /* guarded by lock */
};
