#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "config/config.h"
#include "identity/profile.h"
#include "tests/assert_str.h"
#include "tests/test.h"

#define FOLDER "../../data/config"
#define TEXT_MAX ((size_t)256 * 1024)

/* One file, and all that was said about it. */
struct run {
    struct arena *arena;
    struct diagnostics diagnostics;
    struct config *config;
    struct error error;
    bool is_good;
};

static void run_begin(struct run *run)
{
    memset(run, 0, sizeof(*run));
    run->arena = arena_new((size_t)16 * 1024 * 1024);
    assert_non_null(run->arena);
    diagnostics_init(&run->diagnostics, run->arena);
}

static void run_init(struct run *run, const char *path)
{
    run_begin(run);
    run->is_good = config_load(path, &run->diagnostics, &run->config, &run->error);
}

/* The same of a catalog alone. */
static void run_catalog(struct run *run, const char *path)
{
    run_begin(run);
    run->is_good = config_load_catalog(path, &run->diagnostics, &run->config, &run->error);
}

static void run_release(struct run *run)
{
    config_unref(run->config);
    arena_free(run->arena);
}

static struct str printed(struct run *run)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, TEXT_MAX);
    diagnostics_write(&run->diagnostics, &text);
    return arena_copy(run->arena, buf_str(&text));
}

/* With UPDATE_EXPECTED in the environment: read the difference before it is committed. */
static void write_expected(const char *path, struct str text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void expect_file(struct run *run, const char *yaml)
{
    struct str expected;
    struct str got = printed(run);
    struct str path = arena_printf(run->arena, "%.*s.expected", (int)(strlen(yaml) - 5), yaml);

    if (getenv("UPDATE_EXPECTED") != NULL) /* NOLINT(concurrency-mt-unsafe): one thread */
        write_expected(path.data, got);
    assert_true(file_read(run->arena, path.data, TEXT_MAX, &expected, &run->error));
    if (!str_eq(expected, got))
        fail_msg("%s: expected\n%s\ngot\n%s", yaml, expected.data, got.data);
}

/* Each `<case>.yaml` of a folder is refused in exactly the words of `<case>.expected`. */
static size_t refuse_all(const char *folder_name, void (*start)(struct run *run, const char *path))
{
    DIR *folder = opendir(folder_name);
    const struct dirent *entry;
    size_t count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) { /* NOLINT(concurrency-mt-unsafe): one thread */
        struct error ignored = { 0 };
        char path[512];
        struct run run;

        if (!str_ends_with(str_from(entry->d_name), STR(".yaml")))
            continue;
        (void)snprintf(path, sizeof(path), "%s/%s", folder_name, entry->d_name);
        start(&run, path);
        assert_false(run.is_good);
        assert_int_equal(run.error.code, ERROR_CONFIG);
        run.error = ignored;
        expect_file(&run, path);
        run_release(&run);
        count++;
    }
    closedir(folder);
    return count;
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    assert_true(refuse_all(FOLDER "/refused", run_init) >= 60);
    assert_true(refuse_all(FOLDER "/catalog-refused", run_catalog) >= 8);
}

static void a_whole_file_is_read(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_str(run.config->issuer, "https://broker.acme.example");
    assert_str(run.config->origin, "broker.acme.example/log");
    assert_int_equal(run.config->listen.port, 8443);
    assert_string_equal(run.config->listen.certificate_file, FOLDER "/good/tls.crt");
    assert_string_equal(run.config->store, "/var/lib/stagepass");
    assert_int_equal(run.config->limits.leeway_s, 30);
    assert_int_equal(run.config->keys.rotate_every_s, 30 * 24 * 3600);
    assert_int_equal(run.config->issuer_count, 2);
    assert_int_equal(run.config->target_count, 2);
    assert_false(run.config->is_policy_watched);
    assert_string_equal(run.config->shadow, FOLDER "/good/next");
    assert_string_equal(run.config->policies_folder, "/var/lib/stagepass/policies");
    run_release(&run);
}

static void the_ledgers_keys_and_witnesses_are_read(void **state)
{
    const struct config_ledger *ledger;
    struct run run;
    struct run other;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    run_init(&other, FOLDER "/good/least.yaml");
    assert_true(run.is_good && other.is_good);
    ledger = &run.config->ledger;
    assert_int_equal(ledger->key_count, 2);
    assert_str(ledger->keys[1], "ledger-2");
    assert_int_equal(ledger->witness_count, 1);
    assert_int_equal(ledger->quorum, 1);
    assert_int_equal(ledger->keep_s, 400 * 24 * 3600);
    assert_str(ledger->witnesses[0].name, "w1");
    assert_string_equal(ledger->witnesses[0].url, "https://witness.example.net/a");
    assert_str(ledger->witnesses[0].verifier.name, "witness.example.net/w1");
    assert_string_equal(ledger->witnesses[0].peer.ca_file, FOLDER "/good/witness.pem");
    assert_int_equal(ledger->witnesses[0].peer.network_count, 1);
    assert_str(other.config->ledger.keys[0], "ledger");
    assert_int_equal(other.config->ledger.key_count, 1);
    assert_int_equal(other.config->ledger.witness_count, 0);
    assert_true(config_is_same_ledger(ledger, ledger));
    assert_false(config_is_same_ledger(ledger, &other.config->ledger));
    run_release(&run);
    run_release(&other);
}

