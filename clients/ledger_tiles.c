/*
 * A ledger as tiles and entry bundles, of a folder or over HTTP. Nothing that is given out was not
 * held against the checkpoint: a bundle's entries against the tile of their leaves, that tile
 * against the one above it, and the uppermost, which are the tree's right edge, against the root.
 * So any entry costs a few small files, and a walk each of them once.
 *
 * Source: C2SP tlog-tiles
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "clients/ledger_source_internal.h"
#include "clients/log_files.h"
#include "ledger/bundle.h"
#include "ledger/entry.h"
#include "ledger/tile.h"
#include "store/store.h"

#define ANSWER_MAX ((size_t)128 * 1024) /* one entry with its private part, as JSON */
#define MOVED_TRIES_MAX                                                                            \
    4 /* of a checkpoint whose partial tiles are gone by the time they are read */

static const struct json_limits answer_limits = { ANSWER_MAX, 32, 8192 };

struct full_tile {
    bool is_there;
    uint64_t number;
    struct merkle_hash hashes[TILE_WIDTH];
};

struct tiles {
    struct ledger_source *source;
    struct log_files files;

    struct tile_edge edge;              /* of the checkpoint's size */
    struct full_tile full[TILE_LEVELS]; /* of each level the one that was held last */

    struct buf bundle; /* a bundle's bytes, as they were read */
    bool has_bundle;
    uint64_t bundle_number;
    size_t ends[TILE_WIDTH + 1]; /* of its entries */
    struct buf private_part;
};

static bool refuse(const struct tiles *tiles, const char *name, const char *what,
                   struct error *error)
{
    return error_set(error, ERROR_INVALID, "%s: %s %s", tiles->source->facts.name, name, what);
}

/* A full one may have taken a partial one's place: what is in both is the same. */
static bool read_tile_file(struct tiles *tiles, struct tile_path path, size_t max,
                           struct error *error)
{
    char name[sizeof("tile/") + TILE_PATH_MAX] = "tile/";
    struct error why = { 0 };

    tile_path_write(&path, name + sizeof("tile/") - 1);
    if (log_files_read(&tiles->files, name, max, &why))
        return true;
    if (why.code == ERROR_NOT_FOUND && path.width < TILE_WIDTH) {
        path.width = TILE_WIDTH;
        tile_path_write(&path, name + sizeof("tile/") - 1);
        if (log_files_read(&tiles->files, name, max, &(struct error){ 0 }))
            return true;
    }
    *error = why;
    return false;
}

/* ---- tiles ---- */

static bool read_hashes(struct tiles *tiles, const struct tile_path *path,
                        struct merkle_hash hashes[TILE_WIDTH], struct error *error)
{
    size_t len = (size_t)path->width * MERKLE_HASH_LEN;

    if (!read_tile_file(tiles, *path, TILE_LEN, error))
        return false;
    if (tiles->files.file.len != len &&
        (path->width == TILE_WIDTH || tiles->files.file.len != TILE_LEN))
        return refuse(tiles, "a tile", "is not as long as it must be", error);
    memcpy(hashes, tiles->files.file.data, len);
    return true;
}

static bool load_edge(struct tiles *tiles, const struct checkpoint *checkpoint,
                      struct tile_edge *edge, struct error *error)
{
    struct merkle_hash root;

    *edge = (struct tile_edge){ .size = checkpoint->size };
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !read_hashes(tiles, &path, edge->hashes[level], error))
            return false;
    }
    root = tile_edge_root(edge);
    return merkle_hash_eq(&root, &checkpoint->root) ||
           refuse(tiles, "the tiles", "do not have the checkpoint's root", error);
}

static bool find_full(struct tiles *tiles, unsigned level, uint64_t number,
                      const struct merkle_hash **hashes, struct error *error);

/* The hash that a full tile must come to: it stands in the edge, or in a full tile above. */
static bool find_parent(struct tiles *tiles, unsigned level, uint64_t number,
                        struct merkle_hash *hash, struct error *error)
{
    const struct merkle_hash *row;
    size_t position = number % TILE_WIDTH;

    if (level >= TILE_LEVELS)
        return refuse(tiles, "a tile", "is above the tree", error);
    if (number / TILE_WIDTH == tile_edge_number(&tiles->edge, level)) {
        if (position >= tile_edge_width(&tiles->edge, level))
            return refuse(tiles, "a tile", "is behind the tree's end", error);
        *hash = tiles->edge.hashes[level][position];
        return true;
    }
    if (!find_full(tiles, level, number / TILE_WIDTH, &row, error))
        return false;
    *hash = row[position];
    return true;
}

