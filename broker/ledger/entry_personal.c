/*
 * Personal values as salted digests, as selective disclosure does it. The salt makes a digest say
 * nothing of a value that can be guessed; without the private part nobody can tell what it was.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "ledger/entry.h"

#define SALT_LEN 16
#define DIGEST_PREFIX "sd:"
#define PERSONAL_MAX ((size_t)16 * 1024)
#define CLAIMS_USUAL ((size_t)2000)

static bool no_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "no memory for an entry");
}

static json_t *new_salt(struct error *error)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t bytes[SALT_LEN];

    if (!secret_random(bytes, sizeof(bytes), error))
        return NULL;
    buf_init(&text, 64);
    buf_add_base64url(&text, (struct str){ (const char *)bytes, sizeof(bytes) });
    return buf_is_ok(&text) ? json_from_str(buf_str(&text)) : NULL;
}

/* The digest of the disclosure [salt, name, value]. Source: RFC 9901 4.2.1 and 4.2.3 */
static json_t *digest_of(const json_t *salt, const char *name, const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };
    OWNED(buf_release) struct buf encoded = { 0 };
    OWNED(buf_release) struct buf member = { 0 };
    uint8_t hash[SHA256_LEN];

    buf_init(&text, PERSONAL_MAX);
    buf_init(&encoded, BASE64_ENCODED_MAX(PERSONAL_MAX));
    buf_init(&member, 64);
    buf_add_text(&text, "[");
    buf_add_json(&text, salt);
    buf_add_text(&text, ",\"");
    buf_add_json_text(&text, str_from(name));
    buf_add_text(&text, "\",");
    buf_add_json(&text, value);
    buf_add_text(&text, "]");
    buf_add_base64url(&encoded, buf_str(&text));
    sha256(buf_str(&encoded), hash);
    buf_add_text(&member, DIGEST_PREFIX);
    buf_add_base64url(&member, (struct str){ (const char *)hash, sizeof(hash) });
    if (!buf_is_ok(&text) || !buf_is_ok(&encoded) || !buf_is_ok(&member))
        return NULL;
    return json_from_str(buf_str(&member));
}

static bool put_private(json_t *private_part, const char *path, const char *name,
                        const json_t *salt, const json_t *value)
{
    OWNED(buf_release) struct buf member = { 0 };
    json_t *object = json_object();

    buf_init(&member, PERSONAL_MAX);
    buf_add_text(&member, path);
    buf_add_text(&member, path[0] == '\0' ? "" : ".");
    buf_add_text(&member, name);
    if (!buf_is_ok(&member) || !json_put(object, "salt", json_incref(json_iterable(salt))) ||
        !json_put(object, "value", json_incref(json_iterable(value)))) {
        json_decref(object);
        return false;
    }
    return json_put(private_part, member.data, object);
}

bool entry_put_personal(json_t *object, const char *path, const char *name, const json_t *value,
                        json_t *private_part, struct error *error)
{
    JSON_OWNED json_t *salt = new_salt(error);

    if (salt == NULL)
        return error->code == ERROR_NONE ? no_memory(error) : false;
    if (!json_put(object, name, digest_of(salt, name, value)) ||
        !put_private(private_part, path, name, salt, value))
        return no_memory(error);
    return true;
}

bool entry_is_digest(struct str value)
{
    return str_starts_with(value, STR(DIGEST_PREFIX));
}

bool entry_discloses(const json_t *digest, const char *name, const json_t *disclosed)
{
    const json_t *salt = json_object_get(disclosed, "salt");
    const json_t *value = json_object_get(disclosed, "value");
    JSON_OWNED json_t *expected = NULL;

    if (!json_is_string(digest) || !json_is_string(salt) || value == NULL)
        return false;
    expected = digest_of(salt, name, value);
    return expected != NULL && json_equal(expected, digest);
}

