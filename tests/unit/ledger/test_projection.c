#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "ledger/help.h"
#include "ledger/projection.h"
#include "ledger/sample.h"
#include "tests/assert_str.h"

#define MANY 300

static struct place place;
static struct store_index *at;
static struct projection *projection;

static int make(void **state)
{
    (void)state;
    place_make(&place);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    projection_free(TAKE(projection));
    store_index_close(TAKE(at));
    place_remove(&place);
    return 0;
}

static void must(bool is_good, const struct error *error)
{
    if (!is_good)
        fail_msg("%s", error->cause);
}

static void open_index(const char *name)
{
    struct error error = { 0 };

    projection_free(TAKE(projection));
    store_index_close(TAKE(at));
    must(store_index_open(place_path(&place, name), PROJECTION_VERSION, &at, &error), &error);
    must(projection_new(at, &projection, &error), &error);
}

static void begin(void)
{
    struct error error = { 0 };
    struct index_state state;

    must(store_index_begin(at, &state, &error), &error);
}

static void add(uint64_t index, struct str entry, struct str private_part)
{
    struct projection_entry item = { .index = index, .bytes = entry, .private_part = private_part };
    struct error error = { 0 };

    must(projection_add(projection, &item, &error), &error);
}

static void write_batch(void)
{
    struct error error = { 0 };

    must(projection_write(projection, &error), &error);
    assert_int_equal(projection_count(projection), 0);
}

static void add_text(uint64_t index, const char *text)
{
    begin();
    add(index, str_from(text), STR(""));
    write_batch();
}

static void project_samples(const char *name, size_t batch)
{
    OWNED(buf_release) struct buf entry = { 0 };
    OWNED(buf_release) struct buf private_part = { 0 };

    buf_init(&entry, SAMPLE_MAX);
    buf_init(&private_part, SAMPLE_MAX);
    open_index(name);
    for (uint64_t i = 0; i < MANY; i++) {
        if (i % batch == 0)
            begin();
        sample_entry(i, &entry, &private_part);
        assert_true(buf_is_ok(&entry) && buf_is_ok(&private_part));
        add(i, buf_str(&entry), buf_str(&private_part));
        if ((i + 1) % batch == 0 || i + 1 == MANY)
            write_batch();
    }
    store_index_close(TAKE(at));
}

static void samples_are_entries_as_a_broker_writes_them(void **state)
{
    OWNED(buf_release) struct buf entry = { 0 };
    OWNED(buf_release) struct buf private_part = { 0 };

    (void)state;
    buf_init(&entry, SAMPLE_MAX);
    buf_init(&private_part, SAMPLE_MAX);
    for (uint64_t i = 0; i < 40; i++) {
        JSON_OWNED json_t *parsed = NULL;
        struct error error = { 0 };

        sample_entry(i, &entry, &private_part);
        if (!entry_parse(buf_str(&entry), &parsed, &error) || !entry_check(parsed, &error))
            fail_msg("%u: %s: %s", (unsigned)i, error.cause, entry.data);
    }
}

static void the_same_entries_give_the_same_rows_in_whatever_batches(void **state)
{
    (void)state;
    project_samples("one.sqlite", 1);
    project_samples("some.sqlite", 97);
    project_samples("all.sqlite", MANY);
    run_shell("python3 -c \"import sqlite3\n"
              "dumps = [list(sqlite3.connect(name + '.sqlite').iterdump())"
              " for name in ('one', 'some', 'all')]\n"
              "assert len(dumps[0]) > 1000 and dumps[0] == dumps[1] == dumps[2]\"",
              &place);
}

/* ---- finding ---- */

static size_t find(enum ledger_field field, const char *value, uint64_t *newest)
{
    uint64_t key = projection_key(str_from(value));
    struct index_term term = { (uint8_t)field, &key, 1 };
    struct index_search search = { .terms = &term, .term_count = 1, .chunk = MANY };
    struct error error = { 0 };
    size_t count = 0;

    while (!search.is_over) {
        search.budget = 100;
        must(store_index_search(at, &search, &error), &error);
        for (unsigned i = INDEX_CHUNK_ENTRIES; search.has_found && i-- > 0;) {
            if ((search.found.bytes[i / 8] & 1U << i % 8) == 0)
                continue;
            if (count == 0)
                *newest = search.found_chunk * INDEX_CHUNK_ENTRIES + i;
            count++;
        }
    }
    return count;
}

