#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"
#include "upstream/upstream.h"

/* Certificates and ways of speaking TLS, against the servers of tls_peer.py. */

#define SERVERS_MAX 16

struct server {
    char name[16];
    unsigned port;
};

static struct servers {
    char folder[64];
    char ca[96];
    char other_ca[96];
    struct server list[SERVERS_MAX];
    size_t count;
    pid_t process;
    int input; /* closing it ends the process */
    struct upstream *upstream;
    struct error failure; /* of the latest request */
} servers;

/* `input` and `output` are pipes; the process gets one end of each, and no copy of the others. */
static bool spawn(const int input[2], const int output[2])
{
    char program[] = "python3";
    char script[] = "tls_peer.py";
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    char *arguments[] = { program, script, servers.folder, NULL };
    char *environment[] = { path, NULL };
    posix_spawn_file_actions_t actions;
    int failure;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, input[1]);
    posix_spawn_file_actions_addclose(&actions, output[0]);
    failure = posix_spawnp(&servers.process, program, &actions, NULL, arguments, environment);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0;
}

/* "NAME PORT" lines up to an empty one. */
static bool read_servers(FILE *output)
{
    char line[64];

    while (fgets(line, sizeof(line), output) != NULL && line[0] != '\n') {
        struct str name;
        struct str port;
        int64_t number = 0;

        str_cut(str_trim(str_from(line)), ' ', &name, &port);
        if (servers.count == SERVERS_MAX || name.len >= sizeof(servers.list[0].name) ||
            !str_to_int64(port, &number))
            return false;
        memcpy(servers.list[servers.count].name, name.data, name.len);
        servers.list[servers.count++].port = (unsigned)number;
    }
    return servers.count > 0;
}

static int set_up(void **state)
{
    struct error error = { 0 };
    int input[2];
    int output[2];
    FILE *lines;

    (void)state;
    (void)snprintf(servers.folder, sizeof(servers.folder), "/tmp/stagepass-tls-XXXXXX");
    if (mkdtemp(servers.folder) == NULL || pipe(input) != 0 || pipe(output) != 0 ||
        !spawn(input, output))
        return -1;
    (void)snprintf(servers.ca, sizeof(servers.ca), "%s/ca.pem", servers.folder);
    (void)snprintf(servers.other_ca, sizeof(servers.other_ca), "%s/other-ca.pem", servers.folder);
    (void)close(input[0]);
    (void)close(output[1]);
    servers.input = input[1];
    lines = fdopen(output[0], "r");
    if (lines == NULL || !read_servers(lines))
        return -1;
    (void)fclose(lines);
    return upstream_start(&servers.upstream, &error) ? 0 : -1;
}

static void remove_files(void)
{
    static const char *const names[] = { "ca", "other-ca", "here", "elsewhere", "expired" };
    static const char *const ends[] = { "key", "pem", "csr", "ext", "srl" };
    char path[128];

    for (size_t i = 0; i < COUNT(names) * COUNT(ends); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s.%s", servers.folder, names[i / COUNT(ends)],
                       ends[i % COUNT(ends)]);
        (void)unlink(path); /* not every pair is there */
    }
    (void)rmdir(servers.folder);
}

static int tear_down(void **state)
{
    (void)state;
    upstream_stop(servers.upstream);
    (void)close(servers.input);
    (void)waitpid(servers.process, NULL, 0);
    remove_files();
    return 0;
}

static unsigned port_of(const char *name)
{
    for (size_t i = 0; i < servers.count; i++)
        if (strcmp(servers.list[i].name, name) == 0)
            return servers.list[i].port;
    fail_msg("no server %s", name);
    return 0;
}

static void keep_outcome(const struct upstream_response *response, void *context)
{
    enum upstream_outcome *outcome = context;

    *outcome = response->outcome;
    servers.failure = response->error;
    assert_true(response->outcome != UPSTREAM_ANSWERED || str_eq(response->body, STR("hello")));
}

