#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "base/yaml_internal.h"

#define HINT_MAX 160

#define CHECK_INDENT "keys of one map and items of one list start in the same column"
#define LEAVE_OUT "leave it out, or quote the whole text"
#define USE_SPACES "indent with spaces"
#define USE_SINGLE_QUOTES "in single quotes '\\' stands for itself"

enum place {
    AT_PROBLEM, /* where libyaml gave up */
    AT_CONTEXT, /* where the thing starts that it could not finish */
    AT_OPENING, /* the same for brackets: if the text ends too early AT_CONTEXT, else AT_PROBLEM */
};

/*
 * What libyaml reports, and what a person should read. The first row that fits counts; NULL and 0
 * fit everything. `byte` is what stands at the problem. Without a hint: "quote this word".
 */
static const struct explanation {
    const char *context;
    const char *problem;
    char byte;
    enum place place;
    const char *message;
    const char *hint;
} explanations[] = {
    { NULL, "found character that cannot start any token", '\t', AT_PROBLEM,
      "a tab cannot indent YAML", USE_SPACES },
    { NULL, "found character that cannot start any token", 0, AT_PROBLEM,
      "unquoted text cannot start with this character", NULL },
    { NULL, "found a tab character where an indentation space is expected", 0, AT_PROBLEM,
      "a tab cannot indent YAML", USE_SPACES },
    { NULL, "found a tab character that violates indentation", 0, AT_PROBLEM,
      "a tab cannot indent YAML", USE_SPACES },
    { "while scanning an alias", NULL, 0, AT_CONTEXT,
      "a leading '*' makes this a YAML alias, which is not allowed", NULL },
    { "while scanning an anchor", NULL, 0, AT_CONTEXT,
      "a leading '&' makes this a YAML anchor, which is not allowed", LEAVE_OUT },
    { "while scanning a tag", NULL, 0, AT_CONTEXT,
      "a leading '!' makes this a YAML tag, which is not allowed", LEAVE_OUT },
    { "while parsing a tag", NULL, 0, AT_CONTEXT,
      "a leading '!' makes this a YAML tag, which is not allowed", LEAVE_OUT },
    { NULL, "found undefined tag handle", 0, AT_PROBLEM,
      "a leading '!' makes this a YAML tag, which is not allowed", LEAVE_OUT },
    { "while scanning a block scalar", NULL, 0, AT_CONTEXT,
      "a leading '|' or '>' announces a block of lines, so nothing may follow it", NULL },
    { "while scanning a plain scalar", "found unexpected ':'", 0, AT_PROBLEM,
      "this ':' has no space behind it", "put a space behind the ':' of a key, or quote the text" },
    { "while scanning a quoted scalar", "found unexpected end of stream", 0, AT_CONTEXT,
      "this quote is never closed", "close it on the same line" },
    { "while scanning a quoted scalar", "found unexpected document indicator", 0, AT_CONTEXT,
      "this quote is not closed before a line of '---' or '...'", "close it on the same line" },
    { NULL, "found unknown escape character", 0, AT_PROBLEM, "an unknown escape in double quotes",
      USE_SINGLE_QUOTES },
    { NULL, "did not find expected hexdecimal number", 0, AT_PROBLEM,
      "an escape without its hexadecimal digits", USE_SINGLE_QUOTES },
    { NULL, "found invalid Unicode character escape code", 0, AT_PROBLEM,
      "an escape that is no Unicode character", USE_SINGLE_QUOTES },
    { NULL, "mapping values are not allowed in this context", 0, AT_PROBLEM,
      "a ':' where no key can stand",
      "quote the text if the ':' belongs to it; else check the indentation and the line above" },
    { NULL, "could not find expected ':'", 0, AT_CONTEXT, "expected 'key: value' here",
      "a key has a ':' with a space behind it; text over several lines needs quotes" },
    { NULL, "block sequence entries are not allowed in this context", 0, AT_PROBLEM,
      "a list cannot start here", "start it on the next line, or write [a, b]" },
    { NULL, "mapping keys are not allowed in this context", 0, AT_PROBLEM,
      "a leading '?' announces a key, which cannot stand here", NULL },
    { "while parsing a flow mapping", NULL, '{', AT_PROBLEM,
      "inside { } text with brackets needs quotes", NULL },
    { "while parsing a flow mapping", NULL, '[', AT_PROBLEM,
      "inside { } text with brackets needs quotes", NULL },
    { "while parsing a flow sequence", NULL, '{', AT_PROBLEM,
      "inside [ ] text with brackets needs quotes", NULL },
    { "while parsing a flow sequence", NULL, '[', AT_PROBLEM,
      "inside [ ] text with brackets needs quotes", NULL },
    { "while parsing a flow mapping", NULL, 0, AT_OPENING, "expected ',' or '}'",
      "members in { } stand between ',' and end with '}'" },
    { "while parsing a flow sequence", NULL, 0, AT_OPENING, "expected ',' or ']'",
      "items in [ ] stand between ',' and end with ']'" },
    { "while parsing a block mapping", "did not find expected key", 0, AT_PROBLEM,
      "expected the next key here", CHECK_INDENT "; nothing may follow a closing quote" },
    { "while parsing a block collection", "did not find expected '-' indicator", 0, AT_PROBLEM,
      "expected the next '- ' item here", CHECK_INDENT },
    { NULL, "did not find expected node content", ',', AT_PROBLEM,
      "a value is missing before this ','", "remove the ','" },
    { NULL, "did not find expected node content", ':', AT_PROBLEM,
      "inside { } and [ ] text cannot start with ':'", NULL },
    { NULL, "did not find expected node content", 0, AT_OPENING, "expected a value here",
      "quote the text if it starts with this character" },
    { NULL, "did not find expected <document start>", 0, AT_PROBLEM,
      "there is text behind the end of the document", "a file holds one document; " CHECK_INDENT },
};

