#include "policy/fmt.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "base/yaml_layout.h"
#include "policy/policy_internal.h"

#define INDENT 2
#define FLOW_DEPTH_MAX 2 /* scalars, or one more level of them */

/*
 * What a node is printed as follows from what is in it and from where it stands, never from how it
 * was laid out: so that the result of a second run is that of the first.
 */

/** Where a node stands, as far as that decides how it is printed. */
enum spot {
    SPOT_OTHER, /* entries stay in their order */
    SPOT_DOCUMENT,
    SPOT_STAGES,
    SPOT_STAGE,
    SPOT_GRANTS,
    SPOT_GRANT,
    SPOT_TESTS,
    SPOT_TEST,
    SPOT_GUARDRAILS,
    SPOT_RULES, /* of one guardrail's word */
    SPOT_RULE,
};

static const struct step {
    enum spot from;
    const char *key; /* NULL: any, and a list's items */
    enum spot to;
} steps[] = {
    { SPOT_DOCUMENT, "stages", SPOT_STAGES },
    { SPOT_DOCUMENT, "stage", SPOT_STAGE }, /* of a template */
    { SPOT_DOCUMENT, "tests", SPOT_TESTS },
    { SPOT_DOCUMENT, "guardrails", SPOT_GUARDRAILS },
    { SPOT_STAGES, NULL, SPOT_STAGE },
    { SPOT_STAGE, "grants", SPOT_GRANTS },
    { SPOT_GRANTS, NULL, SPOT_GRANT },
    { SPOT_TESTS, NULL, SPOT_TEST },
    { SPOT_GUARDRAILS, NULL, SPOT_RULES },
    { SPOT_RULES, NULL, SPOT_RULE },
};

/* The order of keys; those that are not named stand where the empty name is, as they were. */
static const char *const document_order[] = { "pipeline", "template",  "parameters", "tenant",
                                              "owner",    "review_by", "identity",   "when",
                                              "unless",   "stage",     "",           "stages",
                                              "tests",    NULL };
static const char *const stage_order[] = {
    "use",   "with",   "kind",     "environment", "when",  "unless",   "from", "during", "until",
    "after", "limits", "approval", "lease",       "proof", "instance", "",     "grants", NULL
};
static const char *const grant_order[] = { "", "ttl", "until", NULL };
static const char *const test_order[] = { "name",    "issuer", "base",    "claims",
                                          "without", "actor",  "address", "proof",
                                          "at",      "stage",  "expect",  "because",
                                          "grants",  "ttl",    "",        NULL };
static const char *const rule_order[] = { "name", "for", "mode", "", NULL };

static const struct spot_form {
    const char *const *order; /* NULL: as they are */
    bool is_block;            /* never in brackets */
} forms[] = {
    [SPOT_OTHER] = { NULL, false },      [SPOT_DOCUMENT] = { document_order, true },
    [SPOT_STAGES] = { NULL, true },      [SPOT_STAGE] = { stage_order, false },
    [SPOT_GRANTS] = { NULL, false },     [SPOT_GRANT] = { grant_order, false },
    [SPOT_TESTS] = { NULL, true },       [SPOT_TEST] = { test_order, false },
    [SPOT_GUARDRAILS] = { NULL, true },  [SPOT_RULES] = { NULL, false },
    [SPOT_RULE] = { rule_order, false },
};

static enum spot step_into(enum spot from, struct str key)
{
    for (size_t i = 0; i < COUNT(steps); i++)
        if (steps[i].from == from && (steps[i].key == NULL || str_eq(str_from(steps[i].key), key)))
            return steps[i].to;
    return SPOT_OTHER;
}

struct printer {
    struct arena *arena;
    struct buf *out;
    bool is_out_of_memory;
};

/* ---- order ---- */

static size_t rank_of(const char *const *order, struct str key)
{
    size_t others = 0;

    for (size_t i = 0; order[i] != NULL; i++) {
        if (str_eq(str_from(order[i]), key))
            return i;
        if (order[i][0] == '\0')
            others = i;
    }
    return others;
}

/* The entries in the order in which they are printed; a stable sort of a few. NULL without memory.
 */
