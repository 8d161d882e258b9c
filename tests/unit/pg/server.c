#include "pg/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "base/str.h"
#include "tests/test.h"

#define HELPER "../../integration/postgres.py"

static char folder[64];
static char url[SERVER_URL_MAX];
static pid_t helper = -1;
static int helper_input = -1;

static _Noreturn void run_helper(const int input[2], const int output[2])
{
    char *const arguments[] = { (char[]){ "python3" }, (char[]){ HELPER }, (char[]){ "serve" },
                                folder, NULL };

    (void)dup2(input[0], STDIN_FILENO);
    (void)dup2(output[1], STDOUT_FILENO);
    (void)close(input[1]); /* or it would never see its input end */
    (void)close(output[0]);
    (void)execvp(arguments[0], arguments);
    _exit(127);
}

int server_start(void **state)
{
    int input[2];
    int output[2];
    FILE *told = NULL;

    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/stagepass-pg-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(pipe(input), 0);
    assert_int_equal(pipe(output), 0);
    helper = fork();
    if (helper == 0)
        run_helper(input, output);
    (void)close(input[0]);
    (void)close(output[1]);
    helper_input = input[1];
    told = fdopen(output[0], "r");
    assert_non_null(told);
    if (fgets(url, sizeof(url), told) == NULL)
        fail_msg("PostgreSQL did not start");
    url[strcspn(url, "\n")] = '\0';
    (void)fclose(told);
    return 0;
}

int server_stop(void **state)
{
    (void)state;
    (void)close(helper_input);
    (void)waitpid(helper, NULL, 0);
    return 0;
}

const char *server_url(void)
{
    return url;
}

PGconn *server_log_in(const char *user, const char *database)
{
    const char *const keywords[] = { "host", "user", "dbname", NULL };
    const char *const values[] = { folder, user, database, NULL };

    return PQconnectdbParams(keywords, values, 0);
}

int64_t server_ask(const char *database, const char *sql)
{
    PGconn *connection = server_log_in("postgres", database);
    PGresult *result = PQexec(connection, sql);
    int64_t number = 0;

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    if (PQntuples(result) == 1 && !str_to_int64(str_from(PQgetvalue(result, 0, 0)), &number))
        number = 0;
    PQclear(result);
    PQfinish(connection);
    return number;
}

void server_sql(const char *database, const char *sql)
{
    (void)server_ask(database, sql);
}

int64_t server_number(const char *sql)
{
    return server_ask("stagepass", sql);
}

static _Noreturn void run_psql(const char *database, const char *file)
{
    (void)execlp("psql", "psql", "-Xq", "-h", folder, "-U", "postgres", "-d", database, "-f", file,
                 (char *)NULL);
    _exit(127);
}

void server_run_file(const char *database, const char *file)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        run_psql(database, file);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
