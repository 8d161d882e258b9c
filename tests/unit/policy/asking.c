#include "asking.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/time_text.h"
#include "tests/test.h"
#include "world.h"

static struct arena *arena;
static struct answer answer;

static json_t *parse(const char *text)
{
    struct error error = { 0 };
    json_t *json = NULL;

    if (!json_parse_object(str_from(text), JSON_LIMITS_REQUEST, &json, &error) ||
        !json_keep(arena, json, &error))
        fail_msg("%s: %s", text, error.cause);
    return json;
}

static const struct policy_issuer *find_issuer(struct str name)
{
    for (size_t i = 0; i < test_world.issuer_count; i++)
        if (str_eq(test_world.issuers[i].name, name))
            return &test_world.issuers[i];
    return NULL;
}

static const json_t *facts_of(const struct asking *asking, struct str issuer, const json_t *claims)
{
    const struct policy_issuer *known = find_issuer(issuer);
    json_t *ci;

    if (asking->ci == NULL && (known == NULL || known->fill_ci == NULL))
        return NULL;
    ci = parse(asking->ci == NULL ? "{}" : asking->ci);
    if (asking->ci == NULL)
        assert_true(known->fill_ci(claims, ci));
    return ci;
}

static size_t find_dangers(struct str issuer, const struct policy_facts *facts,
                           const struct claim_danger *const **dangers)
{
    static const struct claim_danger *found[8];
    const struct policy_issuer *known = find_issuer(issuer);

    *dangers = found;
    if (known == NULL || known->dangers == NULL)
        return 0;
    return claim_dangers_find(known->dangers, facts->claims, facts->ci, found);
}

struct answer *ask(const struct policy *policy, const struct asking *asking)
{
    struct policy_request request = { .ttl_s = asking->ttl_s, .is_renewal = asking->is_renewal };
    struct policy_facts facts = { 0 };
    int64_t now_ms = 1795341600000; /* 2026-11-22T10:00:00Z */
    struct address address;
    struct str grants[4];

    ask_release();
    arena = arena_new(ARENA_REQUEST_MAX);
    assert_non_null(arena);
    facts.issuer = str_from(asking->issuer == NULL ? "github" : asking->issuer);
    facts.claims = parse(asking->claims);
    facts.ci = facts_of(asking, facts.issuer, facts.claims);
    if (asking->address != NULL) {
        assert_true(address_parse(str_from(asking->address), &address));
        facts.address = &address;
    }
    if (asking->actor != NULL)
        facts.actor = parse(asking->actor);
    facts.proofs = asking->proofs;
    facts.passes_freezes = asking->passes_freezes;
    facts.danger_count = find_dangers(facts.issuer, &facts, &facts.dangers);
    request.stage = str_from(asking->stage);
    request.audience = str_from(asking->audience);
    while (request.grant_count < 4 && asking->grants[request.grant_count] != NULL) {
        grants[request.grant_count] = str_from(asking->grants[request.grant_count]);
        request.grant_count++;
    }
    request.grants = grants;
    if (asking->at != NULL)
        assert_true(time_text_parse(str_from(asking->at), &now_ms));
    memset(&answer, 0, sizeof(answer));
    answer.is_allowed = policy_decide(policy, &facts, &request, now_ms / 1000, arena,
                                      &answer.decision, &answer.error);
    assert_int_equal(answer.is_allowed, answer.error.code == ERROR_NONE);
    return &answer;
}

const char *failed_names(const struct answer *given)
{
    static char text[1024];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < given->decision.failed_count && used < sizeof(text); i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s" STR_FMT, i > 0 ? "," : "",
                                 STR_ARG(given->decision.failed[i]));
    return text;
}

void ask_release(void)
{
    arena_free(arena);
    arena = NULL;
}
