#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry_internal.h"
#include "ledger/entry_order.h"
#include "ledger/help.h"
#include "tests/test.h"

#define HEX_64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define ID "01JD0000000000000000000000"

/* One of each way to be read: with every form that a member can have. */
static const char *const entries[] = {
    "{\"broker\":\"a\",\"detail\":\"x\",\"time\":\"2026-11-22T10:00:00.123Z\",\"type\":\"broker."
    "started\"}",
    "{\"broker\":\"a\",\"credentials\":[{\"id\":\"x\"}],\"decision\":\"" ID
    "\",\"handle\":\"sha256:" HEX_64 "\",\"lease\":\"" ID
    "\",\"lease_expires\":\"2026-11-22T10:15:00Z\",\"policy\":\"sha256:" HEX_64
    "\",\"stage\":\"a:b\",\"time\":\"2026-11-22T10:00:00.123Z\",\"token\":{\"exp\":1763805900,"
    "\"holder\":\"00112233445566778899aabb\",\"iat\":1763805600,\"mark\":\"" HEX_64
    "\",\"proof\":{\"exp\":1763805900,\"mark\":\"" HEX_64 "\"}},\"type\":\"credential.issued\"}",
    "{\"actor\":{\"issuer\":\"people\"},\"broker\":\"a\",\"count\":3,\"detail\":\"entries\","
    "\"time\":"
    "\"2026-11-22T10:00:00.123Z\",\"type\":\"admin.read\"}",
};

static bool slow_check(struct str entry)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error error = { 0 };

    return entry_parse(entry, &parsed, &error) && entry_check(parsed, &error);
}

static void plain_entries_are_checked_without_building_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(entries); i++) {
        struct str time = { 0 };

        assert_true(slow_check(str_from(entries[i])));
        if (!entry_text_check(str_from(entries[i]), &time))
            fail_msg("not plain: %s", entries[i]);
        assert_true(str_eq(time, STR("2026-11-22T10:00:00.123Z")));
    }
}

/* 1 where the quick way takes it: then the other must, too. */
static size_t try_both(struct str entry)
{
    struct str time = { 0 };

    if (!entry_text_check(entry, &time))
        return 0;
    if (!slow_check(entry))
        fail_msg("taken: " STR_FMT, STR_ARG(entry));
    return 1;
}

/* An entry with one byte changed to each of a list, and cut out. */
static size_t try_changes(const char *entry, size_t at)
{
    static const char bytes[] = "\x00\x1f \"\\{}[]:,-0159afgzAZ~\x7f\x80\xff";
    size_t len = strlen(entry);
    size_t taken = 0;
    char text[1024];

    memcpy(text, entry, len);
    for (size_t k = 0; k + 1 < sizeof(bytes); k++) {
        text[at] = bytes[k];
        taken += try_both((struct str){ text, len });
    }
    memmove(text + at, entry + at + 1, len - at - 1);
    return taken + try_both((struct str){ text, len - 1 });
}

static void the_quick_way_takes_what_the_other_takes(void **state)
{
    size_t taken = 0;

    (void)state;
    for (size_t i = 0; i < COUNT(entries); i++) {
        for (size_t at = 0; at < strlen(entries[i]); at++)
            taken += try_changes(entries[i], at);
    }
    assert_true(taken > 1000); /* in texts, mostly */
}

static void every_member_has_a_form_for_texts(void **state)
{
    (void)state;
    assert_true(entry_member_count() <= 64);
    for (size_t i = 0; i < entry_member_count(); i++) {
        if (entry_member_form(i) == NULL)
            fail_msg("entries with %s are checked the slow way", entry_member_name(i));
    }
}

static bool check(struct entry_order *order, const char *time, const char *detail,
                  const char **cause)
{
    static struct error error;
    char text[256];
    int len = snprintf(text, sizeof(text),
                       "{\"broker\":\"a\",\"detail\":\"%s\",\"time\":\"%s\",\"type\":\"broker."
                       "started\"}",
                       detail, time);

    error = (struct error){ 0 };
    *cause = error.cause;
    return entry_order_check(order, (struct str){ text, (size_t)len }, &error);
}

/* Plain entries, and those that only the other way reads. */
static void times_may_stay_but_never_go_back(void **state)
{
    static const char *const details[] = { "x", "\\u00e9" };
    const char *cause = NULL;

    (void)state;
    for (size_t i = 0; i < COUNT(details); i++) {
        struct entry_order order = { 0 };

        assert_true(check(&order, "2026-11-22T10:00:00.000Z", details[i], &cause));
        assert_true(check(&order, "2026-11-22T10:00:00.000Z", details[i], &cause));
        assert_true(check(&order, "2026-11-22T10:00:00.001Z", details[i], &cause));
        assert_false(check(&order, "2026-11-22T10:00:00.000Z", details[i], &cause));
        assert_non_null(strstr(cause, "before that of the entry before"));
        assert_false(check(&order, "2026-13-22T10:00:00.000Z", details[i], &cause));
        assert_non_null(strstr(cause, "malformed"));
        assert_true(check(&order, "2026-11-22T10:00:00.001Z", details[i], &cause));
    }
}

static void what_is_no_entry_is_told_as_before(void **state)
{
    struct entry_order order = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_false(entry_order_check(&order, STR("nonsense"), &error));
    assert_int_equal(error.code, ERROR_INVALID);
    error = (struct error){ 0 };
    assert_false(entry_order_check(&order, STR("{\"type\":\"broker.started\"}"), &error));
    assert_non_null(strstr(error.cause, "is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_entries_are_checked_without_building_them),
        cmocka_unit_test(the_quick_way_takes_what_the_other_takes),
        cmocka_unit_test(every_member_has_a_form_for_texts),
        cmocka_unit_test(times_may_stay_but_never_go_back),
        cmocka_unit_test(what_is_no_entry_is_told_as_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
