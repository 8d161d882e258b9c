#include "ledger/merkle.h"

#include <string.h>

#include "base/digest.h"

static struct str hash_str(const struct merkle_hash *hash)
{
    return (struct str){ (const char *)hash->bytes, MERKLE_HASH_LEN };
}

struct merkle_hash merkle_leaf(struct str entry)
{
    struct merkle_hash hash;

    sha256_2((struct str){ "\x00", 1 }, entry, hash.bytes);
    return hash;
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
    char input[1 + 2 * MERKLE_HASH_LEN] = { 1 };
    struct merkle_hash hash;

    memcpy(input + 1, left->bytes, MERKLE_HASH_LEN);
    memcpy(input + 1 + MERKLE_HASH_LEN, right->bytes, MERKLE_HASH_LEN);
    sha256((struct str){ input, sizeof(input) }, hash.bytes);
    return hash;
}

bool merkle_hash_eq(const struct merkle_hash *a, const struct merkle_hash *b)
{
    return str_eq(hash_str(a), hash_str(b));
}

/* hashes[i] covers the i-th set bit of size, counted from the lowest. */
void merkle_frontier_add(struct merkle_frontier *frontier, const struct merkle_hash *leaf)
{
    struct merkle_hash hash = *leaf;
    size_t merged = 0;

    for (uint64_t size = frontier->size; (size & 1) != 0; size >>= 1)
        hash = merkle_node(&frontier->hashes[merged++], &hash);
    /* The merged ones make room for one hash, which is the smallest subtree now. */
    frontier->hash_count = frontier->hash_count - merged + 1;
    memmove(&frontier->hashes[1], &frontier->hashes[merged],
            (frontier->hash_count - 1) * sizeof(hash));
    frontier->hashes[0] = hash;
    frontier->size++;
}

struct merkle_hash merkle_frontier_root(const struct merkle_frontier *frontier)
{
    struct merkle_hash root;

    if (frontier->hash_count == 0) {
        sha256(STR(""), root.bytes);
        return root;
    }
    root = frontier->hashes[0];
    for (size_t i = 1; i < frontier->hash_count; i++)
        root = merkle_node(&frontier->hashes[i], &root);
    return root;
}

/* The largest power of two below `size` (at least 2), as an exponent. */
static unsigned split_level(uint64_t size)
{
    return 63 - (unsigned)__builtin_clzll(size - 1);
}

/*
 * The root of entries [start, start + size), where `start` is a multiple of the power of two that
 * is not below `size`: complete subtrees from the left, put together from the right.
 */
static bool range_root(merkle_lookup lookup, void *context, uint64_t start, uint64_t size,
                       struct merkle_hash *root)
{
    bool is_first = true;

    for (unsigned level = 0; level < 64 && size >> level != 0; level++) {
        struct merkle_hash hash;

        if ((size >> level & 1) == 0)
            continue;
        /* The subtree of this bit stands behind those of all higher ones. */
        if (!lookup(context, level, (start >> level) + (size >> level) - 1, &hash))
            return false;
        *root = is_first ? hash : merkle_node(&hash, root);
        is_first = false;
    }
    return !is_first;
}

static void reverse(struct merkle_hash *hashes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct merkle_hash hash = hashes[i];

        hashes[i] = hashes[count - 1 - i];
        hashes[count - 1 - i] = hash;
    }
}

bool merkle_prove_inclusion(merkle_lookup lookup, void *context, uint64_t index, uint64_t size,
                            struct merkle_hash proof[MERKLE_PROOF_MAX], size_t *count)
{
    uint64_t start = 0;

    *count = 0;
    if (index >= size || size > (uint64_t)1 << MERKLE_PROOF_MAX)
        return false;
    /* From the root down to the leaf, always noting the half that `index` is not in. */
    while (size > 1) {
        uint64_t left = (uint64_t)1 << split_level(size);
        bool is_left = index - start < left;
        bool is_found = is_left
                            ? range_root(lookup, context, start + left, size - left, &proof[*count])
                            : range_root(lookup, context, start, left, &proof[*count]);

        if (!is_found)
            return false;
        start = is_left ? start : start + left;
        size = is_left ? left : size - left;
        (*count)++;
    }
    reverse(proof, *count);
    return true;
}

