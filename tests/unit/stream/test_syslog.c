/* Connections to a syslog receiver that does what none should. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "stream/syslog_connection.h"
#include "tests/test.h"

/* More than anybody reads at a look who ever stops. */
#define READS_MAX 10000

static unsigned reads;

ssize_t __wrap_recv(int file, void *bytes, size_t len, int flags);

/* There is always more to read. */
ssize_t __wrap_recv(int file, void *bytes, size_t len, int flags)
{
    (void)file;
    (void)flags;
    if (++reads == READS_MAX)
        fail_msg("it reads for ever");
    memset(bytes, 'x', len);
    return (ssize_t)len;
}

static int make_receiver(char port[8])
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (const struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    (void)snprintf(port, 8, "%d", ntohs(address.sin_port));
    return listener;
}

static void who_never_stops_talking_holds_nobody_up(void **state)
{
    char port[8];
    int listener = make_receiver(port);
    const struct stream_options options = { .transport = STREAM_TCP,
                                            .host = "127.0.0.1",
                                            .port = port };
    struct syslog_connection *connection = NULL;
    const atomic_bool is_ending = false;
    struct error error = { 0 };

    (void)state;
    if (!syslog_connect(&options, &is_ending, &connection, &error))
        fail_msg("%s", error.cause);
    assert_true(syslog_is_alive(connection));
    assert_true(reads > 0);
    syslog_disconnect(connection);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_never_stops_talking_holds_nobody_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
