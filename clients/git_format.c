#include "clients/git_format.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/error.h"
#include "clients/answer.h"

bool git_format_read(struct str question, struct str *host, struct error *error)
{
    struct str protocol = STR("");

    *host = STR("");
    while (question.len > 0) {
        struct str line;
        struct str name;
        struct str value;

        (void)str_cut(question, '\n', &line, &question); /* the last one may have none */
        if (!str_cut(line, '=', &name, &value))
            continue;
        if (str_eq(name, STR("protocol")))
            protocol = value;
        if (str_eq(name, STR("host")))
            *host = value;
    }
    if (!str_eq(protocol, STR("https")))
        return error_set(error, ERROR_USAGE,
                         "git asks without TLS: use a URL that begins https://");
    return host->len > 0 || error_set(error, ERROR_USAGE, "git does not say for which host");
}

static bool is_for(const struct credential *credential, struct str host)
{
    return (credential->type == CREDENTIAL_GITHUB || credential->type == CREDENTIAL_GITLAB) &&
           str_eq_ignore_case(credential->host, host);
}

bool git_format_write(const struct answer *answer, struct str host, struct arena *arena,
                      struct str *text, struct error *error)
{
    const struct credential *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < answer->credential_count; i++) {
        if (!is_for(&answer->credentials[i], host))
            continue;
        found = &answer->credentials[i];
        count++;
    }
    if (count != 1)
        return error_set(error, ERROR_USAGE,
                         "expected one github or gitlab grant for the host that git asks for, the "
                         "stage gave %zu: pick one with --grant",
                         count);
    *text = arena_printf(
        arena, "username=" STR_FMT "\npassword=" STR_FMT "\npassword_expiry_utc=%" PRId64 "\n",
        STR_ARG(found->type == CREDENTIAL_GITHUB ? STR(GIT_USER_OF_GITHUB) : found->user),
        STR_ARG(found->token), found->expires_s);
    return text->data || error_set(error, ERROR_MEMORY, "no memory for the credential");
}
