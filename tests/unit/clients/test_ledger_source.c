#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_text.h"
#include "clients/ledger_export.h"
#include "clients/ledger_source.h"
#include "ledger/tile.h"
#include "store/store.h"
#include "tests/test.h"

#define ORIGIN "broker.example.com/log"
#define START_MS INT64_C(1767225600000)
#define TEXT_MAX 256

/* A folder with a ledger in each form. */
struct place {
    char folder[64];
    char path[160];   /* of place_path() */
    char opened[160]; /* what a source borrows */
    struct tile_edge edge;
    struct merkle_frontier frontier;
    struct buf bundle;
};

static const char *place_path(struct place *place, const char *name)
{
    (void)snprintf(place->path, sizeof(place->path), "%s/%s", place->folder, name);
    return place->path;
}

static void run_shell(struct place *place, const char *command)
{
    char line[512];

    (void)snprintf(line, sizeof(line), "cd %s && %s", place->folder, command);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

static struct place *place_make(void)
{
    struct place *place = test_calloc(1, sizeof(*place));

    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/stagepass-source-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    buf_init(&place->bundle, (size_t)8 * 1024 * 1024);
    return place;
}

static void place_free(struct place *place)
{
    run_shell(place, "rm -rf \"$PWD\"");
    buf_release(&place->bundle);
    test_free(place);
}

/* Entry N, a second after the one before. */
static struct str entry_of(uint64_t index, char out[TEXT_MAX])
{
    char time[TIME_TEXT_MS_LEN + 1];

    time_text_ms(START_MS + (int64_t)index * 1000, time);
    (void)snprintf(out, TEXT_MAX,
                   "{\"detail\":\"}\\\"{%" PRIu64 "\",\"time\":\"%s\",\"type\":\"x\"}", index,
                   time);
    return str_from(out);
}

static void write_file(struct place *place, const char *name, struct str content)
{
    struct error error = { 0 };
    char folder[160];

    (void)snprintf(folder, sizeof(folder), "%s", place_path(place, name));
    *strrchr(folder, '/') = '\0';
    if (!file_make_folder(folder, 0700, &error) ||
        !file_replace(place_path(place, name), content, 0600, &error))
        fail_msg("%s: %s", name, error.cause);
}

static void write_tile(struct place *place, uint32_t level, uint64_t number, unsigned width,
                       struct str content)
{
    const struct tile_path path = { level, number, width };
    char name[TILE_PATH_MAX + 16] = "mirror/tile/";

    tile_path_write(&path, name + strlen(name));
    write_file(place, name, content);
}

static bool on_full(void *context, unsigned level, uint64_t number,
                    const struct merkle_hash hashes[TILE_WIDTH])
{
    write_tile(context, level, number, TILE_WIDTH, (struct str){ (const char *)hashes, TILE_LEN });
    return true;
}

static void write_note(struct place *place, const struct merkle_hash *root)
{
    OWNED(buf_release) struct buf note = { 0 };

    buf_init(&note, 1024);
    buf_printf(&note, ORIGIN "\n%" PRIu64 "\n", place->edge.size);
    buf_add_base64(&note, (struct str){ (const char *)root->bytes, MERKLE_HASH_LEN });
    buf_add_text(&note, "\n\n\xE2\x80\x94 " ORIGIN " AAAA\n");
    write_file(place, "mirror/checkpoint", buf_str(&note));
}

/* Bring the mirror to a size: full tiles as they come, then the right edge. */
static void mirror_grow(struct place *place, uint64_t size)
{
    struct merkle_hash root;

    for (uint64_t i = place->edge.size; i < size; i++) {
        char text[TEXT_MAX];
        struct str entry = entry_of(i, text);
        struct merkle_hash leaf = merkle_leaf(entry);

        buf_add_byte(&place->bundle, (uint8_t)(entry.len >> 8));
        buf_add_byte(&place->bundle, (uint8_t)entry.len);
        buf_add(&place->bundle, entry);
        assert_true(tile_edge_add(&place->edge, &leaf, on_full, place));
        merkle_frontier_add(&place->frontier, &leaf);
        if (i % TILE_WIDTH == TILE_WIDTH - 1) {
            write_tile(place, TILE_ENTRIES, i / TILE_WIDTH, TILE_WIDTH, buf_str(&place->bundle));
            buf_clear(&place->bundle);
        }
    }
    assert_true(buf_is_ok(&place->bundle));
    if (size % TILE_WIDTH > 0)
        write_tile(place, TILE_ENTRIES, size / TILE_WIDTH, size % TILE_WIDTH,
                   buf_str(&place->bundle));
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        unsigned width = tile_edge_width(&place->edge, level);

        if (width > 0)
            write_tile(place, level, tile_edge_number(&place->edge, level), width,
                       (struct str){ (const char *)place->edge.hashes[level],
                                     (size_t)width * MERKLE_HASH_LEN });
    }
    root = merkle_frontier_root(&place->frontier);
    write_note(place, &root);
}

