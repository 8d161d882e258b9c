#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/file.h"
#include "keys/authority_internal.h"
#include "keys/issuer.h"
#include "keys/key.h"

#define ROOT_LIFE_S ((int64_t)3650 * 24 * 3600)
#define CHAIN_MAX 4 /* certificates of a file */
#define NAME_TEXT_MAX 64

/* ---- names ---- */

static void name_file(const struct authority_set *set, int64_t created_s, const char *suffix,
                      char name[KEY_FILE_NAME_MAX])
{
    (void)snprintf(name, KEY_FILE_NAME_MAX, STR_FMT "-%" PRId64 "%s", STR_ARG(set->options.name),
                   created_s, suffix);
}

static void name_root(const struct authority_set *set, const char *suffix,
                      char name[KEY_FILE_NAME_MAX])
{
    (void)snprintf(name, KEY_FILE_NAME_MAX, STR_FMT "-root%s", STR_ARG(set->options.name), suffix);
}

static const char *path_of(const struct key_folder *folder, const struct authority_set *set,
                           const char *name)
{
    return file_join(set->arena, folder->path, name);
}

static bool is_there(const struct key_folder *folder, const struct authority_set *set,
                     const char *name)
{
    const char *path = path_of(folder, set, name);

    return path != NULL && access(path, F_OK) == 0;
}

static bool remove_if_there(const struct key_folder *folder, const struct authority_set *set,
                            const char *name, struct error *error)
{
    return !is_there(folder, set, name) || key_folder_remove(folder, name, error);
}

/* ---- certificates in files ---- */

struct chain {
    X509 *certificates[CHAIN_MAX];
    size_t count;
};

static void chain_release(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->certificates[i]);
}

OWNED_VALUE(chain_release, struct chain)

static bool parse_chain(struct str pem, struct chain *chain)
{
    BIO *input = BIO_new_mem_buf(pem.data, (int)pem.len);
    char no_password[] = "";
    X509 *certificate = NULL;
    bool fits = input != NULL;

    while (fits && (certificate = PEM_read_bio_X509(input, NULL, NULL, no_password)) != NULL) {
        fits = chain->count < CHAIN_MAX;
        if (fits)
            chain->certificates[chain->count++] = certificate;
        else
            X509_free(certificate);
    }
    BIO_free(input);
    ERR_clear_error(); /* the end is an error, too */
    return fits && chain->count > 0;
}

/* Each signed by the next one, as whoever checks it will see it. */
static bool is_linked(const struct chain *chain)
{
    bool is_good = true;

    for (size_t i = 0; is_good && i + 1 < chain->count; i++)
        is_good =
            X509_check_issued(chain->certificates[i + 1], chain->certificates[i]) == X509_V_OK &&
            X509_verify(chain->certificates[i], X509_get0_pubkey(chain->certificates[i + 1])) == 1;
    ERR_clear_error();
    return is_good;
}

static bool read_chain(const struct key_folder *folder, const struct authority_set *set,
                       const char *name, struct chain *chain, struct error *error)
{
    const char *path = path_of(folder, set, name);
    struct str pem;

    if (path == NULL)
        return error_set(error, ERROR_MEMORY, "a CA certificate");
    if (!file_read(set->arena, path, CERTIFICATE_PEM_MAX, &pem, error))
        return false;
    if (!parse_chain(pem, chain))
        return error_set(error, ERROR_CONFIG, "%s: expected 1 to %d certificates in PEM", name,
                         CHAIN_MAX);
    return is_linked(chain) ||
           error_set(error, ERROR_CONFIG,
                     "%s: expected each certificate to be signed by the one behind it", name);
}

/* Whether it is of the key, and may do what we use it for. */
static bool check_authority(X509 *certificate, const struct key *key, const char *name,
                            struct error *error)
{
    uint32_t usage = X509_get_key_usage(certificate);

    if (X509_check_private_key(certificate, key->pool.pkey) != 1) {
        ERR_clear_error();
        return error_set(error, ERROR_CONFIG, "%s: the certificate of another key", name);
    }
    if (X509_check_ca(certificate) != 1 || (usage & KU_KEY_CERT_SIGN) == 0 ||
        (usage & KU_CRL_SIGN) == 0 || X509_get0_subject_key_id(certificate) == NULL)
        return error_set(error, ERROR_CONFIG,
                         "%s: expected a CA certificate with keyCertSign and cRLSign, and a "
                         "subject key identifier",
                         name);
    return true;
}

