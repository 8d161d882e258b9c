#include "policy/prove_internal.h"

/*
 * Where a request came from, and which keys it has proven. Whether an address is in all networks
 * that it must be in, and in no other, changes only at a network's first address and behind its
 * last one: so if there is one that fits, one of these does.
 */

#define IPV4_LEN 4
#define IPV6_LEN 16

/* ::ffff:0:0/96 is kept as IPv4: no request has an address of it. */
static const struct network mapped = {
    { { [10] = 0xff, [11] = 0xff }, IPV6_LEN },
    96,
};

/* ---- what is asked of an address ---- */

static bool is_in(const struct network *list, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (network_contains(&list[i], address))
            return true;
    return false;
}

/* All tests of a condition on an address are on networks. */
static bool condition_holds(const struct policy_condition *condition, const struct address *address)
{
    for (size_t i = 0; i < condition->test_count; i++) {
        const struct policy_test *test = &condition->tests[i];

        if (is_in(test->networks.list, test->networks.count, address) == test->is_negated)
            return false;
    }
    return true;
}

static bool allows(const struct prove_atom *atom, const struct address *address)
{
    bool holds = atom->question == PROVE_CONDITION
                     ? condition_holds(atom->condition, address)
                     : is_in(atom->networks.list, atom->networks.count, address);

    return (atom->allowed & (holds ? PROVE_HOLDS : PROVE_FAILS)) != 0;
}

static bool all_allow(const struct prove_variable *variable, const struct prove_atom *more,
                      const struct address *address)
{
    if (network_contains(&mapped, address) || (more != NULL && !allows(more, address)))
        return false;
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!allows(atom, address))
            return false;
    return true;
}

/* ---- what there is to try ---- */

/* The first address behind a network; false: there is none. */
static bool step_over(const struct network *network, struct address *address)
{
    size_t bits = network->bits;

    *address = network->base;
    while (bits > 0) {
        uint8_t bit = (uint8_t)(0x80 >> ((bits - 1) % 8));

        address->bytes[(bits - 1) / 8] ^= bit;
        if ((address->bytes[(bits - 1) / 8] & bit) != 0)
            return true;
        bits--;
    }
    return false;
}

static bool take(struct prove_variable *variable, const struct prove_atom *more,
                 const struct address *address)
{
    struct address next = *address;

    if (!all_allow(variable, more, address))
        return false;
    /* a network's own address is no host's */
    next.bytes[next.len - 1] |= 1;
    variable->address = all_allow(variable, more, &next) ? next : *address;
    variable->has_witness = true;
    return true;
}

static bool try_networks(struct prove_variable *variable, const struct prove_atom *more,
                         const struct policy_networks *networks)
{
    for (size_t i = 0; i < networks->count; i++) {
        struct address behind;

        if (take(variable, more, &networks->list[i].base) ||
            (step_over(&networks->list[i], &behind) && take(variable, more, &behind)))
            return true;
    }
    return false;
}

static bool try_atom(struct prove_variable *variable, const struct prove_atom *more,
                     const struct prove_atom *atom)
{
    if (atom->question == PROVE_NETWORKS)
        return try_networks(variable, more, &atom->networks);
    for (size_t i = 0; i < atom->condition->test_count; i++) {
        const struct policy_test *test = &atom->condition->tests[i];
        const struct policy_networks networks = { test->networks.list, test->networks.count };

        if (try_networks(variable, more, &networks))
            return true;
    }
    return false;
}

/* The lowest addresses, what is behind those that are IPv4, and one that documents use. */
static bool try_common(struct prove_variable *variable, const struct prove_atom *more)
{
    static const struct address common[] = {
        { { 192, 0, 2, 1 }, IPV4_LEN },
        { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, IPV6_LEN },
        { { 0 }, IPV4_LEN },
        { { 0 }, IPV6_LEN },
    };
    struct address behind;

    for (size_t i = 0; i < COUNT(common); i++)
        if (take(variable, more, &common[i]))
            return true;
    return step_over(&mapped, &behind) && take(variable, more, &behind);
}

enum proof_answer prove_address_check(struct prover *prover, struct prove_variable *variable,
                                      const struct prove_atom *more)
{
    (void)prover;
    if (more != NULL && try_atom(variable, more, more))
        return PROOF_YES;
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (try_atom(variable, more, atom))
            return PROOF_YES;
    return try_common(variable, more) ? PROOF_YES : PROOF_NO;
}

bool prove_address_allows(const struct prove_atom *atom, const struct prove_variable *variable)
{
    return allows(atom, &variable->address);
}

/* ---- proofs of keys ---- */

static bool proofs_allow(const struct prove_atom *atom, unsigned proofs)
{
    return (atom->allowed & ((atom->proofs & proofs) != 0 ? PROVE_HOLDS : PROVE_FAILS)) != 0;
}

static bool all_proofs_allow(const struct prove_variable *variable, const struct prove_atom *more,
                             unsigned proofs)
{
    if (more != NULL && !proofs_allow(more, proofs))
        return false;
    for (const struct prove_atom *atom = variable->atoms; atom != NULL; atom = atom->next)
        if (!proofs_allow(atom, proofs))
            return false;
    return true;
}

enum proof_answer prove_proofs_check(struct prover *prover, struct prove_variable *variable,
                                     const struct prove_atom *more)
{
    /* A token that names a key is that of the DPoP proof which came along. */
    static const unsigned possible[] = {
        0,
        POLICY_PROOF_DPOP,
        POLICY_PROOF_MTLS,
        POLICY_PROOF_DPOP | POLICY_PROOF_KEY,
        POLICY_PROOF_DPOP | POLICY_PROOF_MTLS,
        POLICY_PROOF_DPOP | POLICY_PROOF_MTLS | POLICY_PROOF_KEY,
    };

    (void)prover;
    for (size_t i = 0; i < COUNT(possible); i++) {
        if (!all_proofs_allow(variable, more, possible[i]))
            continue;
        variable->proofs = possible[i];
        variable->has_witness = true;
        return PROOF_YES;
    }
    return PROOF_NO;
}

bool prove_proofs_allows(const struct prove_atom *atom, const struct prove_variable *variable)
{
    return proofs_allow(atom, variable->proofs);
}
