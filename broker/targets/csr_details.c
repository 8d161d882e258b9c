#include "targets/csr_details.h"

#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "targets/target.h"

static bool check_members(const struct mint *mint, const char *grant, struct error *error)
{
    static const char *const known[] = { "type", "grant", "ttl", "csr" };
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(mint->details), name, value) {
        bool is_known = false;

        for (size_t i = 0; i < COUNT(known); i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            return error_set(error, ERROR_DETAILS, "a member that %s does not take", grant);
    }
    return true;
}

/* What a parser says of the caller's input is the caller's fault, unless it is ours. */
static bool blame(const struct error *inner, struct error *error)
{
    if (inner->code == ERROR_MEMORY || inner->code == ERROR_CRYPTO)
        return error_set(error, inner->code, "csr: %s", inner->cause);
    return error_set(error, ERROR_DETAILS, "csr: %s", inner->cause);
}

static void request_free(void *request)
{
    certificate_request_free(request);
}

bool csr_details(struct mint *mint, const char *grant, struct certificate_request **request,
                 struct error *error)
{
    struct error inner = { 0 };
    struct str pem;

    if (!check_members(mint, grant, error))
        return false;
    if (!json_get_str(mint->details, "csr", &pem)) {
        (void)error_set(error, ERROR_DETAILS, "no 'csr'");
        error_tell(error, "%s needs a csr in authorization_details", grant);
        return false;
    }
    if (!certificate_request_parse(pem, request, &inner))
        return blame(&inner, error);
    return arena_defer(mint->arena, request_free, *request) ||
           error_set(error, ERROR_MEMORY, "no memory for a certificate request");
}
