#include "ledger/archive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/time_text.h"

/*
 * A set comes into being when its file does: that is written last, when all objects are durable. A
 * few objects are synced one by one; many are written first, and then the file system is synced as
 * a whole: 10,000 files would else need 20,000 syncs. So of an object without a set nothing can be
 * believed: see archive_keep.
 */

#define HEX_LEN ((size_t)2 * SHA256_LEN)
#define ACTIVE_MAX ((size_t)256)

/* A piece ends behind a name whose hash ends in so many zero bits: 128 files on the average. */
#define CUT_MASK 0x7f

#define SET_LINE_MAX (HEX_LEN + sizeof(" 1024\n"))
#define SET_MAX (sizeof("files 100000\n") + (size_t)ARCHIVE_FILES_MAX * SET_LINE_MAX)
#define PIECE_MAX ((HEX_LEN + 2 + ARCHIVE_NAME_MAX) * ARCHIVE_PIECE_FILES_MAX)
#define DIGESTS_LEN ((size_t)2 * SHA256_LEN) /* of a file: its name and its bytes */

#define SINGLE_SYNCS_MAX 16 /* objects that are synced one by one */

#define PATH_ARENA_MAX ((size_t)64 * 1024)

/* ---- names ---- */

static bool is_segment(struct str segment)
{
    return segment.len > 0 && segment.len <= ARCHIVE_SEGMENT_MAX && !str_eq(segment, STR(".")) &&
           !str_eq(segment, STR(".."));
}

/* Whether a name can be a line, and a path below any folder. */
static bool is_name(struct str name)
{
    struct str rest = name;
    struct str segment;

    if (name.len == 0 || name.len > ARCHIVE_NAME_MAX || str_has_control(name))
        return false;
    while (str_cut(rest, '/', &segment, &rest))
        if (!is_segment(segment))
            return false;
    return is_segment(segment);
}

/* ---- hashes ---- */

static struct str bytes_of(const uint8_t digest[SHA256_LEN])
{
    return (struct str){ (const char *)digest, SHA256_LEN };
}

bool archive_hash(const struct archive_file *files, size_t count, uint8_t out[SHA256_LEN])
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    uint8_t(*digests)[DIGESTS_LEN];

    if (arena == NULL)
        return false;
    digests = arena_alloc_array(arena, count + 1, DIGESTS_LEN);
    if (digests == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        sha256(files[i].name, digests[i]);
        memcpy(digests[i] + SHA256_LEN, files[i].sha256, SHA256_LEN);
    }
    sha256((struct str){ (const char *)digests, count * DIGESTS_LEN }, out);
    return true;
}

/* How many files from `first` on are one piece. */
static size_t piece_len(const struct archive_file *files, size_t count, size_t first)
{
    size_t len = 0;
    uint8_t digest[SHA256_LEN];

    while (first + len < count && len < ARCHIVE_PIECE_FILES_MAX) {
        sha256(files[first + len].name, digest);
        len++;
        if ((digest[SHA256_LEN - 1] & CUT_MASK) == 0)
            break;
    }
    return len;
}

/* ---- paths ---- */

static const char *set_path(struct arena *arena, const char *folder,
                            const uint8_t digest[SHA256_LEN])
{
    OWNED(buf_release) struct buf hex = { 0 };

    buf_init(&hex, HEX_LEN);
    buf_add_hex(&hex, bytes_of(digest));
    return buf_is_ok(&hex) ? file_join(arena, folder, hex.data) : NULL;
}

static const char *object_path(struct arena *arena, const char *folder,
                               const uint8_t digest[SHA256_LEN])
{
    OWNED(buf_release) struct buf hex = { 0 };

    buf_init(&hex, HEX_LEN);
    buf_add_hex(&hex, bytes_of(digest));
    if (!buf_is_ok(&hex))
        return NULL;
    return arena_printf(arena, "%s/objects/%.2s/%s", folder, hex.data, hex.data + 2).data;
}

