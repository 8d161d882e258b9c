#include "options.h"

#include <string.h>

#include "base/error.h"
#include "base/time_text.h"
#include "identity/profile.h"

#define OPTION_NAMES_MAX 32

static bool take_folder(struct options *options, char *const *values, struct error *error)
{
    (void)error;
    options->folder = values[0];
    return true;
}

static bool take_address(struct options *options, char *const *values, struct error *error)
{
    (void)error;
    options->address = str_from(values[0]); /* http_start() checks it */
    return true;
}

static bool take_port(struct options *options, char *const *values, struct error *error)
{
    int64_t port;

    if (!str_to_int64(str_from(values[0]), &port) || port < 0 || port > UINT16_MAX)
        return error_set(error, ERROR_USAGE, "--port is 0 to 65535, not '%s'", values[0]);
    options->port = (uint16_t)port;
    return true;
}

static bool take_url(struct options *options, char *const *values, struct error *error)
{
    struct str url = str_from(values[0]);

    if ((!str_starts_with(url, STR("http://")) && !str_starts_with(url, STR("https://"))) ||
        str_ends_with(url, STR("/")) || str_has_control(url))
        return error_set(error, ERROR_USAGE,
                         "--url is http://... or https://... without '/' at its end, not '%s'",
                         values[0]);
    options->url = url;
    return true;
}

static bool take_algorithm(struct options *options, char *const *values, struct error *error)
{
    static const struct {
        const char *name;
        enum key_algorithm algorithm;
    } algorithms[] = { { "RS256", KEY_RS256 }, { "ES256", KEY_ES256 } };

    for (size_t i = 0; i < COUNT(algorithms); i++)
        if (strcmp(values[0], algorithms[i].name) == 0) {
            options->algorithm = algorithms[i].algorithm;
            return true;
        }
    return error_set(error, ERROR_USAGE, "--algorithm is RS256 or ES256, not '%s'", values[0]);
}

static bool take_tls(struct options *options, char *const *values, struct error *error)
{
    (void)error;
    options->certificate_file = values[0];
    options->key_file = values[1];
    return true;
}

static bool take_audience(struct options *options, char *const *values, struct error *error)
{
    options->audience = str_from(values[0]);
    return options->audience.len > 0 || error_set(error, ERROR_USAGE, "--audience is empty");
}

static bool take_profile(struct options *options, char *const *values, struct error *error)
{
    options->profile = profile_find(str_from(values[0]));
    return options->profile != NULL ||
           error_set(error, ERROR_USAGE, "there is no profile '%s'", values[0]);
}

static bool take_claims(struct options *options, char *const *values, struct error *error)
{
    (void)error;
    options->claims_file = values[0];
    return true;
}

static bool take_lifetime(struct options *options, char *const *values, struct error *error)
{
    int64_t lifetime_s;

    if (!duration_parse(str_from(values[0]), &lifetime_s) || lifetime_s > OPTIONS_LIFETIME_MAX_S)
        return error_set(error, ERROR_USAGE,
                         "--lifetime is a duration like 90s, 5m or 24h, a day at most, not '%s'",
                         values[0]);
    options->lifetime_s = lifetime_s;
    return true;
}

static bool take_count(struct options *options, char *const *values, struct error *error)
{
    int64_t count;

    if (!str_to_int64(str_from(values[0]), &count) || count < 1 || count > OPTIONS_COUNT_MAX)
        return error_set(error, ERROR_USAGE, "--count is 1 to 10000000, not '%s'", values[0]);
    options->count = count;
    return true;
}

static bool add_change(struct options *options, const struct claims_change *change,
                       struct error *error)
{
    if (change->name.len == 0)
        return error_set(error, ERROR_USAGE, "a claim needs a name: --set NAME=VALUE");
    if (options->change_count == OPTIONS_CHANGES_MAX)
        return error_set(error, ERROR_USAGE, "more than %zu changes to claims",
                         OPTIONS_CHANGES_MAX);
    options->changes[options->change_count++] = *change;
    return true;
}

static bool add_value(struct options *options, enum claims_change_kind kind, const char *text,
                      struct error *error)
{
    struct claims_change change = { .kind = kind };

