#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"
#include "base/yaml.h"
#include "targets/target.h"

struct error;

extern const struct target_kind target_jwt;
extern const struct target_kind target_ssh;
extern const struct target_kind target_aws;

#define LETTERS_AND_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/** What a hole may be filled with at most (design.md 3.4); at load it counts as this many bytes. */
#define GRANT_HOLE_MAX 64
/** What reading one grant may take. */
#define GRANT_MEMORY_MAX ((size_t)1024 * 1024)

/**
 * Reads a grant's fields: at load, where holes are still open, and again at each mint, where they
 * are filled. One reader for both, so that what was checked is what is signed.
 *
 * At load an open hole stands for the longest text that may fill it. At a mint an open hole is a
 * fault. The first fault stays.
 *
 * Threads: confined
 */
struct grant_reader {
    struct arena *arena;
    bool has_open_holes; /* at load */
    const json_t *at;    /* of the fault; NULL: the whole grant */
    char fault[160];
};

/** Texts in order. */
struct texts {
    const struct str *list;
    size_t count;
};

/** What a text or a list of them may be. */
struct text_limits {
    const char *name;    /* of the field, for messages */
    const char *charset; /* NULL: any printable UTF-8 */
    size_t bytes;
    size_t count; /* of a list */
};

/** Say what is wrong; false. */
bool grant_fault(struct grant_reader *reader, const json_t *at, const char *format, ...)
    PRINTF_LIKE(3, 4);

/** One text, not empty, without control characters, within the limits. */
bool grant_text(struct grant_reader *reader, const json_t *value, const struct text_limits *limits,
                struct str *out) MUST_USE;

/** One text or a list of them, at least one, none twice. */
bool grant_texts(struct grant_reader *reader, const json_t *value, const struct text_limits *limits,
                 struct texts *out) MUST_USE;

/** `true` or `false`; false where it is absent. */
bool grant_flag(struct grant_reader *reader, const json_t *fields, const char *name, bool *out)
    MUST_USE;

/** Whether a text, as it is written in the policy, begins with a hole, or has one at all. */
bool grant_starts_with_hole(const json_t *value);
bool grant_has_hole(const json_t *value);

bool texts_contain(const struct texts *texts, struct str text);

/**
 * The texts of a value that is one text or a list of them, as they are written, holes too: what
 * `gives` of a kind names. The list is in `arena`, the texts are the value's. False without memory.
 */
bool grant_written(struct arena *arena, const json_t *value, struct texts *out) MUST_USE;

/** Have the fault in the diagnostics. */
void grant_report(const struct yaml_reader *yaml, const json_t *fields,
                  const struct grant_reader *reader);

/** Have the fault as ERROR_MINT; false. */
bool grant_error(const struct grant_reader *reader, struct error *error);
