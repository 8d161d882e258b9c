#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/entry.h"
#include "ledger/query.h"
#include "tests/assert_str.h"

#define NOW_MS INT64_C(1795003200123) /* 2026-11-18T12:00:00.123Z */
#define DAY_MS INT64_C(86400000)

#define ISSUED                                                                                     \
    "{\"type\":\"credential.issued\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\","      \
    "\"decision\":\"D1\",\"lease\":\"L1\",\"issuer\":\"github\",\"subject\":\"repo:acme/"          \
    "payments\","                                                                                  \
    "\"token\":{\"kid\":\"k1\"},\"facts\":{\"address\":\"sd:AA\",\"jkt\":\"T1\"},"                 \
    "\"ci\":{\"run\":\"8123\",\"repository\":\"acme/payments\",\"repository_id\":4242,"            \
    "\"commit\":\"abcdefabcdefabcdefabcdefabcdefabcdefabcd\",\"actor\":\"sd:BB\"},"                \
    "\"claims\":{\"workflow\":\"Deploy To Paris\",\"deep\":[{\"er\":\"x\"}]},"                     \
    "\"pipeline\":\"acme/payments\",\"stage\":\"acme/payments:deploy\",\"tenant\":\"payments\","   \
    "\"owner\":\"payments@acme.example\",\"environment\":\"production\",\"policy\":\"sha256:p\","  \
    "\"credentials\":[{\"grant\":\"site\",\"target\":\"prod-aws\",\"id\":\"ASIA1\"},"              \
    "{\"grant\":\"images\",\"target\":\"hub\",\"id\":\"J2\"},{\"type\":\"stage_token\"}]}"

#define PRIVATE                                                                                    \
    "{\"ci.actor\":{\"salt\":\"Zalt\",\"value\":\"octocat\"},"                                     \
    "\"facts.address\":{\"salt\":\"Zalt\",\"value\":\"10.1.2.3\"}}"

#define ACTIVATED                                                                                  \
    "{\"type\":\"policy.activated\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\","       \
    "\"policy\":\"sha256:new\",\"previous\":\"sha256:old\","                                       \
    "\"source\":{\"repository\":\"acme/"                                                           \
    "policies\",\"commit\":\"defdefdefdefdefdefdefdefdefdefdefdefdefd\"},"                         \
    "\"exceptions\":[{\"from\":\"g\",\"pipeline\":\"acme/legacy\",\"stage\":\"s\"}],"              \
    "\"widened\":[{\"stage\":\"acme/web:deploy\",\"what\":[\"x\"]},{\"guardrail\":\"g\"}]}"

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    return json;
}

static bool add(struct ledger_query *query, const char *name, const char *value)
{
    struct error error = { 0 };

    if (query_add(query, str_from(name), str_from(value), NOW_MS, &error))
        return true;
    assert_int_equal(error.code, ERROR_REQUEST);
    return false;
}

/* What may not match does not: the quick look never loses an entry. */
static bool matches(const struct ledger_query *query, const char *text, const char *private_text)
{
    JSON_OWNED json_t *entry = parse(text);
    JSON_OWNED json_t *private_part = private_text ? parse(private_text) : NULL;
    bool does_match = query_matches(query, entry, private_part);

    assert_true(query_may_match(query, str_from(text), str_from(private_text)) || !does_match);
    return does_match;
}

static bool finds_in(const char *text, const char *private_text, const char *name,
                     const char *value)
{
    struct ledger_query query = { 0 };

    assert_true(add(&query, name, value));
    return matches(&query, text, private_text);
}

static bool finds(const char *name, const char *value)
{
    return finds_in(ISSUED, PRIVATE, name, value);
}

static void every_field_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < LEDGER_FIELD_COUNT; i++) {
        const struct ledger_field_row *row = query_field((enum ledger_field)i);
        enum ledger_field field = LEDGER_FIELD_COUNT;

        assert_true(row->name && row->where && row->help);
        assert_true(query_field_from(str_from(row->name), &field));
        assert_int_equal(field, i);
    }
    assert_false(query_field_from(STR("text"), &(enum ledger_field){ 0 }));
    assert_false(query_field_from(STR(""), &(enum ledger_field){ 0 }));
}

