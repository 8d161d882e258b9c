#include "api/readings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "identity/people.h"
#include "ledger/ledger.h"

#define HOUR_S 3600
#define PROBES_MAX 8
#define KEY_TEXT_MAX ((size_t)8 * 1024)

/* One person and kind in one hour; an hour of 0 is a free slot. */
struct slot {
    uint8_t key[SHA256_LEN];
    int64_t hour;
    enum reading kind;
    json_t *person; /* claim -> value, until it is written */
};

struct readings {
    pthread_mutex_t lock;
    struct slot slots[READINGS_TRACKED_MAX]; /* guarded by lock */
    int64_t untracked_count;                 /* guarded by lock */
};

static const char *const details[] = {
    [READING_ENTRIES] = "entries",     [READING_OWN] = "entries of own pipelines",
    [READING_BUNDLES] = "bundles",     [READING_SEARCH] = "search",
    [READING_INVENTORY] = "inventory", [READING_POLICY] = "policy",
};

struct readings *readings_new(void)
{
    struct readings *readings = calloc(1, sizeof(*readings));

    if (readings && pthread_mutex_init(&readings->lock, NULL) != 0) {
        free(readings);
        return NULL;
    }
    return readings;
}

void readings_free(struct readings *readings)
{
    if (!readings)
        return;
    for (size_t i = 0; i < READINGS_TRACKED_MAX; i++)
        json_decref(readings->slots[i].person);
    (void)pthread_mutex_destroy(&readings->lock); /* nobody holds it any more */
    free(readings);
}

static bool name_key(const struct person *person, enum reading kind, uint8_t key[SHA256_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, KEY_TEXT_MAX);
    buf_add_byte(&text, (uint8_t)kind);
    buf_add_sized(&text, person->token.issuer->url);
    buf_add_sized(&text, person->subject);
    if (!buf_is_ok(&text))
        return false;
    sha256(buf_str(&text), key);
    return true;
}

/* What the entry says of a person, all of it personal. */
static json_t *describe(const struct person *person)
{
    json_t *object = json_object();

    if (json_put(object, "subject", json_from_str(person->subject)) &&
        json_put_text(object, "email", person->email))
        return object;
    json_decref(object);
    return NULL;
}

/* Its slot of this hour, or one that is free or whose hour is over and written; else NULL. */
static struct slot *find_slot(struct readings *readings, const uint8_t key[SHA256_LEN],
                              int64_t hour)
{
    struct slot *usable = NULL;
    uint32_t start;

    memcpy(&start, key, sizeof(start));
    for (size_t i = 0; i < PROBES_MAX; i++) {
        struct slot *slot = &readings->slots[(start + i) % READINGS_TRACKED_MAX];

        if (slot->hour == hour && memcmp(slot->key, key, SHA256_LEN) == 0)
            return slot;
        if (!usable && slot->hour != hour && !slot->person)
            usable = slot;
    }
    return usable;
}

/* True when the person's words were taken. */
static bool note(struct readings *readings, const struct slot *wanted)
{
    struct slot *slot;
    bool is_taken = false;

    pthread_mutex_lock(&readings->lock);
    slot = find_slot(readings, wanted->key, wanted->hour);
    if (!slot || !wanted->person)
        readings->untracked_count++;
    else if (slot->hour != wanted->hour || memcmp(slot->key, wanted->key, SHA256_LEN) != 0) {
        *slot = *wanted;
        is_taken = true;
    }
    pthread_mutex_unlock(&readings->lock);
    return is_taken;
}

void readings_note(struct readings *readings, const struct person *person, enum reading kind,
                   int64_t now_s)
{
    struct slot wanted = { .hour = now_s / HOUR_S, .kind = kind };

    if (name_key(person, kind, wanted.key))
        wanted.person = describe(person);
    if (!note(readings, &wanted))
        json_decref(wanted.person);
}

static bool append(struct ledger *ledger, json_t *entry, json_t *private_part, struct error *error)
{
    struct ledger_append append = {
        .entries = { entry },
        .private_parts = { private_part },
        .entry_count = 1,
    };

    return ledger_append_now(ledger, &append, error);
}

static bool put_person(json_t *actor, const json_t *person, json_t *private_part,
                       struct error *error)
{
    const char *name;
    json_t *value;

    json_object_foreach (json_iterable(person), name, value)
        if (!entry_put_personal(actor, "actor", name, value, private_part, error))
            return false;
    return true;
}

static bool write_slot(struct ledger *ledger, enum reading kind, const json_t *person,
                       struct error *error)
{
    JSON_OWNED json_t *entry = entry_new(ENTRY_ADMIN_READ, ledger_broker(ledger));
    JSON_OWNED json_t *private_part = json_object();
    json_t *actor = json_object();

    if (!json_put(entry, "actor", actor) ||
        !json_put(actor, "issuer", json_string(PEOPLE_ISSUER)) ||
        !json_put(entry, "detail", json_string(details[kind])) || !private_part)
        return error_set(error, ERROR_MEMORY, "entry");
    return put_person(actor, person, private_part, error) &&
           append(ledger, entry, private_part, error);
}

static bool write_untracked(struct readings *readings, struct ledger *ledger, struct error *error)
{
    JSON_OWNED json_t *entry = NULL;
    int64_t count;

    pthread_mutex_lock(&readings->lock);
    count = readings->untracked_count;
    pthread_mutex_unlock(&readings->lock);
    if (count == 0)
        return true;
    entry = entry_new(ENTRY_ADMIN_READ, ledger_broker(ledger));
    if (!json_put(entry, "actor", json_object()) ||
        !json_put(entry, "detail", json_string("readings past what is tracked")) ||
        !json_put(entry, "count", json_integer(count)))
        return error_set(error, ERROR_MEMORY, "entry");
    if (!append(ledger, entry, NULL, error))
        return false;
    pthread_mutex_lock(&readings->lock);
    readings->untracked_count -= count;
    pthread_mutex_unlock(&readings->lock);
    return true;
}

/* A slot with words in it stays as it is until this thread takes them out. */
static bool flush_slot(struct readings *readings, size_t index, struct ledger *ledger,
                       struct error *error)
{
    struct slot *slot = &readings->slots[index];
    json_t *person;
    enum reading kind;

    pthread_mutex_lock(&readings->lock);
    person = slot->person;
    kind = slot->kind;
    pthread_mutex_unlock(&readings->lock);
    if (!person)
        return true;
    if (!write_slot(ledger, kind, person, error))
        return false;
    pthread_mutex_lock(&readings->lock);
    slot->person = NULL;
    pthread_mutex_unlock(&readings->lock);
    json_decref(person);
    return true;
}

bool readings_flush(struct readings *readings, struct ledger *ledger, struct error *error)
{
    for (size_t i = 0; i < READINGS_TRACKED_MAX; i++)
        if (!flush_slot(readings, i, ledger, error))
            return false;
    return write_untracked(readings, ledger, error);
}
