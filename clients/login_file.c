#include "clients/login_file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "clients/variable.h"

#define TOKEN_FILE_MAX ((size_t)32 * 1024)
#define NAME_BYTES 16 /* of the URL's digest: names, not secrets */

static bool find_folder(struct arena *arena, struct str *folder, struct error *error)
{
    const char *state = variable_get("XDG_STATE_HOME");
    const char *home = variable_get("HOME");

    /* The specification wants relative paths passed over. */
    if (state && state[0] == '/')
        *folder = arena_printf(arena, "%s/stagepass", state);
    else if (home && home[0] == '/')
        *folder = arena_printf(arena, "%s/.local/state/stagepass", home);
    else
        return error_set(error, ERROR_USAGE,
                         "neither XDG_STATE_HOME nor HOME says where to keep "
                         "the login");
    return folder->data || error_set(error, ERROR_MEMORY, "no memory for a file's name");
}

static bool find_file(struct str folder, struct str broker_url, struct arena *arena,
                      const char **path, struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };
    uint8_t digest[SHA256_LEN];

    sha256(broker_url, digest);
    buf_init(&name, 128);
    buf_add_text(&name, "login-");
    buf_add_hex(&name, (struct str){ (const char *)digest, NAME_BYTES });
    *path = buf_is_ok(&name) ? file_join(arena, folder.data, name.data) : NULL;
    return *path || error_set(error, ERROR_MEMORY, "no memory for a file's name");
}

/* What others may read or write is not ours alone. */
static bool check_own(const char *path, const struct stat *status, struct error *error)
{
    if (file_is_ours_alone(status))
        return true;
    return error_set(error, ERROR_IO, "%s is not ours alone: remove it, and log in again", path);
}

bool login_file_write(struct str broker_url, struct str id_token, struct arena *arena,
                      struct error *error)
{
    struct stat status;
    struct str folder;
    const char *path;

    if (!find_folder(arena, &folder, error) ||
        !find_file(folder, broker_url, arena, &path, error) ||
        !file_make_folder(folder.data, 0700, error))
        return false;
    if (lstat(folder.data, &status) != 0)
        return error_set_errno(error, "%s", folder.data);
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_IO, "%s is no folder", folder.data);
    return check_own(folder.data, &status, error) && file_replace(path, id_token, 0600, error);
}

bool login_file_read(struct str broker_url, struct arena *arena, struct str *id_token,
                     struct error *error)
{
    struct stat status;
    struct str folder;
    const char *path;

    if (!find_folder(arena, &folder, error) || !find_file(folder, broker_url, arena, &path, error))
        return false;
    if (lstat(path, &status) != 0 && errno == ENOENT)
        return error_set(error, ERROR_REFUSED, "nobody is logged in: 'stagepass login' does that");
    if (lstat(path, &status) != 0)
        return error_set_errno(error, "%s", path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s is no file", path);
    if (!check_own(path, &status, error) ||
        !file_read(arena, path, TOKEN_FILE_MAX, id_token, error))
        return false;
    *id_token = str_trim(*id_token);
    return true;
}
