#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_text.h"
#include "base/time_zone.h"
#include "tests/fail_memory.h"
#include "tests/test.h"

/*
 * tests/integration/test_time_zones holds all zones of the system against another implementation;
 * here is what a zone is, what is refused, and the ends of every range.
 */

#define HOUR 3600

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/stagepass-zones-XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/Z", folder);
    (void)unlink(path);
    return rmdir(folder);
}

static void write_zone(struct str bytes)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/Z", folder);
    file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, file), bytes.len);
    assert_int_equal(fclose(file), 0);
}

/* ---- zones of the system ---- */

static struct time_zone *system_zone(const char *name)
{
    struct time_zone *zone = NULL;
    struct error error = { 0 };

    if (!time_zone_load(TIME_ZONE_FOLDER, str_from(name), &zone, &error))
        fail_msg("%s: %s", name, error.cause);
    return zone;
}

static int64_t time_of(const char *text)
{
    int64_t time_ms;

    assert_true(time_text_parse(str_from(text), &time_ms));
    return time_ms / 1000;
}

static void clocks_show_what_they_are_known_to_show(void **state)
{
    static const struct {
        const char *zone;
        const char *time;
        int32_t offset_s;
    } cases[] = {
        { "Europe/Berlin", "2026-03-29T00:59:59Z", HOUR },
        { "Europe/Berlin", "2026-03-29T01:00:00Z", 2 * HOUR },
        { "Europe/Berlin", "2026-10-25T00:59:59Z", 2 * HOUR },
        { "Europe/Berlin", "2026-10-25T01:00:00Z", HOUR },
        { "Europe/Berlin", "2950-07-01T00:00:00Z", 2 * HOUR }, /* past its table */
        /* Summer time is half an hour. */
        { "Australia/Lord_Howe", "2026-04-04T14:59:59Z", 11 * HOUR },
        { "Australia/Lord_Howe", "2026-04-04T15:00:00Z", 10 * HOUR + HOUR / 2 },
        /* What others call winter time is its summer time, below the standard. */
        { "Europe/Dublin", "2026-07-01T00:00:00Z", HOUR },
        { "Europe/Dublin", "2026-12-01T00:00:00Z", 0 },
        { "Europe/Dublin", "2950-12-01T00:00:00Z", 0 },
        /* Clocks go back for Ramadan, which no rule knows. */
        { "Africa/Casablanca", "2026-01-15T00:00:00Z", HOUR },
        { "Africa/Casablanca", "2026-03-01T00:00:00Z", 0 },
        { "UTC", "2026-07-01T00:00:00Z", 0 },
        { "Etc/GMT+12", "2026-07-01T00:00:00Z", -12 * HOUR },
        { "Asia/Kathmandu", "2026-07-01T00:00:00Z", 5 * HOUR + 45 * 60 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        OWNED(time_zone_unref) struct time_zone *zone = system_zone(cases[i].zone);

        if (time_zone_offset_s(zone, time_of(cases[i].time)) != cases[i].offset_s)
            fail_msg("%s at %s: %d", cases[i].zone, cases[i].time,
                     time_zone_offset_s(zone, time_of(cases[i].time)));
    }
}

static void any_time_has_an_offset(void **state)
{
    static const int64_t times[] = { INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX };
    static const char *const names[] = { "Europe/Berlin", "UTC", "Europe/Dublin",
                                         "Australia/Lord_Howe" };

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        OWNED(time_zone_unref) struct time_zone *zone = system_zone(names[i]);

        for (size_t k = 0; k < COUNT(times); k++) {
            assert_in_range(time_zone_offset_s(zone, times[k]) + 86400, 0, 2 * 86400);
            assert_true(time_zone_next_change_s(zone, times[k]) > times[k] ||
                        times[k] == INT64_MAX);
        }
    }
}

static void the_next_change_is_the_very_second(void **state)
{
    OWNED(time_zone_unref) struct time_zone *berlin = system_zone("Europe/Berlin");
    OWNED(time_zone_unref) struct time_zone *utc = system_zone("UTC");
    int64_t spring_s = time_of("2026-03-29T01:00:00Z");
    int64_t autumn_s = time_of("2026-10-25T01:00:00Z");

    (void)state;
    assert_int_equal(time_zone_next_change_s(berlin, spring_s - 1), spring_s);
    assert_int_equal(time_zone_next_change_s(berlin, spring_s), autumn_s);
    assert_int_equal(time_zone_next_change_s(berlin, time_of("2950-01-01")),
                     time_of("2950-03-29T01:00:00Z"));
    assert_int_equal(time_zone_next_change_s(berlin, INT64_MAX - 1), INT64_MAX);
    assert_int_equal(time_zone_next_change_s(utc, 0), INT64_MAX);
}

