/*
 * Calls into a token, each with a deadline.
 *
 * A call is an object of its own: who asks holds it, and the thread that runs it. Who asks waits
 * until it is done or overdue. An overdue one that still runs is left to its thread, which is then
 * stuck; once all threads are, nobody waits any more until one comes back.
 */
#include "keys/pkcs11.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/error.h"
#include "keys/pkcs11_internal.h"
#include "keys/public_key.h"

#define RETRY_MS 1000 /* between attempts at a token that is lost */
#define IDLE_MS 10000 /* after which it is asked whether it is there */
#define CLOSE_WAIT_MS 2000
#define MESSAGE_MAX ((size_t)64 * 1024) /* that Ed25519 signs: an SSH certificate, a checkpoint */

enum call_state {
    CALL_QUEUED,
    CALL_RUNNING,
    CALL_DONE
};

struct call {
    bool (*run)(struct pkcs11_session *session, struct call *call, struct error *error);
    int64_t due_ms;
    struct call *next;

    /* what is asked */
    char name[KEY_FILE_NAME_MAX];
    enum key_algorithm algorithm;
    char *bytes;
    size_t bytes_len;

    /* what came of it */
    bool is_good;
    struct error error;
    EVP_PKEY *pkey;
    int64_t numbers[KEY_FILES_MAX];
    size_t count;
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t signature_len;

    enum call_state state; /* guarded by the token's lock, as what follows */
    bool is_stuck;         /* overdue, and running */
    unsigned holders;
};

struct pkcs11 {
    struct pkcs11_module module;

    pthread_mutex_t lock;
    pthread_cond_t wake; /* of threads: there is something to do */
    pthread_cond_t done; /* of who asked */

    struct call *first; /* guarded by lock, as all that follows; the queue */
    struct call **end;
    struct call *probe; /* the one under way that nobody waits for */
    size_t stuck_count; /* threads that are in an overdue call */
    size_t running;     /* threads */
    bool is_stopping;
    int64_t answered_ms;      /* when it did something last */
    int64_t failing_since_ms; /* 0: it serves */
    int64_t retry_ms;         /* before that nobody tries */
    struct error failure;

    pthread_t threads[PKCS11_THREADS];
    size_t thread_count;
};

/* Not the clock that tests move: it measures a module that is real. */
static void call_free(struct call *call)
{
    public_key_free(call->pkey);
    if (call->bytes != NULL)
        OPENSSL_cleanse(call->bytes, call->bytes_len);
    free(call->bytes);
    free(call);
}

/* Holding the lock. */
static void let_go(struct call *call)
{
    if (--call->holders == 0)
        call_free(call);
}

/* ---- on a thread of the token's ---- */

/* Holding the lock; NULL: there will be none. */
static struct call *take(struct pkcs11 *token)
{
    struct call *call;

    while (token->first == NULL && !token->is_stopping)
        (void)pthread_cond_wait(&token->wake, &token->lock);
    call = token->is_stopping ? NULL : token->first;
    if (call == NULL)
        return NULL;
    token->first = call->next;
    if (token->first == NULL)
        token->end = &token->first;
    call->state = CALL_RUNNING;
    return call;
}

/* The session anew, then the module, which is another try only where nobody else is in it. */
static bool attempt(struct pkcs11_session *session, struct call *call, struct error *error)
{
    bool is_good;

    (void)pthread_rwlock_rdlock(&session->module->gate);
    is_good = pkcs11_session_open(session, error) && call->run(session, call, error);
    if (!is_good && session->is_lost)
        pkcs11_session_close(session);
    (void)pthread_rwlock_unlock(&session->module->gate);
    return is_good;
}

static void run(struct pkcs11_session *session, struct call *call)
{
    call->is_good = attempt(session, call, &call->error);
    for (int i = 0; i < 2 && !call->is_good && session->is_lost; i++) {
        if (i == 1)
            pkcs11_module_restart(session->module);
        call->error = (struct error){ 0 };
        call->is_good = attempt(session, call, &call->error);
    }
}

/* Holding the lock. */
static void note_failure(struct pkcs11 *token, const struct error *error)
{
    if (token->failing_since_ms == 0)
        token->failing_since_ms = clock_system_ms();
    token->failure = *error;
}

