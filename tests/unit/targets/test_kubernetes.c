#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "remote.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* Its first member is the fixture that grants are checked with. */

static int set_up(void **state)
{
    static struct remote_fixture fixture;

    remote_init(&fixture);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    remote_release(*state);
    return 0;
}

#define GRANT "{ target: prod, namespace: payments, service_account: deployer"

static void a_grant_names_namespace_and_account(void **state)
{
    static const struct fixture_case cases[] = {
        { GRANT " }", NULL },
        { GRANT ", audience: vault }", NULL },
        { "{ namespace: \"preview-${pr}\", service_account: web.deployer }", NULL },
        { "{ namespace: \"p-${a}-${b}-x\", service_account: deployer }", NULL },
        { "{ service_account: deployer }", "'namespace' is missing here" },
        { "{ namespace: payments }", "'service_account' is missing here" },
        { "{ namespace: [payments], service_account: deployer }", "'namespace' must be text" },
        { "{ namespace: Payments, service_account: deployer }", "'Payments' holds a character" },
        { "{ namespace: pay.ments, service_account: deployer }", "holds a character" },
        { "{ namespace: \"pay*\", service_account: deployer }", "holds a character" },
        { "{ namespace: -payments, service_account: deployer }", "does not start or end with '-'" },
        { "{ namespace: payments-, service_account: deployer }", "does not start or end with '-'" },
        { "{ namespace: \"${pr}\", service_account: deployer }", "a hole in front" },
        { "{ namespace: \"${pr}-x\", service_account: deployer }", "a hole in front" },
        { "{ namespace: payments, service_account: \"\" }", "must not be empty" },
        { "{ namespace: payments, service_account: a..b }", "expected a service account's name" },
        { "{ namespace: payments, service_account: .a }", "expected a service account's name" },
        { "{ namespace: payments, service_account: a- }", "expected a service account's name" },
        { "{ namespace: payments, service_account: kube/a }", "holds a character" },
        { GRANT ", audience: [a, b] }", "'audience' must be text" },
        { GRANT ", audience: \"\" }", "must not be empty" },
    };

    fixture_check_all(*state, "kubernetes", cases, COUNT(cases));
}

static void names_are_as_long_as_the_api_lets_them_be(void **state)
{
    fixture_check_limit(*state, "kubernetes", "{ namespace: %s, service_account: a }", "a", 63);
    fixture_check_limit(*state, "kubernetes", "{ namespace: a, service_account: %s }", "a", 63);
    fixture_check_limit(*state, "kubernetes", "{ namespace: a, service_account: a.%s.b }",
                        "aaaaaaaaaaaaa.aaaaaaaaaaa", 10 - 1);
    fixture_check_limit(*state, "kubernetes", "{ namespace: a, service_account: a, audience: %s }",
                        "a", 1024);
}

#define API "api: \"https://10.0.0.1:6443\""

static void a_target_is_an_api_server_and_whoever_asks_it(void **state)
{
    struct fixture *fixture = *state;

    assert_null(fixture_configure(fixture, "kubernetes", "{ " API ", token_file: token }"));
    assert_null(fixture_configure(fixture, "kubernetes",
                                  "{ " API ", token_file: t, namespaces: [a, b-c], audience: x }"));
    assert_null(fixture_configure(fixture, "kubernetes", "{ " API " }"));
    assert_null(fixture_configure(fixture, "kubernetes",
                                  "{ " API ", login_audience: prod-k8s, algorithm: RS256 }"));
    assert_non_null(fixture_configure(fixture, "kubernetes", "{ token_file: token }"));
    assert_non_null(fixture_configure(fixture, "kubernetes", "{ " API ", algorithm: HS256 }"));
    assert_non_null(fixture_configure(fixture, "kubernetes", "{ " API ", login_audience: [a] }"));
    assert_non_null(
        fixture_configure(fixture, "kubernetes", "{ api: \"http://10.0.0.1\", token_file: t }"));
    assert_non_null(
        fixture_configure(fixture, "kubernetes", "{ api: \"https://a.example/\", token_file: t }"));
    assert_non_null(fixture_configure(fixture, "kubernetes", "{ api: [a], token_file: t }"));
    assert_non_null(
        fixture_configure(fixture, "kubernetes", "{ " API ", token_file: t, namespaces: [] }"));
    assert_non_null(
        fixture_configure(fixture, "kubernetes", "{ " API ", token_file: t, namespaces: [a-] }"));
    assert_non_null(
        fixture_configure(fixture, "kubernetes", "{ " API ", token_file: t, namespaces: [A] }"));
}

