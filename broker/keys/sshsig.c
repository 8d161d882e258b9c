#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"
#include "keys/crypto_pool.h"
#include "keys/ecdsa.h"
#include "keys/jwk.h"
#include "keys/public_key.h"
#include "keys/ssh.h"
#include "keys/ssh_internal.h"

#define MAGIC STR("SSHSIG")
#define NAMESPACE STR("stagepass")
#define VERSION 1
#define ARMOUR_BEGIN STR("-----BEGIN SSH SIGNATURE-----\n")
#define ARMOUR_END STR("-----END SSH SIGNATURE-----")
#define SIGNED_MAX ((size_t)256)
#define SCALAR_LEN (ECDSA_P256_RAW_LEN / 2)

/* The blob's parts (PROTOCOL.sshsig 2), borrowed from it. */
struct sshsig {
    struct str public_key;
    struct str hash;
    struct str signature;
};

static bool refuse_syntax(struct error *error)
{
    return error_set(error, ERROR_SYNTAX, "an SSH signature that does not parse");
}

/* Take the armour off, line by line, into `base64`. Text without armour is base64 as it stands. */
static bool remove_armour(struct str text, struct buf *base64, struct error *error)
{
    struct str line;

    if (!str_starts_with(text, ARMOUR_BEGIN)) {
        buf_add(base64, text);
        return true;
    }
    text = str_slice(text, ARMOUR_BEGIN.len, text.len);
    if (str_ends_with(text, STR("\n")))
        text = str_slice(text, 0, text.len - 1);
    if (!str_ends_with(text, ARMOUR_END))
        return refuse_syntax(error);
    text = str_slice(text, 0, text.len - ARMOUR_END.len);
    while (text.len > 0) {
        if (!str_cut(text, '\n', &line, &text) || line.len == 0)
            return refuse_syntax(error);
        buf_add(base64, line);
    }
    return true;
}

static bool decode_signature(struct str text, struct arena *arena, struct str *blob,
                             struct error *error)
{
    OWNED(buf_release) struct buf base64;
    uint8_t *bytes = arena_alloc(arena, BASE64_DECODED_MAX(text.len));
    size_t len;

    buf_init(&base64, SSHSIG_MAX);
    if (bytes == NULL)
        return error_set(error, ERROR_MEMORY, "an SSH signature");
    if (!remove_armour(text, &base64, error))
        return false;
    if (!buf_is_ok(&base64))
        return error_set(error, ERROR_MEMORY, "an SSH signature");
    if (!base64_decode(buf_str(&base64), bytes, &len))
        return refuse_syntax(error);
    *blob = (struct str){ (const char *)bytes, len };
    return true;
}

/* byte[6] magic, u32 version, string key, namespace, reserved, hash, signature; nothing behind. */
static bool parse_blob(struct str blob, struct sshsig *parsed, struct error *error)
{
    struct str namespace = { 0 };
    struct str reserved = { 0 };
    uint32_t version;

    if (!str_starts_with(blob, MAGIC))
        return refuse_syntax(error);
    blob = str_slice(blob, MAGIC.len, blob.len);
    if (!ssh_take_u32(&blob, &version) || !ssh_take_string(&blob, &parsed->public_key) ||
        !ssh_take_string(&blob, &namespace) || !ssh_take_string(&blob, &reserved) ||
        !ssh_take_string(&blob, &parsed->hash) || !ssh_take_string(&blob, &parsed->signature) ||
        blob.len != 0)
        return refuse_syntax(error);
    if (version != VERSION)
        return error_set(error, ERROR_INVALID, "an SSH signature of version %u", (unsigned)version);
    if (!str_eq(namespace, NAMESPACE))
        return error_set(error, ERROR_INVALID, "an SSH signature for another namespace");
    if (reserved.len != 0)
        return error_set(error, ERROR_INVALID, "an SSH signature with reserved bytes");
    return true;
}

/* What was signed: magic, string namespace, reserved, hash, H(message) (PROTOCOL.sshsig 3). */
static bool write_signed(const struct sshsig *parsed, struct str message, struct buf *out,
                         struct error *error)
{
    uint8_t digest[SHA512_LEN];
    size_t len;

