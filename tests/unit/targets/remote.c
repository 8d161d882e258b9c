#include "remote.h"

#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/workers.h"
#include "tests/test.h"
#include "upstream/upstream.h"

#define PATIENCE_S 30
#define TURNS_MAX 16

static void wake(void *context)
{
    struct remote_fixture *fixture = context;

    pthread_mutex_lock(&fixture->lock);
    fixture->wakes++;
    pthread_cond_signal(&fixture->changed);
    pthread_mutex_unlock(&fixture->lock);
}

static void await_wake(struct remote_fixture *fixture)
{
    struct timespec until;

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&fixture->lock);
    while (fixture->wakes == 0)
        assert_int_equal(pthread_cond_timedwait(&fixture->changed, &fixture->lock, &until), 0);
    assert_int_equal(fixture->wakes, 1);
    fixture->wakes = 0;
    pthread_mutex_unlock(&fixture->lock);
}

void remote_init(struct remote_fixture *fixture)
{
    struct target_tools *tools = &fixture->base.tools;

    *fixture = (struct remote_fixture){ 0 };
    fixture_init(&fixture->base);
    pthread_mutex_init(&fixture->lock, NULL);
    pthread_cond_init(&fixture->changed, NULL);
    fixture->base.mint.waker = (struct waker){ wake, fixture };
    assert_true(upstream_start(&tools->upstream, &fixture->base.error));
    assert_true(workers_start(1, 8, &tools->workers, &fixture->base.error));
}

void remote_release(struct remote_fixture *fixture)
{
    workers_stop(fixture->base.tools.workers);
    upstream_stop(fixture->base.tools.upstream);
    fixture_release(&fixture->base);
    pthread_cond_destroy(&fixture->changed);
    pthread_mutex_destroy(&fixture->lock);
}

/* What is entered: a mint, a revocation or a look. */
typedef enum progress (*entering)(struct fixture *base, void *what);

static enum progress enter(struct remote_fixture *fixture, entering enter_once, void *what)
{
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        enum progress progress = enter_once(&fixture->base, what);

        if (progress != PROGRESS_WAIT)
            return progress;
        await_wake(fixture);
    }
    fail_msg("it waits for ever");
    return PROGRESS_FAILED;
}

static enum progress enter_mint(struct fixture *base, void *mint)
{
    return base->target.kind->mint(mint, &base->error);
}

static enum progress enter_revocation(struct fixture *base, void *revocation)
{
    return base->target.kind->revoke(revocation, &base->error);
}

static enum progress enter_sweep(struct fixture *base, void *sweep)
{
    return base->target.kind->sweep(sweep, &base->error);
}

enum progress remote_mint(struct remote_fixture *fixture)
{
    return enter(fixture, enter_mint, &fixture->base.mint);
}

enum progress remote_revoke(struct remote_fixture *fixture, struct revocation *revocation)
{
    revocation->tools = &fixture->base.tools;
    revocation->target = &fixture->base.target;
    revocation->arena = fixture->base.arena;
    revocation->waker = fixture->base.mint.waker;
    return enter(fixture, enter_revocation, revocation);
}

enum progress remote_sweep(struct remote_fixture *fixture, struct sweep *sweep)
{
    sweep->tools = &fixture->base.tools;
    sweep->target = &fixture->base.target;
    sweep->arena = fixture->base.arena;
    sweep->waker = fixture->base.mint.waker;
    return enter(fixture, enter_sweep, sweep);
}

enum progress remote_mint_from(struct remote_fixture *fixture,
                               void (*configure)(struct remote_fixture *fixture, const char *url),
                               const struct peer_script *scripts, size_t count)
{
    char url[64];
    struct peer *peer = peer_start(scripts, count, url);
    enum progress progress;

    configure(fixture, url);
    progress = remote_mint(fixture);
    peer_stop(peer, &fixture->log);
    return progress;
}

/* ---- what was sent ---- */

static bool find_field(const struct remote_fixture *fixture, size_t request, const char *name,
                       struct str *value)
{
    struct str rest = str_from(peer_body(&fixture->log, request));
    struct str pair;
    struct str key;

    while (rest.len > 0) {
        (void)str_cut(rest, '&', &pair, &rest);
        (void)str_cut(pair, '=', &key, value);
        if (str_eq(key, str_from(name)))
            return true;
    }
    return false;
}

static int hex_digit(char digit)
{
    const char *digits = "0123456789ABCDEF";
    const char *at = strchr(digits, digit);

    assert_non_null(at);
    return (int)(at - digits);
}

bool remote_form_has(const struct remote_fixture *fixture, size_t request, const char *name)
{
    struct str ignored;

    return find_field(fixture, request, name, &ignored);
}

const char *remote_form_field(struct remote_fixture *fixture, size_t request, const char *name)
{
    struct str value = { 0 };
    char *text;
    size_t len = 0;

    if (!find_field(fixture, request, name, &value))
        fail_msg("no '%s' was sent: %s", name, peer_body(&fixture->log, request));
    text = arena_alloc(fixture->base.arena, value.len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < value.len; i++) {
        assert_int_not_equal(value.data[i], '+');
        if (value.data[i] == '%') {
            text[len++] = (char)(hex_digit(value.data[i + 1]) * 16 + hex_digit(value.data[i + 2]));
            i += 2;
        } else {
            text[len++] = value.data[i];
        }
    }
    return text;
}

static void check_algorithm(struct str token, const char *alg)
{
    JSON_OWNED json_t *header = NULL;
    uint8_t bytes[1024];
    struct error error = { 0 };
    struct str part;
    struct str rest;
    size_t len;

    assert_true(str_cut(token, '.', &part, &rest) && part.len < sizeof(bytes));
    assert_true(base64url_decode(part, bytes, &len));
    assert_true(json_parse_object((struct str){ (const char *)bytes, len }, JSON_LIMITS_REQUEST,
                                  &header, &error));
    assert_string_equal(json_string_value(json_object_get(header, "alg")), alg);
}

const json_t *remote_claims(struct remote_fixture *fixture, const char *token, const char *alg)
{
    struct fixture *base = &fixture->base;
    json_t *claims = NULL;

    check_algorithm(str_from(token), alg);
    if (!keys_verify_own_jwt(base->keys, str_from(token), "JWT", &claims, &base->error))
        fail_msg("%s", base->error.cause);
    assert_true(json_keep(base->arena, claims, &base->error));
    return claims;
}
