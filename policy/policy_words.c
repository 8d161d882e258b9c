#include "base/json.h"
#include "policy/policy_loader.h"

/*
 * The language's words, where each may stand, and whether this version implements it. One that it
 * does not implement is refused: a file that asks for an approval must never be read as one that
 * does not.
 */
static const struct word {
    enum policy_place place;
    const char *name;
    const char *instead; /* NULL: implemented; else what to do without it */
} words[] = {
    { POLICY_PLACE_DOCUMENT, "pipeline", NULL },
    { POLICY_PLACE_DOCUMENT, "sets", NULL },
    { POLICY_PLACE_DOCUMENT, "template", NULL },
    { POLICY_PLACE_DOCUMENT, "guardrails", NULL },

    { POLICY_PLACE_TEMPLATE, "template", NULL },
    { POLICY_PLACE_TEMPLATE, "parameters", NULL },
    { POLICY_PLACE_TEMPLATE, "stage", NULL },

    { POLICY_PLACE_PIPELINE, "pipeline", NULL },
    { POLICY_PLACE_PIPELINE, "tenant", NULL },
    { POLICY_PLACE_PIPELINE, "owner", NULL },
    { POLICY_PLACE_PIPELINE, "review_by", NULL },
    { POLICY_PLACE_PIPELINE, "identity", NULL },
    { POLICY_PLACE_PIPELINE, "when", NULL },
    { POLICY_PLACE_PIPELINE, "unless", NULL },
    { POLICY_PLACE_PIPELINE, "stages", NULL },
    { POLICY_PLACE_PIPELINE, "tests", NULL },

    { POLICY_PLACE_STAGE, "kind", NULL },
    { POLICY_PLACE_STAGE, "environment", NULL },
    { POLICY_PLACE_STAGE, "when", NULL },
    { POLICY_PLACE_STAGE, "unless", NULL },
    { POLICY_PLACE_STAGE, "grants", NULL },
    { POLICY_PLACE_STAGE, "after", NULL },
    { POLICY_PLACE_STAGE, "during", NULL },
    { POLICY_PLACE_STAGE, "approval", NULL },
    { POLICY_PLACE_STAGE, "limits", NULL },
    { POLICY_PLACE_STAGE, "lease", NULL },
    { POLICY_PLACE_STAGE, "proof", NULL },
    { POLICY_PLACE_STAGE, "from", NULL },
    { POLICY_PLACE_STAGE, "until", NULL },
    { POLICY_PLACE_STAGE, "instance", NULL },
    { POLICY_PLACE_STAGE, "use", NULL },
    { POLICY_PLACE_STAGE, "with", NULL },

    { POLICY_PLACE_AFTER, "stage", NULL },
    { POLICY_PLACE_AFTER, "same", NULL },
    { POLICY_PLACE_AFTER, "within", NULL },
    { POLICY_PLACE_AFTER, "outcome", NULL },

    { POLICY_PLACE_APPROVAL, "by", NULL },
    { POLICY_PLACE_APPROVAL, "count", NULL },
    { POLICY_PLACE_APPROVAL, "within", NULL },
    { POLICY_PLACE_APPROVAL, "wait", NULL },
    { POLICY_PLACE_APPROVAL, "bind", NULL },
    { POLICY_PLACE_APPROVAL, "self_approval", NULL },

    { POLICY_PLACE_LIMITS, "per_job", NULL },
    { POLICY_PLACE_LIMITS, "concurrent", NULL },
    { POLICY_PLACE_LIMITS, "full", NULL },
    { POLICY_PLACE_LIMITS, "per_hour", NULL },

    { POLICY_PLACE_LEASE, "max", NULL },
    { POLICY_PLACE_LEASE, "heartbeat", NULL },

    { POLICY_PLACE_GRANT, "ttl", NULL },
    { POLICY_PLACE_GRANT, "until", NULL },
    /* Kinds; those that the world knows count as implemented. */
    { POLICY_PLACE_GRANT, "jwt", "remove the grant" },
    { POLICY_PLACE_GRANT, "ssh", "remove the grant" },
    { POLICY_PLACE_GRANT, "x509", "remove the grant" },
    { POLICY_PLACE_GRANT, "aws", "remove the grant" },
    { POLICY_PLACE_GRANT, "gcp", "remove the grant" },
    { POLICY_PLACE_GRANT, "azure", "remove the grant" },
    { POLICY_PLACE_GRANT, "kubernetes", "remove the grant" },
    { POLICY_PLACE_GRANT, "registry", "remove the grant" },
    { POLICY_PLACE_GRANT, "postgres", "remove the grant" },
    { POLICY_PLACE_GRANT, "github", "remove the grant" },
    { POLICY_PLACE_GRANT, "gitlab", "remove the grant" },
    { POLICY_PLACE_GRANT, "vault", "remove the grant" },

    { POLICY_PLACE_TEST, "name", NULL },
    { POLICY_PLACE_TEST, "claims", NULL },
    { POLICY_PLACE_TEST, "base", NULL },
    { POLICY_PLACE_TEST, "without", NULL },
    { POLICY_PLACE_TEST, "issuer", NULL },
    { POLICY_PLACE_TEST, "address", NULL },
    { POLICY_PLACE_TEST, "actor", NULL },
    { POLICY_PLACE_TEST, "proof", NULL },
    { POLICY_PLACE_TEST, "stage", NULL },
    { POLICY_PLACE_TEST, "expect", NULL },
    { POLICY_PLACE_TEST, "because", NULL },
    { POLICY_PLACE_TEST, "grants", NULL },
    { POLICY_PLACE_TEST, "ttl", NULL },
    { POLICY_PLACE_TEST, "at", NULL },

    { POLICY_PLACE_GUARDRAILS, "ttl", NULL },
    { POLICY_PLACE_GUARDRAILS, "forbid", NULL },
    { POLICY_PLACE_GUARDRAILS, "separate", NULL },
    { POLICY_PLACE_GUARDRAILS, "require", NULL },
    { POLICY_PLACE_GUARDRAILS, "freeze", NULL },
    { POLICY_PLACE_GUARDRAILS, "exceptions", NULL },

    { POLICY_PLACE_LIVES, "build", NULL },
    { POLICY_PLACE_LIVES, "test", NULL },
    { POLICY_PLACE_LIVES, "release", NULL },
    { POLICY_PLACE_LIVES, "deploy", NULL },
    { POLICY_PLACE_LIVES, "maintenance", NULL },
    { POLICY_PLACE_LIVES, "agent", NULL },

    { POLICY_PLACE_TTL, "name", NULL },
    { POLICY_PLACE_TTL, "for", NULL },
    { POLICY_PLACE_TTL, "mode", NULL },
    { POLICY_PLACE_TTL, "build", NULL },
    { POLICY_PLACE_TTL, "test", NULL },
    { POLICY_PLACE_TTL, "release", NULL },
    { POLICY_PLACE_TTL, "deploy", NULL },
    { POLICY_PLACE_TTL, "maintenance", NULL },
    { POLICY_PLACE_TTL, "agent", NULL },

    { POLICY_PLACE_FORBID, "name", NULL },
    { POLICY_PLACE_FORBID, "for", NULL },
    { POLICY_PLACE_FORBID, "mode", NULL },
    { POLICY_PLACE_FORBID, "except", NULL },

    { POLICY_PLACE_FORBIDDEN_KIND, "jwt", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "ssh", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "x509", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "aws", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "gcp", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "azure", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "kubernetes", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "registry", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "postgres", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "github", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "gitlab", NULL },
    { POLICY_PLACE_FORBIDDEN_KIND, "vault", NULL },

    { POLICY_PLACE_SEPARATE, "name", NULL },
    { POLICY_PLACE_SEPARATE, "for", NULL },
    { POLICY_PLACE_SEPARATE, "mode", NULL },
    { POLICY_PLACE_SEPARATE, "kinds", NULL },
    { POLICY_PLACE_SEPARATE, "from", NULL },
    { POLICY_PLACE_SEPARATE, "principals", NULL },

    { POLICY_PLACE_REQUIRE, "name", NULL },
    { POLICY_PLACE_REQUIRE, "for", NULL },
    { POLICY_PLACE_REQUIRE, "mode", NULL },
    { POLICY_PLACE_REQUIRE, "when", NULL },
    { POLICY_PLACE_REQUIRE, "proof", NULL },
    { POLICY_PLACE_REQUIRE, "from", NULL },
    { POLICY_PLACE_REQUIRE, "limits", NULL },
    { POLICY_PLACE_REQUIRE, "approval", NULL },
    { POLICY_PLACE_REQUIRE, "review_by", NULL },
    { POLICY_PLACE_REQUIRE, "lease", NULL },

    { POLICY_PLACE_REQUIRED_LIMITS, "per_job", NULL },
    { POLICY_PLACE_REQUIRED_LIMITS, "concurrent", NULL },
    { POLICY_PLACE_REQUIRED_LIMITS, "per_hour", NULL },

    { POLICY_PLACE_REQUIRED_APPROVAL, "count", NULL },

    { POLICY_PLACE_REQUIRED_REVIEW, "grace", NULL },

    { POLICY_PLACE_REQUIRED_LEASE, "max", NULL },

    { POLICY_PLACE_FREEZE, "name", NULL },
    { POLICY_PLACE_FREEZE, "for", NULL },
    { POLICY_PLACE_FREEZE, "mode", NULL },
    { POLICY_PLACE_FREEZE, "from", NULL },
    { POLICY_PLACE_FREEZE, "to", NULL },

    { POLICY_PLACE_EXCEPTION, "from", NULL },
    { POLICY_PLACE_EXCEPTION, "pipeline", NULL },
    { POLICY_PLACE_EXCEPTION, "stage", NULL },
    { POLICY_PLACE_EXCEPTION, "until", NULL },
    { POLICY_PLACE_EXCEPTION, "why", NULL },

    { POLICY_PLACE_REACH, "environment", NULL },
    { POLICY_PLACE_REACH, "kind", NULL },
    { POLICY_PLACE_REACH, "tenant", NULL },
    { POLICY_PLACE_REACH, "target", NULL },

    { POLICY_PLACE_EXCEPT, "environment", NULL },
    { POLICY_PLACE_EXCEPT, "kind", NULL },
    { POLICY_PLACE_EXCEPT, "tenant", NULL },
    { POLICY_PLACE_EXCEPT, "target", NULL },
    { POLICY_PLACE_EXCEPT, "approval", NULL },
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

/* What to do without a word that this version does not implement; NULL where it does. */
static const char *instead_of(const struct policy_world *world, enum policy_place place,
                              const char *name)
{
    const struct word *word = find_word(place, name);

    if (place == POLICY_PLACE_GRANT && policy_kind_find(world, name) != NULL)
        return NULL;
    return word == NULL ? NULL : word->instead;
}

/* Report a word that this version does not implement; whether it is one. */
static bool refuse_word(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map, const char *name)
{
    const char *instead = instead_of(loader->world, place, name);

    if (instead == NULL)
        return false;
    (void)yaml_complain_key(&loader->reader, map, name, str_from(instead),
                            "'%s' is not supported by this version", name);
    return true;
}

bool policy_words_refuse(const struct policy_loader *loader, enum policy_place place,
                         const json_t *map)
{
    bool is_refused = false;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(map), name, value) {
        is_refused |= refuse_word(loader, place, map, name);
    }
    return is_refused;
}

bool policy_word_is_read(const struct policy_loader *loader, enum policy_place place,
                         const json_t *map, const char *name)
{
    return json_object_get(map, name) != NULL && find_word(place, name) != NULL &&
           instead_of(loader->world, place, name) == NULL;
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
    if (!json_is_object(map))
        return false;
    (void)policy_words_refuse(loader, place, map);
    return true;
}
