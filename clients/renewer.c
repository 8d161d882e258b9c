#include "clients/renewer.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/secret.h"
#include "clients/delivery.h"
#include "clients/report.h"
#include "clients/session.h"
#include "upstream/upstream.h"

#define RENEWAL_TIMEOUT_MS 30000 /* a remote target may take its time to mint */
#define NONCE_MAX 256
#define ARENA_MAX ((size_t)1024 * 1024) /* of one renewal */

/* A credential is renewed after two thirds of its life, and then as often again until it ends. */
#define PART 3
#define HASTE 8

static bool set_timer(const struct renewer *renewer, int64_t after_s)
{
    struct itimerspec when = { .it_value.tv_sec = after_s };

    return timerfd_settime(renewer->timer, 0, &when, NULL) == 0;
}

static int64_t at_least_one(int64_t seconds)
{
    return seconds > 0 ? seconds : 1;
}

/* The first that ends; without any the token of the stage is all there is. */
static int64_t first_end_s(const struct answer *answer)
{
    int64_t first_s = INT64_MAX;

    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].expires_s < first_s)
            first_s = answer->credentials[i].expires_s;
    return first_s == INT64_MAX ? answer->expires_s : first_s;
}

/* Whether there is anything to renew by; the next renewal is set then. */
static bool take_token(struct renewer *renewer, const struct answer *answer)
{
    int64_t left_s;

    secret_wipe(renewer->token, sizeof(renewer->token));
    if (answer->refresh_token.len == 0 || answer->refresh_token.len > RENEWER_TOKEN_MAX)
        return false;
    memcpy(renewer->token, answer->refresh_token.data, answer->refresh_token.len);
    renewer->expires_s = first_end_s(answer);
    left_s = renewer->expires_s - clock_wall_s();
    return set_timer(renewer, at_least_one(left_s - left_s / PART));
}

bool renewer_start(struct renewer *renewer, struct session *session, struct delivery *delivery,
                   struct error *error)
{
    if (session->answer.refresh_token.len == 0)
        return true;
    renewer->session = session;
    renewer->delivery = delivery;
    buf_init(&renewer->body, ANSWER_BYTES_MAX);
    buf_init(&renewer->nonce, NONCE_MAX);
    renewer->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    renewer->answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (renewer->timer < 0 || renewer->answered < 0 || !take_token(renewer, &session->answer))
        return error_set_errno(error, "no timer for renewals");
    report_line("lease " STR_FMT " is renewed while the command runs: files and the ssh-agent are "
                "kept fresh; variables of its environment cannot be, and hold until " STR_FMT,
                STR_ARG(session->answer.lease), STR_ARG(session->answer.expires_at));
    return true;
}

/* On the upstream thread. */
static void keep(const struct upstream_response *response, void *context)
{
    struct renewer *renewer = context;
    bool is_answered = response->outcome == UPSTREAM_ANSWERED;
    uint64_t one = 1;

    if (is_answered) {
        buf_add(&renewer->body, response->body);
        buf_clear(&renewer->nonce);
        buf_add(&renewer->nonce, response->dpop_nonce);
    }
    atomic_store(&renewer->status, is_answered ? response->status : 0);
    if (write(renewer->answered, &one, sizeof(one)) < 0)
        return; /* the counter is never full: one answer at a time */
}

static bool submit(struct renewer *renewer, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct session *session = renewer->session;
    struct upstream_request request = {
        .method = "POST",
        .headers = { "Content-Type: application/x-www-form-urlencoded" },
        .peer = session->broker.peer,
        .total_timeout_ms = RENEWAL_TIMEOUT_MS,
        .response_max_bytes = ANSWER_BYTES_MAX,
        .done = keep,
        .context = renewer,
    };

    OWNED(buf_release) struct buf form = { 0 };

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for a renewal");
    buf_init(&form, (size_t)4 * RENEWER_TOKEN_MAX);
    buf_add_text(&form, "grant_type=refresh_token&refresh_token=");
    buf_add_percent(&form, str_from(renewer->token));
    request.url = broker_path(&session->broker, "/token", arena).data;
    request.body = buf_str(&form);
    if (!request.url || !buf_is_ok(&form))
        return error_set(error, ERROR_MEMORY, "no memory for a renewal");
    buf_clear(&renewer->body);
    return session_prove(session, buf_str(&renewer->nonce), arena, &request.headers[1], error) &&
           upstream_submit(session->upstream, &request, error);
}

