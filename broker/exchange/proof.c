#include <string.h>

#include "exchange/exchange_internal.h"
#include "identity/profile.h"

/* The guards of an append that uses a token. */
enum token_guard {
    GUARD_TOKEN,
    GUARD_PROOF,
};

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

void exchange_guard_token(struct exchange *exchange)
{
    struct store_guard *guards = exchange->append.guards;
    const struct exchange_proof *proof = &exchange->request.proof;

    guards[GUARD_TOKEN] = (struct store_guard){
        .kind = STORE_GUARD_MARK_USABLE,
        .uses_max = exchange->token.issuer->profile->uses,
    };
    memcpy(guards[GUARD_TOKEN].mark, exchange->token.mark, SHA256_LEN);
    (void)exchange_holder(proof, guards[GUARD_TOKEN].holder); /* without one it must be unused */
    exchange->append.guard_count = 1;
    if (!proof->dpop)
        return;
    guards[GUARD_PROOF] = (struct store_guard){ .kind = STORE_GUARD_MARK_ABSENT };
    memcpy(guards[GUARD_PROOF].mark, proof->dpop->mark, SHA256_LEN);
    exchange->append.guard_count = 2;
}

bool exchange_guard_error(size_t failed_guard, struct error *error)
{
    if (failed_guard == GUARD_PROOF)
        return error_set(error, ERROR_DPOP, "the proof was shown before");
    return error_set(error, ERROR_TOKEN_USED, "the token was used before");
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
