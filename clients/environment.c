#include "clients/environment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "clients/answer.h"
#include "clients/git_format.h"

#define PROFILES_MAX ((size_t)1024 * 1024)
#define GIT_ENTRIES_MAX 1000
/* The token is in the environment only, never in what git keeps or starts. */
#define GIT_HELPER_FORMAT                                                                          \
    "!f() { test \"$1\" != get || printf 'username=%%s\\npassword=%%s\\n' \"" STR_FMT              \
    "\" \"$" STR_FMT "\"; }; f"

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

/* STAGEPASS_<GRANT>_<WHAT> */
static void name_of(struct str grant, const char *what, struct buf *name)
{
    buf_init(name, 128);
    buf_add_text(name, "STAGEPASS_");
    for (size_t i = 0; i < grant.len; i++)
        buf_add_byte(name, (uint8_t)variable_letter(grant.data[i]));
    buf_add_byte(name, '_');
    buf_add_text(name, what);
}

static bool add_named(struct environment *environment, struct str grant, const char *what,
                      struct str value, bool is_secret, struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };

    name_of(grant, what, &name);
    return environment_add(environment, buf_str(&name), value, is_secret, error);
}

bool environment_add_path(struct environment *environment, struct str grant, const char *what,
                          const char *path, struct error *error)
{
    return add_named(environment, grant, what, str_from(path), false, error);
}

/* What a kind's tools read. A variable without a value is not set. */
struct variable {
    enum credential_type type;
    const char *name;
    size_t offset; /* of the struct str in the credential */
    bool is_secret;
};

/* clang-format off */
static const struct variable variables[] = {
    { CREDENTIAL_AWS,   "AWS_ACCESS_KEY_ID",          offsetof(struct credential, access_key_id),     false },
    { CREDENTIAL_AWS,   "AWS_SECRET_ACCESS_KEY",      offsetof(struct credential, secret_access_key), true },
    { CREDENTIAL_AWS,   "AWS_SESSION_TOKEN",          offsetof(struct credential, session_token),     true },
    { CREDENTIAL_AWS,   "AWS_REGION",                 offsetof(struct credential, region),            false },
    { CREDENTIAL_AWS,   "AWS_DEFAULT_REGION",         offsetof(struct credential, region),            false },
    { CREDENTIAL_GCP,   "CLOUDSDK_AUTH_ACCESS_TOKEN", offsetof(struct credential, token),             true },
    { CREDENTIAL_GCP,   "GOOGLE_OAUTH_ACCESS_TOKEN",  offsetof(struct credential, token),             true },
    { CREDENTIAL_GCP,   "CLOUDSDK_CORE_PROJECT",      offsetof(struct credential, project),           false },
    { CREDENTIAL_GCP,   "GOOGLE_CLOUD_PROJECT",       offsetof(struct credential, project),           false },
    { CREDENTIAL_AZURE, "AZURE_ACCESS_TOKEN",         offsetof(struct credential, token),             true },
    { CREDENTIAL_AZURE, "AZURE_CLIENT_ID",            offsetof(struct credential, client_id),         false },
    { CREDENTIAL_AZURE, "AZURE_TENANT_ID",            offsetof(struct credential, tenant_id),         false },
    { CREDENTIAL_VAULT, "VAULT_TOKEN",                offsetof(struct credential, token),             true },
    { CREDENTIAL_VAULT, "VAULT_ADDR",                 offsetof(struct credential, address),           false },
    { CREDENTIAL_VAULT, "VAULT_NAMESPACE",            offsetof(struct credential, space),             false },
};
/* clang-format on */

size_t environment_count(const struct answer *answer, enum credential_type type)
{
    size_t count = 0;

    for (size_t i = 0; i < answer->credential_count; i++)
        count += answer->credentials[i].type == type;
    return count;
}

static bool add_for_tools(struct environment *environment, const struct credential *credential,
                          struct error *error)
{
    for (size_t i = 0; i < COUNT(variables); i++) {
        const struct variable *variable = &variables[i];
        struct str value;

        memcpy(&value, (const char *)credential + variable->offset, sizeof(value));
        if (variable->type == credential->type && value.len > 0 &&
            !environment_add(environment, str_from(variable->name), value, variable->is_secret,
                             error))
            return false;
    }
    return true;
}

/* gh has another variable for servers of one's own, and gives each only to its hosts. */
static bool add_for_gh(struct environment *environment, const struct credential *credential,
                       struct error *error)
{
    bool is_public = str_eq(credential->host, STR("github.com"));
    bool is_theirs = is_public || str_ends_with(credential->host, STR(".ghe.com"));
    struct str gh = is_theirs ? STR("GH_TOKEN") : STR("GH_ENTERPRISE_TOKEN");
    struct str github = is_theirs ? STR("GITHUB_TOKEN") : STR("GITHUB_ENTERPRISE_TOKEN");

    return environment_add(environment, gh, credential->token, true, error) &&
           environment_add(environment, github, credential->token, true, error) &&
           (is_public ||
            environment_add(environment, STR("GH_HOST"), credential->host, false, error));
}

/* ---- GitLab ---- */

