/*
 * One batch is one transaction, in two flights:
 *
 *   1. BEGIN; the head, locked; the marks and leases that the batch names.
 *      Here guards are decided, as in a folder, against these rows.
 *   2. The entries, the rows that changed, the head, our batch's number; COMMIT.
 *
 * Until the second flight leaves nothing can have happened. After it, if the connection is lost,
 * only the database knows.
 */
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "store/pg_store_internal.h"

/* All of a batch, whichever guards hold: it fits into a frame. */
#define BATCH_LEN_MAX ((size_t)1024 * 1024)

/* A batch whose connection is lost before it was committed is tried once more. */
#define ATTEMPTS_MAX 2

enum attempt {
    ATTEMPT_DONE,    /* outcomes are set */
    ATTEMPT_FAILED,  /* nothing was written, and it would not be a second time */
    ATTEMPT_LOST,    /* nothing was written: the connection was lost */
    ATTEMPT_UNKNOWN, /* the connection was lost behind COMMIT */
};

static size_t proposal_len(const struct store_proposal *proposal)
{
    size_t len = 0;

    for (size_t i = 0; i < proposal->entry_count; i++)
        len += proposal->entries[i].len + proposal->entries[i].private_part.len;
    return len;
}

/* Take proposals from the list as long as all of them would fit into one batch. */
static void choose(struct pg_store *pg, struct store_proposal **list)
{
    size_t entry_count = 0;
    size_t len = 0;

    pg->chosen_count = 0;
    while (*list != NULL) {
        struct store_proposal *proposal = *list;

        entry_count += proposal->entry_count;
        len += proposal_len(proposal);
        if (pg->chosen_count > 0 && (entry_count > FRAME_ENTRIES_MAX || len > BATCH_LEN_MAX))
            return;
        pg->chosen[pg->chosen_count++] = proposal;
        *list = proposal->next;
    }
}

static void name_rows(struct pg_store *pg)
{
    pg_rows_clear(&pg->rows);
    for (size_t i = 0; i < pg->chosen_count; i++) {
        const struct store_proposal *proposal = pg->chosen[i];

        for (size_t k = 0; k < proposal->guard_count; k++)
            pg_rows_name_guard(&pg->rows, &proposal->guards[k]);
        for (size_t k = 0; k < proposal->entry_count; k++)
            for (size_t m = 0; m < proposal->entries[k].change_count; m++)
                pg_rows_name_change(&pg->rows, &proposal->entries[k].changes[m]);
    }
}

static bool read_lock(const PGresult *result, struct pg_head *head, struct error *error)
{
    if (!pg_read_head(result, head))
        return error_set(error, ERROR_INVALID, "stagepass.head has no row");
    if (pg_number(result, 0, 5) != 1)
        return error_set(error, ERROR_LEDGER,
                         "synchronous_commit was switched off: nothing that is "
                         "committed would be durable");
    if (head->folded != head->size)
        return error_set(error, ERROR_LEDGER,
                         "marks and leases are behind the entries: start a broker again");
    return true;
}

/* The first flight. */
static bool load(struct pg_store *pg, struct pg_head *head, struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    OWNED(pg_result_clear) PGresult *locked = NULL;

    name_rows(pg);
    pg_begin(writer, PG_WAIT_MS);
    if (!pg_send(writer, PG_BEGIN, NULL, error) || !pg_send(writer, PG_LOCK_HEAD, NULL, error) ||
        !pg_rows_ask(&pg->rows, writer, error) || !pg_sync(writer, error) ||
        !pg_skip(writer, 1, error))
        return false;
    locked = pg_take(writer, error);
    return locked != NULL && pg_rows_load(&pg->rows, writer, error) && pg_end(writer, error) &&
           read_lock(locked, head, error);
}

static int64_t decide(struct pg_store *pg, const struct pg_head *head)
{
    struct state_times times = { .rows_s = pg->rows.now_s };
    int64_t time_ms = 0;

    if (head->time_ms > pg->store.time_ms)
        pg->store.time_ms = head->time_ms;
    pg->rows.state->forgotten_s = head->forgotten_s;
    pg->rows.state->blocks.version = head->blocks;
    pg_raise(&pg->store.blocks_version, head->blocks);
    time_ms = store_next_time_ms(&pg->store);
    times.marks_s = store_marks_time_s(&pg->store);
    batch_start(&pg->batch, head->size, time_ms, &times);
    for (size_t i = 0; i < pg->chosen_count; i++) {
        pg->chosen[i]->error = (struct error){ 0 };
        batch_take(&pg->batch, pg->rows.state, pg->chosen[i]);
    }
    return times.marks_s;
}

