#include "base/yaml_layout.h"

#include <yaml.h>

#include "base/diagnostic.h"
#include "base/utf8.h"
#include "base/yaml.h"
#include "base/yaml_internal.h"
#include "base/yaml_layout_internal.h"

/*
 * The tree comes from libyaml's events, which say where each value starts and ends. They say
 * nothing of comments: those are what stands behind a '#' outside of all scalars (yaml_comments.c).
 */

static size_t *index_lines(struct str text, struct arena *arena, size_t *count)
{
    size_t lines = 1;
    size_t *starts;

    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    starts = arena_alloc_array(arena, lines, sizeof(*starts));
    *count = lines;
    lines = 1;
    for (size_t i = 0; starts != NULL && i < text.len; i++)
        if (text.data[i] == '\n')
            starts[lines++] = i + 1;
    return starts;
}

/* libyaml counts characters. */
static size_t offset_of(const struct yaml_layout *layout, yaml_mark_t mark)
{
    struct str rest;

    if (mark.line >= layout->line_count)
        return layout->text.len;
    rest = str_slice(layout->text, layout->lines[mark.line], layout->text.len);
    return layout->lines[mark.line] + utf8_offset(rest, mark.column);
}

/* ---- the tree ---- */

static void remember_scalar(struct yaml_layout *layout, const struct yaml_layout_node *node)
{
    if (layout->scalar_count < layout->scalar_max)
        layout->scalars[layout->scalar_count++] =
            (struct yaml_layout_range){ node->start, node->end };
}

static struct yaml_layout_entry *add_entry(struct yaml_layout *layout,
                                           struct yaml_layout_node *container)
{
    struct yaml_layout_entry *entry = arena_alloc(layout->arena, sizeof(*entry));

    if (entry == NULL)
        return NULL;
    entry->key.is_plain = true;
    entry->is_item = container->kind == YAML_LAYOUT_LIST;
    entry->is_in_flow = container->is_flow;
    entry->parent = layout->owners[layout->depth - 1];
    if (container->last == NULL)
        container->first = entry;
    else
        container->last->next = entry;
    container->last = entry;
    container->count++;
    if (layout->last == NULL)
        layout->first = entry;
    else
        layout->last->following = entry;
    layout->last = entry;
    return entry;
}

static void place_entry(const struct yaml_layout *layout, struct yaml_layout_entry *entry,
                        yaml_mark_t mark)
{
    size_t start = offset_of(layout, mark);

    entry->line = mark.line;
    entry->column = start - layout->lines[mark.line];
}

/* The node that a value is read into: of a new item, of the member whose key is there, or the root.
 * NULL without memory. */
static struct yaml_layout_node *next_node(struct yaml_layout *layout, yaml_mark_t mark)
{
    struct yaml_layout_node *container =
        layout->depth == 0 ? NULL : layout->stack[layout->depth - 1];
    struct yaml_layout_entry *entry;

    if (container == NULL)
        return layout->root;
    if (container->kind == YAML_LAYOUT_MAP && layout->has_key[layout->depth - 1]) {
        layout->has_key[layout->depth - 1] = false;
        layout->current = container->last;
        return &container->last->value;
    }
    entry = add_entry(layout, container);
    if (entry == NULL)
        return NULL;
    place_entry(layout, entry, mark);
    if (container->kind == YAML_LAYOUT_LIST) {
        if (!container->is_flow)
            entry->column = layout->columns[layout->depth - 1];
        layout->current = entry;
        return &entry->value;
    }
    layout->has_key[layout->depth - 1] = true;
    return &entry->key;
}

static bool read_scalar(struct yaml_layout *layout, const yaml_event_t *event)
{
    struct yaml_layout_node *node = next_node(layout, event->start_mark);
    struct str value = { (const char *)event->data.scalar.value, event->data.scalar.length };

    if (node == NULL)
        return false;
    node->is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->text = arena_copy(layout->arena, value);
    node->start = offset_of(layout, event->start_mark);
    node->end = offset_of(layout, event->end_mark);
    remember_scalar(layout, node);
    return node->text.data != NULL;
}

static bool open_node(struct yaml_layout *layout, const yaml_event_t *event,
                      enum yaml_layout_kind kind, bool is_flow)
{
    struct yaml_layout_node *node = next_node(layout, event->start_mark);

    if (node == NULL || layout->depth == YAML_DEPTH_MAX)
        return false;
    node->kind = kind;
    node->is_flow = is_flow;
    node->start = offset_of(layout, event->start_mark);
    layout->stack[layout->depth] = node;
    layout->owners[layout->depth] = layout->current;
    layout->has_key[layout->depth] = false;
    layout->columns[layout->depth] = node->start - layout->lines[event->start_mark.line];
    layout->depth++;
    return true;
}

static size_t end_of_last(const struct yaml_layout_node *node)
{
    return node->last == NULL ? node->start : node->last->value.end;
}

/* A block ends with its last entry: libyaml says so only when it has seen the next token. */
static bool close_node(struct yaml_layout *layout, const yaml_event_t *event)
{
    struct yaml_layout_node *node = layout->stack[--layout->depth];

    node->end = node->is_flow ? offset_of(layout, event->end_mark) : end_of_last(node);
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): a row an event */
static bool take_event(struct yaml_layout *layout, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(layout, event);
    case YAML_MAPPING_START_EVENT:
        return open_node(layout, event, YAML_LAYOUT_MAP,
                         event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(layout, event, YAML_LAYOUT_LIST,
                         event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        return close_node(layout, event);
    case YAML_STREAM_END_EVENT:
        layout->is_finished = true;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_ALIAS_EVENT:
        break;
    }
    return true;
}

static bool read_events(struct yaml_layout *layout)
{
    yaml_parser_t parser;
    bool is_good = true;

    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)layout->text.data,
                                 layout->text.len);
    while (is_good && !layout->is_finished) {
        yaml_event_t event;

        is_good = yaml_parser_parse(&parser, &event);
        if (!is_good)
            break;
        is_good = take_event(layout, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return is_good;
}

bool yaml_layout_read(struct str file, struct str text, struct arena *arena,
                      struct diagnostics *diagnostics, struct yaml_layout_node *root)
{
    OWNED(yaml_document_free) struct yaml_document *document = NULL;
    struct yaml_layout layout = { .text = text, .arena = arena, .root = root };

    *root = (struct yaml_layout_node){ 0 };
    if (!yaml_parse(file, text, diagnostics, &document))
        return false;
    if (!json_is_object(yaml_root(document)))
        return diagnostics_add(diagnostics, DIAGNOSTIC_ERROR,
                               yaml_at(document, yaml_root(document)), STR(""), STR(""),
                               "expected a map at the top");
    layout.lines = index_lines(text, arena, &layout.line_count);
    layout.scalar_max = text.len + 1;
    layout.scalars = arena_alloc_array(arena, layout.scalar_max, sizeof(layout.scalars[0]));
    return layout.lines != NULL && layout.scalars != NULL && read_events(&layout) &&
           yaml_comments_attach(&layout);
}