    if (!str_cut(str_from(text), '=', &change.name, &change.value))
        return error_set(error, ERROR_USAGE, "expected NAME=VALUE, got '%s'", text);
    return add_change(options, &change, error);
}

static bool take_set(struct options *options, char *const *values, struct error *error)
{
    return add_value(options, CLAIMS_SET, values[0], error);
}

static bool take_json(struct options *options, char *const *values, struct error *error)
{
    return add_value(options, CLAIMS_SET_JSON, values[0], error);
}

static bool take_unset(struct options *options, char *const *values, struct error *error)
{
    struct claims_change change = { .kind = CLAIMS_UNSET, .name = str_from(values[0]) };

    return add_change(options, &change, error);
}

struct row {
    const char *name;
    unsigned commands;
    size_t value_count;
    bool (*take)(struct options *options, char *const *values, struct error *error);
};

static const struct row rows[] = {
    /* name        commands                       values  take */
    { "--folder", OPTIONS_SERVE | OPTIONS_TOKEN, 1, take_folder },
    { "--algorithm", OPTIONS_SERVE | OPTIONS_TOKEN, 1, take_algorithm },
    { "--url", OPTIONS_SERVE | OPTIONS_TOKEN, 1, take_url },
    { "--profile", OPTIONS_SERVE | OPTIONS_TOKEN, 1, take_profile },

    { "--address", OPTIONS_SERVE, 1, take_address },
    { "--port", OPTIONS_SERVE, 1, take_port },
    { "--tls", OPTIONS_SERVE, 2, take_tls },

    { "--audience", OPTIONS_TOKEN, 1, take_audience },
    { "--claims", OPTIONS_TOKEN, 1, take_claims },
    { "--set", OPTIONS_TOKEN, 1, take_set },
    { "--json", OPTIONS_TOKEN, 1, take_json },
    { "--unset", OPTIONS_TOKEN, 1, take_unset },
    { "--lifetime", OPTIONS_TOKEN, 1, take_lifetime },
    { "--count", OPTIONS_TOKEN, 1, take_count },
};
_Static_assert(COUNT(rows) <= OPTION_NAMES_MAX, "all names fit");

static bool complain_of(enum options_command command, const char *text, struct error *error)
{
    struct str names[OPTION_NAMES_MAX];
    struct str nearest;
    size_t count = 0;

    for (size_t i = 0; i < COUNT(rows); i++)
        if ((rows[i].commands & (unsigned)command) != 0)
            names[count++] = str_from(rows[i].name);
    nearest = str_nearest(str_from(text), names, count);
    if (nearest.len > 0)
        return error_set(error, ERROR_USAGE, "unknown option '%s'; did you mean '" STR_FMT "'?",
                         text, STR_ARG(nearest));
    return error_set(error, ERROR_USAGE, "unknown option '%s'", text);
}

static const struct row *find_row(enum options_command command, const char *name)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        if ((rows[i].commands & (unsigned)command) != 0 && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static bool has_values(char *const *arguments, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (arguments[i] == NULL)
            return false;
    return true;
}

static bool check_required(enum options_command command, const struct options *options,
                           struct error *error)
{
    if (options->folder == NULL)
        return error_set(error, ERROR_USAGE, "it needs --folder DIR");
    if (command == OPTIONS_TOKEN && options->url.len == 0)
        return error_set(error, ERROR_USAGE, "it needs --url ISSUER");
    return true;
}

bool options_read(enum options_command command, char *const *arguments, struct options *options,
                  struct error *error)
{
    *options = (struct options){
        .algorithm = KEY_RS256,
        .profile = profile_find(STR("github")),
        .address = STR("127.0.0.1"),
        .count = 1,
    };
    for (; *arguments != NULL; arguments++) {
        const struct row *row = find_row(command, *arguments);

        if (row == NULL)
            return complain_of(command, *arguments, error);
        if (!has_values(arguments + 1, row->value_count))
            return error_set(error, ERROR_USAGE, "%s needs %s", row->name,
                             row->value_count == 1 ? "a value" : "two values");
        if (!row->take(options, arguments + 1, error))
            return false;
        arguments += row->value_count;
    }
    return check_required(command, options, error);
}