/* The rows as they are after the batch, and only those that it changes. */
static bool apply(struct pg_store *pg, int64_t now_s, struct error *error)
{
    const struct pending *pending = &pg->batch.pending;

    pg_rows_forget_names(&pg->rows);
    for (size_t i = 0; i < pending->count; i++) {
        const struct pending_change *item = &pending->changes[i];

        pg_rows_name_changed(&pg->rows, item->change);
        if (!state_apply(pg->rows.state, item, now_s))
            return error_set(error, ERROR_MEMORY, "no memory for marks and leases");
    }
    return true;
}

static void add_proposal(struct pg_store *pg, const struct store_proposal *proposal)
{
    for (size_t i = 0; i < proposal->entry_count; i++) {
        const struct store_entry *entry = &proposal->entries[i];

        pg_array_bytes(&pg->entries, (struct str){ entry->bytes, entry->len });
        if (entry->private_part.len > 0)
            pg_array_bytes(&pg->privates, entry->private_part);
        else
            pg_array_null(&pg->privates);
    }
}

static bool send_entries(struct pg_store *pg, struct error *error)
{
    struct pg_values values = { 0 };

    buf_clear(&pg->entries);
    buf_clear(&pg->privates);
    pg_array_begin(&pg->entries, PG_BYTEA, pg->batch.frame.entry_count);
    pg_array_begin(&pg->privates, PG_BYTEA, pg->batch.frame.entry_count);
    for (const struct store_proposal *each = pg->batch.first; each != NULL; each = each->next)
        if (each->is_committed)
            add_proposal(pg, each);
    if (!buf_is_ok(&pg->entries) || !buf_is_ok(&pg->privates))
        return error_set(error, ERROR_MEMORY, "no memory for a batch");
    pg_add_number(&values, (int64_t)pg->batch.frame.first_index);
    pg_add_number(&values, pg->batch.time_ms);
    pg_add_bytes(&values, buf_str(&pg->entries));
    pg_add_bytes(&values, buf_str(&pg->privates));
    return pg_send(&pg->writer, PG_ADD_ENTRIES, &values, error);
}

static bool send_head(struct pg_store *pg, struct error *error)
{
    uint64_t size = pg->batch.frame.first_index + pg->batch.frame.entry_count;
    struct pg_values head = { 0 };
    struct pg_values batch = { 0 };

    pg_add_number(&head, (int64_t)size);
    pg_add_number(&head, (int64_t)size);
    pg_add_number(&head, pg->batch.time_ms);
    pg_add_bytes(&batch, (struct str){ (const char *)pg->writer_id, sizeof(pg->writer_id) });
    pg_add_number(&batch, pg->batch_number);
    return pg_send(&pg->writer, PG_MOVE_HEAD, &head, error) &&
           pg_send(&pg->writer, PG_PUT_BATCH, &batch, error);
}

/* Entries, rows, head, batch, and SET LOCAL. */
static size_t statements_before_commit(const struct pg_store *pg)
{
    return 1 + pg_rows_write_count(&pg->rows) + 2 + 1;
}

/* Prepare the second flight; libpq sends some of it already when it is long, but COMMIT last. */
static bool send_all(struct pg_store *pg, int64_t now_s, struct error *error)
{
    struct pg_connection *writer = &pg->writer;

    pg_begin(writer, PG_WAIT_MS);
    return send_entries(pg, error) && pg_rows_write(&pg->rows, writer, now_s, error) &&
           send_head(pg, error) && pg_send(writer, PG_WAIT_LONG, NULL, error);
}

/*
 * A session in which something failed is given up, which ends its transaction: what it is in the
 * middle of need not be found out.
 */
static enum attempt give_up(struct pg_store *pg, enum attempt where_lost)
{
    enum attempt outcome = pg_is_open(&pg->writer) ? ATTEMPT_FAILED : where_lost;

    pg_close(&pg->writer);
    return outcome;
}

/* Nothing to write: all guards failed, which was decided under the lock. */
static enum attempt leave(struct pg_store *pg)
{
    struct error ignored = { 0 };

    pg_begin(&pg->writer, PG_WAIT_MS);
    if (!pg_send(&pg->writer, PG_ROLLBACK, NULL, &ignored) || !pg_sync(&pg->writer, &ignored) ||
        !pg_skip(&pg->writer, 1, &ignored) || !pg_end(&pg->writer, &ignored))
        pg_close(&pg->writer);
    return ATTEMPT_DONE;
}

/* The answer to COMMIT. */
static enum attempt hear_commit(struct pg_store *pg, struct error *error)
{
    struct pg_connection *writer = &pg->writer;
    OWNED(pg_result_clear) PGresult *commit = NULL;