/* A full tile, held against what is above it. The depth is that of the tree's tiles. */
static bool find_full(struct tiles *tiles, unsigned level, uint64_t number,
                      const struct merkle_hash **hashes, struct error *error)
{
    struct full_tile *tile = &tiles->full[level];
    const struct tile_path path = { level, number, TILE_WIDTH };
    struct merkle_hash expected;
    struct merkle_hash got;

    *hashes = tile->hashes;
    if (tile->is_there && tile->number == number)
        return true;
    tile->is_there = false;
    if (!find_parent(tiles, level + 1, number, &expected, error) ||
        !read_hashes(tiles, &path, tile->hashes, error))
        return false;
    got = tile_subtree(tile->hashes, 8);
    if (!merkle_hash_eq(&got, &expected))
        return refuse(tiles, "a tile", "does not have the hash that the tree has for it", error);
    tile->is_there = true;
    tile->number = number;
    return true;
}

/* ---- checkpoints ---- */

/* A search for hashes of the tree, and why one was not found. */
struct lookup {
    struct tiles *tiles;
    struct error error;
};

static bool look_up(void *context, unsigned level, uint64_t index, struct merkle_hash *hash)
{
    struct lookup *lookup = context;
    const struct merkle_hash *row;
    unsigned tile_level = level / 8;
    uint64_t first = index << level % 8;

    if (tile_edge_lookup(&lookup->tiles->edge, level, index, hash))
        return true;
    if (tile_level >= TILE_LEVELS ||
        !find_full(lookup->tiles, tile_level, first / TILE_WIDTH, &row, &lookup->error))
        return false;
    *hash = tile_subtree(&row[first % TILE_WIDTH], level % 8);
    return true;
}

/* What was there before is a beginning of what is there now. */
static bool check_grown(struct tiles *tiles, const struct checkpoint *before,
                        const struct checkpoint *now, struct error *error)
{
    struct lookup lookup = { .tiles = tiles };
    struct merkle_hash proof[MERKLE_PROOF_MAX];
    size_t count;

    if (before->size == 0)
        return true;
    if (!merkle_prove_consistency(look_up, &lookup, before->size, now->size, proof, &count)) {
        *error = lookup.error;
        return error->code == ERROR_NONE
                   ? refuse(tiles, "the tree", "cannot be compared with what it was", error)
                   : false;
    }
    return merkle_check_consistency(before->size, now->size, &before->root, &now->root, proof,
                                    count) ||
           refuse(tiles, "the log", "was changed: it does not go on from what it was before",
                  error);
}

static void put_edge(struct tiles *tiles, const struct tile_edge *edge)
{
    tiles->edge = *edge;
    memset(tiles->full, 0, sizeof(tiles->full)); /* they were held against the old edge */
    tiles->has_bundle = false;
}

static bool take_checkpoint(struct tiles *tiles, struct str note,
                            const struct checkpoint *checkpoint, struct error *error)
{
    const struct ledger_facts *facts = &tiles->source->facts;
    const struct checkpoint before = { .size = facts->signed_size, .root = facts->root };
    struct tile_edge *edges = calloc(2, sizeof(*edges)); /* the new one, the old one */
    bool is_good = edges != NULL || error_set(error, ERROR_MEMORY, "no memory for tiles");

    is_good = is_good && load_edge(tiles, checkpoint, &edges[0], error);
    if (is_good) {
        edges[1] = tiles->edge;
        put_edge(tiles, &edges[0]);
        is_good = check_grown(tiles, &before, checkpoint, error) &&
                  ledger_source_put_note(tiles->source, note, checkpoint, error);
        if (!is_good)
            put_edge(tiles, &edges[1]); /* nothing is held against what may be another log */
    }
    free(edges);
    if (!is_good)
        return false;
    tiles->source->facts.is_proven = true;
    tiles->source->size = checkpoint->size;
    return true;
}

