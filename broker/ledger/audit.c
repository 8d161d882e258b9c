#include "ledger/audit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "ledger/entry.h"
#include "ledger/tile.h"
#include "store/store.h"

#define NOTE_MAX ((size_t)16 * 1024)
#define RECEIPT_MAX ((size_t)128 * 1024)
#define ENTRY_HEAD_LEN 2
#define BUNDLE_MAX ((size_t)TILE_WIDTH * (STORE_ENTRY_MAX + ENTRY_HEAD_LEN))
#define PROGRESS_EVERY 4096

/* A walk over all entries. Threads: confined */
struct auditor {
    const struct audit_options *options;
    struct audit_report *report;
    struct arena *arena;
    struct note_verifier verifier;
    struct checkpoint checkpoint; /* size 0: none */
    struct store_reader *reader;
    int tiles; /* -1: there are none */

    struct tile_edge *edge;
    int64_t time_ms;
    struct buf bundle;
    size_t bundle_ends[TILE_WIDTH + 1]; /* of the entries in it */
    char *read_bytes;                   /* BUNDLE_MAX, for what is read to compare */
    struct error *error;
};

static bool refuse(struct auditor *auditor, uint64_t index, const char *what)
{
    auditor->report->bad_index = index;
    return error_set(auditor->error, ERROR_INVALID, "entry %" PRIu64 ": %s", index, what);
}

static const char *path_in_log(const struct auditor *auditor, const char *name)
{
    const char *log = file_join(auditor->arena, auditor->options->folder, "log");

    return log == NULL ? NULL : file_join(auditor->arena, log, name);
}

/* The caller's key, else the one that lies beside the log. */
static bool find_verifier(struct auditor *auditor)
{
    const char *path = path_in_log(auditor, "verifier");
    struct str text = auditor->options->verifier_key;
    struct error cause = { 0 };

    auditor->report->is_key_trusted = text.len > 0;
    if (text.len == 0 &&
        (path == NULL || !file_read(auditor->arena, path, NOTE_MAX, &text, &cause)))
        return error_set(auditor->error, ERROR_CONFIG, "no verifier key: %s", cause.cause);
    if (!note_verifier_parse(str_trim(text), &auditor->verifier, auditor->error))
        return false;
    auditor->report->origin = arena_copy(auditor->arena, auditor->verifier.name);
    return auditor->report->origin.data != NULL ||
           error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
}

/* The checkpoint published last; size 0 where there is none. */
static bool read_checkpoint(const struct auditor *auditor, struct checkpoint *checkpoint,
                            struct error *error)
{
    const char *path = path_in_log(auditor, "checkpoint");
    struct str note = { 0 };

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an audit");
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    if (!file_read(auditor->arena, path, NOTE_MAX, &note, error))
        return false;
    if (checkpoint_verify(note, &auditor->verifier, checkpoint, error))
        return true;
    error->code = ERROR_INVALID; /* whatever is wrong with it: it does not verify */
    return error_wrap(error, "checkpoint");
}

/* Whether a live publisher has put out a larger checkpoint since we began. */
static bool has_moved_on(const struct auditor *auditor)
{
    struct checkpoint checkpoint = { 0 };

    return read_checkpoint(auditor, &checkpoint, &(struct error){ 0 }) &&
           checkpoint.size > auditor->checkpoint.size;
}

static bool open_tiles(struct auditor *auditor)
{
    const char *path = path_in_log(auditor, "tile");

    if (path == NULL)
        return error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
    auditor->tiles = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return auditor->tiles >= 0 || errno == ENOENT ||
           error_set_errno(auditor->error, "%s: cannot open", path);
}

