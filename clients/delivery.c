#include "clients/delivery.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/answer.h"
#include "clients/report.h"
#include "clients/ssh_key.h"
#include "clients/tls_key.h"
#include "clients/tool_format.h"
#include "clients/variable.h"

#define AGENT_MESSAGE_MAX ((size_t)16 * 1024)
#define LIFETIME_MAX_S 86400
#define SERVICES_MAX ((size_t)64 * 1024)
#define BASE64_MAX ((size_t)128 * 1024)

static void mask(const struct answer *answer)
{
    report_mask(answer->handle);
    report_mask(answer->access_token);
    report_mask(answer->refresh_token);
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type != CREDENTIAL_SSH) /* whose certificate is no secret */
            report_mask(credential->token);
        report_mask(credential->secret_access_key);
        report_mask(credential->session_token);
        report_mask(credential->password);
    }
}

static void report_unknown(const struct answer *answer)
{
    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].type == CREDENTIAL_OTHER)
            report_line("grant '" STR_FMT "' is of type '" STR_FMT
                        "', which this stagepass does not know: the command does not get it",
                        STR_ARG(answer->credentials[i].grant),
                        STR_ARG(answer->credentials[i].type_name));
}

static bool need_folder(struct delivery *delivery, struct error *error)
{
    return delivery->folder.path ||
           work_folder_make(&delivery->folder, delivery->environment.arena, error);
}

static uint32_t lifetime_s(const struct credential *credential, int64_t now_s)
{
    int64_t left_s = credential->expires_s - now_s;

    if (left_s < 1)
        return 1; /* 0 would be for ever */
    return (uint32_t)(left_s < LIFETIME_MAX_S ? left_s : LIFETIME_MAX_S);
}

static bool feed(struct delivery *delivery, const struct credential *credential,
                 const struct ssh_key *key, int64_t now_s, struct error *error)
{
    OWNED(buf_release) struct buf message = { 0 };
    struct arena *arena = delivery->environment.arena;

    if (!key->seed.data)
        return error_set(error, ERROR_INVALID, "a certificate came that no key was sent for");
    if (!need_folder(delivery, error))
        return false;
    if (!delivery->agent.socket &&
        !ssh_agent_start(&delivery->agent, delivery->folder.path, arena, error))
        return false;
    buf_init(&message, AGENT_MESSAGE_MAX);
    return ssh_key_add_agent_message(key, credential->token, credential->grant,
                                     lifetime_s(credential, now_s), &message, error) &&
           ssh_agent_send(&delivery->agent, buf_str(&message), error);
}

static bool deliver_ssh(struct delivery *delivery, const struct answer *answer,
                        const struct ssh_key *key, int64_t now_s, struct error *error)
{
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type == CREDENTIAL_SSH && !feed(delivery, credential, key, now_s, error))
            return error_wrap(error, "grant '" STR_FMT "'", STR_ARG(credential->grant));
    }
    return !delivery->agent.socket ||
           environment_add(&delivery->environment, STR("SSH_AUTH_SOCK"),
                           str_from(delivery->agent.socket), false, error);
}

/* Several do not fit into one set of variables: a profile each, by the grant's name. */
static bool deliver_aws(struct delivery *delivery, const struct answer *answer, struct error *error)
{
    struct arena *arena = delivery->environment.arena;
    struct str profiles;
    const char *path;

    if (environment_count(answer, CREDENTIAL_AWS) < 2)
        return true;
    if (!need_folder(delivery, error))
        return false;
    profiles = environment_aws_profiles(answer, arena);
    path = work_folder_file(&delivery->folder, arena, "aws-credentials");
    if (!profiles.data || !path)
        return error_set(error, ERROR_MEMORY, "no memory for AWS profiles");
    return file_replace(path, profiles, 0600, error) &&
           environment_add(&delivery->environment, STR("AWS_SHARED_CREDENTIALS_FILE"),
                           str_from(path), false, error);
}

/* ---- certificates ---- */

