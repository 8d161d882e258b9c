#include "reload.h"

#include <stdlib.h>

#include "base/diagnostic.h"
#include "base/error.h"
#include "config/config.h"
#include "config/jobs.h"
#include "exchange/rules.h"
#include "identity/identity.h"
#include "policy/policy.h"
#include "targets/target.h"

static void free_config(void *owner)
{
    config_free(owner);
}

void rules_discard(struct rules *rules)
{
    if (!rules)
        return;
    identity_unref(rules->identity);
    identity_unref(rules->people_identity);
    policy_unref(rules->policy);
    rules->release(rules->owner);
    free(rules);
}

static bool start_targets(struct config *config, const struct target_tools *tools,
                          struct error *error)
{
    for (size_t i = 0; i < config->target_count; i++) {
        struct target *target = &config->targets[i];

        if (target->kind->start && !target->kind->start(target, tools, error))
            return error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
    }
    return true;
}

/* People's provider, an identity of its own. */
static bool fill_people(struct rules *rules, const struct config *config,
                        const struct rules_sources *sources, struct error *error)
{
    const struct rules *previous = sources->previous;
    struct identity_options options = {
        .issuer_count = 1,
        .leeway_s = config->limits.leeway_s,
        .keys_folder = sources->tools ? config->people_folder : NULL,
    };

    if (!config->people)
        return true;
    options.issuers = &config->people->issuer;
    rules->people = config->people;
    return identity_new(&options, sources->upstream, previous ? previous->people_identity : NULL,
                        &rules->people_identity, error);
}

static bool fill_identity(struct rules *rules, const struct config *config,
                          const struct rules_sources *sources, struct error *error)
{
    const struct rules *previous = sources->previous;
    struct identity_options options = {
        .issuers = config->issuers,
        .issuer_count = config->issuer_count,
        .leeway_s = config->limits.leeway_s,
        .keys_folder =
            sources->tools ? config->issuers_folder : NULL, /* a check believes nothing */
    };

    return identity_new(&options, sources->upstream, previous ? previous->identity : NULL,
                        &rules->identity, error);
}

static bool fill_policy(struct rules *rules, const struct config *config,
                        const struct rules_sources *sources, struct error *error)
{
    const struct policy_load_options options = {
        .folder = config->policy_directory,
        .world = &config->world,
        .diagnostics = sources->diagnostics,
        .previous = sources->previous ? sources->previous->policy : NULL,
        .run_jobs = jobs_run,
    };

    return policy_load(&options, &rules->policy, error);
}

static bool fill(struct rules *rules, struct config *config, const struct rules_sources *sources,
                 struct error *error)
{
    rules->help = config->help;
    rules->targets = config->targets;
    rules->target_count = config->target_count;
    rules->default_ttl_s = config->limits.default_ttl_s;
    rules->leeway_s = config->limits.leeway_s;
    rules->needs_dpop_nonce = config->needs_dpop_nonce;
    return fill_policy(rules, config, sources, error) &&
           fill_identity(rules, config, sources, error) &&
           fill_people(rules, config, sources, error) &&
           (!sources->tools || start_targets(config, sources->tools, error));
}

bool rules_load(struct config *take_config, const struct rules_sources *sources,
                struct rules **rules, struct error *error)
{
    struct rules *loaded = calloc(1, sizeof(*loaded));

    if (!loaded) {
        config_free(take_config);
        return error_set(error, ERROR_MEMORY, "rules");
    }
    loaded->release = free_config;
    loaded->owner = take_config;
    if (!fill(loaded, take_config, sources, error)) {
        rules_discard(loaded);
        return false;
    }
    *rules = loaded;
    return true;
}
