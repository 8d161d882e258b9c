#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/*
 * A store in a temporary folder, and entries that are a time and one command each:
 *
 *   "mark N EXPIRES"  "use N HOLDER LEASE"  "free N"  "lease N STATE EXPIRES WORD=NUMBER..."
 *   "approval N STATE EXPIRES WORD=NUMBER..."  "block N EXPIRES"  "unblock N"
 *
 * Anything else changes nothing; a holder or lease of 0 is none. Words of a lease are stage, job,
 * run, commit, attempt, beat, debt, outcome, renewal, kept, creds, handle; of an approval code,
 * digest, person, glass.
 */
#define FAR_AWAY_S INT64_C(4102444800) /* 2100-01-01 */

struct folder {
    char path[64];
};

/** Run a command that must succeed. */
void run_shell(const char *command);

void folder_make(struct folder *folder);
void folder_remove(const struct folder *folder);
/** A path in it, in static storage. */
const char *folder_path(const struct folder *folder, const char *name);
/** Copy all of it, holes kept. */
void folder_copy(const struct folder *from, struct folder *to);
size_t folder_size(const struct folder *folder, const char *name);
void folder_flip(const struct folder *folder, const char *name, size_t offset);

void mark_of(unsigned number, uint8_t mark[32]);
void holder_of(unsigned number, uint8_t holder[STORE_HOLDER_LEN]);
void lease_id_of(unsigned number, char id[ID_LEN + 1]);
void handle_of(unsigned number, uint8_t handle[STORE_HANDLE_LEN]);
void key_of(enum store_lease_key kind, unsigned number, uint8_t key[STORE_KEY_LEN]);
void code_of(unsigned number, uint8_t code_sha256[32]);
void approved_of(unsigned number, uint8_t digest[32]);

struct store *open_store(const struct folder *folder, size_t segment_bytes);
struct store *open_location(const char *location, size_t segment_bytes);
/** Open and expect a refusal. */
void expect_no_location(const char *location, enum error_code code, const char *cause);
void expect_no_store(const struct folder *folder, enum error_code code, const char *cause);

/** Whether a mark is set. */
bool has_mark(const struct store *store, unsigned number);

/** A proposal with its own memory, and a way to wait for it. */
struct append;

struct append *append_new(const char *command);
void append_add(struct append *append, const char *command);
void append_private(struct append *append, const char *private_part);
void append_guard_mark(struct append *append, unsigned number);
void append_guard_uses(struct append *append, unsigned number, unsigned holder, unsigned uses_max);
void append_guard_lease(struct append *append, unsigned number, enum store_lease_state state,
                        uint32_t version);
/** A guard as it is. */
void append_guard(struct append *append, const struct store_guard *guard);
void append_guard_blocks(struct append *append, uint64_t version);
void append_make_revocation(struct append *append);
/** A filler of `len` bytes behind the last command. */
void append_fill(struct append *append, size_t len);
struct store_proposal *append_proposal(struct append *append);
bool append_submit(struct append *append, struct store *store);
/** Wait until it is done: whether it was committed. */
bool append_wait(struct append *append);
void append_free(struct append *append);

/** Append one command and wait. */
bool append_now(struct store *store, const char *command);

/** Append "entry N" for N from `first` on. */
void append_many(struct store *store, unsigned first, unsigned count);
/** Whether a reader of the folder finds "entry N" at each index N below `count`, and no more. */
void expect_entries(const struct folder *folder, unsigned count);
void expect_entries_at(const char *location, unsigned count);

extern const struct store_fold test_fold;
