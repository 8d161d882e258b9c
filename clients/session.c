#include "clients/session.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "clients/id_token.h"
#include "clients/process.h"
#include "clients/proof_key.h"
#include "clients/report.h"
#include "clients/session_form.h"
#include "identity/identity.h"
#include "upstream/upstream.h"

#define SESSION_ARENA_MAX ((size_t)8 * 1024 * 1024)
#define EXCHANGE_TIMEOUT_MS 30000 /* a remote target may take its time to mint */
#define FIRST_PAUSE_MS 500
#define LONGEST_PAUSE_MS 8000
#define ROOM_TELL_EVERY_MS ((int64_t)60 * 1000)
#define POLL_ARENA_MAX ((size_t)1024 * 1024)
#define POLL_SLOWER_S 5 /* RFC 8628 3.5 */
#define POLL_LONGEST_S 300
#define TELL_EVERY_S 60

static bool show_certificate(struct session *session, const struct session_options *options,
                             struct error *error)
{
    if (!options->certificate_file != !options->key_file)
        return error_set(error, ERROR_USAGE, "--client-certificate and --client-key go together");
    session->broker.peer.certificate_file = options->certificate_file;
    session->broker.peer.key_file = options->key_file;
    return true;
}

bool session_open(struct session *session, const struct session_options *options,
                  struct error *error)
{
    session->arena = arena_new(SESSION_ARENA_MAX);
    if (!session->arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    return upstream_start(&session->upstream, error) &&
           broker_init(&session->broker, options->broker, options->ca_file, session->upstream,
                       session->arena, error) &&
           show_certificate(session, options, error) &&
           (options->has_no_proof || proof_key_new(&session->proof_key, error));
}

void session_close(struct session *session)
{
    upstream_stop(session->upstream);
    proof_key_free(session->proof_key);
    ssh_key_release(&session->ssh_key);
    tls_key_release(&session->tls_key);
    arena_free(session->arena);
    *session = (struct session){ .signals = -1 };
}

/* The broker, and behind it our key: whoever copies such a token cannot use it. */
static const char *token_audience(const struct session *session,
                                  const struct session_options *options)
{
    char thumbprint[44];

    if (options->audience)
        return options->audience;
    if (!session->proof_key || options->has_plain_audience)
        return session->broker.url.data;
    proof_key_thumbprint(session->proof_key, thumbprint);
    return arena_printf(session->arena, STR_FMT IDENTITY_KEY_AUDIENCE "%s",
                        STR_ARG(session->broker.url), thumbprint)
        .data;
}

bool session_identify(struct session *session, const struct session_options *options,
                      struct error *error)
{
    struct id_token_options wanted = {
        .file = options->token_file,
        .audience = token_audience(session, options),
        .upstream = session->upstream,
    };

    if (!wanted.audience)
        return error_set(error, ERROR_MEMORY, "no memory for an audience");
    return id_token_get(&wanted, session->arena, &session->subject_token, error);
}

/* A proof is good for one request, so each has its own. */
bool session_prove(const struct session *session, struct str nonce, struct arena *arena,
                   const char **header, struct error *error)
{
    struct proof_request request = {
        .method = "POST",
        .url = broker_path(&session->broker, "/token", arena),
        .now_s = clock_wall_s(),
        .nonce = nonce,
    };
    struct str proof;
    struct str line;

    *header = NULL;
    if (!session->proof_key)
        return true;
    if (!request.url.data)
        return error_set(error, ERROR_MEMORY, "no memory for a proof");
    if (!proof_key_prove(session->proof_key, &request, arena, &proof, error))
        return false;
    line = arena_printf(arena, "DPoP: " STR_FMT, STR_ARG(proof));
    *header = line.data;
    return line.data || error_set(error, ERROR_MEMORY, "no memory for a proof");
}

static bool send_once(struct session *session, const struct session_options *options,
                      const struct wanted_keys *wanted, struct fetch_answer *answer,
                      struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct broker_post post = { .path = "/token", .timeout_ms = EXCHANGE_TIMEOUT_MS };

    buf_init(&form, SESSION_FORM_MAX);
    if (!session_form_exchange(session, options, wanted, &form, error) ||
        !session_prove(session, session->dpop_nonce, session->arena, &post.header, error))
        return false;
    post.form = buf_str(&form);
    return broker_send(&session->broker, &post, session->arena, answer, error);
}

/* Once: a broker that wants another nonce each time is none. */
static bool send_with_nonce(struct session *session, const struct session_options *options,
                            const struct wanted_keys *wanted, struct fetch_answer *answer,
                            struct error *error)
{
    struct refusal refusal = { 0 };

