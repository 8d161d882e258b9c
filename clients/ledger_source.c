#include "clients/ledger_source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/bar.h"
#include "clients/ledger_source_internal.h"
#include "clients/log_files.h"
#include "clients/receipt.h"
#include "ledger/entry.h"
#include "store/store.h"

#define ARENA_MAX ((size_t)64 * 1024 * 1024) /* notes of a tail that goes on for months */
#define TIME_ARENA_MAX ((size_t)1024 * 1024)
#define BAR_ENTRIES_MIN 5000 /* what takes longer than a moment */
#define BAR_EACH 256

static const struct json_limits entry_limits = { (size_t)64 * 1024, 32, 4096 };

const struct option_row ledger_source_option_rows[] = {
    { .name = "ledger",
      .kind = OPTION_TEXT,
      .value = "WHERE",
      .environment = "STAGEPASS_LEDGER",
      .help = "A store (a folder or postgresql://), a mirror's folder, a file of\n"
              "                          `audit export`, or a broker's URL; "
              "else " LEDGER_SOURCE_DEFAULT,
      .offset = offsetof(struct ledger_source_options, ledger) },
    { .name = "key",
      .kind = OPTION_TEXT,
      .value = "KEY|FILE",
      .environment = "STAGEPASS_LEDGER_KEY",
      .help = "The ledger's verifier key, from a place that its operator does not write: "
              "checkpoints must be signed with it",
      .offset = offsetof(struct ledger_source_options, key) },
    { .name = "ca",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .environment = "STAGEPASS_CA",
      .help = "Certificates (PEM) that a broker's is to be signed by; else the system's",
      .offset = offsetof(struct ledger_source_options, ca_file) },
};
_Static_assert(COUNT(ledger_source_option_rows) == LEDGER_SOURCE_OPTION_COUNT,
               "as many as LEDGER_SOURCE_OPTION_COUNT says");

/* A store in a database has no folder: its log is where its broker writes it. */
static bool is_database(const char *name)
{
    return str_starts_with(str_from(name), STR("postgresql://")) ||
           str_starts_with(str_from(name), STR("postgres://"));
}

/* ---- a store ---- */

static void close_store(void *reader)
{
    store_reader_close(reader);
}

static bool refresh_store(struct ledger_source *source, struct error *error)
{
    if (!store_reader_refresh(source->reader, error))
        return false;
    source->size = store_reader_size(source->reader);
    return true;
}

static bool get_from_store(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                           struct error *error)
{
    return store_reader_get(source->reader, index, &item->entry,
                            source->wants_private ? &item->private_part : NULL, error);
}

static const struct ledger_ways store_ways = { refresh_store, get_from_store, NULL, NULL,
                                               close_store };

/* Entries that nobody has signed yet are entries all the same: without a checkpoint it goes on. */
static bool read_store_note(struct ledger_source *source, struct error *error)
{
    const char *log = file_join(source->arena, source->facts.name, "log");
    const char *path = log ? file_join(source->arena, log, "checkpoint") : NULL;
    struct checkpoint checkpoint;
    struct str note;

    if (!path)
        return error_set(error, ERROR_MEMORY, "no memory for a ledger");
    if (access(path, F_OK) == 0) {
        if (!file_read(source->arena, path, LEDGER_NOTE_MAX, &note, error))
            return false;
    } else if (!store_read_checkpoint(source->facts.name, source->arena, &note, error)) {
        return false;
    }
    return note.len == 0 || (ledger_source_read_note(source, note, &checkpoint, error) &&
                             ledger_source_put_note(source, note, &checkpoint, error));
}

bool ledger_source_open_store(struct ledger_source *source, struct error *error)
{
    struct store_reader *reader = NULL;
    const char *policies = file_join(source->arena, source->facts.name, "policies");

    /* The checkpoint first: the log may grow while we look, and what it covers stays. */
    if (!read_store_note(source, error) || !store_reader_open(source->facts.name, &reader, error))
        return false;
    source->facts.kind = LEDGER_STORE;
    source->facts.has_private = true;
    source->facts.policies = policies && access(policies, F_OK) == 0 ? policies : NULL;
    source->ways = &store_ways;
    source->reader = reader;
    source->size = store_reader_size(reader);
    return true;
}

/* ---- notes ---- */

bool ledger_source_read_note(const struct ledger_source *source, struct str note,
                             struct checkpoint *checkpoint, struct error *error)
{
    struct error why = { 0 };
    const struct note_trust trust = log_trust_view(&source->trust);
    bool is_read = trust.log_count > 0 ? checkpoint_check(note, &trust, checkpoint, NULL, &why)
                                       : receipt_read_checkpoint(note, checkpoint, &why);