static void who_asks_by_a_file_shows_no_token_of_ours(void **state)
{
    static const char *const more[] = { "login_audience: a", "algorithm: ES256" };
    struct fixture *fixture = *state;
    char yaml[128];

    for (size_t i = 0; i < COUNT(more); i++) {
        const char *message;

        (void)snprintf(yaml, sizeof(yaml), "{ " API ", token_file: t, %s }", more[i]);
        message = fixture_configure(fixture, "kubernetes", yaml);
        assert_non_null(message);
        assert_non_null(strstr(message, "with 'token_file' there is no '"));
    }
}

static void a_login_audience_has_an_end(void **state)
{
    struct fixture *fixture = *state;
    char text[257];
    char yaml[400];

    for (int len = 255; len <= 256; len++) {
        memset(text, 'a', sizeof(text));
        text[len] = '\0';
        (void)snprintf(yaml, sizeof(yaml), "{ " API ", login_audience: %s }", text);
        assert_true((fixture_configure(fixture, "kubernetes", yaml) == NULL) == (len == 255));
    }
}

static void it_gives_the_account_in_its_namespace(void **state)
{
    struct policy_target target = { .name = STR("prod-k8s") };

    assert_string_equal(fixture_gives(*state, "kubernetes",
                                      "{ namespace: \"pr-${pr}\", service_account: web }", &target),
                        "pr-${pr}/web as system:serviceaccount:pr-${pr}:web@prod-k8s");
}

static void targets_of_one_api_are_one_cluster(void **state)
{
    struct fixture *fixture = *state;
    struct policy_target target = { .name = STR("prod-k8s") };

    assert_null(fixture_configure(fixture, "kubernetes",
                                  "{ api: \"https://k8s.example\", token_file: t }"));
    target.settings = fixture->target.settings;
    assert_string_equal(
        fixture_gives(fixture, "kubernetes", "{ namespace: a, service_account: b }", &target),
        "a/b as system:serviceaccount:a:b@https://k8s.example");
}

/* ---- minting ---- */

#define SECRET "stagepass-01jd0000000000000000000000-"
#define UID "9c1e0000-0000-4000-8000-000000000001"
#define SAYS(reason, words)                                                                        \
    "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"" reason "\",\"message\":\"" words   \
    "\"}"
#define STATUS(reason) SAYS(reason, "a")

static const char *more_settings = "";
static unsigned token_mode = 0600; /* of the file; 0: the broker shows tokens of its own */

static const char *token_setting(struct fixture *base)
{
    const char *path = arena_printf(base->arena, "%s/k8s-token", base->folder).data;

    if (token_mode == 0)
        return "";
    (void)unlink(path);
    assert_true(file_create(path, STR("broker.own.token\n"), token_mode, &base->error));
    return arena_printf(base->arena, ", token_file: \"%s\"", path).data;
}

static bool can_start(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    const char *token = token_setting(base);
    const char *message;
    char yaml[512];

    (void)snprintf(yaml, sizeof(yaml), "{ api: \"%s\", allow_http: true%s%s }", url, token,
                   more_settings);
    message = fixture_configure(base, "kubernetes", yaml);
    if (message)
        fail_msg("%s", message);
    base->error = (struct error){ 0 };
    return base->target.kind->start(&base->target, &base->tools, &base->error);
}

static void configure(struct remote_fixture *fixture, const char *url)
{
    if (!can_start(fixture, url))
        fail_msg("%s", fixture->base.error.cause);
}

/* As the broker does it: what is intended first. */
static const char *intend(struct remote_fixture *fixture)
{
    struct fixture *base = &fixture->base;

    fixture_again(base);
    base->mint.ttl_s = 600;
    fixture_fields(base, GRANT " }");
    if (!target_kind_find(STR("kubernetes"))->intend(&base->mint, &base->error))
        fail_msg("%s", base->error.cause);
    return json_string_value(json_object_get(base->mint.record, "id"));
}

