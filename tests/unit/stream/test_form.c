#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "stream/batch.h"
#include "stream/http_post.h"
#include "stream/otlp_record.h"
#include "stream/syslog_message.h"
#include "stream/webhook_signature.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define TEXT_MAX ((size_t)64 * 1024)
#define DENIED                                                                                     \
    "{\"issuer\":\"github\",\"reason\":\"replay\",\"stage\":\"a:b\",\"time\":\"2026-11-22T10:00:"  \
    "00.123Z\",\"type\":\"exchange.denied\"}"

/* An item as batch_fill() makes it, of a text that outlives it. */
static struct stream_item item_of(uint64_t index, const char *entry, const char *private_part)
{
    struct stream_item item = {
        .index = index,
        .entry = str_from(entry),
        .private_part = str_from(private_part),
    };

    assert_true(stream_members_find(item.entry, item.members));
    item.severity = item_severity(item.members);
    return item;
}

static void a_line_has_the_entrys_own_bytes(void **state)
{
    struct stream_item item = item_of(UINT64_MAX, "{\"type\":\"a\", \"x\":1.50}", NULL);
    OWNED(buf_release) struct buf out = { 0 };

    (void)state;
    buf_init(&out, TEXT_MAX);
    item_write_json(&item, &out);
    assert_str(buf_str(&out),
               "{\"index\":18446744073709551615,\"entry\":{\"type\":\"a\", \"x\":1.50}}");
}

static void what_is_private_stands_beside_the_entry(void **state)
{
    struct stream_item item = item_of(0, "{}", "{\"a\":1}");
    OWNED(buf_release) struct buf out = { 0 };

    (void)state;
    buf_init(&out, TEXT_MAX);
    item_write_json(&item, &out);
    assert_str(buf_str(&out), "{\"index\":0,\"entry\":{},\"private\":{\"a\":1}}");
}

static void types_are_chosen_by_their_name_or_their_kind(void **state)
{
    static const struct str only[] = { STR_INIT("lease.*"), STR_INIT("exchange.denied") };
    const struct stream_options some = { .only = only, .only_count = COUNT(only) };
    const struct stream_options all = { 0 };

    (void)state;
    assert_true(batch_takes(&some, STR("lease.released")));
    assert_true(batch_takes(&some, STR("exchange.denied")));
    assert_false(batch_takes(&some, STR("exchange.denied.x")));
    assert_false(batch_takes(&some, STR("exchange.observed")));
    assert_false(batch_takes(&some, STR("leases")));
    assert_false(batch_takes(&some, STR("lease")));
    assert_false(batch_takes(&some, STR("")));
    assert_true(batch_takes(&all, STR("whatever")));
}

