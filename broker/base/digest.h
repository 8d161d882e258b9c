#pragma once

#include <stdint.h>

#include "base/str.h"

#define SHA256_LEN 32
#define SHA384_LEN 48
#define SHA512_LEN 64

/**
 * SHA-256. Never fails: aborts if libcrypto has no SHA-256 at all, or no memory for a thread's
 * first digest.
 *
 * Threads: any
 */
void sha256(struct str bytes, uint8_t out[SHA256_LEN]);

/** SHA-256 of two pieces, one behind the other. */
void sha256_2(struct str first, struct str second, uint8_t out[SHA256_LEN]);

/** HMAC with SHA-256. Source: RFC 2104 2 */
void hmac_sha256(struct str key, struct str message, uint8_t out[SHA256_LEN]);

void sha384(struct str bytes, uint8_t out[SHA384_LEN]);
void sha512(struct str bytes, uint8_t out[SHA512_LEN]);

/**
 * CRC-32C (Castagnoli), for frames on disk, not against attackers.
 *
 * `seed` is 0, or the result so far where the bytes come in pieces.
 */
uint32_t crc32c(uint32_t seed, struct str bytes);

/** The same without the processor's instruction for it, for those that have none. */
uint32_t crc32c_portable(uint32_t seed, struct str bytes);

struct arena;

/** The first `len` bytes of a text's SHA-256, in hex; empty without memory. */
struct str sha256_tag(struct str text, size_t len, struct arena *arena);
