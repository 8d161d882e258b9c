#include "clients/delivery.h"

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "clients/answer.h"
#include "clients/report.h"
#include "clients/ssh_key.h"

#define AGENT_MESSAGE_MAX ((size_t)16 * 1024)
#define LIFETIME_MAX_S 86400

static void mask(const struct answer *answer)
{
    report_mask(answer->handle);
    report_mask(answer->access_token);
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type == CREDENTIAL_JWT)
            report_mask(credential->token);
        report_mask(credential->secret_access_key);
        report_mask(credential->session_token);
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

    if (environment_aws_count(answer) < 2)
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

bool delivery_init(struct delivery *delivery, const struct answer *answer,
                   const struct ssh_key *key, int64_t now_s, struct arena *arena,
                   struct error *error)
{
    delivery->environment.arena = arena;
    mask(answer);
    report_unknown(answer);
    return environment_add_answer(&delivery->environment, answer, error) &&
           deliver_ssh(delivery, answer, key, now_s, error) && deliver_aws(delivery, answer, error);
}

void delivery_release(struct delivery *delivery)
{
    ssh_agent_stop(&delivery->agent);
    work_folder_remove(&delivery->folder);
}