    if (str_eq(parsed->hash, STR("sha256"))) {
        len = SHA256_LEN;
        sha256(message, digest);
    } else if (str_eq(parsed->hash, STR("sha512"))) {
        len = SHA512_LEN;
        sha512(message, digest);
    } else {
        return error_set(error, ERROR_INVALID, "an SSH signature with an unknown hash");
    }
    buf_add(out, MAGIC);
    buf_add_sized(out, NAMESPACE);
    buf_add_sized(out, (struct str){ 0 });
    buf_add_sized(out, parsed->hash);
    buf_add_sized(out, (struct str){ (const char *)digest, len });
    return buf_is_ok(out) || error_set(error, ERROR_MEMORY, "an SSH signature");
}

/* Take an mpint that is positive, shortest possible and of at most 32 bytes (RFC 4251 5). */
static bool take_scalar(struct str *rest, uint8_t out[SCALAR_LEN])
{
    struct str digits;

    if (!ssh_take_string(rest, &digits) || digits.len == 0 || digits.data[0] & 0x80)
        return false;
    if (digits.data[0] == 0) {
        if (digits.len < 2 || !(digits.data[1] & 0x80))
            return false;
        digits = str_slice(digits, 1, digits.len);
    }
    if (digits.len > SCALAR_LEN)
        return false;
    memset(out, 0, SCALAR_LEN);
    memcpy(out + SCALAR_LEN - digits.len, digits.data, digits.len);
    return true;
}

/* string type, string signature: 64 bytes for Ed25519 (RFC 8709 6), two mpints for ECDSA (RFC
 * 5656). */
static bool read_raw_signature(struct str signature, const struct ssh_public_key *key,
                               enum key_algorithm algorithm, uint8_t raw[ECDSA_P256_RAW_LEN],
                               struct error *error)
{
    struct str type = { 0 };
    struct str bytes = { 0 };

    if (!ssh_take_string(&signature, &type) || !ssh_take_string(&signature, &bytes) ||
        signature.len != 0)
        return refuse_syntax(error);
    if (!str_eq(type, key->type))
        return error_set(error, ERROR_INVALID, "an SSH signature of another kind than its key");
    if (algorithm == KEY_ES256)
        return (take_scalar(&bytes, raw) && take_scalar(&bytes, raw + SCALAR_LEN) &&
                bytes.len == 0) ||
               refuse_syntax(error);
    if (bytes.len != ECDSA_P256_RAW_LEN)
        return refuse_syntax(error);
    memcpy(raw, bytes.data, ECDSA_P256_RAW_LEN);
    return true;
}

static bool verify(const struct sshsig *parsed, struct str message,
                   const struct ssh_public_key *key, struct error *error)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    OWNED(crypto_pool_release) struct crypto_pool pool = { 0 };
    OWNED(buf_release) struct buf text;
    uint8_t raw[ECDSA_P256_RAW_LEN];
    enum key_algorithm algorithm;

    buf_init(&text, SIGNED_MAX);
    return ssh_public_key_open(key, &algorithm, &pkey, error) &&
           read_raw_signature(parsed->signature, key, algorithm, raw, error) &&
           write_signed(parsed, message, &text, error) &&
           crypto_pool_init(&pool, pkey, jwk_algorithm(algorithm), CRYPTO_VERIFY, error) &&
           crypto_pool_verify(&pool, buf_str(&text), (struct str){ (const char *)raw, sizeof(raw) },
                              error);
}

bool sshsig_check(struct str signature, struct str message, const struct ssh_public_key *key,
                  struct arena *arena, struct error *error)
{
    struct sshsig parsed = { 0 };
    struct str blob = { 0 };

    if (signature.len > SSHSIG_MAX)
        return error_set(error, ERROR_LIMIT, "an SSH signature of %zu bytes", signature.len);
    if (!decode_signature(signature, arena, &blob, error) || !parse_blob(blob, &parsed, error))
        return false;
    if (!str_eq(parsed.public_key, key->blob))
        return error_set(error, ERROR_INVALID, "an SSH signature by another key");
    return verify(&parsed, message, key, error);
}
