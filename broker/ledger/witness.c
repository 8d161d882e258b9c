#include "ledger/witness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "ledger/note_internal.h"
#include "ledger/publication.h"

#define ADD_CHECKPOINT "/add-checkpoint"
#define URL_BYTES_MAX 1024
#define ANSWER_BYTES_MAX NOTE_BYTES_MAX
#define BODY_BYTES_MAX (NOTE_BYTES_MAX + (size_t)MERKLE_PROOF_MAX * 45 + 64)
#define PAUSE_DOUBLINGS_MAX 12
/* A witness that tells another size each time is not asked for ever. */
#define CORRECTIONS_MAX 3

struct witness {
    struct watcher watcher;
    const struct witness_options *options;
    struct witnesses *all;

    /* what it was asked */
    struct publication *asked; /* NULL: for its size only */
    uint64_t asked_old;

    /* how it stands */
    bool knows_size;
    uint64_t size; /* the tree it saw last, as far as we know */
    unsigned failures;
    unsigned corrections;
    int64_t due_ms;

    /* its latest cosignature */
    char *line;
    size_t line_len;
    uint64_t line_size;
    int64_t line_ms; /* when it came, of the clock for intervals */
};

struct witnesses {
    struct witnesses_options options;
    struct watchers watchers;
    struct witness list[NOTE_WITNESSES_MAX];
    struct str empty_note; /* while they are probed */
    bool has_news;
};

bool witnesses_new(const struct witnesses_options *options, struct witnesses **out,
                   struct error *error)
{
    struct witnesses *witnesses = calloc(1, sizeof(*witnesses));

