#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "http/http.h"
#include "http/tls.h"
#include "peer.h"
#include "tests/test.h"

#define DAY_S ((time_t)24 * 3600)

/* --- certificates, made for one run ------------------------------------------------------------
 */

/* A key with its certificate. */
struct pair {
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t certificate;
};

static void good(int result)
{
    if (result < 0)
        fail_msg("%s", gnutls_strerror(result));
}

static struct pair pair_new(void)
{
    struct pair pair;

    good(gnutls_x509_privkey_init(&pair.key));
    good(gnutls_x509_privkey_generate(pair.key, GNUTLS_PK_ECDSA,
                                      GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    good(gnutls_x509_crt_init(&pair.certificate));
    return pair;
}

static void pair_free(struct pair *pair)
{
    gnutls_x509_crt_deinit(pair->certificate);
    gnutls_x509_privkey_deinit(pair->key);
}

/* `purpose` NULL makes an authority; `signer` NULL signs with the pair's own key. */
static struct pair issue(const char *name, const char *purpose, const struct pair *signer,
                         time_t expires_s)
{
    static uint8_t serial;
    struct pair pair = pair_new();
    gnutls_x509_crt_t certificate = pair.certificate;

    serial++;
    good(gnutls_x509_crt_set_version(certificate, 3));
    good(gnutls_x509_crt_set_serial(certificate, &serial, 1));
    good(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name)));
    good(gnutls_x509_crt_set_activation_time(certificate, time(NULL) - 2 * DAY_S));
    good(gnutls_x509_crt_set_expiration_time(certificate, expires_s));
    good(gnutls_x509_crt_set_basic_constraints(certificate, purpose == NULL ? 1 : 0, -1));
    if (purpose != NULL)
        good(gnutls_x509_crt_set_key_purpose_oid(certificate, purpose, 0));
    good(gnutls_x509_crt_set_key(certificate, pair.key));
    if (signer == NULL)
        good(gnutls_x509_crt_sign2(certificate, certificate, pair.key, GNUTLS_DIG_SHA256, 0));
    else
        good(gnutls_x509_crt_sign2(certificate, signer->certificate, signer->key, GNUTLS_DIG_SHA256,
                                   0));
    return pair;
}

static char folder[] = "/tmp/stagepass-tls-XXXXXX";
static struct arena *arena;
static struct pair authority;
static const char *certificate_file;
static const char *key_file;
static const char *ca_file;

static void write_datum(const char *path, gnutls_datum_t *take_pem, unsigned mode)
{
    struct error error = { 0 };

    if (!file_replace(path, (struct str){ (const char *)take_pem->data, take_pem->size }, mode,
                      &error))
        fail_msg("%s", error.cause);
    gnutls_free(take_pem->data);
}

static void write_certificate(const char *path, const struct pair *pair)
{
    gnutls_datum_t pem;

    good(gnutls_x509_crt_export2(pair->certificate, GNUTLS_X509_FMT_PEM, &pem));
    write_datum(path, &pem, 0644);
}

static void write_key(const char *path, const struct pair *pair, unsigned mode)
{
    gnutls_datum_t pem;

    good(gnutls_x509_privkey_export2(pair->key, GNUTLS_X509_FMT_PEM, &pem));
    write_datum(path, &pem, mode);
}

static struct pair server_pair(const char *name)
{
    return issue(name, GNUTLS_KP_TLS_WWW_SERVER, &authority, time(NULL) + DAY_S);
}

/* Put a new certificate of that name in place. */
static void install(const char *name)
{
    struct pair pair = server_pair(name);

    write_certificate(certificate_file, &pair);
    write_key(key_file, &pair, 0600);
    pair_free(&pair);
}

static int make_folder(void **state)
{
    (void)state;
    arena = arena_new((size_t)1024 * 1024);
    if (arena == NULL || mkdtemp(folder) == NULL)
        return -1;
    certificate_file = file_join(arena, folder, "tls.crt");
    key_file = file_join(arena, folder, "tls.key");
    ca_file = file_join(arena, folder, "ca.crt");
    authority = issue("authority", NULL, NULL, time(NULL) + DAY_S);
    write_certificate(ca_file, &authority);
    return 0;
}

static int drop_folder(void **state)
{
    (void)state;
    (void)unlink(certificate_file);
    (void)unlink(key_file);
    (void)unlink(ca_file);
    (void)rmdir(folder);
    pair_free(&authority);
    arena_free(arena);
    return 0;
}

/* --- the server --------------------------------------------------------------------------------
 */

/* Tells what it knows of the client's certificate. */
static enum progress whoami(struct http_request *request, void *context)
{
    uint8_t sha256[32];
    char hex[2 * sizeof(sha256) + 1];

