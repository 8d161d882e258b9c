#include "base/json.h"
#include "base/time_text.h"
#include "policy/policy_loader.h"
#include "policy/policy_rails.h"

/* ---- reading ---- */

void policy_from_read(struct policy_loader *loader, const json_t *map,
                      struct policy_networks *networks)
{
    const json_t *value = json_object_get(map, "from");

    if (value != NULL)
        (void)policy_networks_read(loader, value, networks);
}

void policy_until_read(const struct policy_loader *loader, const json_t *map, int64_t *until_s)
{
    struct str text = { 0 };
    int64_t time_ms = 0;

    if (!yaml_get_str(&loader->reader, map, "until", &text))
        return;
    /* 0 would be: never. */
    if (!time_text_parse(text, &time_ms) || time_ms < 1000)
        (void)yaml_complain_hint(&loader->reader, json_object_get(map, "until"),
                                 STR("a date is its first second in UTC"),
                                 "'until' is a date such as 2026-11-22, or a time such as "
                                 "2026-11-22T10:00:00Z");
    *until_s = time_ms / 1000;
}

/* Whether what stands outside of holes may be in an instance; holes are checked apart. */
static bool is_instance(struct str text)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:";
    struct str hole;

    if (text.len == 0 || text.len > POLICY_INSTANCE_MAX)
        return false;
    while (text.len > 0) {
        if (str_starts_with(text, STR("${")))
            (void)str_cut(text, '}', &hole, &text);
        else if (!str_is_made_of(str_slice(text, 0, 1), set))
            return false;
        else
            text = str_slice(text, 1, text.len);
    }
    return true;
}

void policy_instance_read(struct policy_loader *loader, const json_t *map,
                          struct policy_stage_rule *stage)
{
    const json_t *value = json_object_get(map, "instance");
    struct str text = { 0 };

    if (!yaml_get_str(&loader->reader, map, "instance", &text))
        return;
    if (!is_instance(text)) {
        (void)yaml_complain(&loader->reader, value,
                            "'instance' has 1 to %d of A-Z, a-z, 0-9, '.', '_', '-', '/' and ':', "
                            "and holes such as ${pr}",
                            POLICY_INSTANCE_MAX);
        return;
    }
    stage->shown.instance = policy_loader_copy(loader, text);
    stage->instance_has_holes = policy_hole_text_check(loader, stage, "instance", value);
}

/* ---- deciding ---- */

static bool proof_holds(const struct policy_stage_rule *stage, const struct policy_facts *facts)
{
    return stage->proofs == 0 || (stage->proofs & facts->proofs) != 0;
}

bool policy_networks_hold(const struct policy_networks *networks, const struct address *address)
{
    for (size_t i = 0; address != NULL && i < networks->count; i++)
        if (network_contains(&networks->list[i], address))
            return true;
    return networks->count == 0;
}

bool policy_is_over(int64_t until_s, int64_t now_s)
{
    return until_s != 0 && now_s >= until_s;
}

static bool note(bool holds, struct str name, struct policy_failures *failures)
{
    if (!holds)
        policy_failures_add(failures, name);
    return holds;
}

bool policy_stage_holds_still(const struct policy_linked *linked,
                              const struct policy_stage_rule *stage,
                              const struct policy_facts *facts, int64_t now_s,
                              struct policy_failures *failures)
{
    bool holds = policy_when_holds(&stage->pipeline->when, facts, failures);

    holds &= !policy_unless_holds(&stage->pipeline->unless, facts, failures);
    holds &= policy_when_holds(&stage->when, facts, failures);
    holds &= policy_dangers_are_named(stage, facts, failures);
    holds &= note(proof_holds(stage, facts), STR("proof"), failures);
    holds &= note(policy_from_holds(&stage->from, facts), STR("from"), failures);
    holds &= note(!policy_is_over(stage->shown.until_s, now_s), STR("until"), failures);
    holds &= policy_rails_hold(linked, stage, facts, now_s, failures);
    return holds & !policy_unless_holds(&stage->unless, facts, failures);
}

bool policy_stage_holds(const struct policy_linked *linked, const struct policy_stage_rule *stage,
                        const struct policy_facts *facts, int64_t now_s,
                        struct policy_failures *failures)
{
    bool is_time = note(policy_during_holds(stage, now_s), STR("during"), failures);

    return policy_stage_holds_still(linked, stage, facts, now_s, failures) && is_time;
}
