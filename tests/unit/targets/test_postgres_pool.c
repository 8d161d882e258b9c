/* A target has a few sessions, whom others wait for, and not for long. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "postgres_world.h"

#define MINTS_AT_ONCE 12

struct many {
    struct mint mint; /* of its own arena */
    struct bell bell;
    struct target silent;
    char lease[27];
};

/* More than there are sessions: each waits for its turn, and none opens one of its own. */
static void a_target_has_a_few_sessions_and_uses_them_again(void **state)
{
    static struct many many[MINTS_AT_ONCE];
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;

    fixture_fields(fixture, ROLE(""));
    for (size_t i = 0; i < MINTS_AT_ONCE; i++) {
        struct many *one = &many[i];

        (void)snprintf(one->lease, sizeof(one->lease), "01JD00000000000000000001%02zu", i);
        bell_init(&one->bell);
        one->mint = fixture->mint;
        one->mint.arena = arena_new((size_t)1024 * 1024);
        one->mint.lease = str_from(one->lease);
        one->mint.waker = (struct waker){ ring, &one->bell };
        assert_int_equal(target_postgres.mint(&one->mint, &fixture->error), PROGRESS_WAIT);
    }
    for (size_t i = 0; i < MINTS_AT_ONCE; i++) {
        struct many *one = &many[i];
        struct error error = { 0 };

        bell_wait(&one->bell);
        if (target_postgres.mint(&one->mint, &error) != PROGRESS_DONE)
            fail_msg("%s", error.cause);
        json_decref(one->mint.credential);
        fixture->mint.lease = one->mint.lease;
        assert_true(end(world, one->mint.record, &error));
        json_decref(one->mint.record);
        arena_free(one->mint.arena);
    }
    assert_in_range(server_number("SELECT count(*) FROM pg_stat_activity WHERE usename = 'broker'"),
                    1, POSTGRES_CONNECTIONS_MAX);
}

static void a_session_that_the_server_ended_is_not_used_again(void **state)
{
    struct world *world = *state;

    (void)made(world, ROLE(""));
    assert_ended(world);
    server_sql("stagepass", "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE"
                            " usename = 'broker'");
    (void)made(world, ROLE(""));
    assert_ended(world);
}

/* Takes connections and never says anything; from now on the fixture's target. */
static int silent_server(struct world *world)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[256];
    struct error error = { 0 };

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432",
                   world->fixture.folder);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(listener, 64), 0);
    (void)snprintf(text, sizeof(text), "postgresql:///x?host=%s&user=broker",
                   world->fixture.folder);
    (void)snprintf(world->dsn_file, sizeof(world->dsn_file), "%s/silent", world->fixture.folder);
    assert_true(file_replace(world->dsn_file, str_from(text), 0600, &error));
    configure(world, "");
    return listener;
}

/* More calls than it has sessions wait for such a server; who asks another one does not. */
static void a_server_that_says_nothing_holds_up_nobody_else(void **state)
{
    static struct many many[POSTGRES_CONNECTIONS_MAX + 2];
    struct world *world = *state;
    struct fixture *fixture = &world->fixture;
    struct target good = fixture->target;
    int listener = silent_server(world);

    fixture_fields(fixture, ROLE(""));
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i].mint = fixture->mint;
        many[i].mint.arena = arena_new((size_t)1024 * 1024);
        bell_init(&many[i].bell);
        many[i].mint.waker = (struct waker){ ring, &many[i].bell };
        assert_int_equal(target_postgres.mint(&many[i].mint, &fixture->error), PROGRESS_WAIT);
        many[i].silent = fixture->target;
        many[i].mint.target = &many[i].silent;
    }
    fixture->target = good;
    (void)made(world, ROLE(""));
    assert_ended(world);
    assert_false(many[COUNT(many) - 1].bell.has_rung);
    for (size_t i = 0; i < COUNT(many); i++) {
        struct error error = { 0 };

        bell_wait(&many[i].bell);
        assert_int_equal(target_postgres.mint(&many[i].mint, &error), PROGRESS_FAILED);
        assert_int_equal(error.code, ERROR_MINT);
        assert_false(many[i].mint.may_exist);
        json_decref(many[i].mint.record);
        arena_free(many[i].mint.arena);
    }
    (void)close(listener);
}

/** Rings once all have been called. */
struct bells {
    atomic_size_t left;
    struct bell bell;
};

static void ring_last(void *context)
{
    struct bells *bells = context;

    if (atomic_fetch_sub(&bells->left, 1) == 1)
        ring(&bells->bell);
}

static bool do_nothing(struct postgres_call *call, struct pg_connection *connection,
                       struct error *error)
{
    (void)call;
    (void)connection;
    (void)error;
    return true;
}

/* Those that waited too long are not begun; there is room for so many, and no more. */
static void so_many_wait_for_their_turn(void **state)
{
    static struct postgres_call calls[POSTGRES_CONNECTIONS_MAX + POSTGRES_WAITING_MAX + 1];
    struct world *world = *state;
    int listener = silent_server(world);
    const struct postgres_settings *own = world->fixture.target.settings;
    static struct bells bells;
    struct error error = { 0 };

    atomic_init(&bells.left, COUNT(calls) - 1);
    bell_init(&bells.bell);
    memset(calls, 0, sizeof(calls));
    for (size_t i = 0; i < COUNT(calls); i++) {
        calls[i].work = do_nothing;
        calls[i].waker = (struct waker){ ring_last, &bells };
        assert_int_equal(postgres_pool_submit(own->pool, world->workers, &calls[i],
                                              i < POSTGRES_CONNECTIONS_MAX ? 8000 : 1, &error),
                         i < COUNT(calls) - 1);
    }
    assert_int_equal(error.code, ERROR_BUSY);
    bell_wait(&bells.bell);
    for (size_t i = 0; i < COUNT(calls); i++)
        assert_false(calls[i].is_good);
    assert_non_null(strstr(calls[POSTGRES_CONNECTIONS_MAX].error.cause, "did not come in time"));
    (void)close(listener);
}

static void nobody_waits_long_for_a_lock(void **state)
{
    struct world *world = *state;
    PGconn *other = server_log_in("postgres", "stagepass");

    assert_state(other, "BEGIN", "00000");
    assert_state(other, "LOCK TABLE pg_auth_members IN ACCESS EXCLUSIVE MODE", "00000");
    assert_false(make(world, ROLE("")));
    if (!strstr(world->fixture.error.cause, "somebody holds a lock"))
        fail_msg("%s", world->fixture.error.cause);
    assert_int_equal(world->fixture.error.code, ERROR_MINT);
    assert_false(world->fixture.mint.may_exist);
    assert_state(other, "ROLLBACK", "00000");
    PQfinish(other);
}

static void a_server_that_is_away_is_told(void **state)
{
    struct world *world = *state;

    (void)close(silent_server(world));
    assert_refused(world, ROLE(""), "Connection refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(a_target_has_a_few_sessions_and_uses_them_again),
        WITH_WORLD(a_session_that_the_server_ended_is_not_used_again),
        WITH_WORLD(a_server_that_says_nothing_holds_up_nobody_else),
        WITH_WORLD(so_many_wait_for_their_turn),
        WITH_WORLD(nobody_waits_long_for_a_lock),
        WITH_WORLD(a_server_that_is_away_is_told),
    };

    return cmocka_run_group_tests(tests, world_start, server_stop);
}