/* ---- reading objects ---- */

/* The bytes of a file, if they are those of the hash. */
static bool read_hashed(struct arena *arena, const char *path, size_t max_bytes,
                        const uint8_t wanted[SHA256_LEN], struct str *bytes, struct error *error)
{
    uint8_t digest[SHA256_LEN];

    if (!file_read(arena, path, max_bytes, bytes, error))
        return false;
    sha256(*bytes, digest);
    return memcmp(digest, wanted, SHA256_LEN) == 0 ||
           error_set(error, ERROR_INVALID, "%s: not the bytes that its hash is of", path);
}

static bool read_object(struct arena *arena, const char *folder, size_t max_bytes,
                        const uint8_t wanted[SHA256_LEN], struct str *bytes, struct error *error)
{
    const char *path = object_path(arena, folder, wanted);

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    return read_hashed(arena, path, max_bytes, wanted, bytes, error);
}

/* ---- reading sets ---- */

static bool read_hex(struct str text, uint8_t digest[SHA256_LEN])
{
    return text.len == HEX_LEN && str_is_made_of(text, "0123456789abcdef") &&
           hex_decode(text, digest);
}

static bool read_count(struct str text, int64_t max, size_t *count)
{
    int64_t value = 0;

    if (!str_to_int64(text, &value) || value < 1 || value > max)
        return false;
    *count = (size_t)value;
    return true;
}

static bool read_pieces(struct str text, struct archive_piece *pieces, struct archive_set *set)
{
    size_t files = 0;

    while (text.len > 0) {
        struct archive_piece *piece = &pieces[set->piece_count];
        struct str line;
        struct str hex;

        if (set->piece_count == set->file_count || !str_cut(text, '\n', &line, &text) ||
            !str_cut(line, ' ', &hex, &line) || !read_hex(hex, piece->sha256) ||
            !read_count(line, ARCHIVE_PIECE_FILES_MAX, &piece->count))
            return false;
        set->piece_count++;
        files += piece->count;
    }
    set->pieces = pieces;
    return files == set->file_count;
}

static bool parse_set(struct str text, struct arena *arena, struct archive_set *set,
                      struct error *error)
{
    struct archive_piece *pieces;
    struct str line;
    struct str word;

    *set = (struct archive_set){ 0 };
    if (!str_cut(text, '\n', &line, &text) || !str_cut(line, ' ', &word, &line) ||
        !str_eq(word, STR("files")) || !read_count(line, ARCHIVE_FILES_MAX, &set->file_count))
        return error_set(error, ERROR_INVALID, "what is kept of a policy does not read as a set");
    pieces = arena_alloc_array(arena, set->file_count, sizeof(*pieces));
    if (pieces == NULL)
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    return read_pieces(text, pieces, set) ||
           error_set(error, ERROR_INVALID, "what is kept of a policy does not read as a set");
}

bool archive_find(const char *folder, const uint8_t sha256[SHA256_LEN], struct arena *arena,
                  struct archive_set *set, struct error *error)
{
    const char *path = set_path(arena, folder, sha256);
    struct stat status;
    struct str text;

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    if (lstat(path, &status) != 0 && errno == ENOENT)
        return error_set(error, ERROR_NOT_FOUND, "no policy is kept under this hash");
    return file_read(arena, path, SET_MAX, &text, error) && parse_set(text, arena, set, error);
}

static bool parse_piece(struct str text, const struct archive_piece *piece,
                        struct archive_file *files)
{
    size_t count = 0;

    while (text.len > 0) {
        struct archive_file *file = &files[count];
        struct str line;
        struct str hex;

        if (count == piece->count || !str_cut(text, '\n', &line, &text) ||
            !str_cut(line, ' ', &hex, &line) || !read_hex(hex, file->sha256) || !is_name(line))
            return false;
        file->name = line;
        file->path = NULL;
        count++;
    }
    return count == piece->count;
}

