#include "clients/input.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

static bool read_stdin(struct arena *arena, size_t max, struct str *text, struct error *error)
{
    char *bytes = arena_alloc(arena, max + 1);
    size_t len;

    if (!bytes)
        return error_set(error, ERROR_MEMORY, "no memory for standard input");
    len = fread(bytes, 1, max + 1, stdin);
    if (ferror(stdin))
        return error_set_errno(error, "cannot read standard input");
    if (len > max)
        return error_set(error, ERROR_LIMIT, "more than %zu bytes on standard input", max);
    *text = (struct str){ bytes, len };
    return true;
}

bool input_read(const char *path, size_t max, struct arena *arena, struct str *text,
                struct error *error)
{
    return strcmp(path, "-") == 0 ? read_stdin(arena, max, text, error)
                                  : file_read(arena, path, max, text, error);
}