    (void)context;
    if (!http_client_certificate(request, sha256))
        return http_answer_text(request, 200, "text/plain", STR("nobody"));
    for (size_t i = 0; i < sizeof(sha256); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", sha256[i]);
    return http_answer_text(request, 200, "text/plain", arena_copy(request->arena, str_from(hex)));
}

static const struct http_route routes[] = {
    { "GET", "/whoami", 0, HTTP_BODY_NONE, 0, whoami },
};

static struct http_options tls_options(void)
{
    return (struct http_options){
        .address = STR("127.0.0.1"),
        .routes = routes,
        .route_count = COUNT(routes),
        .certificate_file = certificate_file,
        .key_file = key_file,
    };
}

static struct http_server *start(const char *client_ca_file)
{
    struct http_options options = tls_options();

    options.client_ca_file = client_ca_file;
    return peer_server(options);
}

/* --- the client --------------------------------------------------------------------------------
 */

struct client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    int fd;
};

static int handshake(struct client *client)
{
    int result;

    do {
        result = gnutls_handshake(client->session);
    } while (result < 0 && gnutls_error_is_fatal(result) == 0);
    return result;
}

/* Connect and shake hands; `identity` NULL shows no certificate. False where that fails. */
static bool client_open(struct client *client, uint16_t port, const char *priorities,
                        const struct pair *identity)
{
    const struct timeval patience = { .tv_sec = 5 };

    *client = (struct client){ .fd = peer_connect(port) };
    assert_true(client->fd >= 0);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)),
                     0);
    good(gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_FORCE_CLIENT_CERT));
    good(gnutls_priority_set_direct(client->session, priorities, NULL));
    good(gnutls_certificate_allocate_credentials(&client->credentials));
    if (identity != NULL) {
        gnutls_x509_crt_t chain[] = { identity->certificate };

        good(gnutls_certificate_set_x509_key(client->credentials, chain, 1, identity->key));
    }
    good(gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials));
    gnutls_transport_set_int(client->session, client->fd);
    return handshake(client) == GNUTLS_E_SUCCESS;
}

static void client_close(struct client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
    peer_close(client->fd);
}

/* Ask who we are; false where no answer comes. */
static bool client_ask(struct client *client, struct answer *answer)
{
    static const char request[] = "GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n";
    ssize_t got;

    *answer = (struct answer){ 0 };
    if (gnutls_record_send(client->session, request, sizeof(request) - 1) < 0)
        return false;
    do {
        got = gnutls_record_recv(client->session, answer->text + answer->len,
                                 sizeof(answer->text) - 1 - answer->len);
        if (got <= 0)
            return false;
        answer->len += (size_t)got;
        answer->text[answer->len] = '\0';
    } while (!answer_is_whole(answer));
    return true;
}

static void assert_told(struct client *client, const char *expected)
{
    struct answer answer;

    assert_true(client_ask(client, &answer));
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, expected);
}

/* The common name that the server shows. */
static void shown_name(struct client *client, char *name, size_t size)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(client->session, &count);
    gnutls_x509_crt_t certificate;

    assert_non_null(chain);
    good(gnutls_x509_crt_init(&certificate));
    good(gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER));
    good(
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size));
    gnutls_x509_crt_deinit(certificate);
}

static void assert_shows(uint16_t port, const char *name)
{
    char shown[64] = "";
    struct client client;

    assert_true(client_open(&client, port, "NORMAL", NULL));
    shown_name(&client, shown, sizeof(shown));
    assert_string_equal(shown, name);
    client_close(&client);
}

/* --- the tests ---------------------------------------------------------------------------------
 */

static void modern_clients_are_served(void **state)
{
    static const char *const priorities[] = {
        "NORMAL",
        "NORMAL:-VERS-ALL:+VERS-TLS1.3",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+CHACHA20-POLY1305",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-GROUP-ALL:+GROUP-SECP384R1",
    };
    struct http_server *server;
    struct client client;

    (void)state;
    install("one");
    server = start(NULL);
    for (size_t i = 0; i < COUNT(priorities); i++) {
        if (!client_open(&client, http_port(server), priorities[i], NULL))
            fail_msg("refused: %s", priorities[i]);
        assert_told(&client, "nobody");
        client_close(&client);
    }
    http_stop(server);
}

static void old_versions_and_ciphers_are_refused(void **state)
{
    static const char *const priorities[] = {
        "NORMAL:-VERS-ALL:+VERS-TLS1.1",
        "NORMAL:-VERS-ALL:+VERS-TLS1.0",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+DHE-RSA",
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-FFDHE2048",
    };
    struct http_server *server;
    struct client client;

    (void)state;
    install("one");
    server = start(NULL);
    for (size_t i = 0; i < COUNT(priorities); i++) {
        if (client_open(&client, http_port(server), priorities[i], NULL))
            fail_msg("accepted: %s", priorities[i]);
        client_close(&client);
    }
    http_stop(server);
}