/* A file "GRANT.ENDING", and its path; "" where there is nothing in it. */
static bool put_file(struct delivery *delivery, const struct credential *credential,
                     const char *ending, struct str content, struct str *path, struct error *error)
{
    struct arena *arena = delivery->environment.arena;
    struct str name;
    const char *file;

    *path = STR("");
    if (content.len == 0)
        return true;
    if (!need_folder(delivery, error))
        return false;
    name = arena_printf(arena, STR_FMT ".%s", STR_ARG(credential->grant), ending);
    file = name.data ? work_folder_file(&delivery->folder, arena, name.data) : NULL;
    if (!file)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    *path = str_from(file);
    return file_replace(file, content, 0600, error);
}

/* The same, with its path as STAGEPASS_<GRANT>_<WHAT>. */
static bool deliver_file(struct delivery *delivery, const struct credential *credential,
                         const char *ending, const char *what, struct str content,
                         struct error *error)
{
    struct str path;

    if (!put_file(delivery, credential, ending, content, &path, error))
        return false;
    return path.len == 0 ||
           environment_add_path(&delivery->environment, credential->grant, what, path.data, error);
}

/* The certificate as servers and clients read it: with those behind it that signed it. */
static bool whole_certificate(const struct delivery *delivery, const struct credential *credential,
                              const struct tls_key *key, struct str *whole, struct error *error)
{
    if (!key->pem.data || !tls_key_fits(key, credential->certificate))
        return error_set(error, ERROR_INVALID, "a certificate came that is not of our key");
    *whole = arena_printf(delivery->environment.arena, STR_FMT STR_FMT,
                          STR_ARG(credential->certificate), STR_ARG(credential->chain));
    return whole->data || error_set(error, ERROR_MEMORY, "no memory for a certificate");
}

static struct str pem_of(const struct tls_key *key)
{
    return (struct str){ (const char *)key->pem.data, key->pem.len };
}

static bool deliver_certificate(struct delivery *delivery, const struct credential *credential,
                                const struct tls_key *key, struct error *error)
{
    struct str whole;

    return whole_certificate(delivery, credential, key, &whole, error) &&
           deliver_file(delivery, credential, "crt", "CERTIFICATE", whole, error) &&
           deliver_file(delivery, credential, "chain", "CHAIN", credential->chain, error) &&
           deliver_file(delivery, credential, "ca", "CA", credential->root, error) &&
           deliver_file(delivery, credential, "key", "KEY", pem_of(key), error);
}

static bool deliver_certificates(struct delivery *delivery, const struct answer *answer,
                                 const struct tls_key *key, struct error *error)
{
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type == CREDENTIAL_X509 &&
            !deliver_certificate(delivery, credential, key, error))
            return error_wrap(error, "grant '" STR_FMT "'", STR_ARG(credential->grant));
    }
    return true;
}

/* ---- PostgreSQL ---- */

static bool put_files(struct delivery *delivery, const struct credential *credential,
                      const struct tls_key *key, struct postgres_files *files, struct error *error)
{
    struct str whole = { 0 };

    *files = (struct postgres_files){ 0 };
    if (!put_file(delivery, credential, "ca", credential->ca, &files->ca, error))
        return false;
    if (credential->certificate.len == 0)
        return true;
    return whole_certificate(delivery, credential, key, &whole, error) &&
           put_file(delivery, credential, "crt", whole, &files->certificate, error) &&
           put_file(delivery, credential, "key", pem_of(key), &files->key, error);
}

static bool add_postgres(struct delivery *delivery, const struct credential *credential,
                         const struct tls_key *key, struct error *error)
{
    struct postgres_files files;

    return put_files(delivery, credential, key, &files, error) &&
           environment_add_postgres(&delivery->environment, credential, &files, error);
}

