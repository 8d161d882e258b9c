#include "clients/environment.h"

#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "clients/answer.h"

#define PROFILES_MAX ((size_t)1024 * 1024)

/* What the job was identified with; a command that needs an identity asks for one of its own. */
static const char *const withheld[] = { "STAGEPASS_ID_TOKEN", "STAGEPASS_LEASE_HANDLE" };

static bool is_taken(const struct environment *environment, struct str name)
{
    for (size_t i = 0; i < environment->added_count; i++)
        if (str_eq(environment->added[i].name, name))
            return true;
    return false;
}

bool environment_add(struct environment *environment, struct str name, struct str value,
                     bool is_secret, struct error *error)
{
    struct environment_variable *added = &environment->added[environment->added_count];

    if (is_taken(environment, name))
        return error_set(error, ERROR_INVALID,
                         "two things want to be " STR_FMT ": rename a grant, or ask for one with "
                         "--grant",
                         STR_ARG(name));
    if (environment->added_count == ENVIRONMENT_ADDED_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d variables", ENVIRONMENT_ADDED_MAX);
    if (str_has_control(value))
        return error_set(error, ERROR_INVALID,
                         "a line end or another control character would get "
                         "into " STR_FMT,
                         STR_ARG(name));
    *added = (struct environment_variable){
        .name = arena_copy(environment->arena, name),
        .value = arena_copy(environment->arena, value),
        .is_secret = is_secret,
    };
    if (!added->name.data || !added->value.data)
        return error_set(error, ERROR_MEMORY, "no memory for the environment");
    environment->added_count++;
    return true;
}

static char variable_letter(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return c == '-' ? '_' : c;
}

static bool add_jwt(struct environment *environment, const struct credential *credential,
                    struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };

    buf_init(&name, 128);
    buf_add_text(&name, "STAGEPASS_");
    for (size_t i = 0; i < credential->grant.len; i++)
        buf_add_byte(&name, (uint8_t)variable_letter(credential->grant.data[i]));
    buf_add_text(&name, "_TOKEN");
    return environment_add(environment, buf_str(&name), credential->token, true, error);
}

static bool add_aws(struct environment *environment, const struct credential *credential,
                    struct error *error)
{
    const struct {
        struct str name;
        struct str value;
        bool is_secret;
    } variables[] = {
        { STR("AWS_ACCESS_KEY_ID"), credential->access_key_id, false },
        { STR("AWS_SECRET_ACCESS_KEY"), credential->secret_access_key, true },
        { STR("AWS_SESSION_TOKEN"), credential->session_token, true },
        { STR("AWS_REGION"), credential->region, false },
        { STR("AWS_DEFAULT_REGION"), credential->region, false },
    };

    for (size_t i = 0; i < COUNT(variables); i++)
        if (variables[i].value.len > 0 &&
            !environment_add(environment, variables[i].name, variables[i].value,
                             variables[i].is_secret, error))
            return false;
    return true;
}

size_t environment_aws_count(const struct answer *answer)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->credential_count; i++)
        count += answer->credentials[i].type == CREDENTIAL_AWS;
    return count;
}

static bool add_credential(struct environment *environment, const struct answer *answer,
                           const struct credential *credential, struct error *error)
{
    if (credential->type == CREDENTIAL_JWT)
        return add_jwt(environment, credential, error);
    if (credential->type == CREDENTIAL_AWS && environment_aws_count(answer) == 1)
        return add_aws(environment, credential, error);
    return true;
}

bool environment_add_answer(struct environment *environment, const struct answer *answer,
                            struct error *error)
{
    if (!environment_add(environment, STR("STAGEPASS_LEASE"), answer->lease, false, error) ||
        !environment_add(environment, STR("STAGEPASS_STAGE"), answer->stage, false, error) ||
        !environment_add(environment, STR("STAGEPASS_ACCESS_TOKEN"), answer->access_token, true,
                         error) ||
        !environment_add(environment, STR("STAGEPASS_TOKEN_TYPE"), answer->token_type, false,
                         error))
        return false;
    for (size_t i = 0; i < answer->credential_count; i++)
        if (!add_credential(environment, answer, &answer->credentials[i], error))
            return false;
    return true;
}

struct str environment_aws_profiles(const struct answer *answer, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, PROFILES_MAX);
    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type != CREDENTIAL_AWS)
            continue;
        buf_printf(&text, "[" STR_FMT "]\naws_access_key_id = " STR_FMT "\n",
                   STR_ARG(credential->grant), STR_ARG(credential->access_key_id));
        buf_printf(&text, "aws_secret_access_key = " STR_FMT "\naws_session_token = " STR_FMT "\n",
                   STR_ARG(credential->secret_access_key), STR_ARG(credential->session_token));
        if (credential->region.len > 0)
            buf_printf(&text, "region = " STR_FMT "\n", STR_ARG(credential->region));
        buf_add_text(&text, "\n");
    }
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}

static bool is_withheld(struct str name)
{
    for (size_t i = 0; i < COUNT(withheld); i++)
        if (str_eq(str_from(withheld[i]), name))
            return true;
    return false;
}

static char *entry(const struct environment_variable *variable, struct arena *arena)
{
    size_t len = variable->name.len + 1 + variable->value.len;
    char *text = arena_alloc(arena, len + 1);

    if (!text)
        return NULL;
    memcpy(text, variable->name.data, variable->name.len);
    text[variable->name.len] = '=';
    memcpy(text + variable->name.len + 1, variable->value.data, variable->value.len);
    return text;
}

static size_t count_entries(char *const *list)
{
    size_t count = 0;

    while (list[count])
        count++;
    return count;
}

char **environment_build(const struct environment *environment, char *const *inherited)
{
    size_t max = count_entries(inherited) + environment->added_count + 1;
    char **list = arena_alloc_array(environment->arena, max, sizeof(*list));
    size_t count = 0;

    for (size_t i = 0; list && inherited[i]; i++) {
        struct str name;
        struct str value;

        (void)str_cut(str_from(inherited[i]), '=', &name, &value);
        if (!is_taken(environment, name) && !is_withheld(name))
            list[count++] = inherited[i];
    }
    for (size_t i = 0; list && i < environment->added_count; i++) {
        list[count] = entry(&environment->added[i], environment->arena);
        if (!list[count++])
            return NULL;
    }
    return list;
}
