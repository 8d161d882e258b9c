/* Writes the manual pages: run where they are installed. No part of what is installed itself. */
#include <stdio.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/command.h"
#include "clients/man.h"
#include "config/schema.h"

#define PAGE_MAX ((size_t)256 * 1024)
#define PATH_MAX_LEN 1024

static bool write_page(const char *folder, const char *name, const struct buf *page,
                       struct error *error)
{
    char path[PATH_MAX_LEN];
    int len = snprintf(path, sizeof(path), "%s/%s", folder, name);

    if (!buf_is_ok(page) || len < 0 || (size_t)len >= sizeof(path))
        return error_set(error, ERROR_LIMIT, "the page %s", name);
    return file_replace(path, buf_str(page), 0644, error);
}

static bool write_command(const char *folder, const struct command *command, struct error *error)
{
    OWNED(buf_release) struct buf name = { 0 };
    OWNED(buf_release) struct buf page = { 0 };

    buf_init(&name, PATH_MAX_LEN);
    buf_init(&page, PAGE_MAX);
    man_name(command, &name);
    buf_add_text(&name, ".1");
    man_write_command(command, &page);
    return write_page(folder, name.data, &page, error);
}

static bool write_all(const char *folder, struct error *error)
{
    OWNED(buf_release) struct buf overview = { 0 };
    OWNED(buf_release) struct buf settings = { 0 };
    JSON_OWNED json_t *schema = NULL;

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (!write_command(folder, commands[i], error))
            return false;
    buf_init(&overview, PAGE_MAX);
    buf_init(&settings, PAGE_MAX);
    man_write_overview(commands, COMMAND_COUNT, &overview);
    if (!config_schema_broker(&schema, error))
        return false;
    man_write_settings(schema, &settings);
    return write_page(folder, "stagepass.1", &overview, error) &&
           write_page(folder, "stagepass-broker.yaml.5", &settings, error);
}

int main(int argc, char **argv)
{
    struct error error = { 0 };

    if (argc == 2 && write_all(argv[1], &error))
        return 0;
    (void)fprintf(stderr, "stagepass-man: %s\n", argc == 2 ? error.cause : "expected a folder");
    return 1;
}
