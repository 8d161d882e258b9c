#include "keys/ssh.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"
#include "keys/public_key.h"
#include "keys/ssh_internal.h"

#define FINGERPRINT_MAX ((size_t)64)

bool ssh_take_u32(struct str *rest, uint32_t *value)
{
    uint32_t number = 0;

    if (rest->len < 4)
        return false;
    for (size_t i = 0; i < 4; i++)
        number = (number << 8) | (uint8_t)rest->data[i];
    *value = number;
    *rest = str_slice(*rest, 4, rest->len);
    return true;
}

bool ssh_take_string(struct str *rest, struct str *value)
{
    struct str bytes = *rest;
    uint32_t len;

    if (!ssh_take_u32(&bytes, &len) || len > bytes.len)
        return false;
    *value = str_slice(bytes, 0, len);
    *rest = str_slice(bytes, len, bytes.len);
    return true;
}

/* string pk. Source: RFC 8709 4 */
static bool open_ed25519(struct str fields, EVP_PKEY **pkey, struct error *error)
{
    struct str point;

    if (!ssh_take_string(&fields, &point) || fields.len != 0)
        return error_set(error, ERROR_SYNTAX, "an SSH key that is not one Ed25519 point");
    return public_key_ed25519(point, pkey, error);
}

/* string curve, string Q. Source: RFC 5656 3.1 */
static bool open_p256(struct str fields, EVP_PKEY **pkey, struct error *error)
{
    struct str curve = { 0 };
    struct str point = { 0 };

    if (!ssh_take_string(&fields, &curve) || !ssh_take_string(&fields, &point) || fields.len != 0)
        return error_set(error, ERROR_SYNTAX, "an SSH key that is not a curve and a point");
    if (!str_eq(curve, STR("nistp256")))
        return error_set(error, ERROR_INVALID, "an SSH key on another curve than nistp256");
    return public_key_ec(ECDSA_P256, point, pkey, error);
}

static const struct {
    const char *type;
    enum key_algorithm algorithm;
    bool (*open)(struct str fields, EVP_PKEY **pkey, struct error *error);
} kinds[] = {
    { "ssh-ed25519", KEY_ED25519, open_ed25519 },
    { "ecdsa-sha2-nistp256", KEY_ES256, open_p256 },
};

bool ssh_public_key_open(const struct ssh_public_key *key, enum key_algorithm *algorithm,
                         EVP_PKEY **pkey, struct error *error)
{
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (!str_eq(key->type, str_from(kinds[i].type)))
            continue;
        *algorithm = kinds[i].algorithm;
        return kinds[i].open(key->fields, pkey, error);
    }
    return error_set(error, ERROR_INVALID, "an SSH key that is neither Ed25519 nor ECDSA P-256");
}

/* Cut the line at its spaces; what the comment may hold. */
static bool split_line(struct str line, struct str *type, struct str *base64, struct error *error)
{
    struct str rest = { 0 };
    struct str comment = { 0 };

    if (str_ends_with(line, STR("\n")))
        line = str_slice(line, 0, line.len - 1);
    if (str_has_control(line) || !str_is_utf8(line))
        return error_set(error, ERROR_SYNTAX, "an SSH key line with control characters");
    if (!str_cut(line, ' ', type, &rest))
        return error_set(error, ERROR_SYNTAX, "an SSH key line without a space");
    (void)str_cut(rest, ' ', base64, &comment); /* any comment, or none */
    if (type->len == 0 || base64->len == 0)
        return error_set(error, ERROR_SYNTAX, "an SSH key line without type or key");
    return true;
}

static bool decode_blob(struct str base64, struct arena *arena, struct str *blob,
                        struct error *error)
{
    uint8_t *bytes = arena_alloc(arena, BASE64_DECODED_MAX(base64.len));
    size_t len;

    if (bytes == NULL)
        return error_set(error, ERROR_MEMORY, "an SSH key");
    if (!base64_decode(base64, bytes, &len))
        return error_set(error, ERROR_SYNTAX, "an SSH key that is not base64");
    *blob = (struct str){ (const char *)bytes, len };
    return true;
}

bool ssh_public_key_parse(struct str line, struct arena *arena, struct ssh_public_key *key,
                          struct error *error)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    struct ssh_public_key parsed = { 0 };
    enum key_algorithm algorithm;
    struct str type = { 0 };
    struct str base64 = { 0 };

    if (line.len > SSH_LINE_MAX)
        return error_set(error, ERROR_LIMIT, "an SSH key line of %zu bytes", line.len);
    if (!split_line(line, &type, &base64, error) ||
        !decode_blob(base64, arena, &parsed.blob, error))
        return false;
    parsed.fields = parsed.blob;
    if (!ssh_take_string(&parsed.fields, &parsed.type))
        return error_set(error, ERROR_SYNTAX, "an SSH key without a type inside");
    if (!str_eq(type, parsed.type))
        return error_set(error, ERROR_INVALID, "an SSH key of another type than its line says");
    if (!ssh_public_key_open(&parsed, &algorithm, &pkey, error))
        return false;
    *key = parsed;
    return true;
}

struct str ssh_fingerprint(const struct ssh_public_key *key, struct arena *arena)
{
    OWNED(buf_release) struct buf text;
    uint8_t digest[SHA256_LEN];
    struct str result;

    buf_init(&text, FINGERPRINT_MAX);
    sha256(key->blob, digest);
    buf_add_text(&text, "SHA256:");
    buf_add_base64(&text, (struct str){ (const char *)digest, sizeof(digest) });
    if (!buf_is_ok(&text))
        return (struct str){ 0 };
    result = buf_str(&text);
    result.len--; /* 32 bytes end in one '=' */
    return arena_copy(arena, result);
}