static struct yaml_layout_entry **sort_entries(struct printer *printer,
                                               const struct yaml_layout_node *node, enum spot spot)
{
    const char *const *order = node->kind == YAML_LAYOUT_MAP ? forms[spot].order : NULL;
    struct yaml_layout_entry **sorted =
        arena_alloc_array(printer->arena, node->count + 1, sizeof(struct yaml_layout_entry *));
    size_t count = 0;

    printer->is_out_of_memory |= sorted == NULL;
    if (sorted == NULL)
        return NULL;
    if (order == NULL) {
        for (struct yaml_layout_entry *entry = node->first; entry != NULL; entry = entry->next)
            sorted[count++] = entry;
        return sorted;
    }
    for (size_t rank = 0; order[rank] != NULL; rank++)
        for (struct yaml_layout_entry *entry = node->first; entry != NULL; entry = entry->next)
            if (rank_of(order, entry->key.text) == rank)
                sorted[count++] = entry;
    return sorted;
}

/* ---- scalars ---- */

/* What a plain scalar may not hold between brackets. */
static bool is_flow_safe(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (str_find(STR(",[]{}"), text.data[i]) < 5)
            return false;
    return true;
}

static bool has_byte(struct str text, char byte)
{
    return str_find(text, byte) < text.len;
}

/* Whether a character may stand in a file as it is. */
static bool may_be_raw(uint32_t character)
{
    return utf8_is_plain(character) && utf8_is_seen(character);
}

static bool needs_escape(struct str text)
{
    uint32_t character;

    while (utf8_take(&text, &character))
        if (!may_be_raw(character))
            return true;
    return false;
}

/* Single quotes where double ones would need escapes for what they hold, and can have them. */
static bool wants_single_quotes(struct str text)
{
    return (has_byte(text, '"') || has_byte(text, '\\')) && !has_byte(text, '\'') &&
           !needs_escape(text);
}

static void print_character(uint32_t character, struct str bytes, struct buf *out)
{
    if (character == '"' || character == '\\')
        buf_add_byte(out, '\\');
    if (character == '\n')
        buf_add_text(out, "\\n");
    else if (character == '\t')
        buf_add_text(out, "\\t");
    else if (may_be_raw(character))
        buf_add(out, bytes);
    else
        buf_printf(out, character > 0xFFFF ? "\\U%08" PRIX32 : "\\u%04" PRIX32, character);
}

static void print_quoted(struct str text, struct buf *out)
{
    struct str rest = text;
    uint32_t character;

    if (wants_single_quotes(text)) {
        buf_printf(out, "'" STR_FMT "'", STR_ARG(text));
        return;
    }
    buf_add_byte(out, '"');
    while (utf8_take(&rest, &character)) {
        print_character(character, str_slice(text, 0, text.len - rest.len), out);
        text = rest;
    }
    buf_add_byte(out, '"');
}

/* A plain scalar over several lines can hold line feeds: it goes into quotes. */
static void print_scalar(const struct yaml_layout_node *node, struct buf *out)
{
    if (node->is_plain && !has_byte(node->text, '\n'))
        buf_add(out, node->text);
    else
        print_quoted(node->text, out);
}

/* ---- brackets ---- */

static bool has_comments(const struct yaml_layout_entry *entry)
{
    return entry->before.first != NULL || entry->trailing.first != NULL ||
           entry->after.first != NULL;
}

/* Whether a node may stand in brackets that are `left` levels deep at most. */
static bool may_be_flow(const struct yaml_layout_node *node, size_t left)
{
    if (node->kind == YAML_LAYOUT_SCALAR)
        return !node->is_plain || is_flow_safe(node->text);
    if (left == 0 && node->count > 0)
        return false;
    for (const struct yaml_layout_entry *entry = node->first; entry != NULL; entry = entry->next)
        if (has_comments(entry) || !may_be_flow(&entry->key, 0) ||
            !may_be_flow(&entry->value, left - 1))
            return false;
    return true;
}

static void print_flow(struct printer *printer, const struct yaml_layout_node *node, enum spot spot,
                       struct buf *out);

static void print_flow_entries(struct printer *printer, const struct yaml_layout_node *node,
                               enum spot spot, struct buf *out)
{
    struct yaml_layout_entry **sorted = sort_entries(printer, node, spot);

