#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/help.h"
#include "ledger/projection.h"
#include "ledger/sample.h"
#include "ledger/sample_store.h"
#include "ledger/search.h"
#include "tests/assert_str.h"

#define MANY 600
#define INDEXED 530

static struct place place;
static struct store *store;
static struct store_reader *reader;
static struct store_index *at;
static json_t *entries[MANY]; /* and what is kept beside them */
static json_t *private_parts[MANY];
static uint64_t pruned; /* entries below are */

static void must(bool is_good, const struct error *error)
{
    if (!is_good)
        fail_msg("%s", error->cause);
}

static void fill_index(void)
{
    struct projection *projection = NULL;
    struct index_state seen;
    struct error error = { 0 };

    must(store_index_open(place_path(&place, "index"), PROJECTION_VERSION, &at, &error), &error);
    must(projection_new(at, &projection, &error), &error);
    must(store_index_begin(at, &seen, &error), &error);
    for (uint64_t i = 0; i < INDEXED; i++) {
        struct projection_entry entry = { .index = i };

        must(store_reader_get(reader, i, &entry.bytes, &entry.private_part, &error), &error);
        entry.has_place = store_reader_place(reader, &entry.place);
        must(projection_add(projection, &entry, &error), &error);
    }
    must(projection_write(projection, &error), &error);
    projection_free(projection);
    must(store_index_begin(at, &seen, &error), &error);
}

/* A log of which the last entries are not indexed, for all tests: they only read. */
static int make(void **state)
{
    struct error error = { 0 };
    char path[256];

    (void)state;
    place_make(&place);
    (void)snprintf(path, sizeof(path), "%s", place_path(&place, "store"));
    store = sample_store_open(path);
    sample_store_append(store, 0, MANY);
    must(store_reader_new(store, &reader, &error), &error);
    fill_index();
    for (uint64_t i = 0; i < MANY; i++) {
        struct str bytes;
        struct str private_bytes;

        must(store_reader_get(reader, i, &bytes, &private_bytes, &error), &error);
        must(entry_parse(bytes, &entries[i], &error), &error);
        if (private_bytes.len > 0)
            must(entry_parse(private_bytes, &private_parts[i], &error), &error);
    }
    return 0;
}

static int clean(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        json_decref(entries[i]);
        json_decref(private_parts[i]);
    }
    store_index_close(at);
    store_reader_close(reader);
    store_close(store);
    place_remove(&place);
    return 0;
}

static void add(struct ledger_query *query, const char *name, const char *value)
{
    struct error error = { 0 };

    must(query_add(query, str_from(name), str_from(value), 1, &error), &error);
}

struct found {
    uint64_t indices[MANY];
    size_t count;
};

static bool note(const struct search_hit *hit, void *context, struct error *error)
{
    struct found *found = context;

    (void)error;
    assert_true(found->count < MANY);
    assert_true(json_is_object(hit->entry));
    assert_true(hit->bytes.len > 0);
    found->indices[found->count++] = hit->index;
    return true;
}

/* Every entry, held against the query. */
static void find_by_hand(const struct ledger_query *query, struct found *found)
{
    found->count = 0;
    for (uint64_t i = MANY; i-- > pruned;)
        if (query_matches(query, entries[i], private_parts[i]))
            found->indices[found->count++] = i;
}

static void find(struct ledger_search *search, struct found *found, size_t *pages)
{
    struct error error = { 0 };

    search->reader = reader;
    search->visit = note;
    search->context = found;
    search->before = SEARCH_NEWEST;
    found->count = 0;
    *pages = 0;
    while (!search->is_over) {
        uint64_t before = search->before;

        must(ledger_search_next(search, &error), &error);
        assert_true(search->is_over || search->before < before);
        assert_true(++*pages <= 4 * MANY);
    }
}

static void expect_same(const struct found *found, const struct found *expected)
{
    assert_int_equal(found->count, expected->count);
    for (size_t i = 0; i < found->count; i++)
        assert_int_equal(found->indices[i], expected->indices[i]);
}

