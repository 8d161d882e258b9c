#include "exchange/renewal.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/json.h"
#include "exchange/exchange_internal.h"
#include "exchange/kept.h"
#include "exchange/refresh_token.h"

/* With so many others at one lease at the same time somebody else can try again. */
#define LOOKS_MAX 64

#define RULE_PREFIX "sha256:"

static struct renewal_holder holder_of(const struct kept *kept, const struct exchange_proof *proof)
{
    if (!kept)
        return (struct renewal_holder){ 0 };
    return (struct renewal_holder){ kept->thumbprint || kept->certificate,
                                    kept_is_held(kept, proof) };
}

enum renewal_verdict renewal_judge(const struct store_lease *lease, uint16_t number,
                                   struct renewal_holder holder, int64_t now_s)
{
    if (lease->state != LEASE_ISSUED || lease->expires_s <= now_s || number == 0)
        return RENEWAL_IS_REFUSED;
    if (number > lease->renewal)
        return number == lease->renewal + 1 && holder.is_held ? RENEWAL_GOES_ON
                                                              : RENEWAL_IS_REFUSED;
    if (number < lease->renewal || now_s - lease->renewed_s > RENEWAL_REPEAT_S)
        return RENEWAL_IS_THEFT;
    if (!holder.is_bound)
        return RENEWAL_IS_REFUSED; /* its answer may have been lost, or somebody else has it */
    return holder.is_held ? RENEWAL_GOES_ON : RENEWAL_IS_THEFT;
}

/* ---- the rooms of an exchange ---- */

void renewal_guard(struct exchange *exchange)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;
    const struct dpop_proof *dpop = exchange->request.proof.dpop;
    struct ledger_append *append = &exchange->append;

    append->guards[0] = (struct store_guard){
        .kind = STORE_GUARD_LEASE,
        .state = renewal->lease.state,
        .version = renewal->lease.version,
    };
    memcpy(append->guards[0].lease_id, renewal->lease.id, sizeof(append->guards[0].lease_id));
    append->guard_count = 1;
    append->entry_count = 0;
    if (!dpop || exchange->has_intent)
        return;
    append->guards[1] = (struct store_guard){ .kind = STORE_GUARD_MARK_ABSENT };
    memcpy(append->guards[1].mark, dpop->mark, SHA256_LEN);
    append->guard_count = 2;
}

bool renewal_look_again(struct exchange *exchange)
{
    struct exchange_renewal *renewal = exchange->request.renewal;
    struct error ignored = { 0 };

    return renewal->looks++ < LOOKS_MAX &&
           ledger_lease_by_id(exchange->service->ledger, (struct str){ exchange->lease_id, ID_LEN },
                              &renewal->lease, &ignored);
}

bool renewal_was_overtaken(struct exchange *exchange)
{
    const struct store_guard *guard = exchange_failed_guard(exchange);
    struct exchange_renewal *renewal = exchange->request.renewal;

    if (!renewal || !guard || guard->kind != STORE_GUARD_LEASE || !renewal_look_again(exchange))
        return false;
    exchange->block_looks = 0; /* these are counted by themselves */
    return renewal_judge(&renewal->lease, renewal->number,
                         holder_of(exchange->request.kept, &exchange->request.proof),
                         clock_wall_s()) == RENEWAL_GOES_ON;
}

void renewal_intended(struct exchange *exchange)
{
    struct exchange_renewal *renewal = exchange->request.renewal;

    /* What comes of it stands for the intent, and names what was there before that. */
    if (renewal)
        renewal->lease.version++;
}

const uint8_t *renewal_proves(const struct exchange *exchange)
{
    const struct exchange_renewal *renewal = exchange->request.renewal;

    return renewal && renewal->details_sha256 ? renewal->details_sha256 : exchange->token.sha256;
}

/* ---- what is asked ---- */

static bool has_word(struct str words, struct str wanted)
{
    while (words.len > 0) {
        struct str word;

        (void)str_cut(words, ' ', &word, &words);
        if (str_eq(word, wanted))
            return true;
    }
    return false;
}

/* With an audience the words are that token's scopes; where none were asked for it had all. */
static bool was_given(const struct kept *kept, struct str word)
{
    if (kept->request.audience.len > 0)
        return kept->request.scope.len == 0 || has_word(kept->request.scope, word);
    for (size_t i = 0; i < kept->grant_count; i++)
        if (str_eq(kept->grants[i], word))
            return true;
    return false;
}

static bool check_scope(const struct kept *kept, struct str rest, struct error *error)
{
    while (rest.len > 0) {
        struct str word;

        (void)str_cut(rest, ' ', &word, &rest);
        if (!was_given(kept, word))
            return error_set(error, ERROR_SCOPE, "more than was given at first");
    }
    return true;
}