static enum upstream_outcome get_as(const struct upstream_peer *peer, const char *host,
                                    unsigned port)
{
    enum upstream_outcome outcome = UPSTREAM_UNKNOWN;
    char url[64];
    struct upstream_request request = {
        .method = "GET",
        .url = url,
        .peer = *peer,
        .done = keep_outcome,
        .context = &outcome,
    };
    struct error error = { 0 };

    (void)snprintf(url, sizeof(url), "https://%s:%u/", host, port);
    if (!upstream_call(servers.upstream, &request, &error))
        fail_msg("%s", error.cause);
    return outcome;
}

static enum upstream_outcome get_from(const char *host, unsigned port, const char *ca_file)
{
    struct network loopback = { 0 };
    struct upstream_peer peer = { .ca_file = ca_file, .networks = &loopback, .network_count = 1 };

    assert_true(network_parse(STR("127.0.0.0/8"), &loopback));
    return get_as(&peer, host, port);
}

static void assert_outcome(const char *server, const char *ca_file, enum upstream_outcome expected)
{
    enum upstream_outcome outcome = get_from("127.0.0.1", port_of(server), ca_file);

    if (outcome != expected)
        fail_msg("%s: outcome %d, not %d", server, outcome, expected);
}

static void assert_said(const char *words)
{
    if (strstr(servers.failure.cause, words) == NULL)
        fail_msg("expected '%s' in: %s", words, servers.failure.cause);
}

static void current_tls_of_a_known_authority_is_spoken(void **state)
{
    (void)state;
    assert_outcome("tls13", servers.ca, UPSTREAM_ANSWERED);
    assert_outcome("tls12", servers.ca, UPSTREAM_ANSWERED);
}

static void old_tls_is_not_spoken(void **state)
{
    (void)state;
    assert_outcome("tls11", servers.ca, UPSTREAM_UNSENT);
    assert_outcome("cbc", servers.ca, UPSTREAM_UNSENT);
    assert_outcome("rsa", servers.ca, UPSTREAM_UNSENT);
}

static void a_certificate_for_another_name_is_refused(void **state)
{
    (void)state;
    assert_outcome("name", servers.ca, UPSTREAM_UNSENT);
    assert_said("it is for another name");
    assert_int_equal(get_from("localhost", port_of("tls13"), servers.ca), UPSTREAM_UNSENT);
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    assert_outcome("expired", servers.ca, UPSTREAM_UNSENT);
    assert_said("certificate has expired");
}

static void another_authority_is_refused(void **state)
{
    (void)state;
    assert_outcome("tls13", servers.other_ca, UPSTREAM_UNSENT);
    assert_said(": its certificate is not accepted (unable to get local ");
    assert_said("issuer certificate): it must be for this name, and signed by an authority of");
    assert_outcome("tls13", NULL, UPSTREAM_UNSENT);
    assert_outcome("tls13", "/nowhere/ca.pem", UPSTREAM_UNSENT);
}

/* Another peer is another authority, or other networks, behind the same host and port. */
static void a_kept_connection_is_not_used_for_another_peer(void **state)
{
    const struct upstream_peer stranger = { .ca_file = servers.ca };

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_outcome("kept", servers.ca, UPSTREAM_ANSWERED);
        assert_outcome("kept", servers.other_ca, UPSTREAM_UNSENT);
        assert_outcome("kept", NULL, UPSTREAM_UNSENT);
        assert_int_equal(get_as(&stranger, "127.0.0.1", port_of("kept")), UPSTREAM_UNSENT);
        assert_int_equal(get_from("localhost", port_of("kept"), servers.ca), UPSTREAM_UNSENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(current_tls_of_a_known_authority_is_spoken),
        cmocka_unit_test(old_tls_is_not_spoken),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(another_authority_is_refused),
        cmocka_unit_test(a_kept_connection_is_not_used_for_another_peer),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