/* Several do not fit into one set of variables: a service each, by the grant's name. */
static bool add_services(struct delivery *delivery, const struct answer *answer,
                         const struct tls_key *key, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    const char *path;

    buf_init(&text, SERVICES_MAX);
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];
        struct postgres_files files;

        if (credential->type != CREDENTIAL_POSTGRES)
            continue;
        if (!put_files(delivery, credential, key, &files, error))
            return false;
        environment_add_service(&text, credential, &files);
    }
    if (!need_folder(delivery, error))
        return false;
    path = work_folder_file(&delivery->folder, delivery->environment.arena, "pg-services");
    if (!buf_is_ok(&text) || !path)
        return error_set(error, ERROR_MEMORY, "no memory for PostgreSQL services");
    return file_replace(path, buf_str(&text), 0600, error) &&
           environment_add(&delivery->environment, STR("PGSERVICEFILE"), str_from(path), false,
                           error);
}

static bool deliver_postgres(struct delivery *delivery, const struct answer *answer,
                             const struct tls_key *key, struct error *error)
{
    size_t count;
    const struct credential *only = environment_only(answer, CREDENTIAL_POSTGRES, &count);

    if (count == 0)
        return true;
    delivery->environment.hidden = environment_of_libpq;
    return only ? add_postgres(delivery, only, key, error)
                : add_services(delivery, answer, key, error);
}

/* ---- registries ---- */

/*
 * What docker and skopeo read, by the registry's host: what the job has in its own is not theirs
 * then.
 */
static bool deliver_registries(struct delivery *delivery, const struct answer *answer,
                               struct error *error)
{
    struct arena *arena = delivery->environment.arena;
    struct str text;
    const char *path;

    if (!tool_format_has_registries(answer))
        return true;
    if (!tool_format_registries(answer, arena, &text, error) || !need_folder(delivery, error))
        return false;
    path = work_folder_file(&delivery->folder, arena, "config.json");
    if (!path)
        return error_set(error, ERROR_MEMORY, "no memory for a path");
    return file_replace(path, text, 0600, error) &&
           environment_add(&delivery->environment, STR("DOCKER_CONFIG"),
                           str_from(delivery->folder.path), false, error) &&
           environment_add(&delivery->environment, STR("REGISTRY_AUTH_FILE"), str_from(path), false,
                           error);
}

/* ---- Kubernetes ---- */

/* `data` NULL: no memory. */
static struct str base64_of(const struct delivery *delivery, struct str bytes)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, BASE64_MAX);
    buf_add_base64(&text, bytes);
    return buf_is_ok(&text) ? arena_copy(delivery->environment.arena, buf_str(&text))
                            : (struct str){ 0 };
}

/* A cluster, a user and a context of the grant's name, which refer to each other. */
static bool put_context(const struct delivery *delivery, const struct credential *credential,
                        json_t *config)
{
    json_t *cluster = json_append_object(json_object_get(config, "clusters"));
    json_t *user = json_append_object(json_object_get(config, "users"));
    json_t *context = json_append_object(json_object_get(config, "contexts"));
    json_t *where = json_object();
    json_t *who = json_object();
    json_t *both = json_object();
    struct str name = credential->grant;
    struct str ca = base64_of(delivery, credential->ca);

    return json_put(cluster, "name", json_from_str(name)) && json_put(cluster, "cluster", where) &&
           json_put(where, "server", json_from_str(credential->address)) &&
           (credential->ca.len == 0 ||
            json_put(where, "certificate-authority-data", json_from_str(ca))) &&
           json_put(user, "name", json_from_str(name)) && json_put(user, "user", who) &&
           json_put(who, "token", json_from_str(credential->token)) &&
           json_put(context, "name", json_from_str(name)) && json_put(context, "context", both) &&
           json_put(both, "cluster", json_from_str(name)) &&
           json_put(both, "user", json_from_str(name)) &&
           json_put(both, "namespace", json_from_str(credential->space));
}

