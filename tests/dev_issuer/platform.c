#include "platform.h"

#include "base/json.h"
#include "base/macros.h"
#include "identity/profile.h"

#define NONE PLATFORM_NO_NOT_BEFORE

static const struct platform platforms[] = {
    /* profile  nbf  life  audience  its default */
    { "github", 600, 300, PLATFORM_AUDIENCE_ASKED, "https://github.com/", "repository_owner" },
    { "gitlab", 5, 3600, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "jenkins", NONE, 3600, PLATFORM_AUDIENCE_ARRAY, "", "iss" },
    { "circleci", NONE, 3600, PLATFORM_AUDIENCE_ASKED, "", "oidc.circleci.com/org-id" },
    { "buildkite", 0, 300, PLATFORM_AUDIENCE_ASKED, "https://buildkite.com/", "organization_slug" },
    { "bitbucket", NONE, 3600, PLATFORM_AUDIENCE_ADDED, "ari:cloud:bitbucket::workspace/",
      "workspaceUuid" },
    { "azure-devops", 600, 300, PLATFORM_AUDIENCE_FIXED, "api://AzureADTokenExchange", NULL },
    { "terraform", 5, 7200, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "kubernetes", 0, 3600, PLATFORM_AUDIENCE_ARRAY, "", "iss" },
    { "spiffe", NONE, 300, PLATFORM_AUDIENCE_ARRAY, "", "iss" },
    { "google", NONE, 3600, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "aws", NONE, 300, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "harness", NONE, 3600, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "semaphore", 0, 86400, PLATFORM_AUDIENCE_FIXED, "", "iss" },
    { "codefresh", NONE, 300, PLATFORM_AUDIENCE_FIXED, "https://g.codefresh.io", NULL },
    { "forgejo", 0, 3600, PLATFORM_AUDIENCE_ASKED, "", "iss" },
    { "generic", 600, 300, PLATFORM_AUDIENCE_ASKED, "", "iss" },
};

const struct platform *platform_find(const struct profile *profile)
{
    for (size_t i = 0; i < COUNT(platforms); i++)
        if (str_eq(str_from(platforms[i].profile), str_from(profile->name)))
            return &platforms[i];
    return &platforms[COUNT(platforms) - 1];
}

static json_t *default_of(const struct platform *platform, const json_t *claims)
{
    struct str value = { 0 };

    if (platform->audience_claim != NULL)
        value = json_str(json_object_get(claims, platform->audience_claim));
    return json_sprintf("%s" STR_FMT, platform->audience_prefix, STR_ARG(value));
}

json_t *platform_audience_of(const struct platform *platform, struct str asked,
                             const json_t *claims)
{
    bool is_default = asked.len == 0 || platform->audience == PLATFORM_AUDIENCE_FIXED;
    json_t *audience = is_default ? default_of(platform, claims) : json_from_str(asked);

    switch (platform->audience) {
    case PLATFORM_AUDIENCE_ASKED:
    case PLATFORM_AUDIENCE_FIXED:
        return audience;
    case PLATFORM_AUDIENCE_ARRAY:
        return json_pack("[o]", audience);
    case PLATFORM_AUDIENCE_ADDED:
        return is_default ? json_pack("[o]", audience)
                          : json_pack("[o,o]", default_of(platform, claims), audience);
    }
    json_decref(audience);
    return NULL;
}

bool platform_has_jti(const struct profile *profile)
{
    return claim_find(&profile->claims, STR("jti")) != NULL;
}
