#include <stdlib.h>
#include <string.h>

#include "ledger/tile.h"
#include "tests/test.h"

static void expect_path(uint32_t level, uint64_t number, unsigned width, const char *text)
{
    const struct tile_path path = { level, number, width };
    struct tile_path parsed = { 0 };
    char written[TILE_PATH_MAX];

    tile_path_write(&path, written);
    assert_string_equal(written, text);
    assert_true(tile_path_parse(str_from(text), &parsed));
    assert_int_equal(parsed.level, level);
    assert_int_equal(parsed.number, number);
    assert_int_equal(parsed.width, width);
}

static void paths_are_groups_of_three_digits(void **state)
{
    (void)state;
    expect_path(0, 5, TILE_WIDTH, "0/005");
    expect_path(0, 999, TILE_WIDTH, "0/999");
    expect_path(1, 1000, TILE_WIDTH, "1/x001/000");
    expect_path(0, 1234067, TILE_WIDTH, "0/x001/x234/067");
    expect_path(63, 1000000000, TILE_WIDTH, "63/x001/x000/x000/000");
    expect_path(0, 1234, 17, "0/x001/234.p/17");
    expect_path(2, 0, 255, "2/000.p/255");
    expect_path(TILE_ENTRIES, 7, TILE_WIDTH, "entries/007");
    expect_path(TILE_ENTRIES, 7, 1, "entries/007.p/1");
    expect_path(0, UINT64_MAX, 1, "0/x018/x446/x744/x073/x709/x551/615.p/1");
}

static void other_spellings_are_no_paths(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "0",
        "0/",
        "0/5",
        "0/05",
        "0/0005",
        "00/005",
        "64/000",
        "-1/000",
        "+0/000",
        " 0/000",
        "0/000 ",
        "0/x000/005",
        "0/001/000",
        "0/x001/x000",
        "0/x001",
        "0/X001/000",
        "0//000",
        "0/000/",
        "0/../000",
        "../0/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/000.p/",
        "0/000.p",
        "0/000.p/1/",
        "0/000.p/1.p/1",
        "0/x000.p/1/000",
        "entries/7",
        "Entries/007",
        "entries",
        "0/x018/x446/x744/x073/x709/x551/616",
        "0/x999/x999/x999/x999/x999/x999/x999/999",
    };
    struct tile_path parsed = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (tile_path_parse(str_from(texts[i]), &parsed))
            fail_msg("\"%s\" was taken", texts[i]);
    }
    assert_false(tile_path_parse((struct str){ "0/00\0", 5 }, &parsed));
}

/* Not a real leaf: only its place matters. */
static struct merkle_hash leaf_of(uint64_t number)
{
    struct merkle_hash hash = { { 0 } };

    memcpy(hash.bytes, &number, sizeof(number));
    return hash;
}

struct counter {
    size_t full[TILE_LEVELS];
    uint64_t next[TILE_LEVELS];
};

static bool count_tile(void *context, unsigned level, uint64_t number,
                       const struct merkle_hash hashes[TILE_WIDTH])
{
    struct counter *counter = context;

    (void)hashes;
    assert_int_equal(number, counter->next[level]);
    counter->next[level]++;
    counter->full[level]++;
    return true;
}

