/*
 * Docker and OCI registries that trust us as their token server: settings, grants and mints.
 * registry_token.h has what is signed.
 *
 * Source: distribution specification, token authentication: scope grammar; repository names
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/id.h"
#include "base/json.h"
#include "targets/registry_access.h"
#include "targets/registry_internal.h"
#include "targets/registry_token.h"
#include "targets/targets_internal.h"

#define LIFE_MIN_S 60 /* clients count less as this */
#define LIFE_MAX_S ((int64_t)3600)
#define NAME_MAX_BYTES 255
#define ACTIONS_MAX 3
/* The password, which says them all, has to fit into a header. */
#define ACCESS_BYTES_MAX ((size_t)4096)

static const struct text_limits access_limits = { "access", SMALL_LETTERS DIGITS "._-/:,*",
                                                  REGISTRY_SCOPE_MAX, REGISTRY_SCOPES_MAX };
static const struct text_limits service_limits = { "service", LETTERS_AND_DIGITS "._-:/", 255, 1 };
static const struct text_limits host_limits = { "host", LETTERS_AND_DIGITS ".-:[]", 255, 1 };
static const struct text_limits key_limits = { "key", SMALL_LETTERS DIGITS "-", 40, 1 };

static const char *const repository_actions[] = { "pull", "push", "delete", NULL };

static const char *const settings[] = { "service", "host", "key", NULL };
static const char *const own_settings[] = { "key", NULL };

static bool configure(const struct yaml_reader *reader, const json_t *node, struct target *target)
{
    struct registry_settings *own = target->settings;

    if (!yaml_require(reader, node, "service") ||
        (!target->is_catalog && !yaml_require(reader, node, "key")) ||
        !setting_text(reader, node, &service_limits, &own->service) ||
        !setting_text(reader, node, &key_limits, &own->key))
        return false;
    own->host = own->service;
    return setting_text(reader, node, &host_limits, &own->host);
}

static bool start(struct target *target, const struct target_tools *tools, struct error *error)
{
    struct registry_settings *own = target->settings;

    return keys_certified(tools->keys, own->key, clock_wall_s(), &own->signer, error) ||
           error_wrap(error, "target " STR_FMT, STR_ARG(target->name));
}

/* Letters and digits, between them '.', '_', '__' or any number of '-'. */
static bool is_component(struct str text)
{
    size_t separators = 0;

    for (size_t i = 0; i < text.len; i++) {
        char byte = text.data[i];
        bool is_letter = byte != '.' && byte != '_' && byte != '-';

        if (is_letter)
            separators = 0;
        else if (i == 0 || i + 1 == text.len ||
                 (separators > 0 && (byte == '.' || byte != text.data[i - 1])) ||
                 (separators > 1 && byte == '_'))
            return false;
        else
            separators++;
    }
    return text.len > 0;
}

static bool is_repository(struct str name)
{
    struct str component;
    bool has_more = true;

    if (name.len > NAME_MAX_BYTES || str_find(name, ':') < name.len)
        return false;
    while (has_more) {
        has_more = str_cut(name, '/', &component, &name);
        if (!is_component(component))
            return false;
    }
    return true;
}

static bool read_action(struct grant_reader *reader, const json_t *value, struct str action,
                        bool seen[ACTIONS_MAX])
{
    if (str_eq(action, STR("*")))
        return grant_fault(reader, value,
                           "'*' is every action, those to come too: write pull, push, delete");
    for (size_t i = 0; repository_actions[i]; i++) {
        if (!str_eq(action, str_from(repository_actions[i])))
            continue;
        if (seen[i])
            return grant_fault(reader, value, "the action '%s' is there twice",
                               repository_actions[i]);
        seen[i] = true;
        return true;
    }
    return grant_fault(reader, value, "'" STR_FMT "' is no action: pull, push or delete",
                       STR_ARG(str_slice(action, 0, 40)));
}

static bool read_repository(struct grant_reader *reader, const json_t *value,
                            const struct registry_access *access)
{
    struct str written = str_slice(json_str(value), sizeof("repository:") - 1, json_str(value).len);
    struct str actions = access->actions;
    bool seen[ACTIONS_MAX] = { false };
    bool has_more = true;
    struct str action;

    if (str_find(access->name, '*') < access->name.len)
        return grant_fault(reader, value, "registries know no patterns: name each repository");
    if (!is_repository(access->name))
        return grant_fault(reader, value, "'" STR_FMT "' is no repository's name",
                           STR_ARG(str_slice(access->name, 0, 60)));
    if (reader->has_open_holes && str_starts_with(written, STR("${")))
        return grant_fault(reader, value,
                           "a repository starts with literal text: a hole in front would let the "
                           "job name it");
    while (has_more) {
        has_more = str_cut(actions, ',', &action, &actions);
        if (!read_action(reader, value, action, seen))
            return false;
    }
    return true;
}

