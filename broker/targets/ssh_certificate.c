#include "targets/ssh_certificate.h"

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "keys/keys.h"

#define CA_TYPE "ssh-ed25519"
#define ROLE_USER 1
#define NONCE_LEN 32
/* 32 principals of 128 bytes, a command of 1 KiB, 64 ranges: well below. */
#define CERTIFICATE_MAX ((size_t)32 * 1024)

static const struct {
    const char *key_type;
    const char *certificate_type;
} types[] = {
    { "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com" },
    { "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256-cert-v01@openssh.com" },
};

static struct str certificate_type(const struct ssh_public_key *key)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_eq(key->type, str_from(types[i].key_type)))
            return str_from(types[i].certificate_type);
    return STR("");
}

static void add_texts(struct buf *buf, const struct texts *texts)
{
    OWNED(buf_release) struct buf list = { 0 };

    buf_init(&list, buf->max);
    for (size_t i = 0; i < texts->count; i++)
        buf_add_sized(&list, texts->list[i]);
    buf_add_sized(buf, buf_str(&list));
}

/* A name, and a string whose content is itself a string. */
static void add_option(struct buf *buf, struct str name, struct str value)
{
    OWNED(buf_release) struct buf data = { 0 };

    if (value.len == 0)
        return;
    buf_init(&data, buf->max);
    buf_add_sized(&data, value);
    buf_add_sized(buf, name);
    buf_add_sized(buf, buf_str(&data));
}

static void add_critical_options(struct buf *buf, const struct ssh_certificate *certificate)
{
    OWNED(buf_release) struct buf options = { 0 };

    buf_init(&options, buf->max);
    add_option(&options, STR("force-command"), certificate->force_command);
    add_option(&options, STR("source-address"), certificate->source_address);
    buf_add_sized(buf, buf_str(&options));
}

static void add_extensions(struct buf *buf, const struct texts *extensions)
{
    OWNED(buf_release) struct buf options = { 0 };

    buf_init(&options, buf->max);
    for (size_t i = 0; i < extensions->count; i++) {
        buf_add_sized(&options, extensions->list[i]);
        buf_add_sized(&options, STR(""));
    }
    buf_add_sized(buf, buf_str(&options));
}

bool ssh_ca_blob(struct key *ca, struct buf *out, struct error *error)
{
    uint8_t raw[65];
    size_t len = 0;

    if (!key_public_raw(ca, raw, &len, error))
        return false;
    buf_add_sized(out, STR(CA_TYPE));
    buf_add_sized(out, (struct str){ (const char *)raw, len });
    return true;
}

/* Every byte that the signature covers. */
static bool add_body(struct buf *buf, const struct ssh_certificate *certificate, struct key *ca,
                     struct error *error)
{
    OWNED(buf_release) struct buf ca_key = { 0 };
    uint8_t nonce[NONCE_LEN];

    buf_init(&ca_key, buf->max);
    if (!secret_random(nonce, sizeof(nonce), error) || !ssh_ca_blob(ca, &ca_key, error))
        return false;
    buf_add_sized(buf, certificate_type(certificate->key));
    buf_add_sized(buf, (struct str){ (const char *)nonce, sizeof(nonce) });
    buf_add(buf, certificate->key->fields);
    buf_add_u64(buf, certificate->serial);
    buf_add_u32(buf, ROLE_USER);
    buf_add_sized(buf, certificate->key_id);
    add_texts(buf, &certificate->principals);
    buf_add_u64(buf, (uint64_t)certificate->valid_after_s);
    buf_add_u64(buf, (uint64_t)certificate->valid_before_s);
    add_critical_options(buf, certificate);
    add_extensions(buf, &certificate->extensions);
    buf_add_sized(buf, STR("")); /* reserved */
    buf_add_sized(buf, buf_str(&ca_key));
    return true;
}

static bool add_signature(struct buf *buf, struct key *ca, struct error *error)
{
    OWNED(buf_release) struct buf blob = { 0 };
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t len = 0;

    if (!buf_is_ok(buf))
        return error_set(error, ERROR_MEMORY, "no room for a certificate");
    if (!key_sign(ca, buf_str(buf), signature, &len, error))
        return false;
    buf_init(&blob, buf->max);
    buf_add_sized(&blob, STR(CA_TYPE));
    buf_add_sized(&blob, (struct str){ (const char *)signature, len });
    buf_add_sized(buf, buf_str(&blob));
    return true;
}

static bool check(const struct ssh_certificate *certificate, const struct key *ca,
                  struct error *error)
{
    if (certificate->principals.count == 0)
        return error_set(error, ERROR_MINT, "a certificate without principals");
    if (certificate->valid_after_s <= 0 ||
        certificate->valid_before_s <= certificate->valid_after_s)
        return error_set(error, ERROR_MINT, "a certificate without a bounded life");
    if (certificate_type(certificate->key).len == 0)
        return error_set(error, ERROR_MINT, "a certificate for a key type that has none");
    if (key_algorithm(ca) != KEY_ED25519)
        return error_set(error, ERROR_MINT, "an SSH CA key that is not Ed25519");
    return true;
}

bool ssh_certificate_sign(const struct ssh_certificate *certificate, struct key *ca,
                          struct str comment, struct arena *arena, struct str *line,
                          struct error *error)
{
    OWNED(buf_release) struct buf blob = { 0 };
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&blob, CERTIFICATE_MAX);
    buf_init(&text, BASE64_ENCODED_MAX(CERTIFICATE_MAX) + 512);
    if (!check(certificate, ca, error) || !add_body(&blob, certificate, ca, error) ||
        !add_signature(&blob, ca, error))
        return false;
    if (!buf_is_ok(&blob))
        return error_set(error, ERROR_MEMORY, "no room for a certificate");
    buf_add(&text, certificate_type(certificate->key));
    buf_add_byte(&text, ' ');
    buf_add_base64(&text, buf_str(&blob));
    buf_add_byte(&text, ' ');
    buf_add(&text, comment);
    *line = arena_copy(arena, buf_str(&text));
    if (!buf_is_ok(&text) || !line->data)
        return error_set(error, ERROR_MEMORY, "no room for a certificate");
    return true;
}

bool ssh_ca_fingerprint(struct key *ca, struct arena *arena, struct str *fingerprint,
                        struct error *error)
{
    OWNED(buf_release) struct buf blob = { 0 };

    buf_init(&blob, 256);
    if (!ssh_ca_blob(ca, &blob, error))
        return false;
    *fingerprint = ssh_fingerprint(&(struct ssh_public_key){ .blob = buf_str(&blob) }, arena);
    if (!buf_is_ok(&blob) || !fingerprint->data)
        return error_set(error, ERROR_MEMORY, "no memory for a fingerprint");
    return true;
}