static bool is_one_of(unsigned value, const unsigned *allowed, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (allowed[i] == value)
            return true;
    }
    return false;
}

static void only_aead_with_ephemeral_elliptic_curves_is_offered(void **state)
{
    static const unsigned protocols[] = { GNUTLS_TLS1_2, GNUTLS_TLS1_3 };
    static const unsigned exchanges[] = { GNUTLS_KX_ECDHE_ECDSA, GNUTLS_KX_ECDHE_RSA };
    static const unsigned ciphers[] = { GNUTLS_CIPHER_AES_128_GCM, GNUTLS_CIPHER_AES_256_GCM,
                                        GNUTLS_CIPHER_CHACHA20_POLY1305 };
    static const unsigned macs[] = { GNUTLS_MAC_AEAD };
    const struct {
        int (*list)(gnutls_priority_t priorities, const unsigned **list);
        const unsigned *allowed;
        size_t count;
    } cases[] = {
        { gnutls_priority_protocol_list, protocols, COUNT(protocols) },
        { gnutls_priority_kx_list, exchanges, COUNT(exchanges) },
        { gnutls_priority_cipher_list, ciphers, COUNT(ciphers) },
        { gnutls_priority_mac_list, macs, COUNT(macs) },
    };
    gnutls_priority_t priorities;
    const unsigned *list;

    (void)state;
    good(gnutls_priority_init(&priorities, tls_priorities, NULL));
    for (size_t i = 0; i < COUNT(cases); i++) {
        int count = cases[i].list(priorities, &list);

        assert_int_equal(count, cases[i].count);
        for (int j = 0; j < count; j++)
            assert_true(is_one_of(list[j], cases[i].allowed, cases[i].count));
    }
    gnutls_priority_deinit(priorities);
}

static void plain_http_on_the_tls_port_is_not_answered(void **state)
{
    struct http_server *server;
    struct answer answer;

    (void)state;
    install("one");
    server = start(NULL);
    peer_ask(http_port(server), "GET /whoami HTTP/1.1\r\nHost: a\r\n\r\n", &answer);
    assert_int_equal(answer.status, 0);
    http_stop(server);
}

static void a_silent_handshake_is_cut_off(void **state)
{
    struct http_options options = tls_options();
    struct http_server *server;
    int fd;

    (void)state;
    install("one");
    options.header_timeout_ms = 200;
    server = peer_server(options);
    fd = peer_connect(http_port(server));
    assert_true(peer_is_closed(fd, 4000)); /* by default: 5 s */
    peer_close(fd);
    http_stop(server);
}

static void a_reload_is_for_new_connections(void **state)
{
    struct error error = { 0 };
    struct http_server *server;
    struct client old;

    (void)state;
    install("one");
    server = start(NULL);
    assert_true(client_open(&old, http_port(server), "NORMAL", NULL));
    install("two");
    assert_shows(http_port(server), "one");
    assert_true(http_reload_certificate(server, &error));
    assert_shows(http_port(server), "two");
    assert_told(&old, "nobody");
    client_close(&old);
    http_stop(server);
}

static void write_text(const char *path, const char *text, unsigned mode)
{
    gnutls_datum_t copy = { (unsigned char *)gnutls_strdup(text), (unsigned)strlen(text) };

    write_datum(path, &copy, mode);
}

/* The file at fault comes first, then what is wrong with it. */
static void assert_told_of(const struct error *error, const char *file, const char *what)
{
    assert_int_equal(error->code, ERROR_CONFIG);
    assert_true(str_starts_with(str_from(error->cause), str_from(file)));
    assert_true(str_starts_with(str_from(error->cause + strlen(file)), str_from(what)));
}

static void a_broken_new_pair_keeps_the_old(void **state)
{
    struct pair other = server_pair("other");
    struct error mismatch = { 0 };
    struct error garbage = { 0 };
    struct error missing = { 0 };
    struct error readable = { 0 };
    struct error no_key = { 0 };
    struct http_server *server;

    (void)state;
    install("one");
    server = start(NULL);

    write_certificate(certificate_file, &other); /* the key stays: they do not fit */
    assert_false(http_reload_certificate(server, &mismatch));
    assert_told_of(&mismatch, key_file, " is not the key of ");

    write_text(certificate_file, "not a certificate", 0644);
    assert_false(http_reload_certificate(server, &garbage));
    assert_told_of(&garbage, certificate_file, ": expected certificates in PEM, the broker's own");

    write_certificate(certificate_file, &other);
    write_text(key_file, "not a key", 0600);
    assert_false(http_reload_certificate(server, &no_key));
    assert_told_of(&no_key, key_file, ": expected a private key in unencrypted PEM");

    assert_int_equal(unlink(certificate_file), 0);
    assert_false(http_reload_certificate(server, &missing));
    assert_int_equal(missing.code, ERROR_IO);

    write_certificate(certificate_file, &other);
    write_key(key_file, &other, 0644);
    assert_false(http_reload_certificate(server, &readable));
    assert_int_equal(readable.code, ERROR_CONFIG);

    assert_shows(http_port(server), "one");
    write_key(key_file, &other, 0600);
    readable = (struct error){ 0 };
    assert_true(http_reload_certificate(server, &readable));
    assert_shows(http_port(server), "other");
    pair_free(&other);
    http_stop(server);
}

