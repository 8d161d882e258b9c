#include "ledger/tile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define WIDTH_BITS 8

/* Numbers in groups of three digits: seven groups are enough for 64 bits. */
#define GROUPS_MAX 7

void tile_path_write(const struct tile_path *path, char out[TILE_PATH_MAX])
{
    unsigned groups[GROUPS_MAX];
    uint64_t number = path->number;
    size_t count = 0;
    int at = 0;

    do {
        groups[count++] = (unsigned)(number % 1000);
        number /= 1000;
    } while (number > 0);
    if (path->level == TILE_ENTRIES)
        at = snprintf(out, TILE_PATH_MAX, "entries");
    else
        at = snprintf(out, TILE_PATH_MAX, "%" PRIu32, path->level);
    for (size_t i = count; i > 0; i--)
        at += snprintf(out + at, TILE_PATH_MAX - (size_t)at, i > 1 ? "/x%03u" : "/%03u",
                       groups[i - 1]);
    if (path->width < TILE_WIDTH)
        (void)snprintf(out + at, TILE_PATH_MAX - (size_t)at, ".p/%u", path->width);
}

/* A decimal number up to `max`; signs, blanks and leading zeros are caught by writing it again. */
static bool parse_number(struct str text, uint64_t max, uint64_t *value)
{
    uint64_t read = 0;

    if (text.len == 0 || text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(read, (uint64_t)10, &read) ||
            __builtin_add_overflow(read, (uint64_t)(text.data[i] - '0'), &read) || read > max)
            return false;
    }
    *value = read;
    return true;
}

/* "x001/x234/067" */
static bool parse_groups(struct str text, uint64_t *number)
{
    uint64_t read = 0;

    for (bool is_last = false; !is_last;) {
        struct str group = { 0 };
        uint64_t value = 0;

        is_last = !str_cut(text, '/', &group, &text);
        if (!is_last && !str_starts_with(group, STR("x")))
            return false;
        group = is_last ? group : str_slice(group, 1, group.len);
        if (group.len != 3 || !parse_number(group, 999, &value) ||
            __builtin_mul_overflow(read, (uint64_t)1000, &read) ||
            __builtin_add_overflow(read, value, &read))
            return false;
    }
    *number = read;
    return true;
}

/* Cut ".p/W" off, if it is there. */
static bool parse_width(struct str *text, unsigned *width)
{
    uint64_t value = 0;

    *width = TILE_WIDTH;
    for (size_t i = 0; i + 3 <= text->len; i++) {
        if (!str_starts_with(str_slice(*text, i, 3), STR(".p/")))
            continue;
        if (!parse_number(str_slice(*text, i + 3, text->len), TILE_WIDTH - 1, &value) || value == 0)
            return false;
        *width = (unsigned)value;
        *text = str_slice(*text, 0, i);
        return true;
    }
    return true;
}

static bool parse_level(struct str text, uint32_t *level)
{
    uint64_t value = 0;

    if (str_eq(text, STR("entries"))) {
        *level = TILE_ENTRIES;
        return true;
    }
    if (!parse_number(text, 63, &value))
        return false;
    *level = (uint32_t)value;
    return true;
}

bool tile_path_parse(struct str text, struct tile_path *path)
{
    char written[TILE_PATH_MAX];
    struct tile_path read = { 0 };
    struct str level = { 0 };
    struct str number = { 0 };

    if (text.len >= TILE_PATH_MAX || !str_cut(text, '/', &level, &number) ||
        !parse_width(&number, &read.width) || !parse_level(level, &read.level) ||
        !parse_groups(number, &read.number))
        return false;
    tile_path_write(&read, written);
    if (!str_eq(text, str_from(written)))
        return false;
    *path = read;
    return true;
}

unsigned tile_edge_width(const struct tile_edge *edge, unsigned level)
{
    return (unsigned)(edge->size >> (WIDTH_BITS * level)) % TILE_WIDTH;
}

uint64_t tile_edge_number(const struct tile_edge *edge, unsigned level)
{
    return level + 1 >= TILE_LEVELS ? 0 : edge->size >> (WIDTH_BITS * (level + 1));
}

struct merkle_hash tile_subtree(const struct merkle_hash *hashes, unsigned level)
{
    struct merkle_hash row[TILE_WIDTH];
    size_t count = (size_t)1 << level;

