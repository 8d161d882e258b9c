#include "base/error.h"
#include "base/json.h"
#include "policy/prove_internal.h"

/*
 * An example: the witnesses of a search, as a request. What nothing was asked of is left out. Where
 * facts matter that are no copies of claims, the issuer's own rules are asked whether the example's
 * claims give them: if they do, it is an example without any doubt.
 */

static json_t *to_json(const struct prove_variable *variable);

static json_t *single_to_json(const struct prove_value *value)
{
    switch (value->kind) {
    case PROVE_TEXT:
        return json_from_str(value->text);
    case PROVE_INTEGER:
        return json_integer(value->integer);
    case PROVE_BOOLEAN:
        return json_boolean(value->integer != 0);
    case PROVE_ABSENT:
        return json_string("");
    case PROVE_UNKNOWN:
        return json_null();
    case PROVE_OTHER:
    case PROVE_OBJECT:
    case PROVE_ARRAY:
        break;
    }
    return json_object();
}

static bool is_shown(const struct prove_variable *variable);

static bool has_shown_child(const struct prove_variable *variable)
{
    for (const struct prove_variable *child = variable->children; child != NULL;
         child = child->sibling)
        if (is_shown(child))
            return true;
    return false;
}

/* Facts are shown where they matter, also those that are not there; claims where they are. */
static bool is_shown(const struct prove_variable *variable)
{
    enum prove_kind kind = variable->witness.kind;

    if (kind == PROVE_OBJECT)
        return variable->atoms != NULL || has_shown_child(variable);
    if (!variable->is_fact)
        return kind != PROVE_ABSENT && (variable->atoms != NULL || kind == PROVE_ARRAY);
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!atom->is_of_danger)
            return true;
    return variable->atoms != NULL && kind != PROVE_UNKNOWN;
}

static bool put_members(const struct prove_variable *variable, json_t *object)
{
    bool is_good = true;

    for (const struct prove_variable *child = variable->children; child != NULL && is_good;
         child = child->sibling) {
        JSON_OWNED json_t *name = NULL;

        if (!is_shown(child))
            continue;
        name = json_from_str(child->name); /* which ends with a NUL then */
        is_good = name != NULL && json_put(object, json_string_value(name), to_json(child));
    }
    return is_good;
}

static const struct prove_variable *element_at(const struct prove_variable *variable, size_t index)
{
    for (const struct prove_variable *child = variable->children; child != NULL;
         child = child->sibling)
        if (child->index >= 0 && (size_t)child->index == index)
            return child;
    return NULL;
}

/* One more than the last index that an element stands at. */
static size_t fixed_len(const struct prove_variable *variable)
{
    size_t len = 0;

    for (const struct prove_variable *child = variable->children; child != NULL;
         child = child->sibling)
        if (child->index >= (int64_t)len && child->witness.kind != PROVE_ABSENT)
            len = (size_t)child->index + 1;
    return len;
}

/* Elements at their index, the others in what is free; between them "", which does not count. */
static json_t *array_to_json(const struct prove_variable *variable)
{
    const struct prove_value *value = &variable->witness;
    size_t len = fixed_len(variable);
    JSON_OWNED json_t *array = json_array();
    size_t used = 0;
    bool is_good = array != NULL;

    for (size_t i = 0; is_good && (i < len || used < value->element_count); i++) {
        const struct prove_variable *fixed = element_at(variable, i);
        json_t *element;

        if (fixed != NULL)
            element = to_json(fixed);
        else if (used < value->element_count)
            element = single_to_json(&value->elements[used++]);
        else
            element = json_string("");
        is_good = json_array_append_new(array, element) == 0;
    }
    return is_good ? json_incref(array) : NULL;
}

static json_t *to_json(const struct prove_variable *variable)
{
    JSON_OWNED json_t *object = NULL;

    if (variable->witness.kind == PROVE_ARRAY)
        return array_to_json(variable);
    if (variable->witness.kind != PROVE_OBJECT)
        return single_to_json(&variable->witness);
    object = json_object();
    if (object == NULL || !put_members(variable, object))
        return NULL;
    return json_incref(object);
}

static bool has_asked(const struct prove_variable *root)
{
    for (const struct prove_variable *child = root->children; child != NULL; child = child->sibling)
        if (child->atoms != NULL)
            return true;
    return false;
}

