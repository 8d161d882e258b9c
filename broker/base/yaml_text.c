#include <string.h>

#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_internal.h"

/* Characters that do not belong into a file of configuration, and what to say about them. */
static const struct unwanted {
    uint32_t first;
    uint32_t last;
    const char *message;
    const char *hint;
} unwanted[] = {
    { 0x00, 0x1F, "a control character", "remove it, or write it as an escape in double quotes" },
    { 0x7F, 0x84, "a control character", "remove it, or write it as an escape in double quotes" },
    { 0x85, 0x85, "a line break that only YAML knows (U+0085)", "end lines with a line feed" },
    { 0x86, 0x9F, "a control character", "remove it, or write it as an escape in double quotes" },
    { 0x2028, 0x2029, "a line break that only YAML knows (U+2028, U+2029)",
      "end lines with a line feed" },
    { 0xFEFF, 0xFEFF, "a byte order mark", "save the file as UTF-8 without one" },
    { 0, UINT32_MAX, "an invisible character that changes how the line reads",
      "remove it, or write it as an escape in double quotes" },
};

static bool complain(struct position at, struct str text, const char *hint, const char *message,
                     struct diagnostics *diagnostics)
{
    return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, at, yaml_text_line(text, at.line),
                           str_from(hint), "%s", message);
}

static bool refuse_character(struct position at, struct str text, uint32_t character,
                             struct diagnostics *diagnostics)
{
    size_t row = 0;

    while (character < unwanted[row].first || character > unwanted[row].last)
        row++;
    return complain(at, text, unwanted[row].hint, unwanted[row].message, diagnostics);
}

static bool check_character(struct position at, struct str text, uint32_t character,
                            struct str behind, struct diagnostics *diagnostics)
{
    if (character == '%' && at.column == 1)
        return complain(at, text, "start the line with something else",
                        "a line that starts with '%' is a YAML directive, which is not allowed",
                        diagnostics);
    if (character == '\r' && !str_starts_with(behind, STR("\n")))
        return complain(at, text, "end lines with a line feed",
                        "a carriage return without a line feed", diagnostics);
    if (character == '\r' || character == '\n' || character == '\t' || utf8_is_plain(character))
        return true;
    return refuse_character(at, text, character, diagnostics);
}

/* Nothing can be wrong with it: most bytes are such. */
static bool is_usual(char byte, size_t column)
{
    return byte >= ' ' && byte <= '~' && (byte != '%' || column > 1);
}

bool yaml_text_check(struct str file, struct str text, struct diagnostics *diagnostics)
{
    struct position at = { file, 1, 1 };
    struct str rest = text;
    uint32_t character;

    if (text.len > YAML_BYTES_MAX)
        return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ file, 0, 0 },
                               STR(""), STR("split it into several files"),
                               "the file is larger than 1 MiB");
    while (rest.len > 0) {
        if (is_usual(rest.data[0], at.column)) {
            rest = (struct str){ rest.data + 1, rest.len - 1 };
            at.column++;
            continue;
        }
        if (!utf8_take(&rest, &character))
            break;
        if (!check_character(at, text, character, rest, diagnostics))
            return false;
        at.column++;
        if (character == '\n')
            at = (struct position){ file, at.line + 1, 1 };
    }
    if (rest.len > 0)
        return complain(at, text, "save the file as UTF-8", "this is not UTF-8", diagnostics);
    return true;
}

struct str yaml_text_line(struct str text, size_t line)
{
    struct str head = STR("");

    for (; line > 0 && text.len > 0; line--)
        str_cut(text, '\n', &head, &text);
    if (line > 0)
        return STR("");
    if (str_ends_with(head, STR("\r")))
        head.len--;
    return head;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Where a word ends that starts at `at`: brackets that it opens are its own. */
static size_t word_end(struct str line, size_t at)
{
    size_t depth = 0;

    for (; at < line.len && !is_blank(line.data[at]); at++) {
        if (line.data[at] == '{' || line.data[at] == '[')
            depth++;
        else if (depth == 0 && memchr(",]}", line.data[at], 3) != NULL)
            return at;
        else if (line.data[at] == '}' || line.data[at] == ']')
            depth--;
    }
    return at;
}

struct str yaml_text_word(struct str line, size_t column)
{
    size_t at = utf8_offset(line, column - 1);
    size_t start = at;

    while (start > 0 && !is_blank(line.data[start - 1]) && line.data[start - 1] != ',')
        start--;
    while (start < at && (line.data[start] == '{' || line.data[start] == '['))
        start++;
    return str_slice(line, start, word_end(line, start) - start);
}
