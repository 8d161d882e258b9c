#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "ledger/merkle.h"
#include "tests/test.h"

/* The vector: entries "entry-0" to "entry-6". */
static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "40766b2033429026f53d54502679a839706b4741f8dcaf3a8bba5f41b5ffe075",
    "2f27a5082c1d42afa488ac350a9fc4390c084f54f71ecdff859e98db8429b479",
    "a64bf26e09128f6fe2fe6f8b2d8c801e166b57c047a7cd9b2b809e7a96a2f1cb",
    "256b9e8825e5d370a4ae005d0901ea291977e2927f5cf8e3e72660dd09519edb",
    "1aa68d3074905a581f84cbbd0f753794904fd80451bc4c13e69d9a53bc59502c",
    "08783a523d260480de2ccf0976d7411ed8adaf06f75d5a5de2254c58f968eca9",
    "9139601cc1ca8ab2a7a0c2c134c04845f2b1ba549a83d6c845cfcda439cc585d",
};
static const char *const leaves[] = {
    "40766b2033429026f53d54502679a839706b4741f8dcaf3a8bba5f41b5ffe075",
    "e868811a482c27d50b6d45dde79c465d6adb9b06645100477a90cf3d8518898b",
    "049d7dcdb56bcfebd313304c9839f196a3d4b6ef3bdc0b08298f93ac8191f0a8",
    "27479b6ab321d2ee477452f68ba527748e863cafe8fbd1df2bf89d1570d1b697",
    "194bb5a2d5bd10e5d1aa6fd5d42980b356caf1da623cd9987c4bfa2f81771ed7",
    "514158527515064c7bbd35b44c9f11addcfc38b439554fc9bb0d8b7c661c3e8f",
    "0cfda576ff4b29ea33c3afdaeed1bd637eb654b28a04302fcab5fd7db07801cc",
};

/* Larger than any test tree; hashes[level][index]. */
#define SIZE_MAX_TESTED 70
static struct merkle_hash tree[8][SIZE_MAX_TESTED];
static struct merkle_hash tree_roots[SIZE_MAX_TESTED + 1];

static struct merkle_hash leaf_of(unsigned number)
{
    char entry[32];

    (void)snprintf(entry, sizeof(entry), "entry-%u", number);
    return merkle_leaf(str_from(entry));
}

static bool lookup(void *context, unsigned level, uint64_t index, struct merkle_hash *hash)
{
    const uint64_t *size = context;

    /* Only complete subtrees may be asked for. */
    assert_true((index + 1) << level <= *size);
    *hash = tree[level][index];
    return true;
}

static int build_tree(void **state)
{
    struct merkle_frontier frontier = { 0 };

    (void)state;
    for (unsigned i = 0; i < SIZE_MAX_TESTED; i++)
        tree[0][i] = leaf_of(i);
    for (unsigned level = 1; level < 8; level++) {
        for (size_t i = 0; (i + 1) << level <= SIZE_MAX_TESTED; i++)
            tree[level][i] = merkle_node(&tree[level - 1][2 * i], &tree[level - 1][2 * i + 1]);
    }
    tree_roots[0] = merkle_frontier_root(&frontier);
    for (unsigned i = 0; i < SIZE_MAX_TESTED; i++) {
        merkle_frontier_add(&frontier, &tree[0][i]);
        tree_roots[i + 1] = merkle_frontier_root(&frontier);
    }
    return 0;
}

static void expect_hex(const struct merkle_hash *hash, const char *hex)
{
    struct merkle_hash expected;

    assert_true(hex_decode(str_from(hex), expected.bytes));
    assert_true(merkle_hash_eq(hash, &expected));
}

static void expect_base64(const struct merkle_hash *hash, const char *text)
{
    uint8_t expected[BASE64_DECODED_MAX(44)];
    size_t len = 0;

    assert_true(base64_decode(str_from(text), expected, &len));
    assert_int_equal(len, MERKLE_HASH_LEN);
    assert_memory_equal(hash->bytes, expected, MERKLE_HASH_LEN);
}

static void leaves_and_roots_are_those_of_the_vector(void **state)
{
    (void)state;
    for (unsigned i = 0; i < COUNT(leaves); i++)
        expect_hex(&tree[0][i], leaves[i]);
    for (unsigned i = 0; i < COUNT(roots); i++)
        expect_hex(&tree_roots[i], roots[i]);
}

