#include "ledger/help.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "tests/test.h"

static void write_vector_key(const char *path)
{
    uint8_t seed[32];
    EVP_PKEY *key = NULL;
    FILE *file = NULL;
    int descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    memset(seed, 1, sizeof(seed));
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    file = fdopen(descriptor, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    EVP_PKEY_free(key);
}

const char *place_path(const struct place *place, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", place->folder, name);
    return path;
}

void place_make(struct place *place)
{
    struct keys_options options = { .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = INT64_C(30) * 86400 };
    struct error error = { 0 };
    char keys[96];

    (void)snprintf(place->folder, sizeof(place->folder), "/tmp/stagepass-ledger-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->store, sizeof(place->store), "%s/store", place->folder);
    (void)snprintf(keys, sizeof(keys), "%s/keys", place->folder);
    assert_int_equal(mkdir(keys, 0700), 0);
    write_vector_key(place_path(place, "keys/ledger.key"));
    options.directory = keys;
    if (!keys_open(&options, clock_wall_s(), &place->keys, &error) ||
        !keys_named(place->keys, STR("ledger"), KEY_ED25519, &place->key, &error))
        fail_msg("keys: %s", error.cause);
}

void run_shell(const char *command, const struct place *place)
{
    char line[512];

    (void)snprintf(line, sizeof(line), "cd %s && %s", place->folder, command);
    assert_int_equal(system(line), 0); /* NOLINT(cert-env33-c,concurrency-mt-unsafe) */
}

void place_remove(struct place *place)
{
    keys_close(place->keys);
    run_shell("rm -rf \"$PWD\"", place);
}

size_t file_size(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (size_t)status.st_size;
}

void file_flip(const char *path, size_t offset)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(file, &byte, 1, (off_t)offset), 1);
    byte ^= 0x01;
    assert_int_equal(pwrite(file, &byte, 1, (off_t)offset), 1);
    (void)close(file);
}

static struct ledger_options options_of(const struct place *place)
{
    return (struct ledger_options){
        .store = place->store,
        .origin = STR(ORIGIN),
        .broker = STR("a"),
        .key = place->key,
    };
}

struct ledger *place_open(const struct place *place)
{
    struct ledger_options options = options_of(place);
    struct ledger *ledger = NULL;
    struct error error = { 0 };

    if (!ledger_open(&options, &ledger, &error))
        fail_msg("ledger_open: %s", error.cause);
    return ledger;
}

void place_expect_refusal(const struct place *place, enum error_code code, const char *cause)
{
    struct ledger_options options = options_of(place);
    struct ledger *ledger = NULL;
    struct error error = { 0 };

    assert_false(ledger_open(&options, &ledger, &error));
    assert_int_equal(error.code, code);
    if (strstr(error.cause, cause) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", cause, error.cause);
}

void id_of(unsigned number, char id[ID_LEN + 1])
{
    (void)snprintf(id, ID_LEN + 1, "01%024u", number);
}

static void digest_of(const char *kind, unsigned number, uint8_t out[32])
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%s %u", kind, number);
    sha256(str_from(text), out);
}

void handle_of(unsigned number, uint8_t handle_sha256[32])
{
    digest_of("handle", number, handle_sha256);
}

static json_t *hex_json(const char *prefix, const uint8_t digest[32])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 128);
    buf_add_text(&text, prefix);
    buf_add_hex(&text, (struct str){ (const char *)digest, 32 });
    return json_from_str(buf_str(&text));
}

json_t *entry_started(void)
{
    json_t *entry = entry_new(ENTRY_BROKER_STARTED, STR("a"));

    assert_true(json_put(entry, "detail", json_string("stagepassd")));
    return entry;
}

json_t *entry_of_lease(enum entry_type type, unsigned number)
{
    json_t *entry = entry_new(type, STR("a"));
    json_t *token = json_object();
    uint8_t digest[32];
    char id[ID_LEN + 1];

    id_of(number, id);
    digest_of("mark", number, digest);
    assert_true(json_put(token, "mark", hex_json("", digest)));
    assert_true(json_put(token, "exp", json_integer(4102444800)));
    assert_true(json_put(entry, "token", token));
    assert_true(json_put(entry, "decision", json_string(id)));
    assert_true(json_put(entry, "lease", json_string(id)));
    assert_true(json_put(entry, "lease_expires", json_string("2100-01-01T00:00:00Z")));
    assert_true(json_put(entry, "stage", json_string("acme/payments:deploy-prod")));
    assert_true(json_put(entry, "policy", hex_json("sha256:", digest)));
    return entry;
}