/* One look at the checkpoint. */
static bool look(struct tiles *tiles, struct error *error)
{
    OWNED(buf_release) struct buf note = { 0 };
    const struct ledger_facts *facts = &tiles->source->facts;
    struct checkpoint checkpoint;

    /* By its name: a mirror may be made anew beside the old one, and put into its place. */
    if (facts->kind == LEDGER_MIRROR && !log_files_enter(&tiles->files, error))
        return false;
    if (!log_files_read(&tiles->files, "checkpoint", LEDGER_NOTE_MAX, error))
        return false;
    buf_init(&note, LEDGER_NOTE_MAX);
    buf_add(&note, buf_str(&tiles->files.file));
    if (!buf_is_ok(&note))
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    if (!ledger_source_read_note(tiles->source, buf_str(&note), &checkpoint, error))
        return false;
    if (facts->note.len > 0 && !str_eq(facts->origin, checkpoint.origin))
        return refuse(tiles, "the checkpoint", "is of another log than before", error);
    if (checkpoint.size < facts->signed_size)
        return refuse(tiles, "the checkpoint", "is of fewer entries than before", error);
    if (facts->note.len > 0 && checkpoint.size == facts->signed_size)
        return merkle_hash_eq(&checkpoint.root, &facts->root) ||
               refuse(tiles, "the log", "was changed: its checkpoint has another root", error);
    return take_checkpoint(tiles, buf_str(&note), &checkpoint, error);
}

/* A live log moves on: partial tiles can be gone by the time that they are read. */
static bool refresh(struct ledger_source *source, struct error *error)
{
    for (int i = 1;; i++) {
        struct error why = { 0 };

        if (look(source->reader, &why))
            return true;
        if (why.code != ERROR_NOT_FOUND || i == MOVED_TRIES_MAX) {
            *error = why;
            return false;
        }
    }
}

/* ---- bundles ---- */

/* Where each entry ends; a full bundle in a partial one's place has more of them. */
static bool split_bundle(struct tiles *tiles, unsigned width, struct error *error)
{
    struct str rest = buf_str(&tiles->bundle);

    tiles->ends[0] = 0;
    for (unsigned i = 0; i < width; i++) {
        struct str entry;

        if (!bundle_cut(&rest, &entry))
            return refuse(tiles, "a bundle", "ends in the middle of an entry", error);
        tiles->ends[i + 1] = tiles->bundle.len - rest.len;
    }
    return true;
}

static struct str entry_in_bundle(const struct tiles *tiles, size_t position)
{
    size_t start = tiles->ends[position] + BUNDLE_HEAD_LEN;

    return (struct str){ tiles->bundle.data + start, tiles->ends[position + 1] - start };
}

static bool check_leaves(struct tiles *tiles, uint64_t number, unsigned width, struct error *error)
{
    const struct merkle_hash *row = tiles->edge.hashes[0];

    if (width == TILE_WIDTH && !find_full(tiles, 0, number, &row, error))
        return false;
    for (unsigned i = 0; i < width; i++) {
        struct merkle_hash leaf = entry_leaf(entry_in_bundle(tiles, i));

        if (!merkle_hash_eq(&leaf, &row[i]))
            return error_set(error, ERROR_INVALID,
                             "%s: entry %" PRIu64 " is not the one that the tree has",
                             tiles->source->facts.name, number * TILE_WIDTH + i);
    }
    return true;
}

static bool read_bundle_file(struct tiles *tiles, struct tile_path path, struct error *error)
{
    struct error why = { 0 };

    if (read_tile_file(tiles, path, BUNDLE_MAX, &why))
        return true;
    if (why.code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_NOT_FOUND,
                         "%s: a mirror has entries where it is made with --entries", why.cause);
    *error = why;
    return false;
}

static bool load_bundle(struct tiles *tiles, uint64_t number, struct error *error)
{
    uint64_t size = tiles->edge.size;
    unsigned width = number < size / TILE_WIDTH ? TILE_WIDTH : tile_edge_width(&tiles->edge, 0);
    const struct tile_path path = { TILE_ENTRIES, number, width };

    if (tiles->has_bundle && tiles->bundle_number == number)
        return true;
    tiles->has_bundle = false;
    buf_clear(&tiles->bundle);
    if (!read_bundle_file(tiles, path, error))
        return false;
    buf_add(&tiles->bundle, buf_str(&tiles->files.file));
    if (!buf_is_ok(&tiles->bundle))
        return error_set(error, ERROR_MEMORY, "no memory for a bundle");
    if (!split_bundle(tiles, width, error) || !check_leaves(tiles, number, width, error))
        return false;
    tiles->has_bundle = true;
    tiles->bundle_number = number;
    return true;
}