static bool write_certificate(const struct key_folder *folder, const char *name, X509 *certificate,
                              struct error *error)
{
    OWNED(buf_release) struct buf pem = { 0 };

    buf_init(&pem, CERTIFICATE_PEM_MAX);
    if (!certificate_write(certificate, &pem))
        return error_set(error, ERROR_MEMORY, "a CA certificate");
    return key_folder_write(folder, name, buf_str(&pem), 0644, error);
}

/* ---- our own root ---- */

static struct certificate_authority_plan root_plan(const struct authority_set *set, int64_t now_s,
                                                   char text[NAME_TEXT_MAX])
{
    (void)snprintf(text, NAME_TEXT_MAX, "Stagepass " STR_FMT " root", STR_ARG(set->options.name));
    return (struct certificate_authority_plan){
        .common_name = str_from(text),
        .path_length = 1,
        .now_s = now_s,
        .valid_before_s = now_s + ROOT_LIFE_S,
    };
}

static bool make_root_certificate(const struct key_folder *folder, struct authority_set *set,
                                  int64_t now_s, const char *name, struct error *error)
{
    const struct certificate_signer itself = { 0 };
    OWNED(x509_free) X509 *certificate = NULL;
    char text[NAME_TEXT_MAX];
    struct certificate_authority_plan plan = root_plan(set, now_s, text);

    return certificate_sign_authority(&plan, set->root.key, &itself, &certificate, error) &&
           write_certificate(folder, name, certificate, error);
}

static bool load_root(const struct key_folder *folder, int64_t now_s, struct authority_set *set,
                      struct error *error)
{
    OWNED(chain_release) struct chain chain = { 0 };
    OWNED(buf_release) struct buf pem = { 0 };
    char key_name[KEY_FILE_NAME_MAX];
    char name[KEY_FILE_NAME_MAX];

    name_root(set, ".key", key_name);
    name_root(set, ".crt", name);
    if (!key_load(folder, key_name, KEY_ES256, &set->root.key, error))
        return false;
    if (set->root.key == NULL && (!key_make(folder, key_name, KEY_ES256, error) ||
                                  !key_load(folder, key_name, KEY_ES256, &set->root.key, error)))
        return false;
    if (set->root.key == NULL)
        return error_set(error, ERROR_IO, "%s: vanished", key_name);
    if (!is_there(folder, set, name) && !make_root_certificate(folder, set, now_s, name, error))
        return false;
    if (!read_chain(folder, set, name, &chain, error) ||
        !check_authority(chain.certificates[0], set->root.key, name, error))
        return false;
    set->root.certificate = TAKE(chain.certificates[0]);
    buf_init(&pem, CERTIFICATE_PEM_MAX);
    if (certificate_write(set->root.certificate, &pem))
        set->root_pem = arena_copy(set->arena, buf_str(&pem));
    return set->root_pem.data != NULL || error_set(error, ERROR_MEMORY, "a root certificate");
}

/* ---- intermediates ---- */

static struct certificate_authority_plan signer_plan(const struct authority_set *set,
                                                     int64_t created_s, int64_t now_s,
                                                     char text[NAME_TEXT_MAX])
{
    (void)snprintf(text, NAME_TEXT_MAX, "Stagepass " STR_FMT " %" PRId64,
                   STR_ARG(set->options.name), created_s);
    return (struct certificate_authority_plan){
        .common_name = str_from(text),
        .permitted = set->options.permitted,
        .permitted_count = set->options.permitted_count,
        .now_s = now_s,
        .valid_before_s =
            now_s + 2 * set->options.rotate_every_s + KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S,
    };
}

