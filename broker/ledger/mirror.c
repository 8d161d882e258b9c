#include "ledger/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "ledger/bundle.h"
#include "ledger/entry.h"
#include "ledger/entry_order.h"
#include "ledger/tile.h"
#include "ledger/tile_writer.h"
#include "store/store.h"

#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

struct mirror {
    const struct mirror_options *options;
    struct mirror_report *report;
    struct arena *arena;
    struct error *error;
    bool has_entries; /* asked for, or there are some in the folder */

    int folder; /* -1: nothing is written */
    int tiles;  /* its "tile" */
    struct tile_writer writer;

    struct str own_note; /* of the mirror as it is; empty: there is none */
    struct checkpoint own;
    struct str note; /* the log's */
    struct checkpoint checkpoint;

    struct tile_edge *edge;
    struct merkle_hash leaves[TILE_WIDTH]; /* of the tile at hand */
    struct entry_order order;
    struct against against;
};

static bool refuse(struct mirror *mirror, uint64_t index, const char *what)
{
    mirror->report->bad_index = index;
    return error_set(mirror->error, ERROR_INVALID, "%s (near entry %" PRIu64 ")", what, index);
}

/* ---- the folder ---- */

static bool open_folder(struct mirror *mirror)
{
    const char *name = mirror->options->folder;
    const char *tiles = file_join(mirror->arena, name, "tile");

    if (tiles == NULL)
        return error_set(mirror->error, ERROR_MEMORY, "no memory for a mirror");
    if (!file_make_folder(name, 0755, mirror->error) ||
        !file_make_folder(tiles, 0755, mirror->error))
        return false;
    mirror->folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mirror->tiles = open(tiles, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (mirror->folder < 0 || mirror->tiles < 0)
        return error_set_errno(mirror->error, "%s: cannot open", name);
    if (flock(mirror->folder, LOCK_EX | LOCK_NB) != 0)
        return error_set(mirror->error, ERROR_BUSY, "%s: another one is at work in it", name);
    mirror->writer = (struct tile_writer){ .root = mirror->tiles, .is_public = true };
    mirror->has_entries = mirror->has_entries || faccessat(mirror->tiles, "entries", F_OK, 0) == 0;
    return true;
}

static const char *path_of(const struct mirror *mirror, const char *name)
{
    return file_join(mirror->arena, mirror->options->folder, name);
}

static bool read_own_note(struct mirror *mirror)
{
    const char *path = path_of(mirror, "checkpoint");
    struct note_trust trust = *mirror->options->trust;

    if (path == NULL)
        return error_set(mirror->error, ERROR_MEMORY, "no memory for a mirror");
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    trust.quorum = 0; /* it was asked for when it came */
    if (file_read(mirror->arena, path, NOTE_BYTES_MAX, &mirror->own_note, mirror->error) &&
        checkpoint_check(mirror->own_note, &trust, &mirror->own, NULL, mirror->error)) {
        mirror->report->old_size = mirror->own.size;
        return true;
    }
    return error_wrap(mirror->error, "%s, the mirror's own", path);
}

/* The right edge of what the mirror has; where that is damaged all of it is asked for again. */
static void read_own_edge(struct mirror *mirror)
{
    struct error ignored = { 0 };
    struct merkle_hash root;

    if (mirror->own.size == 0)
        return;
    if (tile_edge_read(mirror->tiles, mirror->own.size, mirror->edge, &ignored)) {
        root = tile_edge_root(mirror->edge);
        if (merkle_hash_eq(&root, &mirror->own.root))
            return;
    }
    memset(mirror->edge, 0, sizeof(*mirror->edge));
}

/* ---- evidence ---- */

static bool keep_note(struct mirror *mirror, const char *folder,
                      const struct checkpoint *checkpoint, struct str note, struct error *error)
{
    const struct str path =
        arena_printf(mirror->arena, "%s/%" PRIu64 "-%02x%02x%02x%02x.note", folder,
                     checkpoint->size, checkpoint->root.bytes[0], checkpoint->root.bytes[1],
                     checkpoint->root.bytes[2], checkpoint->root.bytes[3]);

    return path.data != NULL ? file_replace(path.data, note, 0644, error)
                             : error_set(error, ERROR_MEMORY, "no memory");
}

/* Two notes of one log that cannot both be true: whoever signed them is held to both. */
static bool refuse_fork(struct mirror *mirror, const char *what)
{
    const char *folder = path_of(mirror, "evidence");
    struct error why = { 0 };

    mirror->report->is_fork = true;
    mirror->report->bad_index = mirror->own.size;
    if (folder != NULL && file_make_folder(folder, 0755, &why) &&
        keep_note(mirror, folder, &mirror->own, mirror->own_note, &why) &&
        keep_note(mirror, folder, &mirror->checkpoint, mirror->note, &why))
        return error_set(mirror->error, ERROR_INVALID, "FORK: %s; both notes are in %s", what,
                         folder);
    return error_set(mirror->error, ERROR_INVALID, "FORK: %s; and the notes cannot be kept: %s",
                     what, why.cause);
}

/* ---- reading the log ---- */

static bool read_file(struct mirror *mirror, const struct tile_path *path, size_t max,
                      struct str *bytes, struct error *error)
{
    char name[sizeof("tile/") + TILE_PATH_MAX] = "tile/";

    tile_path_write(path, name + sizeof("tile/") - 1);
    return mirror->options->from.read(mirror->options->from.context, name, max, bytes, error);
}

/* A full one may have taken a partial one's place: it begins with the same. */
static bool read_tile_file(struct mirror *mirror, const struct tile_path *path, size_t max,
                           struct str *bytes)
{
    const struct tile_path full = { path->level, path->number, TILE_WIDTH };
    struct error why = { 0 };

    if (read_file(mirror, path, max, bytes, &why))
        return true;
    if (why.code == ERROR_NOT_FOUND && path->width < TILE_WIDTH &&
        read_file(mirror, &full, max, bytes, &(struct error){ 0 }))
        return true;
    *mirror->error = why;
    return false;
}

static bool read_hashes(struct mirror *mirror, const struct tile_path *path,
                        struct merkle_hash hashes[TILE_WIDTH])
{
    size_t len = (size_t)path->width * MERKLE_HASH_LEN;
    struct str bytes;

    if (!read_tile_file(mirror, path, TILE_LEN, &bytes))
        return false;
    if (bytes.len != len && (path->width == TILE_WIDTH || bytes.len != TILE_LEN))
        return refuse(mirror, path->number * TILE_WIDTH, "a tile is not as long as it must be");
    memcpy(hashes, bytes.data, len);
    return true;
}

static bool read_note(struct mirror *mirror)
{
    const struct log_reader *from = &mirror->options->from;
    struct str bytes;

    if (!from->read(from->context, "checkpoint", NOTE_BYTES_MAX, &bytes, mirror->error))
        return false;
    mirror->note = arena_copy(mirror->arena, bytes);
    if (mirror->note.data == NULL)
        return error_set(mirror->error, ERROR_MEMORY, "no memory for a mirror");
    if (checkpoint_check(mirror->note, mirror->options->trust, &mirror->checkpoint,
                         &mirror->report->cosigned, mirror->error))
        return true;
    mirror->error->code = ERROR_INVALID; /* whatever is wrong with it: it does not verify */
    return error_wrap(mirror->error, "the log's checkpoint");
}

/* ---- entries ---- */

static bool check_entry(struct mirror *mirror, struct str entry, uint64_t index,
                        const struct merkle_hash *expected)
{
    struct merkle_hash leaf = entry_leaf(entry);
    struct error why = { 0 };

    if (!merkle_hash_eq(&leaf, expected))
        return refuse(mirror, index, "an entry is not the one in the tree");
    return mirror->folder >= 0 || entry_order_check(&mirror->order, entry, &why) ||
           refuse(mirror, index, why.cause);
}

/* A bundle, each entry against its leaf; kept where there is a folder. */
static bool take_bundle(struct mirror *mirror, uint64_t number, unsigned width,
                        const struct merkle_hash *leaves)
{
    const struct tile_path path = { TILE_ENTRIES, number, width };
    struct str bytes;
    struct str rest;

    if (!read_tile_file(mirror, &path, BUNDLE_MAX, &bytes))
        return false;
    rest = bytes;
    for (unsigned i = 0; i < width; i++) {
        struct str entry;

        if (!bundle_cut(&rest, &entry))
            return refuse(mirror, number * TILE_WIDTH + i, "a bundle ends before its entries");
        if (!check_entry(mirror, entry, number * TILE_WIDTH + i, &leaves[i]))
            return false;
    }
    if (width == TILE_WIDTH && rest.len > 0)
        return refuse(mirror, number * TILE_WIDTH, "a bundle has more than its entries");
    bytes.len -= rest.len;
    return mirror->folder < 0 || tile_writer_put(&mirror->writer, &path, bytes, mirror->error);
}

static bool has_bundle(const struct mirror *mirror, uint64_t number, unsigned width)
{
    const struct tile_path path = { TILE_ENTRIES, number, width };

    return tile_writer_has(&mirror->writer, &path);
}

/* Bundles of what the mirror has already, where it was made without them. */
static bool take_older_bundles(struct mirror *mirror, uint64_t count)
{
    for (uint64_t number = 0; number < count; number++) {
        const struct tile_path path = { 0, number, TILE_WIDTH };

        if (has_bundle(mirror, number, TILE_WIDTH))
            continue;
        if (!tile_read(mirror->tiles, &path, mirror->leaves, mirror->error) ||
            !take_bundle(mirror, number, TILE_WIDTH, mirror->leaves))
            return false;
    }
    return true;
}

/* The one that the tree ends in, where nothing is new but the wish for it. */
static bool take_last_bundle(struct mirror *mirror)
{
    uint64_t number = tile_edge_number(mirror->edge, 0);
    unsigned width = tile_edge_width(mirror->edge, 0);

    return width == 0 || has_bundle(mirror, number, width) ||
           take_bundle(mirror, number, width, mirror->edge->hashes[0]);
}

/* ---- the tree ---- */

static bool put_hashes(struct mirror *mirror, const struct tile_path *path,
                       const struct merkle_hash *hashes)
{
    struct str content = { (const char *)hashes, (size_t)path->width * MERKLE_HASH_LEN };

    return tile_writer_put(&mirror->writer, path, content, mirror->error);
}

/* What the hashes below come to, against the log's own file: where nothing is written. */
static bool compare_hashes(struct mirror *mirror, const struct tile_path *path,
                           const struct merkle_hash *expected)
{
    struct merkle_hash hashes[TILE_WIDTH];

    if (!read_hashes(mirror, path, hashes))
        return false;
    return memcmp(hashes, expected, (size_t)path->width * MERKLE_HASH_LEN) == 0 ||
           refuse(mirror, mirror->edge->size, "a tile does not hold what those below it give");
}

static bool take_full_tile(void *context, unsigned level, uint64_t number,
                           const struct merkle_hash hashes[TILE_WIDTH])
{
    struct mirror *mirror = context;
    const struct tile_path path = { level, number, TILE_WIDTH };

    if (mirror->folder >= 0)
        return put_hashes(mirror, &path, hashes);
    return level == 0 || compare_hashes(mirror, &path, hashes);
}

/* Where the mirror was damaged: the tree that it had must be on the way. */
static bool check_own_root(struct mirror *mirror)
{
    struct merkle_hash root;

    if (mirror->own.size == 0 || mirror->edge->size != mirror->own.size)
        return true;
    root = tile_edge_root(mirror->edge);
    return merkle_hash_eq(&root, &mirror->own.root) ||
           refuse_fork(mirror, "the log is not the one that this mirror has");
}

/* One tile of leaves, from where the edge ends: what it begins with is known. */
static bool take_leaves(struct mirror *mirror)
{
    struct tile_edge *edge = mirror->edge;
    uint64_t number = edge->size / TILE_WIDTH;
    uint64_t left = mirror->checkpoint.size - number * TILE_WIDTH;
    const struct tile_path path = { 0, number, left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH };
    unsigned known = tile_edge_width(edge, 0);

    if (!read_hashes(mirror, &path, mirror->leaves))
        return false;
    if (memcmp(mirror->leaves, edge->hashes[0], (size_t)known * MERKLE_HASH_LEN) != 0)
        return refuse_fork(mirror, "the log has other entries where this mirror ends");
    if (mirror->has_entries && !take_bundle(mirror, number, path.width, mirror->leaves))
        return false;
    for (unsigned i = known; i < path.width; i++) {
        mirror->report->bad_index = edge->size;
        if (!against_leaf(&mirror->against, edge->size, &mirror->leaves[i], mirror->error) ||
            !tile_edge_add(edge, &mirror->leaves[i], take_full_tile, mirror) ||
            !check_own_root(mirror) || !against_edge(&mirror->against, edge, mirror->error))
            return false;
    }
    return true;
}

static bool take_partial_tiles(struct mirror *mirror)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(mirror->edge, level),
                                        tile_edge_width(mirror->edge, level) };
        const struct merkle_hash *hashes = mirror->edge->hashes[level];

        if (path.width == 0)
            continue;
        if (mirror->folder >= 0 ? !put_hashes(mirror, &path, hashes)
                                : level > 0 && !compare_hashes(mirror, &path, hashes))
            return false;
    }
    return true;
}

