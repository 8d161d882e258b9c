#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/answer.h"
#include "help.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define LEASE "01ARYZ6S41TSV4RRFFQ69G5FAV"
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="

/* A good answer, for tests to spoil. */
static json_t *good(void)
{
    static const char text[] =
        "{\"access_token\":\"a.b.c\",\"issued_token_type\":\"x\",\"token_type\":\"DPoP\","
        "\"expires_in\":900,\"scope\":\"site api\",\"lease\":{\"id\":\"" LEASE "\","
        "\"handle\":\"h-1\",\"stage\":\"acme/payments:deploy-prod\","
        "\"expires_at\":\"2026-11-22T10:15:00Z\"},\"credentials\":{"
        "\"site\":{\"type\":\"aws\",\"expires_at\":\"2026-11-22T10:15:00Z\",\"aws\":{"
        "\"access_key_id\":\"ASIA1\",\"secret_access_key\":\"s+/=\",\"session_token\":\"t\","
        "\"region\":\"eu-central-1\"}},"
        "\"api\":{\"type\":\"jwt\",\"expires_at\":\"2026-11-22T10:10:00Z\","
        "\"jwt\":{\"token\":\"d.e.f\"}},"
        "\"fleet\":{\"type\":\"ssh\",\"expires_at\":\"2026-11-22T10:10:00Z\","
        "\"ssh\":{\"certificate\":\"ssh-ed25519-cert-v01@openssh.com AAAA\"}},"
        "\"web\":{\"type\":\"x509\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"x509\":{"
        "\"certificate\":\"-----BEGIN\\nA\\n\",\"chain\":\"-----BEGIN\\nB\\n\"}},"
        "\"gcs\":{\"type\":\"gcp\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"gcp\":{"
        "\"access_token\":\"ya29.a\",\"service_account\":\"a@b\",\"project\":\"b\"}},"
        "\"arm\":{\"type\":\"azure\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"azure\":{"
        "\"access_token\":\"g.h.i\",\"client_id\":\"c\",\"tenant_id\":\"t\"}},"
        "\"k8s\":{\"type\":\"kubernetes\",\"expires_at\":\"2026-11-22T10:10:00Z\","
        "\"kubernetes\":{\"token\":\"j.k.l\",\"server\":\"https://10.0.0.1:6443\","
        "\"namespace\":\"payments\",\"ca\":\"-----BEGIN\\nD\\n\"}},"
        "\"kv\":{\"type\":\"vault\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"vault\":{"
        "\"token\":\"hvs.a\",\"address\":\"https://vault.acme.example\",\"namespace\":\"teams\"}},"
        "\"repo\":{\"type\":\"github\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"github\":{"
        "\"token\":\"ghs_a\",\"host\":\"github.com\"}},"
        "\"forge\":{\"type\":\"gitlab\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"gitlab\":{"
        "\"token\":\"gldt-a\",\"token_kind\":\"deploy\",\"username\":\"gitlab+deploy-token-1\","
        "\"host\":\"gitlab.com\",\"registry\":\"registry.gitlab.com\"}},"
        "\"db\":{\"type\":\"postgres\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"postgres\":{"
        "\"host\":\"db.acme.example\",\"port\":\"5432\",\"database\":\"orders\","
        "\"user\":\"stagepass_x\",\"password\":\"p-1\",\"sslmode\":\"verify-full\","
        "\"ca\":\"-----BEGIN\\nC\\n\"}},"
        "\"other\":{\"type\":\"new\",\"expires_at\":\"2026-11-22T10:10:00Z\",\"new\":{}}},"
        "\"ledger\":{\"index\":1042,\"leaf_hash\":\"" HASH "\"},\"new\":[1]}";
    struct error error = { 0 };
    json_t *json = NULL;

    assert_true(json_parse(STR(text), JSON_LIMITS_REQUEST, &json, &error));
    return json;
}