    if (!send_once(session, options, wanted, answer, error))
        return false;
    session->dpop_nonce = answer->dpop_nonce;
    if (answer->status != 400 || answer->dpop_nonce.len == 0)
        return true;
    refusal_read(answer->status, answer->body, session->arena, &refusal);
    if (!str_eq(refusal.code, STR("use_dpop_nonce")))
        return true;
    if (!send_once(session, options, wanted, answer, error))
        return false;
    session->dpop_nonce = answer->dpop_nonce;
    return true;
}

static bool is_busy(int status)
{
    return status == 429 || status == 503;
}

/* As many leases of the stage live as may: that takes longer than a broker is busy. */
static bool is_full(const struct refusal *refusal)
{
    return refusal->status == 429 && str_eq(refusal->reason, STR("stage_full"));
}

static bool is_busy_for_now(const struct session *session, const struct fetch_answer *answer)
{
    struct refusal refusal = { 0 };

    if (!is_busy(answer->status))
        return false;
    refusal_read(answer->status, answer->body, session->arena, &refusal);
    return !is_full(&refusal);
}

/* Ask until the broker is no longer busy. */
static bool send_patiently(struct session *session, const struct session_options *options,
                           const struct wanted_keys *wanted, struct fetch_answer *answer,
                           struct error *error)
{
    int64_t wait_s = options->wait_s > 0 ? options->wait_s : SESSION_WAIT_S;
    int64_t last_ms = clock_monotonic_ms() + wait_s * 1000;
    int pause_ms = FIRST_PAUSE_MS;

    for (;;) {
        if (!send_with_nonce(session, options, wanted, answer, error))
            return false;
        if (!is_busy_for_now(session, answer) || clock_monotonic_ms() + pause_ms > last_ms)
            return true;
        if (process_is_readable(session->signals, pause_ms))
            return error_set(error, ERROR_LATER, "interrupted while the broker was busy");
        pause_ms = pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * pause_ms : LONGEST_PAUSE_MS;
    }
}

static bool take_names(const struct str *names, size_t count, struct option_list *list)
{
    if (count == 0 || list->count > 0)
        return false;
    for (size_t i = 0; i < count; i++)
        list->items[i] = names[i].data; /* NUL-terminated by jansson */
    list->count = count;
    return true;
}

/* Which grants want a key or a request, if that is all that is amiss. */
static bool wants_keys(const struct session *session, struct wanted_keys *wanted)
{
    const struct refusal *refusal = &session->refusal;
    bool is_more;

    if (!str_eq(refusal->code, STR("invalid_authorization_details")))
        return false;
    is_more =
        take_names(refusal->grants_needing_keys, refusal->grants_needing_keys_count, &wanted->ssh);
    return take_names(refusal->grants_needing_csrs, refusal->grants_needing_csrs_count,
                      &wanted->csr) ||
           is_more;
}

/* Whoever runs the broker finds more by the decision. */
static bool busy(const struct refusal *refusal, struct error *error)
{
    struct str why =
        refusal->description.len > 0 ? refusal->description : STR("nothing was released");

    if (refusal->decision.len == 0)
        return error_set(error, ERROR_LATER, "the broker answers %d: " STR_FMT ", try again later",
                         refusal->status, STR_ARG(why));
    return error_set(error, ERROR_LATER,
                     "the broker answers %d: " STR_FMT ", try again later; decision " STR_FMT,
                     refusal->status, STR_ARG(why), STR_ARG(refusal->decision));
}

static bool refused(const struct session *session, struct error *error)
{
    int status = session->refusal.status;

    if (is_full(&session->refusal))
        return error_set(error, ERROR_LATER,
                         "as many leases of the stage live as may: try again once one has ended");
    if (is_busy(status))
        return busy(&session->refusal, error);
    if (session->refusal.code.len > 0 && status >= 400 && status < 500)
        return error_set(error, ERROR_REFUSED, "refused");
    return error_set(error, ERROR_IO,
                     STR_FMT " answers %d, not as a broker does: is the URL right?",
                     STR_ARG(session->broker.url), status);
}

/* ---- a stage that is full ---- */

/* How long it is waited for that a lease of the stage ends. */
struct room {
    int64_t ends_ms;
    int64_t told_ms; /* when it was told last; 0: never */
    int pause_ms;
};

static void tell_full(struct room *room)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t left_s = (room->ends_ms - now_ms) / 1000;