static void a_zone_lives_as_long_as_somebody_holds_it(void **state)
{
    struct time_zone *zone = system_zone("Europe/Berlin");
    struct time_zone *again = system_zone("Europe/Berlin");
    struct time_zone *other = system_zone("Europe/Vienna");

    (void)state;
    assert_ptr_equal(time_zone_ref(zone), zone);
    time_zone_unref(zone);
    assert_true(str_eq(time_zone_name(zone), STR("Europe/Berlin")));
    assert_true(time_zone_is_same(zone, again));
    assert_true(time_zone_is_same(zone, zone));
    assert_false(time_zone_is_same(zone, other));
    time_zone_unref(zone);
    time_zone_unref(again);
    time_zone_unref(other);
    time_zone_unref(NULL);
}

/* ---- names ---- */

static void only_names_are_looked_up(void **state)
{
    static const struct {
        const char *name;
        enum error_code code;
    } cases[] = {
        { "", ERROR_SYNTAX },
        { "/etc/localtime", ERROR_SYNTAX },
        { "../zoneinfo/UTC", ERROR_SYNTAX },
        { "Europe/../UTC", ERROR_SYNTAX },
        { "Europe//Berlin", ERROR_SYNTAX },
        { "Europe/", ERROR_SYNTAX },
        { "Europe/Berlin ", ERROR_SYNTAX },
        { "zone.tab", ERROR_SYNTAX },
        { "localtime", ERROR_SYNTAX },
        { "posixrules", ERROR_SYNTAX },
        { "Factory", ERROR_SYNTAX },
        { "Europe", ERROR_IO },
        { "Europe/Berlln", ERROR_IO },
        { "europe/berlin", ERROR_IO },
        { "leapseconds", ERROR_CONFIG }, /* there, and no zone */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct time_zone *zone = NULL;
        struct error error = { 0 };

        if (time_zone_load(TIME_ZONE_FOLDER, str_from(cases[i].name), &zone, &error) ||
            error.code != cases[i].code || zone != NULL)
            fail_msg("'%s': %d, %s", cases[i].name, (int)error.code, error.cause);
    }
}

static void a_name_has_64_bytes_at_most(void **state)
{
    char name[TIME_ZONE_NAME_MAX + 2];
    struct time_zone *zone = NULL;
    struct error at_limit = { 0 };
    struct error past = { 0 };

    (void)state;
    memset(name, 'a', sizeof(name));
    assert_false(time_zone_load(TIME_ZONE_FOLDER, (struct str){ name, TIME_ZONE_NAME_MAX }, &zone,
                                &at_limit));
    assert_int_equal(at_limit.code, ERROR_IO); /* a name, but there is none such */
    assert_false(time_zone_load(TIME_ZONE_FOLDER, (struct str){ name, TIME_ZONE_NAME_MAX + 1 },
                                &zone, &past));
    assert_int_equal(past.code, ERROR_SYNTAX);
}

static void the_zone_that_was_meant_is_found(void **state)
{
    static const struct {
        const char *name;
        const char *nearest;
    } cases[] = {
        { "Europe/Berln", "Europe/Berlin" },
        { "europe/berlin", "Europe/Berlin" },
        { "berlin", "Europe/Berlin" },
        { "Lord_Howe", "Australia/Lord_Howe" },
        { "utc", "UTC" },
        { "xqzwv", "" },
    };
    OWNED(arena_free) struct arena *arena = arena_new((size_t)1024 * 1024);
    struct str nearest;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_true(time_zone_nearest(TIME_ZONE_FOLDER, str_from(cases[i].name), arena, &nearest));
        if (!str_eq(nearest, str_from(cases[i].nearest)))
            fail_msg("%s: " STR_FMT, cases[i].name, STR_ARG(nearest));
    }
    assert_false(time_zone_nearest(folder, STR("UTC"), arena, &nearest));
    assert_int_equal(nearest.len, 0);
}

/* ---- files ---- */

/* A file's parts; all-zero but for a type and the names is a good one. */
struct made {
    uint8_t version;    /* 0: version 1 */
    uint32_t counts[6]; /* indicators: universal, standard; leap seconds, changes, types, names */
    const char *body;
    size_t body_len;
    const char *footer; /* NULL: none */
};