static bool read_json(json_t *take_json, struct answer *answer, struct error *error)
{
    struct str text = json_text(arena, take_json);

    json_decref(take_json);
    assert_non_null(text.data);
    return answer_read(text, arena, answer, error);
}

static bool read_renewal(json_t *take_json, struct answer *answer, struct error *error)
{
    struct str text = json_text(arena, take_json);

    json_decref(take_json);
    assert_non_null(text.data);
    return answer_read_renewal(text, arena, answer, error);
}

static void a_renewal_has_no_handle_and_a_first_answer_must(void **state)
{
    struct error error = { 0 };
    struct answer answer;
    json_t *json = good();

    (void)state;
    assert_int_equal(json_object_del(json_object_get(json, "lease"), "handle"), 0);
    assert_true(json_put(json, "refresh_token", json_string("spr_1")));
    assert_true(read_renewal(json_deep_copy(json), &answer, &error));
    assert_str(answer.refresh_token, "spr_1");
    assert_int_equal(answer.handle.len, 0);
    assert_false(read_json(json, &answer, &error));
    assert_int_equal(error.code, ERROR_SYNTAX);
}

static void a_refresh_token_is_bounded_printable_text(void **state)
{
    static char text[514];
    struct answer answer;

    (void)state;
    memset(text, 'a', 512);
    for (size_t i = 0; i < 2; i++) {
        struct error error = { 0 };
        json_t *json = good();

        assert_true(json_put(json, "refresh_token", json_string(text)));
        assert_int_equal(read_json(json, &answer, &error), i == 0);
        assert_int_equal(error.code, i == 0 ? ERROR_NONE : ERROR_LIMIT);
        text[512] = 'a';
    }
    for (size_t i = 0; i < 3; i++) {
        static const char *const wrong[] = { "a b", "a\nb", "" };
        struct error error = { 0 };
        json_t *json = good();

        assert_true(json_put(json, "refresh_token", json_string(wrong[i])));
        assert_false(read_json(json, &answer, &error));
    }
}

static void a_good_answer_is_read_whole(void **state)
{
    struct error error = { 0 };
    struct answer answer;

    (void)state;
    assert_true(read_json(good(), &answer, &error));
    assert_str(answer.access_token, "a.b.c");
    assert_str(answer.token_type, "DPoP");
    assert_str(answer.lease, LEASE);
    assert_str(answer.handle, "h-1");
    assert_str(answer.stage, "acme/payments:deploy-prod");
    assert_int_equal(answer.expires_s, 1795342500);
    assert_int_equal(answer.refresh_token.len, 0);
    assert_int_equal(answer.ledger_index, 1042);
    assert_int_equal(answer.leaf_hash[31], 1);
    assert_int_equal(answer.credential_count, 12);
}

static const struct credential *find(const struct answer *answer, const char *grant)
{
    for (size_t i = 0; i < answer->credential_count; i++)
        if (str_eq(answer->credentials[i].grant, str_from(grant)))
            return &answer->credentials[i];
    fail_msg("no credential '%s'", grant);
    return NULL;
}