/* Holding the lock. Without a session afterwards the token is what failed, not what was asked. */
static void note(struct pkcs11 *token, const struct pkcs11_session *session,
                 const struct call *call)
{
    if (session->is_open) {
        token->failing_since_ms = 0;
        token->retry_ms = 0;
        token->answered_ms = clock_system_ms();
        return;
    }
    token->retry_ms = clock_system_ms() + RETRY_MS;
    note_failure(token, &call->error);
}

/* Whoever comes between two attempts is told how the last one went. Holding the lock. */
static bool is_resting(const struct pkcs11 *token)
{
    return token->retry_ms != 0 && clock_system_ms() < token->retry_ms;
}

static void finish(struct pkcs11 *token, struct call *call)
{
    call->state = CALL_DONE;
    if (call->is_stuck)
        token->stuck_count--;
    if (token->probe == call)
        token->probe = NULL;
    (void)pthread_cond_broadcast(&token->done);
    let_go(call);
}

static void *work(void *argument)
{
    struct pkcs11 *token = argument;
    struct pkcs11_session session = { .module = &token->module };
    struct call *call;

    (void)pthread_mutex_lock(&token->lock);
    while ((call = take(token)) != NULL) {
        bool rests = is_resting(token) && token->probe != call;

        if (rests)
            call->error = token->failure;
        (void)pthread_mutex_unlock(&token->lock);
        if (!rests)
            run(&session, call);
        (void)pthread_mutex_lock(&token->lock);
        if (!rests)
            note(token, &session, call);
        finish(token, call);
    }
    (void)pthread_mutex_unlock(&token->lock);
    (void)pthread_rwlock_rdlock(&token->module.gate);
    pkcs11_session_close(&session);
    (void)pthread_rwlock_unlock(&token->module.gate);
    (void)pthread_mutex_lock(&token->lock);
    token->running--;
    (void)pthread_cond_broadcast(&token->done);
    (void)pthread_mutex_unlock(&token->lock);
    return NULL;
}

/* ---- asking ---- */

static struct call *call_new(bool (*run_it)(struct pkcs11_session *session, struct call *call,
                                            struct error *error),
                             struct str name, enum key_algorithm algorithm)
{
    struct call *call = calloc(1, sizeof(*call));

    assert(name.len < sizeof(call->name));
    if (call == NULL)
        return NULL;
    call->run = run_it;
    call->algorithm = algorithm;
    call->holders = 1;
    memcpy(call->name, name.data, name.len);
    return call;
}

/* Holding the lock. */
static void enqueue(struct pkcs11 *token, struct call *call)
{
    call->holders++; /* the thread's */
    *token->end = call;
    token->end = &call->next;
    (void)pthread_cond_signal(&token->wake);
}

/* Holding the lock. */
static void unqueue(struct pkcs11 *token, struct call *call)
{
    struct call **at = &token->first;

    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (*at == NULL)
        token->end = at;
    let_go(call); /* the thread's, which does not get it any more */
}

/* Holding the lock. */
static void give_up(struct pkcs11 *token, struct call *call, struct error *error)
{
    (void)error_set(error, ERROR_KEYS_UNAVAILABLE,
                    "PKCS#11 token: its module did not come back in time");
    if (call->state == CALL_QUEUED) {
        unqueue(token, call);
        return;
    }
    call->is_stuck = true;
    token->stuck_count++;
    note_failure(token, error);
}

static struct timespec time_of(int64_t at_ms)
{
    return (struct timespec){ .tv_sec = at_ms / 1000, .tv_nsec = (at_ms % 1000) * 1000000 };
}

/* Holding the lock. */
static bool wait_for(struct pkcs11 *token, struct call *call, struct error *error)
{
    struct timespec due = time_of(call->due_ms);

    while (call->state != CALL_DONE && clock_system_ms() < call->due_ms)
        (void)pthread_cond_timedwait(&token->done, &token->lock, &due);
    if (call->state == CALL_DONE && !call->is_good)
        *error = call->error;
    else if (call->state != CALL_DONE)
        give_up(token, call, error);
    return call->state == CALL_DONE && call->is_good;
}

/* The caller still holds the call afterwards; what it read is there where it is done. */
static bool ask(struct pkcs11 *token, struct call *call, int64_t within_ms, struct error *error)
{
    bool is_good;

    if (call == NULL)
        return error_set(error, ERROR_MEMORY, "a call of a PKCS#11 token");
    (void)pthread_mutex_lock(&token->lock);
    if (token->stuck_count == PKCS11_THREADS) {
        (void)pthread_mutex_unlock(&token->lock);
        return error_set(error, ERROR_KEYS_UNAVAILABLE,
                         "PKCS#11 token: its module does not come back from any call");
    }
    call->due_ms = clock_system_ms() + within_ms;
    enqueue(token, call);
    is_good = wait_for(token, call, error);
    (void)pthread_mutex_unlock(&token->lock);
    return is_good;
}

