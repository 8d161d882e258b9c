#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "policy/policy_internal.h"

/*
 * Units keep no text. What is said of them when their file has long been read shows its line all
 * the same: the file is read again, and counts only where it is still the one that was compiled.
 */

#define READING_MAX (2 * YAML_BYTES_MAX)

/* The unit of a file, or NULL. */
static const struct policy_unit *find_unit(const struct policy *policy, struct str path)
{
    for (size_t low = 0, high = policy->unit_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(path, policy->units[middle]->path);

        if (order == 0)
            return policy->units[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* A line, counted from 1; empty where there is none. */
static struct str line_of(struct str text, size_t number)
{
    struct str line = STR("");

    for (size_t i = 0; i < number; i++) {
        if (text.len == 0)
            return STR("");
        (void)str_cut(text, '\n', &line, &text);
    }
    return line;
}

struct str policy_source_line(const struct policy *policy, struct position at, struct arena *arena)
{
    OWNED(arena_free) struct arena *reading = arena_new(READING_MAX);
    const struct policy_unit *unit = find_unit(policy, at.file);
    struct error error = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str text = { 0 };
    struct str line;

    if (reading == NULL || unit == NULL ||
        !file_read(reading, unit->path.data, YAML_BYTES_MAX, &text, &error))
        return STR("");
    sha256(text, digest);
    if (memcmp(digest, unit->sha256, SHA256_LEN) != 0)
        return STR("");
    line = arena_copy(arena, line_of(text, at.line));
    return line.data == NULL ? STR("") : line;
}

/* A line of text for a report, unless it would not be shown. */
static struct str shown_line(const struct policy *policy, struct position at,
                             const struct diagnostics *diagnostics)
{
    return diagnostics->count < DIAGNOSTICS_MAX ? policy_source_line(policy, at, diagnostics->arena)
                                                : STR("");
}

/* How long the word is that starts at a place. */
static size_t word_width(struct str line, struct position at)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";
    struct str rest = str_slice(line, utf8_offset(line, at.column - 1), line.len);
    size_t width = 0;

    while (width < rest.len && str_is_made_of(str_slice(rest, width, 1), word))
        width++;
    return width;
}

bool policy_say(const struct policy *policy, struct diagnostics *diagnostics,
                enum diagnostic_severity severity, struct position at, struct str hint,
                const char *format, ...)
{
    struct str line = shown_line(policy, at, diagnostics);
    char message[DIAGNOSTIC_TEXT_MAX];
    va_list values;
    bool result;

    va_start(values, format);
    (void)vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    result = diagnostics_add(diagnostics, severity, at, line, hint, "%s", message);
    diagnostics_underline(diagnostics, word_width(line, at));
    return result;
}

void policy_relate(const struct policy *policy, struct diagnostics *diagnostics, struct position at,
                   struct str note)
{
    diagnostics_relate(diagnostics, at, shown_line(policy, at, diagnostics), note);
}