static const char *made(struct remote_fixture *fixture, const char *name)
{
    return arena_printf(fixture->base.arena,
                        "{\"kind\":\"Secret\",\"metadata\":{\"name\":\"%s\",\"namespace\":"
                        "\"payments\",\"uid\":\"" UID "\"}}",
                        name)
        .data;
}

/* What a token says, and the answer about it. */
struct given {
    const char *sub;
    const char *aud; /* JSON */
    const char *uid;
    int64_t exp_s;  /* from now */
    int64_t told_s; /* likewise */
};

static const struct given good = { "system:serviceaccount:payments:deployer",
                                   "[\"https://kubernetes.default.svc\"]", UID, 600, 600 };

static const char *answer_of(struct remote_fixture *fixture, const char *secret,
                             const struct given *given)
{
    OWNED(buf_release) struct buf encoded = { 0 };
    struct arena *arena = fixture->base.arena;
    struct str claims = arena_printf(
        arena,
        "{\"sub\":\"%s\",\"aud\":%s,\"exp\":%lld,\"jti\":\"j-1\",\"kubernetes.io\":{"
        "\"secret\":{\"name\":\"%s\",\"uid\":\"%s\"}}}",
        given->sub, given->aud, (long long)(FIXTURE_NOW_S + given->exp_s), secret, given->uid);
    char end[TIME_TEXT_S_LEN + 1];

    buf_init(&encoded, 4096);
    buf_add_base64url(&encoded, claims);
    assert_true(buf_is_ok(&encoded));
    time_text_s(FIXTURE_NOW_S + given->told_s, end);
    return arena_printf(arena,
                        "{\"kind\":\"TokenRequest\",\"status\":{\"token\":\"e30." STR_FMT
                        ".c2ln\",\"expirationTimestamp\":\"%s\"}}",
                        STR_ARG(buf_str(&encoded)), end)
        .data;
}

static enum progress mint_from(struct remote_fixture *fixture, const struct peer_script *scripts,
                               size_t count)
{
    return remote_mint_from(fixture, configure, scripts, count);
}

static enum progress mint_given(struct remote_fixture *fixture, const struct given *given)
{
    const char *secret = intend(fixture);
    const struct peer_script scripts[] = {
        { 201, str_from(made(fixture, secret)), 0 },
        { 201, str_from(answer_of(fixture, secret, given)), 0 },
    };

    return mint_from(fixture, scripts, COUNT(scripts));
}

static void a_token_is_bound_to_a_secret_of_its_own(void **state)
{
    struct remote_fixture *fixture = *state;
    const struct mint *mint = &fixture->base.mint;

    if (mint_given(fixture, &good) != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_false(mint->may_exist);
    assert_int_equal(mint->expires_s, FIXTURE_NOW_S + 600);
    assert_str(fixture_text(mint->credential, "kubernetes", "namespace"), "payments");
    assert_true(
        str_starts_with(fixture_text(mint->credential, "kubernetes", "token"), STR("e30.")));
    assert_true(str_starts_with(fixture_text(mint->record, NULL, "id"), STR(SECRET)));
    assert_str(fixture_text(mint->record, NULL, "namespace"), "payments");
    assert_str(fixture_text(mint->record, NULL, "jti"), "j-1");
    assert_non_null(
        strstr(fixture->log.requests[0], "POST /api/v1/namespaces/payments/secrets HTTP/1.1\r\n"));
    assert_non_null(strstr(fixture->log.requests[0], "Authorization: Bearer broker.own.token\r\n"));
    assert_non_null(strstr(peer_body(&fixture->log, 0), "\"stagepass-lease\":\"01jd0000"));
    assert_non_null(
        strstr(fixture->log.requests[1],
               "POST /api/v1/namespaces/payments/serviceaccounts/deployer/token HTTP/1.1\r\n"));
    assert_non_null(strstr(peer_body(&fixture->log, 1), "\"uid\":\"" UID "\""));
    assert_non_null(
        strstr(peer_body(&fixture->log, 1), "\"audiences\":[\"https://kubernetes.default.svc\"]"));
    assert_non_null(strstr(peer_body(&fixture->log, 1), "\"expirationSeconds\":600"));
}

static void each_attempt_has_a_secret_of_its_own(void **state)
{
    struct remote_fixture *fixture = *state;
    const char *first = arena_copy(fixture->base.arena, str_from(intend(fixture))).data;

    assert_string_equal(first, intend(fixture));
    fixture->base.mint.attempt = STR("01JD0000000000000000000001");
    assert_string_not_equal(first, intend(fixture));
}

static void tokens_that_are_not_what_was_asked_for_are_not_released(void **state)
{
    struct given cases[] = { good, good, good, good, good, good, good, good };
    struct remote_fixture *fixture = *state;

    cases[0].sub = "system:serviceaccount:payments:default";
    cases[1].aud = "[\"https://kubernetes.default.svc\",\"vault\"]";
    cases[2].aud = "\"https://kubernetes.default.svc\"";
    cases[3].uid = "another";
    cases[4].exp_s = 661;
    cases[5].told_s = 661;
    cases[6].exp_s = cases[6].told_s = 0;
    cases[7].sub = "";
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (mint_given(fixture, &cases[i]) != PROGRESS_FAILED ||
            fixture->base.error.code != ERROR_MINT || !fixture->base.mint.may_exist)
            fail_msg("%zu: %s", i, fixture->base.error.cause);
        assert_null(fixture->base.mint.credential);
    }
    cases[0] = good;
    cases[0].told_s = 660;
    assert_int_equal(mint_given(fixture, &cases[0]), PROGRESS_DONE);
    assert_int_equal(fixture->base.mint.expires_s, FIXTURE_NOW_S + 660);
}

