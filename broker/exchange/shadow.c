#include "base/buf.h"
#include "base/json.h"
#include "base/metrics.h"
#include "exchange/exchange_internal.h"
#include "exchange/rules.h"
#include "exchange/tally.h"

/*
 * A second policy decides on the same facts and the same request, and only what comes out otherwise
 * is noted. It takes no part in the exchange: where there is no memory, or whatever else goes
 * wrong, there is one observation less.
 */

#define KEY_MAX ((size_t)16 * 1024)

enum difference {
    DIFFERENCE_NONE,
    DIFFERENCE_WIDER,    /* the shadow policy allows what was denied */
    DIFFERENCE_NARROWER, /* it denies what was allowed */
    DIFFERENCE_OTHER,    /* it gives something else, or by another stage */
};

static const enum metric metrics[] = {
    [DIFFERENCE_NONE] = METRIC_SHADOW_SAME,
    [DIFFERENCE_WIDER] = METRIC_SHADOW_WIDER,
    [DIFFERENCE_NARROWER] = METRIC_SHADOW_NARROWER,
    [DIFFERENCE_OTHER] = METRIC_SHADOW_OTHER,
};

/* Both policies were loaded with one world, so kinds and targets are the same objects. */
static bool is_same_grant(const struct policy_granted *a, const struct policy_granted *b)
{
    return str_eq(a->grant->name, b->grant->name) && a->grant->kind == b->grant->kind &&
           a->grant->target == b->grant->target && a->ttl_s == b->ttl_s &&
           json_equal(a->fields, b->fields);
}

static const struct policy_granted *find_grant(const struct policy_decision *decision,
                                               struct str name)
{
    for (size_t i = 0; i < decision->grant_count; i++)
        if (str_eq(decision->grants[i].grant->name, name))
            return &decision->grants[i];
    return NULL;
}

static bool gives_same(const struct policy_decision *a, const struct policy_decision *b)
{
    if (a->grant_count != b->grant_count || !str_eq(a->stage->id, b->stage->id) ||
        !str_eq(a->instance, b->instance))
        return false;
    for (size_t i = 0; i < a->grant_count; i++) {
        const struct policy_granted *other = find_grant(b, a->grants[i].grant->name);

        if (!other || !is_same_grant(&a->grants[i], other))
            return false;
    }
    return true;
}

static enum difference compare(const struct exchange_verdict *verdict,
                               const struct exchange_verdict *shadow)
{
    if (verdict->is_allowed != shadow->is_allowed)
        return shadow->is_allowed ? DIFFERENCE_WIDER : DIFFERENCE_NARROWER;
    if (!verdict->is_allowed || gives_same(verdict->decision, shadow->decision))
        return DIFFERENCE_NONE;
    return DIFFERENCE_OTHER;
}

static struct str stage_of(const struct exchange_verdict *verdict)
{
    return verdict->decision->stage ? verdict->decision->stage->id : STR("");
}

/* What is one observation a minute: who, which stages, how it came out, by which policies. */
static void write_key(const struct exchange *exchange, const struct exchange_verdict *verdict,
                      const struct exchange_verdict *shadow, struct buf *key)
{
    const struct exchange_verdict *const verdicts[] = { verdict, shadow };

    buf_add_sized(key, exchange->token.issuer->name);
    buf_add_sized(key, exchange->token.subject);
    for (size_t i = 0; i < COUNT(verdicts); i++) {
        buf_add_sized(key, stage_of(verdicts[i]));
        buf_add_byte(key, verdicts[i]->is_allowed);
        buf_add(key, (struct str){ (const char *)policy_sha256(verdicts[i]->policy), SHA256_LEN });
    }
}

static void note(struct exchange *exchange, const struct exchange_verdict *verdict,
                 const struct exchange_verdict *shadow)
{
    struct tally *tally = exchange->service->differences;
    OWNED(buf_release) struct buf key = { 0 };
    JSON_OWNED json_t *entry = NULL;
    JSON_OWNED json_t *private_part = NULL; /* as of denials that are counted, it is not kept */
    struct error ignored = { 0 };

    buf_init(&key, KEY_MAX);
    write_key(exchange, verdict, shadow, &key);
    if (!buf_is_ok(&key) || tally_count(tally, buf_str(&key), exchange->now_s))
        return;
    if (record_observed(exchange, verdict, shadow, &entry, &private_part, &ignored))
        (void)tally_admit(tally, buf_str(&key), entry, exchange->now_s); /* none is single */
}

static struct exchange_verdict verdict_of(const struct policy *policy,
                                          const struct policy_decision *decision,
                                          const struct error *failure)
{
    return (struct exchange_verdict){
        .decision = decision,
        .policy = policy,
        .is_allowed = failure->code == ERROR_NONE,
        .reason = error_kind(failure->code)->name,
    };
}

void shadow_observe(struct exchange *exchange, const struct error *failure)
{
    const struct rules *rules = exchange->rules;
    struct policy_decision decision = { 0 };
    struct error shadow_failure = { 0 };
    struct exchange_verdict verdict;
    struct exchange_verdict shadow;
    enum difference difference;

    if (!rules->shadow || failure->code == ERROR_MEMORY)
        return;
    if (!exchange_decide(exchange, rules->shadow, &decision, &shadow_failure) &&
        shadow_failure.code == ERROR_MEMORY)
        return;
    verdict = verdict_of(rules->policy, &exchange->decision, failure);
    shadow = verdict_of(rules->shadow, &decision, &shadow_failure);
    difference = compare(&verdict, &shadow);
    metric_add(metrics[difference], 1);
    if (difference != DIFFERENCE_NONE)
        note(exchange, &verdict, &shadow);
}
