#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "identity/key_keeping_internal.h"

/*
 * The file is one JSON object, named by the digest of the issuer's URL:
 *
 *   version   1
 *   issuer    the URL
 *   place     digest of all that a fetch depends on: URL, algorithms, CA, hosts, networks
 *   fetched   when the set came, seconds since the epoch
 *   lifetime  how long it was to live, seconds
 *   known     the names of the keys that were told of
 *   jwks      the usable keys
 */
#define VERSION 1
#define FILE_MODE 0600
#define FOLDER_MODE 0700
#define WRITABLE_BY_OTHERS 022
#define PLACE_MAX ((size_t)256 * 1024)

static const struct json_limits file_limits = { KEY_FILE_MAX, 20, 8000 };

/* Names. */

static void write_hex(struct str bytes, char out[65])
{
    uint8_t digest[SHA256_LEN];

    sha256(bytes, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Keys that came by another way are not the same keys. */
static bool write_place(const struct key_location *location, char out[65])
{
    OWNED(buf_release) struct buf text = { 0 };
    const struct upstream_peer *peer = &location->peer;

    buf_init(&text, PLACE_MAX);
    buf_add_sized(&text, str_from(location->issuer));
    buf_add_u32(&text, location->algorithms);
    buf_add_sized(&text, str_from(peer->ca_file));
    buf_add_byte(&text, peer->may_use_http ? 1 : 0);
    buf_add_u32(&text, (uint32_t)location->host_count);
    for (size_t i = 0; i < location->host_count; i++)
        buf_add_sized(&text, location->hosts[i]);
    for (size_t i = 0; i < peer->network_count; i++) {
        const struct network *network = &peer->networks[i];

        buf_add_u32(&text, (uint32_t)network->bits);
        buf_add_sized(&text, (struct str){ (const char *)network->base.bytes, network->base.len });
    }
    write_hex(buf_str(&text), out);
    return buf_is_ok(&text);
}

static char *path_of(const char *folder, const char *issuer)
{
    char digest[65];
    char path[PATH_MAX];
    int len;

    write_hex(str_from(issuer), digest);
    digest[32] = '\0';
    len = snprintf(path, sizeof(path), "%s/%s.json", folder, digest);
    return len > 0 && (size_t)len < sizeof(path) ? strdup(path) : NULL;
}

/* Reading. */

/* What others can write says nothing. */
static bool is_ours(const char *path, bool is_folder, struct error *error)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return error_set_errno(error, "%s: cannot look at it", path);
    if (is_folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s: expected a %s", path,
                         is_folder ? "folder" : "regular file");
    if (status.st_uid != geteuid() || (status.st_mode & WRITABLE_BY_OTHERS) != 0)
        return error_set(error, ERROR_IO, "%s: others may have written it", path);
    return true;
}

static bool check_files(const char *path, struct error *error)
{
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    return is_ours(folder, true, error) && is_ours(path, false, error);
}

static bool read_int(const json_t *document, const char *name, int64_t *value)
{
    const json_t *number = json_object_get(document, name);

    if (!json_is_integer(number))
        return false;
    *value = json_integer_value(number);
    return true;
}

static bool is_same_place(const struct key_keeping *keeping, const struct key_location *location,
                          const json_t *document)
{
    struct str issuer;
    struct str place;
    int64_t version = 0;

    return read_int(document, "version", &version) && version == VERSION &&
           json_get_str(document, "issuer", &issuer) &&
           str_eq(issuer, str_from(location->issuer)) && json_get_str(document, "place", &place) &&
           str_eq(place, str_from(keeping->place));
}

static bool read_document(struct key_keeping *keeping, const struct key_location *location,
                          const json_t *document, struct key_snapshot *kept, struct error *error)
{
    const json_t *known = json_object_get(document, "known");
    struct key_snapshot read = { 0 };

    if (!is_same_place(keeping, location, document))
        return error_set(error, ERROR_INVALID, "%s: of another configuration", keeping->path);
    if (!json_is_object(known) || !read_int(document, "fetched", &read.fetched_s) ||
        !read_int(document, "lifetime", &read.lifetime_s))
        return error_set(error, ERROR_INVALID, "%s: members are missing", keeping->path);
    if (!key_set_read(json_object_get(document, "jwks"), location->algorithms, &read.set, error))
        return error_wrap(error, "%s", keeping->path);
    keeping->known = json_incref(json_iterable(known));
    *kept = read;
    return true;
}

static bool load(struct key_keeping *keeping, const struct key_location *location,
                 struct key_snapshot *kept, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(2 * KEY_FILE_MAX);
    JSON_OWNED json_t *document = NULL;
    struct str text;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for kept keys");
    if (!check_files(keeping->path, error) ||
        !file_read(arena, keeping->path, KEY_FILE_MAX, &text, error))
        return false;
    if (!json_parse_object(text, file_limits, &document, error))
        return error_wrap(error, "%s", keeping->path);
    return read_document(keeping, location, document, kept, error);
}

bool key_keeping_init(struct key_keeping *keeping, const struct key_location *location,
                      const char *folder, struct key_snapshot *kept, struct error *error)
{
    *keeping = (struct key_keeping){ 0 };
    if (folder == NULL)
        return true;
    keeping->path = path_of(folder, location->issuer);
    if (keeping->path == NULL || !write_place(location, keeping->place))
        return error_set(error, ERROR_MEMORY, "no memory for the place of an issuer's keys");
    if (access(keeping->path, F_OK) == 0 || errno != ENOENT)
        (void)load(keeping, location, kept, &keeping->load_failure); /* told by the first update */
    return true;
}

void key_keeping_release(struct key_keeping *keeping)
{
    json_decref(keeping->known);
    free(keeping->path);
    *keeping = (struct key_keeping){ 0 };
}

/* Telling. */

/* The names of what `names` has and `others` has not; NULL without memory. */
static json_t *list_missing(json_t *names, const json_t *others)
{
    json_t *list = json_array();
    size_t bytes = 0;
    const char *key;
    json_t *name;

    json_object_foreach (names, key, name) {
        if (json_object_get(others, key) != NULL)
            continue;
        bytes += json_string_length(name);
        if (json_array_append_new(list, bytes > KEY_CHANGE_NAMES_MAX ? json_string("*")
                                                                     : json_incref(name)) != 0) {
            json_decref(list);
            return NULL;
        }
        if (bytes > KEY_CHANGE_NAMES_MAX)
            break;
    }
    return list;
}

/* True once it is told, or there is nothing to tell. */
static bool tell_change(struct key_keeping *keeping, json_t *names, struct str issuer,
                        const struct identity_listener *listener)
{
    JSON_OWNED json_t *added = list_missing(names, keeping->known);
    JSON_OWNED json_t *removed = list_missing(keeping->known, names);
    const struct identity_keys_change change = { issuer, added, removed };
    int64_t now_ms = clock_monotonic_ms();

    if (added == NULL || removed == NULL)
        return false;
    if (json_array_size(added) == 0 && json_array_size(removed) == 0)
        return true;
    if (keeping->has_told && now_ms - keeping->told_ms < KEY_CHANGE_INTERVAL_S * INT64_C(1000))
        return false;
    keeping->has_told = true; /* also where it fails: what fails is not tried each second */
    keeping->told_ms = now_ms;
    return listener->keys_changed(&change, listener->context);
}

/* Writing. */

static json_t *make_document(const struct key_keeping *keeping, const struct key_location *location,
                             const struct key_snapshot *snapshot)
{
    json_t *document = json_object();

    if (json_put(document, "version", json_integer(VERSION)) &&
        json_put(document, "issuer", json_string(location->issuer)) &&
        json_put(document, "place", json_string(keeping->place)) &&
        json_put(document, "fetched", json_integer(snapshot->fetched_s)) &&
        json_put(document, "lifetime", json_integer(snapshot->lifetime_s)) &&
        json_put(document, "known", json_incref(keeping->known)) &&
        json_put(document, "jwks", key_set_json(snapshot->set)))
        return document;
    json_decref(document);
    return NULL;
}

static bool make_folder(const char *path, struct error *error)
{
    char folder[PATH_MAX];

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
    return file_make_folder(folder, FOLDER_MODE, error) && is_ours(folder, true, error);
}

static bool save(const struct key_keeping *keeping, const struct key_location *location,
                 const struct key_snapshot *snapshot, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    JSON_OWNED json_t *document = make_document(keeping, location, snapshot);

    if (document == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for keys to be kept");
    buf_init(&text, KEY_FILE_MAX);
    buf_add_json(&text, document);
    if (!buf_is_ok(&text))
        return error_set(error, ERROR_LIMIT, "%s: more than %zu bytes", keeping->path,
                         KEY_FILE_MAX);
    return make_folder(keeping->path, error) &&
           file_replace(keeping->path, buf_str(&text), FILE_MODE, error);
}

bool key_keeping_is_due(const struct key_keeping *keeping, const struct key_snapshot *snapshot)
{
    return keeping->load_failure.code != ERROR_NONE ||
           (snapshot->set != NULL && (keeping->is_due || keeping->seen_s != snapshot->fetched_s));
}

static void tell_failure(struct str issuer, const struct error *why,
                         const struct identity_listener *listener)
{
    listener->not_kept(issuer, why, listener->context);
}

/* The first set that is known is no change. */
static void tell(struct key_keeping *keeping, json_t *names, struct str issuer,
                 const struct identity_listener *listener)
{
    keeping->is_due = keeping->known != NULL && !tell_change(keeping, names, issuer, listener);
    if (keeping->is_due)
        return;
    json_decref(keeping->known);
    keeping->known = json_incref(names);
}

void key_keeping_update(struct key_keeping *keeping, const struct key_location *location,
                        const struct key_snapshot *snapshot, struct str issuer,
                        const struct identity_listener *listener)
{
    JSON_OWNED json_t *names = NULL;
    const json_t *known_before = keeping->known;
    struct error error = { 0 };
    bool is_new;

    if (keeping->load_failure.code != ERROR_NONE)
        tell_failure(issuer, &keeping->load_failure, listener);
    keeping->load_failure = (struct error){ 0 };
    if (snapshot->set == NULL)
        return;
    names = key_set_names(snapshot->set);
    if (names == NULL)
        return; /* no memory: the next call tries again */
    is_new = keeping->seen_s != snapshot->fetched_s;
    keeping->seen_s = snapshot->fetched_s;
    tell(keeping, names, issuer, listener);
    /* what was told is kept behind it: a crash between both tells twice, never not at all */
    if (keeping->path == NULL || (!is_new && keeping->known == known_before))
        return;
    if (!save(keeping, location, snapshot, &error))
        tell_failure(issuer, &error, listener);
}
