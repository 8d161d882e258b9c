#include "clients/session_form.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/binding.h"
#include "clients/session.h"

#define GRANT_EXCHANGE "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
#define TOKEN_TYPE_JWT "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
#define GRANT_POLL "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code"
#define DETAIL_TYPE "stagepass_grant"
#define PROOF_NAMESPACE "stagepass"

static void add_parameter(struct buf *form, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    buf_printf(form, "&%s=", name);
    buf_add_percent(form, value);
}

static void add_scope(struct buf *form, const struct option_list *grants)
{
    if (grants->count == 0)
        return;
    buf_add_text(form, "&scope=");
    for (size_t i = 0; i < grants->count; i++) {
        buf_add_text(form, i > 0 ? "%20" : "");
        buf_add_percent(form, str_from(grants->items[i]));
    }
}

static bool prepare_ssh_key(struct session *session, struct str *line, struct str *proof,
                            struct error *error)
{
    uint8_t digest[SHA256_LEN];

    if (!session->ssh_key.seed.data && !ssh_key_init(&session->ssh_key, error))
        return false;
    sha256(session->subject_token, digest);
    *line = ssh_key_line(&session->ssh_key, session->arena);
    if (!line->data)
        return error_set(error, ERROR_MEMORY, "no memory for the ssh key");
    return ssh_key_sign(&session->ssh_key, PROOF_NAMESPACE,
                        (struct str){ (const char *)digest, sizeof(digest) }, session->arena, proof,
                        error);
}

static json_t *new_detail(json_t *details, const char *grant)
{
    json_t *detail = json_object();

    if (detail && json_array_append_new(details, detail) == 0 &&
        json_put(detail, "type", json_string(DETAIL_TYPE)) &&
        json_put(detail, "grant", json_string(grant)))
        return detail;
    return NULL;
}

/* Our key, with the proof that we hold it, for each ssh grant. */
static bool add_ssh_details(struct session *session, const struct option_list *grants,
                            json_t *details, struct error *error)
{
    struct str line;
    struct str proof;

    if (grants->count == 0)
        return true;
    if (!prepare_ssh_key(session, &line, &proof, error))
        return false;
    for (size_t i = 0; i < grants->count; i++) {
        json_t *detail = new_detail(details, grants->items[i]);

        if (!detail || !json_put(detail, "public_key", json_from_str(line)) ||
            !json_put(detail, "proof", json_from_str(proof)))
            return error_set(error, ERROR_USAGE, "a grant's name is not UTF-8");
    }
    return true;
}

/* A request by our key, which is the proof, for each grant of a certificate. */
static bool add_csr_details(struct session *session, const struct option_list *grants,
                            json_t *details, struct error *error)
{
    struct str pem;

    if (grants->count == 0)
        return true;
    if (!session->tls_key.pem.data && !tls_key_init(&session->tls_key, error))
        return false;
    if (!tls_key_request(&session->tls_key, session->arena, &pem, error))
        return false;
    for (size_t i = 0; i < grants->count; i++) {
        json_t *detail = new_detail(details, grants->items[i]);

        if (!detail || !json_put(detail, "csr", json_from_str(pem)))
            return error_set(error, ERROR_USAGE, "a grant's name is not UTF-8");
    }
    return true;
}

static bool add_details(struct session *session, const struct wanted_keys *wanted, struct buf *form,
                        struct error *error)
{
    JSON_OWNED json_t *details = json_array();
    struct str text;

    if (wanted->ssh.count == 0 && wanted->csr.count == 0)
        return true;
    if (!add_ssh_details(session, &wanted->ssh, details, error) ||
        !add_csr_details(session, &wanted->csr, details, error))
        return false;
    text = json_text(session->arena, details);
    if (!text.data)
        return error_set(error, ERROR_MEMORY, "no memory for the request");
    add_parameter(form, "authorization_details", text);
    return true;
}

static bool add_bindings(const struct option_list *bindings, struct buf *form, struct error *error)
{
    for (size_t i = 0; i < bindings->count; i++) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, 256);
        if (!binding_write(bindings->items[i], &text, error))
            return false;
        add_parameter(form, "binding", buf_str(&text));
    }
    return true;
}

static bool is_whole(const struct buf *form, struct error *error)
{
    return buf_is_ok(form) ||
           error_set(error, ERROR_LIMIT, "the request is larger than %zu bytes", SESSION_FORM_MAX);
}

static bool build_poll(const struct session *session, struct buf *form, struct error *error)
{
    buf_add_text(form, "grant_type=" GRANT_POLL);
    add_parameter(form, "device_code", session->approval_code);
    return is_whole(form, error);
}

bool session_form_exchange(struct session *session, const struct session_options *options,
                           const struct wanted_keys *wanted, struct buf *form, struct error *error)
{
    if (session->approval_code.len > 0)
        return build_poll(session, form, error);
    buf_add_text(form, "grant_type=" GRANT_EXCHANGE "&subject_token_type=" TOKEN_TYPE_JWT);
    add_parameter(form, "subject_token", session->subject_token);
    add_parameter(form, "stage", str_from(options->stage));
    add_parameter(form, "reason", str_from(options->reason));
    add_scope(form, &options->grants);
    if (options->ttl_s > 0)
        buf_printf(form, "&ttl=%lld", (long long)options->ttl_s);
    if (!add_bindings(&options->bindings, form, error) ||
        !add_details(session, wanted, form, error))
        return false;
    return is_whole(form, error);
}

bool session_form_renewal(struct str token, struct buf *form, struct error *error)
{
    buf_add_text(form, "grant_type=refresh_token");
    add_parameter(form, "refresh_token", token);
    return is_whole(form, error);
}
