#include <string.h>

#include "exchange/exchange_internal.h"
#include "identity/profile.h"

bool exchange_holder(const struct exchange_proof *proof, uint8_t holder[STORE_HOLDER_LEN])
{
    const char *key = proof->dpop ? proof->dpop->thumbprint : proof->certificate;
    uint8_t digest[SHA256_LEN];

    memset(holder, 0, STORE_HOLDER_LEN);
    if (!key)
        return false;
    sha256_2(proof->dpop ? STR("dpop ") : STR("mtls "), str_from(key), digest);
    memcpy(holder, digest, STORE_HOLDER_LEN);
    return true;
}

static void guard_proof(struct exchange *exchange)
{
    struct ledger_append *append = &exchange->append;
    const struct dpop_proof *dpop = exchange->request.proof.dpop;
    struct store_guard *guard;

    if (!dpop)
        return;
    guard = &append->guards[append->guard_count++];
    *guard = (struct store_guard){ .kind = STORE_GUARD_MARK_ABSENT };
    memcpy(guard->mark, dpop->mark, SHA256_LEN);
}

void exchange_guard_token(struct exchange *exchange)
{
    struct ledger_append *append = &exchange->append;
    const struct exchange_proof *proof = &exchange->request.proof;
    struct store_guard *guard = &append->guards[0];

    *guard = (struct store_guard){
        .kind = STORE_GUARD_MARK_USABLE,
        .uses_max = exchange->token.issuer->profile->uses,
    };
    memcpy(guard->mark, exchange->token.mark, SHA256_LEN);
    (void)exchange_holder(proof, guard->holder); /* without one it must be unused */
    append->guard_count = 1;
    append->entry_count = 0;
    guard_proof(exchange);
}

void exchange_guard_proof(struct exchange *exchange)
{
    exchange->append.guard_count = 0;
    exchange->append.entry_count = 0;
    guard_proof(exchange);
}

unsigned exchange_proofs(const struct exchange *exchange)
{
    const struct exchange_proof *proof = &exchange->request.proof;
    unsigned bits = 0;

    if (proof->dpop)
        bits |= (unsigned)POLICY_PROOF_DPOP;
    if (proof->certificate)
        bits |= (unsigned)POLICY_PROOF_MTLS;
    if (exchange->token.is_key_bound)
        bits |= (unsigned)POLICY_PROOF_KEY;
    return bits;
}

bool exchange_check_binding(const struct exchange *exchange, const struct issuer_options *issuer,
                            struct error *error)
{
    const struct exchange_proof *proof = &exchange->request.proof;

    if (issuer->binding == IDENTITY_BIND_DPOP && !proof->dpop)
        return error_set(error, ERROR_TOKEN, "issuer " STR_FMT ": its tokens need a DPoP proof",
                         STR_ARG(issuer->name));
    if (issuer->binding == IDENTITY_BIND_MTLS && !proof->certificate)
        return error_set(error, ERROR_TOKEN,
                         "issuer " STR_FMT ": its tokens need a client certificate",
                         STR_ARG(issuer->name));
    return true;
}
