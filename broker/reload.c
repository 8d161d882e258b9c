#include "reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "config/config.h"
#include "config/jobs.h"
#include "exchange/rules.h"
#include "identity/identity.h"
#include "policy/analyse.h"
#include "policy/policy.h"
#include "targets/target.h"

/*
 * What the parts of a snapshot point into. A policy is taken over file by file only from one that
 * was loaded with the very same world, so a configuration whose text has not changed leaves the
 * world to the one before it: its own is then not used.
 */
struct foundation {
    struct config *config;
    struct config *world; /* whose world the policy is loaded with */
};

static void free_foundation(void *owner)
{
    struct foundation *foundation = owner;

    config_unref(foundation->config);
    config_unref(foundation->world);
    free(foundation);
}

static const struct foundation *foundation_of(const struct rules *rules)
{
    return rules->owner;
}

struct config *rules_config(const struct rules *rules)
{
    return foundation_of(rules)->config;
}

void rules_discard(struct rules *rules)
{
    if (!rules)
        return;
    identity_unref(rules->identity);
    identity_unref(rules->people_identity);
    policy_unref(rules->policy);
    policy_unref(rules->shadow);
    rules->release(rules->owner);
    free(rules);
}

const struct policy_world *rules_world(const struct rules *rules)
{
    return &foundation_of(rules)->world->world;
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

/* What guardrails keep apart takes a proof, which loading does not make. */
static bool check_guardrails(const struct policy *policy, struct diagnostics *diagnostics,
                             struct error *error)
{
    const struct policy_analysis_options options = {
        .policy = policy,
        .diagnostics = diagnostics,
        .now_s = clock_wall_s(),
        .is_for_errors = true,
        .run_jobs = jobs_run,
    };

    return policy_analyse(&options, error);
}

static bool load_folder(const struct rules *rules, const char *folder, struct policy *previous,
                        struct diagnostics *diagnostics, struct policy **policy,
                        struct error *error)
{
    const struct policy_load_options options = {
        .folder = folder,
        .world = rules_world(rules),
        .diagnostics = diagnostics,
        .now_s = clock_wall_s(),
        .previous = previous,
        .run_jobs = jobs_run,
    };

    return policy_load(&options, policy, error) && check_guardrails(*policy, diagnostics, error);
}

static bool fill_policy(struct rules *rules, const struct rules_sources *sources,
                        struct rules_outcome *outcome, struct error *error)
{
    const struct rules *previous = sources->previous;

    outcome->is_policy_bad = !load_folder(rules, rules_config(rules)->policy_directory,
                                          previous ? previous->policy : NULL, sources->diagnostics,
                                          &rules->policy, error);
    return !outcome->is_policy_bad;
}

/* Whatever is wrong with it, the snapshot is as good without. */
static void fill_shadow(struct rules *rules, const struct rules_sources *sources,
                        struct rules_outcome *outcome)
{
    const struct rules *previous = sources->previous;
    const char *folder = rules_config(rules)->shadow;

    outcome->has_shadow = folder != NULL;
    if (!folder || load_folder(rules, folder, previous ? previous->shadow : NULL,
                               sources->shadow_diagnostics, &rules->shadow, &outcome->shadow_error))
        return;
    policy_unref(rules->shadow);
    rules->shadow = NULL;
}

static bool fill(struct rules *rules, struct config *config, const struct rules_sources *sources,
                 struct rules_outcome *outcome, struct error *error)
{
    rules->help = config->help;
    rules->resource_servers = config->resource_servers;
    rules->resource_server_count = config->resource_server_count;
    rules->targets = config->targets;
    rules->target_count = config->target_count;
    rules->default_ttl_s = config->limits.default_ttl_s;
    rules->leeway_s = config->limits.leeway_s;
    rules->needs_dpop_nonce = config->needs_dpop_nonce;
    rules->requests_per_address = config->limits.requests_per_address;
    rules->requests_per_issuer = config->limits.requests_per_issuer;
    if (!fill_policy(rules, sources, outcome, error) ||
        !fill_identity(rules, config, sources, error) ||
        !fill_people(rules, config, sources, error) ||
        (sources->tools &&
         (!start_targets(config, sources->tools, error) ||
          !resource_servers_start(config->resource_servers, config->resource_server_count, error))))
        return false;
    fill_shadow(rules, sources, outcome);
    return true;
}

/* The configuration whose world a policy is loaded with. */
static struct config *choose_world(struct config *config, const struct rules *previous)
{
    struct config *before = previous ? foundation_of(previous)->world : NULL;

    return before && memcmp(before->sha256, config->sha256, SHA256_LEN) == 0 ? before : config;
}

static struct rules *rules_new(struct config *config, const struct rules *previous)
{
    struct rules *rules = calloc(1, sizeof(*rules));
    struct foundation *foundation = calloc(1, sizeof(*foundation));

    if (!rules || !foundation) {
        free(rules);
        free(foundation);
        return NULL;
    }
    foundation->config = config_ref(config);
    foundation->world = config_ref(choose_world(config, previous));
    rules->release = free_foundation;
    rules->owner = foundation;
    return rules;
}

bool rules_load(struct config *config, const struct rules_sources *sources,
                struct rules_outcome *outcome, struct rules **rules, struct error *error)
{
    struct rules *loaded = rules_new(config, sources->previous);

    *outcome = (struct rules_outcome){ 0 };
    if (!loaded)
        return error_set(error, ERROR_MEMORY, "rules");
    if (!fill(loaded, config, sources, outcome, error)) {
        rules_discard(loaded);
        return false;
    }
    *rules = loaded;
    return true;
}

/* Everything but the policies, as it is in force. NULL without memory. */
static struct rules *rules_like(const struct rules *previous)
{
    struct rules *rules = rules_new(rules_config(previous), previous);

    if (!rules)
        return NULL;
    rules->identity = identity_ref(previous->identity);
    if (previous->people_identity)
        rules->people_identity = identity_ref(previous->people_identity);
    rules->people = previous->people;
    rules->help = previous->help;
    rules->targets = previous->targets;
    rules->target_count = previous->target_count;
    rules->default_ttl_s = previous->default_ttl_s;
    rules->leeway_s = previous->leeway_s;
    rules->needs_dpop_nonce = previous->needs_dpop_nonce;
    rules->requests_per_address = previous->requests_per_address;
    rules->requests_per_issuer = previous->requests_per_issuer;
    rules->activated_s = previous->activated_s;
    return rules;
}

bool rules_load_policy(const struct rules_sources *sources, struct rules_outcome *outcome,
                       struct rules **rules, struct error *error)
{
    struct rules *loaded = rules_like(sources->previous);

    *outcome = (struct rules_outcome){ 0 };
    if (!loaded)
        return error_set(error, ERROR_MEMORY, "rules");
    if (sources->previous->shadow)
        loaded->shadow = policy_ref(sources->previous->shadow);
    if (!fill_policy(loaded, sources, outcome, error)) {
        rules_discard(loaded);
        return false;
    }
    *rules = loaded;
    return true;
}

bool rules_load_shadow(const struct rules_sources *sources, struct rules_outcome *outcome,
                       struct rules **rules, struct error *error)
{
    struct rules *loaded = rules_like(sources->previous);

    *outcome = (struct rules_outcome){ 0 };
    if (!loaded)
        return error_set(error, ERROR_MEMORY, "rules");
    loaded->policy = policy_ref(sources->previous->policy);
    fill_shadow(loaded, sources, outcome);
    *rules = loaded;
    return true;
}
