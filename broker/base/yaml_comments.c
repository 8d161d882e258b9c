#include "base/yaml_layout_internal.h"

/* A comment on its way to its entry. */
struct found {
    struct yaml_layout_comment *comment;
    size_t at;
    size_t line;
    size_t column;
    bool is_alone;                  /* nothing stands before it on its line */
    struct yaml_layout_entry *last; /* that starts before it; NULL: none */
};

static size_t line_end(const struct yaml_layout *layout, size_t line)
{
    return line + 1 < layout->line_count ? layout->lines[line + 1] - 1 : layout->text.len;
}

static bool is_blank(const struct yaml_layout *layout, size_t line)
{
    struct str text =
        str_slice(layout->text, layout->lines[line], line_end(layout, line) - layout->lines[line]);

    return str_trim(text).len == 0;
}

static bool has_blank_above(const struct yaml_layout *layout, size_t line)
{
    return line > 0 && is_blank(layout, line - 1);
}

static size_t entry_start(const struct yaml_layout *layout, const struct yaml_layout_entry *entry)
{
    return layout->lines[entry->line] + entry->column;
}

static void append(struct yaml_layout_comments *comments, struct yaml_layout_comment *comment)
{
    if (comments->last == NULL)
        comments->first = comment;
    else
        comments->last->next = comment;
    comments->last = comment;
}

/* ---- whose it is ---- */

/* A block has no end of its own: what stands behind its last entry is of that. */
static bool is_closed(const struct yaml_layout_node *node)
{
    return node->kind == YAML_LAYOUT_SCALAR || node->is_flow;
}

/*
 * Of a comment behind something: the outermost entry that ends before it on its line; else the one
 * that starts on it, whose value goes on below.
 */
static struct yaml_layout_entry *entry_on_line(const struct yaml_layout *layout,
                                               const struct found *found)
{
    size_t line_start = layout->lines[found->line];
    struct yaml_layout_entry *ended = NULL;

    for (struct yaml_layout_entry *entry = found->last; entry != NULL; entry = entry->parent)
        if (is_closed(&entry->value) && entry->value.end > line_start &&
            entry->value.end <= found->at)
            ended = entry;
    if (ended != NULL || found->last == NULL || found->last->line < found->line)
        return ended;
    return found->last;
}

/* The innermost entry above a comment that stands at its column or left of it. */
static struct yaml_layout_entry *entry_above(const struct found *found)
{
    struct yaml_layout_entry *entry = found->last;

    while (entry != NULL && (entry->is_in_flow || entry->column > found->column))
        entry = entry->parent;
    return entry;
}

/* The last entry of the brackets that a comment stands in; NULL where it stands in none. */
static struct yaml_layout_entry *entry_in_brackets(const struct found *found)
{
    for (struct yaml_layout_entry *entry = found->last; entry != NULL; entry = entry->parent)
        if (entry->value.is_flow && entry->value.end > found->at && entry->value.last != NULL)
            return entry->value.last;
    return NULL;
}

static void give_alone(const struct yaml_layout *layout, const struct found *found)
{
    struct yaml_layout_entry *behind = found->last == NULL ? layout->first : found->last->following;
    struct yaml_layout_entry *inner = entry_in_brackets(found);
    struct yaml_layout_entry *above;

    if (inner != NULL &&
        (behind == NULL || entry_start(layout, behind) > entry_start(layout, inner))) {
        append(&inner->after, found->comment);
        return;
    }
    above = entry_above(found);
    if (behind != NULL && (inner != NULL || above == NULL || found->column <= behind->column))
        append(&behind->before, found->comment);
    else if (above != NULL)
        append(&above->after, found->comment);
}

static void give(const struct yaml_layout *layout, const struct found *found)
{
    struct yaml_layout_entry *entry = found->is_alone ? NULL : entry_on_line(layout, found);

    if (entry != NULL)
        append(&entry->trailing, found->comment);
    else
        give_alone(layout, found);
}

/* ---- finding ---- */

/* How far the search is. */
struct yaml_comment_search {
    size_t at;
    size_t line;
    size_t scalar; /* the first that does not end before `at` */
};

/* Whether a '#' starts a comment: it stands behind white space, or starts its line. */
static bool starts_comment(const struct yaml_layout *layout, size_t at)
{
    return at == 0 || layout->text.data[at - 1] == ' ' || layout->text.data[at - 1] == '\t' ||
           layout->text.data[at - 1] == '\n';
}

static bool take_comment(const struct yaml_layout *layout, size_t at, size_t line,
                         struct yaml_layout_entry *last)
{
    struct str text = str_slice(layout->text, at, line_end(layout, line) - at);
    struct str left = str_slice(layout->text, layout->lines[line], at - layout->lines[line]);
    struct found found = { .at = at, .line = line, .column = left.len, .last = last };

    found.is_alone = str_trim(left).len == 0;
    found.comment = arena_alloc(layout->arena, sizeof(*found.comment));
    if (found.comment == NULL)
        return false;
    found.comment->text = arena_copy(layout->arena, str_trim(text));
    found.comment->has_blank_above = found.is_alone && has_blank_above(layout, line);
    give(layout, &found);
    return found.comment->text.data != NULL;
}

/* The last entry that starts before a place, from one that does. */
static struct yaml_layout_entry *advance(const struct yaml_layout *layout,
                                         struct yaml_layout_entry *last, size_t at)
{
    struct yaml_layout_entry *next = last == NULL ? layout->first : last->following;

    for (; next != NULL && entry_start(layout, next) < at; next = next->following)
        last = next;
    return last;
}

/* The first comment from a place on, and its line; false where there is none. */
static bool find_comment(const struct yaml_layout *layout, struct yaml_comment_search *search)
{
    for (; search->at < layout->text.len; search->at++) {
        while (search->line + 1 < layout->line_count &&
               layout->lines[search->line + 1] <= search->at)
            search->line++;
        while (search->scalar < layout->scalar_count &&
               layout->scalars[search->scalar].end <= search->at)
            search->scalar++;
        if (search->scalar < layout->scalar_count &&
            search->at >= layout->scalars[search->scalar].start)
            search->at = layout->scalars[search->scalar].end - 1;
        else if (layout->text.data[search->at] == '#' && starts_comment(layout, search->at))
            return true;
    }
    return false;
}

/* Whether an entry has a line of its own with a blank one above it. */
static bool stands_apart(const struct yaml_layout *layout, const struct yaml_layout_entry *entry)
{
    struct str left = str_slice(layout->text, layout->lines[entry->line], entry->column);

    return !entry->is_in_flow && str_is_made_of(left, " -") && has_blank_above(layout, entry->line);
}

bool yaml_comments_attach(struct yaml_layout *layout)
{
    struct yaml_comment_search search = { 0 };
    struct yaml_layout_entry *last = NULL;

    for (struct yaml_layout_entry *entry = layout->first; entry != NULL; entry = entry->following)
        entry->has_blank_above = stands_apart(layout, entry);
    while (find_comment(layout, &search)) {
        last = advance(layout, last, search.at);
        if (!take_comment(layout, search.at, search.line, last))
            return false;
        search.at = line_end(layout, search.line);
    }
    return true;
}
