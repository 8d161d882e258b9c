#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Sets of files, kept for ever under a hash: the policies that decided.
 *
 * A set's hash is SHA-256 over SHA-256(name) and SHA-256(bytes) of each of its files, sorted by
 * name: that of a policy, policy_sha256(). So a set proves itself, and one that was changed is
 * refused. Bytes are kept once, whichever sets have them. So are pieces of the list of files, which
 * is cut where the hash of a name says so: of two sets that differ in a few files most pieces are
 * the same.
 *
 *   FOLDER/HASH              a set: "files N", then a line for each piece: its hash and file count
 *   FOLDER/objects/HA/SH...  a piece (a line for each file: the hash of its bytes, its name), or
 *                            the bytes of a file
 *   FOLDER/active            which set was activated last, and when
 *
 * Nothing is ever removed. Everything but `active` is written once.
 *
 * Threads: reading any; writing start-up and then one thread
 */

#define ARCHIVE_FILES_MAX 100000
#define ARCHIVE_FILE_BYTES_MAX ((size_t)1024 * 1024)
#define ARCHIVE_NAME_MAX ((size_t)1024)
#define ARCHIVE_SEGMENT_MAX 255      /* between slashes: what file systems can have */
#define ARCHIVE_PIECE_FILES_MAX 1024 /* at most in a piece; 128 on the average */

struct archive_file {
    struct str name;  /* relative, segments between single slashes, none of them "." or ".." */
    const char *path; /* where its bytes are, for keeping */
    uint8_t sha256[SHA256_LEN];
};

/** The hash of a set. `files` are sorted by name. False without memory. */
bool archive_hash(const struct archive_file *files, size_t count, uint8_t sha256[SHA256_LEN])
    MUST_USE;

/**
 * Keep a set: durable when it returns, or not there. Bytes are read from the files' paths, and must
 * have their hashes. One that is kept already is not looked at again.
 *
 * `base` is a set that is kept and much like this one (NULL: none): pieces that it has are not
 * looked at again. Any other bytes that are there are read, and written anew where they are wrong:
 * an earlier attempt may have been cut off.
 *
 * Errors: ERROR_INVALID (a name, an order, or bytes that are not of their hash: the file changed),
 *         ERROR_LIMIT, ERROR_IO, ERROR_MEMORY
 */
bool archive_keep(const char *folder, const struct archive_file *files, size_t count,
                  const uint8_t *base, struct error *error) MUST_USE;

/** A set as it is kept: what pieces its list of files has. In an arena. */
struct archive_piece {
    uint8_t sha256[SHA256_LEN];
    size_t count;
};

struct archive_set {
    const struct archive_piece *pieces;
    size_t piece_count;
    size_t file_count;
};

/**
 * Look a set up. Its list is not read yet.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID (it does not read as a set), ERROR_IO, ERROR_MEMORY
 */
bool archive_find(const char *folder, const uint8_t sha256[SHA256_LEN], struct arena *arena,
                  struct archive_set *set, struct error *error) MUST_USE;

/**
 * Read one piece of a set's list: its bytes are those of its hash, and its names may be used as
 * paths. `files` has room for the piece's count; their `path` is NULL.
 *
 * Errors: ERROR_INVALID, ERROR_IO, ERROR_MEMORY
 * Owns:   names live in `arena`
 */
bool archive_read_piece(const char *folder, const struct archive_piece *piece, struct arena *arena,
                        struct archive_file *files, struct error *error) MUST_USE;

/**
 * Verify a whole set, whose list has its hash, and all bytes have theirs, and write its files below
 * `into`, a folder that is there and empty, for their owner only. On failure what was written
 * stays.
 *
 * Errors: ERROR_NOT_FOUND, ERROR_INVALID (the cause names what is wrong), ERROR_IO, ERROR_LIMIT,
 *         ERROR_MEMORY
 */
bool archive_extract(const char *folder, const uint8_t sha256[SHA256_LEN], const char *into,
                     struct error *error) MUST_USE;

/** Which set was activated last. */
struct archive_active {
    bool is_known;
    uint8_t sha256[SHA256_LEN];
    int64_t time_s;
};

/**
 * Read it. Where none was activated, or where the note of it does not read, `is_known` is false.
 *
 * Errors: ERROR_IO, ERROR_MEMORY
 */
bool archive_active(const char *folder, struct archive_active *active, struct error *error)
    MUST_USE;

/** Note it, durably. Errors: ERROR_IO, ERROR_CRYPTO, ERROR_MEMORY */
bool archive_set_active(const char *folder, const struct archive_active *active,
                        struct error *error) MUST_USE;