/* ---- is it another log, or are its tiles damaged? ---- */

struct own_tiles {
    struct mirror *mirror;
    struct tile_edge *edge; /* by the log's own tiles */
};

static bool look_up(void *context, unsigned level, uint64_t index, struct merkle_hash *hash)
{
    struct own_tiles *log = context;
    struct merkle_hash hashes[TILE_WIDTH];
    uint64_t first = index << level % 8; /* along the tile's level */
    const struct tile_path path = { level / 8, first / TILE_WIDTH, TILE_WIDTH };

    if (tile_edge_lookup(log->edge, level, index, hash))
        return true;
    if (!read_hashes(log->mirror, &path, hashes))
        return false;
    *hash = tile_subtree(&hashes[first % TILE_WIDTH], level % 8);
    return true;
}

static bool read_edge(struct mirror *mirror, struct tile_edge *edge)
{
    edge->size = mirror->checkpoint.size;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !read_hashes(mirror, &path, edge->hashes[level]))
            return false;
    }
    return true;
}

/* Whether the log itself can show that it goes on from what the mirror has. */
static bool proves_growth(struct mirror *mirror)
{
    struct tile_edge *edge = calloc(1, sizeof(*edge));
    struct own_tiles log = { mirror, edge };
    struct merkle_hash proof[MERKLE_PROOF_MAX];
    size_t count = 0;
    bool does_prove =
        edge != NULL && read_edge(mirror, edge) &&
        merkle_prove_consistency(look_up, &log, mirror->own.size, mirror->checkpoint.size, proof,
                                 &count) &&
        merkle_check_consistency(mirror->own.size, mirror->checkpoint.size, &mirror->own.root,
                                 &mirror->checkpoint.root, proof, count);

    free(edge);
    *mirror->error = (struct error){ 0 };
    return does_prove;
}