/* ---- private parts ---- */

/* A broker joins them in for auditors of the entry's tenant; a mirror never has any. */
static bool ask_private(struct tiles *tiles, struct ledger_item *item, struct error *error)
{
    OWNED(buf_release) struct buf path = { 0 };
    OWNED(buf_release) struct buf body = { 0 };
    JSON_OWNED json_t *answer = NULL;

    buf_init(&path, 64);
    buf_init(&body, ANSWER_MAX);
    buf_printf(&path, "/api/v1/ledger/entries/%" PRIu64, item->index);
    if (!log_files_request(&tiles->files, path.data, ANSWER_MAX, &body, error))
        return false;
    if (!json_parse_object(buf_str(&body), answer_limits, &answer, error))
        return error_wrap(error, "%s", path.data);
    buf_clear(&tiles->private_part);
    if (json_is_true(json_object_get(answer, "erased")))
        item->private_part = STR("");
    if (!json_object_get(answer, "private"))
        return true;
    buf_add_json(&tiles->private_part, json_object_get(answer, "private"));
    item->private_part = buf_str(&tiles->private_part);
    return buf_is_ok(&tiles->private_part) ||
           error_set(error, ERROR_LIMIT, "a private part is too large");
}

/* ---- all of it ---- */

static bool get(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                struct error *error)
{
    struct tiles *tiles = source->reader;
    struct error why = { 0 };

    /* Where the right edge's partial bundle is gone the log has moved on. */
    if (!load_bundle(tiles, index / TILE_WIDTH, &why) &&
        (why.code != ERROR_NOT_FOUND || !refresh(source, error) ||
         !load_bundle(tiles, index / TILE_WIDTH, error))) {
        if (error->code == ERROR_NONE)
            *error = why;
        return false;
    }
    item->entry = entry_in_bundle(tiles, index % TILE_WIDTH);
    return !source->wants_private || tiles->files.folder >= 0 || ask_private(tiles, item, error);
}

static bool prove(struct ledger_source *source, uint64_t index, struct tlog_proof *proof,
                  struct error *error)
{
    struct tiles *tiles = source->reader;
    struct lookup lookup = { .tiles = tiles };

    if (merkle_prove_inclusion(look_up, &lookup, index, tiles->edge.size, proof->hashes,
                               &proof->hash_count))
        return true;
    *error = lookup.error;
    return error->code == ERROR_NONE ? refuse(tiles, "the tree", "gives no proof", error) : false;
}

static void close_tiles(void *reader)
{
    struct tiles *tiles = reader;

    log_files_release(&tiles->files);
    buf_release(&tiles->bundle);
    buf_release(&tiles->private_part);
    free(tiles);
}

static const struct ledger_ways tiles_ways = { refresh, get, NULL, prove, close_tiles };

static struct tiles *make(struct ledger_source *source, enum ledger_source_kind kind,
                          struct error *error)
{
    struct tiles *tiles = calloc(1, sizeof(*tiles));

    if (!tiles) {
        (void)error_set(error, ERROR_MEMORY, "no memory for tiles");
        return NULL;
    }
    tiles->source = source;
    log_files_init(&tiles->files, source->facts.name, BUNDLE_MAX + (size_t)64 * 1024);
    buf_init(&tiles->bundle, BUNDLE_MAX);
    buf_init(&tiles->private_part, ANSWER_MAX);
    source->facts.kind = kind;
    source->facts.has_private = kind == LEDGER_BROKER;
    source->ways = &tiles_ways;
    source->reader = tiles;
    return tiles;
}

bool ledger_source_open_mirror(struct ledger_source *source, struct error *error)
{
    return make(source, LEDGER_MIRROR, error) && refresh(source, error);
}

/* A mirror on a web server is the same, without "/log". */
bool ledger_source_open_broker(struct ledger_source *source, struct error *error)
{
    struct tiles *tiles = make(source, LEDGER_BROKER, error);
    struct error why = { 0 };

    if (!tiles || !log_files_connect(&tiles->files, source->options->ca_file, source->arena, error))
        return false;
    if (refresh(source, &why))
        return true;
    tiles->files.prefix = "/";
    if (why.code == ERROR_NOT_FOUND && refresh(source, &(struct error){ 0 }))
        return true;
    *error = why;
    return false;
}