    if (room->told_ms != 0 && now_ms - room->told_ms < ROOM_TELL_EVERY_MS)
        return;
    room->told_ms = now_ms;
    report_line("as many leases of the stage live as may: waiting until one ends, %lld min %lld s "
                "left",
                (long long)left_s / 60, (long long)left_s % 60);
}

/* Once more, with a token of now: what CI systems give is good for minutes. */
static bool try_for_room(struct session *session, const struct session_options *options,
                         const struct wanted_keys *wanted, struct fetch_answer *answer,
                         struct error *error)
{
    OWNED(arena_free) struct arena *own = arena_new(SESSION_ARENA_MAX);
    struct arena *outer = session->arena;
    bool is_sent;

    if (!own)
        return error_set(error, ERROR_MEMORY, "no memory");
    session->arena = own; /* so that waiting takes no more for being long */
    is_sent = session_identify(session, options, error) &&
              send_patiently(session, options, wanted, answer, error);
    session->arena = outer;
    session->subject_token = STR("");
    session->dpop_nonce = is_sent ? arena_copy(outer, session->dpop_nonce) : STR("");
    answer->body = is_sent ? arena_copy(outer, answer->body) : STR("");
    return is_sent;
}

/* Until the stage is not full any more, or it is time to give up; then the refusal says so. */
static bool await_room(struct session *session, const struct session_options *options,
                       const struct wanted_keys *wanted, struct fetch_answer *answer,
                       struct error *error)
{
    int64_t wait_s = options->wait_s > 0 ? options->wait_s : SESSION_ROOM_WAIT_S;
    struct room room = { .ends_ms = clock_monotonic_ms() + wait_s * 1000,
                         .pause_ms = FIRST_PAUSE_MS };

    while (is_full(&session->refusal) && clock_monotonic_ms() + room.pause_ms < room.ends_ms) {
        tell_full(&room);
        if (process_is_readable(session->signals, room.pause_ms))
            return error_set(error, ERROR_LATER, "interrupted while the stage was full");
        room.pause_ms = room.pause_ms < LONGEST_PAUSE_MS / 2 ? 2 * room.pause_ms : LONGEST_PAUSE_MS;
        session->refusal = (struct refusal){ 0 };
        if (!try_for_room(session, options, wanted, answer, error))
            return false;
        if (answer->status != 200)
            refusal_read(answer->status, answer->body, session->arena, &session->refusal);
    }
    return true;
}

/* ---- people who have to approve ---- */

/* How long people are waited for, and how often is asked. */
struct patience {
    int64_t ends_ms;
    int64_t interval_s;
    int64_t told_ms; /* when it was told last */
    bool is_pending; /* what the last poll came to */
    bool is_too_fast;
};