static bool read_access(struct grant_reader *reader, const json_t *value, struct str text)
{
    struct registry_access access;
    size_t last = json_str(value).len;

    if (!registry_access_split(text, &access))
        return grant_fault(reader, value,
                           "expected TYPE:NAME:ACTIONS, such as repository:acme/payments:pull");
    while (last > 0 && json_str(value).data[last - 1] != ':')
        last--;
    if (reader->has_open_holes && str_find(str_slice(json_str(value), last, json_str(value).len),
                                           '$') < json_str(value).len - last)
        return grant_fault(reader, value, "no hole stands in the actions");
    if (str_eq(access.type, STR("repository")))
        return read_repository(reader, value, &access);
    if (!str_eq(access.type, STR("registry")))
        return grant_fault(reader, value, "'" STR_FMT "' is no type: repository or registry",
                           STR_ARG(str_slice(access.type, 0, 40)));
    if (str_eq(access.name, STR("catalog")) && str_eq(access.actions, STR("*")))
        return true;
    return grant_fault(reader, value, "of a registry there is registry:catalog:* only");
}

static bool read_all(struct grant_reader *reader, const json_t *fields, struct texts *access)
{
    const json_t *value = json_object_get(fields, "access");
    size_t bytes = 0;

    if (!grant_need_list(reader, fields, &access_limits, access))
        return false;
    for (size_t i = 0; i < access->count; i++) {
        bytes += access->list[i].len;
        if (!read_access(reader, grant_item(value, i), access->list[i]))
            return false;
    }
    return bytes <= ACCESS_BYTES_MAX ||
           grant_fault(reader, value, "'access' has %zu bytes, at most %zu fit", bytes,
                       ACCESS_BYTES_MAX);
}

static bool read_grant(struct grant_reader *reader, const struct policy_grant_view *view)
{
    struct texts access;

    return read_all(reader, view->fields, &access);
}

static void check(const struct yaml_reader *yaml, const struct policy_grant_view *view)
{
    grant_check(yaml, view, read_grant);
}

/* "acme/payments:push" for each action. What is no repository keeps its type: "registry:catalog:*".
 */
static bool add_access(struct policy_given *given, struct arena *arena, struct str text)
{
    struct registry_access access;
    bool has_more = true;
    struct str action;

    if (!registry_access_split(text, &access))
        return true;
    if (!str_eq(access.type, STR("repository")))
        return given_name(given, text);
    while (has_more) {
        has_more = str_cut(access.actions, ',', &action, &access.actions);
        if (!given_name(given, arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(access.name),
                                            STR_ARG(action))))
            return false;
    }
    return true;
}

static size_t count_actions(const struct texts *access)
{
    size_t count = 0;

    for (size_t i = 0; i < access->count; i++) {
        count++;
        for (size_t k = 0; k < access->list[i].len; k++)
            count += access->list[i].data[k] == ',';
    }
    return count;
}

static bool gives(const struct policy_grant_view *view, struct arena *arena,
                  struct policy_given *given)
{
    struct texts access;

    if (!grant_written(arena, json_object_get(view->fields, "access"), &access) ||
        !given_room(given, arena, count_actions(&access), 0))
        return false;
    for (size_t i = 0; i < access.count; i++)
        if (!add_access(given, arena, access.list[i]))
            return false;
    return true;
}

/* ---- minting ---- */

static bool check_members(const struct mint *mint, struct error *error)
{
    static const char *const known[] = { "type", "grant", "ttl", "access" };
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(mint->details), name, value) {
        bool is_known = false;

        for (size_t i = 0; i < COUNT(known); i++)
            is_known = is_known || strcmp(name, known[i]) == 0;
        if (!is_known)
            return error_set(error, ERROR_DETAILS, "a member that a registry grant does not take");
    }
    return true;
}

static bool read_wanted(const json_t *wanted, struct registry_scopes *scopes, struct error *error)
{
    struct error inner = { 0 };

    if (!json_is_array(wanted) || json_array_size(wanted) == 0)
        return error_set(error, ERROR_DETAILS, "'access' is a list with something in it");
    for (size_t i = 0; i < json_array_size(wanted); i++)
        if (!registry_scopes_add(scopes, json_str(json_array_get(wanted, i)), &inner))
            return error_set(error, ERROR_DETAILS, "access: %s", inner.cause);
    return true;
}

