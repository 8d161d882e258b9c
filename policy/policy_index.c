#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "policy/policy_internal.h"

/*
 * Deciding must not look at every pipeline. Each map of an identity pins some claims to given
 * values; for each of its issuers one of these claims is chosen, the one whose values the fewest
 * pipelines share, and the pipeline is entered under every value of it. A lookup reads from the
 * token each claim that was chosen for any pipeline of its issuer (there are a handful) and takes
 * what stands under its value. What is found may fit; the identity is evaluated afterwards, so that
 * a collision of hashes costs time and changes nothing.
 */

/* A claim that pipelines of an issuer are entered under. */
struct index_claim {
    enum policy_source source;
    const char *key;
    uint64_t seed; /* hash of issuer, source and key */
};

struct policy_index_issuer {
    struct str name;
    struct index_claim *claims;
    size_t claim_count;
    size_t claim_max;
};

struct policy_index_slot {
    uint64_t hash;  /* of issuer, claim and value */
    uint32_t first; /* of `pipelines` in the index; where there is one, that pipeline itself */
    uint32_t count; /* 0: a free slot */
    const struct policy_pipeline *pipeline; /* where there is one: to be fetched before all else */
};

/* A pipeline under a value. */
struct entry {
    uint64_t hash;
    uint32_t pipeline;
};

#define FNV_OFFSET UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

/* FNV-1a */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ byte[i]) * FNV_PRIME;
    return hash;
}

static uint64_t hash_claim(struct str issuer, enum policy_source source, const char *key)
{
    uint8_t tag[2] = { 0, (uint8_t)source };
    uint64_t hash = hash_bytes(FNV_OFFSET, issuer.data, issuer.len);

    hash = hash_bytes(hash, tag, sizeof(tag));
    return hash_bytes(hash, key, strlen(key) + 1);
}

/* Spread what short values leave in a few bits only. Source: the finalizer of MurmurHash3 */
static uint64_t spread(uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xFF51AFD7ED558CCD);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xC4CEB9FE1A85EC53);
    return hash ^ (hash >> 33);
}

static uint64_t hash_text(uint64_t seed, struct str text)
{
    return spread(hash_bytes(seed, text.data, text.len));
}

static uint64_t hash_integer(uint64_t seed, int64_t integer)
{
    return spread(hash_bytes(seed, &integer, sizeof(integer)));
}

/* The values that a condition pins its claim to, or NULL. */
static const struct policy_values *exact_values(const struct policy_condition *condition)
{
    if (!condition->may_be_indexed)
        return NULL;
    for (size_t i = 0; i < condition->test_count; i++)
        if (condition->tests[i].operation == POLICY_ONE_OF && !condition->tests[i].is_negated)
            return &condition->tests[i].values;
    return NULL;
}

static uint64_t hash_value(uint64_t seed, const struct policy_values *values, size_t index)
{
    if (values->texts != NULL)
        return hash_text(seed, values->texts[index]);
    return hash_integer(seed, values->integers[index]);
}

/* ---- counting how many share a value ---- */

struct builder {
    struct policy *policy;
    struct arena *scratch;
    uint64_t *hashes; /* of every value of every claim that could be chosen; sorted */
    size_t hash_count;
    struct entry *entries;
    size_t entry_count;
    bool is_counting; /* first pass: only hash_count is wanted */
};

