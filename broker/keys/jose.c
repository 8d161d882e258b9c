#include "keys/jose.h"

#include <stddef.h>

#include "base/macros.h"

static const struct {
    const char *name;
    enum jose_algorithm algorithm;
} algorithms[] = {
    { "RS256", JOSE_RS256 }, { "RS384", JOSE_RS384 },   { "RS512", JOSE_RS512 },
    { "PS256", JOSE_PS256 }, { "PS384", JOSE_PS384 },   { "PS512", JOSE_PS512 },
    { "ES256", JOSE_ES256 }, { "ES384", JOSE_ES384 },   { "ES512", JOSE_ES512 },
    { "EdDSA", JOSE_EDDSA }, { "Ed25519", JOSE_EDDSA },
};

unsigned jose_algorithm_from(struct str name)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        if (str_eq(name, str_from(algorithms[i].name)))
            return algorithms[i].algorithm;
    }
    return 0;
}

const char *jose_algorithm_name(enum jose_algorithm algorithm)
{
    for (size_t i = 0; i < COUNT(algorithms); i++) {
        if (algorithms[i].algorithm == algorithm)
            return algorithms[i].name;
    }
    return "none of ours";
}