/* The root by the definition, without any of our shortcuts. */
static struct merkle_hash root_by_definition(unsigned start, unsigned size)
{
    struct merkle_hash left;
    struct merkle_hash right;
    unsigned half = 1;

    if (size == 1)
        return tree[0][start];
    while (half * 2 < size)
        half *= 2;
    left = root_by_definition(start, half);
    right = root_by_definition(start + half, size - half);
    return merkle_node(&left, &right);
}

static void roots_follow_the_definition(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= SIZE_MAX_TESTED; size++) {
        struct merkle_hash root = root_by_definition(0, size);

        assert_true(merkle_hash_eq(&root, &tree_roots[size]));
    }
}

static size_t prove_inclusion(uint64_t index, uint64_t size,
                              struct merkle_hash proof[MERKLE_PROOF_MAX])
{
    size_t count = 0;

    assert_true(merkle_prove_inclusion(lookup, &size, index, size, proof, &count));
    return count;
}

static size_t prove_consistency(uint64_t from, uint64_t to,
                                struct merkle_hash proof[MERKLE_PROOF_MAX])
{
    size_t count = 0;

    assert_true(merkle_prove_consistency(lookup, &to, from, to, proof, &count));
    return count;
}

static void inclusion_proofs_are_those_of_the_vector(void **state)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX];

    (void)state;
    assert_int_equal(prove_inclusion(5, 7, proof), 3);
    expect_base64(&proof[0], "GUu1otW9EOXRqm/V1CmAs1bK8dpiPNmYfEv6L4F3Htc=");
    expect_base64(&proof[1], "DP2ldv9LKeozw6/a7tG9Y362VLKKBDAvyrX9fbB4Acw=");
    expect_base64(&proof[2], "JWueiCXl03CkrgBdCQHqKRl34pJ/XPjj5yZg3QlRnts=");
    assert_int_equal(prove_inclusion(6, 7, proof), 2);
    expect_base64(&proof[0], "ShNqcAh7Y340w9Paps6naLHbE+xHWQLS4kC2Dj2ZnHo=");
    expect_base64(&proof[1], "JWueiCXl03CkrgBdCQHqKRl34pJ/XPjj5yZg3QlRnts=");
}

static void consistency_proofs_are_those_of_the_vector(void **state)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX];

    (void)state;
    assert_int_equal(prove_consistency(3, 7, proof), 4);
    expect_base64(&proof[0], "BJ19zbVrz+vTEzBMmDnxlqPUtu873AsIKY+TrIGR8Kg=");
    expect_base64(&proof[1], "J0ebarMh0u5HdFL2i6UndI6GPK/o+9HfK/idFXDRtpc=");
    expect_base64(&proof[2], "LyelCCwdQq+kiKw1Cp/EOQwIT1T3Hs3/hZ6Y24QptHk=");
    expect_base64(&proof[3], "5CnFtcyqlSPDcpfxhGdm+QMTfoIZXFGZ5r5XEw0QBsg=");
    assert_int_equal(prove_consistency(4, 7, proof), 1);
    expect_base64(&proof[0], "5CnFtcyqlSPDcpfxhGdm+QMTfoIZXFGZ5r5XEw0QBsg=");
}

static bool check_inclusion(uint64_t index, uint64_t size, const struct merkle_hash *proof,
                            size_t count)
{
    return merkle_check_inclusion(index, size, &tree[0][index], proof, count, &tree_roots[size]);
}

static void expect_inclusion(uint64_t index, uint64_t size)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX + 1];
    size_t count = prove_inclusion(index, size, proof);

    assert_true(check_inclusion(index, size, proof, count));
    if (count > 0)
        assert_false(check_inclusion(index, size, proof, count - 1));
    proof[count] = tree[0][0];
    assert_false(check_inclusion(index, size, proof, count + 1));
    for (size_t i = 0; i < count; i++) {
        proof[i].bytes[31] ^= 1;
        assert_false(check_inclusion(index, size, proof, count));
        proof[i].bytes[31] ^= 1;
    }
}

static void every_inclusion_proof_verifies_and_no_changed_one_does(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= SIZE_MAX_TESTED; size++) {
        for (uint64_t index = 0; index < size; index++)
            expect_inclusion(index, size);
    }
}