static struct ledger_source *open_good(struct place *place, const char *name)
{
    const struct ledger_source_options options = { .ledger = place->opened };
    struct ledger_source *source = NULL;
    struct error error = { 0 };

    (void)snprintf(place->opened, sizeof(place->opened), "%s", place_path(place, name));
    if (!ledger_source_open(&options, &source, &error))
        fail_msg("%s: %s", name, error.cause);
    return source;
}

static void expect_refusal(struct place *place, const char *name, const char *cause)
{
    const struct ledger_source_options options = { .ledger = place_path(place, name) };
    struct ledger_source *source = NULL;
    struct error error = { 0 };

    assert_false(ledger_source_open(&options, &source, &error));
    if (!strstr(error.cause, cause))
        fail_msg("expected '%s', got '%s'", cause, error.cause);
}

static void expect_entry(struct ledger_source *source, uint64_t index)
{
    struct error error = { 0 };
    struct ledger_item item;
    char text[TEXT_MAX];

    if (!ledger_source_get(source, index, &item, &error))
        fail_msg("entry %" PRIu64 ": %s", index, error.cause);
    assert_true(item.index == index && str_eq(item.entry, entry_of(index, text)));
}

static bool count_item(const struct ledger_item *item, void *context, struct error *error)
{
    uint64_t *next = context;
    char text[TEXT_MAX];

    (void)error;
    assert_true(item->index == *next && str_eq(item->entry, entry_of(*next, text)));
    (*next)++;
    return true;
}

static void expect_walk(struct ledger_source *source, uint64_t from, uint64_t to)
{
    uint64_t next = from;
    const struct ledger_walk walk = {
        .from = from, .to = UINT64_MAX, .each = count_item, .context = &next
    };
    struct error error = { 0 };

    if (!ledger_source_walk(source, &walk, &error))
        fail_msg("walk: %s", error.cause);
    assert_true(next == to);
}

static void a_mirror_of_any_size_is_read_and_proven(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 255, 256, 257, 511, 512, 700, 65535, 65536, 65537 };
    struct place *place = place_make();

    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        OWNED(ledger_source_close) struct ledger_source *source = NULL;
        uint64_t size = sizes[i];

        mirror_grow(place, size);
        source = open_good(place, "mirror");
        assert_true(ledger_source_size(source) == size);
        assert_true(ledger_source_facts(source)->kind == LEDGER_MIRROR);
        assert_true(ledger_source_facts(source)->is_proven);
        assert_true(str_eq(ledger_source_facts(source)->origin, STR(ORIGIN)));
        if (size <= 700)
            expect_walk(source, 0, size);
        else
            expect_walk(source, size - 600, size);
        if (size > 0)
            expect_entry(source, 0);
    }
    place_free(place);
}

