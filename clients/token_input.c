#include "clients/token_input.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/id_token.h"
#include "clients/input.h"
#include "identity/identity.h"
#include "identity/profile.h"
#include "identity/token.h"

#define INPUT_MAX (TOKEN_MAX + 64) /* some room for white space */
#define PROFILES_MAX 32

const struct option_row token_input_option_rows[] = {
    { .name = "claims",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "The job's claims, a JSON object; - is standard input",
      .offset = offsetof(struct token_input_options, claims) },
    { .name = "token",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "The job's identity token, whose payload is read unverified; - is standard input",
      .offset = offsetof(struct token_input_options, token) },
};
_Static_assert(COUNT(token_input_option_rows) == TOKEN_INPUT_OPTION_COUNT,
               "as many as TOKEN_INPUT_OPTION_COUNT says");

static bool read_token(const char *path, struct arena *arena, struct str *token,
                       struct error *error)
{
    if (!input_read(path, INPUT_MAX, arena, token, error))
        return false;
    *token = str_trim(*token);
    return id_token_check(*token, error);
}

bool token_input_read(const struct operands *operands, struct arena *arena, struct str *token,
                      struct error *error)
{
    return read_token(operands->count > 0 ? operands->items[0] : "-", arena, token, error);
}

bool token_input_json(const char *path, struct arena *arena, const json_t **object,
                      struct error *error)
{
    struct str text;
    json_t *parsed = NULL;

    if (!input_read(path, JSON_LIMITS_REQUEST.bytes, arena, &text, error))
        return false;
    if (!json_parse_object(text, JSON_LIMITS_REQUEST, &parsed, error) ||
        !json_keep(arena, parsed, error))
        return error_wrap(error, "%s", path);
    *object = parsed;
    return true;
}

bool token_input_claims(const struct token_input_options *options, struct arena *arena,
                        const json_t **claims, struct error *error)
{
    struct token_envelope envelope;
    struct str token;

    if (!options->claims == !options->token)
        return error_set(error, ERROR_USAGE, "either --claims FILE or --token FILE is needed");
    if (options->claims)
        return token_input_json(options->claims, arena, claims, error);
    return read_token(options->token, arena, &token, error) &&
           token_open(token, NULL, arena, &envelope, error) &&
           token_peek(&envelope, arena, claims, error);
}

static const struct profile *guess(struct str url)
{
    const char *const *names = profile_names();

    for (size_t i = 0; names[i]; i++) {
        const struct profile *profile = profile_find(str_from(names[i]));

        if (profile && profile->default_url && str_eq(str_from(profile->default_url), url))
            return profile;
    }
    return profile_find(STR("generic"));
}

static bool unknown(const char *name, struct error *error)
{
    const char *const *names = profile_names();
    struct str list[PROFILES_MAX];
    struct str nearest;
    size_t count = 0;

    while (names[count] && count < PROFILES_MAX) {
        list[count] = str_from(names[count]);
        count++;
    }
    nearest = str_nearest(str_from(name), list, count);
    return error_set(error, ERROR_USAGE, "there is no profile '%s'%s" STR_FMT "%s", name,
                     nearest.len > 0 ? ": did you mean '" : "", STR_ARG(nearest),
                     nearest.len > 0 ? "'?" : "");
}

bool token_input_profile(const char *name, struct str url, const struct profile **profile,
                         struct error *error)
{
    *profile = name ? profile_find(str_from(name)) : guess(url);
    return *profile || unknown(name ? name : "generic", error);
}
