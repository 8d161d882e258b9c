#include "tests/fault/workload.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "keys/keys.h"
#include "ledger/entry.h"
#include "ledger/eraser.h"
#include "ledger/lease_key.h"

#define ORIGIN "broker.acme.example/log"
#define SEGMENT_LEN ((size_t)16 * 1024)
#define STAGE "acme/payments:deploy-prod"
#define LEASE_ENDS "2100-01-01T00:00:00Z"
#define TOKEN_ENDS 4102444800

/* Tokens of each of the two threads; the last ones of the first are the first of the second. */
#define TOKENS 7
#define SHARED 3

/* Proposals of 8 entries that are queued at once, so that a tile gets full and segments roll. */
#define BULK 33

static bool read_verifier(struct workplace *place, struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, sizeof(place->verifier_text) - 1);
    if (!note_verifier_write(STR(ORIGIN), place->key, &text, error) || !buf_is_ok(&text))
        return false;
    memcpy(place->verifier_text, text.data, text.len);
    return note_verifier_parse(str_from(place->verifier_text), &place->verifier, error);
}

bool workplace_make(struct workplace *place, const char *parent)
{
    struct keys_options options = { .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = INT64_C(30) * 86400 };
    struct error error = { 0 };
    char keys[128];

    (void)snprintf(place->folder, sizeof(place->folder), "%s/stagepass-fault-XXXXXX", parent);
    if (mkdtemp(place->folder) == NULL)
        return false;
    (void)snprintf(place->store, sizeof(place->store), "%s/store", place->folder);
    (void)snprintf(keys, sizeof(keys), "%s/keys", place->folder);
    options.directory = keys;
    if (mkdir(keys, 0700) == 0 && keys_open(&options, clock_wall_s(), &place->keys, &error) &&
        keys_named(place->keys, STR("ledger"), KEY_ED25519, &place->key, &error) &&
        read_verifier(place, &error))
        return true;
    fprintf(stderr, "keys: %s\n", error.cause);
    return false;
}

void workplace_remove(struct workplace *place)
{
    struct error error = { 0 };

    keys_close(place->keys);
    if (!file_remove_folder(place->folder, &error))
        fprintf(stderr, "%s\n", error.cause);
}

bool workload_open(const struct workplace *place, struct ledger **ledger, struct error *error)
{
    const struct ledger_options options = {
        .store = place->store,
        .origin = STR(ORIGIN),
        .broker = STR("a"),
        .key = place->key,
        .segment_bytes = SEGMENT_LEN,
    };

    return ledger_open(&options, ledger, error);
}

/* ---- entries ---- */

void workload_id(uint64_t number, char id[ID_LEN + 1])
{
    (void)snprintf(id, ID_LEN + 1, "01%024u", (unsigned)number);
}

static void digest_of(const char *kind, uint64_t number, uint8_t digest[32])
{
    char text[48];

    (void)snprintf(text, sizeof(text), "%s %u", kind, (unsigned)number);
    sha256(str_from(text), digest);
}

void workload_mark(uint64_t number, uint8_t mark[32])
{
    digest_of("mark", number, mark);
}

void workload_key(uint8_t key[STORE_KEY_LEN])
{
    const struct lease_key_parts parts = { .stage = STR(STAGE) };

    (void)lease_key(&parts, STORE_KEY_STAGE, key); /* what it is made of is there */
}