/* A deploy token is no user, and what a kind is that is not known here nobody can say. */
static bool is_gitlab_user(const struct credential *credential)
{
    return str_eq(credential->token_kind, STR("project")) ||
           str_eq(credential->token_kind, STR("group"));
}

/* The one token that acts as a user, or the one deploy token; NULL: none, or several. */
static const struct credential *only_gitlab(const struct answer *answer, bool is_user)
{
    const struct credential *found = NULL;

    for (size_t i = 0; i < answer->credential_count; i++) {
        const struct credential *credential = &answer->credentials[i];

        if (credential->type != CREDENTIAL_GITLAB ||
            !(is_user ? is_gitlab_user(credential) : str_eq(credential->token_kind, STR("deploy"))))
            continue;
        if (found)
            return NULL;
        found = credential;
    }
    return found;
}

/* What glab reads; a deploy token is good for no API, and is where GitLab's own jobs have one. */
static bool add_for_glab(struct environment *environment, const struct answer *answer,
                         const struct credential *credential, struct error *error)
{
    if (!add_named(environment, credential->grant, "USERNAME", credential->user, false, error))
        return false;
    if (credential == only_gitlab(answer, false))
        return environment_add(environment, STR("CI_DEPLOY_USER"), credential->user, false,
                               error) &&
               environment_add(environment, STR("CI_DEPLOY_PASSWORD"), credential->token, true,
                               error);
    return credential != only_gitlab(answer, true) ||
           (environment_add(environment, STR("GITLAB_TOKEN"), credential->token, true, error) &&
            environment_add(environment, STR("GITLAB_HOST"), credential->host, false, error));
}

static bool has_token(enum credential_type type)
{
    return type == CREDENTIAL_JWT || type == CREDENTIAL_GCP || type == CREDENTIAL_AZURE ||
           type == CREDENTIAL_VAULT || type == CREDENTIAL_REGISTRY ||
           type == CREDENTIAL_KUBERNETES || type == CREDENTIAL_GITHUB || type == CREDENTIAL_GITLAB;
}