json_t *entry_issued(unsigned number)
{
    json_t *entry = entry_of_lease(ENTRY_CREDENTIAL_ISSUED, number);
    uint8_t digest[32];

    handle_of(number, digest);
    assert_true(json_put(entry, "handle", hex_json("sha256:", digest)));
    assert_true(json_put(entry, "credentials", json_array()));
    return entry;
}

uint64_t append_one(struct ledger *ledger, json_t *take_entry)
{
    struct ledger_append append = { .entries = { take_entry }, .entry_count = 1 };
    struct error error = { 0 };

    if (!ledger_append_now(ledger, &append, &error))
        fail_msg("ledger_append_now: %s", error.cause);
    json_decref(take_entry);
    return append.first_index;
}

/* So many at once as a proposal has room for: each of them is one sync. */
void append_many(struct ledger *ledger, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        struct ledger_append append = { 0 };
        struct error error = { 0 };

        while (append.entry_count < STORE_PROPOSAL_ENTRIES_MAX && done < count) {
            json_t *entry = entry_started();
            char detail[32];

            (void)snprintf(detail, sizeof(detail), "stagepassd %u", done++);
            assert_true(json_put(entry, "detail", json_string(detail)));
            append.entries[append.entry_count++] = entry;
        }
        if (!ledger_append_now(ledger, &append, &error))
            fail_msg("ledger_append_now: %s", error.cause);
        for (size_t i = 0; i < append.entry_count; i++)
            json_decref(append.entries[i]);
    }
}

struct store_lease lease_of(struct ledger *ledger, unsigned number)
{
    struct store_lease lease = { 0 };
    struct error error = { 0 };
    char id[ID_LEN + 1];

    id_of(number, id);
    if (!ledger_lease_by_id(ledger, str_from(id), &lease, &error))
        fail_msg("lease %u: %s", number, error.cause);
    return lease;
}

struct signal {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_set;
};

static void set_signal(void *context)
{
    struct signal *signal = context;

    (void)pthread_mutex_lock(&signal->lock);
    signal->is_set = true;
    (void)pthread_cond_signal(&signal->changed);
    (void)pthread_mutex_unlock(&signal->lock);
}

static void wait_signal(struct signal *signal)
{
    (void)pthread_mutex_lock(&signal->lock);
    while (!signal->is_set)
        (void)pthread_cond_wait(&signal->changed, &signal->lock);
    signal->is_set = false;
    (void)pthread_mutex_unlock(&signal->lock);
}

void wait_receipt(struct ledger *ledger, uint64_t index, struct arena *arena, struct str *entry,
                  struct str *proof)
{
    struct signal signal = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };
    struct waker waker = { set_signal, &signal };
    struct error error = { 0 };
    enum progress progress = PROGRESS_WAIT;

    while ((progress = ledger_receipt(ledger, index, waker, arena, entry, proof, &error)) ==
           PROGRESS_WAIT)
        wait_signal(&signal);
    if (progress != PROGRESS_DONE)
        fail_msg("ledger_receipt: %s", error.cause);
}

void wait_published(struct ledger *ledger, uint64_t size)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct str entry = { 0 };
    struct str proof = { 0 };

    wait_receipt(ledger, size - 1, arena, &entry, &proof);
}

struct thread_job {
    void (*job)(void *jobs, size_t index);
    void *jobs;
    size_t index;
    pthread_t thread;
};

static void *run_job(void *context)
{
    struct thread_job *one = context;

    one->job(one->jobs, one->index);
    return NULL;
}

static void run_on_threads(size_t count, void (*job)(void *jobs, size_t index), void *jobs,
                           void *context)
{
    struct thread_job *all = calloc(count, sizeof(*all));

    (void)context;
    for (size_t i = 0; i < count; i++) {
        all[i] = (struct thread_job){ .job = job, .jobs = jobs, .index = i };
        assert_int_equal(pthread_create(&all[i].thread, NULL, run_job, &all[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(all[i].thread, NULL);
    free(all);
}

bool audit_both_ways(const struct audit_options *options, struct arena *arena,
                     struct audit_report *report, struct error *error)
{
    struct audit_options on_threads = *options;
    struct audit_report other;
    struct error other_error = { 0 };
    bool is_sound;

    on_threads.run_jobs = run_on_threads;
    is_sound = audit_verify(&on_threads, arena, &other, &other_error);
    assert_int_equal(audit_verify(options, arena, report, error), is_sound);
    assert_string_equal(error->cause, other_error.cause);
    if (!is_sound)
        assert_int_equal(report->bad_index, other.bad_index);
    return is_sound;
}
