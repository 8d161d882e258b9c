#include "exchange/release.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/time_text.h"
#include "base/token_status.h"
#include "exchange/ender.h"
#include "exchange/exchange_internal.h"
#include "keys/keys.h"

static const char *const outcome_names[] = {
    [RELEASE_UNSAID] = NULL,
    [RELEASE_SUCCESS] = "success",
    [RELEASE_FAILURE] = "failure",
};

struct release *release_new(const struct exchange_service *service, struct str token,
                            enum release_outcome outcome, struct waker waker, struct arena *arena)
{
    struct error error = { 0 };
    struct release *release = arena_alloc(arena, sizeof(*release));

    if (!release || !id_new(clock_wall_ms(), release->decision_id, &error))
        return NULL;
    release->service = service;
    release->arena = arena;
    release->waker = waker;
    release->token = token;
    release->outcome = outcome;
    return release;
}

/* Of an access token: leases have lease_end.c. */
static enum progress submit(struct release *release, json_t *entry, struct error *error)
{
    struct ledger_append *append = &release->append;

    append->entries[0] = entry;
    append->entry_count = 1;
    append->is_revocation = true;
    append->waker = release->waker;
    if (!ledger_submit(release->service->ledger, append, release->arena, error))
        return PROGRESS_FAILED;
    release->is_submitted = true;
    return PROGRESS_WAIT;
}

static enum progress end_lease(struct release *release, const struct store_lease *lease,
                               struct error *error)
{
    release->end = (struct lease_end){
        .ledger = release->service->ledger,
        .lease = *lease,
        .ending = { .type = ENTRY_LEASE_RELEASED,
                    .decision = release->decision_id,
                    .outcome = outcome_names[release->outcome] },
        .arena = release->arena,
        .waker = release->waker,
    };
    release->is_of_lease = true;
    return lease_end_walk(&release->end, error);
}

void release_token_mark(struct str jti, uint8_t mark[SHA256_LEN])
{
    sha256_2(STR("revoked "), jti, mark);
}

/* That this token was revoked: a mark of its own, so that nobody fills the ledger with one token.
 */
static bool put_mark(struct release *release, const json_t *claims, json_t *entry)
{
    struct store_guard *guard = &release->append.guards[0];
    OWNED(buf_release) struct buf text = { 0 };
    json_t *token = json_object();

    release_token_mark(json_str(json_object_get(claims, "jti")), guard->mark);
    guard->kind = STORE_GUARD_MARK_ABSENT;
    release->append.guard_count = 1;
    buf_init(&text, 64);
    buf_add_hex(&text, (struct str){ (const char *)guard->mark, sizeof(guard->mark) });
    return json_put(entry, "token", token) && buf_is_ok(&text) &&
           json_put(token, "mark", json_from_str(buf_str(&text))) &&
           json_put(token, "exp", json_incref(json_object_get(claims, "exp")));
}

/*
 * What is told of the token: lists follow from its status. Its lease is told here, and not as the
 * entry's own, which would be a change of it: it lives as before.
 */
static json_t *record_of(const struct release *release, const json_t *claims)
{
    json_t *lease = json_object_get(claims, "lease");
    struct token_status status;
    char expires[TIME_TEXT_S_LEN + 1];
    JSON_OWNED json_t *record = json_object();

    time_text_s(json_integer_value(json_object_get(claims, "exp")), expires);
    if (!json_put(record, "type", json_string("jwt")) ||
        !json_put(record, "id", json_incref(json_object_get(claims, "jti"))) ||
        (lease && !json_put(record, "lease", json_incref(lease))) ||
        !json_put(record, "expires_at", json_string(expires)))
        return NULL;
    if (token_status_of_claims(claims, release->service->tools.issuer, &status) &&
        !json_put(record, "status", token_status_record(&status)))
        return NULL;
    return TAKE(record);
}

/* An access token revokes only itself: resource servers hold it too (design.md 3.2). */
static enum progress end_token(struct release *release, struct error *error)
{
    struct error refusal = { 0 };
    JSON_OWNED json_t *claims = NULL;
    JSON_OWNED json_t *entry = NULL;
    const json_t *id;
    const json_t *stage;

    release->is_unknown = !keys_verify_own_jwt(release->service->tools.keys, release->token,
                                               "at+jwt", &claims, &refusal);
    if (release->is_unknown)
        return PROGRESS_DONE;
    id = json_object_get(claims, "jti");
    stage = json_object_get(claims, "sub");
    if (json_integer_value(json_object_get(claims, "exp")) <= clock_wall_s() || !id || !stage)
        return PROGRESS_DONE;
    entry = entry_new(ENTRY_CREDENTIAL_REVOKED, ledger_broker(release->service->ledger));
    if (!json_put(entry, "decision", json_string(release->decision_id)) ||
        !json_put(entry, "stage", json_incref(json_iterable(stage))) ||
        !put_mark(release, claims, entry) ||
        !json_put(entry, "credentials", json_pack("[o]", record_of(release, claims)))) {
        (void)error_set(error, ERROR_MEMORY, "entry");
        return PROGRESS_FAILED;
    }
    return submit(release, entry, error);
}

/* A handle that is nobody's ends nothing; where that cannot be asked nobody is told that it did. */
static enum progress end_by_handle(struct release *release, struct error *error)
{
    struct error cause = { 0 };
    uint8_t hash[SHA256_LEN];
    struct store_lease lease;

    sha256(release->token, hash);
    if (!ledger_lease_by_handle(release->service->ledger, hash, &lease, &cause)) {
        release->is_unknown = cause.code == ERROR_NOT_FOUND;
        if (release->is_unknown)
            return PROGRESS_DONE;
        *error = cause;
        return PROGRESS_FAILED;
    }
    return end_lease(release, &lease, error);
}

static enum progress begin(struct release *release, struct error *error)
{
    if (str_starts_with(release->token, STR("sph_")))
        return end_by_handle(release, error);
    return end_token(release, error);
}

enum progress release_walk(struct release *release, struct error *error)
{
    enum progress progress;

    if (release->is_of_lease) {
        progress = lease_end_walk(&release->end, error);
        release->is_recorded = release->end.is_recorded;
        if (release->is_recorded)
            ender_nudge(release->service->ender);
        return progress;
    }
    if (!release->is_submitted)
        return begin(release, error);
    release->is_recorded = release->append.is_committed;
    if (release->append.is_committed || release->append.failed_guard < release->append.guard_count)
        return PROGRESS_DONE; /* ended here, or by somebody else meanwhile */
    *error = release->append.error;
    return PROGRESS_FAILED;
}