static void what_is_refused_leaves_a_secret_or_none(void **state)
{
    static const struct {
        int first; /* of the Secret; 201 is a good one */
        const char *first_body;
        int second;
        const char *second_body;
        enum error_code code;
        bool may_exist;
    } cases[] = {
        { 403, STATUS("Forbidden"), 0, "", ERROR_MINT, false },
        { 409, STATUS("AlreadyExists"), 0, "", ERROR_MINT, false },
        { 500, STATUS("InternalError"), 0, "", ERROR_MINT_UNKNOWN, true },
        { 0, "", 0, "", ERROR_MINT_UNKNOWN, true },
        { 200, "<html>", 0, "", ERROR_MINT_UNKNOWN, true },
        { 200, "{}", 0, "", ERROR_MINT_UNKNOWN, true },
        { 403, SAYS("Forbidden", "Bearer broker.own.token is no good"), 0, "", ERROR_MINT, false },
        { 403, SAYS("broker.own.token", "a"), 0, "", ERROR_MINT, false },
        { 201, NULL, 403, STATUS("Forbidden"), ERROR_MINT, true },
        { 201, NULL, 422, STATUS("Invalid"), ERROR_MINT, true },
        { 201, NULL, 201, STATUS("Forbidden"), ERROR_MINT_UNKNOWN, true },
        { 201, NULL, 201, "{\"kind\":\"TokenRequest\"}", ERROR_MINT, true },
        { 201, NULL, 0, "", ERROR_MINT_UNKNOWN, true },
        { 201,
          "{\"kind\":\"Secret\",\"metadata\":{\"name\":\"a\",\"namespace\":\"payments\","
          "\"uid\":\"b\"}}",
          0, "", ERROR_MINT, true },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *secret = intend(fixture);
        const char *body = cases[i].first_body ? cases[i].first_body : made(fixture, secret);
        const struct peer_script scripts[] = {
            { cases[i].first, str_from(body), 0 },
            { cases[i].second, str_from(cases[i].second_body), 0 },
        };
        enum progress progress = mint_from(fixture, scripts, cases[i].first_body ? 1 : 2);

        if (progress != PROGRESS_FAILED || fixture->base.error.code != cases[i].code ||
            fixture->base.mint.may_exist != cases[i].may_exist)
            fail_msg("%zu: %d %d %d %s", i, progress, fixture->base.error.code,
                     fixture->base.mint.may_exist, fixture->base.error.cause);
        assert_null(strstr(fixture->base.error.cause, "broker.own"));
    }
}

/* ---- ending and looking ---- */

