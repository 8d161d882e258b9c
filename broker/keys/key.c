#include "keys/key.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/base64.h"
#include "base/error.h"
#include "keys/jwk.h"
#include "keys/pem.h"
#include "keys/pkcs11.h"
#include "keys/public_key.h"

#define MADE_RSA_BITS ((size_t)2048)
#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 4096 /* KEY_SIGNATURE_MAX */
#define BLOB_MAX ((size_t)128)

static bool is_p256(const EVP_PKEY *pkey)
{
    char group[32];
    size_t len;

    return EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
           str_eq(str_from(group), STR("prime256v1"));
}

static bool is_ed25519(const EVP_PKEY *pkey)
{
    return EVP_PKEY_is_a(pkey, "ED25519") == 1;
}

static bool is_rsa(const EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);

    return EVP_PKEY_is_a(pkey, "RSA") == 1 && bits >= RSA_MIN_BITS && bits <= RSA_MAX_BITS;
}

static EVP_PKEY *generate_ed25519(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

static EVP_PKEY *generate_p256(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static EVP_PKEY *generate_rsa(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", MADE_RSA_BITS);
}

static const struct {
    const char *name;
    bool (*is_such)(const EVP_PKEY *pkey);
    EVP_PKEY *(*generate)(void);
} kinds[] = {
    [KEY_ED25519] = { "an Ed25519 key", is_ed25519, generate_ed25519 },
    [KEY_ES256] = { "a P-256 key", is_p256, generate_p256 },
    [KEY_RS256] = { "an RSA key of 2048 to 4096 bits", is_rsa, generate_rsa },
};

/* Instead of OpenSSL's own, which would ask on the terminal. */
static int refuse_password(char *out, int size, int is_writing, void *context)
{
    (void)out;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

static EVP_PKEY *read_pem(struct str pem)
{
    BIO *input = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.data, (int)pem.len) : NULL;
    EVP_PKEY *pkey = NULL;

    if (input != NULL)
        pkey = PEM_read_bio_PrivateKey(input, NULL, refuse_password, NULL);
    BIO_free(input);
    ERR_clear_error(); /* its words may quote the file */
    return pkey;
}

/* A file whose halves do not belong together would sign what nobody can verify. */
static bool check_pair(struct key *key, EVP_PKEY *pkey, struct error *error)
{
    OWNED(crypto_pool_release) struct crypto_pool verifying = { 0 };
    const struct str message = STR("do the halves of this key belong together?");
    uint8_t signature[KEY_SIGNATURE_MAX];
    struct error mismatch = { 0 };
    size_t len;

    if (!crypto_pool_init(&verifying, pkey, jwk_algorithm(key->algorithm), CRYPTO_VERIFY, error) ||
        !key_sign(key, message, signature, &len, error))
        return false;
    if (crypto_pool_verify(&verifying, message, (struct str){ (const char *)signature, len },
                           &mismatch))
        return true;
    return error_set(error, ERROR_CONFIG, "its private and public half do not belong together");
}

/* The halves of one in a token: key_sign() compares them. */
static bool try_to_sign(struct key *key, struct error *error)
{
    uint8_t signature[KEY_SIGNATURE_MAX];
    size_t len;

    return key_sign(key, STR("do the halves of this key belong together?"), signature, &len, error);
}

bool key_from_pem(struct str pem, enum key_algorithm algorithm, struct key **key,
                  struct error *error)
{
    OWNED(public_key_free) EVP_PKEY *pkey = read_pem(pem);
    OWNED(key_free) struct key *made = NULL;

    if (pkey == NULL || !kinds[algorithm].is_such(pkey))
        return error_set(error, ERROR_CONFIG, "expected %s in unencrypted PEM",
                         kinds[algorithm].name);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a key");
    made->algorithm = algorithm;
    if (!crypto_pool_init(&made->pool, pkey, jwk_algorithm(algorithm), CRYPTO_SIGN, error) ||
        !check_pair(made, pkey, error))
        return false;
    *key = TAKE(made);
    return true;
}

void key_free(struct key *key)
{
    if (key == NULL)
        return;
    crypto_pool_release(&key->pool);
    free(key);
}

static bool write_pem(const EVP_PKEY *pkey, struct secret *pem, struct error *error)
{
    BIO *output = BIO_new(BIO_s_secmem());
    const char *data = NULL;
    long len = 0;
    bool is_written;

    if (output != NULL &&
        PEM_write_bio_PKCS8PrivateKey(output, pkey, NULL, NULL, 0, NULL, NULL) == 1)
        len = BIO_get_mem_data(output, &data);
    is_written = len > 0 ? secret_init_copy(pem, (struct str){ data, (size_t)len }, error)
                         : error_set_openssl(error, "writing a key as PEM");
    BIO_free(output);
    return is_written;
}

static bool make_file(const struct key_folder *folder, const char *name,
                      enum key_algorithm algorithm, struct error *error)
{
    OWNED(public_key_free) EVP_PKEY *pkey = kinds[algorithm].generate();
    OWNED(secret_release) struct secret pem = { 0 };

    if (pkey == NULL)
        return error_set_openssl(error, "generating a key");
    if (!write_pem(pkey, &pem, error))
        return false;
    return key_folder_write(folder, name, (struct str){ (const char *)pem.data, pem.len }, 0600,
                            error);
}

static bool load_file(const struct key_folder *folder, const char *name,
                      enum key_algorithm algorithm, struct key **key, struct error *error)
{
    OWNED(secret_release) struct secret pem = { 0 };
    bool is_there;

    if (!key_folder_read(folder, name, &pem, &is_there, error))
        return false;
    if (!is_there)
        return true;
    return key_from_pem((struct str){ (const char *)pem.data, pem.len }, algorithm, key, error) ||
           error_wrap(error, "%s", name);
}

/* ---- where keys are ---- */

/* The name as a token has it. */
static struct str label_of(const char *name)
{
    struct str label = str_from(name);

    return str_ends_with(label, STR(".key")) ? str_slice(label, 0, label.len - 4) : label;
}

/* NAME, NAME-root or NAME-<number>, or for who lists keys the prefix of the last. */
static bool is_of(struct str label, struct str name)
{
    struct str rest = str_slice(label, name.len, label.len);
    int64_t number;

    if (!str_starts_with(label, name) || rest.len == 0)
        return str_eq(label, name);
    return str_eq(rest, STR("-")) || str_eq(rest, STR("-root")) ||
           (rest.data[0] == '-' && str_to_int64(str_slice(rest, 1, rest.len), &number));
}

static bool is_in_token(const struct key_folder *folder, struct str label)
{
    for (size_t i = 0; i < folder->file_count; i++)
        if (is_of(label, folder->files[i]))
            return false;
    return folder->token != NULL;
}

bool key_make(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct error *error)
{
    struct str label = label_of(name);

    if (!is_in_token(folder, label))
        return make_file(folder, name, algorithm, error);
    if (key_folder_has(folder, name))
        return error_set(error, ERROR_CONFIG,
                         "%s is in the folder, and not in the token: import it there and remove "
                         "the file, or name '" STR_FMT "' under keys.files",
                         name, STR_ARG(label));
    return pkcs11_make(folder->token, label, algorithm, error);
}

static bool load_object(struct pkcs11 *token, struct str label, enum key_algorithm algorithm,
                        struct key **key, struct error *error)
{
    OWNED(public_key_free) EVP_PKEY *pkey = NULL;
    OWNED(key_free) struct key *made = NULL;

    if (!pkcs11_find(token, label, algorithm, &pkey, error))
        return false;
    if (pkey == NULL)
        return true;
    if (!kinds[algorithm].is_such(pkey))
        return error_set(error, ERROR_CONFIG, "PKCS#11 token: '" STR_FMT "': expected %s",
                         STR_ARG(label), kinds[algorithm].name);
    made = calloc(1, sizeof(*made));
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "a key");
    made->algorithm = algorithm;
    made->token = token;
    memcpy(made->name, label.data, label.len);
    if (!crypto_pool_init(&made->pool, pkey, jwk_algorithm(algorithm), CRYPTO_VERIFY, error) ||
        !try_to_sign(made, error))
        return false;
    *key = TAKE(made);
    return true;
}

bool key_load(const struct key_folder *folder, const char *name, enum key_algorithm algorithm,
              struct key **key, struct error *error)
{
    struct str label = label_of(name);

    return is_in_token(folder, label) ? load_object(folder->token, label, algorithm, key, error)
                                      : load_file(folder, name, algorithm, key, error);
}

bool key_load_rotating(const struct key_folder *folder, const char *name,
                       enum key_algorithm algorithm, struct key **key, struct error *error)
{
    return key_load(folder, name, algorithm, key, error) &&
           (*key != NULL || load_file(folder, name, algorithm, key, error));
}

bool key_remove_rotating(const struct key_folder *folder, const char *name, struct error *error)
{
    struct str label = label_of(name);

    if (is_in_token(folder, label) && !pkcs11_remove(folder->token, label, error))
        return false;
    return !key_folder_has(folder, name) || key_folder_remove(folder, name, error);
}

/* Sorted, each once. */
static bool merge(const int64_t *more, size_t more_count, struct key_numbers *numbers,
                  struct error *error)
{
    for (size_t i = 0; i < more_count; i++) {
        size_t at = 0;

        while (at < numbers->count && numbers->list[at] < more[i])
            at++;
        if (at < numbers->count && numbers->list[at] == more[i])
            continue;
        if (numbers->count == KEY_FILES_MAX)
            return error_set(error, ERROR_LIMIT, "more than %d keys of one kind", KEY_FILES_MAX);
        memmove(&numbers->list[at + 1], &numbers->list[at],
                (numbers->count - at) * sizeof(numbers->list[0]));
        numbers->list[at] = more[i];
        numbers->count++;
    }
    return true;
}

bool key_list(const struct key_folder *folder, struct str prefix, struct key_numbers *numbers,
              struct error *error)
{
    int64_t in_token[KEY_FILES_MAX];
    size_t count = 0;

    *numbers = (struct key_numbers){ 0 };
    if (!key_folder_list(folder, prefix, numbers->list, &numbers->count, error))
        return false;
    if (!is_in_token(folder, prefix))
        return true;
    if (!pkcs11_list(folder->token, prefix, in_token, &count, error))
        return false;
    numbers->lacks_own = count == 0;
    return merge(in_token, count, numbers, error);
}

int64_t key_next_number(const struct key_numbers *numbers, int64_t now_s)
{
    int64_t newest = numbers->count > 0 ? numbers->list[numbers->count - 1] : -1;

    return newest < now_s ? now_s : newest + 1;
}

enum key_algorithm key_algorithm(const struct key *key)
{
    return key->algorithm;
}

bool key_sign(struct key *key, struct str message, uint8_t signature[KEY_SIGNATURE_MAX],
              size_t *signature_len, struct error *error)
{
    struct error mismatch = { 0 };

    if (key->token == NULL)
        return crypto_pool_sign(&key->pool, message, signature, signature_len, error);
    if (!pkcs11_sign(key->token, str_from(key->name), key->algorithm, message, signature,
                     signature_len, error))
        return false;
    return crypto_pool_verify(&key->pool, message,
                              (struct str){ (const char *)signature, *signature_len }, &mismatch) ||
           error_set(error, ERROR_KEYS_UNAVAILABLE,
                     "PKCS#11 token: what it signed with '%s' does not verify: it has another key "
                     "of that name than before",
                     key->name);
}

/* 0x04, X and Y, whatever point format the key's file asked for. */
static bool p256_point(const EVP_PKEY *pkey, uint8_t out[PUBLIC_KEY_P256_LEN])
{
    BIGNUM *x = NULL;
    BIGNUM *y = NULL;
    bool is_good = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
                   EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
                   BN_bn2binpad(x, out + 1, 32) == 32 && BN_bn2binpad(y, out + 33, 32) == 32;

    out[0] = 0x04;
    BN_free(x);
    BN_free(y);
    return is_good;
}

bool key_public_raw(const struct key *key, uint8_t out[65], size_t *len, struct error *error)
{
    const EVP_PKEY *pkey = key->pool.pkey;
    bool is_good = false;

    if (key->algorithm == KEY_RS256)
        return error_set(error, ERROR_INVALID, "an RSA key has no raw public form");
    *len = key->algorithm == KEY_ED25519 ? PUBLIC_KEY_ED25519_LEN : PUBLIC_KEY_P256_LEN;
    if (key->algorithm == KEY_ED25519)
        is_good = EVP_PKEY_get_raw_public_key(pkey, out, len) == 1;
    else
        is_good = p256_point(pkey, out);
    return is_good || error_set_openssl(error, "a key's public half");
}

static bool add_spki(const EVP_PKEY *pkey, struct buf *out, struct error *error)
{
    BIO *output = BIO_new(BIO_s_mem());

    return pem_take(output, output != NULL ? PEM_write_bio_PUBKEY(output, pkey) : 0, out) ||
           error_set_openssl(error, "writing a public key as PEM");
}

bool key_public_text(const struct key *key, struct str comment, struct buf *out,
                     struct error *error)
{
    OWNED(buf_release) struct buf blob;
    uint8_t raw[PUBLIC_KEY_P256_LEN];
    struct str type =
        key->algorithm == KEY_ED25519 ? STR("ssh-ed25519") : STR("ecdsa-sha2-nistp256");
    size_t raw_len;

    buf_init(&blob, BLOB_MAX);
    if (key->algorithm == KEY_RS256)
        return add_spki(key->pool.pkey, out, error);
    if (!key_public_raw(key, raw, &raw_len, error))
        return false;
    buf_add_sized(&blob, type);
    if (key->algorithm == KEY_ES256)
        buf_add_sized(&blob, STR("nistp256"));
    buf_add_sized(&blob, (struct str){ (const char *)raw, raw_len });
    buf_add(out, type);
    buf_add_byte(out, ' ');
    buf_add_base64(out, buf_str(&blob));
    buf_add_byte(out, ' ');
    buf_add(out, comment);
    buf_add_byte(out, '\n');
    return (buf_is_ok(&blob) && buf_is_ok(out)) || error_set(error, ERROR_MEMORY, "a public key");
}
