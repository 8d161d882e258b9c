#include "base/json.h"
#include "policy/policy_loader.h"

static const struct proof {
    const char *name;
    enum policy_proof bit;
} proofs[] = {
    { "dpop", POLICY_PROOF_DPOP },
    { "mtls", POLICY_PROOF_MTLS },
    { "key", POLICY_PROOF_KEY },
};

static const struct proof *find_proof(struct str name)
{
    for (size_t i = 0; i < COUNT(proofs); i++)
        if (str_eq(str_from(proofs[i].name), name))
            return &proofs[i];
    return NULL;
}

unsigned policy_proof_find(struct str name)
{
    const struct proof *proof = find_proof(name);

    return proof == NULL ? 0 : proof->bit;
}

const char *policy_proof_name(enum policy_proof proof)
{
    for (size_t i = 0; i < COUNT(proofs); i++)
        if (proofs[i].bit == proof)
            return proofs[i].name;
    return "";
}

unsigned policy_proofs_read(const struct policy_loader *loader, const json_t *map)
{
    const json_t *value = json_object_get(map, "proof");
    unsigned bits = 0;
    struct str *names;
    size_t count;

    if (!yaml_get_strs(&loader->reader, map, "proof", &names, &count))
        return 0;
    if (count == 0)
        (void)yaml_complain(&loader->reader, value, "an empty list demands nothing: remove it");
    for (size_t i = 0; i < count; i++) {
        const struct proof *proof = find_proof(names[i]);
        const json_t *at = json_is_array(value) ? json_array_get(value, i) : value;

        if (proof == NULL)
            (void)yaml_complain_hint(&loader->reader, at, STR("known here: dpop, mtls, key"),
                                     "there is no proof '" STR_FMT "'",
                                     STR_ARG(str_slice(names[i], 0, 60)));
        else if ((bits & proof->bit) != 0)
            (void)yaml_complain(&loader->reader, at, "'%s' is there twice", proof->name);
        else
            bits |= proof->bit;
    }
    return bits;
}