/* It does not outlive the root, which nobody could follow then. */
static bool sign_signer(const struct key_folder *folder, struct authority_set *set,
                        int64_t created_s, int64_t now_s, struct key *key, struct error *error)
{
    OWNED(x509_free) X509 *certificate = NULL;
    char name[KEY_FILE_NAME_MAX];
    char text[NAME_TEXT_MAX];
    struct certificate_authority_plan plan = signer_plan(set, created_s, now_s, text);
    int64_t begins_s = 0;
    int64_t ends_s = 0;

    name_file(set, created_s, ".crt", name);
    if (!certificate_times(set->root.certificate, &begins_s, &ends_s) || ends_s <= now_s)
        return error_set(error, ERROR_CONFIG, STR_FMT "-root.crt: it has ended",
                         STR_ARG(set->options.name));
    if (plan.valid_before_s > ends_s)
        plan.valid_before_s = ends_s;
    return certificate_sign_authority(&plan, key, &set->root, &certificate, error) &&
           write_certificate(folder, name, certificate, error);
}

/* Somebody has it signed. Whether it is there already does not matter to whoever did. */
static bool write_request(const struct key_folder *folder, struct authority_set *set,
                          int64_t created_s, struct key *key, struct error *error)
{
    OWNED(buf_release) struct buf pem = { 0 };
    char name[KEY_FILE_NAME_MAX];
    char text[NAME_TEXT_MAX];

    name_file(set, created_s, ".csr", name);
    if (is_there(folder, set, name))
        return true;
    buf_init(&pem, CERTIFICATE_PEM_MAX);
    (void)signer_plan(set, created_s, 0, text);
    return certificate_request_write(str_from(text), key, &pem, error) &&
           key_folder_write(folder, name, buf_str(&pem), 0644, error);
}

static bool is_self_signed(X509 *certificate)
{
    return (X509_get_extension_flags(certificate) & EXFLAG_SI) != 0;
}

/* The chain as it is handed out: a root is not sent. */
static bool write_chain(const struct chain *chain, struct arena *arena, struct str *out)
{
    OWNED(buf_release) struct buf pem = { 0 };
    bool is_good = true;

    buf_init(&pem, CHAIN_MAX * CERTIFICATE_PEM_MAX);
    for (size_t i = 0; is_good && i < chain->count; i++)
        is_good = is_self_signed(chain->certificates[i]) ||
                  certificate_write(chain->certificates[i], &pem);
    *out = arena_copy(arena, buf_str(&pem));
    return is_good && out->data != NULL;
}

static bool fill_signer(struct authority_set *set, struct authority_signer *signer,
                        struct chain *chain, struct error *error)
{
    char text[NAME_TEXT_MAX];
    struct certificate_authority_plan plan = signer_plan(set, signer->created_s, 0, text);
    X509 *certificate = chain->certificates[0];

    if (!certificate_times(certificate, &signer->begins_s, &signer->ends_s) ||
        !certificate_key_id(certificate, set->arena, &signer->id) ||
        !write_chain(chain, set->arena, &signer->chain))
        return error_set(error, ERROR_MEMORY, "a CA certificate");
    signer->fits = !set->options.has_own_root || certificate_is_constrained_so(certificate, &plan);
    signer->signs_from_s =
        (signer->begins_s > signer->created_s ? signer->begins_s : signer->created_s) + KEYS_LEAD_S;
    signer->self.certificate = TAKE(chain->certificates[0]);
    return true;
}

/* One that nobody has signed yet is passed over. */
static bool load_signer(const struct key_folder *folder, struct authority_set *set,
                        int64_t created_s, int64_t now_s, struct error *error)
{
    OWNED(chain_release) struct chain chain = { 0 };
    OWNED(key_free) struct key *key = NULL;
    struct authority_signer *signer = &set->signers[set->count];
    char key_name[KEY_FILE_NAME_MAX];
    char name[KEY_FILE_NAME_MAX];

    name_file(set, created_s, ".key", key_name);
    name_file(set, created_s, ".crt", name);
    if (!key_load_rotating(folder, key_name, KEY_ES256, &key, error))
        return false;
    if (key == NULL)
        return error_set(error, ERROR_IO, "%s: vanished", key_name);
    if (!is_there(folder, set, name) && !set->options.has_own_root) {
        set->is_waiting = true;
        return write_request(folder, set, created_s, key, error);
    }
    if (!is_there(folder, set, name) && !sign_signer(folder, set, created_s, now_s, key, error))
        return false;
    if (!read_chain(folder, set, name, &chain, error) ||
        !check_authority(chain.certificates[0], key, name, error))
        return false;
    *signer = (struct authority_signer){ .created_s = created_s };
    if (!fill_signer(set, signer, &chain, error))
        return false;
    signer->self.key = TAKE(key);
    set->count++;
    return true;
}

