#include "dev.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "dev_files.h"
#include "dev_pki.h"

#define WORDS_MAX ((size_t)64 * 1024)
#define PLAIN_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./,:=@%+-"

/* --- what goes into the folder ---------------------------------------------------------------- */

/* The words that are printed hold from any working directory. */
static bool make_absolute(const char *folder, struct arena *arena, const char **absolute,
                          struct error *error)
{
    char *resolved = realpath(folder, NULL);

    if (resolved == NULL)
        return error_set_errno(error, "%s", folder);
    *absolute = arena_copy(arena, str_from(resolved)).data;
    free(resolved);
    return *absolute != NULL || error_set(error, ERROR_MEMORY, "development folder");
}

static bool make_folder(const char *root, const char *name, struct arena *arena, const char **path,
                        struct error *error)
{
    *path = name[0] == '\0' ? root : file_join(arena, root, name);
    if (*path == NULL)
        return error_set(error, ERROR_MEMORY, "development folder");
    return file_make_folder(*path, 0700, error);
}

/* A file that is there may have been edited: it stays, whatever it says. */
static bool write_missing(const char *root, const struct dev_file *file, struct arena *arena,
                          struct error *error)
{
    const char *folder;
    const char *path;
    struct stat status;

    if (!make_folder(root, file->folder, arena, &folder, error))
        return false;
    path = file_join(arena, folder, file->name);
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "development folder");
    if (lstat(path, &status) == 0)
        return true;
    if (errno != ENOENT)
        return error_set_errno(error, "%s", path);
    return file_replace(path, str_from(file->text), 0600, error);
}

static bool fill(const char *root, struct arena *arena, struct error *error)
{
    const char *store;

    for (size_t i = 0; i < dev_file_count; i++)
        if (!write_missing(root, &dev_files[i], arena, error))
            return false;
    return make_folder(root, "store", arena, &store, error) &&
           dev_pki_prepare(root, clock_wall_s(), error);
}

/* --- what to try ------------------------------------------------------------------------------ */

/* As a shell reads it as one word. */
static void add_word(struct buf *words, const char *text)
{
    if (str_is_made_of(str_from(text), PLAIN_CHARACTERS)) {
        buf_add_text(words, text);
        return;
    }
    buf_add_byte(words, '\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            buf_add_text(words, "'\\''");
        else
            buf_add_byte(words, (uint8_t)*text);
    }
    buf_add_byte(words, '\'');
}

/* `@` stands for the folder. */
static const char what_to_try[] =
    "Stagepass for development: a broker at " DEV_BROKER_URL ", everything in\n"
    "  @\n"
    "\n"
    "In another terminal, the CI system whose tokens it trusts:\n"
    "  stagepass-dev-issuer serve --folder @/issuer --port " DEV_ISSUER_PORT "\n"
    "\n"
    "As a job of that system (run=main; build and pull-request are others):\n"
    "  export STAGEPASS_BROKER=" DEV_BROKER_URL " STAGEPASS_CA=@/ca.pem\n"
    "  export ACTIONS_ID_TOKEN_REQUEST_URL='" DEV_ISSUER_URL "/token?run=main'\n"
    "  export ACTIONS_ID_TOKEN_REQUEST_TOKEN=any\n"
    "  stagepass exec --stage deploy-prod -- ssh-add -L\n"
    "  ACTIONS_ID_TOKEN_REQUEST_URL='" DEV_ISSUER_URL "/token?run=build' \\\n"
    "    stagepass exec --stage build -- sh -c 'echo \"$STAGEPASS_ARTIFACTS_TOKEN\"'\n"
    "  ACTIONS_ID_TOKEN_REQUEST_URL='" DEV_ISSUER_URL "/token?run=pull-request' \\\n"
    "    stagepass exec --stage deploy-prod -- true     # denied, and told why\n"
    "\n"
    "A token by hand:\n"
    "  stagepass-dev-issuer token --folder @/issuer --url " DEV_ISSUER_URL " \\\n"
    "    --audience " DEV_BROKER_URL " --claims @/issuer/runs/main.json\n"
    "\n"
    "As an auditor:\n"
    "  stagepass audit tail --ledger @/store\n"
    "  stagepass audit verify --ledger @/store\n"
    "\n"
    "As a platform team: edit @/policies/acme-payments.yaml. The broker loads it at once,\n"
    "if it is good, and says so; this tells you more:\n"
    "  stagepass policy test --config @/broker.yaml --claims @/issuer/runs @/policies\n"
    "\n";

static bool say_what_to_try(const char *root, struct error *error)
{
    OWNED(buf_release) struct buf words;
    struct str rest = str_from(what_to_try);
    struct str piece;

    buf_init(&words, WORDS_MAX);
    while (str_cut(rest, '@', &piece, &rest)) {
        buf_add(&words, piece);
        add_word(&words, root);
    }
    buf_add(&words, piece);
    if (!buf_is_ok(&words))
        return error_set(error, ERROR_MEMORY, "what to try");
    if (fwrite(words.data, 1, words.len, stdout) != words.len || fflush(stdout) != 0)
        return error_set_errno(error, "write to standard output");
    return true;
}

bool dev_prepare(const char *folder, struct arena *arena, const char **config, struct error *error)
{
    const char *root = NULL;
    const char *path;

    if (!file_make_folder(folder, 0700, error) || !make_absolute(folder, arena, &root, error) ||
        !fill(root, arena, error))
        return false;
    path = file_join(arena, root, "broker.yaml");
    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "development folder");
    if (!say_what_to_try(root, error))
        return false;
    *config = path;
    return true;
}