static enum progress revoke_from(struct remote_fixture *fixture, const char *record, int status,
                                 const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };
    JSON_OWNED json_t *read = NULL;
    struct revocation revocation = { .now_s = FIXTURE_NOW_S };
    char url[64];
    struct peer *peer;
    enum progress progress;

    assert_true(
        json_parse_object(str_from(record), JSON_LIMITS_REQUEST, &read, &fixture->base.error));
    revocation.record = read;
    peer = peer_start(&script, 1, url);
    configure(fixture, url);
    progress = remote_revoke(fixture, &revocation);
    peer_stop(peer, &fixture->log);
    return progress;
}

#define RECORD "{\"id\":\"" SECRET "ab\",\"namespace\":\"payments\"}"

static void a_secret_is_removed(void **state)
{
    static const struct {
        int status;
        const char *body;
        bool is_done;
    } cases[] = {
        { 200, "{\"kind\":\"Status\",\"status\":\"Success\"}", true },
        { 200, "{\"kind\":\"Secret\"}", true },
        { 404, STATUS("NotFound"), true },
        { 404, "{}", false },
        { 404, "<html>", false },
        { 404, STATUS("Other"), false },
        { 202, "{\"kind\":\"Secret\"}", false },
        { 403, STATUS("Forbidden"), false },
        { 409, STATUS("Conflict"), false },
        { 503, STATUS("ServiceUnavailable"), false },
        { 0, "", false },
    };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        enum progress progress = revoke_from(fixture, RECORD, cases[i].status, cases[i].body);

        if (progress != (cases[i].is_done ? PROGRESS_DONE : PROGRESS_FAILED))
            fail_msg("%zu: %s", i, fixture->base.error.cause);
        if (!cases[i].is_done)
            assert_int_equal(fixture->base.error.code, ERROR_MINT);
    }
    assert_non_null(strstr(fixture->log.requests[0],
                           "DELETE /api/v1/namespaces/payments/secrets/" SECRET "ab HTTP/1.1\r\n"));
}

/* It has a finalizer: it is marked as removed, the answer is 200, its token good for a minute. */
static void a_secret_that_is_held_back_is_waited_for(void **state)
{
    static const struct {
        int64_t marked_s;
        bool is_done;
    } cases[] = { { 0, false }, { -60, false }, { -89, false }, { -90, true }, { 30, false } };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        char marked[TIME_TEXT_S_LEN + 1];
        struct str body;
        enum progress progress;

        time_text_s(FIXTURE_NOW_S + cases[i].marked_s, marked);
        body = arena_printf(fixture->base.arena,
                            "{\"kind\":\"Secret\",\"metadata\":{\"deletionTimestamp\":\"%s\"}}",
                            marked);
        assert_non_null(body.data);
        progress = revoke_from(fixture, RECORD, 200, body.data);
        if (progress != (cases[i].is_done ? PROGRESS_DONE : PROGRESS_FAILED))
            fail_msg("%zu: %s", i, fixture->base.error.cause);
    }
    assert_int_equal(
        revoke_from(fixture, RECORD, 200,
                    "{\"kind\":\"Secret\",\"metadata\":{\"deletionTimestamp\":\"soon\"}}"),
        PROGRESS_FAILED);
    assert_non_null(strstr(fixture->base.error.cause, "holds"));
}

static void nothing_else_is_removed(void **state)
{
    static const char *const records[] = {
        "{}",
        "{\"id\":\"" SECRET "ab\"}",
        "{\"id\":\"other\",\"namespace\":\"payments\"}",
        "{\"id\":\"stagepass-../b\",\"namespace\":\"payments\"}",
        "{\"id\":\"" SECRET "ab\",\"namespace\":\"a/b\"}",
        "{\"id\":\"" SECRET "ab\",\"namespace\":\"..\"}",
    };
    struct remote_fixture *fixture = *state;
    char url[64];

    for (size_t i = 0; i < COUNT(records); i++) {
        JSON_OWNED json_t *record = NULL;
        struct revocation revocation = { .now_s = FIXTURE_NOW_S };

        assert_true(json_parse_object(str_from(records[i]), JSON_LIMITS_REQUEST, &record,
                                      &fixture->base.error));
        revocation.record = record;
        peer_nobody(url);
        configure(fixture, url);
        assert_int_equal(remote_revoke(fixture, &revocation), PROGRESS_FAILED);
        assert_non_null(strstr(fixture->base.error.cause, "does not say which Secret"));
    }
}