static json_t *keep(struct prover *prover, json_t *take_json, struct error *error)
{
    if (take_json == NULL) {
        (void)error_set(error, ERROR_MEMORY, "an example");
        return NULL;
    }
    return json_keep(prover->arena, take_json, error) ? take_json : NULL;
}

static json_t *members_of(struct prover *prover, const struct prove_variable *root,
                          struct error *error)
{
    json_t *object = json_object();

    if (object != NULL && !put_members(root, object)) {
        json_decref(object);
        object = NULL;
    }
    return keep(prover, object, error);
}

/* ---- facts as the issuer makes them ---- */

static bool term_is_met(const struct proof_term *term, const struct policy_facts *facts,
                        int64_t time_s)
{
    const struct policy_stage_rule *stage = policy_rule_of(term->stage);
    const struct policy_linked *linked = policy_linked_of(term->policy, term->stage);
    bool holds = policy_identity_held(stage->pipeline, facts) != NULL &&
                 policy_stage_holds(linked, stage, facts, time_s, NULL);

    return holds != term->is_negated;
}

static bool is_partial(const struct proof_term *term)
{
    return term->only_identity != 0 || term->only_pipeline_when != 0 || term->only_when != 0 ||
           term->without_pipeline_unless != 0 || term->without_unless != 0;
}

static bool all_are_met(const struct prover *prover, const struct policy_facts *facts,
                        int64_t time_s)
{
    for (size_t i = 0; i < prover->term_count; i++)
        if (is_partial(&prover->terms[i]) || !term_is_met(&prover->terms[i], facts, time_s))
            return false;
    return true;
}

/*
 * Whether the terms are met by the example's claims with the facts that the issuer makes of them.
 * False without memory.
 */
static bool try_own_facts(struct prover *prover, const struct proof_example *example, bool *are_met,
                          struct error *error)
{
    const struct claim_dangers *dangers = prover->issuer->dangers;
    size_t danger_max = dangers == NULL ? 0 : dangers->count;
    const struct claim_danger **found =
        prove_alloc(prover, danger_max + 1, sizeof(const struct claim_danger *));
    JSON_OWNED json_t *ci = json_object();
    struct policy_facts facts = {
        .issuer = example->issuer,
        .claims = example->claims,
        .ci = ci,
        .dangers = found,
        .address = &example->address,
        .proofs = example->proofs,
        .actor = example->actor,
    };

    if (found == NULL || ci == NULL || !prover->issuer->fill_ci(example->claims, ci))
        return error_set(error, ERROR_MEMORY, "an example");
    if (dangers != NULL)
        facts.danger_count = claim_dangers_find(dangers, example->claims, ci, found);
    *are_met = all_are_met(prover, &facts, example->time_s);
    return true;
}

/* Without `fill_ci` no atom is on a fact. */
static bool set_facts(struct prover *prover, struct proof_example *example, struct error *error)
{
    bool are_met = true;

    if (has_asked(prover->facts) && !try_own_facts(prover, example, &are_met, error))
        return false;
    if (are_met)
        return true;
    example->is_of_facts = true;
    example->ci = members_of(prover, prover->facts, error);
    return example->ci != NULL;
}

static bool set_actor(struct prover *prover, struct proof_example *example, struct error *error)
{
    json_t *actor;

    if (prover->actor == NULL)
        return true;
    actor = keep(prover, json_object(), error);
    example->actor = actor;
    if (actor == NULL)
        return false;
    if (!json_put(actor, "issuer", json_from_str(prover->actor->name)) ||
        !json_put(actor, "claims", json_object()) ||
        !put_members(prover->actor_claims, json_object_get(actor, "claims")))
        return error_set(error, ERROR_MEMORY, "an example");
    return true;
}

bool prove_example(struct prover *prover, struct proof_example *example, struct error *error)
{
    *example = (struct proof_example){ .issuer = prover->issuer->name };
    example->claims = members_of(prover, prover->claims, error);
    if (example->claims == NULL || !set_actor(prover, example, error))
        return false;
    if (prover->address.atoms != NULL)
        example->address = prover->address.address;
    if (prover->proofs.atoms != NULL)
        example->proofs = prover->proofs.proofs;
    if (prover->time.atoms != NULL)
        example->time_s = prover->time.time_s;
    return set_facts(prover, example, error);
}
