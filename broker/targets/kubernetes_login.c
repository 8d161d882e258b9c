/*
 * As whom the API server is asked: by a token of our own, since the cluster trusts us as an issuer,
 * or by one that somebody keeps in a file.
 *
 * Our token's subject is the broker, not the stage: no `jwt` grant gives a job a token that says
 * so, whatever its audience is. Of which stage it is says its claim `stage`.
 */
#include "base/error.h"
#include "targets/kubernetes_internal.h"
#include "targets/oauth_answer.h"
#include "targets/token_file.h"

/* No stage's id has two colons in a row: no stage can be who this is. */
#define SUBJECT "stagepass::broker"

static enum progress find_token(struct kubernetes_login *login, struct str *token,
                                struct error *error)
{
    const struct kubernetes_settings *own = login->asking.target->settings;
    const struct stage_token wanted = {
        .audience = own->login_audience,
        .subject = STR(SUBJECT),
        .algorithm = own->algorithm,
    };

    if (!own->token_file)
        return stage_token_sign(&login->asking, &wanted, &login->signing, token, error);
    return token_file_read(own->token_file, OAUTH_TOKEN_MAX, KUBERNETES_SERVER, login->asking.arena,
                           token, error)
               ? PROGRESS_DONE
               : PROGRESS_FAILED;
}

enum progress kubernetes_login(struct kubernetes_login *login, struct error *error)
{
    struct str token = { 0 };
    enum progress progress = find_token(login, &token, error);

    if (progress != PROGRESS_DONE)
        return progress;
    login->line =
        arena_printf(login->asking.arena, "Authorization: Bearer " STR_FMT, STR_ARG(token)).data;
    if (login->line)
        return PROGRESS_DONE;
    (void)error_set(error, ERROR_MEMORY, "no memory for a request to " KUBERNETES_SERVER);
    return PROGRESS_FAILED;
}