/* A file's first `len` bytes and one more, to see whether it is longer: how many there were. */
static size_t read_start(const struct auditor *auditor, const char *name, size_t len)
{
    int file = openat(auditor->tiles, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t got = 0;

    if (file < 0)
        return 0;
    while (got < len + 1) {
        ssize_t count = read(file, auditor->read_bytes + got, len + 1 - got);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    (void)close(file); /* read-only, nothing to lose */
    return got;
}

/* Whether a tile's or bundle's file holds `content`, and no more. */
static bool file_holds(const struct auditor *auditor, const struct tile_path *path,
                       struct str content)
{
    char name[TILE_PATH_MAX];

    tile_path_write(path, name);
    return read_start(auditor, name, content.len) == content.len &&
           memcmp(auditor->read_bytes, content.data, content.len) == 0;
}

static bool is_there(const struct auditor *auditor, const struct tile_path *path)
{
    char name[TILE_PATH_MAX];

    tile_path_write(path, name);
    return faccessat(auditor->tiles, name, F_OK, 0) == 0;
}

/*
 * The same of a partial one. A full one may have replaced it and, with a live publisher, a longer
 * one that no checkpoint of ours covers.
 */
static bool partial_holds(const struct auditor *auditor, const struct tile_path *path,
                          struct str content)
{
    const struct tile_path full = { path->level, path->number, TILE_WIDTH };
    char name[TILE_PATH_MAX];

    if (file_holds(auditor, path, content))
        return true;
    if (is_there(auditor, path))
        return false;
    if (!is_there(auditor, &full))
        return has_moved_on(auditor);
    tile_path_write(&full, name);
    return read_start(auditor, name, content.len) >= content.len &&
           memcmp(auditor->read_bytes, content.data, content.len) == 0;
}

/* The bytes of a tile or bundle of this width, if it goes that far. */
typedef bool (*content_function)(const struct auditor *auditor, unsigned level, unsigned width,
                                 struct str *content);

static bool tile_content(const struct auditor *auditor, unsigned level, unsigned width,
                         struct str *content)
{
    *content =
        (struct str){ (const char *)auditor->edge->hashes[level], (size_t)width * MERKLE_HASH_LEN };
    return true;
}

static bool bundle_content(const struct auditor *auditor, unsigned level, unsigned width,
                           struct str *content)
{
    (void)level;
    *content = (struct str){ auditor->bundle.data, auditor->bundle_ends[width] };
    return true;
}

/*
 * Partial files of earlier checkpoints that are still there: each must hold the beginning of what
 * its tile holds up to `path->width`. A writer may remove one while we look; that is no damage.
 */
static bool partials_hold(const struct auditor *auditor, const struct tile_path *path,
                          content_function content_of)
{
    struct tile_path partial = { path->level, path->number, 1 };
    char name[TILE_PATH_MAX];
    const struct dirent *item = NULL;
    DIR *directory = NULL;
    bool do_hold = true;
    int folder = -1;

    tile_path_write(&partial, name);
    *strrchr(name, '/') = '\0';
    folder = openat(auditor->tiles, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    directory = folder < 0 ? NULL : fdopendir(folder);
    if (directory == NULL) {
        if (folder >= 0)
            (void)close(folder); /* read-only, nothing to lose */
        return folder < 0;
    }
    /* readdir() is safe: nobody else has this stream. */
    while (do_hold && (item = readdir(directory)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        struct str content = { 0 };
        int64_t width = 0;

        if (!str_to_int64(str_from(item->d_name), &width) || width < 1 || width > path->width ||
            width >= TILE_WIDTH)
            continue;
        partial.width = (unsigned)width;
        do_hold = content_of(auditor, path->level, partial.width, &content) &&
                  (file_holds(auditor, &partial, content) || !is_there(auditor, &partial));
    }
    (void)closedir(directory); /* read-only, nothing to lose */
    return do_hold;
}

/* One that must be there. */
static bool check_file(struct auditor *auditor, const struct tile_path *path,
                       content_function content_of, uint64_t index)
{
    struct str content = { 0 };
    char name[TILE_PATH_MAX];
    bool does_hold = content_of(auditor, path->level, path->width, &content) &&
                     (path->width == TILE_WIDTH ? file_holds(auditor, path, content)
                                                : partial_holds(auditor, path, content)) &&
                     partials_hold(auditor, path, content_of);

    if (does_hold)
        return true;
    tile_path_write(path, name);
    auditor->report->bad_index = index;
    return error_set(auditor->error, ERROR_INVALID,
                     "tile %s does not hold what the entries give (up to entry %" PRIu64 ")", name,
                     index);
}

/* A tile is complete; those that no checkpoint covers yet may still be missing. */
static bool check_full_tile(void *context, unsigned level, uint64_t number,
                            const struct merkle_hash hashes[TILE_WIDTH])
{
    struct auditor *auditor = context;
    const struct tile_path path = { level, number, TILE_WIDTH };
    uint64_t index = auditor->edge->size;

    (void)hashes; /* they are in the edge */
    return index >= auditor->checkpoint.size || check_file(auditor, &path, tile_content, index);
}

static bool add_to_bundle(struct auditor *auditor, struct str entry, uint64_t index)
{
    struct buf *bundle = &auditor->bundle;
    size_t position = index % TILE_WIDTH;

    if (position == 0)
        buf_clear(bundle);
    buf_add_byte(bundle, (uint8_t)(entry.len >> 8));
    buf_add_byte(bundle, (uint8_t)entry.len);
    buf_add(bundle, entry);
    auditor->bundle_ends[position + 1] = bundle->len;
    return buf_is_ok(bundle) || error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
}

/* A bundle is complete, or the checkpoint ends in it. */
static bool check_bundle(struct auditor *auditor, uint64_t index)
{
    unsigned width = (unsigned)(index % TILE_WIDTH) + 1;
    const struct tile_path path = { TILE_ENTRIES, index / TILE_WIDTH, width };

    if (index >= auditor->checkpoint.size ||
        (width < TILE_WIDTH && index + 1 != auditor->checkpoint.size))
        return true;
    return check_file(auditor, &path, bundle_content, index);
}

/* The tree has the checkpoint's size: its root, and the tiles of its right edge. */
static bool check_checkpoint(struct auditor *auditor)
{
    struct tile_edge *edge = auditor->edge;
    struct merkle_hash root = tile_edge_root(edge);

    if (edge->size != auditor->checkpoint.size)
        return true;
    if (!merkle_hash_eq(&root, &auditor->checkpoint.root))
        return refuse(auditor, edge->size, "the entries before it do not have the signed root");
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const struct tile_path path = { level, tile_edge_number(edge, level),
                                        tile_edge_width(edge, level) };

        if (path.width > 0 && !check_file(auditor, &path, tile_content, edge->size))
            return false;
    }
    return true;
}

/* Its members, and a time that is not before the last one's. */
static bool check_form(struct auditor *auditor, struct str entry, uint64_t index)
{
    JSON_OWNED json_t *parsed = NULL;
    struct error cause = { 0 };
    struct str time = { 0 };
    int64_t time_ms = 0;

    if (!entry_parse(entry, &parsed, &cause) || !entry_check(parsed, &cause))
        return refuse(auditor, index, cause.cause);
    if (!json_get_str(parsed, "time", &time) || !time_text_parse(time, &time_ms))
        return refuse(auditor, index, "its time is malformed");
    if (time_ms < auditor->time_ms)
        return refuse(auditor, index, "its time is before that of the entry before it");
    auditor->time_ms = time_ms;
    return true;
}

static bool check_entry(struct auditor *auditor, struct str entry, uint64_t index)
{
    struct merkle_hash leaf = merkle_leaf(entry);

    return check_form(auditor, entry, index) && add_to_bundle(auditor, entry, index) &&
           check_bundle(auditor, index) &&
           tile_edge_add(auditor->edge, &leaf, check_full_tile, auditor) &&
           check_checkpoint(auditor);
}

static void tell_progress(const struct auditor *auditor, uint64_t done)
{
    const struct audit_options *options = auditor->options;

    if (options->progress != NULL && done % PROGRESS_EVERY == 0)
        options->progress(done, store_reader_size(auditor->reader), options->context);
}

static bool walk(struct auditor *auditor)
{
    for (uint64_t index = 0;; index++) {
        struct str entry = { 0 };
        struct str private_part = { 0 };
        struct error cause = { 0 };

        if (!store_reader_get(auditor->reader, index, &entry, &private_part, &cause)) {
            if (cause.code == ERROR_NOT_FOUND)
                return true;
            auditor->report->bad_index = index;
            *auditor->error = cause;
            return false;
        }
        if (!check_entry(auditor, entry, index))
            return false;
        auditor->report->entry_count = index + 1;
        tell_progress(auditor, index + 1);
    }
}

static bool check_all(struct auditor *auditor)
{
    uint64_t count = 0;

    /* The checkpoint first: the log may grow while we look, and what it covered stays. */
    if (!find_verifier(auditor) ||
        !read_checkpoint(auditor, &auditor->checkpoint, auditor->error) || !open_tiles(auditor) ||
        !store_reader_open(auditor->options->folder, &auditor->reader, auditor->error) ||
        !walk(auditor))
        return false;
    auditor->report->checkpoint_size = auditor->checkpoint.size;
    auditor->report->root = tile_edge_root(auditor->edge);
    count = auditor->report->entry_count;
    /* Entries that nobody signed are what whoever can write here says they are. */
    if (count > 0 && auditor->checkpoint.size == 0)
        return refuse(auditor, 0, "no signed checkpoint covers it");
    if (count < auditor->checkpoint.size)
        return refuse(auditor, count, "the log ends before its signed checkpoint");
    return true;
}

static bool auditor_init(struct auditor *auditor)
{
    buf_init(&auditor->bundle, BUNDLE_MAX);
    auditor->tiles = -1;
    auditor->edge = calloc(1, sizeof(*auditor->edge));
    auditor->read_bytes = malloc(BUNDLE_MAX + 1);
    return (auditor->edge != NULL && auditor->read_bytes != NULL) ||
           error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
}

static void auditor_release(struct auditor *auditor)
{
    store_reader_close(auditor->reader);
    buf_release(&auditor->bundle);
    free(auditor->edge);
    free(auditor->read_bytes);
    if (auditor->tiles >= 0)
        (void)close(auditor->tiles); /* read-only, nothing to lose */
}

bool audit_verify(const struct audit_options *options, struct arena *arena,
                  struct audit_report *report, struct error *error)
{
    struct auditor auditor = {
        .options = options,
        .report = report,
        .arena = arena,
        .error = error,
    };
    bool is_sound = false;

    *report = (struct audit_report){ 0 };
    is_sound = auditor_init(&auditor) && check_all(&auditor);
    auditor_release(&auditor);
    return is_sound;
}

/* A receipt: what it claims. Borrows from the parsed text and the reader. */
struct receipt {
    struct str proof;
    struct str entry; /* data NULL: only the log has it */
};

static bool receipt_parse(struct str text, json_t **parsed, struct arena *arena,
                          struct receipt *receipt, struct error *error)
{
    struct json_limits limits = { RECEIPT_MAX, 32, 5000 };
    const json_t *entry = NULL;

    if (!str_starts_with(str_trim(text), STR("{"))) {
        receipt->proof = text;
        return true;
    }
    if (!json_parse_object(text, limits, parsed, error))
        return false;
    entry = json_object_get(*parsed, "entry");
    if (!json_get_str(*parsed, "proof", &receipt->proof) || entry == NULL)
        return error_set(error, ERROR_SYNTAX, "receipt: expected \"entry\" and \"proof\"");
    /* Text is the exact bytes; an object gives them by the canonical form. */
    receipt->entry = json_is_string(entry) ? json_str(entry) : json_text(arena, entry);
    return receipt->entry.data != NULL || error_set(error, ERROR_MEMORY, "no memory for a receipt");
}

/* Whether the log's first entries have this root. */
static bool check_prefix(struct auditor *auditor, const struct checkpoint *checkpoint)
{
    struct merkle_frontier frontier = { 0 };
    struct merkle_hash root;

    if (checkpoint->size > store_reader_size(auditor->reader))
        return refuse(auditor, store_reader_size(auditor->reader),
                      "the log ends before the receipt's checkpoint");
    while (frontier.size < checkpoint->size) {
        struct merkle_hash leaf;
        struct str entry = { 0 };

        if (!store_reader_get(auditor->reader, frontier.size, &entry, NULL, auditor->error))
            return false;
        leaf = merkle_leaf(entry);
        merkle_frontier_add(&frontier, &leaf);
        tell_progress(auditor, frontier.size);
    }
    root = merkle_frontier_root(&frontier);
    return merkle_hash_eq(&root, &checkpoint->root) ||
           refuse(auditor, checkpoint->size, "the log is not the one the receipt was given on");
}

static bool check_receipt(struct auditor *auditor, const struct receipt *receipt, uint64_t *index)
{
    struct tlog_proof proof = { 0 };
    struct checkpoint checkpoint = { 0 };
    struct str in_log = { 0 };

    if (!find_verifier(auditor) ||
        !store_reader_open(auditor->options->folder, &auditor->reader, auditor->error) ||
        !tlog_proof_parse(receipt->proof, &proof, auditor->error))
        return false;
    if (proof.index >= store_reader_size(auditor->reader))
        return refuse(auditor, proof.index, "the log ends before the receipt's entry");
    if (!store_reader_get(auditor->reader, proof.index, &in_log, NULL, auditor->error))
        return false;
    if (receipt->entry.data != NULL && !str_eq(in_log, receipt->entry))
        return refuse(auditor, proof.index, "the log has another entry than the receipt");
    if (!tlog_proof_verify(receipt->proof, in_log, &auditor->verifier, &checkpoint,
                           auditor->error) ||
        !check_prefix(auditor, &checkpoint))
        return false;
    *index = proof.index;
    return true;
}

bool audit_check_receipt(const struct audit_options *options, struct str text, struct arena *arena,
                         uint64_t *index, struct error *error)
{
    JSON_OWNED json_t *parsed = NULL;
    struct audit_report report = { 0 };
    struct receipt receipt = { 0 };
    struct auditor auditor = {
        .options = options,
        .report = &report,
        .arena = arena,
        .error = error,
    };
    bool is_sound = false;

    if (text.len > RECEIPT_MAX)
        return error_set(error, ERROR_LIMIT, "receipt: more than %zu bytes", RECEIPT_MAX);
    if (!receipt_parse(text, &parsed, arena, &receipt, error))
        return false;
    is_sound = auditor_init(&auditor) && check_receipt(&auditor, &receipt, index);
    auditor_release(&auditor);
    return is_sound;
}