/* With and without index, in pages of every kind: always what looking at each entry finds. */
static size_t expect_as_by_hand(const struct ledger_query *query)
{
    static struct found expected;
    static struct found found;
    size_t pages = 0;

    find_by_hand(query, &expected);
    for (unsigned i = 0; i < 4; i++) {
        struct ledger_search search = {
            .query = query,
            .index = i < 3 ? at : NULL,
            .indexed = INDEXED,
            .limit = (const size_t[]){ 10000, 7, 50, 10000 }[i],
            .reads_max = (const size_t[]){ 10000, 10000, 1, 300 }[i],
            .lookups_max = (const size_t[]){ 10000, 100, 40, 100 }[i],
        };

        find(&search, &found, &pages);
        expect_same(&found, &expected);
        assert_true(i != 0 || pages == 1);
    }
    return expected.count;
}

static void searches_find_what_looking_at_each_entry_does(void **state)
{
    static const struct {
        const char *words[4][2];
        size_t least;
    } rows[] = {
        { { { 0 } }, MANY },
        { { { "type", "exchange.denied" } }, 60 },
        { { { "pipeline", "acme/service-156" } }, 1 },
        { { { "pipeline", "acme/service-156" }, { "pipeline", "acme/service-102" } }, 1 },
        { { { "tenant", "tenant-1" }, { "target", "orders-db" }, { "environment", "staging" } },
          5 },
        { { { "actor", "person-64" } }, 1 },
        { { { "actor", "person-64" }, { "text", "SERVICE-" } }, 1 },
        { { { "address", "10.0.5.0/24" } }, 1 },
        { { { "address", "10.0.0.0/8" }, { "owner", "team-3@acme.example" } }, 1 },
        { { { "text", "person-64" } }, 1 },
        { { { "pipeline", "nobody" } }, 0 },
        { { { "type", "exchange.denied" }, { "target", "hub" } }, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ledger_query query = { 0 };

        for (size_t word = 0; word < 4 && rows[i].words[word][0]; word++)
            add(&query, rows[i].words[word][0], rows[i].words[word][1]);
        if (expect_as_by_hand(&query) < rows[i].least)
            fail_msg("%s=%s: too few samples", rows[i].words[0][0], rows[i].words[0][1]);
    }
}

/* The store has written its own. */
static int64_t time_of(uint64_t index)
{
    int64_t time_ms = 0;

    assert_true(time_text_parse(json_str(json_object_get(entries[index], "time")), &time_ms));
    return time_ms;
}

static void a_time_bounds_a_search(void **state)
{
    static const uint64_t bounds[][2] = {
        { 0, 5 },     { 250, 260 }, { 0, 288 },   { 0, 300 }, { 500, 501 },
        { 400, 590 }, { 529, 531 }, { 590, 599 }, { 7, 7 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bounds); i++) {
        struct ledger_query query = {
            .since_ms = time_of(bounds[i][0]),
            .until_ms = time_of(bounds[i][1]),
        };
        size_t count = expect_as_by_hand(&query);

        /* The first is among them, unless all are of one moment, or it was pruned. */
        assert_true(count > 0 || query.since_ms == query.until_ms || bounds[i][0] < pruned);
        add(&query, "tenant", "tenant-1");
        (void)expect_as_by_hand(&query);
    }
}

static void ids_are_found(void **state)
{
    char lease[27];

    (void)state;
    for (uint64_t i = 0; i < MANY; i += 110) {
        struct ledger_query query = { 0 };

        sample_id("lease", i, lease);
        add(&query, "lease", lease);
        assert_int_equal(expect_as_by_hand(&query), 2);
    }
}

static void ids_are_found_if_they_are_there(void)
{
    char lease[27];

    for (uint64_t i = 0; i < MANY; i += 110) {
        struct ledger_query query = { 0 };

        sample_id("lease", i, lease);
        add(&query, "lease", lease);
        assert_int_equal(expect_as_by_hand(&query), i < pruned ? 0 : 2);
    }
}

/* Of these hide() shows something. */
static const struct search_name shown[] = {
    { LEDGER_FIELD_TENANT, { "tenant-1", 8 } },
    { LEDGER_FIELD_TENANT, { "tenant-2", 8 } },
};

static enum search_access hide(const json_t *entry, void *context)
{
    (void)context;
    if (str_eq(json_str(json_object_get(entry, "tenant")), STR("tenant-1")))
        return SEARCH_ALL;
    if (str_eq(json_str(json_object_get(entry, "tenant")), STR("tenant-2")))
        return SEARCH_PUBLIC;
    return SEARCH_HIDDEN;
}

/* The same for an owner's members. */
static enum search_access hide_persons(const json_t *entry, void *context)
{
    return hide(entry, context) == SEARCH_HIDDEN ? SEARCH_HIDDEN : SEARCH_PUBLIC;
}

static bool look_at_private(const struct search_hit *hit, void *context, struct error *error)
{
    bool is_open = str_eq(json_str(json_object_get(hit->entry, "tenant")), STR("tenant-1"));

    assert_int_equal(hit->private_part.len > 0, is_open);
    return note(hit, context, error);
}

/* A search without an index, in one page. */
static struct ledger_search search_of(const struct ledger_query *query, struct found *found)
{
    found->count = 0;
    return (struct ledger_search){
        .query = query,
        .reader = reader,
        .limit = 10000,
        .reads_max = 10000,
        .lookups_max = 10000,
        .access = hide,
        .visit = note,
        .context = found,
        .before = SEARCH_NEWEST,
    };
}

static size_t find_restricted(const char *name, const char *value, const struct search_name *names)
{
    static struct found found;
    struct ledger_query query = { 0 };
    struct ledger_search search = search_of(&query, &found);
    struct error error = { 0 };

    search.index = at;
    search.indexed = INDEXED;
    search.names = names;
    search.name_count = names ? COUNT(shown) : 0;
    search.visit = look_at_private;
    add(&query, name, value);
    must(ledger_search_next(&search, &error), &error);
    assert_true(search.is_over);
    return found.count;
}

static void nobody_finds_what_they_may_not_see(void **state)
{
    struct ledger_query query = { 0 };

    (void)state;
    add(&query, "address", "10.0.0.0/8");
    for (size_t i = 0; i < 2; i++) { /* entry by entry, and by the names of what may be seen */
        const struct search_name *names = i == 0 ? NULL : shown;

        assert_true(find_restricted("tenant", "tenant-1", names) > 0);
        assert_true(find_restricted("tenant", "tenant-2", names) > 0);
        assert_int_equal(find_restricted("tenant", "tenant-3", names), 0);
        /* Of all that came from there the part of tenant 1 only: where it is not told who a person
         * is, nobody finds by it either. */
        assert_in_range(find_restricted("address", "10.0.0.0/8", names), 1,
                        expect_as_by_hand(&query) / 3);
        assert_int_equal(find_restricted("text", "lease.released", names), 0);
    }
}

/* What is found by names is what is found without an index: all that may be seen, and fits. */
static void names_lead_to_all_that_may_be_seen(void **state)
{
    static const char *const rows[][2] = {
        { "tenant", "tenant-1" },      { "type", "credential.issued" },
        { "type", "exchange.denied" }, { "text", "service" },
        { "actor", "person-64" },      { "target", "orders-db" },
        { "address", "10.0.5.0/24" },  { "pipeline", "nobody" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(find_restricted(rows[i][0], rows[i][1], shown),
                         find_restricted(rows[i][0], rows[i][1], NULL));
}

/* How far a page comes that may look at so few entries. */
static uint64_t end_of_page(const char *name, const char *value,
                            enum search_access (*access)(const json_t *entry, void *context))
{
    static struct found found;
    struct ledger_query query = { 0 };
    struct ledger_search search = search_of(&query, &found);
    struct error error = { 0 };

    search.reads_max = 100;
    search.access = access;
    search.before = MANY;
    add(&query, name, value);
    must(ledger_search_next(&search, &error), &error);
    assert_false(search.is_over);
    return search.before;
}

/* Else whoever sees nothing of an entry could ask by the page's end for any text in it. */
static void where_a_page_ends_does_not_tell_what_is_hidden(void **state)
{
    static const struct {
        const char *name;
        const char *hidden;
        const char *nowhere;
    } rows[] = {
        { "text", "tenant-3", "tenant-none" }, /* in entries that are hidden */
        { "text", "person-1", "person-none" }, /* in what is kept beside them */
        { "tenant", "tenant-3", "tenant-none" },
        { "actor", "person-1", "person-none" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(end_of_page(rows[i].name, rows[i].hidden, hide), MANY - 100);
        assert_int_equal(end_of_page(rows[i].name, rows[i].nowhere, hide), MANY - 100);
    }
    /* Who may see everything comes farther where there is nothing to be seen. */
    assert_int_equal(end_of_page("text", "tenant-none", NULL), MANY - 400);
}

/* Where the pages of a search end that are a look-up and an entry long. */
static size_t ends_of_pages(const char *name, const char *value, uint64_t ends[MANY])
{
    static struct found found;
    struct ledger_query query = { 0 };
    struct ledger_search search = search_of(&query, &found);
    struct error error = { 0 };
    size_t count = 0;

    search.index = at;
    search.indexed = INDEXED;
    search.reads_max = 1;
    search.lookups_max = 1;
    search.access = hide_persons;
    search.names = shown;
    search.name_count = COUNT(shown);
    search.before = INDEXED;
    add(&query, name, value);
    while (!search.is_over) {
        assert_true(count < MANY);
        must(ledger_search_next(&search, &error), &error);
        ends[count++] = search.before;
    }
    assert_int_equal(found.count, 0);
    return count;
}

/* The same by the index: a value that many hidden entries have looks as one that none has. */
static void the_index_does_not_tell_what_is_hidden(void **state)
{
    static const char *const rows[][3] = {
        { "tenant", "tenant-3", "tenant-none" },
        { "actor", "person-12", "person-none" }, /* of what is shown, too, behind a digest */
    };
    uint64_t hidden[MANY];
    uint64_t nowhere[MANY];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t count = ends_of_pages(rows[i][0], rows[i][1], hidden);

        assert_int_equal(count, ends_of_pages(rows[i][0], rows[i][2], nowhere));
        assert_true(count > 1);
        assert_memory_equal(hidden, nowhere, count * sizeof(*hidden));
    }
}

static bool refuse(const struct search_hit *hit, void *context, struct error *error)
{
    (void)hit;
    (void)context;
    return error_set(error, ERROR_LIMIT, "enough");
}

static void a_visitor_can_fail(void **state)
{
    struct ledger_query query = { 0 };
    struct ledger_search search = {
        .query = &query,
        .reader = reader,
        .limit = 1,
        .reads_max = 1,
        .visit = refuse,
        .before = SEARCH_NEWEST,
    };
    struct error error = { 0 };

    (void)state;
    assert_false(ledger_search_next(&search, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

/* The page behind a cursor is the same, whatever was appended meanwhile. */
static void a_search_can_be_bounded_from_below_and_above(void **state)
{
    static struct found found;
    struct ledger_query query = { 0 };
    struct ledger_search search = {
        .query = &query,
        .reader = reader,
        .index = at,
        .indexed = INDEXED,
        .limit = 3,
        .reads_max = 100,
        .lookups_max = 100,
        .visit = note,
        .context = &found,
        .before = 100,
        .from = 96,
    };
    struct error error = { 0 };

    (void)state;
    must(ledger_search_next(&search, &error), &error);
    assert_int_equal(found.count, 3);
    assert_int_equal(found.indices[0], 99);
    assert_int_equal(search.before, 97);
    assert_false(search.is_over);
    must(ledger_search_next(&search, &error), &error);
    assert_int_equal(found.count, 4);
    assert_true(search.is_over);
}

static bool forget_nothing(void *context, struct error *error)
{
    (void)context;
    (void)error;
    return true;
}

/* What was pruned is not found; what was not is found by its time, too, with an index or without.
 */
static void what_was_pruned_is_in_nobodys_way(void **state)
{
    struct error error = { 0 };

    (void)state;
    must(store_prune(store, 0, 260, &pruned, forget_nothing, NULL, &error), &error);
    assert_true(pruned > 200);
    must(store_reader_refresh(reader, &error), &error);
    a_time_bounds_a_search(NULL);
    ids_are_found_if_they_are_there();
    store_index_end(at);
    store_index_close(at);
    must(store_index_remove(place_path(&place, "index"), &error), &error);
    fill_index();
    a_time_bounds_a_search(NULL);
    ids_are_found_if_they_are_there();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(searches_find_what_looking_at_each_entry_does),
        cmocka_unit_test(a_time_bounds_a_search),
        cmocka_unit_test(ids_are_found),
        cmocka_unit_test(nobody_finds_what_they_may_not_see),
        cmocka_unit_test(names_lead_to_all_that_may_be_seen),
        cmocka_unit_test(the_index_does_not_tell_what_is_hidden),
        cmocka_unit_test(where_a_page_ends_does_not_tell_what_is_hidden),
        cmocka_unit_test(a_visitor_can_fail),
        cmocka_unit_test(a_search_can_be_bounded_from_below_and_above),
        cmocka_unit_test(what_was_pruned_is_in_nobodys_way),
    };
    return cmocka_run_group_tests(tests, make, clean);
}
