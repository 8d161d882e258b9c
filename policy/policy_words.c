#include "base/json.h"
#include "policy/policy_loader.h"

/* The language's words, and where each may stand. In a grant its kind does, too: the world's. */
static const struct word {
    enum policy_place place;
    const char *name;
} words[] = {
    { POLICY_PLACE_DOCUMENT, "pipeline" },
    { POLICY_PLACE_DOCUMENT, "sets" },
    { POLICY_PLACE_DOCUMENT, "template" },
    { POLICY_PLACE_DOCUMENT, "guardrails" },

    { POLICY_PLACE_TEMPLATE, "template" },
    { POLICY_PLACE_TEMPLATE, "parameters" },
    { POLICY_PLACE_TEMPLATE, "stage" },

    { POLICY_PLACE_PIPELINE, "pipeline" },
    { POLICY_PLACE_PIPELINE, "tenant" },
    { POLICY_PLACE_PIPELINE, "owner" },
    { POLICY_PLACE_PIPELINE, "review_by" },
    { POLICY_PLACE_PIPELINE, "identity" },
    { POLICY_PLACE_PIPELINE, "when" },
    { POLICY_PLACE_PIPELINE, "unless" },
    { POLICY_PLACE_PIPELINE, "stages" },
    { POLICY_PLACE_PIPELINE, "tests" },

    { POLICY_PLACE_STAGE, "kind" },
    { POLICY_PLACE_STAGE, "environment" },
    { POLICY_PLACE_STAGE, "when" },
    { POLICY_PLACE_STAGE, "unless" },
    { POLICY_PLACE_STAGE, "grants" },
    { POLICY_PLACE_STAGE, "after" },
    { POLICY_PLACE_STAGE, "during" },
    { POLICY_PLACE_STAGE, "approval" },
    { POLICY_PLACE_STAGE, "limits" },
    { POLICY_PLACE_STAGE, "lease" },
    { POLICY_PLACE_STAGE, "proof" },
    { POLICY_PLACE_STAGE, "from" },
    { POLICY_PLACE_STAGE, "until" },
    { POLICY_PLACE_STAGE, "instance" },
    { POLICY_PLACE_STAGE, "use" },
    { POLICY_PLACE_STAGE, "with" },

    { POLICY_PLACE_AFTER, "stage" },
    { POLICY_PLACE_AFTER, "same" },
    { POLICY_PLACE_AFTER, "within" },
    { POLICY_PLACE_AFTER, "outcome" },

    { POLICY_PLACE_APPROVAL, "by" },
    { POLICY_PLACE_APPROVAL, "count" },
    { POLICY_PLACE_APPROVAL, "within" },
    { POLICY_PLACE_APPROVAL, "wait" },
    { POLICY_PLACE_APPROVAL, "bind" },
    { POLICY_PLACE_APPROVAL, "self_approval" },

    { POLICY_PLACE_LIMITS, "per_job" },
    { POLICY_PLACE_LIMITS, "concurrent" },
    { POLICY_PLACE_LIMITS, "full" },
    { POLICY_PLACE_LIMITS, "per_hour" },

    { POLICY_PLACE_LEASE, "max" },
    { POLICY_PLACE_LEASE, "heartbeat" },

    { POLICY_PLACE_GRANT, "ttl" },
    { POLICY_PLACE_GRANT, "until" },

    { POLICY_PLACE_TEST, "name" },
    { POLICY_PLACE_TEST, "claims" },
    { POLICY_PLACE_TEST, "base" },
    { POLICY_PLACE_TEST, "without" },
    { POLICY_PLACE_TEST, "issuer" },
    { POLICY_PLACE_TEST, "address" },
    { POLICY_PLACE_TEST, "actor" },
    { POLICY_PLACE_TEST, "proof" },
    { POLICY_PLACE_TEST, "stage" },
    { POLICY_PLACE_TEST, "expect" },
    { POLICY_PLACE_TEST, "because" },
    { POLICY_PLACE_TEST, "grants" },
    { POLICY_PLACE_TEST, "ttl" },
    { POLICY_PLACE_TEST, "at" },

    { POLICY_PLACE_GUARDRAILS, "ttl" },
    { POLICY_PLACE_GUARDRAILS, "forbid" },
    { POLICY_PLACE_GUARDRAILS, "separate" },
    { POLICY_PLACE_GUARDRAILS, "require" },
    { POLICY_PLACE_GUARDRAILS, "freeze" },
    { POLICY_PLACE_GUARDRAILS, "exceptions" },

    { POLICY_PLACE_LIVES, "build" },
    { POLICY_PLACE_LIVES, "test" },
    { POLICY_PLACE_LIVES, "release" },
    { POLICY_PLACE_LIVES, "deploy" },
    { POLICY_PLACE_LIVES, "maintenance" },
    { POLICY_PLACE_LIVES, "agent" },

    { POLICY_PLACE_TTL, "name" },
    { POLICY_PLACE_TTL, "for" },
    { POLICY_PLACE_TTL, "mode" },
    { POLICY_PLACE_TTL, "build" },
    { POLICY_PLACE_TTL, "test" },
    { POLICY_PLACE_TTL, "release" },
    { POLICY_PLACE_TTL, "deploy" },
    { POLICY_PLACE_TTL, "maintenance" },
    { POLICY_PLACE_TTL, "agent" },

    { POLICY_PLACE_FORBID, "name" },
    { POLICY_PLACE_FORBID, "for" },
    { POLICY_PLACE_FORBID, "mode" },
    { POLICY_PLACE_FORBID, "except" },

    { POLICY_PLACE_FORBIDDEN_KIND, "jwt" },
    { POLICY_PLACE_FORBIDDEN_KIND, "ssh" },
    { POLICY_PLACE_FORBIDDEN_KIND, "x509" },
    { POLICY_PLACE_FORBIDDEN_KIND, "aws" },
    { POLICY_PLACE_FORBIDDEN_KIND, "gcp" },
    { POLICY_PLACE_FORBIDDEN_KIND, "azure" },
    { POLICY_PLACE_FORBIDDEN_KIND, "kubernetes" },
    { POLICY_PLACE_FORBIDDEN_KIND, "registry" },
    { POLICY_PLACE_FORBIDDEN_KIND, "postgres" },
    { POLICY_PLACE_FORBIDDEN_KIND, "github" },
    { POLICY_PLACE_FORBIDDEN_KIND, "gitlab" },
    { POLICY_PLACE_FORBIDDEN_KIND, "vault" },

    { POLICY_PLACE_SEPARATE, "name" },
    { POLICY_PLACE_SEPARATE, "for" },
    { POLICY_PLACE_SEPARATE, "mode" },
    { POLICY_PLACE_SEPARATE, "kinds" },
    { POLICY_PLACE_SEPARATE, "from" },
    { POLICY_PLACE_SEPARATE, "principals" },

    { POLICY_PLACE_REQUIRE, "name" },
    { POLICY_PLACE_REQUIRE, "for" },
    { POLICY_PLACE_REQUIRE, "mode" },
    { POLICY_PLACE_REQUIRE, "when" },
    { POLICY_PLACE_REQUIRE, "proof" },
    { POLICY_PLACE_REQUIRE, "from" },
    { POLICY_PLACE_REQUIRE, "limits" },
    { POLICY_PLACE_REQUIRE, "approval" },
    { POLICY_PLACE_REQUIRE, "review_by" },
    { POLICY_PLACE_REQUIRE, "lease" },

    { POLICY_PLACE_REQUIRED_LIMITS, "per_job" },
    { POLICY_PLACE_REQUIRED_LIMITS, "concurrent" },
    { POLICY_PLACE_REQUIRED_LIMITS, "per_hour" },

    { POLICY_PLACE_REQUIRED_APPROVAL, "count" },

    { POLICY_PLACE_REQUIRED_REVIEW, "grace" },

    { POLICY_PLACE_REQUIRED_LEASE, "max" },

    { POLICY_PLACE_FREEZE, "name" },
    { POLICY_PLACE_FREEZE, "for" },
    { POLICY_PLACE_FREEZE, "mode" },
    { POLICY_PLACE_FREEZE, "from" },
    { POLICY_PLACE_FREEZE, "to" },

    { POLICY_PLACE_EXCEPTION, "from" },
    { POLICY_PLACE_EXCEPTION, "pipeline" },
    { POLICY_PLACE_EXCEPTION, "stage" },
    { POLICY_PLACE_EXCEPTION, "until" },
    { POLICY_PLACE_EXCEPTION, "why" },

    { POLICY_PLACE_REACH, "environment" },
    { POLICY_PLACE_REACH, "kind" },
    { POLICY_PLACE_REACH, "tenant" },
    { POLICY_PLACE_REACH, "target" },

    { POLICY_PLACE_EXCEPT, "environment" },
    { POLICY_PLACE_EXCEPT, "kind" },
    { POLICY_PLACE_EXCEPT, "tenant" },
    { POLICY_PLACE_EXCEPT, "target" },
    { POLICY_PLACE_EXCEPT, "approval" },
};

