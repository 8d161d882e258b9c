#include <inttypes.h>

#include "base/buf.h"
#include "policy/policy_rails.h"

/* What `require` demands of a stage's own words: each at least as strict. */

/* ---- proof ---- */

static enum policy_demand_outcome hold_proof(const struct policy_require_rule *rule,
                                             const struct policy_stage_rule *stage)
{
    if (rule->proofs == 0)
        return POLICY_DEMAND_MET;
    if (stage->proofs == 0)
        return POLICY_DEMAND_MISSING;
    return (stage->proofs & ~rule->proofs) == 0 ? POLICY_DEMAND_MET : POLICY_DEMAND_WEAK;
}

static void describe_proof(const struct policy_require_rule *rule, struct buf *out)
{
    static const struct {
        unsigned bit;
        const char *name;
    } proofs[] = { { POLICY_PROOF_DPOP, "dpop" },
                   { POLICY_PROOF_MTLS, "mtls" },
                   { POLICY_PROOF_KEY, "key" } };
    const char *separator = "";

    buf_add_text(out, "proof: [");
    for (size_t i = 0; i < COUNT(proofs); i++) {
        if ((rule->proofs & proofs[i].bit) == 0)
            continue;
        buf_printf(out, "%s%s", separator, proofs[i].name);
        separator = ", ";
    }
    buf_add_text(out, "]");
}

/* ---- from ---- */

static bool is_inside(const struct network *network, const struct policy_networks *outer)
{
    for (size_t i = 0; i < outer->count; i++)
        if (outer->list[i].bits <= network->bits &&
            network_contains(&outer->list[i], &network->base))
            return true;
    return false;
}

static enum policy_demand_outcome hold_from(const struct policy_require_rule *rule,
                                            const struct policy_stage_rule *stage)
{
    if (rule->from.count == 0)
        return POLICY_DEMAND_MET;
    if (stage->from.count == 0)
        return POLICY_DEMAND_MISSING;
    for (size_t i = 0; i < stage->from.count; i++)
        if (!is_inside(&stage->from.list[i], &rule->from))
            return POLICY_DEMAND_WEAK;
    return POLICY_DEMAND_MET;
}

#define NETWORKS_SHOWN 4

static void describe_from(const struct policy_require_rule *rule, struct buf *out)
{
    char text[ADDRESS_TEXT_MAX];

    buf_add_text(out, "from: [");
    for (size_t i = 0; i < rule->from.count && i < NETWORKS_SHOWN; i++) {
        address_text(&rule->from.list[i].base, text);
        buf_printf(out, "%s%s/%u", i > 0 ? ", " : "", text, (unsigned)rule->from.list[i].bits);
    }
    buf_add_text(out, rule->from.count > NETWORKS_SHOWN ? ", ...]" : "]");
}

/* ---- limits ---- */

#define LIMITS 3

static const char *const limit_names[LIMITS] = { "per_job", "concurrent", "per_hour" };

static void list_limits(const struct policy_limits *limits, int64_t out[LIMITS])
{
    out[0] = limits->per_job;
    out[1] = limits->concurrent;
    out[2] = limits->per_hour;
}

static enum policy_demand_outcome hold_limits(const struct policy_require_rule *rule,
                                              const struct policy_stage_rule *stage)
{
    int64_t wanted[LIMITS];
    int64_t given[LIMITS];
    bool is_met = true;
    bool is_any = false;

    list_limits(&rule->limits, wanted);
    list_limits(&stage->shown.obligations.limits, given);
    for (size_t i = 0; i < LIMITS; i++) {
        is_any |= given[i] != 0;
        is_met &= wanted[i] == 0 || (given[i] != 0 && given[i] <= wanted[i]);
    }
    if (is_met)
        return POLICY_DEMAND_MET;
    return is_any ? POLICY_DEMAND_WEAK : POLICY_DEMAND_MISSING;
}

static void describe_limits(const struct policy_require_rule *rule, struct buf *out)
{
    const char *separator = "";
    int64_t wanted[LIMITS];

    list_limits(&rule->limits, wanted);
    buf_add_text(out, "limits: { ");
    for (size_t i = 0; i < LIMITS; i++) {
        if (wanted[i] == 0)
            continue;
        buf_printf(out, "%s%s: %" PRId64, separator, limit_names[i], wanted[i]);
        separator = ", ";
    }
    buf_add_text(out, " }");
}

