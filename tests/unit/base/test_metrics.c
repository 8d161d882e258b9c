#include <pthread.h>
#include <string.h>

#include "base/metrics.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define PAGE_MAX ((size_t)64 * 1024)

static void a_metric_adds_and_sets(void **state)
{
    (void)state;
    metric_set(METRIC_LEASES_LIVE, 7);
    metric_add(METRIC_LEASES_LIVE, -2);
    assert_int_equal(metric_get(METRIC_LEASES_LIVE), 5);
    assert_int_equal(metric_get(METRIC_LEASES_RELEASED), 0);
}

static void *count_many_times(void *unused)
{
    (void)unused;
    for (size_t i = 0; i < 10000; i++)
        metric_add(METRIC_HTTP_REQUESTS, 1);
    return NULL;
}

static void no_count_is_lost_between_threads(void **state)
{
    pthread_t threads[4];

    (void)state;
    metric_set(METRIC_HTTP_REQUESTS, 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many_times, NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(metric_get(METRIC_HTTP_REQUESTS), 40000);
}

static void a_page_shows_values_with_their_labels(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };

    (void)state;
    metric_set(METRIC_EXCHANGES_ISSUED, 3);
    metric_set(METRIC_EXCHANGES_DENIED, 4);
    metric_set(METRIC_LEDGER_PUBLISHED_SIZE, 1042);
    buf_init(&page, PAGE_MAX);
    metrics_write(&page);
    assert_true(buf_is_ok(&page));
    assert_non_null(strstr(page.data, "\nstagepass_exchanges_total{outcome=\"issued\"} 3\n"));
    assert_non_null(strstr(page.data, "\nstagepass_exchanges_total{outcome=\"denied\"} 4\n"));
    assert_non_null(strstr(page.data, "# TYPE stagepass_ledger_published_size gauge\n"
                                      "stagepass_ledger_published_size 1042\n"));
}

static void a_stream_has_a_row_while_it_has_a_name(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };

    (void)state;
    buf_init(&page, PAGE_MAX);
    metrics_write(&page);
    assert_null(strstr(page.data, "{stream="));
    metric_stream_name(METRIC_STREAMS_MAX - 1, "siem");
    metric_stream_add(METRIC_STREAM_SENT, METRIC_STREAMS_MAX - 1, 3);
    metric_stream_set(METRIC_STREAM_BACKLOG, METRIC_STREAMS_MAX - 1, 9);
    buf_clear(&page);
    metrics_write(&page);
    assert_non_null(strstr(page.data, "\nstagepass_stream_entries_total{stream=\"siem\"} 3\n"));
    assert_non_null(strstr(page.data, "\nstagepass_stream_backlog_entries{stream=\"siem\"} 9\n"));
    metric_stream_name(METRIC_STREAMS_MAX - 1, NULL);
    assert_int_equal(metric_stream_get(METRIC_STREAM_SENT, METRIC_STREAMS_MAX - 1), 0);
    buf_clear(&page);
    metrics_write(&page);
    assert_null(strstr(page.data, "{stream="));
}

/* Which metric a sample line belongs to: its name, without a histogram's suffix. */
static struct str family_of(struct str line)
{
    static const struct str suffixes[] = { STR_INIT("_bucket"), STR_INIT("_sum"),
                                           STR_INIT("_count") };
    size_t end = str_find(line, '{');
    size_t space = str_find(line, ' ');
    struct str name = str_slice(line, 0, end < space ? end : space);

    for (size_t i = 0; i < COUNT(suffixes); i++) {
        if (str_ends_with(name, suffixes[i]))
            return str_slice(name, 0, name.len - suffixes[i].len);
    }
    return name;
}

/* Every family: HELP, TYPE, then all its samples in a row, as the format asks. */
static void every_family_is_announced_once_in_front_of_its_samples(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };
    struct str seen[METRIC_COUNT + METRIC_STREAM_COUNT + METRIC_TIMER_COUNT];
    struct str family = STR("");
    size_t seen_count = 0;
    struct str rest;
    struct str line;

    (void)state;
    buf_init(&page, PAGE_MAX);
    metrics_write(&page);
    rest = buf_str(&page);
    while (str_cut(rest, '\n', &line, &rest)) {
        if (str_starts_with(line, STR("# TYPE ")))
            continue;
        if (!str_starts_with(line, STR("# HELP "))) {
            assert_true(str_eq(family_of(line), family));
            continue;
        }
        (void)str_cut(str_slice(line, 7, line.len), ' ', &family, &line);
        assert_true(str_starts_with(family, STR("stagepass_")));
        assert_true(line.len > 0);
        for (size_t i = 0; i < seen_count; i++)
            assert_false(str_eq(seen[i], family));
        assert_true(seen_count < COUNT(seen));
        seen[seen_count++] = family;
    }
    assert_int_equal(rest.len, 0);
    assert_true(seen_count > METRIC_TIMER_COUNT);
}

static void every_metric_and_timer_is_on_the_page(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };
    size_t samples = 0;
    struct str rest;
    struct str line;

    (void)state;
    buf_init(&page, PAGE_MAX);
    metrics_write(&page);
    rest = buf_str(&page);
    while (str_cut(rest, '\n', &line, &rest)) {
        if (line.data[0] != '#' && str_find(line, '.') == line.len)
            samples += str_eq(family_of(line), str_slice(line, 0, family_of(line).len)) ? 1 : 0;
        assert_null(memchr(line.data, '\r', line.len));
    }
    assert_true(samples >= METRIC_COUNT + METRIC_TIMER_COUNT);
    assert_null(strstr(page.data, "(null)"));
}

static void a_duration_counts_in_its_bucket_and_all_above(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };

    (void)state;
    metric_time(METRIC_TIMER_MINT, 1000000);              /* the edge belongs to its bucket */
    metric_time(METRIC_TIMER_MINT, 1000001);              /* just past it */
    metric_time(METRIC_TIMER_MINT, INT64_C(60000000000)); /* past all */
    buf_init(&page, PAGE_MAX);
    metrics_write(&page);
    assert_non_null(strstr(page.data, "# TYPE stagepass_mint_seconds histogram\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_bucket{le=\"0.0005\"} 0\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_bucket{le=\"0.0025\"} 2\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_bucket{le=\"+Inf\"} 3\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_sum 60.002000001\n"));
    assert_non_null(strstr(page.data, "stagepass_mint_seconds_count 3\n"));
}

static void a_page_that_does_not_fit_is_marked(void **state)
{
    OWNED(buf_release) struct buf page = { 0 };

    (void)state;
    buf_init(&page, 100);
    metrics_write(&page);
    assert_false(buf_is_ok(&page));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_metric_adds_and_sets),
        cmocka_unit_test(no_count_is_lost_between_threads),
        cmocka_unit_test(a_page_shows_values_with_their_labels),
        cmocka_unit_test(a_stream_has_a_row_while_it_has_a_name),
        cmocka_unit_test(every_family_is_announced_once_in_front_of_its_samples),
        cmocka_unit_test(every_metric_and_timer_is_on_the_page),
        cmocka_unit_test(a_duration_counts_in_its_bucket_and_all_above),
        cmocka_unit_test(a_page_that_does_not_fit_is_marked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
