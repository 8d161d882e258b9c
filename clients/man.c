#include "clients/man.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/macros.h"
#include "base/str.h"

/* When the form of the pages was changed last: mdoc wants a date. */
#define DATE "December 1, 2026"
#define LINE_MAX_LEN 64 /* of text: what is escaped is longer */
#define VARIABLES_MAX 64
#define SCHEMA_DEPTH_MAX 8

/* ---- text ---- */

/* What roff would make something else of. */
static void add_escaped(struct str text, struct buf *out)
{
    static const struct {
        char byte;
        const char *written;
    } special[] = {
        { '\\', "\\e" },  { '-', "\\-" },   { '\'', "\\(aq" }, { '`', "\\(ga" },
        { '^', "\\(ha" }, { '~', "\\(ti" }, { '"', "\\(dq" },
    };

    for (size_t i = 0; i < text.len; i++) {
        const char *written = NULL;

        for (size_t k = 0; k < COUNT(special); k++)
            if (text.data[i] == special[k].byte)
                written = special[k].written;
        if (i == 0 && text.data[0] == '.')
            buf_add_text(out, "\\&");
        if (written)
            buf_add_text(out, written);
        else
            buf_add(out, str_slice(text, i, 1));
    }
}

/* An argument of a macro, which is no macro whatever it reads like, and one whatever is in it. */
static void add_argument(const char *text, struct buf *out)
{
    struct str rest = str_from(text);
    struct str piece;
    bool has_more = true;

    buf_add_text(out, " \"\\&");
    while (has_more) {
        has_more = str_cut(rest, '|', &piece, &rest);
        add_escaped(piece, out);
        buf_add_text(out, has_more ? "|\\:" : ""); /* a line may break there */
    }
    buf_add_text(out, "\"");
}

static bool ends_sentence(struct str word)
{
    while (str_ends_with(word, STR(")")))
        word.len--;
    return word.len > 1 && str_is_made_of(str_slice(word, word.len - 1, 1), ".!?");
}

static struct str take_word(struct str *text)
{
    struct str word = *text;
    size_t len = 0;

    while (len < text->len && text->data[len] != ' ' && text->data[len] != '\n')
        len++;
    word.len = len;
    *text = str_slice(*text, len + 1, text->len);
    return word;
}

/* Words, in lines of a length; a sentence begins a line. */
static void add_words(struct str text, struct buf *out)
{
    size_t column = 0;

    if (text.len == 0)
        return;
    while (text.len > 0) {
        struct str word = take_word(&text);

        if (word.len == 0)
            continue;
        if (column > 0 && column + 1 + word.len > LINE_MAX_LEN) {
            buf_add_text(out, "\n");
            column = 0;
        } else if (column > 0) {
            buf_add_text(out, " ");
        }
        add_escaped(word, out);
        column += word.len + 1;
        if (ends_sentence(word) && text.len > 0) {
            buf_add_text(out, "\n");
            column = 0;
        }
    }
    buf_add_text(out, "\n");
}

/* The lines of a paragraph that are filled, joined by spaces; what is behind them. */
static struct str take_filled(struct str text, struct buf *joined)
{
    struct str line;

    while (text.len > 0 && text.data[0] != ' ' && text.data[0] != '\n') {
        (void)str_cut(text, '\n', &line, &text);
        buf_printf(joined, "%s" STR_FMT, joined->len > 0 ? " " : "", STR_ARG(line));
    }
    return text;
}

static struct str add_literal(struct str text, struct buf *out)
{
    struct str line;

    buf_add_text(out, ".Bd -literal\n");
    while (text.len > 0 && text.data[0] == ' ') {
        (void)str_cut(text, '\n', &line, &text);
        add_escaped(line, out);
        buf_add_text(out, "\n");
    }
    buf_add_text(out, ".Ed\n");
    return text;
}