/* ---- instance ---- */

/* What jobs fill makes as many counts as there are values: that is no limit of the stage. */
static enum policy_demand_outcome hold_instance(const struct policy_require_rule *rule,
                                                const struct policy_stage_rule *stage)
{
    bool is_counted = rule->limits.concurrent != 0 || rule->limits.per_hour != 0;

    return is_counted && stage->instance_has_holes ? POLICY_DEMAND_WEAK : POLICY_DEMAND_MET;
}

static void describe_instance(const struct policy_require_rule *rule, struct buf *out)
{
    (void)rule;
    buf_add_text(out, "limits of the whole stage, and jobs fill what it is counted by");
}

/* ---- approval ---- */

static enum policy_demand_outcome hold_approval(const struct policy_require_rule *rule,
                                                const struct policy_stage_rule *stage)
{
    const struct policy_approval *approval = stage->shown.obligations.approval;

    if (rule->approvals == 0)
        return POLICY_DEMAND_MET;
    if (approval == NULL)
        return POLICY_DEMAND_MISSING;
    return approval->count >= rule->approvals ? POLICY_DEMAND_MET : POLICY_DEMAND_WEAK;
}

static void describe_approval(const struct policy_require_rule *rule, struct buf *out)
{
    buf_printf(out, "approval: { count: %" PRId64 " }", rule->approvals);
}

/* ---- review_by ---- */

static enum policy_demand_outcome hold_review(const struct policy_require_rule *rule,
                                              const struct policy_stage_rule *stage)
{
    return rule->has_review && stage->shown.review_by_s == 0 ? POLICY_DEMAND_MISSING
                                                             : POLICY_DEMAND_MET;
}

static void describe_review(const struct policy_require_rule *rule, struct buf *out)
{
    (void)rule;
    buf_add_text(out, "a date at the top of its file: review_by: 2027-06-30");
}

bool policy_review_is_over(const struct policy_require_rule *rule, const struct policy_stage *stage,
                           int64_t now_s)
{
    return rule->has_review && stage->review_by_s != 0 &&
           now_s >= stage->review_by_s + rule->review_grace_s;
}

/* ---- lease ---- */

/* Without `lease` a stage's leases end with the longest of their credentials. */
static int64_t lease_s(const struct policy_stage *stage)
{
    int64_t longest_s = 0;

    if (stage->obligations.lease.max_s != 0)
        return stage->obligations.lease.max_s;
    for (size_t i = 0; i < stage->grant_count; i++)
        longest_s = stage->grants[i].ttl_s > longest_s ? stage->grants[i].ttl_s : longest_s;
    return longest_s;
}

static enum policy_demand_outcome hold_lease(const struct policy_require_rule *rule,
                                             const struct policy_stage_rule *stage)
{
    return rule->lease_max_s != 0 && lease_s(&stage->shown) > rule->lease_max_s ? POLICY_DEMAND_WEAK
                                                                                : POLICY_DEMAND_MET;
}

static void describe_lease(const struct policy_require_rule *rule, struct buf *out)
{
    buf_printf(out, "leases of no more than %" PRId64 " s", rule->lease_max_s);
}

/* ---- all of them ---- */

const struct policy_demand policy_demands[] = {
    { "proof", hold_proof, describe_proof },
    { "from", hold_from, describe_from },
    { "limits", hold_limits, describe_limits },
    { "instance", hold_instance, describe_instance },
    { "approval", hold_approval, describe_approval },
    { "review_by", hold_review, describe_review },
    { "lease", hold_lease, describe_lease },
};
const size_t policy_demand_count = COUNT(policy_demands);

bool policy_demands_hold(const struct policy_require_rule *rule,
                         const struct policy_stage_rule *stage)
{
    for (size_t i = 0; i < policy_demand_count; i++)
        if (policy_demands[i].hold(rule, stage) != POLICY_DEMAND_MET)
            return false;
    return true;
}
