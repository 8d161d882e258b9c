#include "clients/binding.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/error.h"

#define NAME_MAX_BYTES 40
#define HASH_PREFIX STR("sha256-")

static bool is_name(struct str name)
{
    return name.len >= 1 && name.len <= NAME_MAX_BYTES &&
           str_is_made_of(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
}

static bool is_hash(struct str value)
{
    struct str hex = str_slice(value, HASH_PREFIX.len, value.len);

    return str_starts_with(value, HASH_PREFIX) && hex.len == (size_t)2 * SHA256_LEN &&
           str_is_made_of(hex, "0123456789abcdef");
}

/* Plans may be large: the file is mapped, not read. */
static bool hash_open(int file, const char *path, uint8_t digest[SHA256_LEN], struct error *error)
{
    struct stat status;
    void *content;

    if (fstat(file, &status) != 0)
        return error_set_errno(error, "%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_USAGE, "--binding: %s is no regular file", path);
    if (status.st_size == 0) {
        sha256(STR(""), digest);
        return true;
    }
    content = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (content == MAP_FAILED)
        return error_set_errno(error, "%s", path);
    sha256((struct str){ content, (size_t)status.st_size }, digest);
    (void)munmap(content, (size_t)status.st_size);
    return true;
}

static bool hash_file(const char *path, uint8_t digest[SHA256_LEN], struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_hashed;

    if (file < 0)
        return error_set_errno(error, "%s", path);
    is_hashed = hash_open(file, path, digest, error);
    (void)close(file);
    return is_hashed;
}

bool binding_write(const char *text, struct buf *out, struct error *error)
{
    uint8_t digest[SHA256_LEN];
    struct str name;
    struct str value;

    if (str_cut(str_from(text), ':', &name, &value) && is_name(name) && is_hash(value)) {
        buf_add_text(out, text);
        return true;
    }
    if (!str_cut(str_from(text), '=', &name, &value) || !is_name(name) || value.len == 0)
        return error_set(error, ERROR_USAGE,
                         "--binding is NAME=FILE, or NAME:sha256-HEX; a name has 1 to 40 of a-z, "
                         "0-9 and '-'");
    if (!hash_file(value.data, digest, error)) /* the end of `text`, so it ends in a NUL */
        return false;
    buf_add(out, name);
    buf_add_byte(out, ':');
    buf_add(out, HASH_PREFIX);
    buf_add_hex(out, (struct str){ (const char *)digest, SHA256_LEN });
    return true;
}
