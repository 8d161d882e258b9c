#include "store/help.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/time_text.h"
#include "tests/test.h"

#define ENTRY_ROOM 256

struct append {
    struct store_proposal proposal;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

void folder_make(struct folder *folder)
{
    (void)snprintf(folder->path, sizeof(folder->path), "/tmp/stagepass-store-XXXXXX");
    assert_non_null(mkdtemp(folder->path));
}

void run_shell(const char *command)
{
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

void folder_remove(const struct folder *folder)
{
    char command[128];

    (void)snprintf(command, sizeof(command), "rm -rf %s", folder->path);
    run_shell(command);
}

const char *folder_path(const struct folder *folder, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    return path;
}

void folder_copy(const struct folder *from, struct folder *to)
{
    char command[256];

    folder_make(to);
    (void)snprintf(command, sizeof(command), "cp -a --sparse=always %s/. %s/", from->path,
                   to->path);
    run_shell(command);
}

size_t folder_size(const struct folder *folder, const char *name)
{
    struct stat status;

    assert_int_equal(stat(folder_path(folder, name), &status), 0);
    return (size_t)status.st_size;
}

void folder_flip(const struct folder *folder, const char *name, size_t offset)
{
    int file = open(folder_path(folder, name), O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, (off_t)offset), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(file, &byte, 1, (off_t)offset), 1);
    (void)close(file);
}

static void digest_of(const char *kind, unsigned number, uint8_t out[32])
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%s %u", kind, number);
    sha256(str_from(text), out);
}

void mark_of(unsigned number, uint8_t mark[32])
{
    digest_of("mark", number, mark);
}

void lease_id_of(unsigned number, char id[ID_LEN + 1])
{
    (void)snprintf(id, ID_LEN + 1, "%026u", number);
}

void handle_of(unsigned number, uint8_t handle[STORE_HANDLE_LEN])
{
    uint8_t digest[SHA256_LEN];

    digest_of("handle", number, digest);
    memcpy(handle, digest, STORE_HANDLE_LEN);
}

void holder_of(unsigned number, uint8_t holder[STORE_HOLDER_LEN])
{
    uint8_t digest[SHA256_LEN];

    digest_of("holder", number, digest);
    memcpy(holder, digest, STORE_HOLDER_LEN);
}

void key_of(enum store_lease_key kind, unsigned number, uint8_t key[STORE_KEY_LEN])
{
    uint8_t digest[SHA256_LEN];
    char name[16];

    (void)snprintf(name, sizeof(name), "key %d", (int)kind);
    digest_of(name, number, digest);
    memcpy(key, digest, STORE_KEY_LEN);
}

void code_of(unsigned number, uint8_t code_sha256[32])
{
    digest_of("code", number, code_sha256);
}

void approved_of(unsigned number, uint8_t digest[32])
{
    digest_of("approved", number, digest);
}

static bool read_use(const char *command, struct store_change *change)
{
    unsigned number = 0;
    unsigned holder = 0;
    unsigned lease = 0;

    /* NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(command, "use %u %u %u", &number, &holder, &lease) != 3)
        return false;
    *change = (struct store_change){ .kind = STORE_SET_MARK, .expires_s = FAR_AWAY_S };
    mark_of(number, change->mark);
    if (holder != 0)
        holder_of(holder, change->holder);
    if (lease != 0)
        lease_id_of(lease, change->lease.id);
    return true;
}

static bool read_block(const char *command, struct store_change *change)
{
    unsigned number = 0;
    int64_t expires_s = 0;

    /* NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(command, "block %u %" SCNd64, &number, &expires_s) == 2)
        *change = (struct store_change){ .kind = STORE_PUT_BLOCK, .expires_s = expires_s };
    else if (sscanf(command, "unblock %u", &number) == 1) /* NOLINT(cert-err34-c) */
        *change = (struct store_change){ .kind = STORE_REMOVE_BLOCK };
    else
        return false;
    lease_id_of(number, change->block);
    return true;
}

/* The number of "WORD=NUMBER" in a command; 0 where it is not there. */
static int64_t word(const char *command, const char *name)
{
    int64_t number = 0;
    char start[16];
    const char *found = NULL;

    (void)snprintf(start, sizeof(start), " %s=", name);
    found = strstr(command, start);
    /* NOLINTNEXTLINE(cert-err34-c) */
    return found != NULL && sscanf(found + strlen(start), "%" SCNd64, &number) == 1 ? number : 0;
}