static json_t *hex_of(const char *prefix, const char *kind, uint64_t number)
{
    uint8_t digest[32];
    char text[80];
    size_t len = (size_t)snprintf(text, sizeof(text), "%s", prefix);

    digest_of(kind, number, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%02x", digest[i]);
    return json_string(text);
}

json_t *workload_entry(enum entry_type type, uint64_t number)
{
    json_t *entry = entry_new(type, STR("a"));
    json_t *token = json_object();
    char id[ID_LEN + 1];
    bool is_put = false;

    workload_id(number, id);
    is_put =
        json_put(entry, "token", token) && json_put(token, "mark", hex_of("", "mark", number)) &&
        json_put(token, "exp", json_integer(TOKEN_ENDS)) &&
        json_put(entry, "decision", json_string(id)) && json_put(entry, "lease", json_string(id)) &&
        json_put(entry, "lease_expires", json_string(LEASE_ENDS)) &&
        json_put(entry, "stage", json_string(STAGE)) &&
        json_put(entry, "policy", hex_of("sha256:", "policy", 0));
    if (type == ENTRY_CREDENTIAL_ISSUED)
        is_put = is_put && json_put(entry, "handle", hex_of("sha256:", "handle", number)) &&
                 json_put(entry, "credentials", json_array());
    if (is_put)
        return entry;
    json_decref(entry);
    return NULL;
}

static json_t *private_of(uint64_t number)
{
    json_t *part = json_object();
    json_t *actor = json_object();
    char text[32];

    (void)snprintf(text, sizeof(text), "person-%u", (unsigned)number);
    if (json_put(part, "ci.actor", actor) && json_put(actor, "salt", json_string("c2FsdA")) &&
        json_put(actor, "value", json_string(text)))
        return part;
    json_decref(part);
    return NULL;
}

/* ---- what clients do ---- */

static void tell(enum note_kind kind, uint64_t number, uint64_t index,
                 const struct merkle_hash *leaf, const char *text)
{
    struct note note = { .kind = kind, .number = number, .index = index };

    if (leaf != NULL)
        note.leaf = *leaf;
    if (text != NULL)
        (void)snprintf(note.text, sizeof(note.text), "%.199s", text);
    fault_note(&note, sizeof(note));
}

bool workload_use(struct ledger *ledger, uint64_t number, struct ledger_append *append,
                  struct error *error)
{
    JSON_OWNED json_t *entry = workload_entry(ENTRY_CREDENTIAL_ISSUED, number);
    JSON_OWNED json_t *part = private_of(number);

    *append = (struct ledger_append){ .entry_count = 1, .guard_count = 2 };
    append->entries[0] = entry;
    append->private_parts[0] = number % 2 == 0 ? part : NULL;
    append->guards[0].kind = STORE_GUARD_MARK_ABSENT;
    workload_mark(number, append->guards[0].mark);
    append->guards[1] = (struct store_guard){ .kind = STORE_GUARD_FEWER_LIVE, .count = 1000 };
    workload_key(append->guards[1].key);
    return ledger_append_now(ledger, append, error);
}

static void use(struct ledger *ledger, uint64_t number)
{
    struct ledger_append append;
    struct error error = { 0 };

    tell(NOTE_ASKED, number, 0, NULL, NULL);
    if (workload_use(ledger, number, &append, &error))
        tell(NOTE_ISSUED, number, append.first_index, &append.leaf_hashes[0], NULL);
    else if (error.code == ERROR_INVALID)
        tell(NOTE_USED, number, 0, NULL, NULL);
    else
        tell(NOTE_FAILED, number, 0, NULL, error.cause);
}

static void release(struct ledger *ledger, uint64_t number)
{
    JSON_OWNED json_t *entry = workload_entry(ENTRY_LEASE_RELEASED, number);
    struct ledger_append append = {
        .entries = { entry }, .entry_count = 1, .guard_count = 1, .is_revocation = true
    };
    struct error error = { 0 };

    (void)json_object_del(entry, "token");
    (void)json_object_del(entry, "lease_expires");
    (void)json_object_del(entry, "policy");
    (void)json_object_set_new(entry, "outcome", json_string("success"));
    append.guards[0] =
        (struct store_guard){ .kind = STORE_GUARD_LEASE, .state = LEASE_ISSUED, .version = 1 };
    workload_id(number, append.guards[0].lease_id);
    tell(NOTE_RELEASING, number, 0, NULL, NULL);
    if (ledger_append_now(ledger, &append, &error))
        tell(NOTE_RELEASED, number, append.first_index, &append.leaf_hashes[0], NULL);
    else
        tell(NOTE_FAILED, number, 0, NULL, error.cause);
}

/* Who used token `number`, which has a private part, and whose lease is over. */
static void erase(struct ledger *ledger, uint64_t number)
{
    JSON_OWNED json_t *actor = json_object();
    struct ledger_erasure erasure = { .reason = STR("theirs"), .actor = actor };
    char person[32];

    (void)snprintf(person, sizeof(person), "person-%u", (unsigned)number);
    erasure.person = str_from(person);
    erasure.issuer = STR("people");
    ledger_erase_now(ledger, &erasure);
    if (erasure.is_good && erasure.erased == 1)
        tell(NOTE_ERASED, number, number, NULL, NULL);
    else
        tell(NOTE_FAILED, number, 0, NULL, erasure.error.cause);
}

struct client {
    struct ledger *ledger;
    uint64_t first;
};

static void *run_client(void *context)
{
    const struct client *client = context;

    for (uint64_t i = 0; i < TOKENS; i++) {
        use(client->ledger, client->first + i);
        if (i % 3 == 0)
            release(client->ledger, client->first + i);
    }
    return NULL;
}

static void run_clients(struct ledger *ledger, uint64_t first)
{
    struct client clients[2] = { { ledger, first }, { ledger, first + TOKENS - SHARED } };
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_client, &clients[1]) != 0)
        return;
    (void)run_client(&clients[0]);
    (void)pthread_join(thread, NULL);
}