static void tell_waiting(const struct session *session, struct patience *patience)
{
    int64_t now_ms = clock_monotonic_ms();
    int64_t left_s = (patience->ends_ms - now_ms) / 1000;

    if (patience->told_ms != 0 && now_ms - patience->told_ms < (int64_t)TELL_EVERY_S * 1000)
        return;
    patience->told_ms = now_ms;
    report_line("waiting for people to approve, %lld min %lld s left: `stagepass approve " STR_FMT
                " --reason TEXT`",
                (long long)(left_s > 0 ? left_s / 60 : 0),
                (long long)(left_s > 0 ? left_s % 60 : 0), STR_ARG(session->refusal.approval));
}

/* What outlives the memory of one poll. */
static bool keep_answer(struct session *session, struct fetch_answer *answer, struct error *error)
{
    answer->body = arena_copy(session->arena, answer->body);
    return answer->body.data || error_set(error, ERROR_MEMORY, "no memory for the answer");
}

static struct str keep_nonce(struct session *session)
{
    size_t len = session->dpop_nonce.len;

    if (len == 0 || len > sizeof(session->nonce))
        return STR(""); /* without one the broker asks for it */
    memmove(session->nonce, session->dpop_nonce.data, len);
    return (struct str){ session->nonce, len };
}

/* A stage that is full leaves the approval as it is: it is asked for again. */
static void judge_poll(const struct fetch_answer *answer, struct arena *arena,
                       struct patience *patience)
{
    struct refusal refusal = { 0 };

    refusal_read(answer->status, answer->body, arena, &refusal);
    patience->is_pending = str_eq(refusal.code, STR("authorization_pending")) || is_full(&refusal);
    patience->is_too_fast = str_eq(refusal.code, STR("slow_down"));
}

/* Waiting may take a day: each poll has memory of its own. */
static bool poll_once(struct session *session, const struct session_options *options,
                      struct patience *patience, struct fetch_answer *answer, struct error *error)
{
    static const struct wanted_keys no_keys = { 0 };
    OWNED(arena_free) struct arena *own = arena_new(POLL_ARENA_MAX);
    struct arena *outer = session->arena;
    bool is_sent;

    if (!own)
        return error_set(error, ERROR_MEMORY, "no memory");
    session->arena = own;
    is_sent = send_patiently(session, options, &no_keys, answer, error);
    session->arena = outer;
    session->dpop_nonce = is_sent ? keep_nonce(session) : STR("");
    if (!is_sent)
        return false;
    judge_poll(answer, own, patience);
    return patience->is_pending || patience->is_too_fast || keep_answer(session, answer, error);
}

static bool not_in_time(const struct session *session, struct error *error)
{
    return error_set(error, ERROR_APPROVAL_EXPIRED, "nobody approved " STR_FMT " in time",
                     STR_ARG(session->refusal.approval));
}

/* Ask again and again; with true `answer` is the last one. */
static bool await_people(struct session *session, const struct session_options *options,
                         struct patience *patience, struct fetch_answer *answer,
                         struct error *error)
{
    do {
        tell_waiting(session, patience);
        if (process_is_readable(session->signals, (int)patience->interval_s * 1000))
            return error_set(error, ERROR_APPROVAL_PENDING,
                             "interrupted: a run again uses " STR_FMT " once it is approved",
                             STR_ARG(session->refusal.approval));
        if (clock_monotonic_ms() > patience->ends_ms + (int64_t)TELL_EVERY_S * 1000)
            return not_in_time(session, error);
        if (!poll_once(session, options, patience, answer, error))
            return false;
        if (patience->is_too_fast && patience->interval_s < POLL_LONGEST_S)
            patience->interval_s += POLL_SLOWER_S;
    } while (patience->is_pending || patience->is_too_fast);
    return true;
}

static bool go_on_with_people(struct session *session, const struct session_options *options,
                              struct error *error)
{
    struct patience patience = {
        .ends_ms = clock_monotonic_ms() + session->refusal.approval_wait_s * 1000,
        .interval_s = session->refusal.approval_interval_s,
    };
    struct refusal asked = session->refusal;
    struct fetch_answer answer;

