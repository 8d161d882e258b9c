/* memmem, epoll_pwait2 */
#define _GNU_SOURCE

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define ANSWER_MAX 16384
#define REQUEST_MAX ((size_t)64 * 1024)
#define PATIENCE_NS (INT64_C(60) * 1000 * 1000 * 1000)
#define LOOK_NS (INT64_C(50) * 1000 * 1000) /* between two looks at the memory */
#define EVENTS_MAX 64

struct connection {
    struct connection *next; /* in the list of free ones */
    int fd;                  /* -1: not connected */
    bool is_busy;
    int64_t since_ns; /* from when on its request counts */
    size_t answer_len;
    char answer[ANSWER_MAX];
};

struct load {
    struct load_options options;
    int epoll;
    struct connection *connections;
    struct connection *free; /* the one that was used last comes first */

    /* the run's */
    const struct str *requests;
    size_t count;
    size_t sent;
    int64_t started_ns;
    int64_t heard_ns;
    int64_t looked_ns;
    struct load_result *result;
};

int64_t load_cpu_us(pid_t pid)
{
    unsigned long user = 0;
    unsigned long kernel = 0;
    char path[64];
    FILE *stat;
    int count;

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    stat = fopen(path, "r");
    if (!stat)
        return 0;
    count =
        fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    (void)fclose(stat); /* only read */
    return count == 2 ? (int64_t)(user + kernel) * (1000000 / sysconf(_SC_CLK_TCK)) : 0;
}

int64_t load_resident_kib(pid_t pid)
{
    int64_t pages = 0;
    char path[64];
    FILE *statm;
    int count;

    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
    statm = fopen(path, "r");
    if (!statm)
        return 0;
    count = fscanf(statm, "%*d %ld", &pages);
    (void)fclose(statm); /* only read */
    return count == 1 ? pages * sysconf(_SC_PAGESIZE) / 1024 : 0;
}

/* ---- what is sent ---- */

size_t load_count_lines(struct str text)
{
    size_t count = 0;
    struct str line;

    while (load_next_line(&text, &line))
        count++;
    return count;
}

bool load_next_line(struct str *text, struct str *line)
{
    while (text->len > 0) {
        (void)str_cut(*text, '\n', line, text);
        if (line->len > 0)
            return true;
    }
    return false;
}

struct str load_write_plain(struct arena *arena, const char *method, struct str path,
                            struct str header)
{
    return arena_printf(arena,
                        "%s " STR_FMT " HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "Content-Length: 0\r\n" STR_FMT "%s\r\n",
                        method, STR_ARG(path), STR_ARG(header), header.len > 0 ? "\r\n" : "");
}

struct str load_write_post(struct arena *arena, const char *path, struct str type, struct str body)
{
    return arena_printf(arena,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: " STR_FMT
                        "\r\nContent-Length: %zu\r\n\r\n" STR_FMT,
                        path, STR_ARG(type), body.len, STR_ARG(body));
}

struct str load_write_exchange(struct arena *arena, struct str stage, struct str token,
                               struct str details)
{
    OWNED(buf_release) struct buf body = { 0 };

    buf_init(&body, REQUEST_MAX);
    buf_add_text(&body, "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
                        "&subject_token_type=urn:ietf:params:oauth:token-type:jwt&stage=");
    buf_add(&body, stage);
    buf_add_text(&body, "&subject_token=");
    buf_add(&body, token);
    if (details.len > 0) {
        buf_add_text(&body, "&authorization_details=");
        buf_add_percent(&body, details);
    }
    return buf_is_ok(&body)
               ? load_write_post(arena, "/token", STR("application/x-www-form-urlencoded"),
                                 buf_str(&body))
               : STR("");
}

/* ---- connections ---- */

void load_free(struct load *load)
{
    if (!load)
        return;
    for (size_t i = 0; load->connections && i < load->options.connections_max; i++)
        if (load->connections[i].fd >= 0)
            (void)close(load->connections[i].fd);
    if (load->epoll >= 0)
        (void)close(load->epoll);
    free(load->connections);
    free(load);
}

static void put_back(struct load *load, struct connection *connection)
{
    connection->is_busy = false;
    connection->next = load->free;
    load->free = connection;
}

struct load *load_new(const struct load_options *options)
{
    OWNED(load_free) struct load *load = calloc(1, sizeof(*load));

    if (!load || options->connections_max > LOAD_CONNECTIONS_MAX)
        return NULL;
    load->options = *options;
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    load->connections = calloc(options->connections_max, sizeof(*load->connections));
    if (load->epoll < 0 || !load->connections)
        return NULL;
    for (size_t i = options->connections_max; i > 0; i--) {
        load->connections[i - 1].fd = -1;
        put_back(load, &load->connections[i - 1]);
    }
    return TAKE(load);
}

static bool connect_one(struct load *load, struct connection *connection)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(load->options.port) };
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connection->fd >= 0 &&
           connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
           setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
           fcntl(connection->fd, F_SETFL, O_NONBLOCK) == 0 &&
           epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) == 0;
}

static void disconnect(struct connection *connection)
{
    (void)close(connection->fd);
    connection->fd = -1;
}

static bool send_all(int fd, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(fd, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (sent <= 0)
            return false;
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
    }
    return true;
}

/* ---- sending ---- */

static int64_t due_ns(const struct load *load)
{
    return load->started_ns + (int64_t)load->sent * load->options.interval_ns;
}

