#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <yaml.h>

#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"

/** Where a value stands, and the key it belongs to (0 where it has none). Count from 1. */
struct yaml_place {
    const json_t *value;
    uint32_t line;
    uint32_t column;
    uint32_t key_line;
    uint32_t key_column;
    bool is_plain;
};

/** Places by value: an open-addressing table that is at most half full. All-zero is empty. */
struct yaml_places {
    struct yaml_place *slots;
    size_t capacity; /* a power of two */
    size_t count;
};

/** Remember a place. False without memory. */
bool yaml_places_put(struct yaml_places *places, struct yaml_place place) MUST_USE;

/** The place of a value, or NULL. */
const struct yaml_place *yaml_places_find(const struct yaml_places *places, const json_t *value);

void yaml_places_release(struct yaml_places *places);

struct yaml_document {
    char *file;
    char *text;
    size_t text_len;
    json_t *root;
    struct yaml_places places;
};

/** Turn the document's text into its tree. False with at least one report. */
bool yaml_build(struct yaml_document *document, struct diagnostics *diagnostics) MUST_USE;

/**
 * Refuse text that people and libyaml would read differently, or that makes libyaml slow.
 *
 * Not UTF-8, control characters, line breaks that only YAML knows (a comment for the reader, a key
 * for the parser), bidirectional overrides, a byte order mark, %-directives, more than 1 MiB.
 */
bool yaml_text_check(struct str file, struct str text, struct diagnostics *diagnostics) MUST_USE;

/** A line of the text, counted from 1, without its end; empty past the last. */
struct str yaml_text_line(struct str text, size_t line);

/**
 * The word of a line at a column: up to white space, or to a ',' or closing bracket that is not its
 * own. `{ env: ${param.env}, a: b }` has the word `${param.env}`.
 */
struct str yaml_text_word(struct str line, size_t column);

/** "write it in quotes: ...", about the word of a line at a column; may use the storage `out`. */
struct str yaml_quote_hint(struct str line, size_t column, char *out, size_t out_size);

/** Report what libyaml could not read, in words for people. False. */
bool yaml_explain(const yaml_parser_t *parser, struct str file, struct str text,
                  struct diagnostics *diagnostics);

/** A place of libyaml's, which counts from 0. */
struct position yaml_position(struct str file, yaml_mark_t mark);
