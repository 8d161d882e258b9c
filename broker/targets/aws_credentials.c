#include "targets/aws_credentials.h"

#include "base/error.h"
#include "base/secret.h"
#include "targets/aws_internal.h"

#define FILE_NAME "the file of credentials"

/* What is read, line by line. */
struct reading {
    struct arena *arena;
    struct aws_keys *keys;
    size_t line;
    bool has_profile;
};

static bool fault(const struct reading *reading, const char *what, struct error *error)
{
    return error_set(error, ERROR_SYNTAX, FILE_NAME ", line %zu: %s", reading->line, what);
}

static struct str *key_of(struct aws_keys *keys, struct str name)
{
    if (str_eq(name, STR("aws_access_key_id")))
        return &keys->access_key_id;
    if (str_eq(name, STR("aws_secret_access_key")))
        return &keys->secret_access_key;
    return str_eq(name, STR("aws_session_token")) ? &keys->session_token : NULL;
}

static bool read_profile(struct reading *reading, struct str line, struct error *error)
{
    if (!str_eq(line, STR("[default]")))
        return fault(reading, "expected no other profile than [default]", error);
    if (reading->has_profile || reading->keys->access_key_id.data ||
        reading->keys->secret_access_key.data || reading->keys->session_token.data)
        return fault(reading, "expected one profile", error);
    reading->has_profile = true;
    return true;
}

static bool read_line(struct reading *reading, struct str line, struct error *error)
{
    struct str name;
    struct str value;
    struct str *key;

    if (line.len == 0 || line.data[0] == '#' || line.data[0] == ';')
        return true;
    if (line.data[0] == '[')
        return read_profile(reading, line, error);
    if (!str_cut(line, '=', &name, &value))
        return fault(reading, "expected 'NAME = value'", error);
    key = key_of(reading->keys, str_trim(name));
    if (!key)
        return fault(reading,
                     "expected aws_access_key_id, aws_secret_access_key or aws_session_token",
                     error);
    if (key->data)
        return fault(reading, "a key is there twice", error);
    *key = arena_copy(reading->arena, str_trim(value));
    return key->data || error_set(error, ERROR_MEMORY, "no memory for keys");
}

static bool read_text(struct str text, struct arena *arena, struct aws_keys *keys,
                      struct error *error)
{
    struct reading reading = { .arena = arena, .keys = keys };
    bool has_more = true;
    const char *missing;

    while (has_more) {
        struct str line;

        has_more = str_cut(text, '\n', &line, &text);
        reading.line++;
        if (!read_line(&reading, str_trim(line), error))
            return false;
    }
    missing = aws_keys_fault(keys);
    return !missing || error_set(error, ERROR_SYNTAX, FILE_NAME " has no proper %s", missing);
}

bool aws_credentials_read(const char *path, struct arena *arena, struct aws_keys *keys,
                          struct error *error)
{
    OWNED(secret_release) struct secret file = { 0 };

    *keys = (struct aws_keys){ 0 };
    return secret_read_file(&file, path, AWS_CREDENTIALS_FILE_MAX, error) &&
           read_text((struct str){ (const char *)file.data, file.len }, arena, keys, error);
}