static void a_token_for_the_keys_is_read(void **state)
{
    struct run run;
    struct run alone;

    (void)state;
    run_init(&run, FOLDER "/good/token.yaml");
    run_init(&alone, FOLDER "/good/token-alone.yaml");
    if (!run.is_good || !alone.is_good)
        fail_msg("%s%s", printed(&run).data, printed(&alone).data);
    assert_string_equal(run.config->keys.token, "pkcs11:token=My%20Token?module-path=/usr/lib/m.so&"
                                                "pin-source=file:/run/pin");
    assert_int_equal(run.config->keys.file_count, 1);
    assert_str(run.config->keys.files[0], "ledger");
    assert_string_equal(run.config->keys.directory, FOLDER "/good/store/keys");
    assert_string_equal(alone.config->keys.token,
                        "pkcs11:token=t?module-path=/m.so&pin-source=/run/pin");
    assert_int_equal(alone.config->keys.file_count, 0);
    assert_string_equal(alone.config->keys.directory, FOLDER "/good/store/keys");
    run_release(&run);
    run_release(&alone);
}

static void people_are_read(void **state)
{
    const struct people_options *people;
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    assert_true(run.is_good);
    people = run.config->people;
    assert_str(people->issuer.name, "people");
    assert_str(people->issuer.audience, "stagepass");
    assert_str(people->issuer.other_audience, "stagepass-console");
    assert_str(people->console_client_id, "stagepass-console");
    assert_str(people->console_origins, "https://idp.acme.example https://login.acme.example "
                                        "https://sso.acme.example:8443");
    assert_str(people->scopes, "openid email groups");
    assert_int_equal(people->issuer.max_age_s, 8 * 3600);
    assert_int_equal(people->rule_count, 4);
    assert_int_equal(people->rules[0].role, PERSON_AUDITOR);
    assert_int_equal(people->rules[0].conditions[0].value_count, 2);
    assert_int_equal(people->rules[0].tenant_count, 0);
    assert_str(people->rules[2].tenants[1], "ledger");
    assert_int_equal(people->rules[2].condition_count, 1);
    assert_str(people->rules[3].conditions[0].claim, "/realm_access/roles");
    assert_int_equal(people->same_count, 3);
    assert_str(people->same[0].fact, "actor_id");
    assert_str(people->same[2].issuer, "old-ci");
    run_release(&run);
}

static void claims_of_the_configuration_join_the_profile_s(void **state)
{
    const struct issuer_options *issuer;
    const struct claim *claim;
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/whole.yaml");
    assert_true(run.is_good);
    issuer = &run.config->issuers[1];
    assert_str(issuer->name, "old-ci");
    claim = claim_find(&issuer->claims, STR("build_number"));
    assert_non_null(claim);
    assert_int_equal(claim->type, CLAIM_INTEGER);
    claim = claim_find(&issuer->claims, STR("project_id"));
    assert_non_null(claim);
    assert_true((claim->flags & CLAIM_ID) != 0);
    assert_int_equal(issuer->max_age_s, 600);
    run_release(&run);
}