    if (options->has_no_wait)
        return error_set(error, ERROR_APPROVAL_PENDING,
                         "people have to approve: `stagepass approve " STR_FMT
                         " --reason TEXT`, then run again",
                         STR_ARG(asked.approval));
    session->approval_code = asked.approval_code;
    if (!await_people(session, options, &patience, &answer, error))
        return false;
    if (answer.status == 200) {
        session->refusal = (struct refusal){ 0 };
        return answer_read(answer.body, session->arena, &session->answer, error);
    }
    refusal_read(answer.status, answer.body, session->arena, &session->refusal);
    if (str_eq(session->refusal.code, STR("expired_token"))) {
        session->refusal = asked;
        return not_in_time(session, error);
    }
    return refused(session, error);
}

static bool wants_people(const struct session *session)
{
    return str_eq(session->refusal.code, STR("authorization_pending")) &&
           session->refusal.approval_code.len > 0;
}

bool session_exchange(struct session *session, const struct session_options *options,
                      struct error *error)
{
    struct wanted_keys wanted = { options->ssh_grants, options->csr_grants };
    struct fetch_answer answer;

    do {
        session->refusal = (struct refusal){ 0 };
        if (!send_patiently(session, options, &wanted, &answer, error))
            return false;
        if (answer.status == 200)
            return answer_read(answer.body, session->arena, &session->answer, error);
        refusal_read(answer.status, answer.body, session->arena, &session->refusal);
    } while (wants_keys(session, &wanted));
    if (wants_people(session))
        return go_on_with_people(session, options, error);
    if (!options->has_no_wait && !await_room(session, options, &wanted, &answer, error))
        return false;
    if (answer.status == 200)
        return answer_read(answer.body, session->arena, &session->answer, error);
    return wants_people(session) ? go_on_with_people(session, options, error)
                                 : refused(session, error);
}

/* ---- renewing ---- */

static bool send_renewal(struct session *session, struct str token, struct fetch_answer *answer,
                         struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct broker_post post = { .path = "/token", .timeout_ms = EXCHANGE_TIMEOUT_MS };

    buf_init(&form, SESSION_FORM_MAX);
    if (!session_form_renewal(token, &form, error) ||
        !session_prove(session, session->dpop_nonce, session->arena, &post.header, error))
        return false;
    post.form = buf_str(&form);
    return broker_send(&session->broker, &post, session->arena, answer, error);
}

static bool renew_once(struct session *session, struct str token, bool *wants_nonce,
                       struct error *error)
{
    struct fetch_answer answer;

    session->refusal = (struct refusal){ 0 };
    if (!send_renewal(session, token, &answer, error))
        return false;
    session->dpop_nonce = answer.dpop_nonce;
    if (answer.status == 200)
        return answer_read_renewal(answer.body, session->arena, &session->answer, error);
    refusal_read(answer.status, answer.body, session->arena, &session->refusal);
    *wants_nonce = str_eq(session->refusal.code, STR("use_dpop_nonce"));
    return refused(session, error);
}

bool session_renew(struct session *session, struct str token, struct proof_key *take_key,
                   struct error *error)
{
    struct error first = { 0 };
    bool wants_nonce = false;

    proof_key_free(session->proof_key);
    session->proof_key = take_key;
    if (renew_once(session, token, &wants_nonce, &first))
        return true;
    if (wants_nonce)
        return renew_once(session, token, &wants_nonce, error);
    *error = first;
    return false;
}

void session_release(struct session *session, enum broker_outcome outcome)
{
    struct error error = { 0 };

    if (session->answer.handle.len == 0)
        return;
    if (!broker_release(&session->broker, session->answer.handle, outcome, session->arena, &error))
        report_line("the lease is not released, it ends at " STR_FMT ": %s",
                    STR_ARG(session->answer.expires_at), error.cause);
    session->answer.handle = (struct str){ 0 };
}
