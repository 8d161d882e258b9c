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
struct upstream_peer;

/* sign_apart.c */

/**
 * Have a mint sign by our own keys: at once, or where these may let it wait on a thread for that,
 * with PROGRESS_WAIT; then it is entered again with the same `sign`.
 *
 * Errors: those of `sign`; ERROR_KEYS_UNAVAILABLE (too many wait), ERROR_MEMORY
 */
enum progress mint_sign(struct mint *mint, bool (*sign)(struct mint *mint, struct error *error),
                        struct error *error) MUST_USE;

extern const struct target_kind target_jwt;
extern const struct target_kind target_ssh;
extern const struct target_kind target_aws;
extern const struct target_kind target_vault;
extern const struct target_kind target_kubernetes;
extern const struct target_kind target_x509;
extern const struct target_kind target_gcp;
extern const struct target_kind target_azure;
extern const struct target_kind target_registry;
extern const struct target_kind target_postgres;
extern const struct target_kind target_github;
extern const struct target_kind target_gitlab;

#define DIGITS "0123456789"
#define SMALL_LETTERS "abcdefghijklmnopqrstuvwxyz"
#define LETTERS_AND_DIGITS SMALL_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS

/**
 * What a hole may be filled with at most (design.md 3.4); at load it counts as this many bytes. In
 * a field whose whole text may not have as many it counts as one: there a mint refuses what is too
 * long, where else no hole could ever stand in a name of a cluster or a database.
 */
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

/** The text of a field that must be there. */
bool grant_need(struct grant_reader *reader, const json_t *fields, const struct text_limits *limits,
                struct str *out) MUST_USE;

/** The text of a field that may be there; `*out` stays untouched where it is not. */
bool grant_may(struct grant_reader *reader, const json_t *fields, const struct text_limits *limits,
               struct str *out) MUST_USE;

/** The texts of a field that must be there. */
bool grant_need_list(struct grant_reader *reader, const json_t *fields,
                     const struct text_limits *limits, struct texts *out) MUST_USE;

/** One of a few names (ended by NULL): `*out` is its index. `what` it is, for messages. */
bool grant_choice(struct grant_reader *reader, const json_t *value, const char *what,
                  const char *const *names, size_t *out) MUST_USE;

/**
 * A text may have holes, but not in front: the job would say all of it. `what` it is, for messages.
 */
bool grant_starts_literally(struct grant_reader *reader, const json_t *value, const char *what)
    MUST_USE;

/** The item of a value that is one text or a list of them. */
const json_t *grant_item(const json_t *value, size_t index);

/** How a kind reads a grant, at load or at a mint. */
typedef bool (*grant_reading)(struct grant_reader *reader, const struct policy_grant_view *view);

/** Read a grant at load, and have its fault in the diagnostics: `check` of a kind. */
void grant_check(const struct yaml_reader *yaml, const struct policy_grant_view *view,
                 grant_reading read);

/** `true` or `false`; false where it is absent. */
bool grant_flag(struct grant_reader *reader, const json_t *fields, const char *name, bool *out)
    MUST_USE;

/** Whether a text, as it is written in the policy, begins with a hole, or has one at all. */
bool grant_starts_with_hole(const json_t *value);
bool grant_has_hole(const json_t *value);

/**
 * Whether a text is labels of 1 to 63 bytes with '.' between them, none with '-' at an end. What
 * the labels are made of is the field's to say; no wildcard, which would be every name below.
 *
 * Source: RFC 1123 2.1
 */
bool text_is_dns_name(struct str text);

bool texts_contain(const struct texts *texts, struct str text);

/**
 * The texts of a value that is one text or a list of them, as they are written, holes too: what
 * `gives` of a kind names. The list is in `arena`, the texts are the value's. False without memory.
 */
bool grant_written(struct arena *arena, const json_t *value, struct texts *out) MUST_USE;

/** Room for what a grant gives. False without memory. */
bool given_room(struct policy_given *given, struct arena *arena, size_t names, size_t principals)
    MUST_USE;

/** Add a name, a principal, of which there is room. False where the text is NULL. */
bool given_name(struct policy_given *given, struct str text) MUST_USE;
bool given_principal(struct policy_given *given, struct str text) MUST_USE;

/**
 * Settings of a target: a text, or a list of them, of the limits that go with its key. What does
 * not fit is reported, and false; `*out` stays untouched where the key is absent.
 */
bool setting_text(const struct yaml_reader *reader, const json_t *node,
                  const struct text_limits *limits, struct str *out) MUST_USE;
bool setting_texts(const struct yaml_reader *reader, const json_t *node,
                   const struct text_limits *limits, struct texts *out) MUST_USE;

/** The same of an https URL, which ends without '/'. */
bool setting_url(const struct yaml_reader *reader, const json_t *node, const char *key,
                 struct str *out) MUST_USE;

/** The same of a target that is reached as `peer` says: below it its paths are. */
bool setting_base(const struct yaml_reader *reader, const json_t *node, const char *key,
                  const struct upstream_peer *peer, struct str *out) MUST_USE;

#define SETTING_PATH_MAX ((size_t)4096)

/**
 * The same of a file's path, in the reader's arena: relative to the folder of the file that it
 * stands in.
 */
bool setting_file(const struct yaml_reader *reader, const json_t *node, const char *key,
                  const char **out) MUST_USE;

/**
 * How a target is reached over HTTP: its `ca`, `allow_networks` and `allow_http`.
 */
bool setting_peer(const struct yaml_reader *reader, const json_t *node, struct upstream_peer *peer)
    MUST_USE;

/** A URL of such a target, NUL-terminated; `*out` stays untouched where the key is absent. */
bool setting_endpoint(const struct yaml_reader *reader, const json_t *node, const char *key,
                      const struct upstream_peer *peer, struct str *out) MUST_USE;

/**
 * `revoke` of kinds whose credentials are taken back by a list: nothing is asked of anybody. That
 * the entry is there which says so is what puts one on the list (`list`).
 */
enum progress target_revoke_by_list(struct revocation *revocation, struct error *error);

/** Add a list; its path is "/FOLDER/TARGET" and what follows. False without memory. */
bool listing_add(struct target_listing *listing, const char *folder, struct str rest,
                 const char *content_type, struct str bytes) MUST_USE;

/** Have the fault in the diagnostics. */
void grant_report(const struct yaml_reader *yaml, const json_t *fields,
                  const struct grant_reader *reader);

/** Have the fault as ERROR_MINT; false. */
bool grant_error(const struct grant_reader *reader, struct error *error);
