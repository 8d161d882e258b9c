#include "http/tls.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/secret.h"

#define PEM_BYTES_MAX ((size_t)1024 * 1024)
#define KEY_BYTES_MAX ((size_t)64 * 1024)

const char tls_priorities[] =
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-CIPHER-ALL:"
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:-GROUP-DH-ALL:"
    "%SERVER_PRECEDENCE:%NO_TICKETS";

/** Threads: immutable once loaded, but for the count */
struct tls_identity {
    _Atomic size_t references;
    gnutls_certificate_credentials_t credentials;
    bool asks_clients;
    int64_t end_s; /* of its certificate; 0: cannot be told */
};

struct tls {
    const char *certificate_file;
    const char *key_file;
    const char *client_ca_file;

    pthread_mutex_t lock;
    struct tls_identity *current; /* guarded by lock */
};

static void identity_free(struct tls_identity *identity)
{
    if (identity == NULL)
        return;
    if (identity->credentials != NULL)
        gnutls_certificate_free_credentials(identity->credentials);
    free(identity);
}

OWNED_POINTER(identity_free, struct tls_identity)

void tls_identity_unref(struct tls_identity *identity)
{
    if (identity != NULL && atomic_fetch_sub(&identity->references, 1) == 1)
        identity_free(identity);
}

/* The library's type has no const; it only reads. */
static gnutls_datum_t datum_of(const void *data, size_t len)
{
    gnutls_datum_t datum = { NULL, (unsigned)len };

    memcpy(&datum.data, &data, sizeof(data));
    return datum;
}

/* When the first certificate of the chain ends; 0 where that cannot be told. */
static int64_t end_of(const gnutls_datum_t *chain)
{
    gnutls_x509_crt_t *list = NULL;
    unsigned count = 0;
    int64_t end_s = 0;

    if (gnutls_x509_crt_list_import2(&list, &count, chain, GNUTLS_X509_FMT_PEM, 0) < 0)
        return 0;
    if (count > 0)
        end_s = (int64_t)gnutls_x509_crt_get_expiration_time(list[0]);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(list[i]);
    gnutls_free(list);
    return end_s > 0 ? end_s : 0;
}

static bool has_key(const gnutls_datum_t *pem)
{
    gnutls_privkey_t key = NULL;
    bool is_good =
        gnutls_privkey_init(&key) == GNUTLS_E_SUCCESS &&
        gnutls_privkey_import_x509_raw(key, pem, GNUTLS_X509_FMT_PEM, NULL, 0) == GNUTLS_E_SUCCESS;

    gnutls_privkey_deinit(key);
    return is_good;
}

/* Which of the two files is wrong, and what belongs there; the library names neither. */
static bool tell_pair(const struct tls *tls, const gnutls_datum_t *chain, const gnutls_datum_t *key,
                      int result, struct error *error)
{
    if (result == GNUTLS_E_CERTIFICATE_KEY_MISMATCH)
        return error_set(error, ERROR_CONFIG,
                         "%s is not the key of %s: expected that of its first certificate",
                         tls->key_file, tls->certificate_file);
    if (end_of(chain) == 0)
        return error_set(error, ERROR_CONFIG,
                         "%s: expected certificates in PEM, the broker's own first, behind it "
                         "those that signed it",
                         tls->certificate_file);
    if (!has_key(key))
        return error_set(error, ERROR_CONFIG, "%s: expected a private key in unencrypted PEM",
                         tls->key_file);
    return error_set(error, ERROR_CONFIG, "certificate '%s' with key '%s': %s",
                     tls->certificate_file, tls->key_file, gnutls_strerror(result));
}

static bool load_pair(const struct tls *tls, struct arena *arena, struct tls_identity *identity,
                      struct error *error)
{
    OWNED(secret_release) struct secret key = { 0 };
    struct str chain;
    gnutls_datum_t chain_datum;
    gnutls_datum_t key_datum;
    int result;

    if (!file_read(arena, tls->certificate_file, PEM_BYTES_MAX, &chain, error) ||
        !secret_read_file(&key, tls->key_file, KEY_BYTES_MAX, error))
        return false;
    chain_datum = datum_of(chain.data, chain.len);
    key_datum = datum_of(key.data, key.len);
    result = gnutls_certificate_set_x509_key_mem2(identity->credentials, &chain_datum, &key_datum,
                                                  GNUTLS_X509_FMT_PEM, NULL, 0);
    if (result < 0)
        return tell_pair(tls, &chain_datum, &key_datum, result, error);
    identity->end_s = end_of(&chain_datum);
    return true;
}

