#include "clients/ssh_key.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"

#define KEY_TYPE STR("ssh-ed25519")
#define CERTIFICATE_TYPE STR("ssh-ed25519-cert-v01@openssh.com")
#define MAGIC STR("SSHSIG")
#define SSHSIG_VERSION 1
#define SIGNATURE_LEN 64
#define SIGNATURE_TEXT_MAX ((size_t)1024)
#define ARMOUR_COLUMNS 70

/* Of the agent's protocol. */
#define ADD_ID_CONSTRAINED 25
#define CONSTRAIN_LIFETIME 1

static struct str bytes_of(const uint8_t *bytes, size_t len)
{
    return (struct str){ (const char *)bytes, len };
}

bool ssh_key_init(struct ssh_key *key, struct error *error)
{
    size_t len = SSH_KEY_LEN;
    EVP_PKEY *pair;
    bool is_done;

    if (!secret_init(&key->seed, SSH_KEY_LEN, error))
        return false;
    pair = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    is_done = pair && EVP_PKEY_get_raw_private_key(pair, key->seed.data, &len) == 1 &&
              len == SSH_KEY_LEN && EVP_PKEY_get_raw_public_key(pair, key->public_key, &len) == 1 &&
              len == SSH_KEY_LEN;
    EVP_PKEY_free(pair);
    return is_done || error_set_openssl(error, "cannot make an ssh key");
}

void ssh_key_release(struct ssh_key *key)
{
    secret_release(&key->seed);
}

/* RFC 4253 6.6, RFC 8709 4: type, then the key. */
static void add_public_blob(const struct ssh_key *key, struct buf *out)
{
    buf_add_sized(out, KEY_TYPE);
    buf_add_sized(out, bytes_of(key->public_key, SSH_KEY_LEN));
}

struct str ssh_key_line(const struct ssh_key *key, struct arena *arena)
{
    OWNED(buf_release) struct buf blob = { 0 };
    OWNED(buf_release) struct buf line = { 0 };

    buf_init(&blob, 128);
    buf_init(&line, 256);
    add_public_blob(key, &blob);
    buf_add(&line, KEY_TYPE);
    buf_add_byte(&line, ' ');
    buf_add_base64(&line, buf_str(&blob));
    return buf_is_ok(&blob) && buf_is_ok(&line) ? arena_copy(arena, buf_str(&line))
                                                : (struct str){ 0 };
}

static bool sign_raw(const struct ssh_key *key, struct str message,
                     uint8_t signature[SIGNATURE_LEN], struct error *error)
{
    EVP_PKEY *pair =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key->seed.data, SSH_KEY_LEN);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = SIGNATURE_LEN;
    bool is_done =
        pair && context && EVP_DigestSignInit(context, NULL, NULL, NULL, pair) == 1 &&
        EVP_DigestSign(context, signature, &len, (const uint8_t *)message.data, message.len) == 1 &&
        len == SIGNATURE_LEN;

    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pair);
    return is_done || error_set_openssl(error, "cannot sign with the ssh key");
}

/* What is signed, and what the blob repeats: all but the message's digest. */
static void add_frame(const char *name_space, struct buf *out)
{
    buf_add_sized(out, str_from(name_space));
    buf_add_sized(out, STR("")); /* reserved */
    buf_add_sized(out, STR("sha512"));
}

static bool sign_framed(const struct ssh_key *key, const char *name_space, struct str message,
                        uint8_t signature[SIGNATURE_LEN], struct error *error)
{
    OWNED(buf_release) struct buf framed = { 0 };
    uint8_t digest[SHA512_LEN];

    sha512(message, digest);
    buf_init(&framed, SIGNATURE_TEXT_MAX);
    buf_add(&framed, MAGIC);
    add_frame(name_space, &framed);
    buf_add_sized(&framed, bytes_of(digest, sizeof(digest)));
    if (!buf_is_ok(&framed))
        return error_set(error, ERROR_MEMORY, "no room for an ssh signature");
    return sign_raw(key, buf_str(&framed), signature, error);
}

static void add_signature_blob(const struct ssh_key *key, const char *name_space,
                               const uint8_t signature[SIGNATURE_LEN], struct buf *out)
{
    OWNED(buf_release) struct buf part = { 0 };

    buf_init(&part, 256);
    buf_add(out, MAGIC);
    buf_add_u32(out, SSHSIG_VERSION);
    add_public_blob(key, &part);
    buf_add_sized(out, buf_str(&part));
    add_frame(name_space, out);
    buf_clear(&part);
    buf_add_sized(&part, KEY_TYPE);
    buf_add_sized(&part, bytes_of(signature, SIGNATURE_LEN));
    buf_add_sized(out, buf_str(&part));
}

static void add_armour(struct str base64, struct buf *out)
{
    buf_add_text(out, "-----BEGIN SSH SIGNATURE-----\n");
    for (size_t i = 0; i < base64.len; i += ARMOUR_COLUMNS) {
        buf_add(out, str_slice(base64, i, ARMOUR_COLUMNS));
        buf_add_byte(out, '\n');
    }
    buf_add_text(out, "-----END SSH SIGNATURE-----\n");
}

