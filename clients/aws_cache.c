#include "clients/aws_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/variable.h"
#include "clients/work_folder.h"

#define ANSWER_MAX ((size_t)64 * 1024)

static const struct json_limits answer_limits = { ANSWER_MAX, 2, 16 };

/* Both end with the session or job. */
static const char *const parent_variables[] = { "XDG_RUNTIME_DIR", "RUNNER_TEMP" };

static const char *find_parent(void)
{
    for (size_t i = 0; i < COUNT(parent_variables); i++) {
        const char *parent = variable_get(parent_variables[i]);

        if (parent && parent[0] == '/' && work_folder_is_safe(parent))
            return parent;
    }
    return NULL;
}

/* A folder that somebody else made could show him what we put there. */
static bool make_own_folder(const char *path, struct error *error)
{
    struct stat status;

    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_set_errno(error, "cannot make %s", path);
    if (lstat(path, &status) != 0)
        return error_set_errno(error, "cannot look at %s", path);
    if (!S_ISDIR(status.st_mode) || !file_is_ours_alone(&status))
        return error_set(error, ERROR_IO, "%s is not a folder of ours alone (mode 0700)", path);
    return true;
}

/* One that others put there could give us their answer, or show them ours. */
static bool check_file(const struct aws_cache *cache, struct error *error)
{
    struct stat status;

    if (fstat(cache->file, &status) != 0)
        return error_set_errno(error, "cannot look at %s", cache->path);
    return (S_ISREG(status.st_mode) && file_is_ours_alone(&status)) ||
           error_set(error, ERROR_IO, "%s is not a file of ours alone (mode 0600): remove it",
                     cache->path);
}

bool aws_cache_open(struct aws_cache *cache, const uint8_t question[SHA256_LEN],
                    struct arena *arena, struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };
    const char *parent = find_parent();
    struct str folder;

    if (!parent)
        return true;
    folder = arena_printf(arena, "%s/stagepass-cache", parent);
    buf_init(&name, 128);
    buf_add_hex(&name, (struct str){ (const char *)question, SHA256_LEN });
    if (!folder.data || !buf_is_ok(&name))
        return error_set(error, ERROR_MEMORY, "no memory for a file's name");
    if (!make_own_folder(folder.data, error))
        return false;
    cache->path =
        arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(folder), STR_ARG(buf_str(&name))).data;
    if (!cache->path)
        return error_set(error, ERROR_MEMORY, "no memory for a file's name");
    cache->file = open(cache->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (cache->file < 0 || flock(cache->file, LOCK_EX) != 0)
        return error_set_errno(error, "cannot open %s", cache->path);
    return check_file(cache, error);
}

void aws_cache_close(struct aws_cache *cache)
{
    if (cache->file >= 0)
        (void)close(cache->file); /* unlocks; what was written was checked then */
    cache->file = -1;
}

static bool lives_on(struct str answer, int64_t now_s)
{
    struct error ignored = { 0 };
    JSON_OWNED json_t *json = NULL;
    struct str expiration;
    int64_t expires_ms;

    return json_parse_object(answer, answer_limits, &json, &ignored) &&
           json_get_str(json, "Expiration", &expiration) &&
           time_text_parse(expiration, &expires_ms) &&
           expires_ms / 1000 - now_s >= AWS_CACHE_LEFT_MIN_S;
}

/* The answer is the first line, by what it is renewed the second. */
static bool read_lines(const struct aws_cache *cache, struct arena *arena, struct str *first,
                       struct str *second)
{
    char *bytes;
    ssize_t len;

    if (cache->file < 0)
        return false;
    bytes = arena_alloc(arena, ANSWER_MAX);
    if (!bytes)
        return false;
    len = pread(cache->file, bytes, ANSWER_MAX, 0);
    if (len <= 0)
        return false;
    (void)str_cut((struct str){ bytes, (size_t)len }, '\n', first, second);
    return true;
}

bool aws_cache_get(const struct aws_cache *cache, int64_t now_s, struct arena *arena,
                   struct str *answer)
{
    struct str rest;

    return read_lines(cache, arena, answer, &rest) && lives_on(*answer, now_s);
}

bool aws_cache_get_renewal(const struct aws_cache *cache, struct arena *arena,
                           struct aws_renewal *renewal)
{
    struct error ignored = { 0 };
    struct str answer;
    struct str text;
    json_t *json;

    *renewal = (struct aws_renewal){ 0 };
    if (!read_lines(cache, arena, &answer, &text) ||
        !json_parse_object(text, answer_limits, &json, &ignored) ||
        !json_keep(arena, json, &ignored))
        return false;
    renewal->key = json_str(json_object_get(json, "key"));
    return json_get_str(json, "token", &renewal->token) && renewal->token.len > 0;
}

static bool add_renewal(const struct aws_renewal *renewal, struct buf *text)
{
    JSON_OWNED json_t *json = json_object();

    if (renewal->token.len == 0)
        return true;
    buf_add_byte(text, '\n');
    if (!json_put(json, "token", json_from_str(renewal->token)) ||
        !json_put(json, "key", json_from_str(renewal->key)))
        return false;
    buf_add_json(text, json);
    return true;
}

bool aws_cache_put(const struct aws_cache *cache, struct str answer,
                   const struct aws_renewal *renewal, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (cache->file < 0)
        return true;
    buf_init(&text, ANSWER_MAX);
    buf_add(&text, answer);
    if (!add_renewal(renewal, &text) || !buf_is_ok(&text))
        return error_set(error, ERROR_LIMIT, "more than %zu bytes to keep", ANSWER_MAX);
    /* Emptied first: an interrupted write leaves no JSON, and that is no answer. */
    if (ftruncate(cache->file, 0) != 0 ||
        pwrite(cache->file, text.data, text.len, 0) != (ssize_t)text.len)
        return error_set_errno(error, "cannot write %s", cache->path);
    return true;
}
