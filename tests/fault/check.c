#include "tests/fault/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "ledger/audit.h"
#include "ledger/entry.h"
#include "ledger/merkle.h"

#define TOKENS_MAX 4096
#define CHECKER_TOKEN 3000

/* Threads: confined */
struct checker {
    const struct workplace *place;
    const struct history *history;
    struct ledger *ledger;
    uint64_t size;
    struct merkle_hash *leaves; /* `size` of them */
    struct merkle_hash *roots;  /* of the first 1, 2, ... entries */
    uint8_t issued[TOKENS_MAX]; /* how many credentials a token has in the log */
    bool is_erased[TOKENS_MAX]; /* the private part of a token's credential */
    char *why;
};

void history_add(struct history *history, const struct note *note)
{
    if (history->count < sizeof(history->notes) / sizeof(history->notes[0]))
        history->notes[history->count++] = note;
}

__attribute__((format(printf, 2, 3))) static bool refuse(struct checker *checker,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(checker->why, 512, format, arguments);
    va_end(arguments);
    return false;
}

/* The number of the token that an entry issues for, or false. */
static bool issued_token(struct str bytes, uint64_t *number)
{
    JSON_OWNED json_t *entry = NULL;
    struct error error = { 0 };
    struct str text = { 0 };
    unsigned value = 0;

    if (!entry_parse(bytes, &entry, &error) || !json_get_str(entry, "type", &text) ||
        !str_eq(text, STR("credential.issued")) || !json_get_str(entry, "lease", &text))
        return false;
    for (size_t i = 2; i < text.len; i++)
        value = value * 10 + (unsigned)(text.data[i] - '0');
    *number = value;
    return value < TOKENS_MAX;
}

static bool read_all(struct checker *checker)
{
    OWNED(store_reader_close) struct store_reader *reader = NULL;
    struct merkle_frontier frontier = { 0 };
    struct error error = { 0 };

    if (!store_reader_open(checker->place->store, &reader, &error))
        return refuse(checker, "cannot be read: %s", error.cause);
    checker->size = store_reader_size(reader);
    checker->leaves = calloc(checker->size + 1, sizeof(*checker->leaves));
    checker->roots = calloc(checker->size + 1, sizeof(*checker->roots));
    for (uint64_t i = 0; i < checker->size; i++) {
        struct str entry = { 0 };
        struct str part = { 0 };
        uint64_t number = 0;

        if (!store_reader_get(reader, i, &entry, &part, &error))
            return refuse(checker, "entry %" PRIu64 ": %s", i, error.cause);
        checker->leaves[i] = merkle_leaf(entry);
        merkle_frontier_add(&frontier, &checker->leaves[i]);
        checker->roots[i] = merkle_frontier_root(&frontier);
        if (issued_token(entry, &number)) {
            checker->issued[number]++;
            checker->is_erased[number] = part.data != NULL && part.len == 0;
        }
    }
    return true;
}

/* More than the workload ever opens. */
#define LEASES_MAX 1024

static bool check_held(struct checker *checker, const struct note *note)
{
    if (note->index >= checker->size)
        return refuse(checker,
                      "entry %" PRIu64 " was acknowledged and is lost: %" PRIu64 " are left",
                      note->index, checker->size);
    if (!merkle_hash_eq(&note->leaf, &checker->leaves[note->index]))
        return refuse(checker, "entry %" PRIu64 " is not the one that was acknowledged",
                      note->index);
    return true;
}

static bool check_shown(struct checker *checker, const struct note *note)
{
    if (note->index > checker->size)
        return refuse(checker, "a checkpoint of %" PRIu64 " was shown, %" PRIu64 " are left",
                      note->index, checker->size);
    if (note->index > 0 && !merkle_hash_eq(&note->leaf, &checker->roots[note->index - 1]))
        return refuse(checker, "the shown checkpoint of %" PRIu64 " has another root", note->index);
    return true;
}

/* A lease is counted, with all that its entries say. */
static bool check_lease(struct checker *checker, const struct note *note,
                        const struct store_lease *lease)
{
    struct store_lease found[LEASES_MAX];
    struct error error = { 0 };
    uint8_t key[STORE_KEY_LEN];
    size_t count = 0;
    size_t same_count = 0;

    if (note->kind == NOTE_RELEASED &&
        (lease->state != LEASE_RELEASED || lease->outcome != OUTCOME_SUCCESS))
        return refuse(checker,
                      "lease %" PRIu64 " was released with success and is in state %d, outcome %d",
                      note->number, (int)lease->state, (int)lease->outcome);
    if (note->kind == NOTE_ISSUED && lease->opened_index != note->index)
        return refuse(checker, "lease %" PRIu64 " was opened by entry %" PRIu64 ", not %" PRIu64,
                      note->number, note->index, lease->opened_index);
    workload_key(key);
    if (!ledger_live_of_stage(checker->ledger, key, found, COUNT(found), &count, &error))
        return refuse(checker, "leases of a stage: %s", error.cause);
    for (size_t i = 0; i < count; i++)
        same_count += memcmp(found[i].id, lease->id, ID_LEN) == 0;
    return same_count == (lease->state == LEASE_ISSUED ? 1 : 0) ||
           refuse(checker, "lease %" PRIu64 " of state %d is found %zu times among those that live",
                  note->number, (int)lease->state, same_count);
}