static void an_inclusion_proof_holds_at_its_own_index_only(void **state)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX];

    (void)state;
    for (uint64_t size = 1; size <= SIZE_MAX_TESTED; size++) {
        size_t count = prove_inclusion(0, size, proof);

        for (uint64_t other = 1; other < size + 3; other++)
            assert_false(
                merkle_check_inclusion(other, size, &tree[0][0], proof, count, &tree_roots[size]));
    }
    assert_false(merkle_check_inclusion(0, 0, &tree[0][0], NULL, 0, &tree_roots[0]));
}

static void too_many_hashes_are_refused(void **state)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX + 1];
    uint64_t size = 70;

    (void)state;
    memset(proof, 0, sizeof(proof));
    assert_false(check_inclusion(0, size, proof, COUNT(proof)));
    assert_false(
        merkle_check_consistency(3, size, &tree_roots[3], &tree_roots[size], proof, COUNT(proof)));
}

static bool check_consistency(uint64_t from, uint64_t to, const struct merkle_hash *proof,
                              size_t count)
{
    return merkle_check_consistency(from, to, &tree_roots[from], &tree_roots[to], proof, count);
}

static void expect_consistency(uint64_t from, uint64_t to)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX + 1];
    size_t count = prove_consistency(from, to, proof);

    assert_true(check_consistency(from, to, proof, count));
    assert_int_equal(count == 0, from == to);
    if (count > 0) {
        assert_false(check_consistency(from, to, proof, count - 1));
        assert_false(check_consistency(to, from, proof, count));
        assert_false(from > 1 && check_consistency(from - 1, to, proof, count));
    }
    proof[count] = tree_roots[1];
    assert_false(check_consistency(from, to, proof, count + 1));
    for (size_t i = 0; i < count; i++) {
        proof[i].bytes[0] ^= 1;
        assert_false(check_consistency(from, to, proof, count));
        proof[i].bytes[0] ^= 1;
    }
}

static void every_consistency_proof_verifies_and_no_changed_one_does(void **state)
{
    (void)state;
    for (uint64_t to = 1; to <= SIZE_MAX_TESTED; to++) {
        for (uint64_t from = 1; from <= to; from++)
            expect_consistency(from, to);
    }
}

static void consistency_at_the_edges_of_its_cases(void **state)
{
    struct merkle_hash hash = tree_roots[3];

    (void)state;
    assert_true(check_consistency(0, 7, NULL, 0));
    assert_false(check_consistency(0, 7, &hash, 1));
    assert_true(check_consistency(7, 7, NULL, 0));
    assert_false(check_consistency(7, 7, &hash, 1));
    assert_false(merkle_check_consistency(7, 7, &tree_roots[6], &tree_roots[7], NULL, 0));
    assert_false(check_consistency(3, 7, NULL, 0));
    assert_false(check_consistency(4, 7, NULL, 0));
}

static void what_is_not_in_the_tree_cannot_be_proved(void **state)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX];
    uint64_t size = 7;
    size_t count = 0;

    (void)state;
    assert_false(merkle_prove_inclusion(lookup, &size, 7, 7, proof, &count));
    assert_false(merkle_prove_inclusion(lookup, &size, 0, 0, proof, &count));
    assert_false(merkle_prove_consistency(lookup, &size, 0, 7, proof, &count));
    assert_false(merkle_prove_consistency(lookup, &size, 8, 7, proof, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_and_roots_are_those_of_the_vector),
        cmocka_unit_test(roots_follow_the_definition),
        cmocka_unit_test(inclusion_proofs_are_those_of_the_vector),
        cmocka_unit_test(consistency_proofs_are_those_of_the_vector),
        cmocka_unit_test(every_inclusion_proof_verifies_and_no_changed_one_does),
        cmocka_unit_test(an_inclusion_proof_holds_at_its_own_index_only),
        cmocka_unit_test(too_many_hashes_are_refused),
        cmocka_unit_test(every_consistency_proof_verifies_and_no_changed_one_does),
        cmocka_unit_test(consistency_at_the_edges_of_its_cases),
        cmocka_unit_test(what_is_not_in_the_tree_cannot_be_proved),
    };

    return cmocka_run_group_tests(tests, build_tree, NULL);
}