static bool add_credential(struct environment *environment, const struct answer *answer,
                           const struct credential *credential, struct error *error)
{
    if (has_token(credential->type) &&
        !add_named(environment, credential->grant, "TOKEN", credential->token, true, error))
        return false;
    if (credential->type == CREDENTIAL_GITLAB)
        return add_for_glab(environment, answer, credential, error);
    if (environment_count(answer, credential->type) != 1)
        return true;
    return credential->type == CREDENTIAL_GITHUB ? add_for_gh(environment, credential, error)
                                                 : add_for_tools(environment, credential, error);
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

/* The variable that git counts by, as far as it makes sense to git. */
static bool count_git_entries(const char *text, int64_t *count)
{
    *count = 0;
    return !text || text[0] == '\0' ||
           (str_to_int64(str_from(text), count) && *count >= 0 && *count <= GIT_ENTRIES_MAX);
}

static bool add_git_entry(struct environment *environment, int64_t index, const char *key,
                          const char *value, struct error *error)
{
    char name[64];

    (void)snprintf(name, sizeof(name), "GIT_CONFIG_KEY_%" PRId64, index);
    if (!environment_add(environment, str_from(name), str_from(key), false, error))
        return false;
    (void)snprintf(name, sizeof(name), "GIT_CONFIG_VALUE_%" PRId64, index);
    return environment_add(environment, str_from(name), str_from(value), false, error);
}

/* What the helper says for the user: a variable's value of a gitlab grant. */
static void add_git_user(const struct credential *credential, struct buf *user)
{
    OWNED(buf_release) struct buf name = { 0 };

    buf_init(user, 160);
    if (credential->type == CREDENTIAL_GITHUB) {
        buf_add_text(user, GIT_USER_OF_GITHUB);
        return;
    }
    name_of(credential->grant, "USERNAME", &name);
    buf_add_byte(user, '$');
    buf_add(user, buf_str(&name));
}

static bool check_git_host(const struct credential *credential, struct error *error)
{
    return (credential->host.len <= 255 &&
            str_is_made_of(credential->host, "abcdefghijklmnopqrstuvwxyz"
                                             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-")) ||
           error_set(error, ERROR_INVALID, "grant '" STR_FMT "': no host that git could take",
                     STR_ARG(credential->grant));
}

/* The empty helper takes back those that are set elsewhere: none of them gets the token to keep. */
static bool add_git_host(struct environment *environment, const struct credential *credential,
                         int64_t *count, struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };
    OWNED(buf_release) struct buf user = { 0 };
    char key[320];
    struct str helper;

    if (!credential)
        return true;
    if (!check_git_host(credential, error))
        return false;
    (void)snprintf(key, sizeof(key), "credential.https://" STR_FMT ".helper",
                   STR_ARG(credential->host));
    name_of(credential->grant, "TOKEN", &name);
    add_git_user(credential, &user);
    helper = arena_printf(environment->arena, GIT_HELPER_FORMAT, STR_ARG(buf_str(&user)),
                          STR_ARG(buf_str(&name)));
    if (!buf_is_ok(&name) || !buf_is_ok(&user) || !helper.data)
        return error_set(error, ERROR_MEMORY, "no memory for the environment");
    *count += 2;
    return add_git_entry(environment, *count - 2, key, "", error) &&
           add_git_entry(environment, *count - 1, key, helper.data, error);
}

/* Where there is a token that acts as a user a deploy token is for something else. */
static const struct credential *gitlab_for_git(const struct answer *answer)
{
    const struct credential *user = only_gitlab(answer, true);

    return user || environment_count(answer, CREDENTIAL_GITLAB) != 1 ? user
                                                                     : only_gitlab(answer, false);
}

bool environment_add_git(struct environment *environment, const struct answer *answer,
                         const char *inherited_count, struct error *error)
{
    size_t github_count;
    const struct credential *github = environment_only(answer, CREDENTIAL_GITHUB, &github_count);
    const struct credential *gitlab = gitlab_for_git(answer);
    char total[24];
    int64_t count;

    if (!github && !gitlab)
        return true;
    if (!count_git_entries(inherited_count, &count))
        return error_set(error, ERROR_INVALID, "GIT_CONFIG_COUNT is no number of 0 to %d",
                         GIT_ENTRIES_MAX);
    if (!add_git_host(environment, github, &count, error) ||
        !add_git_host(environment, gitlab, &count, error))
        return false;
    (void)snprintf(total, sizeof(total), "%" PRId64, count);
    return environment_add(environment, STR("GIT_CONFIG_COUNT"), str_from(total), false, error);
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

const struct credential *environment_only(const struct answer *answer, enum credential_type type,
                                          size_t *count)
{
    const struct credential *last = NULL;

    *count = 0;
    for (size_t i = 0; i < answer->credential_count; i++) {
        if (answer->credentials[i].type != type)
            continue;
        last = &answer->credentials[i];
        (*count)++;
    }
    return *count == 1 ? last : NULL;
}

const char *const environment_of_libpq[] = {
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLROOTCERT",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGREQUIREPEER",
    "PGTARGETSESSIONATTRS",
    NULL,
};

/* The same things under libpq's two names for them. */
struct libpq_name {
    const char *variable;
    const char *keyword;
    size_t offset; /* of a struct str in its struct */
    bool is_secret;
};

static const struct libpq_name of_credential[] = {
    { "PGHOST", "host", offsetof(struct credential, host), false },
    { "PGPORT", "port", offsetof(struct credential, port), false },
    { "PGDATABASE", "dbname", offsetof(struct credential, database), false },
    { "PGUSER", "user", offsetof(struct credential, user), false },
    { "PGPASSWORD", "password", offsetof(struct credential, password), true },
    { "PGSSLMODE", "sslmode", offsetof(struct credential, sslmode), false },
};

static const struct libpq_name of_files[] = {
    { "PGSSLROOTCERT", "sslrootcert", offsetof(struct postgres_files, ca), false },
    { "PGSSLCERT", "sslcert", offsetof(struct postgres_files, certificate), false },
    { "PGSSLKEY", "sslkey", offsetof(struct postgres_files, key), false },
};

static struct str text_at(const void *object, const struct libpq_name *name)
{
    struct str text;

    memcpy(&text, (const char *)object + name->offset, sizeof(text));
    return text;
}

static bool add_all(struct environment *environment, const void *object,
                    const struct libpq_name *names, size_t count, struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        struct str text = text_at(object, &names[i]);

        if (text.len > 0 && !environment_add(environment, str_from(names[i].variable), text,
                                             names[i].is_secret, error))
            return false;
    }
    return true;
}

bool environment_add_postgres(struct environment *environment, const struct credential *credential,
                              const struct postgres_files *files, struct error *error)
{
    return add_all(environment, credential, of_credential, COUNT(of_credential), error) &&
           add_all(environment, files, of_files, COUNT(of_files), error);
}

static void add_lines(struct buf *buf, const void *object, const struct libpq_name *names,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct str text = text_at(object, &names[i]);

        if (text.len > 0)
            buf_printf(buf, "%s=" STR_FMT "\n", names[i].keyword, STR_ARG(text));
    }
}

void environment_add_service(struct buf *buf, const struct credential *credential,
                             const struct postgres_files *files)
{
    buf_printf(buf, "[" STR_FMT "]\n", STR_ARG(credential->grant));
    add_lines(buf, credential, of_credential, COUNT(of_credential));
    add_lines(buf, files, of_files, COUNT(of_files));
    buf_add_text(buf, "\n");
}

static bool is_withheld(const struct environment *environment, struct str name)
{
    for (size_t i = 0; i < COUNT(withheld); i++)
        if (str_eq(str_from(withheld[i]), name))
            return true;
    for (size_t i = 0; environment->hidden && environment->hidden[i]; i++)
        if (str_eq(str_from(environment->hidden[i]), name))
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
        if (!is_taken(environment, name) && !is_withheld(environment, name))
            list[count++] = inherited[i];
    }
    for (size_t i = 0; list && i < environment->added_count; i++) {
        list[count] = entry(&environment->added[i], environment->arena);
        if (!list[count++])
            return NULL;
    }
    return list;
}