static enum progress sweep_from(struct remote_fixture *fixture, struct sweep *sweep, int status,
                                const char *body)
{
    const struct peer_script script = { status, str_from(body), 0 };
    char url[64];
    struct peer *peer = peer_start(&script, 1, url);
    enum progress progress;

    more_settings = ", namespaces: [payments]";
    configure(fixture, url);
    more_settings = "";
    progress = remote_sweep(fixture, sweep);
    peer_stop(peer, &fixture->log);
    return progress;
}

static void drop_found(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->found_count; i++)
        json_decref(sweep->found[i].record);
}

static void secrets_of_ours_are_found(void **state)
{
    struct remote_fixture *fixture = *state;
    struct sweep sweep = { .now_s = FIXTURE_NOW_S };

    if (sweep_from(fixture, &sweep, 200,
                   "{\"items\":[{\"metadata\":{\"name\":\"" SECRET "ab\"}},{\"metadata\":{\"name\":"
                   "\"other\"}},{\"metadata\":{\"name\":\"stagepass-x\"}},{\"metadata\":{\"name\":"
                   "\"stagepass-uuuuuuuuuuuuuuuuuuuuuuuuuu-ab\"}},{}]}") != PROGRESS_DONE)
        fail_msg("%s", fixture->base.error.cause);
    assert_true(sweep.is_complete);
    assert_int_equal(sweep.found_count, 1);
    assert_str(sweep.found[0].lease, FIXTURE_LEASE);
    assert_str(fixture_text(sweep.found[0].record, NULL, "id"), SECRET "ab");
    assert_str(fixture_text(sweep.found[0].record, NULL, "namespace"), "payments");
    assert_non_null(
        strstr(fixture->log.requests[0], "GET /api/v1/namespaces/payments/secrets?limit="));
    assert_non_null(strstr(fixture->log.requests[0], "as=PartialObjectMetadataList"));
    drop_found(&sweep);
}

static void a_look_that_fails_or_sees_a_part_says_so(void **state)
{
    struct remote_fixture *fixture = *state;
    struct sweep sweep = { .now_s = FIXTURE_NOW_S };
    struct sweep none = { .now_s = FIXTURE_NOW_S };
    char url[64];

    assert_int_equal(
        sweep_from(fixture, &sweep, 200, "{\"metadata\":{\"continue\":\"c\"},\"items\":[]}"),
        PROGRESS_DONE);
    assert_false(sweep.is_complete);
    sweep = none;
    assert_int_equal(sweep_from(fixture, &sweep, 403, STATUS("Forbidden")), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
    sweep = none;
    assert_int_equal(sweep_from(fixture, &sweep, 200, "{}"), PROGRESS_FAILED);
    sweep = none;
    assert_int_equal(sweep_from(fixture, &sweep, 0, ""), PROGRESS_FAILED);
    peer_nobody(url);
    configure(fixture, url);
    sweep = none;
    assert_int_equal(remote_sweep(fixture, &sweep), PROGRESS_DONE);
    assert_false(sweep.is_complete);
}

/* ---- who asks ---- */

static void a_token_that_others_may_read_is_refused_at_the_start(void **state)
{
    static const unsigned modes[] = { 0644, 0604, 0620, 0660 };
    struct remote_fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(modes); i++) {
        token_mode = modes[i];
        assert_false(can_start(fixture, "http://127.0.0.1:1"));
        assert_int_equal(fixture->base.error.code, ERROR_MINT);
        assert_non_null(strstr(fixture->base.error.cause, "others may use it"));
        assert_null(strstr(fixture->base.error.cause, "broker.own"));
    }
    token_mode = 0600;
    assert_true(can_start(fixture, "http://127.0.0.1:1"));
}

static void a_token_that_others_may_read_meanwhile_is_not_shown(void **state)
{
    struct remote_fixture *fixture = *state;
    char url[64];

    (void)intend(fixture);
    peer_nobody(url);
    configure(fixture, url);
    assert_int_equal(
        chmod(arena_printf(fixture->base.arena, "%s/k8s-token", fixture->base.folder).data, 0644),
        0);
    assert_int_equal(remote_mint(fixture), PROGRESS_FAILED);
    assert_int_equal(fixture->base.error.code, ERROR_MINT);
    assert_non_null(strstr(fixture->base.error.cause, "others may use it"));
    assert_false(fixture->base.mint.may_exist);
}