bool merkle_prove_consistency(merkle_lookup lookup, void *context, uint64_t from, uint64_t to,
                              struct merkle_hash proof[MERKLE_PROOF_MAX], size_t *count)
{
    uint64_t start = 0;
    bool is_old_tree = true; /* the part we are in is the whole old tree, whose root is known */

    *count = 0;
    if (from == 0 || from > to || to > (uint64_t)1 << MERKLE_PROOF_MAX)
        return false;
    while (from < to) {
        uint64_t left = (uint64_t)1 << split_level(to);
        bool is_left = from <= left;
        bool is_found = is_left
                            ? range_root(lookup, context, start + left, to - left, &proof[*count])
                            : range_root(lookup, context, start, left, &proof[*count]);

        if (!is_found)
            return false;
        is_old_tree = is_old_tree && is_left;
        start = is_left ? start : start + left;
        from = is_left ? from : from - left;
        to = is_left ? left : to - left;
        (*count)++;
    }
    if (!is_old_tree && !range_root(lookup, context, start, to, &proof[(*count)++]))
        return false;
    reverse(proof, *count);
    return true;
}

/* A step up both verifiers share: past levels where the node has no sibling. Source: RFC
 * 9162 2.1.3.2 */
static void skip_missing_siblings(uint64_t *node, uint64_t *last)
{
    while ((*node & 1) == 0 && *node != 0) {
        *node >>= 1;
        *last >>= 1;
    }
}

bool merkle_check_inclusion(uint64_t index, uint64_t size, const struct merkle_hash *leaf,
                            const struct merkle_hash *proof, size_t count,
                            const struct merkle_hash *root)
{
    uint64_t node = index;
    uint64_t last = size - 1;
    struct merkle_hash hash = *leaf;

    if (index >= size || count > MERKLE_PROOF_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (last == 0)
            return false;
        if ((node & 1) != 0 || node == last) {
            hash = merkle_node(&proof[i], &hash);
            skip_missing_siblings(&node, &last);
        } else {
            hash = merkle_node(&hash, &proof[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && merkle_hash_eq(&hash, root);
}

/* The walk of both roots at once, from the subtree that both trees share. */
static bool check_path(uint64_t from, uint64_t to, const struct merkle_hash *from_root,
                       const struct merkle_hash *to_root, const struct merkle_hash *proof,
                       size_t count)
{
    bool is_whole_tree = (from & (from - 1)) == 0; /* then the shared subtree is the old tree */
    struct merkle_hash old_hash = is_whole_tree ? *from_root : proof[0];
    struct merkle_hash new_hash = old_hash;
    uint64_t node = from - 1;
    uint64_t last = to - 1;

    while ((node & 1) != 0) {
        node >>= 1;
        last >>= 1;
    }
    for (size_t i = is_whole_tree ? 0 : 1; i < count; i++) {
        if (last == 0)
            return false;
        if ((node & 1) != 0 || node == last) {
            old_hash = merkle_node(&proof[i], &old_hash);
            new_hash = merkle_node(&proof[i], &new_hash);
            skip_missing_siblings(&node, &last);
        } else {
            new_hash = merkle_node(&new_hash, &proof[i]);
        }
        node >>= 1;
        last >>= 1;
    }
    return last == 0 && merkle_hash_eq(&old_hash, from_root) && merkle_hash_eq(&new_hash, to_root);
}

/* Source: RFC 9162 2.1.4.2 */
bool merkle_check_consistency(uint64_t from, uint64_t to, const struct merkle_hash *from_root,
                              const struct merkle_hash *to_root, const struct merkle_hash *proof,
                              size_t count)
{
    if (from > to || count > MERKLE_PROOF_MAX)
        return false;
    if (from == to)
        return count == 0 && merkle_hash_eq(from_root, to_root);
    if (from == 0)
        return count == 0;
    return count > 0 && check_path(from, to, from_root, to_root, proof, count);
}