static void entries_are_found_by_their_values(void **state)
{
    uint64_t newest = 0;
    char lease[27];

    (void)state;
    project_samples("some.sqlite", 97);
    open_index("some.sqlite");
    sample_id("lease", 100, lease);
    assert_int_equal(find(LEDGER_FIELD_LEASE, lease, &newest), 2);
    assert_int_equal(newest, 101);
    assert_int_equal(find(LEDGER_FIELD_TYPE, "exchange.denied", &newest), 30);
    assert_int_equal(newest, 294);
    assert_true(find(LEDGER_FIELD_ACTOR, "person-7", &newest) > 0);
    assert_int_equal(find(LEDGER_FIELD_ACTOR, "person-99", &newest), 0);
    assert_int_equal(find(LEDGER_FIELD_TYPE, "tenant-1", &newest), 0);
}

static void ids_have_keys_in_order_of_time(void **state)
{
    char early[27];
    char late[27];

    (void)state;
    sample_id("lease", 5, early);
    sample_id("lease", 6, late);
    assert_true(projection_key(str_from(early)) < projection_key(str_from(late)));
    assert_int_not_equal(projection_key(STR("1")), projection_key(STR("2")));
    assert_int_not_equal(projection_key(STR("no id")), 0);
}

/* ---- rows ---- */

#define TIME_1 "2026-11-22T10:00:00.000Z"
#define TIME_2 "2026-11-22T11:00:00.000Z"
#define MARK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LEASE "01JD4ZQ8Y2K3M4N5P6Q7R8S9T0"

#define ISSUED(time, owner)                                                                        \
    "{\"type\":\"credential.issued\",\"time\":\"" time "\",\"stage\":\"p:s\",\"pipeline\":\"p\","  \
    "\"owner\":\"" owner "\",\"tenant\":\"t\",\"environment\":\"e\",\"kind\":\"deploy\","          \
    "\"issuer\":\"github\",\"ci\":{\"repository\":\"acme/p\"},\"lease\":\"" LEASE "\","            \
    "\"handle\":\"sha256:" MARK "\",\"lease_expires\":\"2026-11-22T12:00:00Z\","                   \
    "\"token\":{\"mark\":\"" MARK "\",\"exp\":1763805900},"                                        \
    "\"credentials\":[{\"grant\":\"g\",\"target\":\"x\",\"type\":\"aws\"},"                        \
    "{\"type\":\"stage_token\"}]}"

static bool write_use(const struct ledger_use *use, void *context)
{
    buf_printf(
        context, STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT "|" STR_FMT " %d-%d %d..%d @%d\n",
        STR_ARG(use->stage), STR_ARG(use->target), STR_ARG(use->grant), STR_ARG(use->owner),
        STR_ARG(use->type), (int)use->count, (int)use->failed, (int)(use->first_ms / 1000 % 86400),
        (int)(use->last_ms / 1000 % 86400), (int)use->last_index);
    return true;
}

static bool write_seen(const struct ledger_seen *seen, void *context)
{
    buf_printf(context, STR_FMT "|" STR_FMT "|" STR_FMT " %d-%d\n", STR_ARG(seen->stage),
               STR_ARG(seen->issuer), STR_ARG(seen->name), (int)seen->count, (int)seen->denied);
    return true;
}

static void uses_are_counted_by_stage_target_and_grant(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    const struct ledger_use after = { .stage = STR("p:s") };
    struct error error = { 0 };

    (void)state;
    buf_init(&text, 4096);
    open_index("i");
    add_text(0, ISSUED(TIME_1, "a"));
    add_text(1, ISSUED(TIME_2, "b"));
    add_text(2, "{\"type\":\"credential.failed\",\"time\":\"" TIME_2 "\",\"stage\":\"p:s\","
                "\"owner\":\"c\",\"credentials\":[{\"grant\":\"g\",\"target\":\"x\"},"
                "{\"grant\":\"h\",\"target\":\"y\",\"type\":\"gcp\"}]}");
    must(projection_each_use(at, NULL, write_use, &text, &error), &error);
    assert_str(buf_str(&text), "p:s|||b|stage_token 2-0 36000..39600 @1\n"
                               "p:s|x|g|b|aws 2-1 36000..39600 @1\n"
                               "p:s|y|h|c|gcp 0-1 0..0 @0\n");
    buf_clear(&text);
    must(projection_each_use(at, &after, write_use, &text, &error), &error);
    assert_true(str_starts_with(buf_str(&text), STR("p:s|x|g")));
}

