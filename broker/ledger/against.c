#include "ledger/against.h"

#include <inttypes.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"
#include "ledger/tile.h"

#define PROOF_START "c2sp.org/tlog-proof@"

static const struct json_limits receipt_limits = { AGAINST_BYTES_MAX, 32, 5000 };

static bool read_proof(struct against_item *item, const struct note_trust *trust,
                       struct error *error)
{
    item->is_receipt = true;
    if (!tlog_proof_parse(item->proof.note, &item->proof, error) ||
        !checkpoint_check(item->proof.note, trust, &item->checkpoint, NULL, error))
        return false;
    if (item->proof.index >= item->checkpoint.size)
        return error_set(error, ERROR_INVALID, "its index is behind its checkpoint");
    return !item->has_entry ||
           merkle_check_inclusion(item->proof.index, item->checkpoint.size, &item->leaf,
                                  item->proof.hashes, item->proof.hash_count,
                                  &item->checkpoint.root) ||
           error_set(error, ERROR_INVALID, "its proof is not of its entry");
}

static bool read_json(struct against_item *item, struct arena *arena, struct error *error)
{
    json_t *parsed = NULL;
    const json_t *entry = NULL;
    struct str bytes;

    if (!json_parse_object(item->text, receipt_limits, &parsed, error) ||
        !json_keep(arena, parsed, error))
        return false;
    entry = json_object_get(parsed, "entry");
    if (!json_get_str(parsed, "proof", &item->proof.note) || entry == NULL)
        return error_set(error, ERROR_SYNTAX, "expected \"entry\" and \"proof\"");
    /* Text is the exact bytes; an object gives them by the canonical form. */
    bytes = json_is_string(entry) ? json_str(entry) : json_text(arena, entry);
    if (bytes.data == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a receipt");
    item->has_entry = true;
    item->leaf = merkle_leaf(bytes);
    return true;
}

static bool read_item(struct against_item *item, const struct note_trust *trust,
                      struct arena *arena, struct error *error)
{
    if (item->text.len > AGAINST_BYTES_MAX)
        return error_set(error, ERROR_LIMIT, "more than %zu bytes", AGAINST_BYTES_MAX);
    if (str_starts_with(str_trim(item->text), STR("{")))
        return read_json(item, arena, error) && read_proof(item, trust, error);
    if (str_starts_with(item->text, STR(PROOF_START))) {
        item->proof.note = item->text;
        return read_proof(item, trust, error);
    }
    return checkpoint_check(item->text, trust, &item->checkpoint, NULL, error);
}

/* What comes next behind an index and a size. */
static void look_ahead(struct against *against, uint64_t from_index, uint64_t from_size)
{
    against->next_index = UINT64_MAX;
    against->next_size = UINT64_MAX;
    for (size_t i = 0; i < against->count; i++) {
        const struct against_item *item = &against->items[i];

        if (item->is_receipt && item->proof.index >= from_index &&
            item->proof.index < against->next_index)
            against->next_index = item->proof.index;
        if (item->checkpoint.size >= from_size && item->checkpoint.size < against->next_size)
            against->next_size = item->checkpoint.size;
    }
}

bool against_read(struct against *against, const struct note_trust *trust, struct arena *arena,
                  struct error *error)
{
    struct note_trust any_time = *trust;

    any_time.quorum = 0; /* witnesses may have come later */
    if (against->count > AGAINST_MAX)
        return error_set(error, ERROR_LIMIT, "more than %d files to hold the log against",
                         AGAINST_MAX);
    for (size_t i = 0; i < against->count; i++) {
        if (!read_item(&against->items[i], &any_time, arena, error))
            return error_wrap(error, "%s", against->items[i].name);
    }
    look_ahead(against, 0, 1);
    return true;
}

static bool refuse(const struct against_item *item, const char *what, struct error *error)
{
    return error_set(error, ERROR_INVALID, "%s: %s", item->name, what);
}

static bool check_leaf(const struct against_item *item, const struct merkle_hash *leaf,
                       struct error *error)
{
    if (item->has_entry)
        return merkle_hash_eq(leaf, &item->leaf) ||
               refuse(item, "the log has another entry than the receipt", error);
    return merkle_check_inclusion(item->proof.index, item->checkpoint.size, leaf,
                                  item->proof.hashes, item->proof.hash_count,
                                  &item->checkpoint.root) ||
           refuse(item, "the log does not hold this entry there", error);
}

bool against_leaf(struct against *against, uint64_t index, const struct merkle_hash *leaf,
                  struct error *error)
{
    if (index != against->next_index)
        return true;
    for (size_t i = 0; i < against->count; i++) {
        const struct against_item *item = &against->items[i];

        if (item->is_receipt && item->proof.index == index && !check_leaf(item, leaf, error))
            return false;
    }
    look_ahead(against, index + 1, against->next_size);
    return true;
}

bool against_edge(struct against *against, const struct tile_edge *edge, struct error *error)
{
    struct merkle_hash root;

    if (edge->size != against->next_size)
        return true;
    root = tile_edge_root(edge);
    for (size_t i = 0; i < against->count; i++) {
        const struct against_item *item = &against->items[i];

        if (item->checkpoint.size == edge->size && !merkle_hash_eq(&root, &item->checkpoint.root))
            return refuse(item, "the log is not the one that it was given on", error);
    }
    look_ahead(against, against->next_index, edge->size + 1);
    return true;
}

bool against_end(const struct against *against, uint64_t size, struct error *error)
{
    for (size_t i = 0; i < against->count; i++) {
        const struct against_item *item = &against->items[i];

        if (item->checkpoint.size > size)
            return error_set(error, ERROR_INVALID,
                             "%s: the log ends before its checkpoint, with %" PRIu64
                             " entries of %" PRIu64,
                             item->name, size, item->checkpoint.size);
    }
    return true;
}
