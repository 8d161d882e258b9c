#include "gitlab_help.h"

#include "base/file.h"
#include "tests/test.h"

void gitlab_write_own_token(struct remote_fixture *fixture, const char *text, mode_t mode)
{
    const char *path = file_join(fixture->base.arena, fixture->base.folder, "gitlab.token");

    assert_true(file_replace(path, str_from(text), mode, &fixture->base.error));
}

void gitlab_configure(struct remote_fixture *fixture, const char *url)
{
    struct fixture *base = &fixture->base;
    const char *message;
    struct str yaml = arena_printf(base->arena,
                                   "{ url: \"%s\", token_file: %s/gitlab.token, allow_http: true, "
                                   "registry: r.example, projects: [\"77\"], groups: [\"12\"] }",
                                   url, base->folder);

    gitlab_write_own_token(fixture, OWN_TOKEN "\n", 0600);
    message = fixture_configure(base, "gitlab", yaml.data);
    if (message)
        fail_msg("%s", message);
}