#define NAMES_MAX 64

const struct policy_grant_kind *policy_kind_find(const struct policy_world *world, const char *name)
{
    for (size_t i = 0; i < world->kind_count; i++)
        if (str_eq(str_from(world->kinds[i]->name), str_from(name)))
            return world->kinds[i];
    return NULL;
}

static const struct word *find_word(enum policy_place place, const char *name)
{
    for (size_t i = 0; i < COUNT(words); i++)
        if (words[i].place == place && str_eq(str_from(words[i].name), str_from(name)))
            return &words[i];
    return NULL;
}

const char *policy_words_at(enum policy_place place, size_t index)
{
    for (size_t i = 0; i < COUNT(words); i++)
        if (words[i].place == place && index-- == 0)
            return words[i].name;
    return NULL;
}

bool policy_words_has(enum policy_place place, const char *name)
{
    return find_word(place, name) != NULL;
}

/* Add the kinds of grants: those of the language, then those that only this world has. */
static size_t add_kinds(const struct policy_world *world, enum policy_place place,
                        const char *names[NAMES_MAX + 1], size_t count)
{
    for (size_t i = 0; place == POLICY_PLACE_FORBIDDEN_KIND && i < COUNT(words); i++)
        if (words[i].place == place)
            names[count++] = words[i].name;
    for (size_t i = 0; i < world->kind_count; i++)
        if (count < NAMES_MAX && find_word(place, world->kinds[i]->name) == NULL)
            names[count++] = world->kinds[i]->name;
    return count;
}

bool policy_words_check(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map)
{
    const char *names[NAMES_MAX + 1] = { NULL };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(words); i++)
        if (words[i].place == place)
            names[count++] = words[i].name;
    if (place == POLICY_PLACE_GRANT)
        (void)add_kinds(loader->world, place, names, count);
    if (place == POLICY_PLACE_FORBID)
        (void)add_kinds(loader->world, POLICY_PLACE_FORBIDDEN_KIND, names, count);
    (void)yaml_expect_map(&loader->reader, map, names);
    return json_is_object(map);
}
