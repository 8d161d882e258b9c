/*
 * A client certificate that a server lets in as one role, by its common name: nothing is left at
 * the server that would have to be cleaned up, and the session's certificate is in its log.
 *
 * Source: PostgreSQL, "Certificate Authentication"
 */
#include "base/json.h"
#include "targets/postgres_internal.h"

static bool put_results(struct mint *mint, const struct certificate *certificate, const char *role,
                        const char *database)
{
    json_t *postgres = json_object();

    mint->credential = json_object();
    mint->record = json_object();
    mint->expires_s = certificate->expires_s;
    return json_put(mint->credential, "postgres", postgres) &&
           postgres_put_place(postgres, mint->target->settings, database, role) &&
           json_put(postgres, "certificate", json_from_str(certificate->pem)) &&
           json_put(postgres, "chain", json_from_str(certificate->chain)) &&
           json_put(mint->record, "id", json_from_str(certificate->serial)) &&
           json_put(mint->record, "fingerprint", json_from_str(certificate->sha256)) &&
           json_put(mint->record, "ca", json_from_str(certificate->issuer)) &&
           json_put(mint->record, "role", json_string(role)) &&
           json_put(mint->record, "database", json_string(database));
}

bool postgres_certificate_mint(struct mint *mint, struct str role, struct str database,
                               struct error *error)
{
    const struct postgres_settings *own = mint->target->settings;
    const struct certificate_plan plan = {
        .common_name = role,
        .uses = CERTIFICATE_CLIENT,
        .now_s = mint->now_s,
        .valid_before_s = mint->now_s + mint->ttl_s,
    };
    struct str role_text = arena_copy(mint->arena, role);
    struct str database_text = arena_copy(mint->arena, database);
    struct certificate certificate = { 0 };

    if (!mint->state)
        return error_set(error, ERROR_DETAILS, "no key has proven itself");
    if (!own->authority)
        return error_set(error, ERROR_MINT, "the target has no CA: it has no 'key'");
    if (!authority_issue(own->authority, &plan, mint->state, mint->arena, &certificate, error))
        return false;
    return (role_text.data && database_text.data &&
            put_results(mint, &certificate, role_text.data, database_text.data)) ||
           error_set(error, ERROR_MEMORY, "no memory for a certificate");
}
