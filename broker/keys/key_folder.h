#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/secret.h"
#include "base/str.h"

struct error;
struct pkcs11;

/** A key's file at most: an RSA key of 4096 bits takes 3.3 KiB of PEM. */
#define KEY_FILE_MAX ((size_t)16 * 1024)
/** A file's name in the folder at most, with its NUL. */
#define KEY_FILE_NAME_MAX 64
/** Files that start alike at most, such as one algorithm's issuer keys. */
#define KEY_FILES_MAX 64

/**
 * The folder with our keys. Several brokers may share it: who makes or removes a key holds its
 * lock. With a token keys are there instead (key_make() and what follows in key.h), and what is
 * beside them, such as certificates, is here.
 *
 * Threads: shared
 */
struct key_folder {
    char *path;
    struct pkcs11 *token;    /* NULL: there is none */
    const struct str *files; /* keys that are here although there is a token */
    size_t file_count;
};

/**
 * Make the folder where it is missing, else check that nobody but its owner can change it and no
 * others can look into it; remove what a crash has left of half-written files.
 *
 * Errors: ERROR_CONFIG (mode), ERROR_IO, ERROR_MEMORY
 */
bool key_folder_open(struct key_folder *folder, const char *path, struct error *error) MUST_USE;
void key_folder_release(struct key_folder *folder);

/** Wait for the lock among processes and threads; `*lock` is a descriptor. */
bool key_folder_lock(const struct key_folder *folder, int *lock, struct error *error) MUST_USE;

/** Give the lock back, where it is held: a negative `lock` is fine. */
void key_folder_unlock(int lock);

/** key_folder_unlock() at the end of a scope. */
static inline void key_folder_unlock_owned(int *lock)
{
    key_folder_unlock(*lock);
}

/** Read a file that must be ours alone; `*is_there` is false where there is none. */
bool key_folder_read(const struct key_folder *folder, const char *name, struct secret *content,
                     bool *is_there, struct error *error) MUST_USE;

/** Write a file, whole and durable or not at all. For keys: hold the lock, see that there is none.
 */
bool key_folder_write(const struct key_folder *folder, const char *name, struct str content,
                      unsigned mode, struct error *error) MUST_USE;

/** Whether there is something of that name. */
bool key_folder_has(const struct key_folder *folder, const char *name);

/** Remove a file. Hold the lock. */
bool key_folder_remove(const struct key_folder *folder, const char *name, struct error *error)
    MUST_USE;

/**
 * The numbers N of the files `<prefix>N.key`, ascending.
 *
 * Errors: ERROR_LIMIT (more than KEY_FILES_MAX), ERROR_IO
 */
bool key_folder_list(const struct key_folder *folder, struct str prefix,
                     int64_t numbers[KEY_FILES_MAX], size_t *count, struct error *error) MUST_USE;