static bool make_signer(const struct key_folder *folder, struct authority_set *set,
                        int64_t created_s, int64_t now_s, struct error *error)
{
    char name[KEY_FILE_NAME_MAX];

    name_file(set, created_s, ".key", name);
    return key_make(folder, name, KEY_ES256, error) &&
           load_signer(folder, set, created_s, now_s, error);
}

/* ---- what is due ---- */

/* With the customer's root nothing is made while one waits to be signed. */
static bool is_due(const struct authority_set *set, const struct key_numbers *keys, int64_t now_s)
{
    int64_t newest_s = keys->count > 0 ? keys->list[keys->count - 1] : 0;
    const struct authority_signer *last = set->count > 0 ? &set->signers[set->count - 1] : NULL;

    if (!set->options.has_own_root && newest_s != 0 && (!last || last->created_s != newest_s))
        return false;
    if (keys->lacks_own)
        return true; /* they are to move into a token */
    if (last && last->fits && last->created_s > now_s - KEYS_LEAD_S)
        return false;
    return !last || !last->fits || last->created_s <= now_s - set->options.rotate_every_s ||
           last->ends_s <= now_s + 2 * KEYS_LEAD_S + AUTHORITY_LIFE_MAX_S;
}

static bool remove_files(const struct key_folder *folder, const struct authority_set *set,
                         int64_t created_s, struct error *error)
{
    static const char *const suffixes[] = { ".csr", ".crt" };
    char name[KEY_FILE_NAME_MAX];

    for (size_t i = 0; i < COUNT(suffixes); i++) {
        name_file(set, created_s, suffixes[i], name);
        if (!remove_if_there(folder, set, name, error))
            return false;
    }
    name_file(set, created_s, ".key", name);
    return key_remove_rotating(folder, name, error);
}

/* By the second one after it, all that it signed has ended: it was not the newest that signed. */
static bool is_over(const struct authority_set *set, int64_t now_s)
{
    return set->count > 2 && set->signers[2].signs_from_s + AUTHORITY_LIFE_MAX_S <= now_s;
}

static void signer_release(struct authority_signer *signer)
{
    x509_free(signer->self.certificate);
    key_free(signer->self.key);
}

static bool drop_old(const struct key_folder *folder, struct authority_set *set, int64_t now_s,
                     struct error *error)
{
    while (is_over(set, now_s)) {
        if (!remove_files(folder, set, set->signers[0].created_s, error))
            return false;
        signer_release(&set->signers[0]);
        set->count--;
        memmove(&set->signers[0], &set->signers[1], set->count * sizeof(set->signers[0]));
    }
    return true;
}

bool authority_load(const struct key_folder *folder, int64_t now_s, struct authority_set *set,
                    struct error *error)
{
    OWNED(key_folder_unlock) int lock = -1;
    char prefix[AUTHORITY_NAME_MAX + 2];
    struct key_numbers keys;

    (void)snprintf(prefix, sizeof(prefix), STR_FMT "-", STR_ARG(set->options.name));
    if (!key_folder_lock(folder, &lock, error) ||
        (set->options.has_own_root && !load_root(folder, now_s, set, error)) ||
        !key_list(folder, str_from(prefix), &keys, error))
        return false;
    if (keys.count >= AUTHORITY_SIGNERS_MAX)
        return error_set(error, ERROR_LIMIT, STR_FMT ": more than %d keys of one CA",
                         STR_ARG(set->options.name), AUTHORITY_SIGNERS_MAX - 1);
    for (size_t i = 0; i < keys.count; i++)
        if (!load_signer(folder, set, keys.list[i], now_s, error))
            return false;
    if (is_due(set, &keys, now_s) &&
        !make_signer(folder, set, key_next_number(&keys, now_s), now_s, error))
        return false;
    return drop_old(folder, set, now_s, error);
}

void authority_set_clear(struct authority_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        signer_release(&set->signers[i]);
    x509_free(set->root.certificate);
    key_free(set->root.key);
}
