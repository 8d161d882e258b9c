#include "ledger/lease_key.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"

/* Stage, instance, issuer and facts, each with its length. */
#define TEXT_MAX ((size_t)16 * 1024)
#define TEXT_USUAL ((size_t)500)

/* The facts that keys are made of. */
enum fact {
    FACT_REPOSITORY_ID,
    FACT_REPOSITORY,
    FACT_RUN,
    FACT_ATTEMPT,
    FACT_JOB,
    FACT_COMMIT,
    FACT_COUNT
};

static const struct str fact_names[FACT_COUNT] = {
    [FACT_REPOSITORY_ID] = STR_INIT("repository_id"),
    [FACT_REPOSITORY] = STR_INIT("repository"),
    [FACT_RUN] = STR_INIT("run"),
    [FACT_ATTEMPT] = STR_INIT("attempt"),
    [FACT_JOB] = STR_INIT("job"),
    [FACT_COMMIT] = STR_INIT("commit"),
};

/* Their texts; empty where one is not known. */
struct facts {
    struct str of[FACT_COUNT];
};

/* What a key is made of besides stage and instance. The facts stand in the order of the table. */
static const struct {
    struct str name;
    bool is_of_issuer;     /* numbers of runs are an issuer's own, a commit is the same anywhere */
    bool is_of_repository; /* but a fork has the commits of what it was made of */
    size_t fact_count;
    enum fact facts[3]; /* without the first there is no such key */
} rows[STORE_KEY_COUNT] = {
    [STORE_KEY_STAGE] = { STR_INIT("stage"), false, false, 0, { FACT_COUNT } },
    [STORE_KEY_JOB] = { STR_INIT("job"), true, true, 3, { FACT_RUN, FACT_ATTEMPT, FACT_JOB } },
    [STORE_KEY_RUN] = { STR_INIT("run"), true, true, 1, { FACT_RUN } },
    [STORE_KEY_COMMIT] = { STR_INIT("commit"), false, true, 1, { FACT_COMMIT } },
};

#define LENGTH_MAX 21 /* of 64 bits in digits, and a colon */

/* With its length in front, so that no two lists of texts are one. */
static void add_text(struct buf *text, struct str part)
{
    char digits[LENGTH_MAX];
    size_t at = sizeof(digits);
    size_t left = part.len;
    char *out = NULL;

    digits[--at] = ':';
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    out = buf_extend(text, sizeof(digits) - at + part.len);
    if (out == NULL)
        return;
    memcpy(out, digits + at, sizeof(digits) - at);
    if (part.len > 0)
        memcpy(out + sizeof(digits) - at, part.data, part.len);
}

static struct facts read_facts(const json_t *ci)
{
    struct facts facts = { 0 };

    for (size_t i = 0; i < FACT_COUNT; i++) {
        const json_t *value = json_object_getn(ci, fact_names[i].data, fact_names[i].len);

        if (json_is_string(value) && json_string_length(value) <= LEASE_FACT_MAX)
            facts.of[i] = json_str(value);
    }
    return facts;
}

/* Numbers of runs and jobs may be a repository's own. */
static void add_repository(struct buf *text, const struct facts *facts)
{
    struct str id = facts->of[FACT_REPOSITORY_ID];

    add_text(text, id);
    add_text(text, id.len > 0 ? STR("") : facts->of[FACT_REPOSITORY]);
}

/* `text` is made empty, and filled. */
static bool make_key(const struct lease_key_parts *parts, const struct facts *facts,
                     enum store_lease_key kind, struct buf *text, uint8_t key[STORE_KEY_LEN])
{
    uint8_t digest[SHA256_LEN];

    memset(key, 0, STORE_KEY_LEN);
    if (rows[kind].fact_count > 0 && facts->of[rows[kind].facts[0]].len == 0)
        return false;
    buf_clear(text);
    add_text(text, rows[kind].name);
    add_text(text, parts->stage);
    add_text(text, parts->instance);
    if (rows[kind].is_of_issuer)
        add_text(text, parts->issuer);
    if (rows[kind].is_of_repository)
        add_repository(text, facts);
    for (size_t i = 0; i < rows[kind].fact_count; i++)
        add_text(text, facts->of[rows[kind].facts[i]]);
    if (!buf_is_ok(text))
        return false;
    sha256(buf_str(text), digest);
    memcpy(key, digest, STORE_KEY_LEN);
    return true;
}

bool lease_key(const struct lease_key_parts *parts, enum store_lease_key kind,
               uint8_t key[STORE_KEY_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };
    struct facts facts = read_facts(parts->ci);

    buf_init(&text, TEXT_MAX);
    buf_expect(&text, TEXT_USUAL);
    return make_key(parts, &facts, kind, &text, key);
}

static uint16_t attempt_of(const struct facts *facts)
{
    int64_t number = 0;

    return str_to_int64(facts->of[FACT_ATTEMPT], &number) && number > 0 && number <= UINT16_MAX
               ? (uint16_t)number
               : 0;
}

uint16_t lease_attempt(const json_t *ci)
{
    struct facts facts = read_facts(ci);

    return attempt_of(&facts);
}

uint16_t lease_keys(const struct lease_key_parts *parts,
                    uint8_t keys[STORE_KEY_COUNT][STORE_KEY_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };
    struct facts facts = read_facts(parts->ci);

    buf_init(&text, TEXT_MAX);
    buf_expect(&text, TEXT_USUAL);
    for (int kind = 0; kind < STORE_KEY_COUNT; kind++)
        (void)make_key(parts, &facts, (enum store_lease_key)kind, &text, keys[kind]);
    return attempt_of(&facts);
}