    return is_read ||
           error_set(error, ERROR_INVALID, "%s: the checkpoint: %s", source->facts.name, why.cause);
}

bool ledger_source_put_note(struct ledger_source *source, struct str note,
                            const struct checkpoint *checkpoint, struct error *error)
{
    struct ledger_facts *facts = &source->facts;

    facts->note = arena_copy(source->arena, note);
    facts->origin = arena_copy(source->arena, checkpoint->origin);
    facts->signed_size = checkpoint->size;
    facts->root = checkpoint->root;
    facts->is_signature_checked = source->trust.log_count > 0;
    return (facts->note.data && facts->origin.data) ||
           error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
}

/* ---- opening ---- */

static bool holds(struct arena *arena, const char *folder, const char *name)
{
    const char *path = file_join(arena, folder, name);

    return path && access(path, F_OK) == 0;
}

/* The log beside a store whose entries are in a database: its tiles, and the kept policies. */
static bool open_log(struct ledger_source *source, const char *log, struct error *error)
{
    const char *policies = file_join(source->arena, source->facts.name, "policies");

    source->facts.name = log;
    if (!ledger_source_open_mirror(source, error))
        return false;
    source->facts.policies = policies && access(policies, F_OK) == 0 ? policies : NULL;
    return true;
}

/* A store has segments; a mirror is the checkpoint with its tiles. */
static bool open_folder(struct ledger_source *source, struct error *error)
{
    const char *name = source->facts.name;
    const char *log = file_join(source->arena, name, "log");

    if (!log)
        return error_set(error, ERROR_MEMORY, "no memory for a ledger");
    if (holds(source->arena, name, "segments"))
        return ledger_source_open_store(source, error);
    if (holds(source->arena, name, "checkpoint"))
        return ledger_source_open_mirror(source, error);
    if (holds(source->arena, log, "checkpoint"))
        return open_log(source, log, error);
    return ledger_source_open_store(source, error);
}

bool ledger_source_check_place(const char *name, bool *is_folder, struct error *error)
{
    struct stat status = { 0 };

    *is_folder = false;
    if (log_files_is_url(name) || is_database(name))
        return true;
    if (stat(name, &status) != 0)
        return errno == ENOENT
                   ? error_set(error, ERROR_IO,
                               "%s: there is no ledger; --ledger or STAGEPASS_LEDGER says where "
                               "one is",
                               name)
                   : error_set_errno(error, "%s", name);
    *is_folder = S_ISDIR(status.st_mode);
    return true;
}

static bool open_any(struct ledger_source *source, struct error *error)
{
    const char *name = source->facts.name;
    bool is_folder = false;

    if (!ledger_source_check_place(name, &is_folder, error))
        return false;
    if (log_files_is_url(name))
        return ledger_source_open_broker(source, error);
    if (is_database(name))
        return ledger_source_open_store(source, error);
    return is_folder ? open_folder(source, error) : ledger_source_open_export(source, error);
}

bool ledger_source_open(const struct ledger_source_options *options, struct ledger_source **source,
                        struct error *error)
{
    OWNED(ledger_source_close) struct ledger_source *made = calloc(1, sizeof(*made));

    if (!made)
        return error_set(error, ERROR_MEMORY, "no memory for a ledger");
    made->options = options;
    made->facts.name = options->ledger ? options->ledger : LEDGER_SOURCE_DEFAULT;
    made->arena = arena_new(ARENA_MAX);
    if (!made->arena)
        return error_set(error, ERROR_MEMORY, "no memory for a ledger");
    if (options->key && !log_trust_add_keys(&made->trust, options->key, made->arena, error))
        return false;
    if (!open_any(made, error))
        return false;
    *source = TAKE(made);
    return true;
}

void ledger_source_close(struct ledger_source *source)
{
    if (!source)
        return;
    if (source->reader)
        source->ways->close(source->reader);
    arena_free(source->arena);
    free(source);
}

/* ---- reading ---- */

const struct ledger_facts *ledger_source_facts(const struct ledger_source *source)
{
    return &source->facts;
}

uint64_t ledger_source_size(const struct ledger_source *source)
{
    return source->size;
}

void ledger_source_want_private(struct ledger_source *source)
{
    source->wants_private = true;
}

bool ledger_source_refresh(struct ledger_source *source, struct error *error)
{
    return source->ways->refresh(source, error);
}

