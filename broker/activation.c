#include "activation.h"

#include <string.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/time_text.h"
#include "ledger/archive.h"
#include "ledger/ledger.h"
#include "policy/policy.h"
#include "widening.h"

/* ---- keeping ---- */

static bool keep(const struct activation *activation, const struct archive_active *before,
                 struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(SIZE_MAX / 2);
    size_t count = policy_text_count(activation->policy);
    struct archive_file *files;

    _Static_assert(POLICY_FILE_NAME_MAX <= ARCHIVE_NAME_MAX, "what is loaded can be kept");
    if (!arena)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    files = arena_alloc_array(arena, count, sizeof(*files));
    if (!files)
        return error_set(error, ERROR_MEMORY, "keeping a policy");
    for (size_t i = 0; i < count; i++) {
        struct policy_text text = policy_text_at(activation->policy, i);

        files[i].name = text.name;
        files[i].path = text.path.data;
        memcpy(files[i].sha256, text.sha256, SHA256_LEN);
    }
    return file_make_folder(activation->folder, 0700, error) &&
           archive_keep(activation->folder, files, count, before->is_known ? before->sha256 : NULL,
                        error);
}

/* ---- the entry ---- */

static json_t *json_from_time(int64_t time_s)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(time_s, text);
    return json_string(text);
}

static json_t *json_from_exception(const struct policy_exception *exception)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "from", json_from_str(exception->guardrail),
                     "pipeline", json_from_str(exception->pipeline), "stage",
                     json_from_str(exception->stage), "until", json_from_time(exception->until_s),
                     "why", json_from_str(exception->why));
}

/* Those that still except; `*count` is how many there are. */
static bool put_exceptions(const struct activation *activation, json_t *entry, size_t *count)
{
    json_t *list = json_array();
    size_t bytes = 0;
    size_t total;
    const struct policy_exception *exceptions = policy_exceptions(activation->policy, &total);

    *count = 0;
    if (!json_put(entry, "exceptions", list))
        return false;
    for (size_t i = 0; i < total; i++) {
        if (exceptions[i].until_s <= activation->now_s)
            continue;
        (*count)++;
        if (!widening_add_bounded(list, json_from_exception(&exceptions[i]), &bytes))
            return false;
    }
    return true;
}

static bool put_widened(const struct activation *activation, const struct archive_active *before,
                        json_t *entry, size_t *count)
{
    const struct widening widening = {
        .after = activation->policy,
        .before = activation->previous,
        .before_sha256 = before->sha256,
        .folder = activation->folder,
        .world = activation->world,
        .now_s = activation->now_s,
    };

    *count = 0;
    return !before->is_known || widening_put(&widening, entry, count);
}

/* How many there are of everything: lists may have their beginning only. */
struct counts {
    size_t exceptions;
    size_t widened;
};

static bool put_counts(const struct policy *policy, const struct counts *counts, json_t *entry)
{
    const struct {
        const char *name;
        size_t count;
    } rows[] = {
        { "files", policy_text_count(policy) },   { "pipelines", policy_pipeline_count(policy) },
        { "stages", policy_stage_count(policy) }, { "exceptions", counts->exceptions },
        { "widened", counts->widened },
    };
    json_t *object = json_object();

    if (!json_put(entry, "counts", object))
        return false;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (!json_put(object, rows[i].name, json_integer((json_int_t)rows[i].count)))
            return false;
    return true;
}

static bool build(const struct activation *activation, const struct archive_active *before,
                  json_t *entry)
{
    struct counts counts;

    return json_put(entry, "policy", json_from_sha256(policy_sha256(activation->policy))) &&
           (!before->is_known || json_put(entry, "previous", json_from_sha256(before->sha256))) &&
           put_exceptions(activation, entry, &counts.exceptions) &&
           put_widened(activation, before, entry, &counts.widened) &&
           put_counts(activation->policy, &counts, entry) &&
           policy_put_provenance(activation->policy, entry);
}

static bool record(const struct activation *activation, const struct archive_active *before,
                   struct error *error)
{
    JSON_OWNED json_t *entry = entry_new(ENTRY_POLICY_ACTIVATED, ledger_broker(activation->ledger));

    if (!entry || !build(activation, before, entry))
        return error_set(error, ERROR_MEMORY, "entry");
    return ledger_record(activation->ledger, entry, error);
}

/* ---- all of it ---- */

/* What was in force before: what is, or at a start what the note says. */
static bool find_before(const struct activation *activation, struct archive_active *before,
                        struct error *error)
{
    if (!activation->previous)
        return archive_active(activation->folder, before, error);
    *before = (struct archive_active){ .is_known = true };
    memcpy(before->sha256, policy_sha256(activation->previous), SHA256_LEN);
    return true;
}

/* The entry says it already: without the note the next start only says it once more. */
static void note_active(const struct activation *activation)
{
    struct archive_active active = { .is_known = true, .time_s = activation->now_s };
    struct error error = { 0 };
    struct log_line line;

    memcpy(active.sha256, policy_sha256(activation->policy), SHA256_LEN);
    if (archive_set_active(activation->folder, &active, &error))
        return;
    log_begin(&line, LOG_LEVEL_WARN, "policy.active_not_noted");
    log_error(&line, &error);
    log_end(&line);
}

bool activation_record(const struct activation *activation, int64_t *activated_s,
                       struct error *error)
{
    struct archive_active before;

    if (!find_before(activation, &before, error) || !keep(activation, &before, error))
        return false;
    if (!activation->previous && before.is_known &&
        memcmp(before.sha256, policy_sha256(activation->policy), SHA256_LEN) == 0) {
        *activated_s = before.time_s;
        return true;
    }
    if (!record(activation, &before, error))
        return false;
    note_active(activation);
    *activated_s = activation->now_s;
    return true;
}