/* Of the details that were kept, those of grants that are asked for now. */
static bool narrow_details(struct renewal *renewal, struct exchange_request *request,
                           struct error *error)
{
    json_t *details;

    if (!request->details || request->audience.len > 0 || renewal->asked.scope.len == 0)
        return true;
    details = json_array();
    if (!details || !json_keep(renewal->arena, details, error))
        return error_set(error, ERROR_MEMORY, "details");
    for (size_t i = 0; i < json_array_size(request->details); i++) {
        json_t *detail = json_array_get(request->details, i);

        if (has_word(renewal->asked.scope, json_str(json_object_get(detail, "grant"))) &&
            json_array_append(details, detail) != 0)
            return error_set(error, ERROR_MEMORY, "details");
    }
    request->details = details;
    return true;
}

/* Fresh details are proven for the token that they come with; kept ones were proven. */
static bool take_details(struct renewal *renewal, struct exchange_request *request,
                         struct error *error)
{
    uint8_t *digest;

    if (!renewal->asked.details)
        return narrow_details(renewal, request, error);
    digest = arena_alloc(renewal->arena, SHA256_LEN);
    if (!digest)
        return error_set(error, ERROR_MEMORY, "details");
    sha256(renewal->token, digest);
    renewal->going_on.details_sha256 = digest;
    request->details = renewal->asked.details;
    return true;
}

static bool begin_exchange(struct renewal *renewal, const struct kept *kept, struct error *error)
{
    const struct exchange_request *asked = &renewal->asked;
    struct exchange_request request = kept->request;

    if (!check_scope(kept, asked->scope, error) || !take_details(renewal, &request, error))
        return false;
    if (asked->scope.len > 0)
        request.scope = asked->scope;
    if (asked->ttl_s > 0 && (request.ttl_s == 0 || asked->ttl_s < request.ttl_s))
        request.ttl_s = asked->ttl_s;
    request.proof = asked->proof;
    request.address = asked->address;
    request.renewal = &renewal->going_on;
    renewal->exchange = exchange_new(renewal->service, &request, renewal->waker, renewal->arena);
    return renewal->exchange || error_set(error, ERROR_MEMORY, "exchange");
}

/* ---- the end of a lease whose token is in other hands ---- */

static bool put_facts(struct renewal *renewal, struct error *error)
{
    const struct exchange_request *asked = &renewal->asked;
    char text[ADDRESS_TEXT_MAX];
    JSON_OWNED json_t *address = NULL;

    if (asked->proof.dpop &&
        !json_put(renewal->facts, "jkt", json_string(asked->proof.dpop->thumbprint)))
        return error_set(error, ERROR_MEMORY, "facts");
    if (asked->address.len == 0)
        return true;
    address_text(&asked->address, text);
    address = json_string(text);
    return entry_put_personal(renewal->facts, "facts", "address", address, renewal->private_part,
                              error);
}

static bool begin_end(struct renewal *renewal, struct error *error)
{
    renewal->end = arena_alloc(renewal->arena, sizeof(*renewal->end));
    renewal->facts = json_object();
    renewal->private_part = json_object();
    if (!renewal->end || !json_keep(renewal->arena, renewal->facts, error) ||
        !json_keep(renewal->arena, renewal->private_part, error))
        return error_set(error, ERROR_MEMORY, "the lease's end");
    *renewal->end = (struct lease_end){
        .ledger = renewal->service->ledger,
        .lease = renewal->going_on.lease,
        .ending = { .type = ENTRY_LEASE_REVOKED,
                    .decision = renewal->decision_id,
                    .reason = "refresh_reuse",
                    .facts = renewal->facts,
                    .private_part = renewal->private_part },
        .arena = renewal->arena,
        .waker = renewal->waker,
    };
    return put_facts(renewal, error);
}

static enum progress go_on_ending(struct renewal *renewal, struct error *error)
{
    enum progress progress = lease_end_walk(renewal->end, error);

    if (progress != PROGRESS_DONE)
        return progress;
    (void)error_set(error, ERROR_REFRESH, "an older token of lease %s came again: %s",
                    renewal->going_on.lease.id,
                    renewal->end->is_recorded ? "the lease ended" : "the lease had ended");
    return PROGRESS_FAILED;
}

/* ---- looking ---- */

struct renewal *renewal_new(const struct exchange_service *service, struct str token,
                            const struct exchange_request *asked, struct waker waker,
                            struct arena *arena)
{
    struct error error = { 0 };
    struct renewal *renewal = arena_alloc(arena, sizeof(*renewal));

    if (!renewal || !id_new(clock_wall_ms(), renewal->decision_id, &error))
        return NULL;
    renewal->service = service;
    renewal->arena = arena;
    renewal->waker = waker;
    renewal->token = token;
    renewal->asked = *asked;
    return renewal;
}

