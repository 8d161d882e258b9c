/*
 * Certificates for x509 grants. Names, uses and life are policy's; of the request comes a public
 * key only, by a certificate request that its private half has signed.
 */
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "targets/csr_details.h"
#include "targets/x509_internal.h"

/* ---- what the caller asks for ---- */

bool x509_check_details(struct mint *mint, struct error *error)
{
    struct certificate_request *request = NULL;

    if (!csr_details(mint, "an x509 grant", &request, error))
        return false;
    mint->state = request; /* only a key that has proven itself gets here */
    return true;
}

/* ---- signing ---- */

static bool fill_names(const struct x509_grant *grant,
                       struct certificate_name names[CERTIFICATE_NAMES_MAX],
                       struct certificate_plan *plan)
{
    plan->names = names;
    if (grant->id.len > 0) {
        names[plan->name_count++] = (struct certificate_name){ CERTIFICATE_URI, grant->id };
        return true;
    }
    for (size_t i = 0; i < grant->names.count && i < CERTIFICATE_NAMES_MAX; i++)
        names[plan->name_count++] =
            (struct certificate_name){ CERTIFICATE_DNS, grant->names.list[i] };
    return plan->name_count == grant->names.count;
}

static bool put_names(const struct x509_grant *grant, json_t *object)
{
    return grant->id.len > 0
               ? json_put(object, "spiffe_id", json_from_str(grant->id))
               : json_put(object, "san", json_from_strs(grant->names.list, grant->names.count));
}

static bool put_results(struct mint *mint, const struct x509_grant *grant,
                        const struct certificate *certificate)
{
    json_t *x509 = json_object();

    mint->credential = json_object();
    mint->record = json_object();
    mint->expires_s = certificate->expires_s;
    return json_put(mint->credential, "x509", x509) &&
           json_put(x509, "certificate", json_from_str(certificate->pem)) &&
           json_put(x509, "chain", json_from_str(certificate->chain)) &&
           json_put_text(x509, "root", certificate->root) && put_names(grant, x509) &&
           json_put(mint->record, "id", json_from_str(certificate->serial)) &&
           json_put(mint->record, "fingerprint", json_from_str(certificate->sha256)) &&
           json_put(mint->record, "ca", json_from_str(certificate->issuer));
}

static bool sign(struct mint *mint, struct error *error)
{
    const struct x509_settings *own = mint->target->settings;
    struct certificate_extension extensions[CODE_SIGNING_EXTENSIONS_MAX];
    struct certificate_name names[CERTIFICATE_NAMES_MAX];
    struct grant_reader reader = { .arena = mint->arena };
    struct certificate_plan plan = { .extensions = extensions };
    struct certificate certificate = { 0 };
    struct x509_grant grant = { 0 };

    if (!mint->state)
        return error_set(error, ERROR_DETAILS, "no key has proven itself");
    if (!own->authority)
        return error_set(error, ERROR_MINT, "the target's CA is not loaded");
    if (!x509_read_grant(&reader, mint->fields, own, &grant))
        return grant_error(&reader, error);
    plan.uses = grant.uses;
    plan.crl_url = own->crl_url;
    plan.now_s = mint->now_s;
    plan.valid_before_s = mint->now_s + mint->ttl_s;
    if (!fill_names(&grant, names, &plan))
        return error_set(error, ERROR_MINT, "more names than a certificate has");
    if (plan.uses == CERTIFICATE_CODE_SIGNING &&
        !code_signing_extensions(mint, extensions, &plan.extension_count, error))
        return false;
    if (!authority_issue(own->authority, &plan, mint->state, mint->arena, &certificate, error))
        return false;
    return put_results(mint, &grant, &certificate) ||
           error_set(error, ERROR_MEMORY, "no memory for a certificate");
}

/* A plan that does not do is no caller's fault: the policy or the CA is not what it should be. */
static bool sign_or_blame(struct mint *mint, struct error *error)
{
    struct error cause = { 0 };

    return sign(mint, &cause) ||
           error_set(error, cause.code == ERROR_INVALID ? ERROR_MINT : cause.code, "%s",
                     cause.cause);
}

enum progress x509_mint(struct mint *mint, struct error *error)
{
    return mint_sign(mint, sign_or_blame, error);
}