static void drop(struct pkcs11 *token, struct call *call)
{
    if (call == NULL)
        return;
    (void)pthread_mutex_lock(&token->lock);
    let_go(call);
    (void)pthread_mutex_unlock(&token->lock);
}

static bool run_probe(struct pkcs11_session *session, struct call *call, struct error *error)
{
    (void)call;
    return pkcs11_objects_probe(session, error);
}

static bool run_list(struct pkcs11_session *session, struct call *call, struct error *error)
{
    return pkcs11_objects_list(session, str_from(call->name), call->numbers, &call->count, error);
}

static bool run_find(struct pkcs11_session *session, struct call *call, struct error *error)
{
    return pkcs11_objects_find(session, str_from(call->name), call->algorithm, &call->pkey, error);
}

static bool run_make(struct pkcs11_session *session, struct call *call, struct error *error)
{
    return pkcs11_objects_make(session, str_from(call->name), call->algorithm, error);
}

static bool run_remove(struct pkcs11_session *session, struct call *call, struct error *error)
{
    return pkcs11_objects_remove(session, str_from(call->name), error);
}

static bool run_sign(struct pkcs11_session *session, struct call *call, struct error *error)
{
    return pkcs11_objects_sign(session, str_from(call->name), call->algorithm,
                               (struct str){ call->bytes, call->bytes_len }, call->signature,
                               &call->signature_len, error);
}

bool pkcs11_list(struct pkcs11 *token, struct str prefix, int64_t numbers[KEY_FILES_MAX],
                 size_t *count, struct error *error)
{
    struct call *call = call_new(run_list, prefix, KEY_ES256);
    bool is_good = ask(token, call, PKCS11_LOOK_MS, error);

    if (is_good) {
        *count = call->count;
        memcpy(numbers, call->numbers, call->count * sizeof(numbers[0]));
    }
    drop(token, call);
    return is_good;
}

bool pkcs11_find(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 EVP_PKEY **pkey, struct error *error)
{
    struct call *call = call_new(run_find, name, algorithm);
    bool is_good = ask(token, call, PKCS11_LOOK_MS, error);

    if (is_good)
        *pkey = TAKE(call->pkey);
    drop(token, call);
    return is_good;
}

bool pkcs11_make(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 struct error *error)
{
    struct call *call = call_new(run_make, name, algorithm);
    bool is_good = ask(token, call, PKCS11_MAKE_MS, error);

    drop(token, call);
    return is_good;
}

bool pkcs11_remove(struct pkcs11 *token, struct str name, struct error *error)
{
    struct call *call = call_new(run_remove, name, KEY_ES256);
    bool is_good = ask(token, call, PKCS11_LOOK_MS, error);

    drop(token, call);
    return is_good;
}

/* The call's own copy of what is signed: who asked may be gone by then. */
static bool copy_bytes(struct call *call, enum key_algorithm algorithm, struct str message,
                       struct error *error)
{
    uint8_t digest[SHA256_LEN];

    if (call == NULL)
        return error_set(error, ERROR_MEMORY, "a call of a PKCS#11 token");
    if (algorithm != KEY_ED25519) {
        sha256(message, digest);
        message = (struct str){ (const char *)digest, sizeof(digest) };
    }
    if (message.len > MESSAGE_MAX)
        return error_set(error, ERROR_LIMIT, "%zu bytes are too much to sign", message.len);
    call->bytes = malloc(message.len + 1);
    if (call->bytes == NULL)
        return error_set(error, ERROR_MEMORY, "a call of a PKCS#11 token");
    memcpy(call->bytes, message.data, message.len);
    call->bytes_len = message.len;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): a signature has a length */
bool pkcs11_sign(struct pkcs11 *token, struct str name, enum key_algorithm algorithm,
                 struct str message, uint8_t signature[KEY_SIGNATURE_MAX], size_t *signature_len,
                 struct error *error)
{
    struct call *call = call_new(run_sign, name, algorithm);
    bool is_good =
        copy_bytes(call, algorithm, message, error) && ask(token, call, PKCS11_SIGN_MS, error);