    if (!pg_skip(writer, statements_before_commit(pg), error))
        return give_up(pg, ATTEMPT_UNKNOWN);
    commit = pg_take(writer, error);
    if (commit == NULL || !pg_end(writer, error)) {
        pg_close(writer); /* whatever it was: the database knows */
        return ATTEMPT_UNKNOWN;
    }
    if (strcmp(PQcmdStatus(commit), "COMMIT") == 0)
        return ATTEMPT_DONE;
    (void)error_set(error, ERROR_LEDGER, "PostgreSQL: the transaction was rolled back");
    return ATTEMPT_FAILED;
}

static enum attempt attempt(struct pg_store *pg, struct error *error)
{
    struct pg_head head = { 0 };
    int64_t now_s = 0;

    if (!load(pg, &head, error))
        return give_up(pg, ATTEMPT_LOST);
    now_s = decide(pg, &head);
    if (pg->batch.frame.entry_count == 0)
        return leave(pg);
    pg->batch_number++;
    if (!apply(pg, now_s, error) || !send_all(pg, now_s, error))
        return give_up(pg, ATTEMPT_LOST); /* COMMIT was not sent */
    if (!pg_send(&pg->writer, PG_COMMIT, NULL, error) || !pg_sync(&pg->writer, error))
        return ATTEMPT_UNKNOWN;
    return hear_commit(pg, error);
}

/* Outcomes as they are when nothing was written. */
static void fail_all(struct pg_store *pg, const char *cause)
{
    batch_start(&pg->batch, pg->told_size, pg->store.time_ms, &(struct state_times){ 0 });
    for (size_t i = 0; i < pg->chosen_count; i++) {
        pg->chosen[i]->error = (struct error){ 0 };
        batch_take_failed(&pg->batch, pg->chosen[i], cause);
    }
    metric_add(METRIC_LEDGER_FAILURES, 1);
}

static enum attempt attempt_until_known(struct pg_store *pg, struct error *error)
{
    int64_t start_ns = clock_monotonic_ns();
    enum attempt outcome = attempt(pg, error);
    bool is_committed = false;

    if (outcome == ATTEMPT_UNKNOWN) {
        *error = (struct error){ 0 };
        if (!pg_link_resolve(pg, pg->batch_number, &is_committed, error))
            return ATTEMPT_FAILED;
        outcome = is_committed ? ATTEMPT_DONE : ATTEMPT_LOST;
    }
    metric_time(METRIC_TIMER_COMMIT, clock_monotonic_ns() - start_ns);
    return outcome;
}

static const struct store_entry *last_entry(const struct batch *batch)
{
    const struct store_entry *last = NULL;

    for (const struct store_proposal *each = batch->first; each != NULL; each = each->next)
        if (each->is_committed)
            last = &each->entries[each->entry_count - 1];
    return last;
}

/* The batch is in the log. */
static void take_over(struct pg_store *pg)
{
    const struct batch *batch = &pg->batch;
    const struct store_entry *last = last_entry(batch);

    if (last == NULL)
        return;
    pg->store.time_ms = batch->time_ms;
    pg_raise(&pg->store.blocks_version, pg->rows.state->blocks.version);
    pg->has_last = true;
    pg->last_index = batch->frame.first_index + batch->frame.entry_count - 1;
    sha256((struct str){ last->bytes, last->len }, pg->last_sha256);
    metric_add(METRIC_LEDGER_ENTRIES, batch->frame.entry_count);
    metric_add(METRIC_LEDGER_BATCHES, 1);
}

static void commit_chosen(struct pg_store *pg)
{
    struct error error = { 0 };
    enum attempt outcome = ATTEMPT_LOST;

    for (unsigned i = 0; i < ATTEMPTS_MAX && outcome == ATTEMPT_LOST; i++) {
        error = (struct error){ 0 };
        if (!(i == 0 ? pg_link(pg, &error) : pg_link_now(pg, &error)))
            break;
        outcome = attempt_until_known(pg, &error);
    }
    if (outcome != ATTEMPT_DONE) {
        fail_all(pg,
                 error.code == ERROR_NONE ? "PostgreSQL: the connection was lost" : error.cause);
        return;
    }
    take_over(pg);
    /* An administrator ended the wait for a standby: it is written, but not as safely as it has to.
     */
    if (pg->writer.has_warning)
        store_fail_batch(&pg->batch, "PostgreSQL did not confirm that the commit is durable");
}

void pg_commit(struct store *store, struct store_proposal *list)
{
    struct pg_store *pg = (struct pg_store *)store;

    while (list != NULL) {
        uint64_t size = 0;

        choose(pg, &list);
        commit_chosen(pg);
        size = pg->batch.frame.first_index + pg->batch.frame.entry_count;
        if (pg->batch.frame.entry_count > 0) /* before the outcome is told */
            pg_raise(&pg->store.size, size);
        store_call_done(&pg->batch);
        if (pg->batch.frame.entry_count > 0)
            pg_tell_size(pg, size);
    }
}