/* How many bytes a member takes in the canonical form, with its comma. */
static size_t member_len(const char *name, const json_t *value)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, (size_t)64 * 1024);
    buf_add_json_text(&text, str_from(name));
    buf_add_text(&text, "\"\":,");
    buf_add_json(&text, value);
    return buf_is_ok(&text) ? text.len : SIZE_MAX / 2;
}

struct claim_len {
    const char *name; /* borrows from the object of all claims */
    size_t len;
};

static int longest_first(const void *a, const void *b)
{
    const struct claim_len *left = a;
    const struct claim_len *right = b;

    if (left->len != right->len)
        return left->len < right->len ? 1 : -1;
    return strcmp(left->name, right->name);
}

static bool copy_claim(json_t *kept, const char *name, const json_t *value, bool is_personal,
                       json_t *private_part, struct error *error)
{
    if (is_personal)
        return entry_put_personal(kept, "claims", name, value, private_part, error);
    return json_put(kept, name, json_incref(json_iterable(value))) || no_memory(error);
}

/* Take the longest claims out of `kept`, until the rest fits; `dropped` gets their names. */
static bool drop_longest(json_t *kept, struct claim_len *lens, size_t count, json_t *dropped)
{
    size_t total = 1; /* the braces, less the comma that the last member has not */
    size_t names_len = 0;

    for (size_t i = 0; i < count; i++)
        total += lens[i].len;
    for (size_t i = 0; i < count && total > ENTRY_CLAIMS_MAX; i++) {
        bool was_listed = names_len <= ENTRY_DROPPED_MAX;

        total -= lens[i].len;
        names_len += strlen(lens[i].name) + 3;
        if (names_len <= ENTRY_DROPPED_MAX &&
            json_array_append_new(dropped, json_string(lens[i].name)) != 0)
            return false;
        if (was_listed && names_len > ENTRY_DROPPED_MAX &&
            json_array_append_new(dropped, json_string("*")) != 0)
            return false;
        (void)json_object_del(kept, lens[i].name); /* it is there */
    }
    return true;
}

static bool do_claims_fit(const json_t *kept)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, ENTRY_CLAIMS_MAX);
    buf_expect(&text, CLAIMS_USUAL);
    buf_add_json(&text, kept);
    return buf_is_ok(&text);
}

static bool bound_claims(json_t *kept, const json_t *claims, json_t *dropped)
{
    size_t count = json_object_size(kept);
    struct claim_len *lens = NULL;
    const char *name = NULL;
    json_t *value = NULL;
    size_t i = 0;
    bool is_done = false;

    /* Nearly always they do; only where they do not is each one measured. */
    if (do_claims_fit(kept))
        return true;
    lens = calloc(count + 1, sizeof(*lens));
    if (lens == NULL)
        return false;
    json_object_foreach (json_iterable(claims), name, value)
        lens[i++] = (struct claim_len){ name, member_len(name, json_object_get(kept, name)) };
    qsort(lens, count, sizeof(*lens), longest_first);
    is_done = drop_longest(kept, lens, count, dropped);
    free(lens);
    return is_done;
}

bool entry_put_claims(json_t *entry, const json_t *claims,
                      bool (*is_personal)(const char *name, void *context), void *context,
                      json_t *private_part, struct error *error)
{
    JSON_OWNED json_t *kept = json_object();
    JSON_OWNED json_t *dropped = json_array();
    const char *name = NULL;
    json_t *value = NULL;

    if (kept == NULL || dropped == NULL)
        return no_memory(error);
    json_object_foreach (json_iterable(claims), name, value) {
        if (!copy_claim(kept, name, value, is_personal(name, context), private_part, error))
            return false;
    }
    if (!bound_claims(kept, claims, dropped) || !json_put(entry, "claims", json_incref(kept)))
        return no_memory(error);
    if (json_array_size(dropped) > 0 && !json_put(entry, "claims_dropped", json_incref(dropped)))
        return no_memory(error);
    return true;
}