/* A description: paragraphs are filled, lines that are indented stand as they are. */
static void add_description(struct str text, struct buf *out)
{
    bool is_first = true;

    while (text.len > 0) {
        OWNED(buf_release) struct buf joined = { 0 };

        if (text.data[0] == '\n') {
            text = str_slice(text, 1, text.len);
        } else if (text.data[0] == ' ') {
            text = add_literal(text, out);
        } else {
            if (!is_first)
                buf_add_text(out, ".Pp\n");
            buf_init(&joined, out->max);
            text = take_filled(text, &joined);
            add_words(buf_str(&joined), out);
        }
        is_first = false;
    }
}

static void add_head(const char *name, const char *section, const char *summary, struct buf *out)
{
    buf_printf(out, ".Dd " DATE "\n.Dt ");
    for (const char *c = name; *c != '\0'; c++)
        buf_add_byte(out, (uint8_t)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c));
    buf_printf(out, " %s\n.Os Stagepass " STAGEPASS_VERSION "\n.Sh NAME\n.Nm %s\n.Nd ", section,
               name);
    add_escaped(str_from(summary), out);
    buf_add_text(out, "\n");
}

/* ---- commands ---- */

void man_name(const struct command *command, struct buf *out)
{
    buf_printf(out, "stagepass-%s%s%s", command->group ? command->group : "",
               command->group ? "-" : "", command->name);
}

static void add_option(const struct option_row *row, struct buf *out)
{
    buf_add_text(out, ".It");
    if (row->letter != '\0')
        buf_printf(out, " Fl %c ,", row->letter);
    buf_add_text(out, " Fl");
    buf_printf(out, " \"\\-");
    add_escaped(str_from(row->name), out);
    buf_add_text(out, "\"");
    if (row->value) {
        buf_add_text(out, " Ar");
        add_argument(row->value, out);
    }
    buf_add_text(out, "\n");
    add_words(str_from(row->help), out);
    if (row->environment)
        buf_printf(out, ".Pq Ev %s\n", row->environment);
}

static void add_options(const struct command *command, struct buf *out)
{
    buf_add_text(out, ".Sh OPTIONS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < COMMAND_GROUPS_MAX; i++)
        for (size_t k = 0; k < command->groups[i].row_count; k++)
            add_option(&command->groups[i].rows[k], out);
    buf_add_text(out, ".It Fl \"\\-help\"\nThis text, shorter.\n.El\n");
}

void man_write_command(const struct command *command, struct buf *out)
{
    OWNED(buf_release) struct buf name = { 0 };

    buf_init(&name, out->max);
    man_name(command, &name);
    add_head(name.data, "1", command->summary, out);
    buf_printf(out, ".Sh SYNOPSIS\n.Nm \"stagepass %s%s%s\"\n.Op Ar OPTION ...\n",
               command->group ? command->group : "", command->group ? " " : "", command->name);
    if (command->operands[0])
        add_words(str_from(command->operands), out);
    buf_add_text(out, ".Sh DESCRIPTION\n");
    add_description(str_from(command->description), out);
    add_options(command, out);
    buf_add_text(out, ".Sh EXIT STATUS\nThat of\n.Xr stagepass 1 .\n.Sh SEE ALSO\n"
                      ".Xr stagepass 1\n");
}

/* ---- all of them ---- */

static bool is_listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* The variables that stand in for options, each with what the first of these is for. */
static void add_variables(const struct command *const *list, size_t count, struct buf *out)
{
    const char *names[VARIABLES_MAX];
    size_t name_count = 0;

    buf_add_text(out, ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < COMMAND_GROUPS_MAX; k++)
            for (size_t n = 0; n < list[i]->groups[k].row_count; n++) {
                const struct option_row *row = &list[i]->groups[k].rows[n];

                if (!row->environment || name_count == VARIABLES_MAX ||
                    is_listed(names, name_count, row->environment))
                    continue;
                names[name_count++] = row->environment;
                buf_printf(out, ".It Ev %s\nStands in for\n.Fl \"\\-", row->environment);
                add_escaped(str_from(row->name), out);
                buf_add_text(out, "\"\nwhere that is not given.\n");
                add_words(str_from(row->help), out);
            }
    buf_add_text(out, ".El\n");
}

static void add_commands(const struct command *const *list, size_t count, struct buf *out)
{
    buf_add_text(out, ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, ".It Xr ");
        man_name(list[i], out);
        buf_add_text(out, " 1\n");
        add_words(str_from(list[i]->summary), out);
    }
    buf_add_text(out, ".El\n");
}