static bool check_root(struct mirror *mirror)
{
    struct merkle_hash root = tile_edge_root(mirror->edge);

    if (merkle_hash_eq(&root, &mirror->checkpoint.root))
        return true;
    if (mirror->own.size > 0 && !proves_growth(mirror))
        return refuse_fork(mirror, "the log does not go on from what this mirror has");
    return refuse(mirror, mirror->edge->size, "the tiles do not have the signed root");
}

/* ---- all of it ---- */

static bool take_tree(struct mirror *mirror)
{
    const struct mirror_options *options = mirror->options;

    if (mirror->checkpoint.size < mirror->own.size)
        return refuse_fork(mirror, "the log has fewer entries than this mirror");
    read_own_edge(mirror);
    if (mirror->folder >= 0 && mirror->has_entries &&
        !take_older_bundles(mirror, mirror->edge->size / TILE_WIDTH))
        return false;
    while (mirror->edge->size < mirror->checkpoint.size) {
        if (!take_leaves(mirror))
            return false;
        if (options->progress != NULL)
            options->progress(mirror->edge->size, mirror->checkpoint.size, options->context);
    }
    return check_root(mirror) && take_partial_tiles(mirror) &&
           (mirror->folder < 0 || !mirror->has_entries || take_last_bundle(mirror));
}