static bool load_client_ca(const struct tls *tls, struct arena *arena,
                           struct tls_identity *identity, struct error *error)
{
    struct str authorities;
    gnutls_datum_t datum;

    if (tls->client_ca_file == NULL)
        return true;
    if (!file_read(arena, tls->client_ca_file, PEM_BYTES_MAX, &authorities, error))
        return false;
    datum = datum_of(authorities.data, authorities.len);
    if (gnutls_certificate_set_x509_trust_mem(identity->credentials, &datum, GNUTLS_X509_FMT_PEM) <=
        0)
        return error_set(error, ERROR_CONFIG,
                         "%s: expected certificates in PEM, of who signs clients' certificates",
                         tls->client_ca_file);
    identity->asks_clients = true;
    return true;
}

static bool load_identity(const struct tls *tls, struct tls_identity **out, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(4 * PEM_BYTES_MAX);
    OWNED(identity_free) struct tls_identity *identity = calloc(1, sizeof(*identity));

    if (arena == NULL || identity == NULL)
        return error_set(error, ERROR_MEMORY, "certificate: no memory");
    atomic_init(&identity->references, 1);
    if (gnutls_certificate_allocate_credentials(&identity->credentials) != GNUTLS_E_SUCCESS)
        return error_set(error, ERROR_MEMORY, "certificate: no memory");
    if (!load_pair(tls, arena, identity, error) || !load_client_ca(tls, arena, identity, error))
        return false;
    *out = TAKE(identity);
    return true;
}

bool tls_open(const char *certificate_file, const char *key_file, const char *client_ca_file,
              struct tls **out, struct error *error)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (tls == NULL)
        return error_set(error, ERROR_MEMORY, "TLS: no memory");
    tls->certificate_file = certificate_file;
    tls->key_file = key_file;
    tls->client_ca_file = client_ca_file;
    if (!load_identity(tls, &tls->current, error)) {
        free(tls);
        return false;
    }
    (void)pthread_mutex_init(&tls->lock, NULL); /* cannot fail with default attributes */
    *out = tls;
    return true;
}

void tls_close(struct tls *tls)
{
    if (tls == NULL)
        return;
    tls_identity_unref(tls->current);
    (void)pthread_mutex_destroy(&tls->lock);
    free(tls);
}

bool tls_reload(struct tls *tls, struct error *error)
{
    struct tls_identity *fresh = NULL;
    struct tls_identity *old;

    if (!load_identity(tls, &fresh, error))
        return false;
    (void)pthread_mutex_lock(&tls->lock);
    old = tls->current;
    tls->current = fresh;
    (void)pthread_mutex_unlock(&tls->lock);
    tls_identity_unref(old);
    return true;
}

int64_t tls_end_s(struct tls *tls)
{
    int64_t end_s;

    (void)pthread_mutex_lock(&tls->lock);
    end_s = tls->current->end_s;
    (void)pthread_mutex_unlock(&tls->lock);
    return end_s;
}

struct tls_identity *tls_greet(struct tls *tls, gnutls_session_t session)
{
    struct tls_identity *identity;

    (void)pthread_mutex_lock(&tls->lock);
    identity = tls->current;
    (void)atomic_fetch_add(&identity->references, 1);
    (void)pthread_mutex_unlock(&tls->lock);

    /* Without credentials (no memory) the handshake fails, as it should. */
    (void)gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, identity->credentials);
    if (identity->asks_clients)
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUEST);
    return identity;
}

bool tls_has_peer(gnutls_session_t session)
{
    unsigned count = 0;

    return gnutls_certificate_get_peers(session, &count) != NULL && count > 0;
}

bool tls_verify_peer(gnutls_session_t session, uint8_t sha256_out[32])
{
    static const char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st demand = { .type = GNUTLS_DT_KEY_PURPOSE_OID };
    unsigned status = UINT_MAX;
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);

    if (chain == NULL || count == 0)
        return false;
    demand.data = datum_of(purpose, 0).data; /* NUL-terminated: its size counts for nothing */
    if (gnutls_certificate_verify_peers(session, &demand, 1, &status) != GNUTLS_E_SUCCESS ||
        status != 0)
        return false;
    sha256((struct str){ (const char *)chain[0].data, chain[0].size }, sha256_out);
    return true;
}
