#include "widening.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "config/jobs.h"
#include "ledger/archive.h"
#include "policy/diff.h"
#include "policy/policy.h"

#define DIAGNOSTICS_ARENA_MAX ((size_t)4 * 1024 * 1024)
#define PATH_ARENA_MAX ((size_t)64 * 1024)
#define DETAIL_MAX ((size_t)512)

/* ---- the policy before ---- */

/* It is only compared with, so that its dates may have passed; whatever else is wrong with it in
 * today's world makes it unknown. */
static bool load(const struct widening *widening, const char *folder, struct policy **policy,
                 struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(DIAGNOSTICS_ARENA_MAX);
    struct diagnostics diagnostics;
    const struct policy_load_options options = {
        .folder = folder,
        .world = widening->world,
        .diagnostics = &diagnostics,
        .run_jobs = jobs_run,
    };

    if (!arena)
        return error_set(error, ERROR_MEMORY, "the policy before");
    diagnostics_init(&diagnostics, arena);
    return policy_load(&options, policy, error);
}

static bool extract(const struct widening *widening, const char *folder, struct error *error)
{
    return file_remove_folder(folder, error) && /* a start that was cut off left it */
           file_make_folder(folder, 0700, error) &&
           archive_extract(widening->folder, widening->before_sha256, folder, error);
}

/* The next start tries again. */
static void remove_extracted(const char *folder)
{
    struct error error = { 0 };
    struct log_line line;

    if (file_remove_folder(folder, &error))
        return;
    log_begin(&line, LOG_LEVEL_WARN, "policy.previous_not_removed");
    log_error(&line, &error);
    log_end(&line);
}

static bool load_kept(const struct widening *widening, struct policy **policy, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    const char *folder = arena ? file_join(arena, widening->folder, "previous") : NULL;
    bool is_loaded;

    if (!folder)
        return error_set(error, ERROR_MEMORY, "the policy before");
    is_loaded = extract(widening, folder, error) && load(widening, folder, policy, error);
    remove_extracted(folder);
    return is_loaded;
}

/* ---- lists of an entry ---- */

bool widening_add_bounded(json_t *list, json_t *take_item, size_t *bytes)
{
    OWNED(buf_release) struct buf text = { 0 };

    if (!take_item)
        return false;
    buf_init(&text, WIDENING_BYTES_MAX);
    buf_add_json(&text, take_item);
    if (buf_is_ok(&text) && *bytes + text.len <= WIDENING_BYTES_MAX) {
        *bytes += text.len;
        return json_array_append_new(list, take_item) == 0;
    }
    *bytes = WIDENING_BYTES_MAX;
    json_decref(take_item);
    return true;
}

static json_t *json_from_change(const struct policy_change *change)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 256);
    buf_add_text(&text, change->subject);
    if (change->grant.len > 0)
        buf_printf(&text, ":" STR_FMT, STR_ARG(change->grant));
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

static bool put_changes(const struct policy_stage_diff *stage, json_t *object)
{
    json_t *list = json_array();

    if (!json_put(object, "what", list))
        return false;
    for (size_t i = 0; i < stage->change_count; i++)
        if (stage->changes[i].way == POLICY_WAY_WIDER &&
            json_array_append_new(list, json_from_change(&stage->changes[i])) != 0)
            return false;
    return true;
}

static json_t *json_from_stage(const struct policy_stage_diff *stage)
{
    json_t *object = json_object();

    if (json_put(object, "stage", json_from_str(stage->id)) && put_changes(stage, object))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *json_from_guardrail(const struct policy_change *change)
{
    return json_pack("{s:[o], s:o}", "what", json_from_change(change), "text",
                     json_from_str(change->text));
}

/* Guardrails first: each of them is of many stages. */
static bool put_list(const struct policy_diff *diff, json_t *entry, size_t *count)
{
    json_t *list = json_array();
    size_t bytes = 0;

    if (!json_put(entry, "widened", list))
        return false;
    for (size_t i = 0; i < diff->guardrail_count; i++) {
        if (diff->guardrails[i].way != POLICY_WAY_WIDER)
            continue;
        (*count)++;
        if (!widening_add_bounded(list, json_from_guardrail(&diff->guardrails[i]), &bytes))
            return false;
    }
    for (size_t i = 0; i < diff->stage_count; i++) {
        if (diff->stages[i].way != POLICY_WAY_WIDER)
            continue;
        (*count)++;
        if (!widening_add_bounded(list, json_from_stage(&diff->stages[i]), &bytes))
            return false;
    }
    return true;
}

/* ---- all of it ---- */

static bool put_unknown(const struct error *why, json_t *entry)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, DETAIL_MAX);
    buf_printf(&text, "what it widens is not known: %s", why->cause);
    return buf_is_ok(&text) && json_put(entry, "detail", json_from_str(buf_str(&text)));
}

bool widening_put(const struct widening *widening, json_t *entry, size_t *count)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    OWNED(policy_unref) struct policy *kept = NULL;
    struct policy_diff_options options = {
        .before = widening->before,
        .after = widening->after,
        .now_s = widening->now_s,
        .run_jobs = jobs_run,
    };
    struct error error = { 0 };
    struct policy_diff diff;

    *count = 0;
    if (!arena)
        return false;
    if (!widening->before && !load_kept(widening, &kept, &error))
        return put_unknown(&error, entry);
    if (kept)
        options.before = kept;
    if (!policy_diff(&options, arena, &diff, &error))
        return put_unknown(&error, entry);
    return put_list(&diff, entry, count);
}
