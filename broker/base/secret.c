#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "base/error.h"

/* The only modes that a secret's file may have. */
static const mode_t good_modes[] = { 0400, 0600, 0440, 0640 };

static size_t whole_pages(size_t len)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

    return len == 0 ? page_bytes : ROUND_UP(len, page_bytes);
}

/* Neither swapped nor dumped; fails closed where the system does not grant it. */
static bool pages_lock(void *pages, size_t bytes, struct error *error)
{
    if (mlock(pages, bytes) != 0)
        return error_set(error, ERROR_MEMORY,
                         "cannot lock %zu bytes for a secret: raise the limit of locked memory",
                         bytes);
    if (madvise(pages, bytes, MADV_DONTDUMP) != 0)
        return error_set_errno(error, "cannot keep a secret out of core dumps");
    return true;
}

bool secret_init(struct secret *secret, size_t len, struct error *error)
{
    size_t bytes = whole_pages(len);
    void *pages;

    if (len > SECRET_MAX)
        return error_set(error, ERROR_LIMIT, "a secret has %zu bytes, at most %zu are allowed", len,
                         SECRET_MAX);
    pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return error_set(error, ERROR_MEMORY, "cannot map %zu bytes for a secret", bytes);
    if (!pages_lock(pages, bytes, error)) {
        (void)munmap(pages, bytes); /* nothing in them yet */
        return false;
    }
    *secret = (struct secret){ pages, len, bytes };
    return true;
}

void secret_release(struct secret *secret)
{
    if (secret->data != NULL) {
        secret_wipe(secret->data, secret->mapped_bytes);
        (void)munmap(secret->data, secret->mapped_bytes); /* wiped: nothing to lose */
    }
    *secret = (struct secret){ 0 };
}

bool secret_init_copy(struct secret *secret, struct str bytes, struct error *error)
{
    if (!secret_init(secret, bytes.len, error))
        return false;
    if (bytes.len > 0)
        memcpy(secret->data, bytes.data, bytes.len);
    return true;
}

bool secret_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.data, b.data, a.len) == 0);
}

bool secret_random(uint8_t *out, size_t len, struct error *error)
{
    if (len > SECRET_MAX)
        return error_set(error, ERROR_LIMIT, "%zu random bytes asked, at most %zu are given", len,
                         SECRET_MAX);
    if (RAND_priv_bytes(out, (int)len) != 1)
        return error_set_openssl(error, "cannot get random bytes");
    return true;
}

void secret_wipe(void *data, size_t len)
{
    explicit_bzero(data, len);
}

static void wipe_and_free(void *memory)
{
    if (memory != NULL)
        secret_wipe(memory, malloc_usable_size(memory));
    free(memory);
}

bool secret_harden_process(struct error *error)
{
    const struct rlimit none = { 0, 0 };

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_set_errno(error, "cannot switch core dumps off");
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_set_errno(error, "cannot make the process undumpable");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_set_errno(error, "cannot give up gaining privileges");
    json_set_alloc_funcs(malloc, wipe_and_free);
    return true;
}

static bool is_good_mode(const struct stat *status)
{
    bool is_good = false;

    for (size_t i = 0; i < COUNT(good_modes); i++)
        is_good = is_good || (status->st_mode & 07777) == good_modes[i];
    if ((status->st_mode & S_IRGRP) == 0)
        return is_good;
    return is_good && (status->st_gid == getegid() || status->st_gid == 0);
}

static bool check_secret_file(const char *path, const struct stat *status, size_t max_bytes,
                              struct error *error)
{
    if (!S_ISREG(status->st_mode))
        return error_set(error, ERROR_IO, "%s: expected a regular file", path);
    if (!is_good_mode(status))
        return error_set(error, ERROR_CONFIG, "%s (mode %04o): chmod 0600 %s",
                         (status->st_mode & 077) != 0 ? "others may use it"
                                                      : "its owner is to read it and no more",
                         (unsigned)status->st_mode & 07777, path);
    if (status->st_size < 0 || (size_t)status->st_size > max_bytes)
        return error_set(error, ERROR_LIMIT, "%s: larger than %zu bytes", path, max_bytes);
    return true;
}

/* Fill `secret` from a file of exactly its length. */
static bool read_exactly(int file, const char *path, struct secret *secret, struct error *error)
{
    uint8_t beyond;
    size_t at = 0;

    while (at < secret->len) {
        ssize_t got = read(file, secret->data + at, secret->len - at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, "%s: cannot read", path);
        if (got == 0)
            return error_set(error, ERROR_IO, "%s: became shorter while it was read", path);
        at += (size_t)got;
    }
    if (read(file, &beyond, 1) != 0)
        return error_set(error, ERROR_IO, "%s: became longer while it was read", path);
    return true;
}

static bool read_descriptor(int file, const char *path, size_t max_bytes, struct secret *secret,
                            struct error *error)
{
    OWNED(secret_release) struct secret content = { 0 };
    struct stat status;

    if (fstat(file, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", path);
    if (!check_secret_file(path, &status, max_bytes, error))
        return false;
    if (!secret_init(&content, (size_t)status.st_size, error))
        return false;
    if (!read_exactly(file, path, &content, error))
        return false;
    *secret = content;
    content = (struct secret){ 0 };
    return true;
}

bool secret_read_file(struct secret *secret, const char *path, size_t max_bytes,
                      struct error *error)
{
    /* O_NONBLOCK: a FIFO in its place must not hold us */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_read;

    if (file < 0)
        return error_set_errno(error, "%s: cannot open", path);
    is_read = read_descriptor(file, path, max_bytes, secret, error);
    (void)close(file); /* read-only, nothing to lose */
    return is_read;
}