static void who_came_for_a_stage_is_counted(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };

    (void)state;
    buf_init(&text, 4096);
    open_index("i");
    add_text(0, ISSUED(TIME_1, "a"));
    add_text(1, "{\"type\":\"exchange.denied\",\"time\":\"" TIME_2 "\",\"stage\":\"p:s\","
                "\"issuer\":\"github\",\"ci\":{\"repository\":\"acme/p\"},\"count\":7}");
    add_text(2, "{\"type\":\"exchange.denied\",\"time\":\"" TIME_2 "\",\"issuer\":\"circleci\","
                "\"subject\":\"sd:secret\"}");
    add_text(3, "{\"type\":\"exchange.denied\",\"time\":\"" TIME_2 "\",\"stage\":\"p:s2\","
                "\"issuer\":\"spiffe\",\"subject\":\"spiffe://a/b\"}");
    must(projection_each_seen(at, (struct str){ 0 }, write_seen, &text, &error), &error);
    assert_str(buf_str(&text),
               "|circleci| 0-1\np:s|github|acme/p 1-7\np:s2|spiffe|spiffe://a/b 0-1\n");
    buf_clear(&text);
    must(projection_each_seen(at, STR("p:s"), write_seen, &text, &error), &error);
    assert_str(buf_str(&text), "p:s|github|acme/p 1-7\n");
    buf_clear(&text);
    must(projection_each_seen(at, STR(""), write_seen, &text, &error), &error);
    assert_str(buf_str(&text), "|circleci| 0-1\n");
}

/* A copy of a log can hold anything: none of it may stop the fold. */
static void what_is_no_entry_of_ours_is_passed_over(void **state)
{
    static char long_text[15000];
    OWNED(buf_release) struct buf text = { 0 };
    struct error error = { 0 };
    struct index_state state_read;

    (void)state;
    buf_init(&text, 64 * 1024);
    open_index("i");
    add_text(0, "not JSON");
    add_text(1, "{\"type\":7}");
    add_text(2,
             "{\"type\":\"credential.issued\",\"credentials\":[1,[],{\"grant\":2}],\"lease\":1}");
    memset(long_text, 'x', sizeof(long_text) - 1);
    buf_printf(&text, "{\"type\":\"credential.issued\",\"stage\":\"%s\",\"credentials\":[{}]}",
               long_text);
    add_text(3, text.data);
    must(store_index_begin(at, &state_read, &error), &error);
    assert_int_equal(state_read.size, 4);
    store_index_end(at);
}

static void what_is_erased_is_not_found_any_more(void **state)
{
    static const char entry[] = "{\"type\":\"exchange.denied\",\"ci\":{\"actor\":\"sd:A\","
                                "\"actor_id\":\"sd:B\"},\"subject\":\"octocat\"}";
    static const char secret[] = "{\"ci.actor\":{\"salt\":\"s\",\"value\":\"octocat\"},"
                                 "\"ci.actor_id\":{\"salt\":\"s\",\"value\":\"99\"}}";
    struct index_state all = { .size = 1 };
    struct error error = { 0 };
    uint64_t newest = 0;

    (void)state;
    open_index("i");
    begin();
    add(0, str_from(entry), str_from(secret));
    write_batch();
    assert_int_equal(find(LEDGER_FIELD_ACTOR, "octocat", &newest), 1);
    begin();
    must(projection_forget(at, 0, str_from(entry), str_from(secret), &error), &error);
    must(store_index_commit(at, &all, &error), &error);
    assert_int_equal(find(LEDGER_FIELD_ACTOR, "octocat", &newest), 0);
    assert_int_equal(find(LEDGER_FIELD_ACTOR, "99", &newest), 0);
    assert_int_equal(find(LEDGER_FIELD_SUBJECT, "octocat", &newest), 1);
    assert_int_equal(find(LEDGER_FIELD_TYPE, "exchange.denied", &newest), 1);
}

#define PLACE_TEST(function) cmocka_unit_test_setup_teardown(function, make, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_entries_as_a_broker_writes_them),
        cmocka_unit_test(ids_have_keys_in_order_of_time),
        PLACE_TEST(the_same_entries_give_the_same_rows_in_whatever_batches),
        PLACE_TEST(entries_are_found_by_their_values),
        PLACE_TEST(uses_are_counted_by_stage_target_and_grant),
        PLACE_TEST(who_came_for_a_stage_is_counted),
        PLACE_TEST(what_is_no_entry_of_ours_is_passed_over),
        PLACE_TEST(what_is_erased_is_not_found_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