static void read_words(const char *command, struct store_lease *lease)
{
    static const char *const keys[STORE_KEY_COUNT] = { "stage", "job", "run", "commit" };

    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        if (word(command, keys[kind]) != 0)
            key_of((enum store_lease_key)kind, (unsigned)word(command, keys[kind]),
                   lease->keys[kind]);
    lease->attempt = (uint16_t)word(command, "attempt");
    lease->heartbeat_s = (uint16_t)word(command, "beat");
    lease->debt = (enum store_debt)word(command, "debt");
    lease->outcome = (enum store_outcome)word(command, "outcome");
    lease->renewal = (uint16_t)word(command, "renewal");
    lease->kept_until_s = word(command, "kept");
    lease->has_credentials = word(command, "creds") != 0;
    if (word(command, "handle") != 0)
        handle_of((unsigned)word(command, "handle"), lease->handle);
}

static bool read_lease(const char *command, struct store_change *change)
{
    unsigned number = 0;
    int state = 0;
    int64_t expires_s = 0;

    /* NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(command, "lease %u %d %" SCNd64, &number, &state, &expires_s) != 3)
        return false;
    *change = (struct store_change){ .kind = STORE_PUT_LEASE };
    change->lease.state = (enum store_lease_state)state;
    change->lease.expires_s = expires_s;
    lease_id_of(number, change->lease.id);
    if (state == LEASE_ISSUED)
        handle_of(number, change->lease.handle);
    read_words(command, &change->lease);
    return true;
}

static bool read_approval(const char *command, struct store_change *change)
{
    struct store_approval *approval = &change->approval;
    unsigned number = 0;
    int state = 0;
    int64_t expires_s = 0;

    /* NOLINTNEXTLINE(cert-err34-c) */
    if (sscanf(command, "approval %u %d %" SCNd64, &number, &state, &expires_s) != 3)
        return false;
    *change = (struct store_change){ .kind = STORE_PUT_APPROVAL };
    approval->state = (enum store_approval_state)state;
    approval->expires_s = expires_s;
    approval->is_break_glass = word(command, "glass") != 0;
    lease_id_of(number, approval->id);
    if (word(command, "code") != 0)
        code_of((unsigned)word(command, "code"), approval->code_sha256);
    if (word(command, "digest") != 0)
        approved_of((unsigned)word(command, "digest"), approval->digest);
    if (word(command, "person") != 0)
        holder_of((unsigned)word(command, "person"), approval->people[0]);
    return true;
}

/* The change that a command stands for; false where it changes nothing. */
static bool command_change(const char *command, struct store_change *change)
{
    unsigned number = 0;
    int64_t expires_s = 0;

    if (sscanf(command, "mark %u %" SCNd64, &number, &expires_s) == 2) { /* NOLINT(cert-err34-c) */
        *change = (struct store_change){ .kind = STORE_SET_MARK, .expires_s = expires_s };
        mark_of(number, change->mark);
        return true;
    }
    if (read_use(command, change))
        return true;
    if (sscanf(command, "free %u", &number) == 1) { /* NOLINT(cert-err34-c) */
        *change = (struct store_change){ .kind = STORE_FREE_MARK };
        mark_of(number, change->mark);
        return true;
    }
    return read_block(command, change) || read_lease(command, change) ||
           read_approval(command, change);
}

static bool fold_entry(struct str entry, uint64_t index, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    char command[ENTRY_ROOM] = { 0 };
    struct str rest = str_slice(entry, TIME_TEXT_MS_LEN + 1, ENTRY_ROOM - 1);

    (void)index;
    memcpy(command, rest.data, rest.len);
    if (strncmp(command, "nonsense", 8) == 0)
        return error_set(error, ERROR_INVALID, "an entry without sense");
    *change_count = command_change(command, changes) ? 1 : 0;
    return true;
}

const struct store_fold test_fold = { fold_entry };

struct store *open_location(const char *location, size_t segment_bytes)
{
    struct store_options options = { .location = location,
                                     .fold = test_fold,
                                     .segment_bytes = segment_bytes };
    struct store *store = NULL;
    struct error error = { 0 };

    if (!store_open(&options, &store, &error))
        fail_msg("store_open: %s", error.cause);
    return store;
}

struct store *open_store(const struct folder *folder, size_t segment_bytes)
{
    return open_location(folder->path, segment_bytes);
}

void expect_no_location(const char *location, enum error_code code, const char *cause)
{
    struct store_options options = { .location = location, .fold = test_fold };
    struct store *store = NULL;
    struct error error = { 0 };

    assert_false(store_open(&options, &store, &error));
    assert_null(store);
    assert_int_equal(error.code, code);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
}

void expect_no_store(const struct folder *folder, enum error_code code, const char *cause)
{
    expect_no_location(folder->path, code, cause);
}

bool has_mark(const struct store *store, unsigned number)
{
    struct store_mark found;
    uint8_t mark[32];

    mark_of(number, mark);
    return store_mark(store, mark, &found, &(struct error){ 0 });
}

static void append_done(struct store_proposal *proposal, void *context)
{
    struct append *append = context;

    assert_ptr_equal(proposal, &append->proposal);
    (void)pthread_mutex_lock(&append->lock);
    append->is_done = true;
    (void)pthread_cond_signal(&append->done);
    (void)pthread_mutex_unlock(&append->lock);
}

