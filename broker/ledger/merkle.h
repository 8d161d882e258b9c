#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/** The most hashes a proof of a 64-bit tree has. */
#define MERKLE_PROOF_MAX 63
#define MERKLE_HASH_LEN 32

struct merkle_hash {
    uint8_t bytes[MERKLE_HASH_LEN];
};

/** SHA-256(0x00 || entry). Source of all here: RFC 6962 2.1, RFC 9162 2.1.3 and 2.1.4. */
struct merkle_hash merkle_leaf(struct str entry);
/** SHA-256(0x01 || left || right). */
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);
bool merkle_hash_eq(const struct merkle_hash *a, const struct merkle_hash *b);

/** The right edge of a growing tree: one hash a set bit of `size`. All-zero is the empty tree. */
struct merkle_frontier {
    uint64_t size;
    struct merkle_hash hashes[64]; /* [0] is the smallest subtree */
    size_t hash_count;
};

void merkle_frontier_add(struct merkle_frontier *frontier, const struct merkle_hash *leaf);
struct merkle_hash merkle_frontier_root(const struct merkle_frontier *frontier);

/**
 * Where proofs get hashes from: hash of the complete subtree at `level` (0 leaves) and `index`,
 * covering entries [index << level, (index + 1) << level).
 */
typedef bool (*merkle_lookup)(void *context, unsigned level, uint64_t index,
                              struct merkle_hash *hash);

/** Build an inclusion proof of `index` in a tree of `size`. */
bool merkle_prove_inclusion(merkle_lookup lookup, void *context, uint64_t index, uint64_t size,
                            struct merkle_hash proof[MERKLE_PROOF_MAX], size_t *count) MUST_USE;
/** Build a consistency proof between two sizes, 0 < from <= to. */
bool merkle_prove_consistency(merkle_lookup lookup, void *context, uint64_t from, uint64_t to,
                              struct merkle_hash proof[MERKLE_PROOF_MAX], size_t *count) MUST_USE;

bool merkle_check_inclusion(uint64_t index, uint64_t size, const struct merkle_hash *leaf,
                            const struct merkle_hash *proof, size_t count,
                            const struct merkle_hash *root) MUST_USE;
bool merkle_check_consistency(uint64_t from, uint64_t to, const struct merkle_hash *from_root,
                              const struct merkle_hash *to_root, const struct merkle_hash *proof,
                              size_t count) MUST_USE;
