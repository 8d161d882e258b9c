#include <string.h>

#include "base/error.h"
#include "pg/dsn.h"
#include "tests/test.h"

static void urls_are_told_from_folders(void **state)
{
    (void)state;
    assert_true(pg_dsn_is_url("postgresql://host/x"));
    assert_true(pg_dsn_is_url("postgres://host/x"));
    assert_false(pg_dsn_is_url("/var/lib/stagepass"));
    assert_false(pg_dsn_is_url("postgresql"));
    assert_false(pg_dsn_is_url("http://postgresql://"));
    assert_false(pg_dsn_is_url(""));
}

struct dsn_case {
    const char *dsn;
    const char *refusal; /* words of it; NULL: it is good */
};

static void try_all(const struct dsn_case *cases, size_t count, bool is_from_file)
{
    for (size_t i = 0; i < count; i++) {
        struct error error = { 0 };
        bool is_good = pg_dsn_check(cases[i].dsn, is_from_file, &error);

        if (is_good != (cases[i].refusal == NULL))
            fail_msg("%s: %s", cases[i].dsn, is_good ? "taken" : error.cause);
        if (is_good || cases[i].refusal == NULL)
            continue;
        assert_int_equal(error.code, ERROR_CONFIG);
        if (strstr(error.cause, cases[i].refusal) == NULL)
            fail_msg("%s: %s", cases[i].dsn, error.cause);
        if (strstr(error.cause, "hunter2") != NULL)
            fail_msg("a password is told: %s", error.cause);
    }
}

static void a_url_has_a_host_and_a_database_and_no_password(void **state)
{
    static const struct dsn_case cases[] = {
        { "postgresql:///x?host=/run/postgresql", NULL },
        { "postgresql:///x?host=@abstract", NULL },
        { "postgresql://user@localhost/x?sslmode=disable", NULL },
        { "postgresql://user@127.0.0.1/x", NULL },
        { "postgresql://user@[::1]:5433/x", NULL },
        { "postgresql:///x", "names its host" },
        { "postgresql:///x?host=", "names its host" },
        { "postgresql://localhost", "names its database" },
        { "postgresql://user:hunter2@localhost/x", "dsn_file" },
        { "postgresql://localhost/x?password=hunter2", "dsn_file" },
        { "postgresql://localhost/x?sslpassword=hunter2", "dsn_file" },
        { "postgresql://localhost/x?service=y", "service" },
        { "postgresql://localhost/x?word=hunter2", "libpq cannot read this" },
        { "postgresql://localhost/%zzhunter2", "libpq cannot read this" },
        { "host=localhost hunter2", "libpq cannot read this" },
        { "", "names its host" },
    };

    (void)state;
    try_all(cases, COUNT(cases), false);
}

static void what_leaves_the_machine_is_encrypted_and_checked(void **state)
{
    static const struct dsn_case cases[] = {
        { "postgresql://db/x", NULL },
        { "postgresql://db/x?sslmode=verify-full", NULL },
        { "postgresql://db/x?sslmode=verify-ca", NULL },
        { "postgresql://db1,db2:5433/x", NULL },
        { "postgresql://localhost,127.0.0.2/x?sslmode=disable", NULL },
        { "postgresql://db/x?sslmode=require", "verify-full" },
        { "postgresql://db/x?sslmode=prefer", "verify-full" },
        { "postgresql://db/x?sslmode=allow", "verify-full" },
        { "postgresql://db/x?sslmode=disable", "verify-full" },
        { "postgresql://localhost,db/x?sslmode=require", "verify-full" },
        { "postgresql://localhost/x?hostaddr=10.0.0.1&sslmode=disable", "verify-full" },
        { "postgresql://localhost.example/x?sslmode=disable", "verify-full" },
        { "postgresql://127.example/x?sslmode=disable", "verify-full" },
        { "postgresql://127.0.0.1.example/x?sslmode=disable", "verify-full" },
    };

    (void)state;
    try_all(cases, COUNT(cases), false);
    try_all(cases, COUNT(cases), true);
}

static void a_file_may_have_a_password(void **state)
{
    static const struct dsn_case cases[] = {
        { "postgresql://user:hunter2@localhost/x", NULL },
        { "host=localhost dbname=x password=hunter2", NULL },
        { "host=localhost dbname=x password='hunter2", "libpq cannot read this" },
        { "dbname=x password=hunter2", "names its host" },
    };

    (void)state;
    try_all(cases, COUNT(cases), true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_told_from_folders),
        cmocka_unit_test(a_url_has_a_host_and_a_database_and_no_password),
        cmocka_unit_test(what_leaves_the_machine_is_encrypted_and_checked),
        cmocka_unit_test(a_file_may_have_a_password),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
