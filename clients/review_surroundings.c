/* What a review has besides stages: exceptions, people's roles, and the keys that are kept. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/policy_source.h"
#include "clients/review.h"
#include "config/config.h"
#include "policy/policy.h"

#define SECRETS_MAX 1000
#define DAY_S INT64_C(86400)

static bool put_time(json_t *object, const char *name, int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return json_put(object, name, json_string(text));
}

/* ---- exceptions ---- */

static bool is_reviewed(const struct review_options *options, const struct policy *policy,
                        const struct policy_exception *exception, struct arena *arena)
{
    const struct option_list *environments = options->environments;
    struct str id = arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(exception->pipeline),
                                 STR_ARG(exception->stage));
    const struct policy_stage *stage = policy_stage_find(policy, id);

    for (size_t i = 0; stage && i < environments->count; i++)
        if (str_eq(stage->environment, str_from(environments->items[i])))
            return true;
    return environments->count == 0 || !stage;
}

static bool put_exceptions(const struct review_options *options, struct arena *arena,
                           json_t *review)
{
    const struct policy *policy = options->source->policy;
    json_t *list = json_array();
    size_t count;
    const struct policy_exception *exceptions = policy_exceptions(policy, &count);

    if (!json_put(review, "exceptions", list))
        return false;
    for (size_t i = 0; i < count; i++) {
        json_t *object;

        if (!is_reviewed(options, policy, &exceptions[i], arena))
            continue;
        object = json_object();
        if (json_array_append_new(list, object) != 0 ||
            !json_put(object, "from", json_from_str(exceptions[i].guardrail)) ||
            !json_put(object, "pipeline", json_from_str(exceptions[i].pipeline)) ||
            !json_put(object, "stage", json_from_str(exceptions[i].stage)) ||
            !json_put(object, "why", json_from_str(exceptions[i].why)) ||
            !put_time(object, "until", exceptions[i].until_s) ||
            !json_put(object, "is_over", json_boolean(exceptions[i].until_s <= options->now_s)))
            return false;
    }
    return true;
}

/* ---- people ---- */

static bool put_texts(json_t *object, const char *name, const struct str *values, size_t count)
{
    json_t *list = json_array();

    if (!json_put(object, name, list))
        return false;
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_from_str(values[i])) != 0)
            return false;
    return true;
}

static bool fill_rule(json_t *object, const struct people_rule *rule)
{
    json_t *conditions = json_object();

    if (!json_put(object, "role", json_string(person_role_name(rule->role))) ||
        !put_texts(object, "tenants", rule->tenants, rule->tenant_count) ||
        !json_put(object, "who", conditions))
        return false;
    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct people_condition *condition = &rule->conditions[i];
        json_t *values = json_array();

        if (json_object_setn_new(conditions, condition->claim.data, condition->claim.len, values) !=
            0)
            return false;
        for (size_t k = 0; k < condition->value_count; k++)
            if (json_array_append_new(values, json_from_str(condition->values[k])) != 0)
                return false;
    }
    return true;
}

/* A catalog, or a broker without people, has no roles: then there is no list. */
static bool put_people(const struct review_options *options, json_t *review)
{
    const struct people_options *people = options->source->config->people;
    json_t *list;

    if (!people)
        return true;
    list = json_array();
    if (!json_put(review, "people", list) ||
        !json_put(review, "people_provider", json_from_str(people->issuer.url)))
        return false;
    for (size_t i = 0; i < people->rule_count; i++) {
        json_t *object = json_object();

        if (json_array_append_new(list, object) != 0 || !fill_rule(object, &people->rules[i]))
            return false;
    }
    return true;
}

/* ---- keys ---- */

/* By the file's time: a key is written once. */
static bool add_secret(const struct review_options *options, int folder, const char *name,
                       json_t *list)
{
    json_t *object;
    struct stat status;

    if (!str_ends_with(str_from(name), STR(".key")) ||
        fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode))
        return true;
    object = json_object();
    return json_array_append_new(list, object) == 0 &&
           json_put(object, "name", json_from_str(str_from(name))) &&
           put_time(object, "changed_at", status.st_mtime) &&
           json_put(object, "age_days",
                    json_integer((json_int_t)((options->now_s - status.st_mtime) / DAY_S)));
}

static int compare_secrets(const void *a, const void *b)
{
    const json_t *const *left = a;
    const json_t *const *right = b;
    /* Times are of one form: they sort as text. */
    int order = str_compare(json_str(json_object_get(*left, "changed_at")),
                            json_str(json_object_get(*right, "changed_at")));

    return order != 0 ? order
                      : str_compare(json_str(json_object_get(*left, "name")),
                                    json_str(json_object_get(*right, "name")));
}

/* The oldest first. */
static bool sort_secrets(struct arena *arena, json_t *list)
{
    size_t count = json_array_size(list);
    json_t **items = arena_alloc_array(arena, count + 1, sizeof(json_t *));

    if (!items)
        return false;
    for (size_t i = 0; i < count; i++)
        items[i] = json_incref(json_array_get(list, i));
    if (count > 0)
        qsort(items, count, sizeof(json_t *), compare_secrets);
    for (size_t i = 0; i < count; i++)
        if (json_array_set_new(list, i, items[i]) != 0)
            return false;
    return true;
}

static bool add_secrets(const struct review_options *options, DIR *directory, json_t *list)
{
    const struct dirent *item;

    /* readdir() is safe: nobody else has this stream. */
    while ((item = readdir(directory)) != NULL) /* NOLINT(concurrency-mt-unsafe) */
        if (json_array_size(list) < SECRETS_MAX &&
            !add_secret(options, dirfd(directory), item->d_name, list))
            return false;
    return true;
}

/* Where the folder is not here, or not ours to read, their age is not known, and that is said. */
static bool put_secrets(const struct review_options *options, struct arena *arena, json_t *review)
{
    const struct config *config = options->source->config;
    const char *folder = config->is_catalog ? NULL : config->keys.directory;
    DIR *directory = folder ? opendir(folder) : NULL;
    json_t *list = json_array();
    bool is_put;

    if (!directory) {
        json_decref(list);
        return json_put(review, "secrets_unknown",
                        json_string(!folder ? "a catalog has no keys"
                                            : "the folder of the broker's keys cannot be read"));
    }
    is_put = json_put(review, "secrets", list) && add_secrets(options, directory, list) &&
             sort_secrets(arena, list);
    (void)closedir(directory); /* read-only, nothing to lose */
    return is_put;
}

bool review_add_surroundings(const struct review_options *options, struct arena *arena,
                             json_t *review, struct error *error)
{
    return (put_exceptions(options, arena, review) && put_people(options, review) &&
            put_secrets(options, arena, review)) ||
           error_set(error, ERROR_MEMORY, "no memory for a review");
}
