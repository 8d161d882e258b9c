#include "clients/inventory_source.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/broker_reader.h"
#include "clients/kept_policy.h"
#include "clients/work_folder.h"
#include "config/config.h"
#include "ledger/archive.h"
#include "ledger/projection.h"
#include "policy/inventory.h"
#include "policy/policy.h"
#include "store/index.h"
#include "store/store.h"

#define PAGE_ARENA_MAX ((size_t)64 * 1024 * 1024)
#define PATH_BYTES_MAX ((size_t)7 * 1024)
#define HASH_TEXT_MAX 128

/* An index that a broker is filling is waited for so often, so long. */
#define LOOKS 15
#define LOOK_MS 200

struct finding {
    const struct inventory_options *options;
    struct arena *arena;
    struct inventory_found *found;
    struct inventory_question question;

    struct ledger_source *ledger;
    struct work_folder folder;
    struct store_index *index;
    struct policy_source policy;
    struct buf hash; /* of the policy that was activated last, before `at` */

    size_t capacity;
    struct inventory_use *uses;
    bool has_memory;
};

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for an inventory");
}

/* ---- what is asked ---- */

static bool read_times(struct finding *finding, struct error *error)
{
    const struct inventory_options *options = finding->options;
    int64_t at_ms = options->now_ms;
    int64_t unused_ms = 0;

    if (options->at && !query_time(str_from(options->at), options->now_ms, &at_ms))
        return error_set(error, ERROR_USAGE,
                         "--at: expected a time (2026-11-22T10:00:00Z), a date, or 90d before now");
    if (options->unused && !query_time(str_from(options->unused), at_ms, &unused_ms))
        return error_set(error, ERROR_USAGE, "--unused: expected a duration (90d) or a time");
    finding->found->at_s = at_ms / 1000;
    finding->question.at_s = at_ms / 1000;
    finding->question.unused_since_s = unused_ms / 1000;
    finding->question.only_unused = options->unused != NULL;
    return true;
}

static void read_words(struct finding *finding)
{
    const struct inventory_options *options = finding->options;

    finding->question.environment = str_from(options->environment);
    finding->question.target = str_from(options->target);
    finding->question.owner = str_from(options->owner);
    finding->question.tenant = str_from(options->tenant);
    finding->question.pipeline = str_from(options->pipeline);
    finding->question.stage = str_from(options->stage);
}

/* ---- a store's own index ---- */

static bool is_of_ledger(struct finding *finding, const struct index_state *seen,
                         struct error *error)
{
    struct ledger_item item;
    uint8_t digest[SHA256_LEN];

    if (seen->size == 0 || seen->size > ledger_source_size(finding->ledger) ||
        !ledger_source_get(finding->ledger, seen->size - 1, &item, error))
        return false;
    sha256(item.entry, digest);
    return memcmp(digest, seen->last_sha256, SHA256_LEN) == 0;
}

/* One that has seen all that the ledger had when it was opened; else none. */
static bool open_own_index(struct finding *finding, const char *path)
{
    uint64_t size = ledger_source_size(finding->ledger);

    for (unsigned i = 0; i < LOOKS; i++) {
        struct error ignored = { 0 };
        struct index_state seen;

        if (i > 0)
            (void)poll(NULL, 0, LOOK_MS); /* a signal ends us, or shortens it: no harm */
        if (!store_index_open_to_read(path, PROJECTION_VERSION, &finding->index, &ignored))
            return false;
        if (store_index_begin(finding->index, &seen, &ignored) && seen.size >= size &&
            ledger_source_refresh(finding->ledger, &ignored) &&
            is_of_ledger(finding, &seen, &ignored)) {
            finding->found->size = seen.size;
            return true;
        }
        store_index_end(finding->index);
        store_index_close(TAKE(finding->index));
        if (i == 0 && seen.size + INDEX_CHUNK_ENTRIES < size)
            return false; /* nobody is about to catch up */
    }
    return false;
}

/* ---- an index that is made for this ---- */

struct making {
    struct finding *finding;
    struct projection *projection;
};

