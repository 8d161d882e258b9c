#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys/keys.h"
#include "ledger/audit.h"
#include "ledger/ledger.h"

#define ORIGIN "broker.example.com/audit"
#define VECTOR_VERIFIER                                                                            \
    "broker.example.com/audit+8f7e862c+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"

/** A temporary folder with keys, among them the vector's Ed25519 key (seed 32 times 01). */
struct place {
    char folder[64];
    char store[96]; /* "store" in it */
    struct keys *keys;
    struct key *key;
};

void place_make(struct place *place);
void place_remove(struct place *place);
/** A path in it, in static storage. */
const char *place_path(const struct place *place, const char *name);
/** Run a command in the folder; it must succeed. */
void run_shell(const char *command, const struct place *place);

size_t file_size(const char *path);
void file_flip(const char *path, size_t offset);

struct ledger *place_open(const struct place *place);
void place_expect_refusal(const struct place *place, enum error_code code, const char *cause);

/** Entries as the broker writes them. Ids are of `number`. */
json_t *entry_started(void);
json_t *entry_issued(unsigned number);
json_t *entry_of_lease(enum entry_type type, unsigned number);
void id_of(unsigned number, char id[ID_LEN + 1]);
void handle_of(unsigned number, uint8_t handle_sha256[32]);

/** Append one (taken); its index. */
uint64_t append_one(struct ledger *ledger, json_t *take_entry);
void append_many(struct ledger *ledger, unsigned count);

/** The lease of that number, which the ledger must be able to look up. */
struct store_lease lease_of(struct ledger *ledger, unsigned number);

/** Wait until the published checkpoint covers `size` entries. */
void wait_published(struct ledger *ledger, uint64_t size);
/** The receipt of an entry, waited for. */
void wait_receipt(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct str *proof);

/** audit_verify() with jobs on threads of their own, then by one thread: both must say the same. */
bool audit_both_ways(const struct audit_options *options, struct arena *arena,
                     struct audit_report *report, struct error *error) MUST_USE;
