#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct diagnostics;

/**
 * A YAML document as a person wrote it: order, quotes and comments, for writing it again.
 *
 * Threads: confined
 */
enum yaml_layout_kind {
    YAML_LAYOUT_SCALAR,
    YAML_LAYOUT_MAP,
    YAML_LAYOUT_LIST,
};

struct yaml_layout_comment {
    struct str text; /* from its '#' to the end of the line, white space at the end cut */
    bool has_blank_above;
    struct yaml_layout_comment *next;
};

/** Comments in their order. */
struct yaml_layout_comments {
    struct yaml_layout_comment *first;
    struct yaml_layout_comment *last;
};

struct yaml_layout_entry;

struct yaml_layout_node {
    enum yaml_layout_kind kind;
    bool is_plain;                   /* SCALAR: without quotes */
    bool is_flow;                    /* MAP, LIST: in brackets */
    struct str text;                 /* SCALAR: its value */
    struct yaml_layout_entry *first; /* MAP, LIST: its entries */
    struct yaml_layout_entry *last;
    size_t count;
    size_t start; /* in the text, bytes; the first of the node */
    size_t end;   /* behind its last byte */
};

/** A member of a map, or an item of a list. */
struct yaml_layout_entry {
    struct yaml_layout_node key; /* of a map's member; else empty and plain */
    struct yaml_layout_node value;
    struct yaml_layout_comments before;   /* on lines of their own above it */
    struct yaml_layout_comments trailing; /* behind it, on its line; one, but for odd layouts */
    struct yaml_layout_comments after;    /* below it, where no entry follows that they are of */
    bool has_blank_above;
    size_t line;   /* from 0 */
    size_t column; /* of its first character, bytes from 0; a list's: of its dash */
    bool is_item;  /* of a list */
    bool is_in_flow;
    struct yaml_layout_entry *next;
    struct yaml_layout_entry *parent;    /* whose value it stands in; NULL: the root's */
    struct yaml_layout_entry *following; /* in the order of the text: outer ones first */
};

/**
 * Read a document: a map at its top. The same texts are refused as by yaml_parse(), with the same
 * reports. All is in `arena`.
 *
 * False with at least one report, or (then without) where there was no memory.
 */
bool yaml_layout_read(struct str file, struct str text, struct arena *arena,
                      struct diagnostics *diagnostics, struct yaml_layout_node *root) MUST_USE;