static void a_mirror_that_grows_is_followed(void **state)
{
    static const uint64_t sizes[] = { 3, 3, 256, 300, 1025 };
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    struct merkle_hash root;

    (void)state;
    mirror_grow(place, 2);
    source = open_good(place, "mirror");
    for (size_t i = 0; i < COUNT(sizes); i++) {
        mirror_grow(place, sizes[i]);
        run_shell(place, "rm -rf mirror/tile/entries/000.p/2 mirror/tile/0/000.p/2");
        assert_true(ledger_source_refresh(source, &error));
        assert_true(ledger_source_size(source) == sizes[i]);
        expect_walk(source, 0, sizes[i]);
    }
    /* the same size with another root, fewer entries, and other entries */
    root = merkle_frontier_root(&place->frontier);
    root.bytes[0] ^= 1;
    write_note(place, &root);
    assert_false(ledger_source_refresh(source, &error));
    assert_non_null(strstr(error.cause, "another root"));
    ledger_source_close(source);
    place_free(place);
}

static void a_log_that_is_rewritten_is_refused(void **state)
{
    struct place *place = place_make();
    struct place *other = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    struct merkle_hash leaf = merkle_leaf(STR("{}"));
    struct ledger_item item;
    char command[200];

    (void)state;
    mirror_grow(place, 300);
    source = open_good(place, "mirror");
    /* another tree: its first leaf is another, all else is the same */
    assert_true(tile_edge_add(&other->edge, &leaf, on_full, other));
    merkle_frontier_add(&other->frontier, &leaf);
    buf_add(&other->bundle, (struct str){ "\0\2{}", 4 });
    mirror_grow(other, 400);
    (void)snprintf(command, sizeof(command), "mv mirror kept && cp -r %s/mirror mirror",
                   other->folder);
    run_shell(place, command);
    assert_false(ledger_source_refresh(source, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    assert_non_null(strstr(error.cause, "does not go on from what it was"));
    /* with the old checkpoint in front of it nothing of it is taken, either */
    run_shell(place, "cp kept/checkpoint mirror/checkpoint");
    error = (struct error){ 0 };
    assert_true(ledger_source_refresh(source, &error));
    assert_false(ledger_source_get(source, 0, &item, &error));
    assert_int_equal(error.code, ERROR_INVALID);
    run_shell(place, "rm -rf mirror && mv kept mirror");
    error = (struct error){ 0 };
    assert_true(ledger_source_refresh(source, &error));
    expect_walk(source, 0, 300);
    ledger_source_close(source);
    place_free(other);
    place_free(place);
}

static void a_mirror_that_goes_back_is_refused(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };

    (void)state;
    mirror_grow(place, 5);
    run_shell(place, "cp -r mirror old");
    mirror_grow(place, 9);
    source = open_good(place, "mirror");
    run_shell(place, "rm -rf mirror && mv old mirror");
    assert_false(ledger_source_refresh(source, &error));
    assert_non_null(strstr(error.cause, "fewer entries"));
    ledger_source_close(source);
    place_free(place);
}

static void flip(struct place *place, const char *name, off_t offset)
{
    int file = open(place_path(place, name), O_RDWR | O_CLOEXEC);
    char byte;

    assert_true(file >= 0);
    assert_int_equal(pread(file, &byte, 1, offset), 1);
    byte = (char)(byte ^ 1);
    assert_int_equal(pwrite(file, &byte, 1, offset), 1);
    assert_int_equal(close(file), 0);
}

/* Whether all of a mirror is read. */
static bool reads_all(struct place *place, struct error *error)
{
    const struct ledger_source_options options = { .ledger = place_path(place, "mirror") };
    OWNED(ledger_source_close) struct ledger_source *source = NULL;
    struct ledger_item item;

    if (!ledger_source_open(&options, &source, error))
        return false;
    for (uint64_t i = 0; i < ledger_source_size(source); i++)
        if (!ledger_source_get(source, i, &item, error))
            return false;
    return true;
}

static void every_changed_file_of_a_mirror_is_found(void **state)
{
    static const struct {
        const char *name;
        off_t offset;
    } cases[] = {
        { "mirror/checkpoint", 30 },           { "mirror/tile/0/000", 5 },
        { "mirror/tile/0/001", 8191 },         { "mirror/tile/0/002.p/88", 0 },
        { "mirror/tile/1/000.p/2", 40 },       { "mirror/tile/entries/000", 0 },
        { "mirror/tile/entries/000", 1 },      { "mirror/tile/entries/001", 4000 },
        { "mirror/tile/entries/002.p/88", 7 },
    };
    struct place *place = place_make();

    (void)state;
    mirror_grow(place, 600);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };

        flip(place, cases[i].name, cases[i].offset);
        assert_false(reads_all(place, &error));
        assert_int_equal(error.code, ERROR_INVALID);
        flip(place, cases[i].name, cases[i].offset);
        assert_true(reads_all(place, &(struct error){ 0 }));
    }
    run_shell(place, "truncate -s 100 mirror/tile/entries/002.p/88");
    assert_false(reads_all(place, &(struct error){ 0 }));
    run_shell(place, "rm mirror/tile/entries/002.p/88");
    assert_false(reads_all(place, &(struct error){ 0 }));
    place_free(place);
}