bool ssh_key_sign(const struct ssh_key *key, const char *name_space, struct str message,
                  struct arena *arena, struct str *signature, struct error *error)
{
    OWNED(buf_release) struct buf blob = { 0 };
    OWNED(buf_release) struct buf base64 = { 0 };
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t raw[SIGNATURE_LEN];

    if (!sign_framed(key, name_space, message, raw, error))
        return false;
    buf_init(&blob, SIGNATURE_TEXT_MAX);
    buf_init(&base64, SIGNATURE_TEXT_MAX);
    buf_init(&text, SIGNATURE_TEXT_MAX);
    add_signature_blob(key, name_space, raw, &blob);
    buf_add_base64(&base64, buf_str(&blob));
    add_armour(buf_str(&base64), &text);
    if (buf_is_ok(&blob) && buf_is_ok(&base64) && buf_is_ok(&text))
        *signature = arena_copy(arena, buf_str(&text));
    else
        *signature = (struct str){ 0 };
    return signature->data || error_set(error, ERROR_MEMORY, "no room for an ssh signature");
}

/* Take one of SSH's strings off `rest`. */
static bool take_sized(struct str *rest, struct str *out)
{
    const uint8_t *at = (const uint8_t *)rest->data;
    size_t len;

    if (rest->len < 4)
        return false;
    len = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    if (len > rest->len - 4)
        return false;
    *out = str_slice(*rest, 4, len);
    *rest = str_slice(*rest, 4 + len, rest->len);
    return true;
}

/* "TYPE BASE64 [COMMENT]", as the blob's bytes into `out`. */
static bool read_certificate_line(struct str line, struct buf *out, struct error *error)
{
    struct str type;
    struct str rest;
    struct str base64;
    char *bytes;
    size_t len;

    if (line.len > SSH_CERTIFICATE_MAX)
        return error_set(error, ERROR_LIMIT,
                         "an ssh certificate of %zu bytes, at most %zu are taken", line.len,
                         SSH_CERTIFICATE_MAX);
    (void)str_cut(str_trim(line), ' ', &type, &rest);
    (void)str_cut(rest, ' ', &base64, &rest);
    if (!str_eq(type, CERTIFICATE_TYPE))
        return error_set(error, ERROR_INVALID, "expected a certificate for an Ed25519 key");
    bytes = buf_extend(out, BASE64_DECODED_MAX(base64.len));
    if (!bytes)
        return error_set(error, ERROR_MEMORY, "no memory for an ssh certificate");
    if (!base64_decode(base64, (uint8_t *)bytes, &len))
        return error_set(error, ERROR_SYNTAX, "an ssh certificate is not base64");
    out->len = len;
    return true;
}

/* PROTOCOL.certkeys: type, nonce, key, then what the server judges. */
static bool check_certificate(const struct ssh_key *key, struct str blob, struct error *error)
{
    struct str type;
    struct str nonce;
    struct str public_key;

    if (!take_sized(&blob, &type) || !take_sized(&blob, &nonce) || !take_sized(&blob, &public_key))
        return error_set(error, ERROR_SYNTAX, "an ssh certificate is cut off");
    if (!str_eq(type, CERTIFICATE_TYPE) ||
        !str_eq(public_key, bytes_of(key->public_key, SSH_KEY_LEN)))
        return error_set(error, ERROR_INVALID, "the ssh certificate is for another key");
    return true;
}

/* OpenSSH's private key is the seed and the public key in a row. */
static void add_private(const struct ssh_key *key, struct buf *out)
{
    buf_add_u32(out, 2 * SSH_KEY_LEN);
    buf_add(out, bytes_of(key->seed.data, SSH_KEY_LEN));
    buf_add(out, bytes_of(key->public_key, SSH_KEY_LEN));
}

bool ssh_key_add_agent_message(const struct ssh_key *key, struct str certificate,
                               struct str comment, uint32_t lifetime_s, struct buf *out,
                               struct error *error)
{
    OWNED(buf_release) struct buf blob = { 0 };

    buf_init(&blob, SSH_CERTIFICATE_MAX);
    if (!read_certificate_line(certificate, &blob, error) ||
        !check_certificate(key, buf_str(&blob), error))
        return false;
    buf_add_byte(out, ADD_ID_CONSTRAINED);
    buf_add_sized(out, CERTIFICATE_TYPE);
    buf_add_sized(out, buf_str(&blob));
    buf_add_sized(out, bytes_of(key->public_key, SSH_KEY_LEN));
    add_private(key, out);
    buf_add_sized(out, comment);
    buf_add_byte(out, CONSTRAIN_LIFETIME);
    buf_add_u32(out, lifetime_s);
    return buf_is_ok(out) || error_set(error, ERROR_MEMORY, "no room for the agent's message");
}
