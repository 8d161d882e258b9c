#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* Configurations of issuers that are no configuration. */

#define NOW 1790000000
#define AUDIENCE "https://broker.example"

static struct signer *signer;

static int set_up(void **state)
{
    (void)state;
    signer = signer_new(SIGNER_ED25519);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(signer);
    return 0;
}

static void never_wake(void *context)
{
    (void)context;
    fail_msg("nothing waits here");
}

static struct issuer_options issuer_at(const char *name, const char *url)
{
    const struct profile *profile = profile_find(STR("generic"));

    return (struct issuer_options){
        .name = str_from(name),
        .profile = profile,
        .url = str_from(url),
        .audience = STR(AUDIENCE),
        .claims = profile->claims,
        .may_use_http = true,
    };
}

static const char *write_set(char path[64], const char *text)
{
    int fd;

    (void)snprintf(path, 64, "/tmp/stagepass-jwks-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    return path;
}

static void assert_refused(const struct issuer_options *issuers, size_t count, const char *why)
{
    const struct identity_options options = { .issuers = issuers, .issuer_count = count };
    struct identity *identity = NULL;
    struct error error = { 0 };

    if (identity_new(&options, NULL, NULL, &identity, &error))
        fail_msg("accepted: %s", why);
    assert_int_equal(error.code, ERROR_CONFIG);
    if (strstr(error.cause, why) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", why, error.cause);
}

static void a_set_in_a_file_that_is_none_is_refused(void **state)
{
    struct issuer_options issuer = issuer_at("ci", "https://ci.example");
    char path[64];

    (void)state;
    issuer.jwks_file = write_set(path, "{\"keys\":[]}");
    assert_refused(&issuer, 1, "jwks_file");
    assert_int_equal(unlink(path), 0);
    assert_refused(&issuer, 1, "jwks_file");
}

static void an_issuer_that_is_none_is_refused(void **state)
{
    struct issuer_options good = issuer_at("ci", "https://ci.example");
    struct issuer_options bad = good;
    struct issuer_options twice[2] = { good, good };

    (void)state;
    bad.url = STR("ci.example");
    assert_refused(&bad, 1, "url");
    bad.url = STR("https://ci.example/?a=b");
    assert_refused(&bad, 1, "query");
    bad.url = STR("http://ci.example");
    bad.may_use_http = false;
    assert_refused(&bad, 1, "http");
    bad = good;
    bad.audience = STR("");
    assert_refused(&bad, 1, "audience");
    assert_refused(twice, 2, "URL");
}

static void only_must_fit_the_issuer(void **state)
{
    static const struct {
        const char *profile;
        const char *only;
        const char *why;
    } rows[] = {
        { "generic", "{\"nothing\":\"x\"}", "does not have" },
        { "generic", "{\"exp\":\"x\"}", "type" },
        { "generic", "{\"sub\":\"\"}", "type" },
        { "generic", "{\"sub\":7}", "type" },
        { "github", "{}", "owner" },
        { "github", "{\"repository\":\"acme/payments\"}", "owner" },
        { "github", "{\"repository_owner\":\"acme\"}", "owner" },
        { "github", "{\"repository_owner_id\":\"\"}", "type" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct issuer_options issuer = issuer_at("ci", "https://ci.example");
        json_t *only = json_loads(rows[i].only, 0, NULL);

        issuer.profile = profile_find(str_from(rows[i].profile));
        issuer.claims = issuer.profile->claims;
        issuer.only = only;
        assert_refused(&issuer, 1, rows[i].why);
        json_decref(only);
    }
}

/* What a token of this issuer is refused for: nothing has keys here. */
static enum error_code code_for(struct identity *identity, const char *url)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct identity_input input;
    char payload[128];
    char *token;
    void *state = NULL;
    struct verified_token verified = { 0 };
    struct error error = { 0 };

    (void)snprintf(payload, sizeof(payload), "{\"iss\":\"%s\"}", url);
    token = signer_token(signer, "{\"alg\":\"EdDSA\",\"kid\":\"a\"}", payload);
    input = (struct identity_input){ .token = str_from(token), .now_s = NOW };
    assert_int_equal(identity_verify(identity, &input, arena, (struct waker){ never_wake, NULL },
                                     &state, &verified, &error),
                     PROGRESS_FAILED);
    free(token);
    return error.code;
}

static void a_thousand_issuers_are_told_apart_and_one_more_is_refused(void **state)
{
    static struct issuer_options issuers[IDENTITY_ISSUERS_MAX + 1];
    static char urls[IDENTITY_ISSUERS_MAX + 1][40];
    const struct identity_options options = { .issuers = issuers,
                                              .issuer_count = IDENTITY_ISSUERS_MAX };
    OWNED(identity_unref) struct identity *identity = NULL;
    struct error error = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(issuers); i++) {
        (void)snprintf(urls[i], sizeof(urls[i]), "https://ci.example/%zu", i);
        issuers[i] = issuer_at("ci", urls[i]);
    }
    assert_refused(issuers, COUNT(issuers), "more than");
    assert_true(identity_new(&options, NULL, NULL, &identity, &error));
    assert_int_equal(code_for(identity, "https://ci.example/0"), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(code_for(identity, "https://ci.example/999"), ERROR_KEYS_UNAVAILABLE);
    assert_int_equal(code_for(identity, "https://ci.example/1000"), ERROR_TOKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_in_a_file_that_is_none_is_refused),
        cmocka_unit_test(an_issuer_that_is_none_is_refused),
        cmocka_unit_test(only_must_fit_the_issuer),
        cmocka_unit_test(a_thousand_issuers_are_told_apart_and_one_more_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
