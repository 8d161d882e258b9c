#include "clients/paint.h"

#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "base/str.h"
#include "clients/variable.h"

static const struct style {
    const char *start; /* ECMA-48 8.3.117: select graphic rendition */
    const char *mark;
    const char *ascii;
} styles[] = {
    [PAINT_PLAIN] = { "", " ", " " },
    [PAINT_GOOD] = { "\033[32m", "\xE2\x9C\x93", "v" },
    [PAINT_BAD] = { "\033[31m", "\xE2\x9C\x97", "x" },
    [PAINT_UNSURE] = { "\033[33m", "?", "?" },
    [PAINT_FAINT] = { "\033[2m", "\xC2\xB7", "." },
    [PAINT_STRONG] = { "\033[1m", "\xE2\x80\xA2", "*" },
};

/* Source: POSIX.1-2017 8.2: the first of these that is set, and not empty, counts */
static bool locale_is_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    struct str charset = STR("");
    struct str ignored;

    for (size_t i = 0; i < COUNT(names); i++) {
        const char *value = variable_get(names[i]);

        if (value) {
            (void)str_cut(str_from(value), '.', &ignored, &charset);
            break;
        }
    }
    (void)str_cut(charset, '@', &charset, &ignored);
    return str_eq_ignore_case(charset, STR("utf-8")) || str_eq_ignore_case(charset, STR("utf8"));
}

static bool takes_colours(FILE *file)
{
    const char *terminal = variable_get("TERM");

    return isatty(fileno(file)) && !variable_get("NO_COLOR") &&
           !(terminal && strcmp(terminal, "dumb") == 0);
}

struct paint paint_for(FILE *file)
{
    return (struct paint){ locale_is_utf8(), takes_colours(file) };
}

const char *paint_code(const struct paint *paint, enum paint_style style)
{
    if (!paint->is_coloured)
        return "";
    return style == PAINT_PLAIN ? "\033[0m" : styles[style].start;
}

void paint_start(const struct paint *paint, enum paint_style style, FILE *file)
{
    if (style != PAINT_PLAIN)
        (void)fputs(paint_code(paint, style), file);
}

void paint_stop(const struct paint *paint, FILE *file)
{
    (void)fputs(paint_code(paint, PAINT_PLAIN), file);
}

void paint_mark(const struct paint *paint, enum paint_style style, FILE *file)
{
    paint_start(paint, style, file);
    (void)fputs(paint->is_utf8 ? styles[style].mark : styles[style].ascii, file);
    paint_stop(paint, file);
}
