#include "base/json.h"
#include "base/macros.h"
#include "base/metrics.h"
#include "identity/claim_watch_internal.h"

/* Told of one token; what is left is new with the next one. */
#define NEWS_MAX 16

/* The claim that a row is about: of a JSON Pointer the first name, as it stands there. */
static struct str row_name(const struct claim *row)
{
    struct str name = str_from(row->name);

    if (!str_starts_with(name, STR("/")))
        return name;
    name = str_slice(name, 1, name.len);
    return str_slice(name, 0, str_find(name, '/'));
}

bool claim_watch_init(struct claim_watch *watch, const struct claim_table *table,
                      const struct claim_watch *previous)
{
    *watch = (struct claim_watch){ 0 };
    watch->seen =
        previous != NULL && previous->seen != NULL ? watch_ref(previous->seen) : watch_new();
    if (watch->seen == NULL || !lookup_init(&watch->known, table->count))
        return false;
    for (size_t i = 0; i < table->count; i++)
        if (!lookup_add(&watch->known, row_name(&table->rows[i]), i))
            continue; /* two rows about one claim */
    return true;
}

void claim_watch_release(struct claim_watch *watch)
{
    watch_unref(watch->seen);
    lookup_release(&watch->known);
    *watch = (struct claim_watch){ 0 };
}

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "object",   [JSON_ARRAY] = "array", [JSON_STRING] = "string",
        [JSON_INTEGER] = "integer", [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
        [JSON_FALSE] = "boolean",   [JSON_NULL] = "null",
    };

    return names[json_typeof(value)];
}

/* The type first: of two threads with the same claim, the one that is quicker tells of both. */
static bool note_claim(struct watch *seen, struct claim_news *news)
{
    const struct str typed[] = { STR("type"), news->claim, str_from(news->type) };
    const struct str named[] = { STR("claim"), news->claim };
    enum watch_sight sight = watch_note(seen, typed, COUNT(typed));

    if (sight == WATCH_SEEN)
        return false;
    if (sight == WATCH_FULL)
        news->kind = CLAIM_NEWS_FULL;
    else if (watch_note(seen, named, COUNT(named)) == WATCH_SEEN)
        news->kind = CLAIM_NEWS_RETYPED;
    else
        news->kind = CLAIM_NEWS_UNKNOWN;
    return true;
}

/* In the order of enum claim_news_kind. */
static const enum metric metrics[] = { METRIC_CLAIMS_UNKNOWN, METRIC_CLAIMS_RETYPED,
                                       METRIC_CLAIMS_UNWATCHED };

static bool add_news(struct arena *arena, struct verified_token *verified, struct claim_news **list,
                     const struct claim_news *news)
{
    metric_add(metrics[news->kind], 1);
    if (*list == NULL)
        *list = arena_alloc_array(arena, NEWS_MAX, sizeof(**list));
    if (*list == NULL)
        return false; /* the token is none the worse for it */
    (*list)[verified->news_count++] = *news;
    verified->news = *list;
    return verified->news_count < NEWS_MAX;
}

void claim_watch_token(const struct claim_watch *watch, struct arena *arena,
                       struct verified_token *verified)
{
    struct claim_news *list = NULL;
    size_t position = 0;
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(verified->claims), name, value) {
        struct claim_news news = { .claim = str_from(name), .type = type_name(value) };

        if (json_is_null(value) || lookup_find(&watch->known, news.claim, &position) ||
            !note_claim(watch->seen, &news))
            continue;
        if (!add_news(arena, verified, &list, &news))
            return;
    }
}

bool claim_watch_workflow(const struct claim_watch *watch, const json_t *ci, struct str stage)
{
    struct str parts[] = { STR("workflow"), stage, { 0 }, { 0 } };

    if (!json_get_str(ci, "workflow_repository", &parts[2]) ||
        !json_get_str(ci, "workflow_path", &parts[3]) ||
        watch_note(watch->seen, parts, COUNT(parts)) != WATCH_NEW)
        return false;
    metric_add(METRIC_WORKFLOWS_NEW, 1);
    return true;
}