static void streams_are_read(void **state)
{
    const struct stream_options *streams;
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/streams.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_int_equal(run.config->stream_count, STREAMS_MAX);
    assert_string_equal(run.config->streams_folder, FOLDER "/good/store/streams");
    streams = run.config->streams;
    assert_string_equal(streams[0].name, "archive");
    assert_int_equal(streams[0].kind, STREAM_FILE);
    assert_string_equal(streams[0].path, FOLDER "/good/entries.jsonl");
    assert_int_equal(streams[0].mode, 0640);
    assert_int_equal(streams[0].only_count, 0);
    assert_false(streams[0].with_private);
    assert_false(streams[0].is_from_now);
    assert_int_equal(streams[0].batch_entries, 500);
    assert_int_equal(streams[1].mode, 0600);
    assert_str(streams[1].only[0], "exchange.denied");
    assert_true(streams[1].with_private);
    assert_true(streams[1].is_from_now);
    assert_int_equal(streams[2].transport, STREAM_UNIX);
    assert_string_equal(streams[2].host, "/dev/log");
    assert_int_equal(streams[2].facility, 16);
    assert_int_equal(streams[2].only_count, 2);
    assert_int_equal(streams[3].transport, STREAM_TCP);
    assert_string_equal(streams[3].host, "::1");
    assert_string_equal(streams[3].port, "1514");
    assert_int_equal(streams[3].facility, 10);
    assert_string_equal(streams[4].port, "601");
    assert_int_equal(streams[5].transport, STREAM_TLS);
    assert_string_equal(streams[5].port, "6514");
    assert_string_equal(streams[5].peer.key_file, FOLDER "/good/k.pem");
    assert_int_equal(streams[5].peer.network_count, 1);
    assert_string_equal(streams[6].url, "https://hooks.acme.example/stagepass?a=b");
    assert_true(streams[6].is_array);
    assert_int_equal(streams[6].batch_entries, STREAM_BATCH_ENTRIES_MAX);
    assert_int_equal(streams[6].batch_bytes, STREAM_BATCH_BYTES_MAX);
    assert_int_equal(streams[6].timeout_ms, 60000);
    assert_string_equal(streams[6].secret_file, FOLDER "/good/hook.key");
    assert_int_equal(streams[7].kind, STREAM_OTLP);
    assert_true(streams[7].peer.may_use_http);
    assert_int_equal(streams[7].timeout_ms, 10000);
    run_release(&run);
}

static void defaults_are_those_of_the_documents(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/least.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_str(run.config->listen.address, "127.0.0.1");
    assert_int_equal(run.config->listen.port, 8443);
    assert_int_equal(run.config->admin.port, 9464);
    assert_int_equal(run.config->limits.default_ttl_s, 900);
    assert_int_equal(run.config->keys.issuer_algorithm, KEY_ES256);
    assert_string_equal(run.config->keys.directory, FOLDER "/good/store/keys");
    assert_str(run.config->broker, "a");
    assert_true(run.config->is_policy_watched);
    assert_null(run.config->shadow);
    run_release(&run);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/nothing.yaml");
    assert_false(run.is_good);
    assert_int_equal(run.error.code, ERROR_IO);
    assert_non_null(strstr(run.error.cause, "nothing.yaml"));
    run_release(&run);
}

static const struct target *find_target(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->config->target_count; i++)
        if (str_eq(run->config->targets[i].name, str_from(name)))
            return &run->config->targets[i];
    fail_msg("no target %s", name);
    return NULL;
}

static void a_catalog_joins_what_is_the_brokers_own(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/with-catalog.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_false(run.config->is_catalog);
    assert_false(run.config->world.is_catalog);
    assert_string_equal(run.config->catalog_file, FOLDER "/good/../catalogs/payments.yaml");
    assert_int_equal(run.config->issuer_count, 2);
    assert_int_equal(run.config->target_count, 3);
    assert_str(find_target(&run, "fleet")->environment, "production");
    assert_false(find_target(&run, "fleet")->is_catalog);
    assert_int_equal(run.config->limits.default_ttl_s, 600);
    assert_int_equal(run.config->limits.leeway_s, 10);
    assert_str(run.config->people->issuer.url, "https://idp.acme.example");
    assert_int_equal(run.config->people->rule_count, 1);
    run_release(&run);
}

/* A path is relative to the file that it stands in. */
static void paths_of_a_catalog_start_at_the_catalog(void **state)
{
    struct run run;

    (void)state;
    run_init(&run, FOLDER "/good/with-catalog.yaml");
    assert_true(run.is_good);
    assert_string_equal(run.config->policy_directory, FOLDER "/good/../catalogs/rules");
    assert_string_equal(run.config->store, FOLDER "/good/store");
    for (size_t i = 0; i < run.config->issuer_count; i++)
        if (str_eq(run.config->issuers[i].name, STR("old-ci")))
            assert_string_equal(run.config->issuers[i].ca_file, FOLDER "/good/ci.pem");
    run_release(&run);
}