void append_add(struct append *append, const char *command)
{
    struct store_entry *entry = &append->proposal.entries[append->proposal.entry_count++];

    entry->bytes = calloc(1, STORE_ENTRY_MAX + 1);
    assert_non_null(entry->bytes);
    (void)snprintf(entry->bytes, ENTRY_ROOM, "%*s %s", TIME_TEXT_MS_LEN, "", command);
    entry->len = strlen(entry->bytes);
    entry->time_offset = 0;
    entry->change_count = command_change(command, entry->changes) ? 1 : 0;
}

struct append *append_new(const char *command)
{
    struct append *append = calloc(1, sizeof(*append));

    assert_non_null(append);
    (void)pthread_mutex_init(&append->lock, NULL);
    (void)pthread_cond_init(&append->done, NULL);
    append->proposal.done = append_done;
    append->proposal.context = append;
    append_add(append, command);
    return append;
}

static struct store_entry *last_entry(struct append *append)
{
    return &append->proposal.entries[append->proposal.entry_count - 1];
}

void append_private(struct append *append, const char *private_part)
{
    last_entry(append)->private_part = str_from(private_part);
}

void append_fill(struct append *append, size_t len)
{
    struct store_entry *entry = last_entry(append);

    memset(entry->bytes + entry->len, '.', len);
    entry->len += len;
}

void append_guard_mark(struct append *append, unsigned number)
{
    struct store_guard *guard = &append->proposal.guards[append->proposal.guard_count++];

    guard->kind = STORE_GUARD_MARK_ABSENT;
    mark_of(number, guard->mark);
}

void append_guard_uses(struct append *append, unsigned number, unsigned holder, unsigned uses_max)
{
    struct store_guard *guard = &append->proposal.guards[append->proposal.guard_count++];

    guard->kind = STORE_GUARD_MARK_USABLE;
    guard->uses_max = uses_max;
    mark_of(number, guard->mark);
    if (holder != 0)
        holder_of(holder, guard->holder);
}

void append_guard_lease(struct append *append, unsigned number, enum store_lease_state state,
                        uint32_t version)
{
    struct store_guard *guard = &append->proposal.guards[append->proposal.guard_count++];

    guard->kind = STORE_GUARD_LEASE;
    guard->state = state;
    guard->version = version;
    lease_id_of(number, guard->lease_id);
}

void append_guard(struct append *append, const struct store_guard *guard)
{
    append->proposal.guards[append->proposal.guard_count++] = *guard;
}

void append_guard_blocks(struct append *append, uint64_t version)
{
    struct store_proposal *proposal = &append->proposal;

    proposal->guards[proposal->guard_count++] =
        (struct store_guard){ .kind = STORE_GUARD_BLOCKS, .blocks = version };
}

void append_make_revocation(struct append *append)
{
    append->proposal.is_revocation = true;
}

struct store_proposal *append_proposal(struct append *append)
{
    return &append->proposal;
}

bool append_submit(struct append *append, struct store *store)
{
    struct error error = { 0 };

    append->is_done = false;
    return store_submit(store, &append->proposal, &error);
}

bool append_wait(struct append *append)
{
    (void)pthread_mutex_lock(&append->lock);
    while (!append->is_done)
        (void)pthread_cond_wait(&append->done, &append->lock);
    (void)pthread_mutex_unlock(&append->lock);
    return append->proposal.is_committed;
}

void append_free(struct append *append)
{
    for (size_t i = 0; i < append->proposal.entry_count; i++)
        free(append->proposal.entries[i].bytes);
    (void)pthread_mutex_destroy(&append->lock);
    (void)pthread_cond_destroy(&append->done);
    free(append);
}

bool append_now(struct store *store, const char *command)
{
    struct append *append = append_new(command);
    bool is_committed = append_submit(append, store) && append_wait(append);

    append_free(append);
    return is_committed;
}

void append_many(struct store *store, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        assert_true(append_now(store, command));
    }
}

void expect_entries(const struct folder *folder, unsigned count)
{
    expect_entries_at(folder->path, count);
}

void expect_entries_at(const char *location, unsigned count)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct error error = { 0 };
    struct str entry = { 0 };

    assert_true(store_reader_open(location, &reader, &error));
    assert_int_equal(store_reader_size(reader), count);
    for (unsigned i = 0; i < count; i++) {
        char command[32];

        (void)snprintf(command, sizeof(command), "entry %u", i);
        assert_true(store_reader_get(reader, i, &entry, NULL, &error));
        assert_true(str_eq(str_slice(entry, TIME_TEXT_MS_LEN + 1, 64), str_from(command)));
    }
    assert_false(store_reader_get(reader, count, &entry, NULL, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
}
