#include <stdio.h>

#include "base/error.h"
#include "base/json.h"
#include "clients/broker.h"
#include "clients/command.h"
#include "clients/issuer_files.h"
#include "clients/report.h"
#include "upstream/upstream.h"

#define ARENA_MAX ((size_t)4 * 1024 * 1024)
#define DOCUMENT_MAX ((size_t)64 * 1024)

struct values {
    struct broker_options broker;
    bool may_replace;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "replace",
      .kind = OPTION_FLAG,
      .help = "Overwrite what another issuer, or another broker, has put there",
      .offset = offsetof(struct values, may_replace) },
    OUTPUT_ROW(struct values, "How it is shown"),
};

static bool get(const struct broker *broker, const char *path, struct arena *arena,
                struct str *body, struct error *error)
{
    struct upstream_request request = {
        .method = "GET",
        .url = broker_path(broker, path, arena).data,
        .peer = broker->peer,
        .response_max_bytes = DOCUMENT_MAX,
    };
    struct fetch_answer answer;

    if (!request.url)
        return error_set(error, ERROR_MEMORY, "no memory for a URL");
    if (!fetch(broker->upstream, &request, arena, &answer, error))
        return false;
    if (answer.status != 200)
        return error_set(error, ERROR_UNREACHABLE, "%s: the broker answered %d", path,
                         answer.status);
    *body = answer.body;
    return true;
}

struct published {
    struct issuer_files files;
    bool is_changed;
};

static bool publish(const struct values *values, const char *folder, struct upstream *upstream,
                    struct arena *arena, struct published *out, struct error *error)
{
    struct broker broker;
    struct str discovery;
    struct str keys;

    return broker_init(&broker, values->broker.url, values->broker.ca_file, upstream, arena,
                       error) &&
           get(&broker, "/.well-known/openid-configuration", arena, &discovery, error) &&
           get(&broker, "/jwks.json", arena, &keys, error) &&
           issuer_files_make(discovery, keys, arena, &out->files, error) &&
           issuer_files_write(&out->files, folder, values->may_replace, arena, &out->is_changed,
                              error);
}

static int print_json(const struct issuer_files *files, bool is_changed)
{
    JSON_OWNED json_t *json = json_object();
    json_t *keys = json_array();
    bool is_good = json_put(json, "issuer", json_from_str(files->issuer)) &&
                   json_put(json, "changed", json_boolean(is_changed)) &&
                   json_put(json, "keys", keys);

    for (size_t i = 0; i < files->key_count && is_good; i++) {
        json_t *key = json_append_object(keys);

        is_good = json_put(key, "kid", json_from_str(files->keys[i].kid)) &&
                  json_put(key, "alg", json_from_str(files->keys[i].algorithm));
    }
    if (!is_good)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int print_text(const struct issuer_files *files, bool is_changed)
{
    (void)printf("%s ", is_changed ? "published" : "unchanged");
    print_clean(stdout, files->issuer);
    (void)putchar('\n');
    for (size_t i = 0; i < files->key_count; i++) {
        (void)fputs("  ", stdout);
        print_clean(stdout, files->keys[i].algorithm);
        (void)putchar(' ');
        print_clean(stdout, files->keys[i].kid);
        (void)putchar('\n');
    }
    return report_finish();
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct upstream *upstream = NULL;
    struct published out = { 0 };
    struct error error = { 0 };
    bool is_good;

    if (arena)
        is_good = upstream_start(&upstream, &error) &&
                  publish(values, operands->items[0], upstream, arena, &out, &error);
    else
        is_good = error_set(&error, ERROR_MEMORY, "no memory");
    upstream_stop(upstream);
    if (!is_good)
        return report_failure(&error);
    return values->output == OUTPUT_JSON ? print_json(&out.files, out.is_changed)
                                         : print_text(&out.files, out.is_changed);
}

const struct command command_keys_publish = {
    .group = "keys",
    .name = "publish",
    .operands = "FOLDER",
    .summary = "Write the broker's discovery and keys as files",
    .description =
        "For clouds that cannot reach the broker: a web server that hands FOLDER out at the\n"
        "issuer's URL is all that they read. Of the broker nothing is asked but what it tells\n"
        "everybody.\n"
        "\n"
        "A new key is in the set 24 hours before it signs: run this every hour, by a timer, and\n"
        "after a target was added. Each file is there whole, and changes at once.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