/* Partial tiles and bundles whose full one is there now. */
static void remove_replaced(const struct mirror *mirror)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        struct tile_path path = { level, mirror->own.size >> 8 * level >> 8, TILE_WIDTH };

        if (level + 1 >= TILE_LEVELS || path.number == tile_edge_number(mirror->edge, level))
            continue;
        tile_writer_remove_partial(&mirror->writer, &path);
        path.level = TILE_ENTRIES;
        if (level == 0)
            tile_writer_remove_partial(&mirror->writer, &path);
    }
}

/* The checkpoint last; of one size the newest, whatever cosignatures that has beyond the quorum. */
static bool put_checkpoint(struct mirror *mirror)
{
    const char *path = path_of(mirror, "checkpoint");

    if (path == NULL)
        return error_set(mirror->error, ERROR_MEMORY, "no memory for a mirror");
    if (!tile_writer_sync(&mirror->writer, mirror->error))
        return false;
    if (!str_eq(mirror->note, mirror->own_note) &&
        !file_replace(path, mirror->note, 0644, mirror->error))
        return false;
    if (mirror->own.size > 0)
        remove_replaced(mirror);
    return true;
}

static bool update(struct mirror *mirror)
{
    if (mirror->arena == NULL || mirror->edge == NULL)
        return error_set(mirror->error, ERROR_MEMORY, "no memory for a mirror");
    if (mirror->options->folder != NULL && (!open_folder(mirror) || !read_own_note(mirror)))
        return false;
    if (!against_read(&mirror->against, mirror->options->trust, mirror->arena, mirror->error) ||
        !read_note(mirror) || !take_tree(mirror) ||
        !against_end(&mirror->against, mirror->checkpoint.size, mirror->error))
        return false;
    mirror->report->size = mirror->checkpoint.size;
    mirror->report->root = mirror->checkpoint.root;
    return mirror->folder < 0 || put_checkpoint(mirror);
}

bool mirror_update(const struct mirror_options *options, struct mirror_report *report,
                   struct error *error)
{
    struct mirror mirror = {
        .options = options,
        .report = report,
        .arena = arena_new(ARENA_BYTES),
        .error = error,
        .has_entries = options->has_entries,
        .against = options->against,
        .folder = -1,
        .tiles = -1,
        .edge = calloc(1, sizeof(*mirror.edge)),
    };
    bool is_updated = false;

    *report = (struct mirror_report){ 0 };
    is_updated = update(&mirror);
    tile_writer_release(&mirror.writer);
    if (mirror.tiles >= 0)
        (void)close(mirror.tiles); /* read-only, nothing to lose */
    if (mirror.folder >= 0)
        (void)close(mirror.folder); /* and the lock with it */
    free(mirror.edge);
    arena_free(mirror.arena);
    return is_updated;
}
