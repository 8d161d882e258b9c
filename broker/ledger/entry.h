#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/macros.h"
#include "base/str.h"
#include "ledger/merkle.h"
#include "store/store.h"

struct arena;
struct error;

/** What is recorded. One row each in entry.c: name, mandatory and allowed members. */
enum entry_type {
    ENTRY_BROKER_STARTED,
    ENTRY_POLICY_ACTIVATED,
    ENTRY_KEYS_ROTATED,
    ENTRY_ISSUER_KEYS_CHANGED,
    ENTRY_EXCHANGE_OBSERVED,
    ENTRY_EXCHANGE_DENIED,
    ENTRY_LEASE_REQUESTED,
    ENTRY_CREDENTIAL_ISSUED,
    ENTRY_CREDENTIAL_FAILED,
    ENTRY_CREDENTIAL_UNKNOWN,
    ENTRY_CREDENTIAL_REVOKED,
    ENTRY_RENEWAL_REQUESTED,
    ENTRY_RENEWAL_FAILED,
    ENTRY_LEASE_RENEWED,
    ENTRY_LEASE_RELEASED,
    ENTRY_LEASE_REVOKED,
    ENTRY_LEASE_EXPIRED,
    ENTRY_APPROVAL_REQUESTED,
    ENTRY_APPROVAL_GRANTED,
    ENTRY_APPROVAL_REJECTED,
    ENTRY_APPROVAL_REFUSED,
    ENTRY_ORPHAN_FOUND,
    ENTRY_ADMIN_READ,
    ENTRY_ADMIN_ERASED,
    ENTRY_ADMIN_PRUNED,
    ENTRY_ADMIN_REVIEWED,
    ENTRY_ADMIN_BLOCKED,
    ENTRY_ADMIN_UNBLOCKED,
    ENTRY_ADMIN_REVOKED,
    ENTRY_TYPE_COUNT
};

const char *entry_type_name(enum entry_type type);
bool entry_type_from(struct str name, enum entry_type *type) MUST_USE;

/** Claims past this many bytes are dropped, names only (`claims_dropped`). */
#define ENTRY_CLAIMS_MAX ((size_t)6 * 1024)

/** Names past this many bytes are not listed either: a last name "*" stands for them. */
#define ENTRY_DROPPED_MAX ((size_t)2 * 1024)

/**
 * `reason` of a credential.unknown that came when its lease had been ended by somebody else: what
 * may have been made is told, and owed where it can be ended; the lease stays as it ended.
 */
#define ENTRY_REASON_LEASE_ENDED "lease_ended"

/** A mark stays so long behind its token's `exp`: no configured leeway may be longer. */
#define ENTRY_MARK_KEPT_S 300

/**
 * A new entry object with `type` and `broker`; `time` is written by the store when it appends.
 * NULL without memory.
 */
json_t *entry_new(enum entry_type type, struct str broker) MUST_USE;

/**
 * Put a personal value: the entry gets a salted digest, `private_part` (an object) gets salt and
 * value under the member's path, so that it can be erased without breaking the log.
 *
 * The digest is base64url(SHA-256(base64url(JSON [salt, name, value]))) as in SD-JWT; the entry's
 * member is "sd:" and the digest. The private part's member is "PATH.NAME", or the name alone where
 * `path` is empty: {"salt", "value"}.
 *
 * Source: RFC 9901 4.2; design.md 3.5
 */
bool entry_put_personal(json_t *object, const char *path, const char *name, const json_t *value,
                        json_t *private_part, struct error *error) MUST_USE;

/** Whether a member of an entry is such a digest, or looks like one. */
bool entry_is_digest(struct str value);

/**
 * Whether a member of a private part, {"salt", "value"}, is what a digest in an entry stands for.
 * Private parts are not hashed: whoever reads one asks this first. `name` is the member's without
 * its path.
 */
bool entry_discloses(const json_t *digest, const char *name, const json_t *disclosed) MUST_USE;

