/*
 * Make a log of given sizes quickly: entries straight into the store, then a publisher that catches
 * up; one checkpoint a size, so that partial tiles of the earlier ones are there as well.
 *
 * usage: make_log STORE KEYS SIZE...
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "keys/keys.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"
#include "store/store.h"

#define ORIGIN STR("log.example.com/audit")
#define IN_FLIGHT 256
#define ENTRY_TEXT_MAX 160
#define DAY_S ((int64_t)86400)

/* A proposal under way and the bytes of its entries. */
struct shot {
    struct store_proposal proposal;
    char bytes[STORE_PROPOSAL_ENTRIES_MAX][ENTRY_TEXT_MAX];
};

static _Noreturn void give_up(const struct error *error)
{
    (void)fprintf(stderr, "make_log: %s\n", error->cause);
    exit(1); /* NOLINT(concurrency-mt-unsafe) */
}

static void tell_done(struct store_proposal *proposal, void *context)
{
    if (!proposal->is_committed)
        give_up(&proposal->error);
    (void)sem_post(context);
}

static void write_entry(struct store_entry *entry, char *bytes, uint64_t index)
{
    int start = snprintf(bytes, ENTRY_TEXT_MAX,
                         "{\"broker\":\"a\",\"detail\":\"stagepassd %llu\",\"time\":\"",
                         (unsigned long long)index);

    *entry = (struct store_entry){ .bytes = bytes, .time_offset = (size_t)start };
    entry->len = (size_t)start + (size_t)snprintf(bytes + start, ENTRY_TEXT_MAX - (size_t)start,
                                                  "%s\",\"type\":\"broker.started\"}",
                                                  "0000-00-00T00:00:00.000Z");
}

/* Submit one proposal of what is missing; how many entries are in it. */
static uint64_t submit(struct store *store, struct shot *shot, uint64_t index, uint64_t size,
                       sem_t *done)
{
    struct store_proposal *proposal = &shot->proposal;
    struct error error = { 0 };

    *proposal = (struct store_proposal){ .done = tell_done, .context = done };
    while (proposal->entry_count < STORE_PROPOSAL_ENTRIES_MAX && index < size) {
        write_entry(&proposal->entries[proposal->entry_count], shot->bytes[proposal->entry_count],
                    index++);
        proposal->entry_count++;
    }
    if (!store_submit(store, proposal, &error))
        give_up(&error);
    return proposal->entry_count;
}

static void grow(const char *folder, uint64_t size)
{
    struct store_options options = { .location = folder, .fold = { entry_fold } };
    struct shot *shots = calloc(IN_FLIGHT, sizeof(*shots));
    struct store *store = NULL;
    struct error error = { 0 };
    uint64_t index = 0;
    sem_t done;

    if (shots == NULL || sem_init(&done, 0, 0) != 0)
        abort();
    if (!store_open(&options, &store, &error))
        give_up(&error);
    index = store_size(store);
    while (index < size) {
        size_t count = 0;

        while (count < IN_FLIGHT && index < size)
            index += submit(store, &shots[count++], index, size, &done);
        while (count-- > 0)
            while (sem_wait(&done) != 0)
                ;
    }
    store_close(store);
    (void)sem_destroy(&done);
    free(shots);
}

static void publish(const char *folder, struct key *key)
{
    struct ledger_options options = {
        .store = folder,
        .origin = ORIGIN,
        .broker = STR("a"),
        .key = key,
    };
    struct ledger *ledger = NULL;
    struct error error = { 0 };

    if (!ledger_open(&options, &ledger, &error))
        give_up(&error);
    ledger_close(ledger);
}

int main(int argc, char **argv)
{
    struct keys_options options = { .issuer_algorithm = KEY_ES256, .rotate_every_s = 30 * DAY_S };
    struct keys *keys = NULL;
    struct key *key = NULL;
    struct error error = { 0 };

    if (argc < 4) {
        (void)fputs("usage: make_log STORE KEYS SIZE...\n", stderr);
        return 2;
    }
    options.directory = argv[2];
    if (!keys_open(&options, clock_wall_s(), &keys, &error) ||
        !keys_named(keys, STR("ledger"), KEY_ED25519, &key, &error))
        give_up(&error);
    for (int i = 3; i < argc; i++) {
        int64_t size = 0;

        if (!str_to_int64(str_from(argv[i]), &size) || size < 0)
            give_up(&(struct error){ .cause = "a size is a number" });
        grow(argv[1], (uint64_t)size);
        publish(argv[1], key);
    }
    keys_close(keys);
    return 0;
}