static void note_policy(struct finding *finding, const struct ledger_item *item)
{
    JSON_OWNED json_t *entry = NULL;
    struct error ignored = { 0 };

    if (!json_parse_object(item->entry, (struct json_limits){ STORE_ENTRY_MAX, 32, 4096 }, &entry,
                           &ignored) ||
        !str_eq(json_str(json_object_get(entry, "type")), STR("policy.activated")))
        return;
    buf_clear(&finding->hash);
    buf_add(&finding->hash, json_str(json_object_get(entry, "policy")));
}

/* Whether an entry may be an activation: looked for by its dot, of which entries have few. */
static bool names_activation(struct str bytes)
{
    static const struct str before = { "policy", 6 };
    static const struct str behind = { ".activated", 10 };

    for (size_t at = 0; at < bytes.len; at++) {
        at += str_find(str_slice(bytes, at, bytes.len), '.');
        if (at >= before.len && str_starts_with(str_slice(bytes, at, behind.len), behind) &&
            str_eq(str_slice(bytes, at - before.len, before.len), before))
            return true;
    }
    return false;
}

static bool take_in(const struct ledger_item *item, void *context, struct error *error)
{
    struct making *making = context;
    struct projection_entry entry = { .index = item->index, .bytes = item->entry };
    struct index_state ignored;

    if (names_activation(item->entry))
        note_policy(making->finding, item);
    if (projection_count(making->projection) == PROJECTION_BATCH_MAX &&
        (!projection_write(making->projection, error) ||
         !store_index_begin(making->finding->index, &ignored, error)))
        return false;
    return projection_add(making->projection, &entry, error);
}

static bool fold_all(struct finding *finding, struct projection *projection, struct error *error)
{
    struct making making = { finding, projection };
    struct ledger_walk walk = {
        .to = ledger_source_size(finding->ledger),
        .what = "counting",
        .each = take_in,
        .context = &making,
    };
    struct index_state state;

    if (finding->options->at &&
        !ledger_source_find_time(finding->ledger, (finding->found->at_s + 1) * 1000, &walk.to,
                                 error))
        return false;
    finding->found->size = walk.to;
    if (!store_index_begin(finding->index, &state, error) ||
        !ledger_source_walk(finding->ledger, &walk, error) ||
        (projection_count(projection) > 0 && !projection_write(projection, error)))
        return false;
    store_index_end(finding->index);
    return store_index_begin(finding->index, &state, error);
}

static bool make_index(struct finding *finding, struct error *error)
{
    OWNED(projection_free) struct projection *projection = NULL;
    const char *path;

    if (!work_folder_make(&finding->folder, finding->arena, error))
        return false;
    path = work_folder_file(&finding->folder, finding->arena, STORE_INDEX_NAME);
    if (!path)
        return no_memory(error);
    if (!store_index_open(path, PROJECTION_VERSION, &finding->index, error) ||
        !projection_new(finding->index, &projection, error))
        return false;
    projection_only_count(projection);
    return fold_all(finding, projection, error);
}

/* ---- which policy ---- */

static const char *kept_folder(const struct finding *finding)
{
    return finding->options->policies ? finding->options->policies
                                      : ledger_source_facts(finding->ledger)->policies;
}

/* Of a store's own index the last activation was not read on the way. Of another time none counts
 * but what was read. */
static bool note_active(struct finding *finding, struct error *error)
{
    struct archive_active active = { 0 };

    if (finding->hash.len > 0 || finding->options->at || !kept_folder(finding))
        return true;
    if (!archive_active(kept_folder(finding), &active, error))
        return false;
    if (!active.is_known)
        return true;
    buf_add_text(&finding->hash, KEPT_POLICY_PREFIX);
    buf_add_hex(&finding->hash, (struct str){ (const char *)active.sha256, SHA256_LEN });
    return buf_is_ok(&finding->hash) || no_memory(error);
}

static bool has_configuration(const struct policy_source_options *options)
{
    return options->config || options->catalog || access(POLICY_CATALOG_DEFAULT, F_OK) == 0 ||
           access(POLICY_CONFIG_DEFAULT, F_OK) == 0;
}

