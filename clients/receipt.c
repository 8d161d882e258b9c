#include "clients/receipt.h"

#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/answer.h"
#include "clients/broker.h"
#include "clients/log_trust.h"
#include "ledger/merkle.h"
#include "upstream/upstream.h"

#define FETCH_TIMEOUT_MS 5000

static const struct json_limits receipt_limits = { RECEIPT_BYTES_MAX, 4, 16 };
static const struct json_limits entry_limits = { (size_t)64 * 1024, 32, 2000 };

bool receipt_read_checkpoint(struct str note, struct checkpoint *checkpoint, struct error *error)
{
    uint8_t root[BASE64_DECODED_MAX(44)];
    struct str line;
    int64_t size;
    size_t len;

    if (!str_cut(note, '\n', &checkpoint->origin, &note) || !str_cut(note, '\n', &line, &note) ||
        !str_to_int64(line, &size) || size < 0)
        return error_set(error, ERROR_SYNTAX, "the checkpoint has no size");
    checkpoint->size = (uint64_t)size;
    (void)str_cut(note, '\n', &line, &note);
    if (line.len != 44 || !base64_decode(line, root, &len) || len != MERKLE_HASH_LEN)
        return error_set(error, ERROR_SYNTAX, "the checkpoint has no root");
    memcpy(checkpoint->root.bytes, root, MERKLE_HASH_LEN);
    return true;
}

static bool check_inclusion(const struct tlog_proof *proof, struct receipt *receipt,
                            struct error *error)
{
    struct merkle_hash leaf = merkle_leaf(receipt->entry);

    if (!receipt_read_checkpoint(proof->note, &receipt->checkpoint, error))
        return false;
    if (!merkle_check_inclusion(proof->index, receipt->checkpoint.size, &leaf, proof->hashes,
                                proof->hash_count, &receipt->checkpoint.root))
        return error_set(error, ERROR_INVALID, "the entry is not in the checkpoint");
    return true;
}

/* It must be about what we got. */
static bool check_entry(const struct receipt *receipt, const struct answer *answer,
                        struct error *error)
{
    struct merkle_hash leaf = merkle_leaf(receipt->entry);
    JSON_OWNED json_t *entry = NULL;
    struct str lease;

    if (memcmp(leaf.bytes, answer->leaf_hash, MERKLE_HASH_LEN) != 0)
        return error_set(error, ERROR_INVALID,
                         "the entry is not the one that the broker announced");
    if (!json_parse_object(receipt->entry, entry_limits, &entry, error))
        return error_wrap(error, "the entry");
    if (!json_get_str(entry, "lease", &lease) || !str_eq(lease, answer->lease))
        return error_set(error, ERROR_INVALID, "the entry is another lease's");
    return true;
}

bool receipt_read(struct str body, const struct answer *answer, const struct log_trust *trust,
                  struct arena *arena, struct receipt *receipt, struct error *error)
{
    struct note_trust keys;
    struct tlog_proof proof;
    json_t *json;

    *receipt = (struct receipt){ .is_signature_checked = trust != NULL };
    if (!json_parse_object(body, receipt_limits, &json, error) || !json_keep(arena, json, error))
        return false;
    if (!json_get_str(json, "entry", &receipt->entry) ||
        !json_get_str(json, "proof", &receipt->proof))
        return error_set(error, ERROR_SYNTAX, "expected 'entry' and 'proof'");
    if (!check_entry(receipt, answer, error) || !tlog_proof_parse(receipt->proof, &proof, error))
        return false;
    if (proof.index != answer->ledger_index)
        return error_set(error, ERROR_INVALID, "the proof is of another index");
    if (!trust)
        return check_inclusion(&proof, receipt, error);
    keys = log_trust_view(trust);
    return tlog_proof_check(receipt->proof, receipt->entry, &keys, &receipt->checkpoint, NULL,
                            error);
}

/* On the upstream thread. */
static void keep(const struct upstream_response *response, void *context)
{
    struct receipt_fetch *fetch = context;
    uint64_t one = 1;

    if (response->outcome == UPSTREAM_ANSWERED) {
        fetch->status = response->status;
        buf_add(&fetch->body, response->body);
    } else {
        (void)snprintf(fetch->cause, sizeof(fetch->cause), "%s", response->error.cause);
    }
    if (write(fetch->descriptor, &one, sizeof(one)) < 0)
        return; /* whoever waits has a deadline */
}

bool receipt_fetch_start(struct receipt_fetch *fetch, const struct broker *broker,
                         const struct answer *answer, struct arena *arena, struct error *error)
{
    struct str path = arena_printf(arena, "/api/v1/receipts/" STR_FMT, STR_ARG(answer->lease));
    struct str bearer =
        arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(answer->handle));
    struct str url = path.data ? broker_path(broker, path.data, arena) : path;
    struct upstream_request request = {
        .method = "GET",
        .url = url.data,
        .headers = { bearer.data, "Accept: application/json" },
        .peer = broker->peer,
        .total_timeout_ms = FETCH_TIMEOUT_MS,
        .response_max_bytes = RECEIPT_BYTES_MAX,
        .done = keep,
        .context = fetch,
    };

    if (!url.data || !bearer.data)
        return error_set(error, ERROR_MEMORY, "no memory for a receipt");
    buf_init(&fetch->body, RECEIPT_BYTES_MAX);
    fetch->descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fetch->descriptor < 0)
        return error_set_errno(error, "cannot wait for a receipt");
    return upstream_submit(broker->upstream, &request, error);
}

bool receipt_fetch_take(struct receipt_fetch *fetch)
{
    uint64_t count;
    bool is_there = fetch->descriptor >= 0 &&
                    read(fetch->descriptor, &count, sizeof(count)) == (ssize_t)sizeof(count);

    if (!is_there)
        return false;
    (void)close(fetch->descriptor); /* looked at once */
    fetch->descriptor = -1;
    return true;
}

void receipt_fetch_release(struct receipt_fetch *fetch)
{
    if (fetch->descriptor >= 0)
        (void)close(fetch->descriptor); /* nobody waits any more */
    buf_release(&fetch->body);
    fetch->descriptor = -1;
}
