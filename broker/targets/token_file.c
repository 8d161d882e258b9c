#include "targets/token_file.h"

#include "base/error.h"
#include "base/secret.h"
#include "targets/oauth_answer.h"

bool token_file_read(const char *path, size_t max_bytes, const char *who, struct arena *arena,
                     struct str *token, struct error *error)
{
    OWNED(secret_release) struct secret read = { 0 };
    struct error inner = { 0 };
    struct str text;

    if (!path)
        return error_set(error, ERROR_MINT, "there is no 'token_file'");
    if (!secret_read_file(&read, path, max_bytes, &inner))
        return error_set(error, ERROR_MINT, "the token for %s cannot be read: %s", who,
                         inner.cause);
    text = str_trim((struct str){ (const char *)read.data, read.len });
    if (!text_is_token(text, max_bytes))
        return error_set(error, ERROR_MINT, "there is no token for %s in 'token_file'", who);
    *token = arena_copy(arena, text);
    return token->data || error_set(error, ERROR_MEMORY, "no memory for a request to %s", who);
}

bool token_file_check(const char *path, size_t max_bytes, const char *who, struct str target,
                      struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(max_bytes * 4);
    struct str ignored;

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for a target");
    return token_file_read(path, max_bytes, who, arena, &ignored, error) ||
           error_wrap(error, "target " STR_FMT, STR_ARG(target));
}