static bool fill_config(const struct delivery *delivery, const struct answer *answer,
                        json_t *config)
{
    const struct credential *only;
    size_t count;

    if (!json_put(config, "apiVersion", json_string("v1")) ||
        !json_put(config, "kind", json_string("Config")) ||
        !json_put(config, "clusters", json_array()) || !json_put(config, "users", json_array()) ||
        !json_put(config, "contexts", json_array()))
        return false;
    for (size_t i = 0; i < answer->credential_count; i++)
        if (answer->credentials[i].type == CREDENTIAL_KUBERNETES &&
            !put_context(delivery, &answer->credentials[i], config))
            return false;
    only = environment_only(answer, CREDENTIAL_KUBERNETES, &count);
    return !only || json_put(config, "current-context", json_from_str(only->grant));
}

/* A kubeconfig, in JSON; of several one says which with --context. */
static bool deliver_kubernetes(struct delivery *delivery, const struct answer *answer,
                               struct error *error)
{
    struct arena *arena = delivery->environment.arena;
    JSON_OWNED json_t *config = NULL;
    struct str text = { 0 };
    const char *path;

    if (environment_count(answer, CREDENTIAL_KUBERNETES) == 0)
        return true;
    if (!need_folder(delivery, error))
        return false;
    config = json_object();
    if (fill_config(delivery, answer, config))
        text = json_text(arena, config);
    path = work_folder_file(&delivery->folder, arena, "kubeconfig");
    if (!text.data || !path)
        return error_set(error, ERROR_MEMORY, "no memory for a kubeconfig");
    return file_replace(path, text, 0600, error) &&
           environment_add(&delivery->environment, STR("KUBECONFIG"), str_from(path), false, error);
}

/* ---- tokens ---- */

static bool deliver_tokens(struct delivery *delivery, const struct answer *answer,
                           struct error *error)
{
    const struct credential stage = { .grant = STR("access") };

    if (!delivery->is_renewed)
        return true;
    if (!deliver_file(delivery, &stage, "token", "TOKEN_FILE", answer->access_token, error))
        return false;
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type != CREDENTIAL_SSH &&
            !deliver_file(delivery, credential, "token", "TOKEN_FILE", credential->token, error))
            return error_wrap(error, "grant '" STR_FMT "'", STR_ARG(credential->grant));
    }
    return true;
}

static bool deliver_git(struct delivery *delivery, const struct answer *answer, struct error *error)
{
    return environment_add_git(&delivery->environment, answer, variable_get("GIT_CONFIG_COUNT"),
                               error);
}

static bool deliver(struct delivery *delivery, const struct answer *answer,
                    const struct delivery_keys *keys, int64_t now_s, struct error *error)
{
    mask(answer);
    return environment_add_answer(&delivery->environment, answer, error) &&
           deliver_ssh(delivery, answer, keys->ssh, now_s, error) &&
           deliver_certificates(delivery, answer, keys->tls, error) &&
           deliver_aws(delivery, answer, error) &&
           deliver_postgres(delivery, answer, keys->tls, error) &&
           deliver_registries(delivery, answer, error) &&
           deliver_kubernetes(delivery, answer, error) && deliver_git(delivery, answer, error) &&
           deliver_tokens(delivery, answer, error);
}

bool delivery_init(struct delivery *delivery, const struct answer *answer,
                   const struct delivery_keys *keys, int64_t now_s, struct arena *arena,
                   struct error *error)
{
    delivery->environment.arena = arena;
    delivery->is_renewed = answer->refresh_token.len > 0;
    report_unknown(answer);
    return deliver(delivery, answer, keys, now_s, error);
}

/* Into the same places; the variables that would be set are nobody's. */
bool delivery_renew(const struct delivery *delivery, const struct answer *answer,
                    const struct delivery_keys *keys, int64_t now_s, struct arena *arena,
                    struct error *error)
{
    struct delivery renewed = {
        .environment.arena = arena,
        .folder = delivery->folder,
        .agent = delivery->agent,
        .is_renewed = delivery->is_renewed,
    };

    return deliver(&renewed, answer, keys, now_s, error);
}

void delivery_release(struct delivery *delivery)
{
    ssh_agent_stop(&delivery->agent);
    work_folder_remove(&delivery->folder);
}