    for (size_t i = 0; sorted != NULL && i < node->count; i++) {
        struct str key = sorted[i]->key.text;

        buf_add_text(out, i > 0 ? ", " : "");
        if (node->kind == YAML_LAYOUT_MAP) {
            print_scalar(&sorted[i]->key, out);
            buf_add_text(out, ": ");
        }
        print_flow(printer, &sorted[i]->value, step_into(spot, key), out);
    }
}

static void print_flow(struct printer *printer, const struct yaml_layout_node *node, enum spot spot,
                       struct buf *out)
{
    bool is_map = node->kind == YAML_LAYOUT_MAP;
    bool is_wide = node->count > 0 && (is_map || node->first->value.kind != YAML_LAYOUT_SCALAR);

    if (node->kind == YAML_LAYOUT_SCALAR) {
        print_scalar(node, out);
        return;
    }
    buf_add_text(out, is_map ? "{" : "[");
    buf_add_text(out, is_wide ? " " : "");
    print_flow_entries(printer, node, spot, out);
    buf_add_text(out, is_wide ? " " : "");
    buf_add_text(out, is_map ? "}" : "]");
}

/* Whether a node goes into the line at hand, which has `used` characters. */
static bool fits(struct printer *printer, const struct yaml_layout_node *node, enum spot spot,
                 size_t used)
{
    OWNED(buf_release) struct buf line = { 0 };

    if (node->kind == YAML_LAYOUT_SCALAR || node->count == 0)
        return true;
    if (forms[spot].is_block || !may_be_flow(node, FLOW_DEPTH_MAX))
        return false;
    buf_init(&line, YAML_BYTES_MAX * 4);
    print_flow(printer, node, spot, &line);
    printer->is_out_of_memory |= !buf_is_ok(&line);
    return used + 1 + utf8_count(buf_str(&line)) <= FMT_WIDTH;
}

/* ---- lines ---- */

static void print_indent(struct printer *printer, size_t indent)
{
    for (size_t i = 0; i < indent; i++)
        buf_add_byte(printer->out, ' ');
}

/* One blank line at most, and none where something begins. */
static void print_blank(struct printer *printer, bool is_wanted)
{
    struct str out = buf_str(printer->out);

    if (is_wanted && out.len > 0 && !str_ends_with(out, STR("\n\n")))
        buf_add_byte(printer->out, '\n');
}

static void print_comments(struct printer *printer, const struct yaml_layout_comments *comments,
                           size_t indent, bool is_first)
{
    for (const struct yaml_layout_comment *comment = comments->first; comment != NULL;
         comment = comment->next) {
        print_blank(printer, comment->has_blank_above && !is_first);
        is_first = false;
        print_indent(printer, indent);
        buf_add(printer->out, comment->text);
        buf_add_byte(printer->out, '\n');
    }
}

/* The end of a line: what stood behind it. Several comments go to lines of their own below. */
static void end_line(struct printer *printer, const struct yaml_layout_entry *entry, size_t indent)
{
    const struct yaml_layout_comment *comment = entry->trailing.first;

    if (comment != NULL)
        buf_printf(printer->out, "  " STR_FMT, STR_ARG(comment->text));
    buf_add_byte(printer->out, '\n');
    for (comment = comment == NULL ? NULL : comment->next; comment != NULL;
         comment = comment->next) {
        print_indent(printer, indent);
        buf_add(printer->out, comment->text);
        buf_add_byte(printer->out, '\n');
    }
}

/* Entries one below the other; `is_open`: the line of the first has its dash already. */
static void print_block(struct printer *printer, const struct yaml_layout_node *node,
                        enum spot spot, size_t indent, bool is_open);

static void print_member(struct printer *printer, const struct yaml_layout_entry *entry,
                         enum spot spot, size_t indent)
{
    size_t start = printer->out->len;
    enum spot inner = step_into(spot, entry->key.text);
    size_t used;

    print_scalar(&entry->key, printer->out);
    buf_add_byte(printer->out, ':');
    used = indent + utf8_count(str_slice(buf_str(printer->out), start, printer->out->len));
    if (fits(printer, &entry->value, inner, used)) {
        buf_add_byte(printer->out, ' ');
        print_flow(printer, &entry->value, inner, printer->out);
        end_line(printer, entry, indent);
        return;
    }
    end_line(printer, entry, indent + INDENT);
    print_block(printer, &entry->value, inner, indent + INDENT, false);
}