static void times_are_found_in_few_readings(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    uint64_t index = 0;

    (void)state;
    mirror_grow(place, 700);
    source = open_good(place, "mirror");
    assert_true(ledger_source_find_time(source, 0, &index, &error) && index == 0);
    assert_true(ledger_source_find_time(source, START_MS + 1, &index, &error) && index == 1);
    assert_true(ledger_source_find_time(source, START_MS + 699000, &index, &error) && index == 699);
    assert_true(ledger_source_find_time(source, START_MS + 699001, &index, &error) && index == 700);
    ledger_source_close(source);
    place_free(place);
}

/* ---- exports ---- */

static void write_export(struct place *place, uint64_t size, bool is_complete, uint64_t step)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct ledger_export_header header = {
        .is_complete = is_complete, .origin = STR(ORIGIN), .size = size, .note = STR("")
    };

    buf_init(&text, (size_t)8 * 1024 * 1024);
    mirror_grow(place, size);
    header.root = merkle_frontier_root(&place->frontier);
    ledger_export_write_header(&header, &text);
    for (uint64_t i = 0; i < size; i += step) {
        char entry[TEXT_MAX];
        const struct ledger_export_line line = { i, entry_of(i, entry),
                                                 i % 2 ? STR("{\"a\":{}}") : STR("") };

        ledger_export_write_line(&line, &text);
    }
    assert_true(buf_is_ok(&text));
    write_file(place, "export.jsonl", buf_str(&text));
}

static void an_export_proves_itself(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    struct ledger_item item;

    (void)state;
    write_export(place, 3000, true, 1);
    source = open_good(place, "export.jsonl");
    assert_true(ledger_source_facts(source)->kind == LEDGER_EXPORT);
    assert_true(ledger_source_facts(source)->is_proven);
    expect_walk(source, 0, 3000);
    assert_true(ledger_source_get(source, 1, &item, &error));
    assert_int_equal(item.private_part.len, 0);
    ledger_source_want_private(source);
    assert_true(ledger_source_get(source, 1, &item, &error));
    assert_true(str_eq(item.private_part, STR("{\"a\":{}}")));
    assert_false(ledger_source_get(source, 3000, &item, &error));
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    ledger_source_close(source);
    place_free(place);
}

