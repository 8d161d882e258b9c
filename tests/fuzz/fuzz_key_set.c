#include <assert.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "identity/key_set_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void find(const struct key_set *set, const struct token_envelope *envelope)
{
    struct verifier *verifier = NULL;
    struct error error = { 0 };
    enum key_match match = key_set_find(set, envelope, &verifier, &error);

    assert((match == KEY_MATCH_FOUND) == (verifier != NULL));
    assert((match == KEY_MATCH_REFUSED) == (error.code == ERROR_TOKEN));
    if (verifier != NULL)
        assert((verifier_algorithms(verifier) & envelope->algorithm) != 0);
}

/* A refusal has a code; a key that is found is for the algorithm; a set written is read the same.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    OWNED(key_set_unref) struct key_set *set = NULL;
    OWNED(key_set_unref) struct key_set *again = NULL;
    JSON_OWNED json_t *written = NULL;
    JSON_OWNED json_t *names = NULL;
    JSON_OWNED json_t *names_again = NULL;
    struct error error = { 0 };

    if (!key_set_parse((struct str){ (const char *)data, size }, JOSE_ANY, &set, &error)) {
        assert(error.code == ERROR_INVALID && set == NULL);
        return 0;
    }
    for (unsigned bit = 1; (bit & JOSE_ANY) != 0; bit <<= 1) {
        find(set, &(struct token_envelope){ .algorithm = bit });
        find(set, &(struct token_envelope){ .algorithm = bit, .kid = STR("a"), .has_kid = true });
    }
    written = key_set_json(set);
    assert(key_set_read(written, JOSE_ANY, &again, &error));
    names = key_set_names(set);
    names_again = key_set_names(again);
    assert(json_equal(names, names_again));
    return 0;
}