    if (witnesses == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for witnesses");
    if (!watchers_init(&witnesses->watchers, options->upstream, options->answered, error)) {
        free(witnesses);
        return false;
    }
    witnesses->options = *options;
    for (size_t i = 0; i < options->count; i++) {
        struct witness *witness = &witnesses->list[i];

        witness->options = &options->list[i];
        witness->all = witnesses;
        watcher_init(&witness->watcher, &witnesses->watchers, witness->options->name,
                     &witness->options->peer, ANSWER_BYTES_MAX);
    }
    *out = witnesses;
    return true;
}

void witnesses_free(struct witnesses *witnesses)
{
    if (witnesses == NULL)
        return;
    for (size_t i = 0; i < witnesses->options.count; i++) {
        publication_put(witnesses->list[i].asked);
        watcher_release(&witnesses->list[i].watcher);
        free(witnesses->list[i].line);
    }
    watchers_release(&witnesses->watchers);
    free(witnesses);
}

void witnesses_stop(struct witnesses *witnesses)
{
    if (witnesses != NULL)
        watchers_stop(&witnesses->watchers);
}

static bool submit(struct witness *witness, struct str body, struct error *error)
{
    char url[URL_BYTES_MAX];
    struct upstream_request request = {
        .method = "POST",
        .url = url,
        .body = body,
        .headers = { "Content-Type: text/plain; charset=utf-8" },
    };

    (void)snprintf(url, sizeof(url), "%s" ADD_CHECKPOINT, witness->options->url);
    return watcher_ask(&witness->watcher, &request, error);
}

/* Source: C2SP tlog-witness, "add-checkpoint" */
static void write_body(uint64_t old, const struct merkle_hash *proof, size_t count, struct str note,
                       struct buf *body)
{
    buf_printf(body, "old %" PRIu64 "\n", old);
    for (size_t i = 0; i < count; i++) {
        buf_add_base64(body, (struct str){ (const char *)proof[i].bytes, MERKLE_HASH_LEN });
        buf_add_text(body, "\n");
    }
    buf_add_text(body, "\n");
    buf_add(body, note);
}

static void fail(struct witness *witness, enum watcher_state state, const char *cause,
                 int64_t now_ms)
{
    unsigned doublings =
        witness->failures < PAUSE_DOUBLINGS_MAX ? witness->failures : PAUSE_DOUBLINGS_MAX;
    int64_t pause_ms = (int64_t)WITNESS_PAUSE_MS << doublings;

    witness->failures++;
    witness->corrections = 0;
    witness->due_ms = now_ms + (pause_ms < WITNESS_PAUSE_MAX_MS ? pause_ms : WITNESS_PAUSE_MAX_MS);
    watcher_set_state(&witness->watcher, state, cause);
}

/* Ask for a cosignature of `publication`, or with NULL for the size that it saw. */
static void ask(struct witness *witness, struct publication *publication, int tiles, int64_t now_ms)
{
    struct merkle_hash proof[MERKLE_PROOF_MAX];
    OWNED(buf_release) struct buf body = { 0 };
    struct error error = { 0 };
    struct publication_hashes hashes = { publication, tiles, &error };
    struct str note =
        publication == NULL ? witness->all->empty_note : publication_note(publication);
    size_t count = 0;

    witness->asked_old = publication == NULL ? 0 : witness->size;
    if (publication != NULL && witness->size > 0 && witness->size < publication->size &&
        !merkle_prove_consistency(publication_lookup, &hashes, witness->size, publication->size,
                                  proof, &count)) {
        fail(witness, WATCHER_FAILING, "no consistency proof for it: the tiles do not fit", now_ms);
        return;
    }
    buf_init(&body, BODY_BYTES_MAX);
    write_body(witness->asked_old, proof, count, note, &body);
    if (!buf_is_ok(&body) || !submit(witness, buf_str(&body), &error)) {
        fail(witness, WATCHER_FAILING, error.cause, now_ms);
        return;
    }
    witness->asked = publication_ref(publication);
}

void witnesses_probe(struct witnesses *witnesses, struct str empty)
{
    witnesses->empty_note = empty;
    for (size_t i = 0; i < witnesses->options.count; i++)
        ask(&witnesses->list[i], NULL, -1, 0);
}

/* It saw a longer log than the one that is newest here: another broker's, unless nobody has it. */
static void note_longer(struct witness *witness, int64_t now_ms)
{
    const struct witnesses_options *options = &witness->all->options;

    if (options->has_entries(options->context, witness->size))
        witness->due_ms = now_ms + WITNESS_PAUSE_MS;
    else
        fail(witness, WATCHER_CONFLICT, "it has cosigned more entries than this log has", now_ms);
}

/* It has our newest checkpoint, and no need to renew. */
static bool is_content(const struct witness *witness, uint64_t size, int64_t now_ms)
{
    return witness->line != NULL && witness->line_size == size &&
           now_ms - witness->line_ms < WITNESS_RENEW_MS;
}

void witnesses_ask(struct witnesses *witnesses, struct publication *newest, int tiles,
                   int64_t now_ms)
{
    for (size_t i = 0; i < witnesses->options.count; i++) {
        struct witness *witness = &witnesses->list[i];

        if (witness->watcher.is_asked || witness->due_ms > now_ms ||
            is_content(witness, newest->size, now_ms))
            continue;
        if (witness->size > newest->size)
            note_longer(witness, now_ms);
        else
            ask(witness, newest, tiles, now_ms);
    }
}

/* Which cosignature is the latest: never one that is older than the one before. */
static bool check_time(const struct witness *witness, int64_t time_s, int64_t wall_s)
{
    return time_s >= witness->watcher.status.cosigned_s && time_s >= wall_s - WITNESS_SKEW_S &&
           time_s <= wall_s + WITNESS_SKEW_S;
}

static bool keep_line(struct witness *witness, struct str line)
{
    char *copy = malloc(line.len);

    if (copy == NULL)
        return false;
    memcpy(copy, line.data, line.len);
    free(witness->line);
    witness->line = copy;
    witness->line_len = line.len;
    return true;
}

static void note_cosigned(struct witness *witness, uint64_t size, int64_t time_s)
{
    watcher_set_tree(&witness->watcher, size, time_s);
    watcher_set_state(&witness->watcher, WATCHER_GOOD, "");
}

/* 200: it says that it has cosigned what we sent. */
static void take_cosignature(struct witness *witness, int64_t now_ms, int64_t wall_s)
{
    const struct publication *asked = witness->asked;
    struct error error = { 0 };
    struct str line = { 0 };
    int64_t time_s = 0;
    struct str note = asked == NULL ? witness->all->empty_note : publication_note(asked);

    if (!note_cosignature_find(buf_str(&witness->watcher.body), note_text(note),
                               &witness->options->verifier, &line, &time_s, &error)) {
        fail(witness, WATCHER_FAILING, error.cause, now_ms);
        return;
    }
    if (!check_time(witness, time_s, wall_s)) {
        fail(witness, WATCHER_FAILING, "the time of its cosignature is not now", now_ms);
        return;
    }
    witness->knows_size = true;
    witness->size = asked == NULL ? 0 : asked->size;
    witness->failures = 0;
    witness->corrections = 0;
    witness->due_ms = 0;
    if (asked == NULL)
        return;
    if (!keep_line(witness, line)) {
        fail(witness, WATCHER_FAILING, "no memory for a cosignature", now_ms);
        return;
    }
    witness->line_size = asked->size;
    witness->line_ms = now_ms;
    witness->all->has_news = true;
    note_cosigned(witness, asked->size, time_s);
}

/* 409: it saw another size last. */
static void take_size(struct witness *witness, int64_t now_ms)
{
    struct str text = str_trim(buf_str(&witness->watcher.body));
    uint64_t size = 0;

    if (!note_parse_u64(text, &size)) {
        fail(witness, WATCHER_FAILING, "status 409 without a size", now_ms);
        return;
    }
    if (witness->asked != NULL && size == witness->asked_old) {
        /* Nothing is wrong with the size: then it is the root. */
        fail(witness, WATCHER_CONFLICT, "it has cosigned another tree of this size", now_ms);
        return;
    }
    witness->knows_size = true;
    witness->size = size;
    witness->due_ms = 0;
    if (witness->asked != NULL && size > witness->asked->size)
        note_longer(witness, now_ms);
    else if (++witness->corrections > CORRECTIONS_MAX)
        fail(witness, WATCHER_FAILING, "it tells another size each time", now_ms);
}

static void take_refusal(struct witness *witness, int status, int64_t now_ms)
{
    static const struct {
        int status;
        enum watcher_state state;
        const char *cause;
    } refusals[] = {
        { 400, WATCHER_FAILING, "status 400: it does not understand us" },
        { 403, WATCHER_FAILING, "status 403: it does not trust the log's key" },
        { 404, WATCHER_FAILING, "status 404: it does not know the log's origin" },
        { 422, WATCHER_CONFLICT, "status 422: what it has cosigned is not part of this log" },
    };
    char cause[64];

    for (size_t i = 0; i < COUNT(refusals); i++) {
        if (refusals[i].status != status)
            continue;
        fail(witness, refusals[i].state, refusals[i].cause, now_ms);
        return;
    }
    (void)snprintf(cause, sizeof(cause), "status %d", status);
    fail(witness, WATCHER_FAILING, cause, now_ms);
}

/* The answer is whole and nobody else's any more: the next request is not sent yet. */
static void take_answer(struct witness *witness, int64_t now_ms, int64_t wall_s)
{
    const struct watcher *answer = &witness->watcher;

    if (answer->outcome != UPSTREAM_ANSWERED)
        fail(witness, WATCHER_FAILING, answer->cause, now_ms);
    else if (!buf_is_ok(&answer->body))
        fail(witness, WATCHER_FAILING, "no memory for its answer", now_ms);
    else if (answer->http_status == 200)
        take_cosignature(witness, now_ms, wall_s);
    else if (answer->http_status == 409)
        take_size(witness, now_ms);
    else
        take_refusal(witness, answer->http_status, now_ms);
    publication_put(witness->asked);
    witness->asked = NULL;
}

bool witnesses_take(struct witnesses *witnesses, int64_t now_ms, int64_t wall_s)
{
    bool had_news = false;

    for (size_t i = 0; i < witnesses->options.count; i++) {
        struct witness *witness = &witnesses->list[i];

        if (watcher_take(&witness->watcher))
            take_answer(witness, now_ms, wall_s);
    }
    had_news = witnesses->has_news;
    witnesses->has_news = false;
    return had_news;
}

void witnesses_take_up(struct witnesses *witnesses, struct str note, uint64_t size)
{
    struct str text = note_text(note);
    struct str lines = str_slice(note, text.len + 1, note.len);

    for (size_t i = 0; i < witnesses->options.count; i++) {
        struct witness *witness = &witnesses->list[i];
        struct error ignored = { 0 };
        struct str line = { 0 };
        int64_t time_s = 0;

        if (!note_cosignature_find(lines, text, &witness->options->verifier, &line, &time_s,
                                   &ignored) ||
            !keep_line(witness, line))
            continue;
        witness->line_size = size;
        witness->line_ms = INT64_MIN / 2; /* long ago: it is asked anew */
        note_cosigned(witness, size, time_s);
    }
}

size_t witnesses_cosigned(const struct witnesses *witnesses, uint64_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < witnesses->options.count; i++) {
        const struct witness *witness = &witnesses->list[i];

        count += witness->line != NULL && witness->line_size == size ? 1 : 0;
    }
    return count;
}

