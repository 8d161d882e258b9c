#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "identity/dpop.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "tests/fail_memory.h"
#include "tests/test.h"
#include "tests/unit/identity/signer.h"

/* Each allocation of our own code fails once: the call does too, leaks nothing, and says why. */

#define NOW 1790000000
#define ISSUER "https://ci.example"
#define AUDIENCE "https://broker.example"
#define TRIES_MAX 1000

static struct signer *signer;
static char *jwks;
static char *token;
static char *proof;
static char jwks_path[64];

static char *make_proof(void)
{
    json_t *header = json_pack("{s:s,s:s,s:o}", "typ", "dpop+jwt", "alg", "ES256", "jwk",
                               signer_jwk(signer, NULL));
    char *text = json_dumps(header, 0);
    char *made = signer_token(signer, text,
                              "{\"jti\":\"a\",\"htm\":\"POST\",\"htu\":\"https://broker.example/\","
                              "\"iat\":1790000000}");

    json_decref(header);
    free(text);
    return made;
}

static int set_up(void **state)
{
    uint8_t digest[SHA256_LEN];
    int fd;

    (void)state;
    sha256(STR(""), digest); /* its context is made once a thread, or the program ends */
    signer = signer_new(SIGNER_EC_P256);
    jwks = signer_jwks(signer, "a");
    token = signer_token(signer, "{\"alg\":\"ES256\",\"kid\":\"a\"}",
                         "{\"iss\":\"" ISSUER "\",\"sub\":\"job\",\"aud\":\"" AUDIENCE
                         "\",\"iat\":1790000000,\"exp\":1790000300}");
    proof = make_proof();
    (void)snprintf(jwks_path, sizeof(jwks_path), "/tmp/stagepass-jwks-XXXXXX");
    fd = mkstemp(jwks_path);
    if (fd < 0 || write(fd, jwks, strlen(jwks)) != (ssize_t)strlen(jwks))
        return -1;
    return close(fd);
}

static int tear_down(void **state)
{
    (void)state;
    signer_free(signer);
    free(jwks);
    free(token);
    free(proof);
    return unlink(jwks_path);
}

static struct issuer_options issuer_of(const char *jwks_file)
{
    const struct profile *profile = profile_find(STR("generic"));

    return (struct issuer_options){
        .name = STR("ci"),
        .profile = profile,
        .url = STR(ISSUER),
        .audience = STR(AUDIENCE),
        .claims = profile->claims,
        .jwks_file = jwks_file,
    };
}

static bool try_new(struct error *error)
{
    const struct issuer_options issuer = issuer_of(jwks_path);
    const struct identity_options options = { .issuers = &issuer, .issuer_count = 1 };
    struct identity *identity = NULL;
    bool is_made = identity_new(&options, NULL, NULL, &identity, error);

    assert_true(is_made || identity == NULL);
    identity_unref(identity);
    return is_made;
}

static bool try_offline(struct error *error)
{
    const struct issuer_options issuer = issuer_of(NULL);
    const struct identity_input input = { .token = str_from(token), .now_s = NOW };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct verified_token verified = { 0 };

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "arena");
    return identity_verify_offline(&issuer, str_from(jwks), &input, 30, arena, &verified, error);
}

static bool try_proof(struct error *error)
{
    const struct dpop_options options = { .method = STR("POST"),
                                          .url = STR("https://broker.example/"),
                                          .now_s = NOW };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct dpop_proof checked = { 0 };

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "arena");
    return dpop_check(str_from(proof), &options, arena, &checked, error);
}

/* `refusal`: what a call may say instead of ERROR_MEMORY where a library below cannot tell. */
static void fail_each(bool (*try)(struct error *error), enum error_code refusal)
{
    for (size_t nth = 1; nth <= TRIES_MAX; nth++) {
        struct error error = { 0 };
        bool is_good;

        fail_memory_at(nth);
        is_good = try(&error);
        fail_memory_at(0);
        if (is_good) {
            assert_true(nth > 1);
            return;
        }
        if (error.code != ERROR_MEMORY && error.code != refusal)
            fail_msg("allocation %zu: code %d: %s", nth, error.code, error.cause);
    }
    fail_msg("no end after %d allocations", TRIES_MAX);
}

static void an_identity_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    fail_each(try_new, ERROR_CONFIG);
}

static void a_token_is_refused_where_memory_ends(void **state)
{
    (void)state;
    fail_each(try_offline, ERROR_MEMORY);
}

static void a_proof_is_refused_where_memory_ends(void **state)
{
    (void)state;
    fail_each(try_proof, ERROR_DPOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_identity_is_made_whole_or_not_at_all),
        cmocka_unit_test(a_token_is_refused_where_memory_ends),
        cmocka_unit_test(a_proof_is_refused_where_memory_ends),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