/* What a request's token says; it is the broker, for the server. */
static const json_t *shown(struct remote_fixture *fixture, size_t request, const char *algorithm)
{
    static const char name[] = "Authorization: Bearer ";
    const char *line = strstr(fixture->log.requests[request], name);
    struct str token;
    struct str rest;
    const json_t *claims;

    assert_non_null(line);
    assert_true(str_cut(str_from(line + strlen(name)), '\r', &token, &rest));
    claims = remote_claims(fixture, arena_copy(fixture->base.arena, token).data, algorithm);
    assert_str(fixture_text(claims, NULL, "iss"), FIXTURE_ISSUER);
    assert_str(fixture_text(claims, NULL, "sub"), "stagepass::broker");
    return claims;
}

/* Each request of the mint says of which stage and lease it is. */
static void check_shown(struct remote_fixture *fixture, const char *audience, const char *algorithm)
{
    for (size_t request = 0; request < 2; request++) {
        const json_t *claims = shown(fixture, request, algorithm);

        assert_str(fixture_text(claims, NULL, "stage"), FIXTURE_STAGE);
        assert_str(fixture_text(claims, NULL, "lease"), FIXTURE_LEASE);
        assert_true(str_starts_with(fixture_text(claims, NULL, "aud"), str_from(audience)));
    }
}

static void a_cluster_that_trusts_the_broker_is_shown_its_own_tokens(void **state)
{
    static const struct {
        const char *settings;
        const char *audience; /* begins so */
        const char *algorithm;
    } cases[] = {
        { "", "http://127.0.0.1:", "ES256" },
        { ", login_audience: prod-k8s, algorithm: RS256", "prod-k8s", "RS256" },
    };
    struct remote_fixture *fixture = *state;

    token_mode = 0;
    for (size_t i = 0; i < COUNT(cases); i++) {
        more_settings = cases[i].settings;
        if (mint_given(fixture, &good) != PROGRESS_DONE)
            fail_msg("%s", fixture->base.error.cause);
        check_shown(fixture, cases[i].audience, cases[i].algorithm);
    }
    more_settings = "";
    token_mode = 0600;
}

static void what_was_made_is_ended_and_looked_for_in_the_same_way(void **state)
{
    struct remote_fixture *fixture = *state;
    struct sweep sweep = { .now_s = FIXTURE_NOW_S };

    token_mode = 0;
    assert_int_equal(revoke_from(fixture, RECORD, 200, "{\"kind\":\"Secret\"}"), PROGRESS_DONE);
    (void)shown(fixture, 0, "ES256");
    assert_int_equal(sweep_from(fixture, &sweep, 200, "{\"items\":[]}"), PROGRESS_DONE);
    assert_str(fixture_text(shown(fixture, 0, "ES256"), NULL, "stage"), "");
    token_mode = 0600;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_grant_names_namespace_and_account),
        TEST(names_are_as_long_as_the_api_lets_them_be),
        TEST(a_target_is_an_api_server_and_whoever_asks_it),
        TEST(who_asks_by_a_file_shows_no_token_of_ours),
        TEST(a_login_audience_has_an_end),
        TEST(it_gives_the_account_in_its_namespace),
        TEST(targets_of_one_api_are_one_cluster),
        TEST(a_token_is_bound_to_a_secret_of_its_own),
        TEST(each_attempt_has_a_secret_of_its_own),
        TEST(tokens_that_are_not_what_was_asked_for_are_not_released),
        TEST(what_is_refused_leaves_a_secret_or_none),
        TEST(a_secret_is_removed),
        TEST(a_secret_that_is_held_back_is_waited_for),
        TEST(nothing_else_is_removed),
        TEST(secrets_of_ours_are_found),
        TEST(a_look_that_fails_or_sees_a_part_says_so),
        TEST(a_token_that_others_may_read_is_refused_at_the_start),
        TEST(a_token_that_others_may_read_meanwhile_is_not_shown),
        TEST(a_cluster_that_trusts_the_broker_is_shown_its_own_tokens),
        TEST(what_was_made_is_ended_and_looked_for_in_the_same_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
