#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <yaml.h>

#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"
#include "base/yaml.h"

/** Where a value stands, and the key it belongs to (0 where it has none). Count from 1. */
struct yaml_place {
    const json_t *value;
    uint32_t line;
    uint32_t column;
    uint32_t key_line;
    uint32_t key_column;
    uint16_t width; /* characters, of a scalar on one line; 0: not known */
    uint16_t key_width;
    uint8_t origin;     /* in an overlay: index of the document below where it stands */
    uint8_t key_origin; /* and its key */
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

/** What else a report about a value of an overlay points to. */
struct yaml_other {
    const json_t *value;
    const json_t *other;
    const char *note;
    bool note_has_text;
};

/** What makes a document an overlay. */
struct yaml_overlay {
    const struct yaml_document *below[YAML_OVERLAY_MAX]; /* the first is the base */
    size_t below_count;
    struct yaml_other *others; /* looked through for a report only */
    size_t other_count;
    size_t other_capacity;
    const json_t *used_at;
};

struct yaml_document {
    char *file;
    char *text;
    size_t text_len;
    json_t *root;
    struct yaml_places places;
    struct yaml_document *joined; /* its values stand in `root` too; NULL: none */
    struct yaml_overlay *overlay; /* NULL: it is none */
};

/** What a report about a value or a key shows. */
struct yaml_spot {
    struct position at;
    size_t width;            /* characters; 0: not known */
    struct position related; /* line 0: none */
    const char *note;        /* of it */
    struct str note_text;    /* quoted behind it; empty: nothing */
};

/** The spot of a value. */
struct yaml_spot yaml_spot(const struct yaml_document *document, const json_t *value);

/** The spot of the key of a map's member; of the map where there is none. */
struct yaml_spot yaml_spot_of_key(const struct yaml_document *document, const json_t *map,
                                  const char *key);

/** The place of a value of an overlay, and the document where it stands; NULL: it is not known. */
const struct yaml_place *yaml_overlay_find(const struct yaml_document *document,
                                           const json_t *value, const struct yaml_document **owner);

/** yaml_source() of an overlay. */
struct str yaml_overlay_source(const struct yaml_document *document, struct position at);

/** Point a spot of a value (NULL: of a key) to what an overlay says it has to do with. */
void yaml_overlay_relate(const struct yaml_document *document, const json_t *value,
                         struct yaml_spot *spot);

void yaml_overlay_free(struct yaml_overlay *overlay);

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

/**
 * Report what libyaml could not read, in words for people; `open` is where the innermost map or
 * list starts that it was in (line 0: in none). False.
 */
bool yaml_explain(const yaml_parser_t *parser, struct position open, struct str text,
                  struct diagnostics *diagnostics);

/**
 * A place of libyaml's, which counts from 0, in a text. It ends the last line by itself where the
 * text does not; what it means then is that line's end.
 */
struct position yaml_position(struct str file, struct str text, yaml_mark_t mark);
