#include "exchange/registry.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "exchange/rules.h"
#include "keys/keys.h"
#include "ledger/ledger.h"
#include "targets/registry_token.h"

/* The lease of a password, as long as it lives. */
static bool find_lease(struct ledger *ledger, const struct registry_password *password,
                       int64_t now_s, struct store_lease *lease, struct error *error)
{
    struct error why = { 0 };

    if (!ledger_lease_by_id(ledger, password->lease, lease, &why)) {
        if (why.code == ERROR_NOT_FOUND)
            return error_set(error, ERROR_UNAUTHORIZED, "the password's lease is not there");
        *error = why;
        return false;
    }
    return (lease->state == LEASE_ISSUED && lease->expires_s > now_s) ||
           error_set(error, ERROR_UNAUTHORIZED, "the password's lease has ended");
}

/* The target that the password is of, as it is configured now. */
static bool find_target(const struct rules *rules, const struct registry_password *password,
                        struct str service, const struct target **target, struct error *error)
{
    *target = rules_target(rules, password->target);
    return (*target && str_eq(service, password->service) &&
            registry_is_service(*target, service)) ||
           error_set(error, ERROR_TARGET, "a password for another registry");
}

static bool read_scopes(const struct registry_request *request, struct registry_scopes *scopes,
                        struct error *error)
{
    scopes->count = 0;
    for (size_t i = 0; i < request->scope_count; i++)
        if (!registry_scopes_add(scopes, request->scopes[i], error))
            return false;
    return true;
}

static bool sign(const struct exchange_service *service, struct registry_token *token,
                 struct arena *arena, struct registry_answer *answer, struct error *error)
{
    if (!token->access)
        return error_set(error, ERROR_MEMORY, "no memory for a registry's access");
    if (!registry_token_sign(&service->tools, token, arena, error))
        return false;
    *answer = (struct registry_answer){
        .token = token->text,
        .stage = arena_copy(arena, token->stage),
        .lease = arena_copy(arena, token->lease),
        .jti = arena_copy(arena, str_from(token->jti)),
        .access_count = json_array_size(token->access),
        .issued_s = token->now_s,
        .expires_s = token->expires_s,
    };
    return (answer->stage.data && answer->lease.data && answer->jti.data) ||
           error_set(error, ERROR_MEMORY, "no memory for a registry's token");
}

static bool answer_with(const struct exchange_service *service, const struct rules *rules,
                        const struct registry_request *request, struct arena *arena,
                        struct registry_answer *answer, struct error *error)
{
    OWNED(registry_password_release) struct registry_password password = { 0 };
    JSON_OWNED json_t *access = NULL;
    struct registry_token token = { .now_s = clock_wall_s() };
    struct registry_scopes *scopes = arena_alloc(arena, sizeof(*scopes));
    struct store_lease lease;

    if (!scopes)
        return error_set(error, ERROR_MEMORY, "no memory for scopes");
    if (!registry_password_verify(&service->tools, request->password, token.now_s, arena, &password,
                                  error))
        return false;
    if (request->username.len > 0 && !str_eq(request->username, password.lease))
        return error_set(error, ERROR_UNAUTHORIZED, "a password of another lease");
    if (!find_lease(service->ledger, &password, token.now_s, &lease, error) ||
        !find_target(rules, &password, request->service, &token.target, error) ||
        !read_scopes(request, scopes, error))
        return false;
    token.ends_s = password.expires_s < lease.expires_s ? password.expires_s : lease.expires_s;
    access = registry_access_narrow(password.access, scopes);
    token.stage = password.stage;
    token.lease = password.lease;
    token.access = access;
    return sign(service, &token, arena, answer, error);
}

static bool give(struct registry_call *call, struct error *error)
{
    struct rules *rules = rules_get(call->service->rules);
    bool is_given =
        answer_with(call->service, rules, &call->request, call->arena, &call->answer, error);

    rules_put(call->service->rules, rules);
    return is_given;
}

/* On a worker. */
static void give_there(struct worker_job *job)
{
    struct registry_call *call = (struct registry_call *)job;
    struct waker waker = call->waker;

    call->is_given = give(call, &call->error);
    waker.wake(waker.context); /* from here on the call is not ours */
}

static enum progress start(struct registry_call *call, struct error *error)
{
    struct error busy = { 0 };

    call->job.run = give_there;
    call->is_started = true;
    if (workers_submit(call->service->tools.signers, &call->job, &busy))
        return PROGRESS_WAIT;
    (void)error_set(error, ERROR_KEYS_UNAVAILABLE, "no signature: %s", busy.cause);
    return PROGRESS_FAILED;
}

enum progress registry_answer(struct registry_call *call, struct error *error)
{
    if (!call->is_started && keys_may_block(call->service->tools.keys))
        return start(call, error);
    if (!call->is_started)
        call->is_given = give(call, &call->error);
    if (!call->is_given)
        *error = call->error;
    return call->is_given ? PROGRESS_DONE : PROGRESS_FAILED;
}
