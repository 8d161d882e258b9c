#include "ledger/lease_key.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"

/* Stage, instance, issuer and facts, each with its length. */
#define TEXT_MAX ((size_t)16 * 1024)
#define TEXT_USUAL ((size_t)500)

#define FACTS_MAX 4

/* What a key is made of besides stage and instance. The facts stand in the order of the table. */
static const struct {
    const char *name;
    bool is_of_issuer;     /* numbers of runs are an issuer's own, a commit is the same anywhere */
    bool is_of_repository; /* but a fork has the commits of what it was made of */
    const char *facts[FACTS_MAX];
    const char *mandatory; /* the fact without which there is no such key */
} rows[STORE_KEY_COUNT] = {
    [STORE_KEY_STAGE] = { "stage", false, false, { NULL }, NULL },
    [STORE_KEY_JOB] = { "job", true, true, { "run", "attempt", "job", NULL }, "run" },
    [STORE_KEY_RUN] = { "run", true, true, { "run", NULL }, "run" },
    [STORE_KEY_COMMIT] = { "commit", false, true, { "commit", NULL }, "commit" },
};

#define LENGTH_MAX 21 /* of 64 bits in digits, and a colon */

/* With its length in front, so that no two lists of texts are one. */
static void add_text(struct buf *text, struct str part)
{
    char digits[LENGTH_MAX];
    size_t at = sizeof(digits);
    size_t left = part.len;

    digits[--at] = ':';
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    buf_add(text, (struct str){ digits + at, sizeof(digits) - at });
    buf_add(text, part);
}

static struct str fact(const json_t *ci, const char *name)
{
    struct str value = { 0 };

    return json_get_str(ci, name, &value) && value.len <= LEASE_FACT_MAX ? value : STR("");
}

/* Numbers of runs and jobs may be a repository's own. */
static void add_repository(struct buf *text, const json_t *ci)
{
    struct str id = fact(ci, "repository_id");

    add_text(text, id);
    add_text(text, id.len > 0 ? STR("") : fact(ci, "repository"));
}

bool lease_key(const struct lease_key_parts *parts, enum store_lease_key kind,
               uint8_t key[STORE_KEY_LEN])
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t digest[SHA256_LEN];

    memset(key, 0, STORE_KEY_LEN);
    if (rows[kind].mandatory && fact(parts->ci, rows[kind].mandatory).len == 0)
        return false;
    buf_init(&text, TEXT_MAX);
    buf_expect(&text, TEXT_USUAL);
    add_text(&text, str_from(rows[kind].name));
    add_text(&text, parts->stage);
    add_text(&text, parts->instance);
    if (rows[kind].is_of_issuer)
        add_text(&text, parts->issuer);
    if (rows[kind].is_of_repository)
        add_repository(&text, parts->ci);
    for (size_t i = 0; rows[kind].facts[i]; i++)
        add_text(&text, fact(parts->ci, rows[kind].facts[i]));
    if (!buf_is_ok(&text))
        return false;
    sha256(buf_str(&text), digest);
    memcpy(key, digest, STORE_KEY_LEN);
    return true;
}

uint16_t lease_attempt(const json_t *ci)
{
    int64_t number = 0;

    return str_to_int64(fact(ci, "attempt"), &number) && number > 0 && number <= UINT16_MAX
               ? (uint16_t)number
               : 0;
}
