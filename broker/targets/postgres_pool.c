#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "pg/dsn.h"
#include "targets/postgres_internal.h"

#define CONNECT_TIMEOUT_S "3" /* for each host of the DSN */
#define SERVER_VERSION_MIN 150000
#define ANSWER_MAX ((size_t)1024 * 1024) /* it says a few hundred bytes: names of roles at most */
#define AGE_MAX_MS ((int64_t)10 * 60 * 1000) /* so that a new password, or primary, is noticed */
#define IDLE_MAX_MS ((int64_t)60 * 1000)

/* Nobody waits longer for a lock or an answer, and no transaction that lost its broker stays. */
#define SESSION                                                                                    \
    "SET search_path = pg_catalog, pg_temp;"                                                       \
    "SET client_min_messages = warning;"                                                           \
    "SET statement_timeout = 4000;"                                                                \
    "SET lock_timeout = 2000;"                                                                     \
    "SET idle_in_transaction_session_timeout = 10000;"                                             \
    "SELECT current_setting('server_version_num')::integer, rolsuper OR rolcreaterole"             \
    " FROM pg_roles WHERE rolname = session_user"

struct session {
    struct pg_connection connection;
    int64_t opened_ms;
    int64_t used_ms;
};

struct postgres_pool {
    atomic_size_t reference_count;
    char *dsn_file;
    pthread_mutex_t lock;
    size_t busy;                 /* guarded by lock: workers with a call of ours */
    struct postgres_call *first; /* guarded by lock */
    struct postgres_call **end;  /* guarded by lock */
    size_t waiting;              /* guarded by lock */
    struct session idle[POSTGRES_CONNECTIONS_MAX]; /* guarded by lock */
    size_t idle_count;                             /* guarded by lock */
};

/* Milliseconds that are left until then; at least 1. */
static int time_left_ms(int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - clock_system_ms();

    return left_ms > 1 ? (int)left_ms : 1;
}

struct postgres_pool *postgres_pool_new(const char *dsn_file)
{
    struct postgres_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return NULL;
    atomic_init(&pool->reference_count, 1);
    (void)pthread_mutex_init(&pool->lock, NULL);
    pool->end = &pool->first;
    pool->dsn_file = strdup(dsn_file);
    if (pool->dsn_file)
        return pool;
    postgres_pool_unref(pool);
    return NULL;
}

void postgres_pool_unref(struct postgres_pool *pool)
{
    if (!pool || atomic_fetch_sub(&pool->reference_count, 1) > 1)
        return;
    for (size_t i = 0; i < pool->idle_count; i++)
        pg_close(&pool->idle[i].connection);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->dsn_file);
    free(pool);
}

/* Sessions. */

static bool check_session(const struct pg_result *result, struct error *error)
{
    int64_t version = 0;

    if (!str_to_int64(str_from(pg_text(result, 0)), &version) || version < SERVER_VERSION_MIN)
        return error_set(error, ERROR_MINT, "PostgreSQL 15 or later is needed");
    if (strcmp(pg_text(result, 1), "f") == 0)
        return true;
    return error_set(error, ERROR_MINT,
                     "the DSN's role is a superuser or may create roles: it only needs to call the "
                     "functions of lease-roles.sql");
}

static bool start_session(struct pg_connection *connection, int64_t deadline_ms,
                          struct error *error)
{
    OWNED(pg_result_clear) struct pg_result *result = NULL;
    struct error said = { 0 };

    pg_begin(connection, time_left_ms(deadline_ms));
    result = pg_query(connection, SESSION, &said);
    if (!result)
        return postgres_explain(connection, POSTGRES_CONNECTING, &said, error);
    return check_session(result, error);
}

bool postgres_pool_open(const struct postgres_pool *pool, const char *database, int64_t deadline_ms,
                        struct pg_connection *connection, struct error *error)
{
    OWNED(pg_dsn_release) struct pg_dsn dsn = { 0 };
    struct error said = { 0 };

    *connection = (struct pg_connection){ 0 };
    if (pg_dsn_init_file(&dsn, pool->dsn_file, &said)) {
        pg_dsn_set(&dsn, "connect_timeout", CONNECT_TIMEOUT_S);
        if (database)
            pg_dsn_set(&dsn, "dbname", database);
        if (pg_connect(connection, &dsn, ANSWER_MAX, &said) &&
            start_session(connection, deadline_ms, &said))
            return true;
    }
    pg_close(connection);
    return error_set(error, ERROR_MINT, "%s", said.cause);
}

