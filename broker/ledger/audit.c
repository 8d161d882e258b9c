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
#include "base/error.h"
#include "base/file.h"
#include "ledger/audit_bundle.h"
#include "ledger/entry_order.h"
#include "ledger/note.h"
#include "ledger/tile.h"
#include "pg/dsn.h"
#include "store/store.h"

#define PROGRESS_EVERY 4096

/* That are looked at together, where somebody runs jobs for us. */
#define BUNDLES 8

/* A walk over all entries. Threads: confined */
struct auditor {
    const struct audit_options *options;
    struct audit_report *report;
    struct arena *arena;
    struct note_verifier own[NOTE_LOGS_MAX]; /* of the folder, where the caller has none */
    struct note_trust trust;
    struct checkpoint checkpoint; /* size 0: none */
    struct against against;
    struct store_reader *reader;
    bool is_database; /* tiles are in its brokers' folders, not in the store */
    int tiles;        /* -1: there are none */

    struct tile_edge *edge;
    struct entry_order order;
    struct audit_bundle *bundles;
    size_t bundle_count;
    size_t used_count;                 /* of them, those with entries */
    const struct audit_bundle *bundle; /* whose entries are held against all before them */
    struct error end;                  /* why nothing more can be read */
    char *read_bytes; /* for what is read to compare; room for BUNDLE_MAX and one */
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

/* The keys that lie beside the log. */
static bool read_own_keys(struct auditor *auditor)
{
    const char *path = path_in_log(auditor, "verifier");
    struct error cause = { 0 };
    struct str text = { 0 };

    if (path == NULL || !file_read(auditor->arena, path, NOTE_BYTES_MAX, &text, &cause))
        return error_set(
            auditor->error, ERROR_CONFIG,
            "no store to verify (of a mirror or an export, --key says whose log it must be): %s",
            cause.cause);
    auditor->trust.logs = auditor->own;
    return note_keys_parse(text, NOTE_KEY_LOG, auditor->own, NOTE_LOGS_MAX,
                           &auditor->trust.log_count, auditor->error) &&
           (auditor->trust.log_count > 0 ||
            error_set(auditor->error, ERROR_CONFIG, "no verifier key: %s is empty", path));
}

/* The caller's keys, else those of the folder. */
static bool find_keys(struct auditor *auditor)
{
    auditor->trust = *auditor->options->trust;
    auditor->report->is_key_trusted = auditor->trust.log_count > 0;
    if (auditor->trust.log_count == 0 && !read_own_keys(auditor))
        return false;
    auditor->report->origin = arena_copy(auditor->arena, auditor->trust.logs[0].name);
    return auditor->report->origin.data != NULL ||
           error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
}

/* The note of the checkpoint published last, empty where there is none. */
static bool read_note(struct auditor *auditor, struct str *note, struct error *error)
{
    const char *path = path_in_log(auditor, "checkpoint");

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for an audit");
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return file_read(auditor->arena, path, NOTE_BYTES_MAX, note, error);
    return store_read_checkpoint(auditor->options->folder, auditor->arena, note, error);
}

/* The checkpoint published last; size 0 where there is none. */
static bool read_checkpoint(struct auditor *auditor, struct checkpoint *checkpoint,
                            struct error *error)
{
    struct str note = { 0 };

