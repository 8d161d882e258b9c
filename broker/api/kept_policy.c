#include <string.h>

#include "api/api_internal.h"
#include "api/cursor.h"
#include "api/readings.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "identity/people.h"
#include "ledger/archive.h"

/*
 * What files a policy had that was in force once. Each page is a few pieces of the kept list, small
 * files that verify against their hash; the whole list verifies against the policy's.
 */

#define LIST_FILES 2 /* of cursors; their position is a piece */
#define PAGE_FILES 500
#define HEX_LEN ((size_t)2 * SHA256_LEN)

struct listing {
    const char *folder;
    struct archive_set set;
    struct arena *arena;
    json_t *files;
};

static bool add_piece(struct listing *listing, size_t index, struct error *error)
{
    const struct archive_piece *piece = &listing->set.pieces[index];
    struct archive_file *files = arena_alloc_array(listing->arena, piece->count, sizeof(*files));

    if (!files)
        return error_set(error, ERROR_MEMORY, "a kept policy");
    if (!archive_read_piece(listing->folder, piece, listing->arena, files, error))
        return false;
    for (size_t i = 0; i < piece->count; i++) {
        json_t *file = json_object();

        if (!file || json_array_append_new(listing->files, file) != 0 ||
            !json_put(file, "name", json_from_str(files[i].name)) ||
            !json_put(file, "sha256", json_from_sha256(files[i].sha256)))
            return error_set(error, ERROR_MEMORY, "a kept policy");
    }
    return true;
}

static bool fill(struct listing *listing, struct cursor *cursor, json_t *body, struct error *error)
{
    size_t next = (size_t)cursor->position;

    listing->files = json_array();
    if (!json_put(body, "policy", json_from_sha256(cursor->sha256)) ||
        !json_put(body, "count", json_integer((json_int_t)listing->set.file_count)) ||
        !json_put(body, "files", listing->files))
        return error_set(error, ERROR_MEMORY, "a kept policy");
    for (; next < listing->set.piece_count && json_array_size(listing->files) < PAGE_FILES; next++)
        if (!add_piece(listing, next, error))
            return false;
    if (next == listing->set.piece_count)
        return true;
    cursor->position = next;
    return json_put(body, "next", json_from_str(cursor_write(cursor, listing->arena))) ||
           error_set(error, ERROR_MEMORY, "a kept policy");
}

/* What does not read is our own trouble, not the caller's. */
static enum progress refuse(struct http_request *request, const struct error *why)
{
    struct error error = { 0 };
    struct log_line line;

    if (why->code != ERROR_INVALID && why->code != ERROR_LIMIT && why->code != ERROR_IO)
        return http_answer_problem(request, why);
    log_begin(&line, LOG_LEVEL_ERROR, "policy.kept_unreadable");
    log_str(&line, "path", request->path);
    log_error(&line, why);
    log_end(&line);
    (void)error_set(&error, ERROR_IO, "%s", why->cause);
    return http_answer_problem(request, &error);
}

static bool list(struct http_request *request, const struct api *api, struct cursor *cursor,
                 json_t *body, struct error *error)
{
    struct listing listing = { .folder = api->policies_folder, .arena = request->arena };

    if (request->rest.len != HEX_LEN || !str_is_made_of(request->rest, "0123456789abcdef") ||
        !hex_decode(request->rest, cursor->sha256))
        return error_set(error, ERROR_NOT_FOUND, "not a policy's hash");
    return archive_find(listing.folder, cursor->sha256, listing.arena, &listing.set, error) &&
           cursor_read(request->query, request->arena, listing.set.piece_count, cursor, error) &&
           fill(&listing, cursor, body, error);
}

/* Files are of all tenants. */
enum progress kept_policy_get(struct http_request *request, void *context)
{
    const struct api *api = context;
    const struct person *person = request->caller;
    struct cursor cursor = { .list = LIST_FILES };
    struct error error = { 0 };
    json_t *body;

    if (!person_may(person, PERSON_AUDITOR, STR(""))) {
        (void)error_set(&error, ERROR_ROLE, "an auditor of some tenants only");
        return people_refuse(request, &error);
    }
    body = json_object();
    if (!list(request, api, &cursor, body, &error)) {
        json_decref(body);
        return refuse(request, &error);
    }
    readings_note(api->readings, person, READING_POLICY, clock_wall_s());
    return http_answer_json(request, 200, body);
}