static bool send_one(struct load *load, int64_t since_ns)
{
    struct connection *connection = load->free;
    struct str request = load->requests[load->sent];

    load->free = connection->next;
    if (connection->fd < 0 && !connect_one(load, connection))
        return false;
    connection->is_busy = true;
    connection->since_ns = since_ns;
    connection->answer_len = 0;
    load->sent++;
    return send_all(connection->fd, request);
}

/* Whatever is due, as far as connections go. */
static bool send_due(struct load *load)
{
    while (load->sent < load->count && load->free) {
        int64_t now_ns = clock_monotonic_ns();
        bool is_open = load->options.interval_ns > 0;

        if (is_open && due_ns(load) > now_ns)
            return true;
        if (!send_one(load, is_open ? due_ns(load) : now_ns))
            return false;
    }
    return true;
}

/* ---- answers ---- */

static bool read_number(const char *digits, const char *end, int64_t *value)
{
    struct str text = { digits, (size_t)(end - digits) };

    return str_to_int64(str_slice(text, 0, str_find(text, '\r')), value);
}

/* Whether the whole answer is there: its head says how long the body is. */
static bool is_whole(const struct connection *connection)
{
    const char *end = memmem(connection->answer, connection->answer_len, "\r\n\r\n", 4);
    const char *field;
    int64_t body_len;
    size_t head_len;

    if (!end)
        return false;
    head_len = (size_t)(end - connection->answer) + 4;
    field = memmem(connection->answer, head_len, "Content-Length: ", 16);
    return field && read_number(field + 16, end, &body_len) &&
           connection->answer_len >= head_len + (size_t)body_len;
}

/* "HTTP/1.1 200 OK" */
static size_t status_of(const struct connection *connection)
{
    int64_t status = 0;

    if (connection->answer_len < 12 ||
        !str_to_int64((struct str){ connection->answer + 9, 3 }, &status) || status < 100 ||
        status >= LOAD_STATUS_MAX)
        return 0;
    return (size_t)status;
}

static void note(struct load *load, struct connection *connection)
{
    struct load_result *result = load->result;
    size_t status = status_of(connection);

    int64_t latency_ns = clock_monotonic_ns() - connection->since_ns;

    result->latencies_ns[result->count++] = latency_ns;
    if (load->options.samples)
        (void)fprintf(load->options.samples, "%" PRId64 " %" PRId64 "\n", clock_wall_ms(),
                      latency_ns / 1000);
    if (status != 200 && result->count - 1 == result->statuses[200])
        (void)fprintf(stderr, "load: %.*s\n", (int)connection->answer_len, connection->answer);
    result->statuses[status]++;
    put_back(load, connection);
}

/* Some of an answer, or the end of the connection: at the server's limit, or in the midst of it. */
static void take_answer(struct load *load, struct connection *connection)
{
    size_t room = sizeof(connection->answer) - connection->answer_len;
    ssize_t got = recv(connection->fd, connection->answer + connection->answer_len, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        disconnect(connection);
        connection->answer_len = 0;
        if (connection->is_busy)
            note(load, connection);
        return;
    }
    connection->answer_len += (size_t)got;
    if (!connection->is_busy || !is_whole(connection))
        return;
    if (memmem(connection->answer, connection->answer_len, "Connection: close", 17))
        disconnect(connection);
    note(load, connection);
}

/* ---- a run ---- */

static int64_t wait_ns(const struct load *load)
{
    int64_t left_ns = LOOK_NS;

    if (load->sent < load->count && load->free)
        left_ns = due_ns(load) - clock_monotonic_ns();
    if (left_ns < 0)
        return 0;
    return left_ns < LOOK_NS ? left_ns : LOOK_NS;
}

static void look_at_memory(struct load *load)
{
    int64_t now_ns = clock_monotonic_ns();
    int64_t kib;

    if (load->options.pid == 0 || now_ns - load->looked_ns < LOOK_NS)
        return;
    load->looked_ns = now_ns;
    kib = load_resident_kib(load->options.pid);
    if (kib > load->result->resident_kib)
        load->result->resident_kib = kib;
}

static bool pump(struct load *load)
{
    struct epoll_event events[EVENTS_MAX];

    while (load->result->count < load->count) {
        struct timespec timeout = { 0, (long)wait_ns(load) };
        int count = epoll_pwait2(load->epoll, events, EVENTS_MAX, &timeout, NULL);

        if (count > 0)
            load->heard_ns = clock_monotonic_ns();
        else if (clock_monotonic_ns() - load->heard_ns > PATIENCE_NS)
            return false;
        for (int i = 0; i < count; i++)
            take_answer(load, events[i].data.ptr);
        if (!send_due(load))
            return false;
        look_at_memory(load);
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

bool load_run(struct load *load, const struct str *requests, size_t count,
              struct load_result *result)
{
    bool is_done;

    load_result_release(result);
    result->latencies_ns = calloc(count + 1, sizeof(*result->latencies_ns));
    if (!result->latencies_ns)
        return false;
    load->requests = requests;
    load->count = count;
    load->sent = 0;
    load->result = result;
    load->started_ns = clock_monotonic_ns();
    load->heard_ns = load->started_ns;
    is_done = send_due(load) && pump(load);
    result->elapsed_ns = clock_monotonic_ns() - load->started_ns;
    qsort(result->latencies_ns, result->count, sizeof(*result->latencies_ns), compare);
    return is_done;
}

void load_result_release(struct load_result *result)
{
    free(result->latencies_ns);
    *result = (struct load_result){ 0 };
}

double load_percentile_ms(const struct load_result *result, double percent)
{
    size_t at = (size_t)((double)result->count * percent / 100.0);

    if (result->count == 0)
        return 0;
    return (double)result->latencies_ns[at < result->count ? at : result->count - 1] / 1e6;
}