static bool check_token(struct checker *checker, const struct note *note)
{
    struct store_mark mark = { 0 };
    struct store_lease lease = { 0 };
    struct error error = { 0 };
    uint8_t key[32];
    char id[ID_LEN + 1];

    workload_mark(note->number, key);
    workload_id(note->number, id);
    if (!ledger_mark(checker->ledger, key, &mark, &error))
        return refuse(checker, "token %" PRIu64 " was used and is not any more", note->number);
    if (mark.first_index != note->index && note->kind == NOTE_ISSUED)
        return refuse(checker,
                      "token %" PRIu64 " was first used by entry %" PRIu64 ", not %" PRIu64,
                      note->number, note->index, mark.first_index);
    if (!ledger_lease_by_id(checker->ledger, str_from(id), &lease, &error))
        return refuse(checker, "lease %" PRIu64 " is gone", note->number);
    return check_lease(checker, note, &lease);
}

static bool check_note(struct checker *checker, const struct note *note)
{
    switch (note->kind) {
    case NOTE_ISSUED:
    case NOTE_RELEASED:
        return check_held(checker, note) && check_token(checker, note);
    case NOTE_WRITTEN:
        return check_held(checker, note);
    case NOTE_ERASED:
        return checker->is_erased[note->number] ||
               refuse(checker, "who used token %" PRIu64 " was erased and is back", note->number);
    case NOTE_SHOWN:
        return check_shown(checker, note);
    default:
        return true;
    }
}

static bool check_history(struct checker *checker)
{
    for (size_t i = 0; i < checker->history->count; i++) {
        if (!check_note(checker, checker->history->notes[i]))
            return false;
    }
    for (uint64_t i = 0; i < TOKENS_MAX; i++) {
        if (checker->issued[i] > 1)
            return refuse(checker, "token %" PRIu64 " has %d credentials", i, checker->issued[i]);
    }
    return true;
}

/* A token of the history again, which must be refused; and a new one, which must not. */
static bool check_goes_on(struct checker *checker)
{
    struct ledger_append append;
    struct error error = { 0 };

    for (uint64_t i = 0; i < TOKENS_MAX; i++) {
        if (checker->issued[i] == 0 || i == CHECKER_TOKEN)
            continue;
        if (workload_use(checker->ledger, i, &append, &error) || error.code != ERROR_INVALID)
            return refuse(checker, "token %" PRIu64 " could be used again (%s)", i, error.cause);
        break;
    }
    error = (struct error){ 0 };
    if (checker->issued[CHECKER_TOKEN] == 0 &&
        !workload_use(checker->ledger, CHECKER_TOKEN, &append, &error))
        return refuse(checker, "it takes no entries: %s", error.cause);
    return true;
}

static bool check_tree(struct checker *checker)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct note_verifier verifier = { 0 };
    const struct note_trust trust = { .logs = &verifier, .log_count = 1 };
    const struct audit_options options = { .folder = checker->place->store, .trust = &trust };
    struct audit_report report;
    struct error error = { 0 };

    if (!note_verifier_parse(str_from(checker->place->verifier_text), &verifier, &error) ||
        !audit_verify(&options, arena, &report, &error))
        return refuse(checker, "an auditor refuses it: %s", error.cause);
    if (report.entry_count < checker->size || report.checkpoint_size != report.entry_count)
        return refuse(checker, "the checkpoint has %" PRIu64 " of %" PRIu64 " entries",
                      report.checkpoint_size, report.entry_count);
    return true;
}

static bool check_open(struct checker *checker, enum check_start start, bool *is_over)
{
    struct error error = { 0 };

    *is_over = false;
    if (workload_open(checker->place, &checker->ledger, &error))
        return true;
    *is_over = true;
    if (start == CHECK_MAY_REFUSE && strlen(error.cause) > 10)
        return true;
    return refuse(checker, "it does not start: %s", error.cause);
}

bool check_store(const struct workplace *place, const struct history *history,
                 enum check_start start, char why[512])
{
    struct checker *checker = calloc(1, sizeof(*checker));
    bool is_over = false;
    bool is_good = false;

    checker->place = place;
    checker->history = history;
    checker->why = why;
    is_good = check_open(checker, start, &is_over);
    if (is_good && !is_over) {
        is_good = read_all(checker) && check_history(checker) && check_goes_on(checker);
        ledger_close(checker->ledger);
        is_good = is_good && check_tree(checker);
    }
    free(checker->leaves);
    free(checker->roots);
    free(checker);
    return is_good;
}