static void a_catalog_alone_is_a_world_without_a_broker(void **state)
{
    struct run run;

    (void)state;
    run_catalog(&run, FOLDER "/catalogs/payments.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_true(run.config->world.is_catalog);
    assert_int_equal(run.config->world.issuer_count, 2);
    assert_int_equal(run.config->world.target_count, 2);
    assert_non_null(run.config->world.people);
    assert_int_equal(run.config->world.default_ttl_s, 600);
    assert_string_equal(run.config->policy_directory, FOLDER "/catalogs/rules");
    assert_null(run.config->store);
    run_release(&run);
}

static void policies_stand_beside_a_catalog_that_does_not_say_where(void **state)
{
    struct run run;

    (void)state;
    run_catalog(&run, FOLDER "/good/catalog.yaml");
    if (!run.is_good)
        fail_msg("%s", printed(&run).data);
    assert_string_equal(run.config->policy_directory, FOLDER "/good/policies");
    assert_null(run.config->world.people);
    run_release(&run);
}

static void a_catalog_that_is_not_there_is_named(void **state)
{
    struct run run;

    (void)state;
    run_catalog(&run, FOLDER "/nothing.yaml");
    assert_false(run.is_good);
    assert_int_equal(run.error.code, ERROR_IO);
    assert_non_null(strstr(run.error.cause, "nothing.yaml"));
    run_release(&run);
}

/* A broker.yaml and its catalog in a folder of their own. */
struct pair {
    char folder[64];
    char broker[96];
    char catalog[96];
};

static void write_file(const char *path, const char *text)
{
    struct error error = { 0 };

    assert_true(file_replace(path, str_from(text), 0644, &error));
}

static void pair_init(struct pair *pair)
{
    (void)snprintf(pair->folder, sizeof(pair->folder), "/tmp/stagepass-catalog-XXXXXX");
    assert_non_null(mkdtemp(pair->folder));
    (void)snprintf(pair->broker, sizeof(pair->broker), "%s/broker.yaml", pair->folder);
    (void)snprintf(pair->catalog, sizeof(pair->catalog), "%s/c.yaml", pair->folder);
    write_file(pair->broker, "issuer: https://b.example\nlisten: { address: 127.0.0.1 }\nstore: s\n"
                             "policy: { directory: p }\ncatalog: c.yaml\n");
    write_file(pair->catalog, "issuers: { a: { profile: generic, url: https://a.example,"
                              " audience: x, ids: [sub] } }\n");
}

static void pair_release(const struct pair *pair)
{
    (void)unlink(pair->broker);
    (void)unlink(pair->catalog);
    (void)rmdir(pair->folder);
}

/* Who may write to it could let in an issuer of their own. */
static void a_catalog_that_others_may_write_to_is_refused(void **state)
{
    struct pair pair;
    struct run run;

    (void)state;
    pair_init(&pair);
    run_init(&run, pair.broker);
    assert_true(run.is_good);
    run_release(&run);

    assert_int_equal(chmod(pair.catalog, 0646), 0);
    run_init(&run, pair.broker);
    assert_false(run.is_good);
    assert_non_null(strstr(printed(&run).data, "others may write to the catalog (chmod o-w)"));
    run_release(&run);
    run_catalog(&run, pair.catalog);
    assert_false(run.is_good);
    run_release(&run);

    assert_int_equal(chmod(pair.catalog, 0644), 0);
    assert_int_equal(chmod(pair.folder, 0757), 0);
    run_init(&run, pair.broker);
    assert_false(run.is_good);
    assert_non_null(strstr(printed(&run).data, "others may write to the catalog's folder"));
    run_release(&run);
    pair_release(&pair);
}

/* A reload takes over what was loaded with the same configuration: the catalog is a part of it. */
static void another_catalog_is_another_configuration(void **state)
{
    uint8_t first[SHA256_LEN];
    struct pair pair;
    struct run run;

    (void)state;
    pair_init(&pair);
    run_init(&run, pair.broker);
    assert_true(run.is_good);
    memcpy(first, run.config->sha256, sizeof(first));
    run_release(&run);

    run_init(&run, pair.broker);
    assert_memory_equal(run.config->sha256, first, sizeof(first));
    run_release(&run);

    write_file(pair.catalog, "issuers: { a: { profile: generic, url: https://a.example,"
                             " audience: y, ids: [sub] } }\n");
    run_init(&run, pair.broker);
    assert_true(run.is_good);
    assert_memory_not_equal(run.config->sha256, first, sizeof(first));
    run_release(&run);
    pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(a_whole_file_is_read),
        cmocka_unit_test(the_ledgers_keys_and_witnesses_are_read),
        cmocka_unit_test(a_token_for_the_keys_is_read),
        cmocka_unit_test(people_are_read),
        cmocka_unit_test(claims_of_the_configuration_join_the_profile_s),
        cmocka_unit_test(streams_are_read),
        cmocka_unit_test(defaults_are_those_of_the_documents),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
        cmocka_unit_test(a_catalog_joins_what_is_the_brokers_own),
        cmocka_unit_test(paths_of_a_catalog_start_at_the_catalog),
        cmocka_unit_test(a_catalog_alone_is_a_world_without_a_broker),
        cmocka_unit_test(policies_stand_beside_a_catalog_that_does_not_say_where),
        cmocka_unit_test(a_catalog_that_is_not_there_is_named),
        cmocka_unit_test(a_catalog_that_others_may_write_to_is_refused),
        cmocka_unit_test(another_catalog_is_another_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
