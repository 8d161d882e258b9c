#include "stream/syslog_tls.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/error.h"
#include "base/network.h"

/* TLS 1.2 suites; those of TLS 1.3 are all of this kind. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"
#define HOST_MAX 253 /* of a name in DNS */

struct syslog_tls {
    SSL_CTX *context;
    SSL *ssl;
};

static bool load_files(SSL_CTX *context, const struct upstream_peer *peer, struct error *error)
{
    if (peer->ca_file == NULL && SSL_CTX_set_default_verify_paths(context) != 1)
        return error_set_openssl(error, "the system's authorities");
    if (peer->ca_file != NULL && SSL_CTX_load_verify_file(context, peer->ca_file) != 1) {
        ERR_clear_error();
        return error_set(error, ERROR_CONFIG, "%s: no certificates of authorities", peer->ca_file);
    }
    if (peer->certificate_file == NULL)
        return true;
    if (SSL_CTX_use_certificate_chain_file(context, peer->certificate_file) == 1 &&
        SSL_CTX_use_PrivateKey_file(context, peer->key_file, SSL_FILETYPE_PEM) == 1 &&
        SSL_CTX_check_private_key(context) == 1)
        return true;
    ERR_clear_error();
    return error_set(error, ERROR_CONFIG, "%s: no certificate, or not of the key in %s",
                     peer->certificate_file, peer->key_file);
}

static bool set_rules(SSL_CTX *context, struct error *error)
{
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
            SSL_CTX_set_cipher_list(context, CIPHERS) == 1) ||
           error_set_openssl(error, "tls");
}

/* OpenSSL copies the name that it takes as if it would change it. */
static bool set_name(SSL *ssl, const char *host)
{
    char name[HOST_MAX + 1];

    (void)snprintf(name, sizeof(name), "%s", host);
    return SSL_set1_host(ssl, host) == 1 &&
           SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name) == 1;
}

/* A certificate names hosts and addresses in different ways; an address is no name for SNI. */
static bool set_host(SSL *ssl, const char *host, struct error *error)
{
    struct address address;
    bool is_set = address_parse(str_from(host), &address)
                      ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1
                      : set_name(ssl, host);

    return is_set || error_set_openssl(error, "tls");
}

void syslog_tls_free(struct syslog_tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->ssl != NULL && SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl); /* whether they hear it makes no difference */
    ERR_clear_error();
    SSL_free(tls->ssl);
    SSL_CTX_free(tls->context);
    free(tls);
}

static bool prepare(struct syslog_tls *tls, const struct stream_options *options, int socket,
                    struct error *error)
{
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL)
        return error_set_openssl(error, "tls");
    if (!set_rules(tls->context, error) || !load_files(tls->context, &options->peer, error))
        return false;
    tls->ssl = SSL_new(tls->context);
    if (tls->ssl == NULL || SSL_set_fd(tls->ssl, socket) != 1)
        return error_set_openssl(error, "tls");
    SSL_set_connect_state(tls->ssl);
    return set_host(tls->ssl, options->host, error);
}

bool syslog_tls_new(const struct stream_options *options, int socket, struct syslog_tls **tls,
                    struct error *error)
{
    struct syslog_tls *made = calloc(1, sizeof(*made));

    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a connection");
    if (!prepare(made, options, socket, error)) {
        syslog_tls_free(made);
        return false;
    }
    *tls = made;
    return true;
}

static enum tls_step step_of(const struct syslog_tls *tls, int result, struct error *error)
{
    long verified = SSL_get_verify_result(tls->ssl);

    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    default:
        break;
    }
    if (verified != X509_V_OK)
        error_set(error, ERROR_UNREACHABLE, "its certificate: %s",
                  X509_verify_cert_error_string(verified));
    else
        error_set(error, ERROR_UNREACHABLE, "tls failed, or the connection closed");
    ERR_clear_error();
    return TLS_FAILED;
}

enum tls_step syslog_tls_handshake(struct syslog_tls *tls, struct error *error)
{
    int result = SSL_do_handshake(tls->ssl);

    return result == 1 ? TLS_DONE : step_of(tls, result, error);
}

enum tls_step syslog_tls_write(struct syslog_tls *tls, struct str bytes, size_t *count,
                               struct error *error)
{
    int result = SSL_write_ex(tls->ssl, bytes.data, bytes.len, count);

    return result == 1 ? TLS_DONE : step_of(tls, result, error);
}

bool syslog_tls_is_alive(struct syslog_tls *tls)
{
    char ignored[512];
    size_t count = 0;
    int result = 1;

    for (size_t i = 0; result == 1 && i < SYSLOG_READS_MAX; i++)
        result = SSL_read_ex(tls->ssl, ignored, sizeof(ignored), &count);
    if (result == 1)
        return true;
    result = SSL_get_error(tls->ssl, result);
    ERR_clear_error();
    return result == SSL_ERROR_WANT_READ;
}