struct position yaml_position(struct str file, struct str text, yaml_mark_t mark)
{
    size_t lines = 1;

    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    if (mark.line < lines)
        return (struct position){ file, mark.line + 1, mark.column + 1 };
    return (struct position){ file, lines, utf8_count(yaml_text_line(text, lines)) + 1 };
}

/* What stands at a place: a byte, or 0 at the end of its line. */
static char byte_at(struct str text, struct position at)
{
    struct str line = yaml_text_line(text, at.line);
    size_t offset = utf8_offset(line, at.column - 1);

    return offset < line.len ? line.data[offset] : '\0';
}

/* What stands at the problem. A bracket counts only within a word: others open maps and lists. */
static char telling_byte(struct str text, struct position at)
{
    struct position before = { at.file, at.line, at.column - 1 };
    char byte = byte_at(text, at);

    if ((byte == '{' || byte == '[') && (at.column == 1 || byte_at(text, before) == ' '))
        return '\0';
    return byte;
}

static bool is_at_end(struct str text, struct position at)
{
    size_t line_ends = 0;

    for (size_t i = 0; i < text.len; i++)
        line_ends += text.data[i] == '\n';
    return at.line > line_ends && byte_at(text, at) == '\0';
}

static bool fits(const char *expected, const char *found)
{
    return expected == NULL || (found != NULL && strcmp(expected, found) == 0);
}

static const struct explanation *find_explanation(const yaml_parser_t *parser, char byte)
{
    for (size_t i = 0; i < COUNT(explanations); i++) {
        const struct explanation *row = &explanations[i];

        if (fits(row->context, parser->context) && fits(row->problem, parser->problem) &&
            (row->byte == 0 || row->byte == byte))
            return row;
    }
    return NULL;
}

struct str yaml_quote_hint(struct str line, size_t column, char *out, size_t out_size)
{
    struct str word = yaml_text_word(line, column);
    char quote = str_find(word, '"') < word.len ? '\'' : '"';

    if (word.len == 0 || word.len > out_size / 2 || str_find(word, '\'') < word.len)
        return STR("write it in quotes");
    (void)snprintf(out, out_size, "write it in quotes: %c" STR_FMT "%c", quote, STR_ARG(word),
                   quote);
    return str_from(out);
}

/* Where the thing starts that libyaml could not finish, for brackets over several lines. */
static void write_opening(const struct explanation *row, struct position at,
                          struct position context, char *out, size_t out_size)
{
    out[0] = '\0';
    if (row->place == AT_OPENING && at.line != context.line)
        (void)snprintf(out, out_size, "; the bracket opens at line %zu", context.line);
}

static bool report(const struct explanation *row, struct position at, struct position context,
                   struct str text, struct diagnostics *diagnostics)
{
    struct str line = yaml_text_line(text, at.line);
    char quoted[HINT_MAX];
    char opening[64];
    struct str hint = row->hint != NULL ? str_from(row->hint)
                                        : yaml_quote_hint(line, at.column, quoted, sizeof(quoted));

    write_opening(row, at, context, opening, sizeof(opening));
    return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, at, line, hint, "%s%s", row->message,
                           opening);
}

static bool report_unclosed(struct position at, struct str text, struct diagnostics *diagnostics)
{
    return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, at, yaml_text_line(text, at.line),
                           STR("look for the missing '}' or ']'"), "this is never closed");
}

bool yaml_explain(const yaml_parser_t *parser, struct position open, struct str text,
                  struct diagnostics *diagnostics)
{
    struct position problem = yaml_position(open.file, text, parser->problem_mark);
    struct position context = yaml_position(open.file, text, parser->context_mark);
    const struct explanation *row = find_explanation(parser, telling_byte(text, problem));

    if (parser->error == YAML_MEMORY_ERROR)
        return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ open.file, 0, 0 },
                               STR(""), STR(""), "no memory to read the file");
    if (row == NULL)
        return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, problem,
                               yaml_text_line(text, problem.line), STR(""), "not YAML: %s",
                               parser->problem);
    if (row->place == AT_OPENING && is_at_end(text, problem))
        return report_unclosed(open.line > 0 ? open : context, text, diagnostics);
    return report(row, row->place == AT_CONTEXT ? context : problem, context, text, diagnostics);
}