/* What the root was made of is what is given out, whatever the file holds by then. */
static void an_export_that_is_changed_meanwhile_is_refused(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    struct ledger_item item;

    (void)state;
    write_export(place, 3, true, 1);
    source = open_good(place, "export.jsonl");
    expect_walk(source, 0, 3);
    run_shell(place,
              "at=$(grep -bo '\"type\":\"x\"' export.jsonl | head -1 | cut -d: -f1) && "
              "printf y | dd of=export.jsonl bs=1 seek=$((at + 8)) conv=notrunc status=none");
    assert_false(ledger_source_get(source, 0, &item, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_non_null(strstr(error.cause, "was changed while it was read"));
    expect_entry(source, 1);
    ledger_source_close(source);
    place_free(place);
}

static bool add_index(const struct ledger_item *item, void *context, struct error *error)
{
    (void)error;
    *(uint64_t *)context += item->index;
    return true;
}

static void a_selection_is_read_and_not_proven(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;
    struct error error = { 0 };
    struct ledger_item item;
    uint64_t sum = 0;
    uint64_t index = 0;
    const struct ledger_walk walk = { .to = 300, .each = add_index, .context = &sum };

    (void)state;
    write_export(place, 1000, false, 100);
    source = open_good(place, "export.jsonl");
    assert_false(ledger_source_facts(source)->is_proven);
    assert_true(ledger_source_walk(source, &walk, &error));
    assert_true(sum == 300);
    assert_false(ledger_source_get(source, 1, &item, &error));
    error = (struct error){ 0 };
    assert_true(ledger_source_find_time(source, START_MS + 150000, &index, &error));
    assert_true(index > 100 && index <= 200);
    ledger_source_close(source);
    place_free(place);
}

static void a_bad_export_is_refused(void **state)
{
    static const struct {
        const char *change;
        const char *cause;
    } cases[] = {
        { "sed -i '1d' export.jsonl", "its first line is no header" },
        { "sed -i '5d' export.jsonl", "an entry is missing" },
        { "sed -i '$d' export.jsonl", "and has 9" },
        { "sed -i '5{h;d};6{G}' export.jsonl", "an entry is missing" },
        { "sed -i '4p' export.jsonl", "an entry is missing" },
        { "sed -i 's/\"x\"}}$/\"y\"}}/' export.jsonl", "do not have the root" },
        { "sed -i '2s/\"index\":0/\"index\":00/' export.jsonl", "no entry of an export" },
        { "sed -i '3s/}$/,\"more\":1}/' export.jsonl", "no entry of an export" },
        { "sed -i '3s/\"entry\":{/\"entry\":[{/' export.jsonl", "no entry of an export" },
        { "sed -i '3s/\"time\"/time/' export.jsonl", "no entry of an export" },
        { "truncate -s -3 export.jsonl", "was cut off" },
        { "truncate -s 0 export.jsonl", "is empty" },
        { "sed -i '1s/\"stagepass_export\":1/\"stagepass_export\":2/' export.jsonl",
          "another version" },
        { "sed -i '1s/\"size\":10/\"size\":-1/' export.jsonl", "no size" },
        { "sed -i '1s/\"size\":10/\"size\":9/' export.jsonl", "behind the export's end" },
        { "sed -i '1s/\"root\":\"/\"root\":\"A/' export.jsonl", "no root" },
        { "printf 'x%.0s' $(seq 300000) >>export.jsonl", "too long" },
    };
    struct place *place = place_make();

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        write_export(place, 10, true, 1);
        run_shell(place, cases[i].change);
        expect_refusal(place, "export.jsonl", cases[i].cause);
    }
    place_free(place);
}

static void a_brokers_folder_without_segments_is_its_log(void **state)
{
    struct place *place = place_make();
    struct ledger_source *source;

    (void)state;
    mirror_grow(place, 300);
    run_shell(place, "mkdir -p beside/policies && mv mirror beside/log");
    source = open_good(place, "beside");
    assert_true(ledger_source_facts(source)->kind == LEDGER_MIRROR);
    assert_non_null(ledger_source_facts(source)->policies);
    expect_walk(source, 0, 300);
    ledger_source_close(source);
    place_free(place);
}

static void what_is_no_ledger_is_refused(void **state)
{
    struct place *place = place_make();

    (void)state;
    write_file(place, "file", STR("hello\n"));
    run_shell(place, "mkdir empty");
    expect_refusal(place, "file", "this is no export");
    expect_refusal(place, "nowhere",
                   "/nowhere: there is no ledger; --ledger or STAGEPASS_LEDGER says where one is");
    expect_refusal(place, "file/nowhere", "/file/nowhere: Not a directory");
    expect_refusal(place, "empty", "");
    place_free(place);
}

/* ---- a store whose segments change under a reader ---- */

static bool no_changes(struct str entry, uint64_t index, struct store_change *changes,
                       size_t *change_count, struct error *error)
{
    (void)entry;
    (void)index;
    (void)changes;
    (void)error;
    *change_count = 0;
    return true;
}

static void note_done(struct store_proposal *proposal, void *context)
{
    (void)proposal;
    __atomic_store_n((bool *)context, true, __ATOMIC_RELEASE);
}

static void append(struct store *store, uint64_t index)
{
    bool is_done = false;
    char text[TEXT_MAX];
    struct str entry = entry_of(index, text);
    struct store_proposal proposal = {
        .entries = { { .bytes = text,
                       .len = entry.len,
                       .time_offset =
                           entry.len - strlen("2026-01-01T00:00:00.000Z\",\"type\":\"x\"}") } },
        .entry_count = 1,
        .done = note_done,
        .context = &is_done,
    };
    struct error error = { 0 };

    assert_true(store_submit(store, &proposal, &error));
    while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE))
        (void)usleep(100);
    assert_true(proposal.is_committed);
}

