#include "clients/ssh_agent.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "clients/process.h"

#define AGENT_SUCCESS 6
#define ANSWER_LEN 5 /* a length and a type: all that we expect */
#define ANSWER_TIMEOUT_MS 5000
#define START_TIMEOUT_MS 5000
#define START_PAUSE_MS 5

static bool connect_to(const char *path, int *connection)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t len = strlen(path);
    int opened;

    if (len >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address.sun_path, path, len + 1);
    opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (opened < 0)
        return false;
    if (connect(opened, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        int why = errno;

        (void)close(opened); /* nothing was sent */
        errno = why;
        return false;
    }
    *connection = opened;
    return true;
}

/* It says nowhere that it listens, so it is asked until it does. */
static bool await(const struct ssh_agent *agent, struct error *error)
{
    for (int waited_ms = 0; waited_ms < START_TIMEOUT_MS; waited_ms += START_PAUSE_MS) {
        int connection;

        if (connect_to(agent->socket, &connection)) {
            (void)close(connection); /* nothing was sent */
            return true;
        }
        if (waitpid(agent->process, NULL, WNOHANG) == agent->process)
            return error_set(error, ERROR_IO, "ssh-agent does not start");
        (void)poll(NULL, 0, START_PAUSE_MS);
    }
    return error_set_errno(error, "ssh-agent does not listen");
}

bool ssh_agent_start(struct ssh_agent *agent, const char *folder, struct arena *arena,
                     struct error *error)
{
    /* In the foreground (-D), so that it stays our child and ends when we say so. */
    char program[] = "ssh-agent";
    char stay[] = "-D";
    char at[] = "-a";
    struct str path = arena_printf(arena, "%s/agent", folder);
    char *socket_path = path.data ? arena_alloc(arena, path.len + 1) : NULL;
    char *argv[] = { program, stay, at, socket_path, NULL };
    char *nothing[] = { NULL }; /* our environment may hold tokens */
    int exit_code;

    if (!socket_path)
        return error_set(error, ERROR_MEMORY, "no memory for the agent's socket");
    memcpy(socket_path, path.data, path.len);
    agent->socket = socket_path;
    if (!process_start(PROCESS_SERVICE, argv, nothing, &agent->process, &exit_code, error))
        return error_wrap(error, "ssh grants need OpenSSH's agent");
    return await(agent, error);
}

void ssh_agent_stop(struct ssh_agent *agent)
{
    if (agent->process <= 0)
        return;
    (void)kill(agent->process, SIGTERM); /* where it is gone already, so much the better */
    (void)waitpid(agent->process, NULL, 0);
    *agent = (struct ssh_agent){ 0 };
}

static bool send_all(int connection, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t sent = send(connection, bytes.data, bytes.len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        bytes = str_slice(bytes, (size_t)sent, bytes.len);
    }
    return true;
}

static bool receive_all(int connection, uint8_t *out, size_t len)
{
    size_t at = 0;

    while (at < len) {
        ssize_t got;

        if (!process_is_readable(connection, ANSWER_TIMEOUT_MS)) {
            errno = ETIMEDOUT;
            return false;
        }
        got = recv(connection, out + at, len - at, 0);
        if (got == 0)
            errno = ECONNRESET;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static bool talk(int connection, struct str message, struct error *error)
{
    static const uint8_t success[ANSWER_LEN] = { 0, 0, 0, 1, AGENT_SUCCESS };
    OWNED(buf_release) struct buf framed = { 0 };
    uint8_t answer[ANSWER_LEN];

    buf_init(&framed, message.len + 4);
    buf_add_sized(&framed, message);
    if (!buf_is_ok(&framed))
        return error_set(error, ERROR_MEMORY, "no memory for the agent's message");
    if (!send_all(connection, buf_str(&framed)) || !receive_all(connection, answer, sizeof(answer)))
        return error_set_errno(error, "cannot talk to ssh-agent");
    if (memcmp(answer, success, sizeof(answer)) != 0)
        return error_set(error, ERROR_REFUSED, "ssh-agent does not take the key");
    return true;
}

bool ssh_agent_send(const struct ssh_agent *agent, struct str message, struct error *error)
{
    int connection;
    bool is_done;

    if (!connect_to(agent->socket, &connection))
        return error_set_errno(error, "cannot reach ssh-agent");
    is_done = talk(connection, message, error);
    (void)close(connection); /* the answer is there */
    return is_done;
}