void witnesses_write(const struct witnesses *witnesses, uint64_t size, struct buf *note)
{
    for (size_t i = 0; i < witnesses->options.count; i++) {
        const struct witness *witness = &witnesses->list[i];

        if (witness->line == NULL || witness->line_size != size)
            continue;
        buf_add(note, (struct str){ witness->line, witness->line_len });
        buf_add_text(note, "\n");
    }
}

bool witnesses_are_asked(const struct witnesses *witnesses, bool any)
{
    for (size_t i = 0; i < witnesses->options.count; i++) {
        if (witnesses->list[i].watcher.is_asked && (any || witnesses->list[i].failures == 0))
            return true;
    }
    return false;
}

int64_t witnesses_due_ms(const struct witnesses *witnesses, uint64_t size)
{
    int64_t due_ms = INT64_MAX;

    for (size_t i = 0; i < witnesses->options.count; i++) {
        const struct witness *witness = &witnesses->list[i];
        int64_t own_ms = witness->due_ms;

        if (witness->watcher.is_asked)
            continue;
        if (witness->line != NULL && witness->line_size == size &&
            witness->line_ms + WITNESS_RENEW_MS > own_ms)
            own_ms = witness->line_ms + WITNESS_RENEW_MS;
        due_ms = own_ms < due_ms ? own_ms : due_ms;
    }
    return due_ms;
}

size_t witnesses_sizes(const struct witnesses *witnesses, uint64_t *largest, struct str *whose)
{
    size_t count = 0;

    *largest = 0;
    *whose = (struct str){ 0 };
    for (size_t i = 0; i < witnesses->options.count; i++) {
        const struct witness *witness = &witnesses->list[i];

        count += witness->knows_size ? 1 : 0;
        if (!witness->knows_size || witness->size <= *largest)
            continue;
        *largest = witness->size;
        *whose = witness->options->name;
    }
    return count;
}

const char *witnesses_conflict(const struct witnesses *witnesses)
{
    for (size_t i = 0; i < witnesses->options.count; i++) {
        if (witnesses->list[i].watcher.status.state == WATCHER_CONFLICT)
            return witnesses->list[i].watcher.status.cause;
    }
    return NULL;
}

size_t witnesses_status(struct witnesses *witnesses,
                        struct watcher_status status[NOTE_WITNESSES_MAX])
{
    size_t count = witnesses == NULL ? 0 : witnesses->options.count;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        watcher_read_status(&witnesses->list[i].watcher, &status[i]);
    return count;
}