/* Whatever is wrong with a token, or gone, is one answer; only where nobody can say it is not. */
static bool refuse(const struct error *why, struct error *error)
{
    enum error_code code = why->code;

    if (code != ERROR_MEMORY && code != ERROR_LEDGER)
        code = ERROR_REFRESH;
    return error_set(error, code, "%s", why->cause);
}

static bool find_lease(struct renewal *renewal, struct error *error)
{
    struct exchange_renewal *going_on = &renewal->going_on;
    struct refresh_token token;
    struct error why = { 0 };

    if (!refresh_token_read(renewal->service->tools.keys, renewal->token, &token))
        return error_set(error, ERROR_REFRESH, "none of ours");
    going_on->number = token.renewal;
    return ledger_lease_by_id(renewal->service->ledger, str_from(token.lease_id), &going_on->lease,
                              &why) ||
           refuse(&why, error);
}

/* The rule under which the lease was approved stands in the entry that opened it. */
static bool read_approval(struct renewal *renewal, struct str text, struct error *why)
{
    struct str rule;
    uint8_t *digest;
    json_t *entry;

    if (!entry_parse(text, &entry, why) || !json_keep(renewal->arena, entry, why))
        return false;
    rule = json_str(json_object_get(entry, "rule"));
    if (!json_object_get(entry, "approval") || !str_starts_with(rule, STR(RULE_PREFIX)) ||
        rule.len != sizeof(RULE_PREFIX) - 1 + (size_t)2 * SHA256_LEN)
        return true;
    digest = arena_alloc(renewal->arena, SHA256_LEN);
    if (!digest)
        return error_set(why, ERROR_MEMORY, "rule");
    if (hex_decode(str_slice(rule, sizeof(RULE_PREFIX) - 1, rule.len), digest))
        renewal->going_on.approved_rule = digest;
    return true;
}

/* NULL where it is not there any more. */
static bool find_kept(struct renewal *renewal, const struct kept **kept, struct error *why)
{
    const struct store_lease *lease = &renewal->going_on.lease;
    struct str entry;
    struct str private_part;

    *kept = NULL;
    if (ledger_entry_with_private(renewal->service->ledger, lease->opened_index, renewal->arena,
                                  &entry, &private_part, why) &&
        read_approval(renewal, entry, why) &&
        kept_open(renewal->service->tools.keys, private_part, (struct str){ lease->id, ID_LEN },
                  renewal->arena, kept, why))
        return true;
    return why->code != ERROR_MEMORY && why->code != ERROR_LEDGER && why->code != ERROR_IO;
}

static bool begin(struct renewal *renewal, struct error *error)
{
    const struct exchange_renewal *going_on = &renewal->going_on;
    const struct kept *kept;
    struct error why = { 0 };
    enum renewal_verdict verdict;

    if (!find_lease(renewal, error))
        return false;
    if (!find_kept(renewal, &kept, &why))
        return error_set(error, why.code, "%s", why.cause);
    verdict = renewal_judge(&going_on->lease, going_on->number,
                            holder_of(kept, &renewal->asked.proof), clock_wall_s());
    if (verdict == RENEWAL_IS_THEFT)
        return begin_end(renewal, error);
    if (verdict == RENEWAL_GOES_ON)
        return begin_exchange(renewal, kept, error);
    return error_set(error, ERROR_REFRESH, "lease %s: not by this token, its state is %d%s%s",
                     going_on->lease.id, (int)going_on->lease.state, why.cause[0] ? ": " : "",
                     why.cause);
}

/*
 * What fails here has worked at first: a grant that is not there any more is the policy's no, and
 * whoever is not known any more has no lease to renew.
 */
static const struct {
    enum error_code code;
    enum error_code told;
} tellings[] = {
    { ERROR_TOKEN, ERROR_REFRESH },    { ERROR_ACTOR, ERROR_REFRESH },
    { ERROR_STAGE, ERROR_CONDITION },  { ERROR_SCOPE, ERROR_CONDITION },
    { ERROR_TARGET, ERROR_CONDITION },
};

static void tell(const struct error *why, struct error *error)
{
    enum error_code code = why->code;

    for (size_t i = 0; i < COUNT(tellings); i++)
        if (tellings[i].code == why->code)
            code = tellings[i].told;
    (void)error_set(error, code, "%s", why->cause);
}

enum progress renewal_walk(struct renewal *renewal, struct error *error)
{
    struct error why = { 0 };
    enum progress progress;

    if (!renewal->exchange && !renewal->end && !begin(renewal, error))
        return PROGRESS_FAILED;
    if (renewal->end)
        return go_on_ending(renewal, error);
    progress = exchange_walk(renewal->exchange, &why);
    if (progress == PROGRESS_FAILED)
        tell(&why, error);
    return progress;
}