static void tiles_of_a_size_are_those_of_the_table(void **state)
{
    static const struct {
        uint64_t size;
        size_t full[3];
        unsigned width[3];
    } cases[] = {
        { 1, { 0, 0, 0 }, { 1, 0, 0 } },       { 255, { 0, 0, 0 }, { 255, 0, 0 } },
        { 256, { 1, 0, 0 }, { 0, 1, 0 } },     { 257, { 1, 0, 0 }, { 1, 1, 0 } },
        { 512, { 2, 0, 0 }, { 0, 2, 0 } },     { 65536, { 256, 1, 0 }, { 0, 0, 1 } },
        { 65537, { 256, 1, 0 }, { 1, 0, 1 } }, { 70000, { 273, 1, 0 }, { 112, 17, 1 } },
    };
    struct tile_edge *edge = calloc(1, sizeof(*edge));
    struct merkle_frontier frontier = { 0 };
    struct counter counter = { 0 };

    (void)state;
    assert_non_null(edge);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct merkle_hash root;
        struct merkle_hash expected;

        while (edge->size < cases[i].size) {
            struct merkle_hash leaf = leaf_of(edge->size);

            assert_true(tile_edge_add(edge, &leaf, count_tile, &counter));
            merkle_frontier_add(&frontier, &leaf);
        }
        for (unsigned level = 0; level < 3; level++) {
            assert_int_equal(counter.full[level], cases[i].full[level]);
            assert_int_equal(tile_edge_number(edge, level), cases[i].full[level]);
            assert_int_equal(tile_edge_width(edge, level), cases[i].width[level]);
        }
        root = tile_edge_root(edge);
        expected = merkle_frontier_root(&frontier);
        assert_true(merkle_hash_eq(&root, &expected));
    }
    free(edge);
}

static void the_edge_has_the_root_of_its_tree_at_every_size(void **state)
{
    struct tile_edge *edge = calloc(1, sizeof(*edge));
    struct merkle_frontier frontier = { 0 };
    struct counter counter = { 0 };
    struct merkle_hash root = tile_edge_root(edge);
    struct merkle_hash expected = merkle_frontier_root(&frontier);

    (void)state;
    assert_true(merkle_hash_eq(&root, &expected));
    while (edge->size < 1100) {
        struct merkle_hash leaf = leaf_of(edge->size);

        assert_true(tile_edge_add(edge, &leaf, count_tile, &counter));
        merkle_frontier_add(&frontier, &leaf);
        root = tile_edge_root(edge);
        expected = merkle_frontier_root(&frontier);
        assert_true(merkle_hash_eq(&root, &expected));
    }
    free(edge);
}

static bool refuse_tile(void *context, unsigned level, uint64_t number,
                        const struct merkle_hash hashes[TILE_WIDTH])
{
    (void)context;
    (void)level;
    (void)number;
    (void)hashes;
    return false;
}

static void a_tile_that_cannot_be_kept_stops_the_edge(void **state)
{
    struct tile_edge *edge = calloc(1, sizeof(*edge));

    (void)state;
    for (unsigned i = 0; i < TILE_WIDTH; i++) {
        struct merkle_hash leaf = leaf_of(i);

        assert_int_equal(tile_edge_add(edge, &leaf, refuse_tile, NULL), i + 1 < TILE_WIDTH);
    }
    free(edge);
}

static void what_is_not_in_the_edge_is_not_found(void **state)
{
    struct tile_edge *edge = calloc(1, sizeof(*edge));
    struct counter counter = { 0 };
    struct merkle_hash hash;

    (void)state;
    while (edge->size < 300) {
        struct merkle_hash leaf = leaf_of(edge->size);

        assert_true(tile_edge_add(edge, &leaf, count_tile, &counter));
    }
    assert_true(tile_edge_lookup(edge, 0, 299, &hash));
    assert_false(tile_edge_lookup(edge, 0, 300, &hash));
    assert_false(tile_edge_lookup(edge, 0, 255, &hash));
    assert_true(tile_edge_lookup(edge, 5, 8, &hash));
    assert_false(tile_edge_lookup(edge, 5, 9, &hash));
    assert_true(tile_edge_lookup(edge, 8, 0, &hash));
    assert_false(tile_edge_lookup(edge, 8, 1, &hash));
    assert_false(tile_edge_lookup(edge, 64, 0, &hash));
    free(edge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_groups_of_three_digits),
        cmocka_unit_test(other_spellings_are_no_paths),
        cmocka_unit_test(tiles_of_a_size_are_those_of_the_table),
        cmocka_unit_test(the_edge_has_the_root_of_its_tree_at_every_size),
        cmocka_unit_test(a_tile_that_cannot_be_kept_stops_the_edge),
        cmocka_unit_test(what_is_not_in_the_edge_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
