#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "identity/claims_internal.h"
#include "identity/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A refusal is one of those that the table has; what is accepted keeps to the rules. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct profile *profile = profile_find(STR("generic"));
    const struct issuer_options issuer = { .profile = profile,
                                           .audience = STR("broker"),
                                           .claims = profile->claims };
    const struct claims_rules rules = { &issuer, 3600, 3600, 30, 1790000000, STR("") };
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct claims_facts facts = { 0 };
    json_t *claims = NULL;
    struct error error = { 0 };

    if (arena == NULL)
        return 0;
    if (!claims_parse((struct str){ (const char *)data, size }, CLAIMS_LIMITS, "payload", arena,
                      &claims, &error) ||
        !claims_check(claims, &rules, &facts, &error)) {
        assert(error.code == ERROR_TOKEN || error.code == ERROR_TOKEN_EXPIRED ||
               error.code == ERROR_TOKEN_TOO_OLD || error.code == ERROR_TOKEN_AUDIENCE);
        return 0;
    }
    assert(facts.subject.len > 0 && facts.expires_s > facts.issued_s);
    assert(facts.expires_s + rules.leeway_s > rules.now_s);
    return 0;
}
