#include "ledger/sample_store.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "ledger/sample.h"
#include "tests/test.h"

static void must(bool is_good, const struct error *error)
{
    if (!is_good)
        fail_msg("%s", error->cause);
}

static bool no_fold(struct str entry, uint64_t index, struct store_change *changes,
                    size_t *change_count, struct error *error)
{
    (void)entry;
    (void)index;
    (void)changes;
    (void)error;
    *change_count = 0;
    return true;
}

struct store *sample_store_open(const char *path)
{
    struct store_options options = { .location = path, .fold = { no_fold } };
    struct store *store = NULL;
    struct error error = { 0 };

    must(store_open(&options, &store, &error), &error);
    return store;
}

static void done(struct store_proposal *proposal, void *context)
{
    (void)proposal;
    atomic_store((atomic_bool *)context, true);
}

void sample_store_append(struct store *store, uint64_t from, uint64_t to)
{
    for (uint64_t at = from; at < to;) {
        struct buf buffers[STORE_PROPOSAL_ENTRIES_MAX][2] = { { { 0 } } };
        struct store_proposal proposal = { .done = done };
        struct error error = { 0 };
        atomic_bool is_done = false;

        proposal.context = &is_done;
        for (; at < to && proposal.entry_count < STORE_PROPOSAL_ENTRIES_MAX; at++) {
            struct buf *buffer = buffers[proposal.entry_count];

            buf_init(&buffer[0], SAMPLE_MAX);
            buf_init(&buffer[1], SAMPLE_MAX);
            sample_entry(at, &buffer[0], &buffer[1]);
            proposal.entries[proposal.entry_count++] = (struct store_entry){
                .bytes = buffer[0].data,
                .len = buffer[0].len,
                .time_offset = (size_t)(strstr(buffer[0].data, "\"time\":\"") - buffer[0].data) + 8,
                .private_part = buf_str(&buffer[1]),
            };
        }
        must(store_submit(store, &proposal, &error), &error);
        while (!atomic_load(&is_done))
            (void)usleep(100);
        for (size_t i = 0; i < STORE_PROPOSAL_ENTRIES_MAX; i++) {
            buf_release(&buffers[i][0]);
            buf_release(&buffers[i][1]);
        }
    }
}
