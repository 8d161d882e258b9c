#include "base/json.h"
#include "policy/policy_internal.h"

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
    { POLICY_PLACE_DOCUMENT, "template", "write the stages out in each pipeline" },
    { POLICY_PLACE_DOCUMENT, "guardrails", "write their conditions into each stage" },

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
    { POLICY_PLACE_STAGE, "after", "remove it and order the jobs in the CI system" },
    { POLICY_PLACE_STAGE, "during", "remove it and bound the time in the CI system" },
    { POLICY_PLACE_STAGE, "approval", "remove it and have the CI system ask a person" },
    { POLICY_PLACE_STAGE, "limits", "remove it and bound the jobs in the CI system" },
    { POLICY_PLACE_STAGE, "lease", "remove it: the credentials live as long as their 'ttl'" },
    { POLICY_PLACE_STAGE, "proof", NULL },
    { POLICY_PLACE_STAGE, "from", "say 'when: { request.address: { within: [...] } }'" },
    { POLICY_PLACE_STAGE, "until", "remove it, and the stage when its time has come" },
    { POLICY_PLACE_STAGE, "instance", "remove it" },
    { POLICY_PLACE_STAGE, "use", "write the stage out" },
    { POLICY_PLACE_STAGE, "with", "write the stage out" },

    { POLICY_PLACE_GRANT, "ttl", NULL },
    { POLICY_PLACE_GRANT, "until", "remove it, and the grant when its time has come" },
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
};

#define NAMES_MAX 64

static const struct policy_grant_kind *known_kind(const struct policy_world *world,
                                                  const char *name)
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

/* Report a word that this version does not implement; whether it is one. */
static bool refuse_word(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map, const char *name)
{
    const struct word *word = find_word(place, name);

    if (word == NULL || word->instead == NULL)
        return false;
    if (place == POLICY_PLACE_GRANT && known_kind(loader->world, name) != NULL)
        return false;
    (void)yaml_complain_key(&loader->reader, map, name, str_from(word->instead),
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

bool policy_words_check(const struct policy_loader *loader, enum policy_place place,
                        const json_t *map)
{
    const char *names[NAMES_MAX + 1] = { NULL };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(words); i++)
        if (words[i].place == place)
            names[count++] = words[i].name;
    for (size_t i = 0; place == POLICY_PLACE_GRANT && i < loader->world->kind_count; i++)
        if (count < NAMES_MAX && find_word(place, loader->world->kinds[i]->name) == NULL)
            names[count++] = loader->world->kinds[i]->name;
    (void)yaml_expect_map(&loader->reader, map, names);
    if (!json_is_object(map))
        return false;
    (void)policy_words_refuse(loader, place, map);
    return true;
}
