#include "clients/token_input.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "clients/id_token.h"
#include "identity/identity.h"
#include "identity/profile.h"

#define INPUT_MAX (TOKEN_MAX + 64) /* some room for white space */
#define PROFILES_MAX 32

static bool read_input(struct arena *arena, struct str *text, struct error *error)
{
    char *bytes = arena_alloc(arena, INPUT_MAX + 1);
    size_t len;

    if (!bytes)
        return error_set(error, ERROR_MEMORY, "no memory for the token");
    len = fread(bytes, 1, INPUT_MAX + 1, stdin);
    if (ferror(stdin))
        return error_set_errno(error, "cannot read standard input");
    if (len > INPUT_MAX)
        return error_set(error, ERROR_LIMIT, "more than %zu bytes on standard input", INPUT_MAX);
    *text = (struct str){ bytes, len };
    return true;
}

bool token_input_read(const struct operands *operands, struct arena *arena, struct str *token,
                      struct error *error)
{
    const char *path = operands->count > 0 ? operands->items[0] : "-";
    bool is_read = strcmp(path, "-") == 0 ? read_input(arena, token, error)
                                          : file_read(arena, path, INPUT_MAX, token, error);

    if (!is_read)
        return false;
    *token = str_trim(*token);
    return id_token_check(*token, error);
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