static void gravity_follows_the_type(void **state)
{
    static const struct {
        const char *entry;
        unsigned syslog;
        unsigned otlp;
    } rows[] = {
        { "{\"type\":\"credential.issued\"}", 6, 9 },
        { "{\"type\":\"credential.unknown\"}", 3, 17 },
        { "{\"type\":\"exchange.denied\",\"reason\":\"condition\"}", 4, 13 },
        { DENIED, 3, 17 },
        { "{\"type\":\"lease.renewed\"}", 6, 9 },
        { "{\"type\":\"renewal.failed\"}", 4, 13 },
        { "{\"type\":\"lease.revoked\",\"reason\":\"operator\"}", 5, 10 },
        { "{\"type\":\"lease.revoked\",\"reason\":\"refresh_reuse\"}", 3, 17 },
        { "{\"type\":\"policy.activated\"}", 5, 10 },
        { "{\"type\":\"of.a.later.version\"}", 5, 10 },
        { "{}", 5, 10 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct stream_item item = item_of(0, rows[i].entry, NULL);

        assert_int_equal(item.severity->syslog, rows[i].syslog);
        assert_int_equal(item.severity->otlp, rows[i].otlp);
    }
}

/* RFC 5424 6: PRI is facility * 8 + severity; authpriv and error. */
static void a_syslog_message_is_that_of_the_rfc(void **state)
{
    const struct syslog_origin origin = { .facility = 10, .host = "ci.example", .process = 7 };
    struct stream_item item = item_of(1042, DENIED, NULL);
    OWNED(buf_release) struct buf out = { 0 };

    (void)state;
    buf_init(&out, TEXT_MAX);
    syslog_write_message(&origin, &item, &out);
    assert_str(buf_str(&out),
               "<83>1 2026-11-22T10:00:00.123Z ci.example stagepass 7 "
               "exchange.denied [origin software=\"stagepass\" "
               "swVersion=\"" STAGEPASS_VERSION "\"] {\"index\":1042,\"entry\":" DENIED "}");
}

/* What jansson finds, found faster: every text of the entry's own, and of nothing within. */
static void members_are_those_that_a_parser_finds(void **state)
{
    static const char *const entries[] = {
        (DENIED),
        "{}",
        " { } ",
        "{\"type\":\"a\"}",
        "{\"claims\":{\"type\":\"no\",\"a\":[{\"time\":\"no\"}]},\"type\":\"yes\"}",
        "{\"a\":\"\\\"type\\\":\",\"stage\":\"a\\\\\",\"type\":\"}\"}",
        "{\"type\":5,\"time\":null,\"lease\":[\"x\"],\"code\":{\"code\":\"y\"},\"reason\":true}",
        "{ \"owner\" : \"a@b\" ,\n\t\"x\" : [ ] , \"stage\" : \"\" }",
        "{\"[\":\"]\",\"a\":[\"]\",\"}\",{\"{\":\"[\"}],\"tenant\":\"t\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(entries); i++) {
        struct str members[STREAM_MEMBER_COUNT];
        JSON_OWNED json_t *parsed = NULL;
        struct error error = { 0 };

        assert_true(json_parse_object(str_from(entries[i]), JSON_LIMITS_REQUEST, &parsed, &error));
        assert_true(stream_members_find(str_from(entries[i]), members));
        for (enum stream_member member = 0; member < STREAM_MEMBER_COUNT; member++) {
            struct str found = json_str(json_object_get(parsed, stream_member_name(member)));
            OWNED(buf_release) struct buf escaped = { 0 };

            buf_init(&escaped, TEXT_MAX);
            buf_add_json_text(&escaped, found);
            assert_true(str_eq(members[member], buf_str(&escaped)));
        }
    }
}

static void what_is_no_object_has_no_members(void **state)
{
    static const char *const texts[] = {
        "",           "[]",
        "\"a\"",      "{",
        "{\"a\"",     "{\"a\":",
        "{\"a\":1",   "{\"a\":\"b",
        "{\"a\":1,}", "{\"a\":1]}",
        "{\"a\":[1}", "{\"a\":]}",
        "{a:1}",      "{\"a\" 1}",
        "{\"a\\",     "{\"a\":{\"b\"",
        "{,}",        "{\"a\":[\"b]}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct str members[STREAM_MEMBER_COUNT];

        if (stream_members_find(str_from(texts[i]), members))
            fail_msg("%s", texts[i]);
    }
}

static void a_syslog_header_holds_what_it_may(void **state)
{
    struct syslog_origin origin = { .facility = 23, .host = "a b\n]\xc3\xa4", .process = 1 };
    struct stream_item item =
        item_of(1, "{\"type\":\"a type of more than thirty-two characters\"}", NULL);
    OWNED(buf_release) struct buf out = { 0 };

    (void)state;
    buf_init(&out, TEXT_MAX);
    syslog_write_message(&origin, &item, &out);
    assert_true(str_starts_with(
        buf_str(&out),
        STR("<189>1 - a?b?]?? stagepass 1 a?type?of?more?than?thirty-two?c [origin ")));
    buf_clear(&out);
    origin.host[0] = '\0';
    syslog_write_message(&origin, &item, &out);
    assert_true(str_starts_with(buf_str(&out), STR("<189>1 - - stagepass 1 ")));
}

static void a_frame_has_its_length_in_bytes(void **state)
{
    const struct syslog_origin origin = { .facility = 10, .host = "h", .process = 1 };
    struct stream_item item = item_of(1, "{\"type\":\"a\",\"x\":\"\xc3\xa4\"}", NULL);
    OWNED(buf_release) struct buf scratch = { 0 };
    OWNED(buf_release) struct buf out = { 0 };
    struct str rest;
    int64_t length = 0;

    (void)state;
    buf_init(&scratch, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    syslog_write_frame(&origin, &item, &scratch, &out);
    syslog_write_frame(&origin, &item, &scratch, &out);
    rest = buf_str(&out);
    for (int i = 0; i < 2; i++) {
        struct str number;

        assert_true(str_cut(rest, ' ', &number, &rest));
        assert_true(str_to_int64(number, &length));
        assert_true(rest.len >= (size_t)length);
        assert_str(str_slice(rest, 0, 4), "<85>");
        rest = str_slice(rest, (size_t)length, rest.len);
    }
    assert_int_equal(rest.len, 0);
}

static const json_t *attribute(const json_t *record, const char *name)
{
    const json_t *list = json_object_get(record, "attributes");

    for (size_t i = 0; i < json_array_size(list); i++)
        if (str_eq(json_str(json_object_get(json_array_get(list, i), "key")), str_from(name)))
            return json_object_get(json_array_get(list, i), "value");
    return NULL;
}

/* The names are those of logs.proto in lowerCamelCase, 64-bit numbers are strings. */
static void an_otlp_request_is_that_of_the_protocol(void **state)
{
    struct stream_item item = item_of(1042, DENIED, "{\"s\":\"\\\"\"}");
    OWNED(buf_release) struct buf out = { 0 };
    JSON_OWNED json_t *document = NULL;
    struct error error = { 0 };
    const json_t *logs;
    const json_t *scope;
    const json_t *record;

    (void)state;
    buf_init(&out, TEXT_MAX);
    otlp_write_head(STR("broker.example/\"log"), &out);
    otlp_write_record(&item, &out);
    buf_add(&out, otlp_tail);
    assert_true(json_parse_object(buf_str(&out), JSON_LIMITS_REQUEST, &document, &error));
    logs = json_array_get(json_object_get(document, "resourceLogs"), 0);
    assert_str(json_str(json_object_get(
                   attribute(json_object_get(logs, "resource"), "stagepass.ledger.origin"),
                   "stringValue")),
               "broker.example/\"log");
    scope = json_array_get(json_object_get(logs, "scopeLogs"), 0);
    assert_str(json_str(json_object_get(json_object_get(scope, "scope"), "name")),
               "stagepass.ledger");
    record = json_array_get(json_object_get(scope, "logRecords"), 0);
    assert_str(json_str(json_object_get(record, "timeUnixNano")), "1795341600123000000");
    assert_int_equal(json_str(json_object_get(record, "observedTimeUnixNano")).len, 19);
    assert_int_equal(json_integer_value(json_object_get(record, "severityNumber")), 17);
    assert_str(json_str(json_object_get(record, "severityText")), "ERROR");
    assert_str(json_str(json_object_get(record, "eventName")), "exchange.denied");
    assert_str(json_str(json_object_get(json_object_get(record, "body"), "stringValue")), DENIED);
    assert_str(json_str(json_object_get(attribute(record, "stagepass.index"), "intValue")), "1042");
    assert_str(json_str(json_object_get(attribute(record, "stagepass.stage"), "stringValue")),
               "a:b");
    assert_str(json_str(json_object_get(attribute(record, "stagepass.private"), "stringValue")),
               "{\"s\":\"\\\"\"}");
    assert_null(attribute(record, "stagepass.lease"));
}

static void what_an_otlp_receiver_dropped_is_counted(void **state)
{
    static const struct {
        const char *body;
        size_t count;
    } rows[] = {
        { "", 0 },
        { "{}", 0 },
        { "{\"partialSuccess\":{}}", 0 },
        { "{\"partialSuccess\":{\"errorMessage\":\"a warning\"}}", 0 },
        { "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\"}}", 3 },
        { "{\"partialSuccess\":{\"rejectedLogRecords\":4}}", 4 },
        { "{\"partialSuccess\":{\"rejectedLogRecords\":\"-1\"}}", 0 },
        { "{\"partialSuccess\":{\"rejectedLogRecords\":\"x\"}}", 0 },
        { "{\"partialSuccess\":{\"rejectedLogRecords\":[]}}", 0 },
        { "{\"partialSuccess\":7}", 0 },
        { "[1]", 0 },
        { "<html>", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(otlp_read_rejected(str_from(rows[i].body)), rows[i].count);
}

/* The example of the Standard Webhooks libraries. */
#define VECTOR_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define VECTOR_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"

static void a_webhook_is_signed_as_the_standard_says(void **state)
{
    char signature[WEBHOOK_SIGNATURE_MAX];
    struct error error = { 0 };

    (void)state;
    assert_true(webhook_sign(STR(VECTOR_SECRET "\n"), VECTOR_ID, 1614265330,
                             STR("{\"test\": 2432232314}"), signature, &error));
    assert_string_equal(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    /* the same key, as bytes that happen to be text */
    assert_true(webhook_sign(STR("0123456789abcdef01234567"), "a", 1, STR(""), signature, &error));
    assert_int_equal(strlen(signature), 3 + 44);
}

static void a_bad_secret_signs_nothing(void **state)
{
    static const char *const rows[] = {
        "",
        " \n",
        "0123456789abcdef0123456",               /* 23 bytes */
        "whsec_",                                /* none */
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", /* no base64 */
        "whsec_MTIzNDU2Nzg=",                    /* 8 bytes */
    };
    char signature[WEBHOOK_SIGNATURE_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error error = { 0 };

        assert_false(webhook_sign(str_from(rows[i]), "a", 1, STR("b"), signature, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
        assert_null(strstr(error.cause, "MTIz"));
    }
}

static void a_body_has_as_much_as_it_may_hold(void **state)
{
    static const struct http_form form = {
        .head = STR_INIT("["),
        .separator = STR_INIT(","),
        .tail = STR_INIT("]"),
        .write_item = item_write_json,
    };
    struct stream_item items[3];
    OWNED(buf_release) struct buf whole = { 0 };
    size_t len;

    (void)state;
    for (size_t i = 0; i < COUNT(items); i++)
        items[i] = item_of(i, "{}", NULL);
    buf_init(&whole, TEXT_MAX);
    assert_int_equal(http_form_write(&form, items, COUNT(items), TEXT_MAX, &whole), 3);
    assert_str(buf_str(&whole), "[{\"index\":0,\"entry\":{}},{\"index\":1,\"entry\":{}},"
                                "{\"index\":2,\"entry\":{}}]");
    len = whole.len;
    buf_clear(&whole);
    assert_int_equal(http_form_write(&form, items, COUNT(items), len, &whole), 3);
    buf_clear(&whole);
    assert_int_equal(http_form_write(&form, items, COUNT(items), len - 1, &whole), 2);
    assert_str(buf_str(&whole), "[{\"index\":0,\"entry\":{}},{\"index\":1,\"entry\":{}}]");
    buf_clear(&whole);
    assert_int_equal(http_form_write(&form, items, COUNT(items), 10, &whole), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_the_entrys_own_bytes),
        cmocka_unit_test(what_is_private_stands_beside_the_entry),
        cmocka_unit_test(types_are_chosen_by_their_name_or_their_kind),
        cmocka_unit_test(gravity_follows_the_type),
        cmocka_unit_test(a_syslog_message_is_that_of_the_rfc),
        cmocka_unit_test(members_are_those_that_a_parser_finds),
        cmocka_unit_test(what_is_no_object_has_no_members),
        cmocka_unit_test(a_syslog_header_holds_what_it_may),
        cmocka_unit_test(a_frame_has_its_length_in_bytes),
        cmocka_unit_test(an_otlp_request_is_that_of_the_protocol),
        cmocka_unit_test(what_an_otlp_receiver_dropped_is_counted),
        cmocka_unit_test(a_webhook_is_signed_as_the_standard_says),
        cmocka_unit_test(a_bad_secret_signs_nothing),
        cmocka_unit_test(a_body_has_as_much_as_it_may_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