static void half_a_pair_or_a_readable_key_does_not_start(void **state)
{
    struct http_options options = tls_options();
    struct http_server *server = NULL;
    struct error half = { 0 };
    struct error mode = { 0 };
    struct error ca = { 0 };

    (void)state;
    install("one");
    options.key_file = NULL;
    assert_false(http_start(&options, &server, &half));
    assert_int_equal(half.code, ERROR_CONFIG);

    options = tls_options();
    assert_int_equal(chmod(key_file, 0644), 0);
    assert_false(http_start(&options, &server, &mode));
    assert_int_equal(mode.code, ERROR_CONFIG);
    assert_int_equal(chmod(key_file, 0600), 0);

    options.client_ca_file = key_file; /* no certificate in it */
    assert_false(http_start(&options, &server, &ca));
    assert_int_equal(ca.code, ERROR_CONFIG);
    assert_null(server);
}

static void a_good_client_certificate_is_told_to_handlers(void **state)
{
    struct pair client_pair =
        issue("runner", GNUTLS_KP_TLS_WWW_CLIENT, &authority, time(NULL) + DAY_S);
    char hex[65];
    uint8_t digest[32];
    gnutls_datum_t der;
    struct http_server *server;
    struct client client;

    (void)state;
    good(gnutls_x509_crt_export2(client_pair.certificate, GNUTLS_X509_FMT_DER, &der));
    sha256((struct str){ (const char *)der.data, der.size }, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    gnutls_free(der.data);

    install("one");
    server = start(ca_file);
    assert_true(client_open(&client, http_port(server), "NORMAL", &client_pair));
    assert_told(&client, hex);
    assert_told(&client, hex);
    client_close(&client);
    assert_true(
        client_open(&client, http_port(server), "NORMAL:-VERS-ALL:+VERS-TLS1.2", &client_pair));
    assert_told(&client, hex);
    client_close(&client);

    assert_true(client_open(&client, http_port(server), "NORMAL", NULL));
    assert_told(&client, "nobody");
    client_close(&client);
    pair_free(&client_pair);
    http_stop(server);
}

static void a_bad_client_certificate_is_refused(void **state)
{
    struct pair stranger = issue("stranger", NULL, NULL, time(NULL) + DAY_S);
    const struct {
        const char *name;
        struct pair pair;
    } cases[] = {
        { "signed by itself", issue("runner", GNUTLS_KP_TLS_WWW_CLIENT, NULL, time(NULL) + DAY_S) },
        { "signed by a stranger",
          issue("runner", GNUTLS_KP_TLS_WWW_CLIENT, &stranger, time(NULL) + DAY_S) },
        { "expired", issue("runner", GNUTLS_KP_TLS_WWW_CLIENT, &authority, time(NULL) - DAY_S) },
        { "for servers",
          issue("runner", GNUTLS_KP_TLS_WWW_SERVER, &authority, time(NULL) + DAY_S) },
    };
    struct http_server *server;
    struct client client;
    struct answer answer;

    (void)state;
    install("one");
    server = start(ca_file);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pair pair = cases[i].pair;

        answer.status = 0;
        if (client_open(&client, http_port(server), "NORMAL", &pair))
            (void)client_ask(&client, &answer); /* status 0 tells */
        if (answer.status != 400)
            fail_msg("got %d: %s", answer.status, cases[i].name);
        client_close(&client);
        pair_free(&pair);
    }
    pair_free(&stranger);
    http_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modern_clients_are_served),
        cmocka_unit_test(old_versions_and_ciphers_are_refused),
        cmocka_unit_test(only_aead_with_ephemeral_elliptic_curves_is_offered),
        cmocka_unit_test(plain_http_on_the_tls_port_is_not_answered),
        cmocka_unit_test(a_silent_handshake_is_cut_off),
        cmocka_unit_test(a_reload_is_for_new_connections),
        cmocka_unit_test(a_broken_new_pair_keeps_the_old),
        cmocka_unit_test(half_a_pair_or_a_readable_key_does_not_start),
        cmocka_unit_test(a_good_client_certificate_is_told_to_handlers),
        cmocka_unit_test(a_bad_client_certificate_is_refused),
    };

    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