    memcpy(row, hashes, count * sizeof(*row));
    for (; count > 1; count /= 2) {
        for (size_t i = 0; i < count / 2; i++)
            row[i] = merkle_node(&row[2 * i], &row[2 * i + 1]);
    }
    return row[0];
}

bool tile_edge_add(struct tile_edge *edge, const struct merkle_hash *leaf,
                   bool (*on_full)(void *context, unsigned level, uint64_t number,
                                   const struct merkle_hash hashes[TILE_WIDTH]),
                   void *context)
{
    struct merkle_hash hash = *leaf;

    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        unsigned width = tile_edge_width(edge, level);

        edge->hashes[level][width] = hash;
        if (width + 1 < TILE_WIDTH)
            break;
        if (!on_full(context, level, tile_edge_number(edge, level), edge->hashes[level]))
            return false;
        hash = tile_subtree(edge->hashes[level], WIDTH_BITS);
    }
    edge->size++;
    return true;
}

struct merkle_hash tile_edge_root(const struct tile_edge *edge)
{
    struct merkle_frontier frontier = { .size = edge->size };

    /* The complete subtrees of the size's bits, the smallest first: all of them are in the edge. */
    for (unsigned bit = 0; bit < 64; bit++) {
        struct merkle_hash *hash = &frontier.hashes[frontier.hash_count];

        if ((edge->size >> bit & 1) != 0 &&
            tile_edge_lookup(edge, bit, (edge->size >> bit) - 1, hash))
            frontier.hash_count++;
    }
    return merkle_frontier_root(&frontier);
}

bool tile_edge_lookup(const struct tile_edge *edge, unsigned level, uint64_t index,
                      struct merkle_hash *hash)
{
    unsigned tile_level = level / WIDTH_BITS;
    unsigned height = level % WIDTH_BITS;
    uint64_t first = index << height; /* its first hash, counted along the tile's level */

    if (tile_level >= TILE_LEVELS || first / TILE_WIDTH != tile_edge_number(edge, tile_level) ||
        first % TILE_WIDTH + ((uint64_t)1 << height) > tile_edge_width(edge, tile_level))
        return false;
    *hash = tile_subtree(&edge->hashes[tile_level][first % TILE_WIDTH], height);
    return true;
}

/* Read a file of at least `len` bytes; a longer one only where that is allowed. */
static bool read_hashes(int folder, const struct tile_path *path, size_t len, char *bytes,
                        struct error *error)
{
    char name[TILE_PATH_MAX];
    char more = 0;
    size_t got = 0;
    int file = -1;

    tile_path_write(path, name);
    file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0 && errno == ENOENT)
        return error_set(error, ERROR_NOT_FOUND, "tile %s: not there", name);
    if (file < 0)
        return error_set_errno(error, "tile %s: cannot open", name);
    while (got < len) {
        ssize_t count = pread(file, bytes + got, len - got, (off_t)got);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    if (got == len && (size_t)path->width * MERKLE_HASH_LEN == len &&
        pread(file, &more, 1, (off_t)len) != 0)
        got++;
    (void)close(file); /* read-only, nothing to lose */
    return got == len || error_set(error, ERROR_INVALID, "tile %s: not %zu bytes", name,
                                   (size_t)path->width * MERKLE_HASH_LEN);
}

bool tile_read(int folder, const struct tile_path *path, struct merkle_hash hashes[TILE_WIDTH],
               struct error *error)
{
    struct tile_path full = { path->level, path->number, TILE_WIDTH };
    size_t len = (size_t)path->width * MERKLE_HASH_LEN;
    struct error cause = { 0 };

    if (read_hashes(folder, path, len, (char *)hashes, &cause))
        return true;
    if (cause.code == ERROR_NOT_FOUND && path->width < TILE_WIDTH &&
        read_hashes(folder, &full, len, (char *)hashes, &(struct error){ 0 }))
        return true;
    *error = cause;
    return false;
}

bool tile_edge_read(int folder, uint64_t size, struct tile_edge *edge, struct error *error)
{
    edge->size = size;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !tile_read(folder, &path, edge->hashes[level], error))
            return false;
    }
    return true;
}