void man_write_overview(const struct command *const *list, size_t count, struct buf *out)
{
    add_head("stagepass", "1", "short-lived credentials for CI jobs, and who had which", out);
    buf_add_text(out, ".Sh SYNOPSIS\n.Nm\n.Ar COMMAND\n.Op Ar OPTION ...\n.Sh DESCRIPTION\n");
    add_words(
        STR("The one client of the Stagepass broker. Jobs fetch credentials with it, platform "
            "teams write and try policies, auditors read the ledger, people approve, and "
            "operators block and revoke."),
        out);
    buf_add_text(out, ".Pp\nEach command has a page of its own, and\n.Fl \"\\-help\" .\n");
    add_commands(list, count, out);
    add_variables(list, count, out);
    buf_add_text(out, ".Sh EXIT STATUS\n");
    add_words(str_from(command_exit_codes), out);
    buf_add_text(out, ".Sh SEE ALSO\n.Xr stagepass-broker.yaml 5 ,\n.Xr stagepassd 8\n");
}

/* ---- settings ---- */

static const json_t *referred(const json_t *schema, const json_t *node)
{
    struct str name = json_str(json_object_get(node, "$ref"));
    struct str prefix = STR("#/$defs/");

    return str_starts_with(name, prefix)
               ? json_object_get(json_object_get(schema, "$defs"), name.data + prefix.len)
               : NULL;
}

static void add_choices(const json_t *choices, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(choices); i++)
        buf_printf(out, "%s" STR_FMT, i > 0 ? ", " : "",
                   STR_ARG(json_str(json_array_get(choices, i))));
}

static bool add_range(const json_t *node, struct buf *out)
{
    const json_t *least = json_object_get(node, "minimum");
    const json_t *most = json_object_get(node, "maximum");

    if (!least || !most)
        return false;
    buf_printf(out, "%" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT, json_integer_value(least),
               json_integer_value(most));
    return true;
}

static bool add_word(const json_t *node, struct buf *out)
{
    static const char *const words[][2] = { { "string", "text" },
                                            { "object", "a map" },
                                            { "array", "a list" },
                                            { "boolean", "true or false" } };
    const json_t *types = json_object_get(node, "type");
    struct str type = json_str(json_is_array(types) ? json_array_get(types, 0) : types);

    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq(type, str_from(words[i][0]))) {
            buf_add_text(out, words[i][1]);
            return true;
        }
    return false;
}

/* What a value is, where the schema says it in few words: choices, a range, or a word for it. */
static bool add_type(const json_t *schema, const json_t *node, unsigned depth, struct buf *out)
{
    static const char *const words[] = { "text",     "duration", "flag",    "network",
                                         "networks", "texts",    "address", "name" };
    struct str name = json_str(json_object_get(node, "$ref"));
    const json_t *any = json_object_get(node, "anyOf");

    if (depth == SCHEMA_DEPTH_MAX)
        return false;
    for (size_t i = 0; i < COUNT(words); i++)
        if (str_eq(str_slice(name, strlen("#/$defs/"), name.len), str_from(words[i]))) {
            buf_add_text(out, strcmp(words[i], "flag") == 0 ? "true or false" : words[i]);
            return true;
        }
    if (json_object_get(node, "enum")) {
        add_choices(json_object_get(node, "enum"), out);
        return true;
    }
    if (add_range(node, out))
        return true;
    for (size_t i = 0; i < json_array_size(any); i++)
        if (add_type(schema, json_array_get(any, i), depth + 1, out))
            return true;
    return referred(schema, node) ? add_type(schema, referred(schema, node), depth + 1, out)
                                  : add_word(node, out);
}

static struct str description_of(const json_t *schema, const json_t *node)
{
    struct str own = json_str(json_object_get(node, "description"));

    return own.len > 0 ? own : json_str(json_object_get(referred(schema, node), "description"));
}