/* What stood behind an item that now goes on below stands above it. */
static void print_trailing_of_item(struct printer *printer, const struct yaml_layout_entry *entry,
                                   enum spot spot, size_t indent)
{
    if (entry->is_item && !fits(printer, &entry->value, step_into(spot, STR("")), indent + 1))
        print_comments(printer, &entry->trailing, indent, false);
}

static void print_item(struct printer *printer, const struct yaml_layout_entry *entry,
                       enum spot spot, size_t indent)
{
    enum spot inner = step_into(spot, STR(""));

    buf_add_byte(printer->out, '-');
    buf_add_byte(printer->out, ' ');
    if (fits(printer, &entry->value, inner, indent + 1)) {
        print_flow(printer, &entry->value, inner, printer->out);
        end_line(printer, entry, indent);
        return;
    }
    print_block(printer, &entry->value, inner, indent + INDENT, true);
}

static void print_block(struct printer *printer, const struct yaml_layout_node *node,
                        enum spot spot, size_t indent, bool is_open)
{
    struct yaml_layout_entry **sorted = sort_entries(printer, node, spot);

    for (size_t i = 0; sorted != NULL && i < node->count; i++) {
        const struct yaml_layout_entry *entry = sorted[i];

        if (!is_open || i > 0) {
            print_comments(printer, &entry->before, indent, i == 0);
            print_blank(printer, entry->has_blank_above && (i > 0 || entry->before.first != NULL));
            print_trailing_of_item(printer, entry, spot, indent);
            print_indent(printer, indent);
        }
        if (node->kind == YAML_LAYOUT_MAP)
            print_member(printer, entry, spot, indent);
        else
            print_item(printer, entry, spot, indent);
        print_comments(printer, &entry->after, indent, false);
    }
}

static void move_comments(struct yaml_layout_comments *from, struct yaml_layout_comments *to)
{
    if (from->first == NULL)
        return;
    if (to->last == NULL)
        to->first = from->first;
    else
        to->last->next = from->first;
    to->last = from->last;
    *from = (struct yaml_layout_comments){ 0 };
}

/* No comment stands between a dash and what is first behind it: it is of the whole item. */
static void lift_comments(struct printer *printer, const struct yaml_layout_node *node,
                          enum spot spot)
{
    for (struct yaml_layout_entry *entry = node->first; entry != NULL; entry = entry->next) {
        enum spot inner = step_into(spot, entry->key.text);
        struct yaml_layout_entry **sorted;

        lift_comments(printer, &entry->value, inner);
        if (!entry->is_item || entry->value.count == 0)
            continue;
        sorted = sort_entries(printer, &entry->value, inner);
        if (sorted != NULL)
            move_comments(&sorted[0]->before, &entry->before);
    }
}

/*
 * What stands at the top and has a blank line below is of the file, not of the entry that happens
 * to come first: it stays at the top.
 */
static void print_head(struct printer *printer, struct yaml_layout_entry *first)
{
    struct yaml_layout_comment *last = NULL;
    struct yaml_layout_comments head = first->before;

    for (struct yaml_layout_comment *comment = head.first; comment != NULL; comment = comment->next)
        if (comment->next == NULL ? first->has_blank_above : comment->next->has_blank_above)
            last = comment;
    if (last == NULL)
        return;
    first->before.first = last->next;
    last->next = NULL;
    print_comments(printer, &head, 0, true);
    print_blank(printer, true);
}

bool fmt_text(struct str file, struct str text, struct arena *arena,
              struct diagnostics *diagnostics, struct buf *out)
{
    struct printer printer = { .arena = arena, .out = out };
    struct yaml_layout_comments foot = { 0 };
    struct yaml_layout_node root;

    if (!yaml_layout_read(file, text, arena, diagnostics, &root))
        return false;
    lift_comments(&printer, &root, SPOT_DOCUMENT);
    if (root.first != NULL) {
        print_head(&printer, root.first);
        move_comments(&root.last->after, &foot); /* the file's end stays its end */
    }
    if (root.count == 0)
        buf_add_text(out, "{}\n");
    else
        print_block(&printer, &root, SPOT_DOCUMENT, 0, false);
    print_comments(&printer, &foot, 0, false);
    return buf_is_ok(out) && !printer.is_out_of_memory;
}
