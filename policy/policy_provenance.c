#include <errno.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/yaml.h"
#include "policy/policy_internal.h"

#define PROVENANCE_FILE "SOURCE"
#define PROVENANCE_BYTES_MAX ((size_t)4096)
#define REPOSITORY_MAX 256
#define LOWER_HEX "0123456789abcdef"

/* A URL such as CI systems clone from can hold a password; what is kept for ever must not. */
static bool has_credentials(struct str repository)
{
    struct str scheme;
    struct str authority;
    struct str user;
    size_t at = 0;

    while (at < repository.len && !str_starts_with(str_slice(repository, at, 3), STR("://")))
        at++;
    if (at == repository.len)
        return false;
    scheme = str_slice(repository, 0, at);
    (void)str_cut(str_slice(repository, at + 3, repository.len), '/', &authority, &user);
    if (!str_cut(authority, '@', &user, &authority))
        return false;
    return !str_eq(scheme, STR("ssh")) || str_find(user, ':') < user.len;
}

static void check_repository(const struct yaml_reader *reader, const json_t *root,
                             struct str repository)
{
    const json_t *value = json_object_get(root, "repository");

    if (repository.len == 0 || repository.len > REPOSITORY_MAX || str_has_control(repository) ||
        str_find(repository, ' ') < repository.len)
        (void)yaml_complain(reader, value, "'repository' has 1 to %d bytes, without space",
                            REPOSITORY_MAX);
    else if (has_credentials(repository))
        (void)yaml_complain(reader, value,
                            "'repository' is recorded for ever: name it without credentials");
}

static void check_commit(const struct yaml_reader *reader, const json_t *root, struct str commit)
{
    if ((commit.len != 40 && commit.len != 64) || !str_is_made_of(commit, LOWER_HEX))
        (void)yaml_complain(reader, json_object_get(root, "commit"),
                            "'commit' is a whole commit id: 40 or 64 of 0-9 and a-f");
}

static void read_document(const struct yaml_reader *reader, struct policy_provenance *out)
{
    static const char *const names[] = { "repository", "commit", NULL };
    const json_t *root = yaml_root(reader->document);

    if (!yaml_expect_map(reader, root, names))
        return;
    if (yaml_require(reader, root, "repository") &&
        yaml_get_str(reader, root, "repository", &out->repository))
        check_repository(reader, root, out->repository);
    if (yaml_require(reader, root, "commit") && yaml_get_str(reader, root, "commit", &out->commit))
        check_commit(reader, root, out->commit);
}

/* Copies, since the document goes. */
static bool keep(struct arena *arena, struct policy_provenance *provenance)
{
    provenance->repository = arena_copy(arena, provenance->repository);
    provenance->commit = arena_copy(arena, provenance->commit);
    return provenance->repository.data != NULL && provenance->commit.data != NULL;
}

static bool parse(struct str path, struct str text, struct arena *arena,
                  struct diagnostics *diagnostics, struct policy_provenance *out)
{
    OWNED(yaml_document_free) struct yaml_document *document = NULL;
    struct yaml_reader reader = { .diagnostics = diagnostics, .arena = arena };
    struct policy_provenance read = { 0 };
    size_t errors_before = diagnostics->error_count;

    if (text.len > PROVENANCE_BYTES_MAX) {
        (void)diagnostics_add(diagnostics, DIAGNOSTIC_ERROR, (struct position){ path, 0, 0 },
                              STR(""), STR(""), "a SOURCE file has at most %zu bytes",
                              PROVENANCE_BYTES_MAX);
        return true;
    }
    if (!yaml_parse(path, text, diagnostics, &document))
        return true;
    reader.document = document;
    read_document(&reader, &read);
    if (diagnostics->error_count > errors_before)
        return true;
    if (!keep(arena, &read))
        return false;
    *out = read;
    return true;
}

bool policy_provenance_read(const char *folder, const struct policy_files *files,
                            struct arena *arena, struct diagnostics *diagnostics,
                            struct policy_provenance *out)
{
    OWNED(arena_free) struct arena *scratch = arena_new(2 * YAML_BYTES_MAX);
    struct policy_file file = { .name = STR(PROVENANCE_FILE) };
    struct stat status;
    struct str text;

    *out = (struct policy_provenance){ 0 };
    if (scratch == NULL)
        return false;
    file.path = arena_printf(arena, "%s/" PROVENANCE_FILE, folder).data;
    if (file.path == NULL)
        return false;
    if (lstat(file.path, &status) != 0 && errno == ENOENT)
        return true;
    if (!policy_file_read(files, &file, scratch, diagnostics, &text))
        return true;
    return parse(str_from(file.path), text, arena, diagnostics, out);
}

bool policy_put_provenance(const struct policy *policy, json_t *object)
{
    const struct policy_provenance *provenance = policy_provenance(policy);
    json_t *source;

    if (provenance->repository.len == 0)
        return true;
    source = json_object();
    return json_put(object, "source", source) &&
           json_put_text(source, "repository", provenance->repository) &&
           json_put_text(source, "commit", provenance->commit);
}