static void a_store_is_followed_over_its_segments(void **state)
{
    struct place *place = place_make();
    char folder[160];
    struct store_options options = { .fold = { no_changes }, .segment_bytes = 64 * 1024 };
    struct ledger_source *source = NULL;
    struct store *store = NULL;
    struct error error = { 0 };
    struct ledger_item item;

    (void)state;
    (void)snprintf(folder, sizeof(folder), "%s", place_path(place, "store"));
    options.location = folder;
    if (!store_open(&options, &store, &error))
        fail_msg("store: %s", error.cause);
    append(store, 0);
    source = open_good(place, "store");
    assert_true(ledger_source_facts(source)->kind == LEDGER_STORE);
    assert_false(ledger_source_facts(source)->is_proven);
    for (uint64_t i = 1; i < 1000; i++) {
        append(store, i);
        if (i % 100 != 99)
            continue;
        assert_true(ledger_source_refresh(source, &error));
        assert_true(ledger_source_size(source) == i + 1);
        assert_true(ledger_source_get(source, i, &item, &error));
        assert_true(str_starts_with(item.entry, STR("{\"detail\":")));
    }
    run_shell(place, "test $(ls store/segments | wc -l) -gt 1");
    ledger_source_close(source);
    store_close(store);
    place_free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mirror_of_any_size_is_read_and_proven),
        cmocka_unit_test(a_mirror_that_grows_is_followed),
        cmocka_unit_test(a_log_that_is_rewritten_is_refused),
        cmocka_unit_test(a_mirror_that_goes_back_is_refused),
        cmocka_unit_test(every_changed_file_of_a_mirror_is_found),
        cmocka_unit_test(times_are_found_in_few_readings),
        cmocka_unit_test(an_export_proves_itself),
        cmocka_unit_test(an_export_that_is_changed_meanwhile_is_refused),
        cmocka_unit_test(a_selection_is_read_and_not_proven),
        cmocka_unit_test(a_bad_export_is_refused),
        cmocka_unit_test(a_brokers_folder_without_segments_is_its_log),
        cmocka_unit_test(what_is_no_ledger_is_refused),
        cmocka_unit_test(a_store_is_followed_over_its_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