bool ledger_source_get(struct ledger_source *source, uint64_t index, struct ledger_item *item,
                       struct error *error)
{
    *item = (struct ledger_item){ .index = index, .entry = STR("") };
    if (index >= source->size && source->facts.kind != LEDGER_STORE)
        return error_set(error, ERROR_NOT_FOUND, "there is no entry %" PRIu64 " in %s", index,
                         source->facts.name);
    return source->ways->get(source, index, item, error) ||
           error_wrap(error, "entry %" PRIu64, index);
}

bool ledger_source_get_with_private(struct ledger_source *source, uint64_t index,
                                    struct ledger_item *item, struct error *error)
{
    bool wants_private = source->wants_private;
    bool is_got;

    source->wants_private = true;
    is_got = ledger_source_get(source, index, item, error);
    source->wants_private = wants_private;
    return is_got;
}

/* Of a selection some are not there. */
static uint64_t next_index(const struct ledger_source *source, uint64_t index)
{
    return source->ways->next ? source->ways->next(source, index) : index;
}

static bool walk_all(struct ledger_source *source, const struct ledger_walk *walk, struct bar *bar,
                     struct error *error)
{
    uint64_t end = walk->to < source->size ? walk->to : source->size;

    for (uint64_t i = next_index(source, walk->from); i < end; i = next_index(source, i + 1)) {
        struct ledger_item item;

        if (!ledger_source_get(source, i, &item, error))
            return false;
        if (!walk->each(&item, walk->context, error))
            return error->code == ERROR_NONE;
        if (bar->what && (i - walk->from) % BAR_EACH == 0)
            bar_show((size_t)(i - walk->from), (size_t)(end - walk->from), bar);
    }
    return true;
}

bool ledger_source_walk(struct ledger_source *source, const struct ledger_walk *walk,
                        struct error *error)
{
    struct bar bar = { .what = walk->what, .total_min = BAR_ENTRIES_MIN };
    bool is_done = walk_all(source, walk, &bar, error);

    bar_end(&bar);
    return is_done;
}

static bool time_at(struct ledger_source *source, uint64_t index, int64_t *time_ms,
                    struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(TIME_ARENA_MAX);
    bool wants_private = source->wants_private;
    struct ledger_item item;
    const json_t *entry;
    bool is_got;

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory for an entry");
    source->wants_private = false;
    is_got = ledger_source_get(source, index, &item, error);
    source->wants_private = wants_private;
    if (is_got && store_entry_is_pruned(item.entry)) {
        *time_ms = INT64_MIN; /* before all that are left */
        return true;
    }
    if (!is_got || !ledger_item_parse(&item, arena, &entry, error))
        return false;
    *time_ms = ledger_entry_time_ms(entry);
    return true;
}

bool ledger_source_find_time(struct ledger_source *source, int64_t time_ms, uint64_t *index,
                             struct error *error)
{
    uint64_t low = 0;
    uint64_t high = source->size;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        uint64_t there = next_index(source, middle);
        int64_t found_ms = INT64_MAX;

        if (there < source->size && !time_at(source, there, &found_ms, error))
            return false;
        if (found_ms < time_ms)
            low = there + 1;
        else
            high = middle;
    }
    *index = low;
    return true;
}

/* ---- proofs ---- */

static bool write_proof(struct ledger_source *source, uint64_t index, struct buf *out,
                        struct error *error)
{
    const struct ledger_facts *facts = &source->facts;
    struct tlog_proof proof = { .index = index };
    struct ledger_item item;
    struct merkle_hash leaf;

    if (index >= facts->signed_size)
        return error_set(error, ERROR_NOT_FOUND,
                         "entry %" PRIu64 ": no checkpoint covers it: there is none, or none yet",
                         index);
    if (!source->ways->prove)
        return error_set(error, ERROR_USAGE, "%s has no tiles to make a proof of", facts->name);
    if (!ledger_source_get(source, index, &item, error))
        return false;
    leaf = entry_leaf(item.entry);
    if (!source->ways->prove(source, index, &proof, error))
        return false;
    if (!merkle_check_inclusion(index, facts->signed_size, &leaf, proof.hashes, proof.hash_count,
                                &facts->root))
        return error_set(error, ERROR_INVALID, "entry %" PRIu64 " is not in the checkpoint's tree",
                         index);
    proof.note = facts->note;
    tlog_proof_write(&proof, out);
    return buf_is_ok(out) || error_set(error, ERROR_LIMIT, "the proof is too large");
}

/* A store's tiles lie beside its segments; what they prove must be what the segments have. */
static bool prove_in_store(struct ledger_source *source, uint64_t index, struct buf *out,
                           struct error *error)
{
    OWNED(ledger_source_close) struct ledger_source *log = NULL;
    const struct ledger_source_options options = { .ledger = file_join(source->arena,
                                                                       source->facts.name, "log") };
    struct ledger_item ours;
    struct ledger_item theirs;