/* What the caller wants of a grant; all of it is there, or nothing is given. `*asked` NULL: all. */
static bool read_details(const struct mint *mint, const struct texts *granted,
                         struct registry_scopes **asked, struct error *error)
{
    const json_t *wanted = json_object_get(mint->details, "access");

    *asked = NULL;
    if (!wanted)
        return true;
    *asked = arena_alloc(mint->arena, sizeof(**asked));
    if (!*asked)
        return error_set(error, ERROR_MEMORY, "no memory for a registry's access");
    if (!read_wanted(wanted, *asked, error))
        return false;
    for (size_t i = 0; i < (*asked)->count; i++)
        if (!registry_access_covers(granted, &(*asked)->list[i]))
            return error_set(error, ERROR_DETAILS, "access that the grant does not have");
    return true;
}

static bool check_details(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    struct registry_scopes *asked;
    struct texts granted;

    if (!check_members(mint, error))
        return false;
    if (!json_object_get(mint->details, "access"))
        return true;
    if (!read_all(&reader, mint->fields, &granted))
        return grant_error(&reader, error);
    return read_details(mint, &granted, &asked, error);
}

static bool put_results(struct mint *mint, const struct registry_token *token, struct str password,
                        const char *jti)
{
    const struct registry_settings *own = mint->target->settings;
    json_t *registry = json_object();

    mint->credential = json_object();
    mint->record = json_object();
    mint->expires_s = mint->now_s + mint->ttl_s;
    return json_put(mint->credential, "registry", registry) &&
           json_put(registry, "host", json_from_str(own->host)) &&
           json_put(registry, "service", json_from_str(own->service)) &&
           json_put(registry, "username", json_from_str(mint->lease)) &&
           json_put(registry, "password", json_from_str(password)) &&
           json_put(registry, "token", json_from_str(token->text)) &&
           json_put(registry, "token_expires_in", json_integer(token->expires_s - mint->now_s)) &&
           json_put(registry, "access", registry_access_written(token->access)) &&
           json_put(mint->record, "id", json_string(jti)) &&
           json_put(mint->record, "service", json_from_str(own->service)) &&
           json_put(mint->record, "access", registry_access_written(token->access));
}

static bool make(struct mint *mint, const json_t *access, struct error *error)
{
    struct registry_token token = {
        .target = mint->target,
        .stage = mint->stage,
        .lease = mint->lease,
        .access = access,
        .now_s = mint->now_s,
        .ends_s = mint->now_s + mint->ttl_s,
    };
    char jti[ID_LEN + 1];
    struct str password;

    if (!access)
        return error_set(error, ERROR_MEMORY, "no memory for a registry's access");
    return id_new(clock_wall_ms(), jti, error) &&
           registry_token_sign(mint->tools, &token, mint->arena, error) &&
           registry_password_sign(mint, access, jti, &password, error) &&
           (put_results(mint, &token, password, jti) ||
            error_set(error, ERROR_MEMORY, "no memory for a registry's token"));
}

static bool sign(struct mint *mint, struct error *error)
{
    struct grant_reader reader = { .arena = mint->arena };
    JSON_OWNED json_t *access = NULL;
    struct registry_scopes *asked;
    struct texts granted;

    if (!read_all(&reader, mint->fields, &granted))
        return grant_error(&reader, error);
    if (!read_details(mint, &granted, &asked, error))
        return false;
    access = registry_access_narrow(&granted, asked);
    return make(mint, access, error);
}

static enum progress registry_mint(struct mint *mint, struct error *error)
{
    return mint_sign(mint, sign, error);
}

static const char *const fields[] = { "target", "access", NULL };
static const char *const fields_with_holes[] = { "access", NULL };
static const char *const fields_told[] = { "access", NULL };

const struct target_kind target_registry = {
    .grant = {
        .name = "registry",
        .fields = fields,
        .has_target = true,
        .ttl_min_s = LIFE_MIN_S,
        .ttl_max_s = LIFE_MAX_S,
        .check = check,
        .fields_with_holes = fields_with_holes,
        .matching = POLICY_MATCHING_GLOB,
        .gives = gives,
        .revocation = POLICY_REVOKED_BY_EXPIRY,
        .fields_told = fields_told,
    },
    .settings = settings,
    .own_settings = own_settings,
    .is_local = true,
    .configure = configure,
    .settings_size = sizeof(struct registry_settings),
    .start = start,
    .check_details = check_details,
    .mint = registry_mint,
};
