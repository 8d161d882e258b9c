#include "fmt_property.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/yaml.h"
#include "base/yaml_layout.h"
#include "policy/fmt.h"

#define OUT_MAX ((size_t)8 * 1024 * 1024)

static bool same(const struct yaml_document *a, const json_t *left, const struct yaml_document *b,
                 const json_t *right)
{
    const char *key;
    json_t *member;

    if (json_typeof(left) != json_typeof(right))
        return false;
    if (json_is_string(left)) /* over several lines it cannot stay plain */
        return json_equal(left, right) && (yaml_is_plain(a, left) == yaml_is_plain(b, right) ||
                                           str_find(json_str(left), '\n') < json_str(left).len);
    if (json_array_size(left) != json_array_size(right) ||
        json_object_size(left) != json_object_size(right))
        return false;
    for (size_t i = 0; i < json_array_size(left); i++)
        if (!same(a, json_array_get(left, i), b, json_array_get(right, i)))
            return false;
    json_object_foreach (json_iterable(left), key, member) {
        const json_t *other = json_object_get(right, key);

        if (other == NULL || !same(a, member, b, other))
            return false;
    }
    return true;
}

/* ---- comments ---- */

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

struct comments {
    struct str *list;
    size_t count;
};

static void collect(const struct yaml_layout_comments *from, struct comments *comments)
{
    for (const struct yaml_layout_comment *comment = from->first; comment != NULL;
         comment = comment->next)
        comments->list[comments->count++] = comment->text;
}

static void collect_all(const struct yaml_layout_node *node, struct comments *comments)
{
    for (const struct yaml_layout_entry *entry = node->first; entry != NULL; entry = entry->next) {
        collect(&entry->before, comments);
        collect(&entry->trailing, comments);
        collect(&entry->after, comments);
        collect_all(&entry->value, comments);
    }
}

static bool read_comments(struct str text, struct arena *arena, struct comments *comments)
{
    struct yaml_layout_node root;
    struct diagnostics diagnostics;

    diagnostics_init(&diagnostics, arena);
    comments->list = arena_alloc_array(arena, text.len + 1, sizeof(struct str));
    comments->count = 0;
    if (comments->list == NULL ||
        !yaml_layout_read(STR("a.yaml"), text, arena, &diagnostics, &root))
        return false;
    collect_all(&root, comments);
    qsort(comments->list, comments->count, sizeof(struct str), compare_texts);
    return true;
}

static bool same_comments(struct str a, struct str b, struct arena *arena)
{
    struct comments left;
    struct comments right;

    if (!read_comments(a, arena, &left) || !read_comments(b, arena, &right))
        return false;
    for (size_t i = 0; i < left.count && left.count == right.count; i++)
        if (!str_eq(left.list[i], right.list[i]))
            return false;
    return left.count == right.count;
}

/* ---- the property ---- */

static const char *find_flaw(struct str text, struct str formatted, struct arena *arena)
{
    OWNED(yaml_document_free) struct yaml_document *before = NULL;
    OWNED(yaml_document_free) struct yaml_document *after = NULL;
    OWNED(buf_release) struct buf again = { 0 };
    struct diagnostics diagnostics;

    diagnostics_init(&diagnostics, arena);
    if (!yaml_parse(STR("before"), text, &diagnostics, &before))
        return "it was formatted, and is no document";
    if (formatted.len > YAML_BYTES_MAX)
        return NULL;
    if (!yaml_parse(STR("after"), formatted, &diagnostics, &after))
        return "the result is no document";
    if (!same(before, yaml_root(before), after, yaml_root(after)))
        return "the result says something else";
    if (!same_comments(text, formatted, arena))
        return "the comments are not the same";
    buf_init(&again, OUT_MAX);
    if (!fmt_text(STR("again"), formatted, arena, &diagnostics, &again))
        return "the result cannot be formatted";
    return str_eq(formatted, buf_str(&again)) ? NULL : "a second time changes it";
}

const char *fmt_flaw(struct str text, struct arena *arena, bool *is_refused)
{
    OWNED(buf_release) struct buf out = { 0 };
    struct diagnostics diagnostics;

    diagnostics_init(&diagnostics, arena);
    buf_init(&out, OUT_MAX);
    *is_refused = !fmt_text(STR("a.yaml"), text, arena, &diagnostics, &out);
    if (*is_refused)
        return diagnostics.error_count > 0 ? NULL : "it is refused without a report";
    return find_flaw(text, buf_str(&out), arena);
}
