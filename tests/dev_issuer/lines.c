#include "lines.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "options.h"
#include "sign.h"

#define LINE_ARENA_MAX (4 * LINES_BYTES_MAX)

/* A text of the line, as an argument; NULL where it is none. */
static char *take_word(const json_t *value, struct arena *arena)
{
    size_t size = json_string_length(value) + 1;
    char *word = json_is_string(value) ? arena_alloc(arena, size) : NULL;

    if (word != NULL)
        memcpy(word, json_string_value(value), size);
    return word;
}

/* The options as a command line has them, ended by NULL. */
static char **take_words(const json_t *array, struct arena *arena, struct error *error)
{
    size_t count = json_array_size(array);
    char **words = arena_alloc_array(arena, count + 1, sizeof(*words));

    for (size_t i = 0; words != NULL && i < count; i++) {
        words[i] = take_word(json_array_get(array, i), arena);
        if (words[i] == NULL)
            words = NULL;
    }
    if (words == NULL)
        (void)error_set(error, ERROR_SYNTAX, "a line is a JSON array of texts");
    else
        words[count] = NULL;
    return words;
}

static bool answer(struct str line, FILE *out, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(LINE_ARENA_MAX);
    JSON_OWNED json_t *array = NULL;
    struct options options;
    char **words;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "a line");
    if (!json_parse(line, (struct json_limits){ LINES_BYTES_MAX, 1, LINES_WORDS_MAX }, &array,
                    error))
        return false;
    words = take_words(array, arena, error);
    return words != NULL && options_read(OPTIONS_TOKEN, words, &options, error) &&
           sign_run(&options, clock_wall_s(), out, error) &&
           ((fputs("\n", out) >= 0 && fflush(out) == 0) || error_set_errno(error, "write tokens"));
}

bool lines_run(FILE *in, FILE *out, struct error *error)
{
    char *line = NULL;
    size_t size = 0;
    bool is_good = true;
    ssize_t len;

    while (is_good && (len = getline(&line, &size, in)) > 0)
        is_good = answer((struct str){ line, (size_t)len }, out, error);
    free(line);
    return is_good;
}