static bool load_policy(struct finding *finding, struct error *error)
{
    const struct operands *operands = finding->options->operands;
    struct policy_source *policy = &finding->policy;

    if (!has_configuration(finding->options->policy) && operands->count == 0) {
        finding->found->without = "what policies allow needs issuers and targets: --config or "
                                  "--catalog";
        return true;
    }
    if (!policy_source_load_world(policy, finding->options->policy, error) ||
        !note_active(finding, error))
        return false;
    if (operands->count == 0 && finding->hash.len > 0 && kept_folder(finding)) {
        finding->found->policy = arena_copy(finding->arena, buf_str(&finding->hash)).data;
        return kept_policy_load(policy, kept_folder(finding), buf_str(&finding->hash), error);
    }
    if (operands->count == 0 && finding->options->at) {
        finding->found->without = "the policy of that time is not kept here: --policies";
        return true;
    }
    if (!kept_policy_load_operand(policy, finding->ledger, operands, error))
        return false;
    finding->found->policy =
        arena_copy(finding->arena,
                   str_from(operands->count > 0 ? operands->items[0] : policy->folder))
            .data;
    return finding->found->policy || no_memory(error);
}

/* ---- the rows ---- */

static struct str copy(struct finding *finding, struct str text)
{
    struct str kept = arena_copy(finding->arena, text);

    finding->has_memory &= kept.data != NULL;
    return kept;
}

static bool make_room(struct finding *finding)
{
    size_t capacity = finding->capacity == 0 ? 1024 : 2 * finding->capacity;
    struct inventory_use *grown;

    if (finding->question.use_count < finding->capacity)
        return true;
    grown = arena_alloc_array(finding->arena, capacity, sizeof(*grown));
    if (!grown)
        return false;
    if (finding->question.use_count > 0)
        memcpy(grown, finding->uses, finding->question.use_count * sizeof(*grown));
    finding->uses = grown;
    finding->capacity = capacity;
    return true;
}

static bool gather(const struct ledger_use *use, void *context)
{
    struct finding *finding = context;

    finding->has_memory = make_room(finding);
    if (!finding->has_memory)
        return false;
    finding->uses[finding->question.use_count++] = (struct inventory_use){
        .stage = copy(finding, use->stage),
        .target = copy(finding, use->target),
        .grant = copy(finding, use->grant),
        .pipeline = copy(finding, use->pipeline),
        .owner = copy(finding, use->owner),
        .tenant = copy(finding, use->tenant),
        .environment = copy(finding, use->environment),
        .kind = copy(finding, use->kind),
        .type = copy(finding, use->type),
        .count = use->count,
        .failed = use->failed,
        .first_s = use->first_ms / 1000,
        .last_s = use->last_ms / 1000,
    };
    return finding->has_memory;
}

static bool put_rows(struct finding *finding, const struct inventory_row *rows, size_t count,
                     struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        json_t *object = inventory_json(&rows[i]);

        if (!object || json_array_append_new(finding->found->rows, object) != 0)
            return no_memory(error);
        if (!projection_put_identities(finding->index, rows[i].stage, object, error))
            return false;
    }
    return true;
}

static bool make_rows(struct finding *finding, struct error *error)
{
    struct inventory_row *rows = NULL;
    size_t count = 0;

    finding->has_memory = true;
    if (!projection_each_use(finding->index, NULL, gather, finding, error))
        return false;
    if (!finding->has_memory)
        return no_memory(error);
    finding->question.uses = finding->uses;
    finding->question.policy = finding->policy.policy;
    return inventory_make(&finding->question, finding->arena, &rows, &count, error) &&
           put_rows(finding, rows, count, error);
}

static void close_index(struct finding *finding)
{
    if (finding->index)
        store_index_end(finding->index);
    store_index_close(TAKE(finding->index));
}

/* A store's own index that turns out to be damaged is done without. */
static bool make_rows_anyhow(struct finding *finding, bool is_own, struct error *error)
{
    struct error why = { 0 };

    if (make_rows(finding, &why))
        return true;
    if (!is_own) {
        *error = why;
        return false;
    }
    close_index(finding);
    finding->question.use_count = 0;
    (void)json_array_clear(finding->found->rows); /* cannot fail with an array */
    return make_index(finding, error) && make_rows(finding, error);
}