/* Whether a session can be used once more; it is closed where not. */
static bool is_alive(struct session *session, int64_t deadline_ms)
{
    struct error ignored = { 0 };
    struct pg_result *result = NULL;

    if (clock_system_ms() - session->opened_ms < AGE_MAX_MS &&
        clock_system_ms() - session->used_ms < IDLE_MAX_MS && pg_is_quiet(&session->connection)) {
        pg_begin(&session->connection, time_left_ms(deadline_ms));
        result = pg_query(&session->connection, "SELECT 1", &ignored);
    }
    pg_result_clear(result);
    if (!result)
        pg_close(&session->connection);
    return result != NULL;
}

static bool take_idle(struct postgres_pool *pool, struct session *session)
{
    bool has_one = false;

    (void)pthread_mutex_lock(&pool->lock);
    has_one = pool->idle_count > 0;
    if (has_one)
        *session = pool->idle[--pool->idle_count];
    (void)pthread_mutex_unlock(&pool->lock);
    return has_one;
}

static bool get_session(struct postgres_pool *pool, const struct postgres_call *call,
                        struct session *session, struct error *error)
{
    while (take_idle(pool, session))
        if (is_alive(session, call->deadline_ms))
            return true;
    *session = (struct session){ .opened_ms = clock_system_ms() };
    return postgres_pool_open(pool, NULL, call->deadline_ms, &session->connection, error);
}

/* There is room: a session that is used is a worker's, of whom there are as many. */
static void keep_session(struct postgres_pool *pool, struct session *session)
{
    session->used_ms = clock_system_ms();
    (void)pthread_mutex_lock(&pool->lock);
    pool->idle[pool->idle_count++] = *session;
    (void)pthread_mutex_unlock(&pool->lock);
}

/* Calls. */

/* Whatever state a failure leaves a session in, it ends with it. */
static void serve(struct postgres_pool *pool, struct postgres_call *call)
{
    struct waker waker = call->waker;
    struct session session = { 0 };

    if (clock_system_ms() >= call->deadline_ms)
        (void)error_set(&call->error, ERROR_MINT,
                        "its turn to ask PostgreSQL did not come in time");
    else if (get_session(pool, call, &session, &call->error)) {
        pg_begin(&session.connection, time_left_ms(call->deadline_ms));
        call->is_good = call->work(call, &session.connection, &call->error);
    }
    if (call->is_good && pg_is_open(&session.connection))
        keep_session(pool, &session);
    else
        pg_close(&session.connection);
    waker.wake(waker.context); /* from here on the call is not ours */
}

/* The next call that waits; without one the worker is free. */
static struct postgres_call *take_call(struct postgres_pool *pool)
{
    struct postgres_call *call = NULL;

    (void)pthread_mutex_lock(&pool->lock);
    call = pool->first;
    if (call) {
        pool->first = call->next;
        pool->waiting--;
        if (!pool->first)
            pool->end = &pool->first;
    } else {
        pool->busy--;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return call;
}

static void run(struct worker_job *job)
{
    struct postgres_call *call = (struct postgres_call *)job;
    struct postgres_pool *pool = call->pool;

    for (; call; call = take_call(pool))
        serve(pool, call);
    postgres_pool_unref(pool);
}

static bool start_worker(struct postgres_pool *pool, struct workers *workers,
                         struct postgres_call *call, struct error *error)
{
    call->job.run = run;
    (void)atomic_fetch_add(&pool->reference_count, 1);
    pool->busy++;
    if (workers_submit(workers, &call->job, error))
        return true;
    pool->busy--;
    (void)atomic_fetch_sub(&pool->reference_count, 1); /* the caller has one besides */
    return false;
}

static bool wait_in_line(struct postgres_pool *pool, struct postgres_call *call,
                         struct error *error)
{
    if (pool->waiting == POSTGRES_WAITING_MAX)
        return error_set(error, ERROR_BUSY, "%d calls wait for PostgreSQL already",
                         POSTGRES_WAITING_MAX);
    *pool->end = call;
    pool->end = &call->next;
    pool->waiting++;
    return true;
}

bool postgres_pool_submit(struct postgres_pool *pool, struct workers *workers,
                          struct postgres_call *call, int total_ms, struct error *error)
{
    bool is_taken = false;

    call->pool = pool;
    call->next = NULL;
    call->deadline_ms = clock_system_ms() + total_ms;
    /* Held until a worker is sure to come: whoever is in line counts on it. */
    (void)pthread_mutex_lock(&pool->lock);
    is_taken = pool->busy < POSTGRES_CONNECTIONS_MAX ? start_worker(pool, workers, call, error)
                                                     : wait_in_line(pool, call, error);
    (void)pthread_mutex_unlock(&pool->lock);
    return is_taken;
}