/* To be tried again, as long as there is something to keep alive. */
static void miss(struct renewer *renewer, const char *why)
{
    int64_t left_s = renewer->expires_s - clock_wall_s();

    if (!renewer->has_failed)
        report_line("lease " STR_FMT ": a renewal does not get through: %s",
                    STR_ARG(renewer->session->answer.lease), why);
    renewer->has_failed = true;
    if (left_s > 0)
        (void)set_timer(renewer, at_least_one(left_s / HASTE));
}

void renewer_send(struct renewer *renewer)
{
    struct error error = { 0 };
    uint64_t expirations;

    if (read(renewer->timer, &expirations, sizeof(expirations)) < 0 || renewer->is_under_way)
        return;
    renewer->is_under_way = submit(renewer, &error);
    if (!renewer->is_under_way)
        miss(renewer, error.cause);
}

static bool deliver(struct renewer *renewer, struct arena *arena, struct error *error)
{
    const struct delivery_keys keys = { &renewer->session->ssh_key, &renewer->session->tls_key };
    struct answer answer = { 0 };

    if (!answer_read_renewal(buf_str(&renewer->body), arena, &answer, error))
        return false;
    (void)take_token(renewer, &answer); /* without one this was the last renewal */
    return delivery_renew(renewer->delivery, &answer, &keys, clock_wall_s(), arena, error);
}

static void take_answer(struct renewer *renewer)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct error error = { 0 };

    renewer->has_failed = false;
    renewer->was_asked_nonce = false;
    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory for a renewal");
    if (!arena || !deliver(renewer, arena, &error))
        report_line("lease " STR_FMT ": what was renewed is not delivered: %s",
                    STR_ARG(renewer->session->answer.lease), error.cause);
}

/* The answer has the nonce that the next proof is to have; once, as for the first exchange. */
static bool wants_nonce(struct renewer *renewer, const struct refusal *refusal)
{
    if (!str_eq(refusal->code, STR("use_dpop_nonce")) || renewer->was_asked_nonce)
        return false;
    renewer->was_asked_nonce = true;
    return set_timer(renewer, 1);
}

static void take_refusal(struct renewer *renewer, int status)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct refusal refusal = { 0 };

    if (arena)
        refusal_read(status, buf_str(&renewer->body), arena, &refusal);
    if (wants_nonce(renewer, &refusal))
        return;
    report_line("lease " STR_FMT " is not renewed any more: the broker answers %d " STR_FMT
                "; what the command has holds until it expires",
                STR_ARG(renewer->session->answer.lease), status, STR_ARG(refusal.code));
}

static bool is_busy(int status)
{
    return status == 429 || status == 503;
}

void renewer_take(struct renewer *renewer)
{
    uint64_t count;
    int status;

    if (read(renewer->answered, &count, sizeof(count)) < 0)
        return;
    renewer->is_under_way = false;
    status = atomic_load(&renewer->status);
    if (status == 200 && buf_is_ok(&renewer->body))
        take_answer(renewer);
    else if (status == 0 || is_busy(status))
        miss(renewer, status == 0 ? "no answer" : "the broker is busy");
    else
        take_refusal(renewer, status);
    buf_clear(&renewer->body);
}

void renewer_stop(struct renewer *renewer)
{
    if (renewer->timer >= 0)
        (void)close(renewer->timer);
    renewer->timer = -1;
}

void renewer_release(struct renewer *renewer)
{
    renewer_stop(renewer);
    if (renewer->answered >= 0)
        (void)close(renewer->answered);
    renewer->answered = -1;
    buf_release(&renewer->body);
    buf_release(&renewer->nonce);
    secret_wipe(renewer->token, sizeof(renewer->token));
}