static void add_number(struct buf *buf, uint32_t number)
{
    const char bytes[] = { (char)(number >> 24), (char)(number >> 16), (char)(number >> 8),
                           (char)number };

    buf_add(buf, (struct str){ bytes, sizeof(bytes) });
}

static void add_header(struct buf *buf, uint8_t version, const uint32_t counts[6])
{
    static const char reserved[15];
    const char byte = (char)version;

    buf_add_text(buf, "TZif");
    buf_add(buf, (struct str){ &byte, 1 });
    buf_add(buf, (struct str){ reserved, sizeof(reserved) });
    for (size_t i = 0; i < 6; i++)
        add_number(buf, counts[i]);
}

/* A short block of one type, as zic makes it. */
static void add_short_block(struct buf *buf, uint8_t version)
{
    static const uint32_t counts[6] = { 0, 0, 0, 0, 1, 1 };

    add_header(buf, version, counts);
    buf_add(buf, STR("\0\0\0\0\0\0\0"));
}

static bool load_made(const struct made *made, struct time_zone **zone, struct error *error)
{
    OWNED(buf_release) struct buf buf = { 0 };

    buf_init(&buf, 2 * TIME_ZONE_BYTES_MAX);
    if (made->version != 0)
        add_short_block(&buf, made->version);
    add_header(&buf, made->version, made->counts);
    buf_add(&buf, (struct str){ made->body, made->body_len });
    if (made->footer != NULL)
        buf_add_text(&buf, made->footer);
    assert_true(buf_is_ok(&buf));
    write_zone(buf_str(&buf));
    return time_zone_load(folder, STR("Z"), zone, error);
}

#define BODY(bytes) .body = (bytes), .body_len = sizeof(bytes) - 1
#define ONE_TYPE "\0\0\0\0\0\0" /* UTC */