static void credentials_are_read_by_their_type(void **state)
{
    struct error error = { 0 };
    struct answer answer;

    (void)state;
    assert_true(read_json(good(), &answer, &error));
    assert_int_equal(find(&answer, "site")->type, CREDENTIAL_AWS);
    assert_str(find(&answer, "site")->secret_access_key, "s+/=");
    assert_int_equal(find(&answer, "site")->account_id.len, 0);
    assert_int_equal(find(&answer, "site")->expires_s, 1795342500);
    assert_str(find(&answer, "api")->token, "d.e.f");
    assert_str(find(&answer, "fleet")->token, "ssh-ed25519-cert-v01@openssh.com AAAA");
    assert_int_equal(find(&answer, "web")->type, CREDENTIAL_X509);
    assert_str(find(&answer, "web")->certificate, "-----BEGIN\nA\n");
    assert_str(find(&answer, "web")->chain, "-----BEGIN\nB\n");
    assert_int_equal(find(&answer, "web")->root.len, 0);
    assert_int_equal(find(&answer, "db")->type, CREDENTIAL_POSTGRES);
    assert_str(find(&answer, "db")->host, "db.acme.example");
    assert_str(find(&answer, "db")->port, "5432");
    assert_str(find(&answer, "db")->database, "orders");
    assert_str(find(&answer, "db")->user, "stagepass_x");
    assert_str(find(&answer, "db")->password, "p-1");
    assert_str(find(&answer, "db")->sslmode, "verify-full");
    assert_str(find(&answer, "db")->ca, "-----BEGIN\nC\n");
    assert_int_equal(find(&answer, "db")->certificate.len, 0);
    assert_int_equal(find(&answer, "gcs")->type, CREDENTIAL_GCP);
    assert_str(find(&answer, "gcs")->token, "ya29.a");
    assert_str(find(&answer, "gcs")->service_account, "a@b");
    assert_str(find(&answer, "gcs")->project, "b");
    assert_int_equal(find(&answer, "arm")->type, CREDENTIAL_AZURE);
    assert_str(find(&answer, "arm")->token, "g.h.i");
    assert_str(find(&answer, "arm")->client_id, "c");
    assert_str(find(&answer, "arm")->tenant_id, "t");
    assert_int_equal(find(&answer, "k8s")->type, CREDENTIAL_KUBERNETES);
    assert_str(find(&answer, "k8s")->token, "j.k.l");
    assert_str(find(&answer, "k8s")->address, "https://10.0.0.1:6443");
    assert_str(find(&answer, "k8s")->space, "payments");
    assert_str(find(&answer, "k8s")->ca, "-----BEGIN\nD\n");
    assert_int_equal(find(&answer, "kv")->type, CREDENTIAL_VAULT);
    assert_str(find(&answer, "kv")->token, "hvs.a");
    assert_str(find(&answer, "kv")->address, "https://vault.acme.example");
    assert_str(find(&answer, "kv")->space, "teams");
    assert_int_equal(find(&answer, "repo")->type, CREDENTIAL_GITHUB);
    assert_str(find(&answer, "repo")->token, "ghs_a");
    assert_str(find(&answer, "repo")->host, "github.com");
    assert_int_equal(find(&answer, "forge")->type, CREDENTIAL_GITLAB);
    assert_str(find(&answer, "forge")->token, "gldt-a");
    assert_str(find(&answer, "forge")->token_kind, "deploy");
    assert_str(find(&answer, "forge")->user, "gitlab+deploy-token-1");
    assert_str(find(&answer, "forge")->host, "gitlab.com");
    assert_str(find(&answer, "forge")->registry, "registry.gitlab.com");
    assert_int_equal(find(&answer, "other")->type, CREDENTIAL_OTHER);
    assert_str(find(&answer, "other")->type_name, "new");
}

/* Replace or, with a NULL value, remove the member that `path` (names with '.' between) means. */
static json_t *spoiled(const char *path, const char *json_value)
{
    json_t *json = good();
    json_t *object = json;
    struct str rest = str_from(path);
    struct str name;

    while (str_cut(rest, '.', &name, &rest))
        object = json_object_getn(object, name.data, name.len);
    assert_non_null(object);
    if (json_value)
        assert_int_equal(json_object_setn_new(object, name.data, name.len,
                                              json_loads(json_value, JSON_DECODE_ANY, NULL)),
                         0);
    else
        assert_int_equal(json_object_deln(object, name.data, name.len), 0);
    return json;
}