static bool find_in_ledger(struct finding *finding, struct error *error)
{
    const char *path;
    bool is_own;

    if (!ledger_source_open(finding->options->ledger, &finding->ledger, error))
        return false;
    path = file_join(finding->arena, ledger_source_facts(finding->ledger)->name, STORE_INDEX_NAME);
    if (!path)
        return no_memory(error);
    is_own = !finding->options->at && ledger_source_facts(finding->ledger)->kind == LEDGER_STORE &&
             open_own_index(finding, path);
    if (!is_own && !make_index(finding, error))
        return false;
    return load_policy(finding, error) && make_rows_anyhow(finding, is_own, error);
}

static void release(struct finding *finding)
{
    close_index(finding);
    work_folder_remove(&finding->folder);
    policy_source_release(&finding->policy);
    ledger_source_close(finding->ledger);
    buf_release(&finding->hash);
}

/* ---- a broker ---- */

static void add_word(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(path, "&%s=", name);
    buf_add_percent(path, str_from(value));
}

static void write_path(const struct inventory_options *options, struct str cursor, struct buf *path)
{
    buf_add_text(path, "/api/v1/inventory?limit=1000");
    add_word(path, "environment", options->environment);
    add_word(path, "target", options->target);
    add_word(path, "owner", options->owner);
    add_word(path, "tenant", options->tenant);
    add_word(path, "pipeline", options->pipeline);
    add_word(path, "stage", options->stage);
    add_word(path, "unused", options->unused);
    if (cursor.len > 0) {
        buf_add_text(path, "&cursor=");
        buf_add_percent(path, cursor);
    }
}

static bool take_page(struct finding *finding, const json_t *body, struct error *error)
{
    const json_t *rows = json_object_get(body, "rows");

    for (size_t i = 0; i < json_array_size(rows); i++)
        if (json_array_append(finding->found->rows, json_array_get(rows, i)) != 0)
            return no_memory(error);
    finding->found->size = (uint64_t)json_integer_value(json_object_get(body, "as_of"));
    finding->found->policy =
        arena_copy(finding->arena, json_str(json_object_get(body, "policy"))).data;
    return json_is_array(rows) ||
           error_set(error, ERROR_INVALID, "the broker's answer has no inventory");
}

static bool ask_all(struct finding *finding, struct broker_reader *reader, struct error *error)
{
    struct str cursor = { 0 };

    do {
        OWNED(arena_free) struct arena *arena = arena_new(PAGE_ARENA_MAX);
        OWNED(buf_release) struct buf path = { 0 };
        const json_t *body = NULL;

        buf_init(&path, PATH_BYTES_MAX);
        write_path(finding->options, cursor, &path);
        if (!arena)
            return no_memory(error);
        if (!buf_is_ok(&path))
            return error_set(error, ERROR_USAGE, "that is too much to ask a broker at once");
        if (!broker_reader_get(reader, path.data, arena, &body, error) ||
            !take_page(finding, body, error))
            return false;
        cursor = arena_copy(finding->arena, json_str(json_object_get(body, "next")));
    } while (cursor.len > 0);
    return true;
}

static bool find_at_broker(struct finding *finding, struct error *error)
{
    OWNED(broker_reader_release) struct broker_reader reader = { 0 };

    if (finding->options->at || finding->options->operands->count > 0)
        return error_set(
            error, ERROR_USAGE,
            "a broker says what is now, by the policy in force: --at and a policy need "
            "the store or a copy of it");
    return broker_reader_open(&reader, finding->options->ledger->ledger,
                              finding->options->ledger->ca_file, error) &&
           ask_all(finding, &reader, error);
}

bool inventory_find(const struct inventory_options *options, struct arena *arena,
                    struct inventory_found *found, struct error *error)
{
    struct finding finding = { .options = options, .arena = arena, .found = found };
    bool is_good;

    *found = (struct inventory_found){ .rows = json_array() };
    if (!found->rows || !json_keep(arena, found->rows, error))
        return no_memory(error);
    if (!read_times(&finding, error))
        return false;
    read_words(&finding);
    buf_init(&finding.hash, HASH_TEXT_MAX);
    is_good = broker_reader_is_url(options->ledger->ledger) ? find_at_broker(&finding, error)
                                                            : find_in_ledger(&finding, error);
    release(&finding);
    return is_good;
}