bool archive_read_piece(const char *folder, const struct archive_piece *piece, struct arena *arena,
                        struct archive_file *files, struct error *error)
{
    struct str text;

    return read_object(arena, folder, PIECE_MAX, piece->sha256, &text, error) &&
           (parse_piece(text, piece, files) ||
            error_set(error, ERROR_INVALID, "a kept list of files does not read as one"));
}

/* The whole list, which must be sorted and have the set's hash. */
static bool read_list(const char *folder, const uint8_t digest[SHA256_LEN], struct arena *arena,
                      struct archive_file **files, size_t *count, struct error *error)
{
    uint8_t actual[SHA256_LEN];
    struct archive_set set;
    size_t done = 0;

    if (!archive_find(folder, digest, arena, &set, error))
        return false;
    *files = arena_alloc_array(arena, set.file_count, sizeof(**files));
    if (*files == NULL)
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    for (size_t i = 0; i < set.piece_count; i++) {
        if (!archive_read_piece(folder, &set.pieces[i], arena, *files + done, error))
            return false;
        done += set.pieces[i].count;
    }
    *count = set.file_count;
    if (!archive_hash(*files, *count, actual))
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    return memcmp(actual, digest, SHA256_LEN) == 0 ||
           error_set(error, ERROR_INVALID, "what is kept is not the policy of this hash");
}

/* ---- verifying and extracting ---- */

/* Make the folders that a name leads through. */
static bool make_folders(char *path, size_t root_len, struct error *error)
{
    for (size_t i = root_len + 1; path[i] != '\0'; i++) {
        bool is_made;

        if (path[i] != '/')
            continue;
        path[i] = '\0';
        is_made = mkdir(path, 0700) == 0 || errno == EEXIST ||
                  error_set_errno(error, "%s: cannot create the folder", path);
        path[i] = '/';
        if (!is_made)
            return false;
    }
    return true;
}

static bool write_file(const char *into, struct str name, struct str bytes, struct error *error)
{
    char path[ARCHIVE_NAME_MAX * 2];
    int len = snprintf(path, sizeof(path), "%s/" STR_FMT, into, STR_ARG(name));

    if (len < 0 || (size_t)len >= sizeof(path))
        return error_set(error, ERROR_LIMIT, "a path of %d bytes is too long", len);
    return make_folders(path, strlen(into), error) && file_create(path, bytes, 0600, error);
}

bool archive_extract(const char *folder, const uint8_t sha256[SHA256_LEN], const char *into,
                     struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    struct archive_file *files = NULL;
    size_t count = 0;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "reading what is kept");
    if (!read_list(folder, sha256, arena, &files, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        OWNED(arena_free) struct arena *scratch = arena_new(2 * ARCHIVE_FILE_BYTES_MAX);
        struct str bytes;

        if (scratch == NULL)
            return error_set(error, ERROR_MEMORY, "reading what is kept");
        if (!read_object(scratch, folder, ARCHIVE_FILE_BYTES_MAX, files[i].sha256, &bytes, error) ||
            !write_file(into, files[i].name, bytes, error))
            return error_wrap(error, STR_FMT, STR_ARG(files[i].name));
    }
    return true;
}

/* ---- keeping ---- */

struct keeping {
    const char *folder;
    const struct archive_file *files;
    size_t count;
    struct archive_set base; /* empty: none */
    size_t written_count;
};

static bool is_there(const char *path, const uint8_t digest[SHA256_LEN], size_t max_bytes)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * max_bytes + PATH_ARENA_MAX);
    struct error ignored = { 0 };
    struct str bytes;

    return arena != NULL && read_hashed(arena, path, max_bytes, digest, &bytes, &ignored);
}

/* The folder of an object: its path without the name. */
static const char *object_folder(struct arena *arena, const char *path)
{
    return arena_copy(arena, str_slice(str_from(path), 0, strlen(path) - (HEX_LEN - 2) - 1)).data;
}