static int compare_hashes(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

/* The first of the sorted hashes that is not less. */
static size_t lower_bound(const struct builder *builder, uint64_t hash)
{
    size_t low = 0;
    size_t high = builder->hash_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (builder->hashes[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t count_sharing(const struct builder *builder, uint64_t hash)
{
    return lower_bound(builder, hash + 1) - lower_bound(builder, hash);
}

static void add_hashes(struct builder *builder, const struct policy_map *map,
                       const struct policy_issuer *issuer)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct policy_condition *condition = &map->conditions[i];
        const struct policy_values *values = exact_values(condition);
        uint64_t seed;

        if (values == NULL)
            continue;
        seed = hash_claim(issuer->name, condition->source, condition->key);
        for (size_t k = 0; k < values->count; k++, builder->hash_count++)
            if (!builder->is_counting)
                builder->hashes[builder->hash_count] = hash_value(seed, values, k);
    }
}

static void visit_all(struct builder *builder,
                      void (*visit)(struct builder *builder, const struct policy_map *map,
                                    const struct policy_issuer *issuer))
{
    for (size_t i = 0; i < builder->policy->pipeline_count; i++) {
        const struct policy_pipeline *pipeline = builder->policy->pipelines[i].pipeline;

        for (size_t k = 0; k < pipeline->identity.count; k++) {
            const struct policy_identity_map *issuers = &pipeline->identity_maps[k];

            for (size_t n = 0; n < issuers->issuer_count; n++)
                visit(builder, &pipeline->identity.maps[k], issuers->issuers[n]);
        }
    }
}

static bool count_values(struct builder *builder)
{
    builder->is_counting = true;
    visit_all(builder, add_hashes);
    builder->hashes =
        arena_alloc_array(builder->scratch, builder->hash_count + 1, sizeof(builder->hashes[0]));
    if (builder->hashes == NULL)
        return false;
    builder->hash_count = 0;
    builder->is_counting = false;
    visit_all(builder, add_hashes);
    qsort(builder->hashes, builder->hash_count, sizeof(builder->hashes[0]), compare_hashes);
    return true;
}

/* ---- choosing and entering ---- */

/* How many pipelines share the commonest value of a condition; SIZE_MAX where it pins none. */
static size_t commonness(const struct builder *builder, const struct policy_condition *condition,
                         const struct policy_issuer *issuer)
{
    const struct policy_values *values = exact_values(condition);
    size_t most = 0;
    uint64_t seed;

    if (values == NULL)
        return SIZE_MAX;
    seed = hash_claim(issuer->name, condition->source, condition->key);
    for (size_t i = 0; i < values->count; i++) {
        size_t count = count_sharing(builder, hash_value(seed, values, i));

        most = count > most ? count : most;
    }
    return most;
}

static struct policy_index_issuer *find_issuer(const struct policy_index *index, struct str name)
{
    for (size_t low = 0, high = index->issuer_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(name, index->issuers[middle].name);

        if (order == 0)
            return &index->issuers[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void remember_claim(struct policy_index_issuer *issuer,
                           const struct policy_condition *chosen, uint64_t seed)
{
    for (size_t i = 0; i < issuer->claim_count; i++)
        if (issuer->claims[i].seed == seed)
            return;
    if (issuer->claim_count < issuer->claim_max)
        issuer->claims[issuer->claim_count++] =
            (struct index_claim){ chosen->source, chosen->key, seed };
}

/* Enter one pipeline under one issuer, by the claim whose values the fewest share. */
static void enter(struct builder *builder, size_t pipeline, const struct policy_map *map,
                  const struct policy_issuer *issuer)
{
    const struct policy_condition *chosen = NULL;
    const struct policy_values *values;
    size_t fewest = SIZE_MAX;
    uint64_t seed;

    for (size_t i = 0; i < map->count; i++) {
        size_t count = commonness(builder, &map->conditions[i], issuer);

        if (count < fewest) {
            fewest = count;
            chosen = &map->conditions[i];
        }
    }
    if (chosen == NULL) /* an identity fixes an id: cannot be */
        return;
    values = exact_values(chosen);
    seed = hash_claim(issuer->name, chosen->source, chosen->key);
    remember_claim(find_issuer(&builder->policy->index, issuer->name), chosen, seed);
    for (size_t i = 0; i < values->count; i++)
        builder->entries[builder->entry_count++] =
            (struct entry){ hash_value(seed, values, i), (uint32_t)pipeline };
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;

    if (left->hash != right->hash)
        return left->hash > right->hash ? 1 : -1;
    return (left->pipeline > right->pipeline) - (left->pipeline < right->pipeline);
}

static bool enter_all(struct builder *builder)
{
    struct policy *policy = builder->policy;

    /* There are no more entries than values that could have been chosen. */
    builder->entries =
        arena_alloc_array(builder->scratch, builder->hash_count + 1, sizeof(builder->entries[0]));
    if (builder->entries == NULL)
        return false;
    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_pipeline *pipeline = policy->pipelines[i].pipeline;

        for (size_t k = 0; k < pipeline->identity.count; k++)
            for (size_t n = 0; n < pipeline->identity_maps[k].issuer_count; n++)
                enter(builder, i, &pipeline->identity.maps[k],
                      pipeline->identity_maps[k].issuers[n]);
    }
    qsort(builder->entries, builder->entry_count, sizeof(builder->entries[0]), compare_entries);
    return true;
}

/* ---- the table ---- */

static int compare_issuers(const void *a, const void *b)
{
    return str_compare(((const struct policy_index_issuer *)a)->name,
                       ((const struct policy_index_issuer *)b)->name);
}

static bool prepare_issuers(struct policy *policy)
{
    const struct policy_world *world = policy->world;
    struct policy_index *index = &policy->index;

    index->issuers =
        arena_alloc_array(policy->arena, world->issuer_count + 1, sizeof(index->issuers[0]));
    if (index->issuers == NULL)
        return false;
    for (size_t i = 0; i < world->issuer_count; i++) {
        struct policy_index_issuer *issuer = &index->issuers[i];

        issuer->name = world->issuers[i].name;
        issuer->claim_max = world->issuers[i].claims.count + world->ci_facts->count;
        issuer->claims =
            arena_alloc_array(policy->arena, issuer->claim_max + 1, sizeof(issuer->claims[0]));
        if (issuer->claims == NULL)
            return false;
    }
    index->issuer_count = world->issuer_count;
    qsort(index->issuers, index->issuer_count, sizeof(index->issuers[0]), compare_issuers);
    return true;
}

/* The slot of a hash, or the free one where it belongs. */
static struct policy_index_slot *find_slot(const struct policy_index *index, uint64_t hash)
{
    size_t slot = (size_t)hash & (index->capacity - 1);

    while (index->slots[slot].count != 0 && index->slots[slot].hash != hash)
        slot = (slot + 1) & (index->capacity - 1);
    return &index->slots[slot];
}

static bool fill_slots(struct builder *builder)
{
    struct policy_index *index = &builder->policy->index;
    uint32_t *pipelines;
    size_t count = 0;

    for (index->capacity = 16; index->capacity < builder->entry_count * 2;)
        index->capacity *= 2;
    index->slots =
        arena_alloc_array(builder->policy->arena, index->capacity, sizeof(index->slots[0]));
    pipelines =
        arena_alloc_array(builder->policy->arena, builder->entry_count + 1, sizeof(*pipelines));
    if (index->slots == NULL || pipelines == NULL)
        return false;
    for (size_t i = 0; i < builder->entry_count; i++) {
        const struct entry *entry = &builder->entries[i];
        struct policy_index_slot *slot = find_slot(index, entry->hash);

        if (slot->count > 0 && pipelines[count - 1] == entry->pipeline)
            continue; /* the same pipeline by another of its maps */
        if (slot->count == 0)
            *slot = (struct policy_index_slot){ entry->hash, (uint32_t)count, 0, NULL };
        slot->count++;
        pipelines[count++] = entry->pipeline;
    }
    index->pipelines = pipelines;
    for (size_t i = 0; i < index->capacity; i++) {
        struct policy_index_slot *slot = &index->slots[i];

        if (slot->count != 1)
            continue;
        slot->first = pipelines[slot->first];
        slot->pipeline = builder->policy->pipelines[slot->first].pipeline;
    }
    return true;
}

bool policy_index_build(struct policy *policy, struct error *error)
{
    OWNED(arena_free) struct arena *scratch = arena_new(SIZE_MAX / 2);
    struct builder builder = { .policy = policy, .scratch = scratch };

    if (scratch == NULL || !prepare_issuers(policy) || !count_values(&builder) ||
        !enter_all(&builder) || !fill_slots(&builder))
        return error_set(error, ERROR_MEMORY, "indexing the policy");
    return true;
}

/* ---- finding ---- */

#define RUNS_MAX 64 /* values of a token that lead to pipelines; a token with more fits nothing */

struct runs {
    const struct policy_index_slot *slots[RUNS_MAX];
    size_t count;
    size_t pipeline_count;
    bool are_too_many;
};

static void look_up(const struct policy_index *index, const struct index_claim *claim,
                    const json_t *value, struct runs *runs)
{
    const struct policy_index_slot *slot;
    uint64_t hash;

    if (json_is_string(value))
        hash = hash_text(claim->seed, json_str(value));
    else if (json_is_integer(value))
        hash = hash_integer(claim->seed, json_integer_value(value));
    else if (json_is_boolean(value))
        hash = hash_integer(claim->seed, json_is_true(value));
    else
        return;
    slot = find_slot(index, hash);
    if (slot->count == 0)
        return;
    if (slot->pipeline != NULL)
        policy_fetch_identity(slot->pipeline);
    runs->are_too_many |= runs->count == RUNS_MAX;
    if (runs->are_too_many)
        return;
    runs->slots[runs->count++] = slot;
    runs->pipeline_count += slot->count;
}

static const uint32_t *pipelines_of(const struct policy_index *index,
                                    const struct policy_index_slot *slot)
{
    return slot->count == 1 ? &slot->first : &index->pipelines[slot->first];
}

static int compare_indexes(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return (left > right) - (left < right);
}

/* Join the runs: sorted, each pipeline once. */
static bool join_runs(const struct policy_index *index, const struct runs *runs,
                      struct arena *arena, const uint32_t **found, size_t *count)
{
    uint32_t *joined = arena_alloc_array(arena, runs->pipeline_count, sizeof(*joined));
    size_t read = 0;

    *count = 0;
    if (joined == NULL)
        return false;
    for (size_t i = 0; i < runs->count; i++) {
        memcpy(&joined[read], pipelines_of(index, runs->slots[i]),
               runs->slots[i]->count * sizeof(*joined));
        read += runs->slots[i]->count;
    }
    qsort(joined, read, sizeof(*joined), compare_indexes);
    for (size_t i = 0; i < read; i++)
        if (*count == 0 || joined[*count - 1] != joined[i])
            joined[(*count)++] = joined[i];
    *found = joined;
    return true;
}

bool policy_index_find(const struct policy *policy, const struct policy_facts *facts,
                       struct arena *arena, const uint32_t **found, size_t *count,
                       struct error *error)
{
    const struct policy_index *index = &policy->index;
    const struct policy_index_issuer *issuer = find_issuer(index, facts->issuer);
    struct runs runs;

    runs.count = 0;
    runs.pipeline_count = 0;
    runs.are_too_many = false;
    *count = 0;
    for (size_t i = 0; issuer != NULL && i < issuer->claim_count; i++) {
        const struct index_claim *claim = &issuer->claims[i];
        const json_t *value = claim->source == POLICY_SOURCE_CI
                                  ? json_object_get(facts->ci, claim->key)
                                  : claim_value(facts->claims, claim->key);

        if (facts->unknown != NULL)
            policy_unknown_look_up(claim->source, claim->key, facts);
        look_up(index, claim, value, &runs);
        for (size_t k = 0; k < json_array_size(value); k++)
            look_up(index, claim, json_array_get(value, k), &runs);
    }
    if (runs.count == 0 || runs.are_too_many)
        return true;
    if (runs.count == 1) {
        *found = pipelines_of(index, runs.slots[0]);
        *count = runs.slots[0]->count;
        return true;
    }
    if (!join_runs(index, &runs, arena, found, count))
        return error_set(error, ERROR_MEMORY, "looking a policy up");
    return true;
}