static void an_entry_is_found_by_each_of_its_values(void **state)
{
    static const char *const rows[][2] = {
        { "type", "credential.issued" },
        { "pipeline", "acme/payments" },
        { "stage", "acme/payments:deploy" },
        { "tenant", "payments" },
        { "owner", "payments@acme.example" },
        { "grant", "images" },
        { "target", "hub" },
        { "environment", "production" },
        { "issuer", "github" },
        { "subject", "repo:acme/payments" },
        { "repository", "acme/payments" },
        { "repository", "4242" },
        { "run", "8123" },
        { "commit", "abcdefabcdefabcdefabcdefabcdefabcdefabcd" },
        { "actor", "octocat" },
        { "address", "10.1.2.3" },
        { "address", "10.1.0.0/16" },
        { "decision", "D1" },
        { "lease", "L1" },
        { "credential", "J2" },
        { "policy", "sha256:p" },
        { "kid", "k1" },
        { "proof-key", "T1" },
        { "text", "to paris" },
        { "text", "OCTO" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!finds(rows[i][0], rows[i][1]))
            fail_msg("%s=%s is not found", rows[i][0], rows[i][1]);
}

static void a_token_that_was_revoked_alone_is_found_by_its_lease(void **state)
{
    static const char revoked[] =
        "{\"credentials\":[{\"id\":\"J1\",\"lease\":\"L1\"}],\"type\":\"credential.revoked\"}";

    (void)state;
    assert_true(finds_in(revoked, NULL, "lease", "L1"));
    assert_false(finds_in(revoked, NULL, "lease", "L2"));
}

static void a_value_of_another_field_or_a_part_of_one_is_not_found(void **state)
{
    static const char *const rows[][2] = {
        { "type", "credential" },
        { "pipeline", "acme/payment" },
        { "stage", "deploy" },
        { "target", "site" },
        { "grant", "hub" },
        { "tenant", "Payments" },
        { "actor", "Zalt" },
        { "address", "10.2.0.0/16" },
        { "address", "10.1.2.4" },
        { "run", "812" },
        { "commit", "8123" },
        { "text", "zalt" },
        { "text", "credential.denied" },
        { "pipeline", "10.0.0.0/8" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (finds(rows[i][0], rows[i][1]))
            fail_msg("%s=%s is found", rows[i][0], rows[i][1]);
}

static void a_person_is_found_only_with_the_private_part(void **state)
{
    (void)state;
    assert_true(finds_in(ISSUED, PRIVATE, "actor", "octocat"));
    assert_false(finds_in(ISSUED, NULL, "actor", "octocat"));
    assert_false(finds_in(ISSUED, "{}", "address", "10.1.2.3"));
    assert_false(finds_in(ISSUED, NULL, "text", "octocat"));
    assert_true(finds_in(ISSUED, NULL, "actor", "sd:BB")); /* what everybody sees */
}

static void a_policy_is_found_by_what_it_widens_and_where_it_came_from(void **state)
{
    static const char *const rows[][2] = {
        { "pipeline", "acme/web" },        { "stage", "acme/web:deploy" },
        { "pipeline", "acme/legacy" },     { "policy", "sha256:old" },
        { "repository", "acme/policies" }, { "commit", "defdefdefdefdefdefdefdefdefdefdefdefdefd" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_true(finds_in(ACTIVATED, NULL, rows[i][0], rows[i][1]));
    assert_false(finds_in(ACTIVATED, NULL, "pipeline", "g"));
}

static void values_of_a_field_are_alternatives_and_fields_are_not(void **state)
{
    JSON_OWNED json_t *entry = parse(ISSUED);
    struct ledger_query query = { 0 };
    (void)state;

    assert_true(query_is_open(&query));
    assert_true(query_matches(&query, entry, NULL));
    assert_true(add(&query, "target", "nowhere"));
    assert_false(query_is_open(&query));
    assert_false(query_matches(&query, entry, NULL));
    assert_true(add(&query, "target", "prod-aws"));
    assert_true(query_matches(&query, entry, NULL));
    assert_true(add(&query, "tenant", "orders"));
    assert_false(query_matches(&query, entry, NULL));
}

static void time_begins_with_since_and_ends_before_until(void **state)
{
    (void)state;
    assert_true(finds("since", "2026-11-22T10:00:00.123Z"));
    assert_false(finds("since", "2026-11-22T10:00:00.124Z"));
    assert_false(finds("until", "2026-11-22T10:00:00.123Z"));
    assert_true(finds("until", "2026-11-22T10:00:00.124Z"));
    assert_true(finds("since", "2026-11-22"));
    assert_false(finds_in("{\"time\":\"soon\"}", NULL, "since", "2026-11-22"));
}

static void a_duration_counts_back_from_now(void **state)
{
    int64_t time_ms = 0;
    (void)state;

    assert_true(query_time(STR("90d"), NOW_MS, &time_ms));
    assert_int_equal(time_ms, NOW_MS - 90 * DAY_MS);
    assert_true(query_time(STR("36600d"), NOW_MS, &time_ms));
    assert_true(time_ms > 0);
    assert_false(query_time(STR("36601d"), NOW_MS, &time_ms));
    assert_false(query_time(STR("-1d"), NOW_MS, &time_ms));
    assert_false(query_time(STR(""), NOW_MS, &time_ms));
}

static void what_is_no_query_is_refused(void **state)
{
    static const char *const rows[][2] = {
        { "color", "red" }, { "", "x" },      { "type", "" },      { "type", "a\nb" },
        { "type", "\xff" }, { "since", "x" }, { "until", "1d2h" }, { "since", "1970-01-01" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct ledger_query query = { 0 };

        if (add(&query, rows[i][0], rows[i][1]))
            fail_msg("%s=%s is taken", rows[i][0], rows[i][1]);
    }
}

static void limits_hold(void **state)
{
    static char long_value[QUERY_VALUE_MAX + 2];
    struct ledger_query query = { 0 };
    (void)state;

    for (size_t i = 0; i < QUERY_VALUES_MAX; i++)
        assert_true(add(&query, "run", "1"));
    assert_false(add(&query, "run", "1"));

    memset(long_value, 'a', QUERY_VALUE_MAX);
    assert_true(add(&query, "subject", long_value));
    long_value[QUERY_VALUE_MAX] = 'a';
    assert_false(add(&query, "subject", long_value));
    long_value[QUERY_TEXT_MAX + 1] = '\0';
    assert_false(add(&query, "text", long_value));
    long_value[QUERY_TEXT_MAX] = '\0';
    assert_true(add(&query, "text", long_value));
    assert_false(add(&query, "text", "again"));
}

static void an_abbreviated_commit_is_refused(void **state)
{
    struct ledger_query query = { 0 };
    (void)state;

    assert_false(add(&query, "commit", "abcdefa"));
    assert_false(add(&query, "commit", "abcdefabcdefabcdefabcdefabcdefabcdefabc"));
    assert_true(add(&query, "commit", "abcdefabcdefabcdefabcdefabcdefabcdefabcd"));
    assert_true(add(&query, "commit", "8123"));
    assert_true(add(&query, "run", "abcdefa"));
}

static void a_time_is_given_once_and_not_backwards(void **state)
{
    struct ledger_query query = { 0 };
    (void)state;

    assert_true(add(&query, "since", "2026-11-22"));
    assert_false(add(&query, "since", "2026-11-22"));
    assert_false(add(&query, "until", "2026-11-22"));
    query.until_ms = 0;
    assert_true(add(&query, "until", "2026-11-23"));
}

static bool collect(enum ledger_field field, struct str value, void *context)
{
    struct buf *text = context;

    buf_printf(text, "%s=" STR_FMT "\n", query_field(field)->name, STR_ARG(value));
    return field != LEDGER_FIELD_LEASE;
}

static void values_are_told_until_the_visitor_has_enough(void **state)
{
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *entry =
        parse("{\"type\":\"t\",\"stage\":\"p:s\",\"lease\":\"L\",\"reason\":\"r\"}");
    (void)state;

    buf_init(&text, 1024);
    assert_false(query_each_value(entry, NULL, collect, &text));
    assert_str(buf_str(&text), "type=t\npipeline=p\nstage=p:s\nlease=L\n");
}

static void a_quick_look_rules_most_entries_out(void **state)
{
    struct ledger_query query = { 0 };
    (void)state;

    assert_true(query_may_match(&query, STR(ISSUED), STR("")));
    assert_true(add(&query, "lease", "L2"));
    assert_false(query_may_match(&query, STR(ISSUED), STR(PRIVATE)));
    assert_true(add(&query, "lease", "L1"));
    assert_true(query_may_match(&query, STR(ISSUED), STR(PRIVATE)));
    assert_true(add(&query, "actor", "octocat"));
    assert_true(query_may_match(&query, STR(ISSUED), STR(PRIVATE)));
    assert_false(query_may_match(&query, STR(ISSUED), STR("")));
    assert_false(query_may_match(&query, STR(""), STR("")));
}

/* Of all lengths, wherever it stands, in either case. */
static void a_quick_look_finds_a_text_wherever_it_is(void **state)
{
    static const char letters[] = "abcDEFghiJKLmnoPQRstuVWXyz0123456789-_[]{}@`/.";
    struct ledger_query query = { 0 };
    char other[sizeof(letters)];

    (void)state;
    for (size_t i = 0; i < sizeof(letters); i++)
        other[i] = (char)(isalpha((unsigned char)letters[i]) ? letters[i] ^ 0x20 : letters[i]);
    for (size_t from = 0; from < sizeof(letters) - 1; from++) {
        for (size_t len = 1; from + len < sizeof(letters); len++) {
            query.text = (struct str){ other + from, len };
            assert_true(query_may_match(&query, STR(letters), STR("")));
            assert_true(query_may_match(&query, STR(""), STR(letters)));
            assert_false(query_may_match(&query, str_slice(STR(letters), 0, from + len - 1),
                                         str_slice(STR(letters), from + 1, SIZE_MAX)));
        }
    }
    query.text = STR("[");
    assert_false(query_may_match(&query, STR("{{{{{{{{{{{{{{{{{{{{"), STR("{")));
    query.text = STR("\xc3\x89");
    assert_true(query_may_match(&query, STR("{}"), STR("")));
}

static void a_text_is_found_in_what_is_a_text(void **state)
{
    (void)state;
    assert_true(finds_in("{\"owner\":\"Acme \\\"One\\\"\"}", NULL, "text", "ME \"one"));
    assert_true(finds_in("{\"owner\":\"\xc3\x89tage\"}", NULL, "text", "\xc3\x89TAGE"));
    assert_false(finds_in("{\"owner\":\"x\"}", NULL, "text", "owner"));
    assert_true(
        finds_in("{}", "{\"ci.actor\":{\"salt\":\"s\",\"value\":\"Octo\"}}", "text", "octo"));
    assert_false(finds_in("{}", "{\"ci.actor\":{\"salt\":\"s\",\"value\":\"Octo\"}}", "text", "s"));
}

static void a_quick_look_knows_several_forms_of_a_value(void **state)
{
    (void)state;
    assert_true(finds_in("{\"owner\":\"a\\\"b\"}", NULL, "owner", "a\"b"));
    assert_true(finds_in("{\"owner\":\"a\\\\b\"}", NULL, "owner", "a\\b"));
    assert_true(
        finds_in("{\"facts\":{\"address\":\"2001:db8::1\"}}", NULL, "address", "2001:DB8:0::1"));
    assert_true(finds_in("{\"ci\":{\"run\":17}}", NULL, "run", "17"));
}

/* Entries that a broker wrote can be anything JSON, seen from a copy that somebody altered. */
static void values_of_another_form_are_passed_over(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{\"type\":1,\"ci\":\"x\",\"credentials\":{\"grant\":[\"x\"]},\"facts\":[1,[2]],\"actor\":"
        "null}",
        "{\"credentials\":[null,1,\"x\",[],{\"grant\":{}}],\"widened\":[[{}]],\"token\":[]}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_false(finds_in(rows[i], "{\"ci.actor\":1}", "grant", "y"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_a_name_of_its_own),
        cmocka_unit_test(an_entry_is_found_by_each_of_its_values),
        cmocka_unit_test(a_token_that_was_revoked_alone_is_found_by_its_lease),
        cmocka_unit_test(a_value_of_another_field_or_a_part_of_one_is_not_found),
        cmocka_unit_test(a_person_is_found_only_with_the_private_part),
        cmocka_unit_test(a_policy_is_found_by_what_it_widens_and_where_it_came_from),
        cmocka_unit_test(values_of_a_field_are_alternatives_and_fields_are_not),
        cmocka_unit_test(time_begins_with_since_and_ends_before_until),
        cmocka_unit_test(a_duration_counts_back_from_now),
        cmocka_unit_test(what_is_no_query_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(an_abbreviated_commit_is_refused),
        cmocka_unit_test(a_time_is_given_once_and_not_backwards),
        cmocka_unit_test(values_are_told_until_the_visitor_has_enough),
        cmocka_unit_test(a_quick_look_rules_most_entries_out),
        cmocka_unit_test(a_quick_look_finds_a_text_wherever_it_is),
        cmocka_unit_test(a_text_is_found_in_what_is_a_text),
        cmocka_unit_test(a_quick_look_knows_several_forms_of_a_value),
        cmocka_unit_test(values_of_another_form_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
