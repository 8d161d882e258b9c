#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/prove_internal.h"

/*
 * How a proof goes. For each issuer whose tokens can meet the terms, and each actor that there can
 * be where conditions ask for one, the terms become a formula of atoms joined by "and" and "or"
 * (prove_formula.c). An atom asks one thing of one variable: a claim, a fact, the address, the
 * time. The search (prove_search.c) takes alternatives until all that is left are atoms, and looks
 * at each variable's atoms together: whether there is a value that fits them all is decided
 * exactly, for single values and arrays (prove_tree.c, prove_array.c, prove_single.c, prove_text.c,
 * and for all texts at once prove_walk.c), addresses (prove_address.c) and times (prove_time.c).
 * The values that it ends with are the example (prove_example.c).
 *
 * What is taken to be possible: every claim may be absent, those too that a profile always expects
 * (they may be empty); one that is there has its profile's type, since other tokens are refused.
 * Nothing is assumed of `iss`, `aud`, `exp` and their like. A request's address is known. Facts
 * that are no copies of claims may be anything.
 */

#define CHUNK_FIRST ((size_t)16 * 1024)
#define CHUNK_MAX ((size_t)1024 * 1024)

/* ---- memory ---- */

static size_t round_up(size_t size)
{
    return (size + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

static struct prove_chunk *add_chunk(struct prover *prover, size_t size)
{
    size_t capacity = prover->chunk == NULL ? CHUNK_FIRST : 2 * prover->chunk->capacity;
    struct prove_chunk *chunk;

    if (capacity > CHUNK_MAX)
        capacity = CHUNK_MAX;
    if (capacity < size)
        capacity = size;
    chunk = arena_alloc(prover->arena, sizeof(*chunk) + capacity);
    if (chunk == NULL) {
        prover->is_out_of_memory = true;
        return NULL;
    }
    chunk->capacity = capacity;
    if (prover->chunk == NULL) {
        prover->chunks = chunk;
    } else {
        chunk->next = prover->chunk->next;
        prover->chunk->next = chunk;
    }
    return chunk;
}

/* The next chunk with room, or a new one. */
static struct prove_chunk *next_chunk(struct prover *prover, size_t size)
{
    struct prove_chunk *chunk = prover->chunk == NULL ? prover->chunks : prover->chunk->next;

    if (chunk == NULL || chunk->capacity < size)
        chunk = add_chunk(prover, size);
    if (chunk != NULL)
        chunk->used = 0;
    return chunk;
}

void *prove_alloc(struct prover *prover, size_t count, size_t size)
{
    struct prove_chunk *chunk = prover->chunk;
    size_t bytes;
    void *piece;

    if (__builtin_mul_overflow(count, size, &bytes))
        return NULL;
    bytes = round_up(bytes == 0 ? 1 : bytes);
    if (chunk == NULL || chunk->capacity - chunk->used < bytes) {
        chunk = next_chunk(prover, bytes);
        if (chunk == NULL)
            return NULL;
        prover->chunk = chunk;
    }
    piece = chunk->data + chunk->used;
    chunk->used += bytes;
    memset(piece, 0, bytes);
    return piece;
}

struct str prove_copy(struct prover *prover, struct str text)
{
    char *copy = prove_alloc(prover, text.len + 1, 1);

    if (copy == NULL)
        return (struct str){ 0 };
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    return (struct str){ copy, text.len };
}

struct prove_mark prove_mark(const struct prover *prover)
{
    return (struct prove_mark){ prover->chunk, prover->chunk == NULL ? 0 : prover->chunk->used };
}

void prove_rewind(struct prover *prover, struct prove_mark mark)
{
    prover->chunk = mark.chunk;
    if (mark.chunk != NULL)
        mark.chunk->used = mark.used;
}

bool prove_spend(struct prover *prover, size_t steps)
{
    prover->steps_left -= steps < prover->steps_left ? steps : prover->steps_left;
    return prover->steps_left > 0;
}

struct prover *prover_new(struct arena *arena)
{
    struct prover *prover = arena_alloc(arena, sizeof(*prover));

    if (prover == NULL)
        return NULL;
    prover->arena = arena;
    prover->all_steps_left = PROVE_ALL_STEPS_MAX;
    return prover;
}

void prover_since(struct prover *prover, int64_t since_s)
{
    prover->since_s = since_s;
}

/* ---- cases ---- */

/* Start anew for an issuer and an actor. False without memory. */
static bool set_case(struct prover *prover, const struct policy_issuer *issuer,
                     const struct policy_issuer *actor)
{
    prove_rewind(prover, (struct prove_mark){ NULL, 0 });
    prover->issuer = issuer;
    prover->actor = actor;
    prover->claims = prove_root(prover, false);
    prover->facts = prove_root(prover, true);
    prover->actor_claims = prove_root(prover, false);
    prover->address = (struct prove_variable){ .kind = PROVE_OF_ADDRESS };
    prover->time = (struct prove_variable){ .kind = PROVE_OF_TIME };
    prover->proofs = (struct prove_variable){ .kind = PROVE_OF_PROOFS };
    prover->address.stamp = ++prover->last_stamp;
    prover->time.stamp = ++prover->last_stamp;
    prover->proofs.stamp = ++prover->last_stamp;
    return prover->claims != NULL && prover->facts != NULL && prover->actor_claims != NULL;
}

/* Add the formulas of the terms that are negated, or of those that are not. False without memory.
 */
static bool add_formulas(struct prover *prover, struct prove_node *all, bool is_negated)
{
    for (size_t i = 0; i < prover->term_count; i++) {
        struct prove_node *node;

        if (prover->terms[i].is_negated != is_negated)
            continue;
        node = prove_formula(prover, &prover->terms[i]);
        if (node == NULL || prover->is_out_of_memory)
            return false;
        if (all->last == NULL)
            all->first = node;
        else
            all->last->next = node;
        all->last = node;
    }
    return true;
}

/* Terms that let in come first: most contradictions are between them. */
static enum proof_answer try_case(struct prover *prover, const struct policy_issuer *issuer,
                                  const struct policy_issuer *actor)
{
    struct prove_node *all;

    if (!set_case(prover, issuer, actor))
        return PROOF_UNDECIDED;
    all = prove_alloc(prover, 1, sizeof(*all));
    if (all == NULL)
        return PROOF_UNDECIDED;
    all->kind = PROVE_AND;
    if (!add_formulas(prover, all, false) || !add_formulas(prover, all, true))
        return PROOF_UNDECIDED;
    return prove_search(prover, all);
}

static enum proof_answer try_actor(struct prover *prover, const struct policy_issuer *issuer,
                                   const struct policy_issuer *actor, bool *is_undecided)
{
    enum proof_answer answer = try_case(prover, issuer, actor);

    *is_undecided |= answer == PROOF_UNDECIDED;
    return answer;
}

/* Every actor that there can be; nobody first. */
static enum proof_answer try_issuer(struct prover *prover, const struct policy_issuer *issuer)
{
    const struct policy_world *world = prover->world;
    bool is_undecided = false;

    prover->asks_for_actor = false;
    if (try_actor(prover, issuer, NULL, &is_undecided) == PROOF_YES)
        return PROOF_YES;
    for (size_t i = 0; prover->asks_for_actor && i < world->issuer_count; i++)
        if (try_actor(prover, issuer, &world->issuers[i], &is_undecided) == PROOF_YES)
            return PROOF_YES;
    if (prover->asks_for_actor && world->people != NULL &&
        try_actor(prover, issuer, world->people, &is_undecided) == PROOF_YES)
        return PROOF_YES;
    return is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}

/* Whether a term can be met by an issuer's tokens at all. */
static bool is_of_issuer(const struct proof_term *term, const struct policy_issuer *issuer)
{
    const struct policy_pipeline *pipeline = policy_rule_of(term->stage)->pipeline;

    for (size_t i = 0; i < pipeline->identity.count; i++) {
        const struct policy_identity_map *map = &pipeline->identity_maps[i];

        if (term->only_identity != 0 && term->only_identity != i + 1)
            continue;
        for (size_t k = 0; k < map->issuer_count; k++)
            if (str_eq(map->issuers[k]->name, issuer->name))
                return true;
    }
    return term->is_negated;
}

static bool is_of_all(const struct prover *prover, const struct policy_issuer *issuer)
{
    for (size_t i = 0; i < prover->term_count; i++)
        if (!is_of_issuer(&prover->terms[i], issuer))
            return false;
    return true;
}

static enum proof_answer try_all(struct prover *prover)
{
    const struct policy_world *world = prover->world;
    bool is_undecided = false;

    for (size_t i = 0; i < world->issuer_count; i++) {
        enum proof_answer answer = PROOF_NO;

        if (is_of_all(prover, &world->issuers[i]))
            answer = try_issuer(prover, &world->issuers[i]);
        if (answer == PROOF_YES)
            return answer;
        is_undecided |= answer == PROOF_UNDECIDED;
    }
    return is_undecided ? PROOF_UNDECIDED : PROOF_NO;
}

/* The world that requests are of: of what lets them in, where terms are of several. */
static const struct policy_world *find_world(const struct proof_term *terms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!terms[i].is_negated)
            return terms[i].policy->world;
    return terms[0].policy->world;
}

/* What the proof at hand may take, and what it took. */
static size_t open_steps(struct prover *prover)
{
    prover->all_steps_left += PROVE_USUAL_STEPS;
    prover->steps_left =
        prover->all_steps_left < PROVE_STEPS_MAX ? prover->all_steps_left : PROVE_STEPS_MAX;
    return prover->steps_left;
}

static void close_steps(struct prover *prover, size_t opened)
{
    prover->all_steps_left -= opened - prover->steps_left;
}

bool prove(struct prover *prover, const struct proof_term *terms, size_t count,
           enum proof_answer *answer, struct proof_example *example, struct error *error)
{
    size_t steps = open_steps(prover);

    prover->terms = terms;
    prover->term_count = count;
    prover->example = example;
    prover->error = error;
    prover->world = find_world(terms, count);
    prover->ci_facts = prover->world->ci_facts;
    prover->is_out_of_memory = false;
    *answer = count > PROOF_TERMS_MAX ? PROOF_UNDECIDED : try_all(prover);
    close_steps(prover, steps);
    if (!prover->is_out_of_memory)
        return true;
    *answer = PROOF_UNDECIDED;
    return error->code != ERROR_NONE ? false : error_set(error, ERROR_MEMORY, "proving");
}