static void hostile_answers_are_refused(void **state)
{
    static const struct {
        const char *path;
        const char *value; /* NULL: the member is missing */
    } cases[] = {
        { "access_token", NULL },
        { "access_token", "1" },
        { "access_token", "\"\"" },
        { "access_token", "\"a\\nGITHUB_ENV=x\"" },
        { "access_token", "\"a b\"" },
        { "access_token", "\"a\\u001b[2J\"" },
        { "access_token", "\"\\u202e\"" },
        { "token_type", NULL },
        { "token_type", "\"DPoP\\r\"" },
        { "lease", NULL },
        { "lease", "[]" },
        { "lease.id", NULL },
        { "lease.id", "\"../../admin\"" },
        { "lease.id", "\"01ARYZ6S41TSV4RRFFQ69G5FA?\"" },
        { "lease.handle", NULL },
        { "lease.handle", "\"a\\r\\nX-Header: b\"" },
        { "lease.stage", "\"a\\nb\"" },
        { "lease.expires_at", "null" },
        { "credentials", NULL },
        { "credentials", "[]" },
        { "credentials.site", "\"x\"" },
        { "credentials.site.type", NULL },
        { "credentials.site.type", "\"jwt\"" },
        { "credentials.site.expires_at", "\"tomorrow\"" },
        { "credentials.site.expires_at", "1795342500" },
        { "credentials.site.aws", NULL },
        { "credentials.site.aws.access_key_id", NULL },
        { "credentials.site.aws.secret_access_key", "\"a\\n[default]\"" },
        { "credentials.site.aws.session_token", "{}" },
        { "credentials.site.aws.region", "\"eu central\"" },
        { "credentials.api.jwt.token", "\"a\\nPATH=/tmp\"" },
        { "credentials.api.jwt.token", "[\"a\"]" },
        { "credentials.fleet.ssh.certificate", "\"ssh-ed25519 AAAA\\nssh-rsa BBBB\"" },
        { "credentials.web.x509", NULL },
        { "credentials.web.x509.certificate", "\"\"" },
        { "credentials.web.x509.certificate", "\"a\\tb\"" },
        { "credentials.web.x509.chain", "\"a\\rb\"" },
        { "credentials.web.x509.root", "7" },
        { "credentials.db.postgres.host", NULL },
        { "credentials.db.postgres.host", "\"a\\nuser=postgres\"" },
        { "credentials.db.postgres.database", "\"a b\"" },
        { "credentials.db.postgres.user", "\"a\\tb\"" },
        { "credentials.db.postgres.password", "\"a\\npassword=b\"" },
        { "credentials.db.postgres.sslmode", "\"\"" },
        { "credentials.db.postgres.ca", "\"a\\u001bb\"" },
        { "credentials.forge.gitlab.token_kind", NULL },
        { "credentials.forge.gitlab.username", NULL },
        { "credentials.forge.gitlab.username", "\"a\\npassword=b\"" },
        { "credentials.forge.gitlab.registry", "\"a b\"" },
        { "credentials.SITE", "{}" },
        { "credentials.a=b", "{}" },
        { "credentials.", "{}" },
        { "ledger", NULL },
        { "ledger.index", "-1" },
        { "ledger.index", "1.5" },
        { "ledger.index", "\"1\"" },
        { "ledger.leaf_hash", "\"AAAA\"" },
        { "ledger.leaf_hash", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAF=\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct answer answer;

        if (read_json(spoiled(cases[i].path, cases[i].value), &answer, &error))
            fail_msg("%s: %s was taken", cases[i].path, cases[i].value ? cases[i].value : "none");
        assert_int_equal(error.code, ERROR_SYNTAX);
    }
}

static void texts_that_are_no_answer_are_refused(void **state)
{
    static const char *const cases[] = {
        "", "null", "[]", "\"x\"", "{", "<html>", "{\"a\":1,\"a\":2}", "{} {}"
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct answer answer;

        assert_false(answer_read(str_from(cases[i]), arena, &answer, &error));
        assert_int_equal(answer.handle.len, 0);
    }
}

static void the_handle_survives_whatever_else_is_wrong(void **state)
{
    struct error error = { 0 };
    struct answer answer;

    (void)state;
    assert_false(read_json(spoiled("credentials.site.aws", "[]"), &answer, &error));
    assert_str(answer.handle, "h-1");
}

static void sixteen_credentials_are_taken_and_no_more(void **state)
{
    struct error error = { 0 };
    struct answer answer;
    json_t *json;

    (void)state;
    for (size_t more = 4; more <= 5; more++) {
        json = good();
        for (size_t i = 0; i < more; i++) {
            char name[8] = { 'g', (char)('a' + (char)i), '\0' };
            json_t *copy =
                json_deep_copy(json_object_get(json_object_get(json, "credentials"), "api"));

            assert_int_equal(json_object_set_new(json_object_get(json, "credentials"), name, copy),
                             0);
        }
        assert_int_equal(read_json(json, &answer, &error), more == 4);
    }
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_token_is_at_most_32_kib(void **state)
{
    static char text[32 * 1024 + 2];
    struct error error = { 0 };
    struct answer answer;
    json_t *json;

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    json = good();
    assert_int_equal(
        json_object_set_new(json, "access_token", json_stringn(text, sizeof(text) - 2)), 0);
    assert_true(read_json(json, &answer, &error));
    json = good();
    assert_int_equal(json_object_set_new(json, "access_token", json_string(text)), 0);
    assert_false(read_json(json, &answer, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void a_refusal_is_read_as_far_as_it_goes(void **state)
{
    struct refusal refusal;

    (void)state;
    refusal_read(403,
                 STR("{\"error\":\"access_denied\",\"error_description\":\"no\",\"decision_id\":"
                     "\"D\",\"failed\":[\"ref\",7,\"environment\"],\"owner\":\"o@x\",\"help\":1}"),
                 arena, &refusal);
    assert_int_equal(refusal.status, 403);
    assert_str(refusal.code, "access_denied");
    assert_str(refusal.decision, "D");
    assert_str(refusal.owner, "o@x");
    assert_int_equal(refusal.help.len, 0);
    assert_int_equal(refusal.failed_count, 2);
    assert_str(refusal.failed[1], "environment");
}

static void a_refusal_that_is_no_json_has_its_status(void **state)
{
    struct refusal refusal;

    (void)state;
    refusal_read(502, STR("<html>Bad Gateway</html>"), arena, &refusal);
    assert_int_equal(refusal.status, 502);
    assert_int_equal(refusal.code.len, 0);
}

static void a_refusal_names_at_most_so_many_grants(void **state)
{
    struct refusal refusal;

    (void)state;
    refusal_read(400,
                 STR("{\"error\":\"invalid_authorization_details\",\"grants_needing_keys\":[\"a\","
                     "\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\",\"k\",\"l\",\"m\","
                     "\"n\",\"o\",\"p\",\"q\"]}"),
                 arena, &refusal);
    assert_int_equal(refusal.grants_needing_keys_count, ANSWER_CREDENTIALS_MAX);
    assert_int_equal(refusal.grants_needing_csrs_count, 0);
    refusal_read(400, STR("{\"grants_needing_csrs\":[\"a\",1,\"b\"]}"), arena, &refusal);
    assert_int_equal(refusal.grants_needing_csrs_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_renewal_has_no_handle_and_a_first_answer_must),
        cmocka_unit_test(a_refresh_token_is_bounded_printable_text),
        cmocka_unit_test(a_good_answer_is_read_whole),
        cmocka_unit_test(credentials_are_read_by_their_type),
        cmocka_unit_test(hostile_answers_are_refused),
        cmocka_unit_test(texts_that_are_no_answer_are_refused),
        cmocka_unit_test(the_handle_survives_whatever_else_is_wrong),
        cmocka_unit_test(sixteen_credentials_are_taken_and_no_more),
        cmocka_unit_test(a_token_is_at_most_32_kib),
        cmocka_unit_test(a_refusal_is_read_as_far_as_it_goes),
        cmocka_unit_test(a_refusal_that_is_no_json_has_its_status),
        cmocka_unit_test(a_refusal_names_at_most_so_many_grants),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