    if (is_good) {
        memcpy(signature, call->signature, call->signature_len);
        *signature_len = call->signature_len;
    }
    drop(token, call);
    return is_good;
}

/* ---- its life ---- */

static void init_conditions(struct pkcs11 *token)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&token->done, &monotonic);
    (void)pthread_cond_init(&token->wake, NULL);
    (void)pthread_condattr_destroy(&monotonic);
}

static struct pkcs11 *token_new(void)
{
    struct pkcs11 *token = calloc(1, sizeof(*token));

    if (token == NULL)
        return NULL;
    pkcs11_module_init(&token->module);
    (void)pthread_mutex_init(&token->lock, NULL);
    init_conditions(token);
    token->end = &token->first;
    return token;
}

static bool start_threads(struct pkcs11 *token, struct error *error)
{
    for (; token->thread_count < PKCS11_THREADS; token->thread_count++) {
        int code = pthread_create(&token->threads[token->thread_count], NULL, work, token);

        if (code != 0) {
            errno = code;
            return error_set_errno(error, "a PKCS#11 token's thread");
        }
        (void)pthread_mutex_lock(&token->lock);
        token->running++;
        (void)pthread_mutex_unlock(&token->lock);
    }
    return true;
}

bool pkcs11_open(const char *uri, struct pkcs11 **token, struct error *error)
{
    OWNED(pkcs11_close) struct pkcs11 *made = token_new();
    struct call *call;
    bool is_there;

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a PKCS#11 token");
    if (!pkcs11_place_read(uri, &made->module.place, error) || !start_threads(made, error))
        return false;
    call = call_new(run_probe, STR(""), KEY_ES256);
    is_there = ask(made, call, PKCS11_LOOK_MS, error);
    drop(made, call);
    if (is_there)
        *token = TAKE(made);
    return is_there;
}

/* Nobody asks any more: what is queued is a probe at most. Holding the lock. */
static bool stop_threads(struct pkcs11 *token)
{
    int64_t due_ms = clock_system_ms() + CLOSE_WAIT_MS;
    struct timespec due = time_of(due_ms);

    token->is_stopping = true;
    (void)pthread_cond_broadcast(&token->wake);
    while (token->running > 0 && clock_system_ms() < due_ms)
        (void)pthread_cond_timedwait(&token->done, &token->lock, &due);
    return token->running == 0;
}

void pkcs11_close(struct pkcs11 *token)
{
    bool has_ended;

    if (token == NULL)
        return;
    (void)pthread_mutex_lock(&token->lock);
    has_ended = stop_threads(token);
    (void)pthread_mutex_unlock(&token->lock);
    for (size_t i = 0; i < token->thread_count; i++) {
        if (has_ended)
            (void)pthread_join(token->threads[i], NULL);
        else
            (void)pthread_detach(token->threads[i]);
    }
    if (!has_ended)
        return; /* a thread is in the module, and has the token for as long as we run */
    while (token->first != NULL)
        unqueue(token, token->first);
    pkcs11_module_release(&token->module);
    (void)pthread_cond_destroy(&token->done);
    (void)pthread_cond_destroy(&token->wake);
    (void)pthread_mutex_destroy(&token->lock);
    free(token);
}

/* Holding the lock. */
static void tend_probe(struct pkcs11 *token)
{
    struct error overdue = { 0 };
    struct call *probe = token->probe;

    if (probe != NULL && probe->state == CALL_RUNNING && !probe->is_stuck &&
        clock_system_ms() >= probe->due_ms)
        give_up(token, probe, &overdue);
    if (probe != NULL ||
        (token->failing_since_ms == 0 && clock_system_ms() < token->answered_ms + IDLE_MS))
        return;
    probe = call_new(run_probe, STR(""), KEY_ES256);
    if (probe == NULL)
        return;
    probe->due_ms = clock_system_ms() + PKCS11_SIGN_MS;
    token->probe = probe;
    enqueue(token, probe);
    let_go(probe); /* nobody waits for it */
}

void pkcs11_tend(struct pkcs11 *token, struct pkcs11_health *health)
{
    (void)pthread_mutex_lock(&token->lock);
    tend_probe(token);
    health->failing_ms =
        token->failing_since_ms != 0 ? clock_system_ms() - token->failing_since_ms : -1;
    (void)snprintf(health->cause, sizeof(health->cause), "%s", token->failure.cause);
    (void)pthread_mutex_unlock(&token->lock);
}
