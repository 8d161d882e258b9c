#include "targets/scram.h"

#include <openssl/evp.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/secret.h"

static bool is_plain(struct str password)
{
    for (size_t i = 0; i < password.len; i++)
        if (password.data[i] <= 0x20 || password.data[i] >= 0x7f)
            return false;
    return password.len > 0 && password.len <= SCRAM_PASSWORD_MAX;
}

static struct str bytes_of(const uint8_t digest[SHA256_LEN])
{
    return (struct str){ (const char *)digest, SHA256_LEN };
}

bool scram_add_verifier(struct buf *buf, struct str password, const uint8_t salt[SCRAM_SALT_LEN],
                        struct error *error)
{
    uint8_t salted[SHA256_LEN];
    uint8_t client_key[SHA256_LEN];
    uint8_t stored_key[SHA256_LEN];
    uint8_t server_key[SHA256_LEN];

    if (!is_plain(password))
        return error_set(error, ERROR_INVALID, "a password is not 1 to %d printable characters",
                         SCRAM_PASSWORD_MAX);
    if (PKCS5_PBKDF2_HMAC(password.data, (int)password.len, salt, SCRAM_SALT_LEN, SCRAM_ITERATIONS,
                          EVP_sha256(), sizeof(salted), salted) != 1)
        return error_set_openssl(error, "a SCRAM verifier");
    hmac_sha256(bytes_of(salted), STR("Client Key"), client_key);
    sha256(bytes_of(client_key), stored_key);
    hmac_sha256(bytes_of(salted), STR("Server Key"), server_key);
    secret_wipe(salted, sizeof(salted));
    secret_wipe(client_key, sizeof(client_key));
    buf_printf(buf, "SCRAM-SHA-256$%d:", SCRAM_ITERATIONS);
    buf_add_base64(buf, (struct str){ (const char *)salt, SCRAM_SALT_LEN });
    buf_add_text(buf, "$");
    buf_add_base64(buf, bytes_of(stored_key));
    buf_add_text(buf, ":");
    buf_add_base64(buf, bytes_of(server_key));
    return true;
}