static void a_hostile_file_is_refused(void **state)
{
    static const struct {
        const char *name;
        const char *cause;
        struct made made;
    } cases[] = {
        { "version 5", "no compiled", { '5', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), "\n\n" } },
        { "version 1 as text",
          "no compiled",
          { '1', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), "\n\n" } },
        { "no type", "no types", { 0, { 0, 0, 0, 0, 0, 2 }, BODY("U\0"), NULL } },
        { "257 types", "no types", { 0, { 0, 0, 0, 0, 257, 2 }, BODY("U\0"), NULL } },
        { "no names", "no types", { 0, { 0, 0, 0, 0, 1, 0 }, BODY(ONE_TYPE), NULL } },
        { "names without end",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "UT"), NULL } },
        { "a name that starts behind the names",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY("\0\0\0\0\0\x02U\0"), NULL } },
        { "types without end",
          "too early",
          { 0, { 0, 0, 0, 0, 2, 2 }, BODY(ONE_TYPE "U\0"), NULL } },
        { "four thousand million changes",
          "too early",
          { 0, { 0, 0, 0, 0xffffffff, 1, 2 }, BODY(ONE_TYPE "U\0"), NULL } },
        { "counts that overflow",
          "too early",
          { '2', { 0, 0, 0, 0xffffffff, 1, 0xffffffff }, BODY(ONE_TYPE "U\0"), "\n\n" } },
        { "one indicator of two types",
          "do not fit",
          { 0, { 1, 0, 0, 0, 2, 2 }, BODY(ONE_TYPE ONE_TYPE "U\0\0"), NULL } },
        { "an indicator of 2",
          "no sense",
          { 0, { 0, 1, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0\x02"), NULL } },
        { "universal but not standard",
          "no sense",
          { 0, { 1, 1, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0\0\x01"), NULL } },
        { "summer time of 2",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY("\0\0\0\0\x02\0U\0"), NULL } },
        { "an offset of 26 hours",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY("\0\x01\x6d\xa0\0\0U\0"), NULL } },
        { "an offset of -25 hours",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY("\xff\xfe\xa0\x70\0\0U\0"), NULL } },
        { "an offset of -2^31",
          "out of range",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY("\x80\0\0\0\0\0U\0"), NULL } },
        { "a change to a type that is not there",
          "not there",
          { 0, { 0, 0, 0, 1, 1, 2 }, BODY("\0\0\0\x01\x01" ONE_TYPE "U\0"), NULL } },
        { "changes at one time",
          "order",
          { 0,
            { 0, 0, 0, 2, 1, 2 },
            BODY("\0\0\0\x01\0\0\0\x01"
                 "\0\0" ONE_TYPE "U\0"),
            NULL } },
        { "changes that go back",
          "order",
          { 0,
            { 0, 0, 0, 2, 1, 2 },
            BODY("\0\0\0\x01\xff\xff\xff\xff"
                 "\0\0" ONE_TYPE "U\0"),
            NULL } },
        { "leap seconds",
          "leap seconds",
          { 0, { 0, 0, 1, 0, 1, 2 }, BODY(ONE_TYPE "U\0\0\0\0\0\0\0\0\x01"), NULL } },
        { "bytes behind the end",
          "behind",
          { 0, { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0x"), NULL } },
        { "no last line", "last line", { '2', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), NULL } },
        { "half a last line",
          "last line",
          { '2', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), "\n" } },
        { "a last line without end",
          "last line",
          { '2', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), "\nUTC0" } },
        { "two last lines",
          "last line",
          { '2', { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), "\nUTC0\nUTC0\n" } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct time_zone *zone = NULL;
        struct error error = { 0 };

        if (load_made(&cases[i].made, &zone, &error) || error.code != ERROR_CONFIG ||
            strstr(error.cause, cases[i].cause) == NULL)
            fail_msg("%s: %s", cases[i].name, error.cause);
    }
}

static void every_beginning_of_a_file_is_refused(void **state)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)64 * 1024 * 1024);
    struct error read = { 0 };
    struct str text = { 0 };

    (void)state;
    if (!file_read(arena, TIME_ZONE_FOLDER "/Europe/Berlin", TIME_ZONE_BYTES_MAX, &text, &read))
        fail_msg("%s", read.cause);
    for (size_t len = 0; len < text.len; len++) {
        struct str beginning = arena_copy(arena, str_slice(text, 0, len));
        struct time_zone *zone = NULL;
        struct error error = { 0 };

        assert_false(time_zone_read(STR("Z"), beginning, &zone, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
    }
}

static void a_file_has_64_kib_at_most(void **state)
{
    static char body[TIME_ZONE_BYTES_MAX];
    size_t len = TIME_ZONE_BYTES_MAX - 44; /* of the header */
    const struct made at_limit = { 0, { 0, 0, 0, 0, 1, (uint32_t)len - 6 }, body, len, NULL };
    const struct made past = { 0, { 0, 0, 0, 0, 1, (uint32_t)len - 5 }, body, len + 1, NULL };
    OWNED(time_zone_unref) struct time_zone *zone = NULL;
    struct time_zone *none = NULL;
    struct error error = { 0 };

    (void)state;
    assert_true(load_made(&at_limit, &zone, &error));
    assert_false(load_made(&past, &none, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_version_1_file_stays_as_it_ends(void **state)
{
    const struct made made = { 0,
                               { 2, 2, 0, 2, 2, 2 },
                               BODY("\xff\xff\xff\xff\0\0\0\x0a" /* at -1 and at 10 */
                                    "\x01\x00" ONE_TYPE "\0\0\x0e\x10\x01\0"
                                    "U\0"
                                    "\x01\0\x01\0"),
                               NULL };
    OWNED(time_zone_unref) struct time_zone *zone = NULL;
    struct error error = { 0 };

    (void)state;
    if (!load_made(&made, &zone, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(time_zone_offset_s(zone, -2), 0);
    assert_int_equal(time_zone_offset_s(zone, -1), HOUR);
    assert_int_equal(time_zone_offset_s(zone, 9), HOUR);
    assert_int_equal(time_zone_offset_s(zone, 10), 0);
    assert_int_equal(time_zone_offset_s(zone, INT64_MAX), 0);
    assert_int_equal(time_zone_next_change_s(zone, INT64_MIN), -1);
    assert_int_equal(time_zone_next_change_s(zone, -1), 10);
    assert_int_equal(time_zone_next_change_s(zone, 10), INT64_MAX);
}

static void long_times_of_every_size_are_read(void **state)
{
    const struct made made = { '2',
                               { 0, 0, 0, 2, 2, 2 },
                               BODY("\x80\0\0\0\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"
                                    "\x01\x00" ONE_TYPE "\0\0\x0e\x10\x01\0"
                                    "U\0"),
                               "\n\n" };
    OWNED(time_zone_unref) struct time_zone *zone = NULL;
    struct error error = { 0 };

    (void)state;
    if (!load_made(&made, &zone, &error))
        fail_msg("%s", error.cause);
    assert_int_equal(time_zone_offset_s(zone, INT64_MIN), HOUR);
    assert_int_equal(time_zone_offset_s(zone, INT64_MAX - 1), HOUR);
    assert_int_equal(time_zone_offset_s(zone, INT64_MAX), 0);
    assert_int_equal(time_zone_next_change_s(zone, 0), INT64_MAX);
}

/* ---- rules ---- */

static struct time_zone *ruled_zone(const char *rule, uint8_t version, struct error *error)
{
    char footer[128];
    const struct made made = { version, { 0, 0, 0, 0, 1, 2 }, BODY(ONE_TYPE "U\0"), footer };
    struct time_zone *zone = NULL;

    (void)snprintf(footer, sizeof(footer), "\n%s\n", rule);
    return load_made(&made, &zone, error) ? zone : NULL;
}

static void rules_that_are_none_are_refused(void **state)
{
    static const char *const rules[] = {
        "A0",                       /* too short a name */
        "<+1>0",                    /* the same */
        "<ABC0",                    /* not ended */
        "UTC",                      /* no offset */
        "UTC25",                    /* above a day */
        "UTC0:60",                  /* above an hour */
        "UTC0:00:60",               /**/
        "UTC0:",                    /**/
        "UTC0x",                    /**/
        ":UTC0",                    /* the system decides */
        "CET-1CEST",                /* when? */
        "CET-1CEST,M3.5.0",         /* until when? */
        "CET-1CEST,M3.5.0,",        /**/
        "CET-1CEST,M0.5.0,M10.5.0", /* months, weeks and days out of range */
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,J0,M10.5.0",
        "CET-1CEST,J366,M10.5.0",
        "CET-1CEST,366,M10.5.0",
        "CET-1CEST,-1,M10.5.0",
        "CET-1CEST,0001,M10.5.0",
        "CET-1CEST,M3.5.0/168,M10.5.0",
        "CET-1CEST,M3.5.0/-168,M10.5.0",
        "CET-1CEST,M3.5.0/,M10.5.0",
        "CET-1CEST,M3.5.0,M10.5.0,M11.5.0",
        "CET-1CEST,M3.5.0,M10.5.0 ",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rules); i++) {
        struct error error = { 0 };

        if (ruled_zone(rules[i], '3', &error) != NULL || error.code != ERROR_CONFIG)
            fail_msg("%s", rules[i]);
    }
}

static void version_2_has_no_times_of_other_days(void **state)
{
    static const struct {
        const char *rule;
        bool is_good[2]; /* in version 2, in version 3 */
    } cases[] = {
        { "CET-1CEST,M3.5.0/0,M10.5.0/24", { true, true } },
        { "CET-1CEST,M3.5.0/25,M10.5.0", { false, true } },
        { "CET-1CEST,M3.5.0/-1,M10.5.0", { false, true } },
        { "CET-1CEST,M3.5.0/+1,M10.5.0", { false, true } },
        { "CET-1CEST,M3.5.0/167,M10.5.0/-167", { false, true } },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        for (uint8_t k = 0; k < 2; k++) {
            struct error error = { 0 };
            OWNED(time_zone_unref) struct time_zone *zone =
                ruled_zone(cases[i].rule, (uint8_t)('2' + k), &error);

            if ((zone != NULL) != cases[i].is_good[k])
                fail_msg("%s in version %d", cases[i].rule, 2 + k);
        }
    }
}

static void rules_say_when(void **state)
{
    static const struct {
        const char *rule;
        const char *change; /* to summer time */
        int32_t before_s;
        int32_t after_s;
    } cases[] = {
        { "AAA-1BBB,M3.5.0,M10.5.0/3", "2026-03-29T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,M2.1.0,M10.5.0/3", "2026-02-01T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,M2.4.6,M10.5.0/3", "2026-02-28T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,M2.5.6,M10.5.0/3", "2026-02-28T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,M3.5.0,M10.5.0/3", "2024-03-31T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,J60,M10.5.0/3", "2026-03-01T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,J60,M10.5.0/3", "2024-03-01T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,J59,M10.5.0/3", "2024-02-28T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,59,M10.5.0/3", "2026-03-01T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA-1BBB,59,M10.5.0/3", "2024-02-29T01:00:00Z", HOUR, 2 * HOUR },
        { "AAA5:30:15BBB4,M3.5.0/0:00:01,M10.5.0", "2026-03-29T05:30:16Z", -(5 * HOUR + 1815),
          -4 * HOUR },
        { "AAA-2BBB,M3.4.4/50,M10.4.4/50", "2026-03-28T00:00:00Z", 2 * HOUR, 3 * HOUR },
        { "AAA2BBB,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -2 * HOUR, -HOUR },
        { "AAA-1BBB0,M10.5.0,M3.5.0/1", "2026-10-25T01:00:00Z", HOUR, 0 },
        /* It starts in the year before, and a week later than its day. */
        { "AAA0BBB,0/-24,M10.5.0", "2025-12-31T00:00:00Z", 0, HOUR },
        { "AAA0BBB,365/167,M10.5.0", "2026-01-07T23:00:00Z", 0, HOUR },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        OWNED(time_zone_unref) struct time_zone *zone = ruled_zone(cases[i].rule, '3', &error);
        int64_t time_s = time_of(cases[i].change);

        if (zone == NULL || time_zone_offset_s(zone, time_s - 1) != cases[i].before_s ||
            time_zone_offset_s(zone, time_s) != cases[i].after_s ||
            time_zone_next_change_s(zone, time_s - 1) != time_s)
            fail_msg("%s at %s", cases[i].rule, cases[i].change);
    }
}

static void summer_can_last_all_year(void **state)
{
    static const char *const rules[] = { "EST5EDT,0/0,J365/25", "<-03>3<-02>,J1/0,J365/25" };

    (void)state;
    for (size_t i = 0; i < COUNT(rules); i++) {
        struct error error = { 0 };
        OWNED(time_zone_unref) struct time_zone *zone = ruled_zone(rules[i], '3', &error);

        assert_non_null(zone);
        for (int64_t time_s = time_of("2025-12-31"); time_s < time_of("2026-01-02"); time_s += 600)
            assert_int_equal(time_zone_offset_s(zone, time_s), i == 0 ? -4 * HOUR : -2 * HOUR);
        assert_int_equal(time_zone_next_change_s(zone, 0), INT64_MAX);
    }
}

static void rules_repeat_after_400_years_as_the_calendar_does(void **state)
{
    struct error error = { 0 };
    OWNED(time_zone_unref) struct time_zone *zone = ruled_zone("AAA-1BBB,M2.5.0,59/3", '3', &error);
    const int64_t cycle_s = (int64_t)146097 * 86400;

    (void)state;
    assert_non_null(zone);
    for (int64_t time_s = 0; time_s < cycle_s; time_s += (int64_t)8641 * 19999)
        for (int64_t cycle = -2; cycle <= 2; cycle++) {
            int64_t there_s = time_s + cycle * cycle_s;

            assert_int_equal(time_zone_offset_s(zone, there_s), time_zone_offset_s(zone, time_s));
            assert_int_equal(time_zone_next_change_s(zone, there_s) - there_s,
                             time_zone_next_change_s(zone, time_s) - time_s);
        }
}

static void without_memory_there_is_no_zone(void **state)
{
    size_t nth = 1;

    (void)state;
    for (; nth < 100; nth++) {
        OWNED(time_zone_unref) struct time_zone *zone = NULL;
        struct error error = { 0 };
        bool is_loaded;

        fail_memory_at(nth);
        is_loaded = time_zone_load(TIME_ZONE_FOLDER, STR("Europe/Berlin"), &zone, &error);
        fail_memory_at(0);
        if (is_loaded)
            break;
        assert_int_equal(error.code, ERROR_MEMORY);
        assert_null(zone);
    }
    assert_in_range(nth, 4, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_show_what_they_are_known_to_show),
        cmocka_unit_test(any_time_has_an_offset),
        cmocka_unit_test(the_next_change_is_the_very_second),
        cmocka_unit_test(a_zone_lives_as_long_as_somebody_holds_it),
        cmocka_unit_test(only_names_are_looked_up),
        cmocka_unit_test(a_name_has_64_bytes_at_most),
        cmocka_unit_test(the_zone_that_was_meant_is_found),
        cmocka_unit_test(a_hostile_file_is_refused),
        cmocka_unit_test(every_beginning_of_a_file_is_refused),
        cmocka_unit_test(a_file_has_64_kib_at_most),
        cmocka_unit_test(a_version_1_file_stays_as_it_ends),
        cmocka_unit_test(long_times_of_every_size_are_read),
        cmocka_unit_test(rules_that_are_none_are_refused),
        cmocka_unit_test(version_2_has_no_times_of_other_days),
        cmocka_unit_test(rules_say_when),
        cmocka_unit_test(summer_can_last_all_year),
        cmocka_unit_test(rules_repeat_after_400_years_as_the_calendar_does),
        cmocka_unit_test(without_memory_there_is_no_zone),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
