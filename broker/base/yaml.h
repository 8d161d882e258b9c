#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"

struct error;
struct network;

/**
 * A YAML document as jansson values with positions.
 *
 * Every scalar is a JSON string until a schema types it; maps keep their order. Refused, each with
 * a sentence that explains: anchors, aliases, tags, merge keys, a second document, what is not
 * UTF-8, duplicate keys, keys that are not scalars, empty values and nulls, depth past 16, files
 * past 1 MiB.
 *
 * Threads: confined while loaded, immutable afterwards
 */
struct yaml_document;

#define YAML_BYTES_MAX ((size_t)1024 * 1024)
#define YAML_DEPTH_MAX 16

/**
 * Parse `text`, which came from `file` (a name for messages).
 *
 * Every error goes to `diagnostics`; false when there was one.
 *
 * Owns: `*out` is the caller's; it keeps copies of `text` and `file`
 */
bool yaml_parse(struct str file, struct str text, struct diagnostics *diagnostics,
                struct yaml_document **out) MUST_USE;

/** Not `yaml_free`: libyaml calls a function of that name, and would find ours. */
void yaml_document_free(struct yaml_document *document);

OWNED_POINTER(yaml_document_free, struct yaml_document)

const json_t *yaml_root(const struct yaml_document *document);

/** Where a value starts. */
struct position yaml_at(const struct yaml_document *document, const json_t *value);

/** Where the key of a map's member stands. */
struct position yaml_at_key(const struct yaml_document *document, const json_t *map,
                            const char *key);

/** Whether a scalar was written plain, without quotes. */
bool yaml_is_plain(const struct yaml_document *document, const json_t *scalar);

/** The source line of a position that the document gave; empty where there is none. */
struct str yaml_source(const struct yaml_document *document, struct position at);

/**
 * Join the tree of another document to this one's: members that only the other has are added, maps
 * that both have become one, `depth` levels deep (1: the root's own members only). What both have
 * otherwise is reported, with both places, and stays this one's.
 *
 * From then on the document gives the places of the other's values too, each with its own file. A
 * map of both stands where this document has it.
 *
 * Owns: the document takes `take_other`, in any case; its roots must be maps
 */
void yaml_join(struct yaml_document *document, struct yaml_document *take_other, size_t depth,
               struct diagnostics *diagnostics);

/**
 * An overlay: a document that is put together from several. Its own file and tree are those of
 * `base`; values of every document that was added have their places there. All of them must outlive
 * it. NULL without memory.
 *
 * Threads: confined; the documents below may be read by others meanwhile
 */
struct yaml_document *yaml_overlay_new(const struct yaml_document *base) MUST_USE;

#define YAML_OVERLAY_MAX 128 /* documents below an overlay; one more is refused */

/** Add a document; once is enough. False where there are too many. */
bool yaml_overlay_add(struct yaml_document *overlay, const struct yaml_document *document) MUST_USE;

/** Where a value counts as standing that was made for an overlay: at values of those below. */
struct yaml_stand {
    const json_t *at;    /* where this one does */
    const json_t *key;   /* its key where this one's key does; NULL: it has none */
    const json_t *other; /* reports about it point there, too, with `note`; NULL: nowhere */
    const char *note;    /* a literal */
    bool note_has_text;  /* the value's text stands behind it */
};

/**
 * Give a value that was made for the overlay a place; the value must live as long as the overlay.
 * False without memory.
 */
bool yaml_overlay_place(struct yaml_document *overlay, const json_t *value,
                        const struct yaml_stand *stand) MUST_USE;

/**
 * From now on reports about places in another file than the base's point to `at`, too, as where
 * they are used. NULL: no longer.
 */
void yaml_overlay_use(struct yaml_document *overlay, const json_t *at);

/**
 * Reads typed values out of a document and reports what does not fit, with position, source line,
 * what was expected, and the nearest name.
 *
 * The getters return false and leave `*out` untouched where the key is absent or its value does not
 * fit; the second case is reported. So a reader goes on and finds all mistakes of a file; who asks
 * `diagnostics->error_count` at the end knows whether the file is good.
 *
 * Texts that the getters give are the document's; arrays are in `arena`, or where that is NULL in
 * the arena of `diagnostics`.
 */
struct yaml_reader {
    const struct yaml_document *document;
    struct diagnostics *diagnostics;
    struct arena *arena;
};

/** Report about a value; false. */
bool yaml_complain(const struct yaml_reader *reader, const json_t *value, const char *format, ...)
    PRINTF_LIKE(3, 4);
/** Report about a value, with a hint; false. */
bool yaml_complain_hint(const struct yaml_reader *reader, const json_t *value, struct str hint,
                        const char *format, ...) PRINTF_LIKE(4, 5);
/** Report about a member's key; false. `hint` may be empty. */
bool yaml_complain_key(const struct yaml_reader *reader, const json_t *map, const char *key,
                       struct str hint, const char *format, ...) PRINTF_LIKE(5, 6);

/**
 * Warn about a value, under the stable name of the rule that it goes against (a literal). `hint`
 * may be empty.
 */
void yaml_warn(const struct yaml_reader *reader, const json_t *value, const char *rule,
               struct str hint, const char *format, ...) PRINTF_LIKE(5, 6);

/** The value must be a map with these keys only (`names` ends with NULL); else reported. */
bool yaml_expect_map(const struct yaml_reader *reader, const json_t *value,
                     const char *const *names);

/** Report where a mandatory key is missing. */
bool yaml_require(const struct yaml_reader *reader, const json_t *map, const char *key);

bool yaml_get_str(const struct yaml_reader *reader, const json_t *map, const char *key,
                  struct str *out);
bool yaml_get_int(const struct yaml_reader *reader, const json_t *map, const char *key, int64_t min,
                  int64_t max, int64_t *out);
bool yaml_get_bool(const struct yaml_reader *reader, const json_t *map, const char *key, bool *out);
bool yaml_get_duration_s(const struct yaml_reader *reader, const json_t *map, const char *key,
                         int64_t min_s, int64_t max_s, int64_t *out);
/** One of `names` (ends with NULL): `*out` is its index. */
bool yaml_get_choice(const struct yaml_reader *reader, const json_t *map, const char *key,
                     const char *const *names, size_t *out);
bool yaml_get_map(const struct yaml_reader *reader, const json_t *map, const char *key,
                  const json_t **out);
bool yaml_get_list(const struct yaml_reader *reader, const json_t *map, const char *key,
                   const json_t **out);
/** A list of strings, or one string as a list of one. */
bool yaml_get_strs(const struct yaml_reader *reader, const json_t *map, const char *key,
                   struct str **out, size_t *count);
/** A list of networks ("10.0.0.0/8"), or one. */
bool yaml_get_networks(const struct yaml_reader *reader, const json_t *map, const char *key,
                       struct network **out, size_t *count);
