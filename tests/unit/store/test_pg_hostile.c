/* What answers as a PostgreSQL server may be none: no answer ends or holds up who asked. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "store/pg_internal.h"
#include "tests/test.h"

/* Longer than anything here takes on a busy machine: who still waits then waits for ever. */
#define WAIT_S 30

#define WELCOME "R\0\0\0\10\0\0\0\0S\0\0\0\30server_version\00016.0\0Z\0\0\0\5I"
#define READY "Z\0\0\0\5I"

struct server {
    char folder[32];
    char path[64];
    int listener;
    struct str answer;
};

/* One connection: a greeting, and the answer to the first question. */
static void *serve(void *context)
{
    const struct server *server = context;
    static const struct str welcome = STR_INIT(WELCOME);
    int client = accept(server->listener, NULL, NULL);
    char ignored[4096];

    assert_true(recv(client, ignored, sizeof(ignored), 0) > 0);
    assert_true(send(client, welcome.data, welcome.len, MSG_NOSIGNAL) > 0);
    if (recv(client, ignored, sizeof(ignored), 0) > 0)
        (void)send(client, server->answer.data, server->answer.len, MSG_NOSIGNAL);
    while (recv(client, ignored, sizeof(ignored), 0) > 0)
        continue;
    (void)close(client);
    return NULL;
}

static void server_listen(struct server *server)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)snprintf(server->folder, sizeof(server->folder), "/tmp/stagepass-pg-XXXXXX");
    assert_non_null(mkdtemp(server->folder));
    (void)snprintf(server->path, sizeof(server->path), "%s/.s.PGSQL.5432", server->folder);
    memcpy(address.sun_path, server->path, strlen(server->path));
    server->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(server->listener, 1), 0);
}

static void server_remove(const struct server *server)
{
    (void)close(server->listener);
    (void)unlink(server->path);
    (void)rmdir(server->folder);
}

static void expect_refusal(struct str answer, const char *words)
{
    struct server server = { .answer = answer };
    struct pg_connection connection = { 0 };
    struct pg_place place = { 0 };
    struct error error = { 0 };
    pthread_t thread;
    char url[128];

    server_listen(&server);
    (void)snprintf(url, sizeof(url), "postgresql:///x?user=u&host=%s", server.folder);
    assert_true(pg_place_init(&place, url, NULL));
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    (void)alarm(WAIT_S);
    assert_false(pg_open(&connection, &place, PG_WRITER, &error));
    (void)alarm(0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (strstr(error.cause, words) == NULL)
        fail_msg("expected '%s', got '%s'", words, error.cause);
    assert_false(pg_is_open(&connection));
    pg_place_release(&place);
    server_remove(&server);
}

static void an_answer_without_a_row_is_refused(void **state)
{
    static const struct str answers[] = {
        STR_INIT("C\0\0\0\15SELECT 0\0" READY),
        STR_INIT("T\0\0\0\6\0\0C\0\0\0\15SELECT 0\0" READY),
        STR_INIT("T\0\0\0\6\0\0D\0\0\0\6\0\0C\0\0\0\15SELECT 1\0" READY),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++)
        expect_refusal(answers[i], "encoding");
}

static void a_copy_is_refused(void **state)
{
    static const struct str answers[] = {
        STR_INIT("G\0\0\0\7\0\0\0"),
        STR_INIT("H\0\0\0\7\0\0\0"),
        STR_INIT("W\0\0\0\7\0\0\0"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(answers); i++)
        expect_refusal(answers[i], "COPY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_without_a_row_is_refused),
        cmocka_unit_test(a_copy_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
