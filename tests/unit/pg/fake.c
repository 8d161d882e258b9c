#include "pg/fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tests/test.h"

/* ---- where it listens ---- */

static void listen_in_folder(struct fake *fake)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)snprintf(fake->folder, sizeof(fake->folder), "/tmp/stagepass-pg-XXXXXX");
    assert_non_null(mkdtemp(fake->folder));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", fake->folder);
    (void)snprintf(fake->url, sizeof(fake->url), "postgresql:///x?user=u&host=%s", fake->folder);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
}

static void listen_at_port(struct fake *fake)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(fake->url, sizeof(fake->url),
                   "postgresql://u@127.0.0.1:%u/x?sslmode=require&gssencmode=disable",
                   (unsigned)ntohs(address.sin_port));
}

static void make_certificate(struct fake *fake)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();

    assert_true(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
    assert_non_null(X509_gmtime_adj(X509_getm_notBefore(certificate), -3600));
    assert_non_null(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600));
    assert_true(X509_set_pubkey(certificate, key));
    assert_true(X509_sign(certificate, key, EVP_sha256()));
    fake->tls = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(fake->tls, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(fake->tls, key), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* ---- one connection ---- */

bool fake_listen(struct fake *fake)
{
    char ignored[4096];

    if (fake->session)
        return SSL_read(fake->session, ignored, sizeof(ignored)) > 0;
    return recv(fake->client, ignored, sizeof(ignored), 0) > 0;
}

bool fake_say(struct fake *fake, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t len = fake->session ? SSL_write(fake->session, bytes.data, (int)bytes.len)
                                    : send(fake->client, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (len <= 0)
            return false;
        fake->sent += (size_t)len;
        bytes.data += len;
        bytes.len -= (size_t)len;
    }
    return true;
}

void fake_say_for_ever(struct fake *fake, struct str bytes)
{
    size_t count = 64 * 1024 / bytes.len + 1;
    char *many = malloc(count * bytes.len);

    assert_non_null(many);
    for (size_t i = 0; i < count; i++)
        memcpy(many + i * bytes.len, bytes.data, bytes.len);
    while (fake_say(fake, (struct str){ many, count * bytes.len }))
        continue;
    free(many);
}

/* Whether it is asked for TLS, and there is some then. */
static bool is_met(struct fake *fake)
{
    if (!fake->tls)
        return true;
    if (!fake_listen(fake) || send(fake->client, "S", 1, MSG_NOSIGNAL) != 1)
        return false;
    fake->session = SSL_new(fake->tls);
    return SSL_set_fd(fake->session, fake->client) == 1 && SSL_accept(fake->session) == 1;
}

static void *serve(void *context)
{
    struct fake *fake = context;

    fake->client = accept(fake->listener, NULL, NULL);
    assert_true(fake->client >= 0);
    if (is_met(fake) && fake_listen(fake))
        fake->talk(fake, fake->context);
    while (fake_listen(fake))
        continue;
    SSL_free(fake->session);
    (void)close(fake->client);
    return NULL;
}

void fake_start(struct fake *fake, bool is_tls, fake_talk *talk, const void *context)
{
    *fake = (struct fake){ .talk = talk, .context = context };
    if (is_tls) {
        (void)signal(SIGPIPE, SIG_IGN); /* OpenSSL's sockets */
        make_certificate(fake);
        listen_at_port(fake);
    } else
        listen_in_folder(fake);
    assert_int_equal(listen(fake->listener, 1), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

void fake_stop(struct fake *fake)
{
    char path[64];

    assert_int_equal(pthread_join(fake->thread, NULL), 0);
    (void)close(fake->listener);
    SSL_CTX_free(fake->tls);
    if (fake->folder[0] == '\0')
        return;
    (void)snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", fake->folder);
    (void)unlink(path);
    (void)rmdir(fake->folder);
}