    if (!read_note(auditor, &note, error))
        return false;
    if (note.len == 0)
        return true;
    if (checkpoint_check(note, &auditor->trust, checkpoint, &auditor->report->cosigned, error))
        return true;
    error->code = ERROR_INVALID; /* whatever is wrong with it: it does not verify */
    return error_wrap(error, "checkpoint");
}

/* Whether a live publisher has put out a larger checkpoint since we began. */
static bool has_moved_on(struct auditor *auditor)
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
static size_t read_into(const struct auditor *auditor, const char *name, char *bytes, size_t len)
{
    int file = openat(auditor->tiles, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t got = 0;

    if (file < 0)
        return 0;
    while (got < len + 1) {
        ssize_t count = read(file, bytes + got, len + 1 - got);

        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    (void)close(file); /* read-only, nothing to lose */
    return got;
}

static size_t read_start(const struct auditor *auditor, const char *name, size_t len)
{
    return read_into(auditor, name, auditor->read_bytes, len);
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
static bool partial_holds(struct auditor *auditor, const struct tile_path *path, struct str content)
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
    *content = audit_bundle_content(auditor->bundle, width);
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

/* Of a full one; entries were held against a bundle's file as they came. */
static bool full_holds(const struct auditor *auditor, const struct tile_path *path,
                       struct str content)
{
    if (path->level != TILE_ENTRIES)
        return file_holds(auditor, path, content);
    return !auditor->bundle->is_other && auditor->bundle->file_len == content.len;
}

/* One that must be there. */
static bool check_file(struct auditor *auditor, const struct tile_path *path,
                       content_function content_of, uint64_t index)
{
    struct str content = { 0 };
    char name[TILE_PATH_MAX];
    bool does_hold = auditor->is_database;

    if (!does_hold)
        does_hold = content_of(auditor, path->level, path->width, &content) &&
                    (path->width == TILE_WIDTH ? full_holds(auditor, path, content)
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
    struct merkle_hash root;

    if (edge->size != auditor->checkpoint.size)
        return true;
    root = tile_edge_root(edge);
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

/* What others have kept of the log. */
static bool check_kept(struct auditor *auditor, uint64_t index, const struct merkle_hash *leaf)
{
    auditor->report->bad_index = index;
    return against_leaf(&auditor->against, index, leaf, auditor->error);
}

static bool check_kept_roots(struct auditor *auditor)
{
    auditor->report->bad_index = auditor->edge->size;
    return against_edge(&auditor->against, auditor->edge, auditor->error);
}

/* What was seen of the entry by itself, and that it may stand there. */
static bool check_form(struct auditor *auditor, unsigned position)
{
    const struct audit_bundle *bundle = auditor->bundle;
    uint64_t index = bundle->first + position;
    struct error why = { 0 };

    if (position >= bundle->sound_count)
        return refuse(auditor, index, bundle->error.cause);
    return entry_order_add(&auditor->order, &bundle->forms[position], &why) ||
           refuse(auditor, index, why.cause);
}

static bool check_entry(struct auditor *auditor, unsigned position)
{
    uint64_t index = auditor->bundle->first + position;
    const struct merkle_hash *leaf = &auditor->bundle->leaves[position];

    return check_form(auditor, position) && check_bundle(auditor, index) &&
           check_kept(auditor, index, leaf) &&
           tile_edge_add(auditor->edge, leaf, check_full_tile, auditor) &&
           check_checkpoint(auditor) && check_kept_roots(auditor);
}

static void tell_progress(const struct auditor *auditor, uint64_t done)
{
    const struct audit_options *options = auditor->options;

    if (options->progress != NULL && done % PROGRESS_EVERY == 0)
        options->progress(done, store_reader_size(auditor->reader), options->context);
}

/* One that the checkpoint covers as a whole has a file, which is read at once; others are built. */
static bool begin_bundle(struct auditor *auditor, struct audit_bundle *bundle, uint64_t first)
{
    const struct tile_path path = { TILE_ENTRIES, first / TILE_WIDTH, TILE_WIDTH };
    bool is_built = auditor->is_database || first + TILE_WIDTH > auditor->checkpoint.size;
    char name[TILE_PATH_MAX];

    if (!audit_bundle_begin(bundle, first, is_built, auditor->error))
        return false;
    tile_path_write(&path, name);
    if (!is_built)
        bundle->file_len = read_into(auditor, name, bundle->file, BUNDLE_MAX);
    return true;
}

/* The entries of one, as far as there are any: else `auditor->end` says why not. */
static bool read_bundle(struct auditor *auditor, struct audit_bundle *bundle)
{
    while (bundle->count < TILE_WIDTH && auditor->end.code == ERROR_NONE) {
        struct str entry = { 0 };
        struct str private_part = { 0 };

        if (store_reader_get(auditor->reader, bundle->first + bundle->count, &entry, &private_part,
                             &auditor->end) &&
            !audit_bundle_add(bundle, entry, auditor->error))
            return false;
    }
    return true;
}

static bool read_bundles(struct auditor *auditor, uint64_t first)
{
    auditor->used_count = 0;
    while (auditor->used_count < auditor->bundle_count && auditor->end.code == ERROR_NONE) {
        struct audit_bundle *bundle = &auditor->bundles[auditor->used_count++];

        if (!begin_bundle(auditor, bundle, first) || !read_bundle(auditor, bundle))
            return false;
        first += bundle->count;
    }
    return true;
}

static void look_at(void *bundles, size_t position)
{
    audit_bundle_look(&((struct audit_bundle *)bundles)[position]);
}

static void look_at_bundles(struct auditor *auditor)
{
    const struct audit_options *options = auditor->options;

    if (options->run_jobs != NULL) {
        options->run_jobs(auditor->used_count, look_at, auditor->bundles, options->context);
        return;
    }
    for (size_t i = 0; i < auditor->used_count; i++)
        look_at(auditor->bundles, i);
}

static bool check_entries(struct auditor *auditor, const struct audit_bundle *bundle)
{
    auditor->bundle = bundle;
    for (unsigned position = 0; position < bundle->count; position++) {
        if (!check_entry(auditor, position))
            return false;
        auditor->report->entry_count++;
        tell_progress(auditor, auditor->report->entry_count);
    }
    return true;
}

static bool walk(struct auditor *auditor)
{
    while (auditor->end.code == ERROR_NONE) {
        if (!read_bundles(auditor, auditor->report->entry_count))
            return false;
        look_at_bundles(auditor);
        for (size_t i = 0; i < auditor->used_count; i++)
            if (!check_entries(auditor, &auditor->bundles[i]))
                return false;
    }
    if (auditor->end.code == ERROR_NOT_FOUND)
        return true;
    auditor->report->bad_index = auditor->report->entry_count;
    *auditor->error = auditor->end;
    return false;
}

static bool check_all(struct auditor *auditor)
{
    uint64_t count = 0;

    /* The checkpoint first: the log may grow while we look, and what it covered stays. */
    if (!find_keys(auditor) ||
        !against_read(&auditor->against, &auditor->trust, auditor->arena, auditor->error) ||
        !read_checkpoint(auditor, &auditor->checkpoint, auditor->error) || !open_tiles(auditor) ||
        !store_reader_open(auditor->options->folder, &auditor->reader, auditor->error) ||
        !walk(auditor))
        return false;
    auditor->report->checkpoint_size = auditor->checkpoint.size;
    auditor->report->pruned_count = auditor->order.pruned_count;
    auditor->report->root = tile_edge_root(auditor->edge);
    count = auditor->report->entry_count;
    /* Entries that nobody signed are what whoever can write here says they are. */
    if (count > 0 && auditor->checkpoint.size == 0)
        return refuse(auditor, 0, "no signed checkpoint covers it");
    if (count < auditor->checkpoint.size)
        return refuse(auditor, count, "the log ends before its signed checkpoint");
    auditor->report->bad_index = count;
    return against_end(&auditor->against, count, auditor->error);
}

static bool auditor_init(struct auditor *auditor)
{
    size_t count = auditor->options->run_jobs != NULL ? BUNDLES : 1;

    auditor->tiles = -1;
    auditor->edge = calloc(1, sizeof(*auditor->edge));
    auditor->read_bytes = malloc(BUNDLE_MAX + 1);
    auditor->bundles = calloc(count, sizeof(*auditor->bundles));
    if (auditor->edge == NULL || auditor->read_bytes == NULL || auditor->bundles == NULL)
        return error_set(auditor->error, ERROR_MEMORY, "no memory for an audit");
    for (; auditor->bundle_count < count; auditor->bundle_count++)
        audit_bundle_init(&auditor->bundles[auditor->bundle_count]);
    return true;
}

static void auditor_release(struct auditor *auditor)
{
    store_reader_close(auditor->reader);
    for (size_t i = 0; i < auditor->bundle_count; i++)
        audit_bundle_release(&auditor->bundles[i]);
    free(auditor->bundles);
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
        .against = options->against,
        .is_database = pg_dsn_is_url(options->folder),
        .error = error,
    };
    bool is_sound = false;

    *report = (struct audit_report){ 0 };
    is_sound = auditor_init(&auditor) && check_all(&auditor);
    auditor_release(&auditor);
    return is_sound;
}