/* Whether it names keys of its own, and not only such as it forbids. */
static bool has_keys(const json_t *node)
{
    const char *key;
    json_t *member;

    json_object_foreach (json_object_get(node, "properties"), key, member)
        if (!json_is_false(member))
            return true;
    return false;
}

/* The name of the section that a value's keys are in; empty where it has none. */
static struct str section_of(const json_t *schema, const json_t *node, unsigned depth)
{
    static const char *const within[] = { "additionalProperties", "items" };
    struct str name = json_str(json_object_get(node, "$ref"));
    const json_t *any = json_object_get(node, "anyOf");
    const json_t *target = referred(schema, node);
    struct str found = { 0 };

    if (depth == SCHEMA_DEPTH_MAX)
        return found;
    if (has_keys(target))
        return str_slice(name, strlen("#/$defs/"), name.len);
    if (target)
        return section_of(schema, target, depth + 1);
    for (size_t i = 0; i < COUNT(within) && found.len == 0; i++)
        if (json_is_object(json_object_get(node, within[i])))
            found = section_of(schema, json_object_get(node, within[i]), depth + 1);
    for (size_t i = 0; i < json_array_size(any) && found.len == 0; i++)
        found = section_of(schema, json_array_get(any, i), depth + 1);
    return found;
}

static void add_setting(const json_t *schema, const char *key, const json_t *node, struct buf *out)
{
    OWNED(buf_release) struct buf text = { 0 };
    struct str section = section_of(schema, node, 0);
    struct str description = description_of(schema, node);

    buf_init(&text, out->max);
    buf_add_text(out, ".It Cm");
    add_argument(key, out);
    buf_add_text(out, "\n");
    if (description.len > 0)
        buf_printf(&text, STR_FMT ". ", STR_ARG(description));
    buf_add_text(&text, "Value: ");
    if (section.len > 0)
        buf_printf(&text, "see " STR_FMT, STR_ARG(section));
    else if (!add_type(schema, node, 0, &text))
        buf_add_text(&text, "see docs/broker.yaml.md");
    buf_add_text(&text, ".");
    add_words(buf_str(&text), out);
}

static void add_section(const json_t *schema, const char *name, struct buf *out)
{
    OWNED(buf_release) struct buf text = { 0 };
    const json_t *node = json_object_get(json_object_get(schema, "$defs"), name);
    struct str description = json_str(json_object_get(node, "description"));
    const char *key;
    json_t *member;

    buf_add_text(out, ".Ss ");
    add_escaped(str_from(name), out);
    buf_add_text(out, "\n");
    buf_init(&text, out->max);
    if (description.len > 0)
        buf_printf(&text, STR_FMT ".", STR_ARG(description));
    add_words(buf_str(&text), out);
    buf_add_text(out, ".Bl -tag -width Ds\n");
    json_object_foreach (json_object_get(node, "properties"), key, member)
        add_setting(schema, key, member, out);
    buf_add_text(out, ".El\n");
}

void man_write_settings(const json_t *schema, struct buf *out)
{
    const char *name;
    json_t *node;

    add_head("stagepass-broker.yaml", "5", "what a Stagepass broker runs with", out);
    buf_add_text(out, ".Sh DESCRIPTION\n");
    add_words(
        STR("A file in YAML that says who the broker is, where its ledger is, whose tokens it "
            "believes, and for which targets it gives credentials. The section broker has "
            "the keys at its top; each other one those of a map in it. Names of targets, "
            "issuers and streams are the writer's. An unknown key is refused."),
        out);
    buf_add_text(out, ".Pp\n.Dl stagepassd \\-\\-config broker.yaml \\-\\-check\n.Pp\nsays what "
                      "is wrong with one, and where.\n");
    json_object_foreach (json_object_get(schema, "$defs"), name, node)
        if (has_keys(node) && strcmp(name, "whole") != 0 && strcmp(name, "catalog") != 0)
            add_section(schema, name, out);
    buf_add_text(out, ".Sh SEE ALSO\n.Xr stagepass 1 ,\n.Xr stagepassd 8\n.Pp\nWhat follows from "
                      "each setting, and the defaults:\ndocs/broker.yaml.md of the source.\n");
}
