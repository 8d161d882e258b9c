#include "identity/people.h"

#include "api/api_internal.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metrics.h"
#include "exchange/rules.h"
#include "ledger/entry.h"

#define BEARER_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="

/* A person on the way through the door; in the request's arena. */
struct entrance {
    struct rules_table *table;
    struct rules *rules;
    struct str token;
    void *verification;
    struct verified_token verified;
    struct person person;
};

static void release_entrance(void *object)
{
    struct entrance *entrance = object;

    rules_put(entrance->table, entrance->rules);
}

static struct entrance *entrance_new(const struct api *api, struct arena *arena)
{
    struct entrance *entrance = arena_alloc(arena, sizeof(*entrance));

    if (!entrance)
        return NULL;
    entrance->table = api->service->rules;
    entrance->rules = rules_get(entrance->table);
    return arena_defer(arena, release_entrance, entrance) ? entrance : NULL;
}

static bool read_token(const struct http_request *request, const struct entrance *entrance,
                       struct str *token, struct error *error)
{
    if (!bearer_get(request, token, error))
        return false;
    if (!str_is_made_of(*token, BEARER_CHARACTERS))
        return error_set(error, ERROR_UNAUTHORIZED, "the bearer token is none");
    if (!entrance->rules->people)
        return error_set(error, ERROR_UNAUTHORIZED, "no provider of people is configured");
    return true;
}

static struct entrance *begin(struct http_request *request, const struct api *api,
                              struct error *error)
{
    struct entrance *entrance = entrance_new(api, request->arena);

    if (!entrance) {
        (void)error_set(error, ERROR_MEMORY, "entrance");
        return NULL;
    }
    return api_has_budget(request, api, error) &&
                   read_token(request, entrance, &entrance->token, error)
               ? entrance
               : NULL;
}

static enum progress verify(struct http_request *request, struct entrance *entrance,
                            struct error *error)
{
    struct identity_input input = { .token = entrance->token, .now_s = clock_wall_s() };
    enum progress progress =
        identity_verify(entrance->rules->people_identity, &input, request->arena,
                        http_waker(request), &entrance->verification, &entrance->verified, error);

    if (progress != PROGRESS_DONE)
        return progress;
    return person_from_token(entrance->rules->people, &entrance->verified, request->arena,
                             &entrance->person, error)
               ? PROGRESS_DONE
               : PROGRESS_FAILED;
}

/* What of a refusal is told: that the token is no good, not why. */
static enum error_code told(enum error_code code)
{
    return code == ERROR_MEMORY || code == ERROR_KEYS_UNAVAILABLE || code == ERROR_ROLE ||
                   code == ERROR_BUSY
               ? code
               : ERROR_UNAUTHORIZED;
}

/* RFC 6750 3: without a credential the challenge has no error. */
static void challenge(struct http_request *request, enum error_code code)
{
    struct str ignored;

    if (code == ERROR_ROLE)
        http_add_header(request, "WWW-Authenticate", STR("Bearer error=\"insufficient_scope\""));
    else if (code == ERROR_UNAUTHORIZED)
        http_add_header(request, "WWW-Authenticate",
                        http_header_get(request, "Authorization", &ignored) == 0
                            ? STR("Bearer")
                            : STR("Bearer error=\"invalid_token\""));
}

enum progress people_refuse(struct http_request *request, const struct error *why)
{
    struct error error = { 0 };
    struct log_line line;

    metric_add(METRIC_PEOPLE_REFUSED, 1);
    log_begin(&line, LOG_LEVEL_INFO, "people.refused");
    log_str(&line, "path", request->path);
    log_error(&line, why);
    log_end(&line);
    (void)error_set(&error, told(why->code), "%s", why->cause);
    challenge(request, error.code);
    return http_answer_problem(request, &error);
}

enum progress people_authorize(struct http_request *request, unsigned roles, void *context)
{
    struct entrance *entrance = request->state;
    struct error error = { 0 };
    enum progress progress;

    /* Whoever was asked may be at work on it: only its waker gives it back. */
    if (request->is_abandoned && !request->is_woken)
        return identity_forget(entrance->rules->people_identity, http_waker(request).context)
                   ? PROGRESS_DONE
                   : PROGRESS_WAIT;
    if (request->is_abandoned)
        return PROGRESS_DONE;
    if (!entrance)
        entrance = begin(request, context, &error);
    if (!entrance)
        return people_refuse(request, &error);
    request->state = entrance;
    progress = verify(request, entrance, &error);
    if (progress == PROGRESS_WAIT)
        return progress;
    if (progress == PROGRESS_DONE && (entrance->person.roles & roles) == 0)
        (void)error_set(&error, ERROR_ROLE, "a person without such a role");
    if (error.code != ERROR_NONE && told(error.code) == ERROR_UNAUTHORIZED)
        api_charge_address(request, context);
    if (error.code != ERROR_NONE)
        return people_refuse(request, &error);
    request->caller = &entrance->person;
    return PROGRESS_DONE;
}

static bool put_personal(json_t *actor, const char *name, struct str value, json_t *private_part,
                         struct error *error)
{
    JSON_OWNED json_t *text = json_from_str(value);

    return value.len == 0 || entry_put_personal(actor, "actor", name, text, private_part, error);
}

bool people_put_actor(const struct person *person, json_t *entry, json_t *private_part,
                      struct error *error)
{
    json_t *actor = json_object();

    if (!json_put(entry, "actor", actor) || !json_put(actor, "issuer", json_string(PEOPLE_ISSUER)))
        return error_set(error, ERROR_MEMORY, "entry");
    return put_personal(actor, "subject", person->subject, private_part, error) &&
           put_personal(actor, "email", person->email, private_part, error);
}