struct bulk {
    struct ledger_append appends[BULK];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t open_count; /* guarded by lock */
};

static void bulk_done(void *context)
{
    struct bulk *bulk = context;

    (void)pthread_mutex_lock(&bulk->lock);
    bulk->open_count--;
    (void)pthread_cond_signal(&bulk->changed);
    (void)pthread_mutex_unlock(&bulk->lock);
}

static json_t *filler(uint64_t number)
{
    json_t *entry = entry_new(ENTRY_BROKER_STARTED, STR("a"));
    char text[64];

    (void)snprintf(text, sizeof(text), "stagepassd %u", (unsigned)number);
    if (json_put(entry, "detail", json_string(text)))
        return entry;
    json_decref(entry);
    return NULL;
}

static bool submit_filler(struct ledger *ledger, struct bulk *bulk, size_t position,
                          struct arena *arena)
{
    struct ledger_append *append = &bulk->appends[position];
    bool is_submitted = false;

    append->entry_count = STORE_PROPOSAL_ENTRIES_MAX;
    append->waker = (struct waker){ bulk_done, bulk };
    for (size_t i = 0; i < append->entry_count; i++)
        append->entries[i] = filler(position * STORE_PROPOSAL_ENTRIES_MAX + i);
    (void)pthread_mutex_lock(&bulk->lock);
    bulk->open_count++;
    (void)pthread_mutex_unlock(&bulk->lock);
    is_submitted = ledger_submit(ledger, append, arena, &append->error);
    for (size_t i = 0; i < append->entry_count; i++)
        json_decref(append->entries[i]);
    if (!is_submitted)
        bulk_done(bulk);
    return is_submitted;
}

/* Many entries at once; who asks is told of each once it is durable. */
static void write_many(struct ledger *ledger)
{
    OWNED(arena_free) struct arena *arena = arena_new((size_t)4 * 1024 * 1024);
    struct bulk *bulk = calloc(1, sizeof(*bulk));

    (void)pthread_mutex_init(&bulk->lock, NULL);
    (void)pthread_cond_init(&bulk->changed, NULL);
    for (size_t i = 0; i < BULK; i++)
        (void)submit_filler(ledger, bulk, i, arena);
    (void)pthread_mutex_lock(&bulk->lock);
    while (bulk->open_count > 0)
        (void)pthread_cond_wait(&bulk->changed, &bulk->lock);
    (void)pthread_mutex_unlock(&bulk->lock);
    for (size_t i = 0; i < BULK; i++) {
        struct ledger_append *append = &bulk->appends[i];

        if (append->is_committed)
            ledger_hash_leaves(append);
        for (size_t k = 0; append->is_committed && k < append->entry_count; k++)
            tell(NOTE_WRITTEN, 0, append->first_index + k, &append->leaf_hashes[k], NULL);
    }
    free(bulk);
}

static void show_checkpoint(const struct workplace *place, struct ledger *ledger)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    const struct note_trust trust = { .logs = &place->verifier, .log_count = 1 };
    struct checkpoint checkpoint = { 0 };
    struct error error = { 0 };
    struct str note = { 0 };

    if (ledger_checkpoint(ledger, arena, &note, &error) &&
        checkpoint_check(note, &trust, &checkpoint, NULL, &error))
        tell(NOTE_SHOWN, 0, checkpoint.size, &checkpoint.root, NULL);
}

static struct ledger *open_or_tell(const struct workplace *place)
{
    struct ledger *ledger = NULL;
    struct error error = { 0 };

    if (!workload_open(place, &ledger, &error)) {
        tell(NOTE_REFUSED, 0, 0, NULL, error.cause);
        return NULL;
    }
    tell(NOTE_OPENED, 0, 0, NULL, NULL);
    return ledger;
}

void workload_run(const struct workplace *place)
{
    struct ledger *ledger = open_or_tell(place);

    if (ledger == NULL)
        return;
    run_clients(ledger, 0);
    ledger_close(ledger);
    ledger = open_or_tell(place);
    if (ledger == NULL)
        return;
    show_checkpoint(place, ledger);
    use(ledger, 1); /* once more */
    erase(ledger, 0);
    write_many(ledger);
    run_clients(ledger, 100);
    ledger_close(ledger);
}

void workload_go_on(const struct workplace *place, uint64_t first)
{
    struct ledger *ledger = open_or_tell(place);

    if (ledger == NULL)
        return;
    show_checkpoint(place, ledger);
    for (uint64_t i = 0; i < TOKENS; i++)
        use(ledger, i);
    use(ledger, first);
    release(ledger, first);
    ledger_close(ledger);
    ledger = open_or_tell(place);
    if (ledger == NULL)
        return;
    show_checkpoint(place, ledger);
    ledger_close(ledger);
}