/**
 * Put all verified claims as `claims`: personal ones (`is_personal(name, context)`) as digests;
 * past ENTRY_CLAIMS_MAX the longest are dropped and named in `claims_dropped`.
 *
 * Owns: the entry shares the values, which nobody changes while it lives
 */
bool entry_put_claims(json_t *entry, const json_t *claims,
                      bool (*is_personal)(const char *name, void *context), void *context,
                      json_t *private_part, struct error *error) MUST_USE;

/**
 * The one fold: which marks, leases, approvals and blocks follow from an entry. A `struct
 * store_fold`'s function.
 *
 * A mark (`token.mark`, 64 digits of lower-case hex) is set by approval.requested, and unless it
 * was by that (`token.asked`), by lease.requested and credential.issued until `token.exp` and
 * ENTRY_MARK_KEPT_S, for `token.holder` (24 digits) where it was bound to a key, and freed by
 * credential.failed (nothing released, nothing unknown); a credential.revoked of no lease sets that
 * of the credential, an orphan.found its own, so that each is written once. The mark of the proof
 * that came along, `token.proof` with `mark` and `exp`, is set likewise, but stays; a
 * renewal.requested and a lease.renewed set that alone.
 *
 * A lease (`lease`) opens with lease.requested or credential.issued, which carry `lease_expires`
 * (RFC 3339), becomes findable by `handle` ("sha256:" and 64 digits of hex), and then follows the
 * life in ARCHITECTURE.md. What opens it counts it under the keys of its `stage`, `instance`,
 * `issuer` and `ci` (lease_key.h), until `kept_until` at least; `heartbeat_s` is its heartbeat,
 * `renewal` the number of its latest lease.renewed, `outcome` what its job said. It owes once an
 * entry's `credentials` name one with `revoke`, until a credential.revoked has no `pending` any
 * more; where that is `list` or `name`, with an `expires_at` not behind the entry's
 * `lease_expires`, until the lease expires at most, and no entry comes of that. The credentials of
 * renewal.requested, renewal.failed and lease.renewed are there besides those of the entry that
 * they name in `renews`; the latter two stand for their renewal.requested, unless another renewal
 * came between.
 *
 * An approval (`approval`) is there from approval.requested on (or an approval.granted that was not
 * asked for), which carry `digest`, until `until`; an approval.granted with `left` 0 grants it, the
 * first entry of a lease that names it uses it, a credential.failed that does gives it back.
 * `handle` is that of the code which its job asks with, `person` (24 digits) who granted it.
 *
 * A block (`block`) is there from admin.blocked on until `until`, or admin.unblocked.
 */
bool entry_fold(struct str entry, uint64_t index, struct store_change *changes,
                size_t *change_count, struct error *error) MUST_USE;

/**
 * Whether a parsed entry has its type's mandatory members and none that are not its type's, and
 * each of the right form.
 *
 * Errors: ERROR_INVALID (the cause names type and member)
 */
bool entry_check(const json_t *entry, struct error *error) MUST_USE;

/** What entry_fold() gives, of an entry that is parsed already. */
bool entry_fold_json(const json_t *entry, struct store_change *changes, size_t *change_count,
                     struct error *error) MUST_USE;

/**
 * The canonical bytes of an entry, checked, where its time stands in them, and what follows from
 * it, as entry_fold() says.
 *
 * Errors: ERROR_LEDGER (members, or larger than STORE_ENTRY_MAX), ERROR_MEMORY
 * Owns:   `*bytes` is in `arena`
 */
bool entry_encode(const json_t *entry, struct arena *arena, struct store_entry *encoded,
                  struct error *error) MUST_USE;

/**
 * The leaf hash of an entry as a store or a bundle has it: of one that was pruned the hash that is
 * left of it. Not for what somebody shows as an entry: that is merkle_leaf().
 */
struct merkle_hash entry_leaf(struct str entry);

/** What is kept beside an entry; NULL where there is nothing, or nothing that parses. */
json_t *entry_parse_private(struct str private_part) MUST_USE;

/** Parse an entry's bytes. Errors: ERROR_INVALID */
bool entry_parse(struct str bytes, json_t **entry, struct error *error) MUST_USE;
