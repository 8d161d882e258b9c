#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "base/yaml.h"
#include "base/yaml_layout.h"

struct yaml_layout_range {
    size_t start;
    size_t end; /* exclusive */
};

/** A layout being read. */
struct yaml_layout {
    struct str text;
    struct arena *arena;
    struct yaml_layout_node *root;
    size_t *lines; /* where each starts */
    size_t line_count;

    struct yaml_layout_node *stack[YAML_DEPTH_MAX];   /* the open ones */
    bool has_key[YAML_DEPTH_MAX];                     /* of a map: its value comes next */
    size_t columns[YAML_DEPTH_MAX];                   /* where each starts in its line */
    struct yaml_layout_entry *owners[YAML_DEPTH_MAX]; /* whose value each is; NULL: the root */
    size_t depth;
    struct yaml_layout_entry *current; /* whose value is being read */
    bool is_finished;

    struct yaml_layout_entry *first; /* all entries, in the order of the text */
    struct yaml_layout_entry *last;
    struct yaml_layout_range *scalars; /* in the order of the text */
    size_t scalar_count;
    size_t scalar_max;
};

/** Find the comments, and give each to the entry that it is of. False without memory. */
bool yaml_comments_attach(struct yaml_layout *layout) MUST_USE;