    if (is_database(source->facts.name))
        return error_set(error, ERROR_USAGE,
                         "a store in a database has its tiles in its brokers' folders: name `log` "
                         "of one, or a broker");
    if (!options.ledger)
        return error_set(error, ERROR_MEMORY, "no memory for a proof");
    if (!ledger_source_open(&options, &log, error) ||
        !ledger_source_get(source, index, &ours, error) || !write_proof(log, index, out, error) ||
        !ledger_source_get(log, index, &theirs, error))
        return false;
    return str_eq(ours.entry, theirs.entry) ||
           error_set(error, ERROR_INVALID, "entry %" PRIu64 " is another one in the tree", index);
}

bool ledger_source_prove(struct ledger_source *source, uint64_t index, struct buf *proof,
                         struct error *error)
{
    return source->facts.kind == LEDGER_STORE ? prove_in_store(source, index, proof, error)
                                              : write_proof(source, index, proof, error);
}

/* ---- entries ---- */

bool ledger_item_parse(const struct ledger_item *item, struct arena *arena, const json_t **entry,
                       struct error *error)
{
    struct error why = { 0 };
    json_t *parsed = NULL;

    if (store_entry_is_pruned(item->entry))
        return error_set(error, ERROR_INVALID,
                         "entry %" PRIu64 " was pruned: its hash is all that is left", item->index);
    if (!json_parse_object(item->entry, entry_limits, &parsed, &why))
        return error_set(error, ERROR_INVALID, "entry %" PRIu64 " is none: %s", item->index,
                         why.cause);
    if (!json_keep(arena, parsed, error))
        return false;
    *entry = parsed;
    return true;
}

const json_t *ledger_item_private(const struct ledger_item *item, struct arena *arena)
{
    struct error ignored = { 0 };
    json_t *parsed = NULL;

    if (item->private_part.len == 0 ||
        !json_parse_object(item->private_part, entry_limits, &parsed, &ignored) ||
        !json_keep(arena, parsed, &ignored))
        return NULL;
    return parsed;
}

int64_t ledger_entry_time_ms(const json_t *entry)
{
    int64_t time_ms = 0;

    return time_text_parse(json_str(json_object_get(entry, "time")), &time_ms) ? time_ms : 0;
}

/* ---- what was proven ---- */

static struct str root_text(const struct merkle_hash *root, struct arena *arena)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)root->bytes, MERKLE_HASH_LEN });
    return arena_copy(arena, buf_str(&text));
}

struct str ledger_source_say_proof(const struct ledger_source *source, struct arena *arena)
{
    const struct ledger_facts *facts = &source->facts;

    if (facts->kind == LEDGER_STORE)
        return STR("The ledger's tree was not verified: `stagepass audit verify` does that.");
    if (!facts->is_proven)
        return STR("Not proven: this export is a part of a ledger, and has no root.");
    return arena_printf(
        arena, "What was read is in the tree of %" PRIu64 " entries with root " STR_FMT "%s",
        facts->signed_size, STR_ARG(root_text(&facts->root, arena)),
        facts->is_signature_checked
            ? ", whose checkpoint your key verifies."
            : ". Who signed its checkpoint was not looked at: --key KEY does that.");
}

static const char *const kind_names[] = {
    [LEDGER_STORE] = "store",
    [LEDGER_MIRROR] = "mirror",
    [LEDGER_EXPORT] = "export",
    [LEDGER_BROKER] = "broker",
};

static json_t *json_from_root(const struct merkle_hash *root)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 64);
    buf_add_base64(&text, (struct str){ (const char *)root->bytes, MERKLE_HASH_LEN });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

json_t *ledger_source_json(const struct ledger_source *source)
{
    const struct ledger_facts *facts = &source->facts;
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "kind", json_string(kind_names[facts->kind])) ||
        !json_put(json, "size", json_integer((json_int_t)source->size)) ||
        !json_put(json, "is_proven", json_boolean(facts->is_proven)) ||
        !json_put(json, "is_signature_checked", json_boolean(facts->is_signature_checked)))
        return NULL;
    if (facts->note.len > 0 &&
        (!json_put(json, "origin", json_from_str(facts->origin)) ||
         !json_put(json, "signed_size", json_integer((json_int_t)facts->signed_size)) ||
         !json_put(json, "root", json_from_root(&facts->root))))
        return NULL;
    return TAKE(json);
}
