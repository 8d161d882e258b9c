#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "http/http_internal.h"
#include "http/listener.h"

#define THREADS_MAX 64

/* Deadlines are looked at four times in the shortest of them, within these bounds. */
#define SWEEP_MIN_MS 5
#define SWEEP_MAX_MS 250

/* security-rules.md 1.1 has the times. */
static const struct http_options defaults = {
    .thread_count = 1,
    .connections_max = 4096,
    .header_timeout_ms = 5 * 1000,
    .body_timeout_ms = 10 * 1000,
    .idle_timeout_ms = 15 * 1000,
    .request_timeout_ms = 30 * 1000,
    .write_timeout_ms = 10 * 1000,
    .requests_per_connection_max = 1000,
};

static void use_default(unsigned *number, unsigned value)
{
    if (*number == 0)
        *number = value;
}

static struct http_options with_defaults(const struct http_options *options)
{
    struct http_options filled = *options;

    use_default(&filled.thread_count, defaults.thread_count);
    use_default(&filled.connections_max, defaults.connections_max);
    use_default(&filled.header_timeout_ms, defaults.header_timeout_ms);
    use_default(&filled.body_timeout_ms, defaults.body_timeout_ms);
    use_default(&filled.idle_timeout_ms, defaults.idle_timeout_ms);
    use_default(&filled.request_timeout_ms, defaults.request_timeout_ms);
    use_default(&filled.write_timeout_ms, defaults.write_timeout_ms);
    use_default(&filled.requests_per_connection_max, defaults.requests_per_connection_max);
    return filled;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static int64_t sweep_interval_ns(const struct http_options *options)
{
    unsigned shortest = smaller(options->header_timeout_ms, options->body_timeout_ms);
    unsigned interval_ms;

    shortest = smaller(shortest, options->idle_timeout_ms);
    shortest = smaller(shortest, options->request_timeout_ms);
    shortest = smaller(shortest, options->write_timeout_ms);
    interval_ms = smaller(shortest / 4, SWEEP_MAX_MS);
    if (interval_ms < SWEEP_MIN_MS)
        interval_ms = SWEEP_MIN_MS;
    return (int64_t)interval_ms * 1000000;
}

static bool init_locks(struct http_server *server, struct error *error)
{
    pthread_condattr_t monotonic;

    (void)pthread_condattr_init(&monotonic); /* these do not fail in glibc */
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    errno = pthread_cond_init(&server->has_drained, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (errno != 0)
        return error_set_errno(error, "HTTP server");
    (void)pthread_mutex_init(&server->lock, NULL); /* cannot fail with default attributes */
    return true;
}

static bool start_workers(struct http_server *server, struct error *error)
{
    int sockets[THREADS_MAX];
    size_t count = server->options.thread_count;

    if (!listener_open(server->options.address, &server->port, sockets, count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (worker_start(&server->workers[i], server, sockets[i], error)) {
            server->worker_count++;
            continue;
        }
        while (++i < count)
            (void)close(sockets[i]); /* nobody came yet */
        return false;
    }
    return true;
}

static bool open_tls(struct http_server *server, struct error *error)
{
    const struct http_options *options = &server->options;

    if (options->certificate_file == NULL && options->key_file == NULL)
        return true;
    if (options->certificate_file == NULL || options->key_file == NULL)
        return error_set(error, ERROR_CONFIG, "a certificate and its key come together");
    return tls_open(options->certificate_file, options->key_file, options->client_ca_file,
                    &server->tls, error);
}

/* A route with roles and nobody to ask for them would be open to all. */
static bool can_authorize(const struct http_options *options)
{
    for (size_t i = 0; i < options->route_count; i++)
        if (options->routes[i].roles != 0 && options->authorize == NULL)
            return false;
    return true;
}

bool http_start(const struct http_options *options, struct http_server **out, struct error *error)
{
    struct http_server *server;

    assert(can_authorize(options));
    if (options->thread_count > THREADS_MAX)
        return error_set(error, ERROR_CONFIG, "expected at most %d HTTP threads, got %u",
                         THREADS_MAX, options->thread_count);
    server = calloc(1, sizeof(*server));
    if (server == NULL)
        return error_set(error, ERROR_MEMORY, "HTTP server: no memory");
    server->options = with_defaults(options);
    server->port = options->port;
    server->sweep_ns = sweep_interval_ns(&server->options);
    server->workers = calloc(server->options.thread_count, sizeof(*server->workers));
    if (server->workers == NULL || !init_locks(server, error)) {
        free(server->workers);
        free(server);
        return error->code == ERROR_NONE ? error_set(error, ERROR_MEMORY, "HTTP server: no memory")
                                         : false;
    }
    if (!open_tls(server, error) || !start_workers(server, error)) {
        http_stop(server);
        return false;
    }
    *out = server;
    return true;
}

uint16_t http_port(const struct http_server *server)
{
    return server->port;
}

int64_t http_certificate_end_s(const struct http_server *server)
{
    return server->tls == NULL ? 0 : tls_end_s(server->tls);
}

bool http_reload_certificate(struct http_server *server, struct error *error)
{
    return server->tls == NULL || tls_reload(server->tls, error);
}

static struct timespec after_ms(unsigned timeout_ms)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at); /* cannot fail */
    at.tv_sec += timeout_ms / 1000;
    at.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_nsec -= 1000000000;
        at.tv_sec++;
    }
    return at;
}

void http_drain(struct http_server *server, unsigned timeout_ms)
{
    const struct timespec end = after_ms(timeout_ms);
    int result = 0;

    for (size_t i = 0; i < server->worker_count; i++)
        worker_tell(&server->workers[i], WORKER_DRAIN);
    (void)pthread_mutex_lock(&server->lock);
    while (server->drained_count < server->worker_count && result == 0)
        result = pthread_cond_timedwait(&server->has_drained, &server->lock, &end);
    (void)pthread_mutex_unlock(&server->lock);
}

void http_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    for (size_t i = 0; i < server->worker_count; i++)
        worker_tell(&server->workers[i], WORKER_STOP);
    for (size_t i = 0; i < server->worker_count; i++)
        worker_join(&server->workers[i]);
    tls_close(server->tls);
    (void)pthread_cond_destroy(&server->has_drained);
    (void)pthread_mutex_destroy(&server->lock);
    free(server->workers);
    free(server);
}

/* --- what handlers ask about a request ---------------------------------------------------------
 */

struct search {
    struct str name;
    struct str first;
    size_t count;
};

static enum MHD_Result compare_field(void *context, enum MHD_ValueKind kind, const char *name,
                                     size_t name_len, const char *value, size_t value_len)
{
    struct search *search = context;

    (void)kind;
    if (!str_eq_ignore_case((struct str){ name, name_len }, search->name))
        return MHD_YES;
    if (search->count++ == 0)
        search->first = (struct str){ value, value_len };
    return MHD_YES;
}

size_t http_header_get(const struct http_request *request, const char *name, struct str *value)
{
    const struct call *call = (const struct call *)request;
    struct search search = { .name = str_from(name) };

    (void)MHD_get_connection_values_n(call->connection->handle, MHD_HEADER_KIND, compare_field,
                                      &search);
    if (search.count > 0)
        *value = search.first;
    return search.count;
}

bool http_client_certificate(const struct http_request *request, uint8_t sha256[32])
{
    const struct connection *connection = ((const struct call *)request)->connection;

    if (connection->client != CLIENT_CERTIFICATE_VALID)
        return false;
    memcpy(sha256, connection->client_sha256, sizeof(connection->client_sha256));
    return true;
}
