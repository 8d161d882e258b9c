#include "tests/unit/identity/key_world.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "identity/profile.h"
#include "tests/test.h"
#include "upstream/upstream.h"

struct signer *key_a;
struct signer *key_b;
char *jwks_a;
char *jwks_b;

int key_world_set_up(void **state)
{
    (void)state;
    key_a = signer_new(SIGNER_ED25519);
    key_b = signer_new(SIGNER_ED25519);
    jwks_a = signer_jwks(key_a, "a");
    jwks_b = signer_jwks(key_b, "b");
    return 0;
}

int key_world_tear_down(void **state)
{
    (void)state;
    signer_free(key_a);
    signer_free(key_b);
    free(jwks_a);
    free(jwks_b);
    return 0;
}

struct issuer_options issuer_at(const char *name, const char *url)
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

struct identity *identity_of(const struct issuer_options *issuers, size_t count,
                             struct upstream *upstream, const struct identity *previous)
{
    const struct identity_options options = { .issuers = issuers, .issuer_count = count };
    struct identity *identity = NULL;
    struct error error = { 0 };

    if (!identity_new(&options, upstream, previous, &identity, &error))
        fail_msg("%s", error.cause);
    return identity;
}

void world_open(struct world *world)
{
    struct error error = { 0 };

    *world = (struct world){ .ci = ci_issuer_start(jwks_a) };
    assert_true(upstream_start(&world->upstream, &error));
    world->issuer = issuer_at("ci", ci_issuer_url(world->ci));
    world->identity = identity_of(&world->issuer, 1, world->upstream, NULL);
}

void world_restart(struct world *world)
{
    const struct identity_options options = {
        .issuers = &world->issuer,
        .issuer_count = 1,
        .keys_folder = world->folder,
    };
    struct error error = { 0 };

    identity_unref(world->identity);
    world->identity = NULL;
    if (!identity_new(&options, world->upstream, NULL, &world->identity, &error))
        fail_msg("%s", error.cause);
}

void world_close(struct world *world)
{
    upstream_stop(world->upstream);
    identity_unref(world->identity);
    ci_issuer_stop(world->ci);
}

char *token_of(const struct signer *signer, const char *header, const char *issuer)
{
    char payload[512];

    (void)snprintf(payload, sizeof(payload),
                   "{\"iss\":\"%s\",\"sub\":\"job\",\"aud\":\"%s\",\"iat\":%d,\"exp\":%d}", issuer,
                   AUDIENCE, NOW, NOW + 300);
    return signer_token(signer, header, payload);
}

static void wake(void *context)
{
    struct attempt *attempt = context;

    pthread_mutex_lock(&attempt->lock);
    attempt->wake_count++;
    pthread_cond_signal(&attempt->woken);
    pthread_mutex_unlock(&attempt->lock);
}

void attempt_open(struct attempt *attempt, char *take_token)
{
    *attempt = (struct attempt){ .token = take_token, .arena = arena_new(ARENA_REQUEST_MAX) };
    assert_non_null(attempt->arena);
    pthread_mutex_init(&attempt->lock, NULL);
    pthread_cond_init(&attempt->woken, NULL);
}

void attempt_close(struct attempt *attempt)
{
    pthread_mutex_destroy(&attempt->lock);
    pthread_cond_destroy(&attempt->woken);
    arena_free(attempt->arena);
    free(attempt->token);
}

enum progress enter(struct attempt *attempt, struct identity *identity)
{
    struct identity_input input = { .token = str_from(attempt->token), .now_s = NOW };

    attempt->entered++;
    return identity_verify(identity, &input, attempt->arena, (struct waker){ wake, attempt },
                           &attempt->state, &attempt->verified, &attempt->error);
}

bool is_woken(struct attempt *attempt, unsigned count)
{
    struct timespec deadline;
    bool is_in_time = true;

    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&attempt->lock);
    while (is_in_time && attempt->wake_count < count)
        is_in_time = pthread_cond_timedwait(&attempt->woken, &attempt->lock, &deadline) == 0;
    pthread_mutex_unlock(&attempt->lock);
    return is_in_time;
}

enum progress finish(struct attempt *attempt, struct identity *identity)
{
    enum progress progress = enter(attempt, identity);

    if (progress != PROGRESS_WAIT)
        return progress;
    assert_true(is_woken(attempt, 1));
    progress = enter(attempt, identity);
    assert_int_not_equal(progress, PROGRESS_WAIT);
    assert_int_equal(attempt->wake_count, 1);
    return progress;
}

enum error_code verify_counting(struct world *world, const struct signer *signer,
                                const char *header, unsigned *entered)
{
    struct attempt attempt;
    enum progress progress;
    enum error_code code;

    attempt_open(&attempt, token_of(signer, header, ci_issuer_url(world->ci)));
    progress = finish(&attempt, world->identity);
    code = attempt.error.code;
    *entered = attempt.entered;
    assert_int_equal(progress == PROGRESS_DONE, code == ERROR_NONE);
    attempt_close(&attempt);
    return code;
}

enum error_code verify(struct world *world, const struct signer *signer, const char *header)
{
    unsigned entered = 0;

    return verify_counting(world, signer, header, &entered);
}

enum error_code verify_a(struct world *world)
{
    return verify(world, key_a, HEADER_A);
}

void await(unsigned (*count)(struct ci_issuer *ci), struct ci_issuer *ci, unsigned expected)
{
    time_t deadline = time(NULL) + DEADLINE_S;

    while (count(ci) < expected && time(NULL) < deadline)
        (void)sched_yield();
    assert_int_equal(count(ci), expected);
}

void await_degraded(const struct identity *identity, bool expected)
{
    time_t deadline = time(NULL) + DEADLINE_S;

    while ((identity_degraded(identity) != NULL) != expected && time(NULL) < deadline)
        (void)sched_yield();
    assert_int_equal(identity_degraded(identity) != NULL, expected);
}
