#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "keys/certificate.h"

struct error;
struct keys;

/**
 * A certificate authority of ours, that a target's certificates are signed by.
 *
 * Its keys rotate: each signs with a certificate of its own, an intermediate's, from KEYS_LEAD_S
 * after its making until the next one does, and stays for its list of revoked ones as long as
 * anything that it signed lives. In the keys' folder they are `NAME-<created>.key`, with the
 * certificate beside it as `.crt`. Who signs that:
 *
 * - a root that we make, `NAME-root.key` and `.crt`, for small set-ups: all by itself;
 * - the customer's: we write `NAME-<created>.csr`, somebody has it signed and puts
 *   `NAME-<created>.crt` there, with the chain behind it. Until then the one before goes on.
 *
 * All follows from the files and the time, so brokers that share the folder agree.
 *
 * Threads: shared
 * Source:  RFC 5280 4, 5
 */
struct authority;

#define AUTHORITY_NAME_MAX 24
#define AUTHORITY_LIFE_MAX_S ((int64_t)24 * 3600) /* of what it signs */
#define AUTHORITY_ROTATE_MIN_S ((int64_t)2 * 24 * 3600)
#define AUTHORITY_PERMITTED_MAX 128

struct authority_options {
    struct str name; /* [a-z0-9-]{1,24} */
    struct str user; /* whose it is alone: a target's name */
    bool has_own_root;
    int64_t rotate_every_s; /* at least AUTHORITY_ROTATE_MIN_S */
    /* What intermediates under our own root may sign: DNS domains, with all below them, and URIs'
     * hosts. Where these change, a new one signs at once. */
    const struct certificate_name *permitted;
    size_t permitted_count; /* 0: any name */
};

/**
 * The authority of that name, loaded or made, as the options say from now on; lives as long as
 * `keys`. Those of one user are set anew; the name of somebody else's is refused.
 *
 * Errors: ERROR_CONFIG (name, another user, files), ERROR_IO, ERROR_LIMIT, ERROR_MEMORY,
 *         ERROR_CRYPTO
 */
bool keys_authority(struct keys *keys, const struct authority_options *options, int64_t now_s,
                    struct authority **authority, struct error *error) MUST_USE;

/**
 * Sign what a plan says for the key of a request, by the intermediate in force; the certificate
 * ends with it at the latest.
 *
 * The plan's `crl_url` is here the URL below which lists are served, without '/' at its end:
 * `<crl_url>/<created>.crl` goes into the certificate.
 *
 * Errors: ERROR_MINT (none is in force: the cause says what to do), ERROR_INVALID (the plan),
 *         ERROR_MEMORY, ERROR_CRYPTO
 */
bool authority_issue(struct authority *authority, const struct certificate_plan *plan,
                     const struct certificate_request *request, struct arena *arena,
                     struct certificate *certificate, struct error *error) MUST_USE;

/** How all authorities stand. */
struct authority_health {
    int64_t ends_s; /* when the first certificate that signs now ends; 0: of none, see `lacking` */
    size_t lacking; /* so many have none in force, and sign nothing */
    size_t waiting; /* so many have a request that nobody has signed yet */
};

void keys_authority_health(struct keys *keys, int64_t now_s, struct authority_health *health);

/** What was revoked: its serial, and its issuer, as in `struct certificate`. */
struct authority_revoked {
    struct str issuer;
    struct str serial;
    int64_t revoked_s;
};

/** What its lists say. */
struct authority_list_plan {
    const struct authority_revoked *revoked; /* of any issuer, each once */
    size_t count;
    uint64_t size;  /* of the log that this was read from: the first half of the lists' number */
    int64_t now_s;  /* the second half */
    int64_t next_s; /* when the next one comes, at the latest */
};

/** A signed list of one key, in the arena. */
struct authority_list {
    int64_t created_s; /* of the key; 0: the root's */
    bool is_current;   /* it signs now */
    struct str der;
    struct str pem;
};

/**
 * Sign a list for each intermediate, and for our own root, which has nothing in it.
 *
 * Errors: ERROR_INVALID (a serial that is none), ERROR_MEMORY, ERROR_CRYPTO
 * Source: RFC 5280 5
 */
bool authority_sign_lists(struct authority *authority, const struct authority_list_plan *plan,
                          struct arena *arena, struct authority_list **lists, size_t *count,
                          struct error *error) MUST_USE;