/* What an attempt that was cut off left under the temporary name is in the way. */
static bool write_unsynced(struct arena *arena, const char *path, struct str bytes,
                           struct error *error)
{
    const char *temporary = arena_printf(arena, "%s.new", path).data;

    if (temporary == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    if (unlink(temporary) != 0 && errno != ENOENT)
        return error_set_errno(error, "%s: cannot remove", temporary);
    if (!file_create(temporary, bytes, 0600, error))
        return false;
    return rename(temporary, path) == 0 || error_set_errno(error, "%s: cannot rename", temporary);
}

static bool write_object(struct keeping *keeping, struct arena *arena, const char *path,
                         struct str bytes, struct error *error)
{
    const char *folder = object_folder(arena, path);

    if (folder == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    if (!file_make_folder(folder, 0700, error))
        return false;
    if (keeping->written_count++ < SINGLE_SYNCS_MAX)
        return file_replace(path, bytes, 0600, error);
    return write_unsynced(arena, path, bytes, error);
}

static bool keep_file(struct keeping *keeping, const struct archive_file *file, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * ARCHIVE_FILE_BYTES_MAX);
    const char *path;
    struct str bytes;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    path = object_path(arena, keeping->folder, file->sha256);
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    if (is_there(path, file->sha256, ARCHIVE_FILE_BYTES_MAX))
        return true;
    return read_hashed(arena, file->path, ARCHIVE_FILE_BYTES_MAX, file->sha256, &bytes, error) &&
           write_object(keeping, arena, path, bytes, error);
}

static bool has_base_piece(const struct keeping *keeping, const uint8_t digest[SHA256_LEN])
{
    for (size_t i = 0; i < keeping->base.piece_count; i++)
        if (memcmp(keeping->base.pieces[i].sha256, digest, SHA256_LEN) == 0)
            return true;
    return false;
}

static void write_piece(const struct archive_file *files, size_t len, struct buf *text)
{
    for (size_t i = 0; i < len; i++) {
        buf_add_hex(text, bytes_of(files[i].sha256));
        buf_add_byte(text, ' ');
        buf_add(text, files[i].name);
        buf_add_byte(text, '\n');
    }
}

static bool keep_list(struct keeping *keeping, const uint8_t digest[SHA256_LEN], struct str text,
                      struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    const char *path = arena == NULL ? NULL : object_path(arena, keeping->folder, digest);

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    return is_there(path, digest, PIECE_MAX) || write_object(keeping, arena, path, text, error);
}

/* Keep the files of a piece, then the piece, and name it in the set. */
static bool keep_piece(struct keeping *keeping, size_t first, size_t len, struct buf *set,
                       struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t digest[SHA256_LEN];

    buf_init(&text, PIECE_MAX);
    write_piece(&keeping->files[first], len, &text);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    sha256(buf_str(&text), digest);
    buf_add_hex(set, bytes_of(digest));
    buf_printf(set, " %zu\n", len);
    if (has_base_piece(keeping, digest))
        return true;
    for (size_t i = first; i < first + len; i++)
        if (!keep_file(keeping, &keeping->files[i], error))
            return error_wrap(error, STR_FMT, STR_ARG(keeping->files[i].name));
    return keep_list(keeping, digest, buf_str(&text), error);
}

/* syncfs(), which the C library hides outside of _GNU_SOURCE. */
static bool sync_all(const struct keeping *keeping, struct error *error)
{
    int folder;
    bool is_synced;

    if (keeping->written_count <= SINGLE_SYNCS_MAX)
        return true;
    folder = open(keeping->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return error_set_errno(error, "%s: cannot open", keeping->folder);
    is_synced = syscall(SYS_syncfs, folder) == 0 ||
                error_set_errno(error, "%s: cannot sync", keeping->folder);
    (void)close(folder); /* read-only, nothing to lose */
    return is_synced;
}

static bool keep_all(struct keeping *keeping, const char *path, struct error *error)
{
    OWNED(buf_release) struct buf set = { 0 };

    buf_init(&set, SET_MAX);
    buf_printf(&set, "files %zu\n", keeping->count);
    for (size_t first = 0; first < keeping->count;) {
        size_t len = piece_len(keeping->files, keeping->count, first);

        if (!keep_piece(keeping, first, len, &set, error))
            return false;
        first += len;
    }
    if (!buf_is_ok(&set))
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    return sync_all(keeping, error) && file_replace(path, buf_str(&set), 0600, error);
}

static bool check_files(const struct archive_file *files, size_t count, struct error *error)
{
    if (count == 0 || count > ARCHIVE_FILES_MAX)
        return error_set(error, ERROR_LIMIT, "1 to %d files can be kept, not %zu",
                         ARCHIVE_FILES_MAX, count);
    for (size_t i = 0; i < count; i++) {
        if (!is_name(files[i].name))
            return error_set(error, ERROR_INVALID, "no name that can be kept: '" STR_FMT "'",
                             STR_ARG(files[i].name));
        if (i > 0 && str_compare(files[i - 1].name, files[i].name) >= 0)
            return error_set(error, ERROR_INVALID, "'" STR_FMT "' is out of order",
                             STR_ARG(files[i].name));
    }
    return true;
}

bool archive_keep(const char *folder, const struct archive_file *files, size_t count,
                  const uint8_t *base, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    struct keeping keeping = { .folder = folder, .files = files, .count = count };
    struct error ignored = { 0 };
    uint8_t digest[SHA256_LEN];
    struct archive_set set;
    const char *objects;
    const char *path;

    if (!check_files(files, count, error))
        return false;
    if (arena == NULL || !archive_hash(files, count, digest))
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    if (archive_find(folder, digest, arena, &set, &ignored))
        return true;
    objects = file_join(arena, folder, "objects");
    path = set_path(arena, folder, digest);
    if (objects == NULL || path == NULL)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    if (!file_make_folder(objects, 0700, error))
        return false;
    /* Without its base a set is only kept more slowly. */
    ignored = (struct error){ 0 };
    if (base != NULL && !archive_find(folder, base, arena, &keeping.base, &ignored))
        keeping.base = (struct archive_set){ 0 };
    return keep_all(&keeping, path, error);
}

/* ---- the active one ---- */

static const char *active_path(struct arena *arena, const char *folder)
{
    return file_join(arena, folder, "active");
}

bool archive_active(const char *folder, struct archive_active *active, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    const char *path = arena == NULL ? NULL : active_path(arena, folder);
    struct stat status;
    struct str text;
    struct str hex;
    int64_t time_ms = 0;

    *active = (struct archive_active){ 0 };
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "reading which policy was active");
    if (lstat(path, &status) != 0 && errno == ENOENT)
        return true;
    if (!file_read(arena, path, ACTIVE_MAX, &text, error))
        return false;
    active->is_known = str_cut(str_trim(text), ' ', &hex, &text) && read_hex(hex, active->sha256) &&
                       time_text_parse(text, &time_ms);
    active->time_s = time_ms / 1000;
    return true;
}

bool archive_set_active(const char *folder, const struct archive_active *active,
                        struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    OWNED(buf_release) struct buf text = { 0 };
    const char *path = arena == NULL ? NULL : active_path(arena, folder);
    char time_s[TIME_TEXT_S_LEN + 1];

    buf_init(&text, ACTIVE_MAX);
    time_text_s(active->time_s, time_s);
    buf_add_hex(&text, bytes_of(active->sha256));
    buf_printf(&text, " %s\n", time_s);
    if (path == NULL || !buf_is_ok(&text))
        return error_set(error, ERROR_MEMORY, "noting which policy is active");
    return file_replace(path, buf_str(&text), 0600, error);
}
