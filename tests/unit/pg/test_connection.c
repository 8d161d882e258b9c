/* However much a server says, no more of it is taken than may be. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "pg/connection.h"
#include "pg/dsn.h"
#include "pg/fake.h"
#include "tests/test.h"

/* Longer than anything here takes on a busy machine: who still waits then waits for ever. */
#define WAIT_MS (60 * 1000)

#define ANSWER_MAX ((size_t)256 * 1024)
/* What both sides' sockets hold besides. */
#define ON_THE_WAY_MAX ((size_t)16 * 1024 * 1024)

#define COLUMN "T\0\0\0\32\0\1c\0\0\0\0\0\0\0\0\0\0\31\0\4\377\377\377\377\0\0"
#define DONE "C\0\0\0\15SELECT 1\0" FAKE_READY

/* What comes first, and then without end. */
struct flood {
    const char *name;
    bool is_at_login;
    struct str first;
    struct str then;
};

static const struct flood floods[] = {
    /* A row of 64 MiB: libpq makes room for all of it at once, and reads as long as bytes come. */
    { "a row", false, STR_INIT(COLUMN "D\4\0\0\12\0\1\4\0\0\0"), STR_INIT("x") },
    { "rows", false, STR_INIT(COLUMN), STR_INIT("D\0\0\0\13\0\1\0\0\0\1x") },
    { "empty rows", false, STR_INIT("T\0\0\0\6\0\0"), STR_INIT("D\0\0\0\6\0\0") },
    { "a notice", false, STR_INIT("N\4\0\0\0M"), STR_INIT("x") },
    { "notices", false, STR_INIT(""), STR_INIT("N\0\0\0\10Mx\0\0") },
    { "an error", false, STR_INIT("E\4\0\0\0M"), STR_INIT("x") },
    { "notifications", false, STR_INIT(""), STR_INIT("A\0\0\0\14\0\0\0\1c\0x\0") },
    { "a parameter", false, STR_INIT(""), STR_INIT("S\0\0\0\10a\0b\0") },
    { "answers", false, STR_INIT(""), STR_INIT("C\0\0\0\15SELECT 1\0") },
    { "a notice at login", true, STR_INIT("R\0\0\0\10\0\0\0\0N\4\0\0\0M"), STR_INIT("x") },
    { "notices at login", true, STR_INIT("R\0\0\0\10\0\0\0\0"), STR_INIT("N\0\0\0\10Mx\0\0") },
    { "parameters at login", true, STR_INIT("R\0\0\0\10\0\0\0\0"), STR_INIT("S\0\0\0\10a\0b\0") },
};

static void drown(struct fake *fake, const void *context)
{
    const struct flood *flood = context;

    if (!flood->is_at_login && (!fake_say(fake, STR(FAKE_WELCOME)) || !fake_listen(fake)))
        return;
    if (fake_say(fake, flood->first))
        fake_say_for_ever(fake, flood->then);
}

static bool log_in(const struct fake *fake, struct pg_connection *connection, struct error *error)
{
    OWNED(pg_dsn_release) struct pg_dsn dsn = { 0 };
    struct pg_place place = { 0 };
    bool is_in = false;

    assert_true(pg_place_init(&place, fake->url, NULL));
    assert_true(pg_dsn_init(&dsn, &place, error));
    is_in = pg_connect(connection, &dsn, ANSWER_MAX, error);
    pg_place_release(&place);
    return is_in;
}

static bool ask(struct pg_connection *connection, struct error *error)
{
    OWNED(pg_result_clear) struct pg_result *result = NULL;

    pg_begin(connection, WAIT_MS);
    result = pg_query(connection, "SELECT 1", error);
    return result != NULL;
}

static void assert_bounded(const struct flood *flood, bool is_tls)
{
    struct pg_connection connection = { 0 };
    struct error error = { 0 };
    struct fake fake;

    fake_start(&fake, is_tls, drown, flood);
    if (log_in(&fake, &connection, &error))
        assert_false(ask(&connection, &error));
    assert_false(pg_is_open(&connection));
    fake_stop(&fake);
    if (strcmp(error.cause, "PostgreSQL: the answer is too long") != 0)
        fail_msg("%s: '%s'", flood->name, error.cause);
    if (fake.sent > ANSWER_MAX + ON_THE_WAY_MAX)
        fail_msg("%s: %zu bytes were taken", flood->name, fake.sent);
    assert_true(connection.intake.taken <= ANSWER_MAX * 2); /* the login's, and the answer's */
}

static void no_more_than_a_limit_is_taken_of_a_flood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(floods); i++)
        assert_bounded(&floods[i], false);
}

static void behind_tls_no_more_is_taken_either(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(floods); i++)
        assert_bounded(&floods[i], true);
}

/* ---- at the limit ---- */

static const struct str done = STR_INIT(DONE);

/* To each question an answer of that length: a notice, and the end. */
static void say_so_much(struct fake *fake, const void *context)
{
    static char notice[ANSWER_MAX + 1] = "N\0\0\0\0M";
    size_t len = *(const size_t *)context - done.len;

    memset(notice + 6, 'x', len - 8);
    memset(notice + len - 2, 0, 2);
    for (int i = 0; i < 4; i++)
        notice[4 - i] = (char)((len - 1) >> (8 * i));
    if (!fake_say(fake, STR(FAKE_WELCOME)))
        return;
    while (fake_listen(fake) && fake_say(fake, (struct str){ notice, len }) && fake_say(fake, done))
        continue;
}

static void an_answer_as_long_as_may_be_is_taken_and_one_byte_more_is_not(void **state)
{
    static const size_t lens[] = { ANSWER_MAX, ANSWER_MAX + 1 };

    (void)state;
    for (size_t i = 0; i < COUNT(lens); i++) {
        struct pg_connection connection = { 0 };
        struct error error = { 0 };
        struct fake fake;

        fake_start(&fake, false, say_so_much, &lens[i]);
        assert_true(log_in(&fake, &connection, &error));
        assert_int_equal(ask(&connection, &error), i == 0);
        pg_close(&connection);
        fake_stop(&fake);
    }
}

/* What libpq keeps of a session, as parameters, comes bit by bit as well. */
static void a_session_that_said_much_is_not_used_again(void **state)
{
    static const size_t len = ANSWER_MAX / 2;
    struct pg_connection connection = { 0 };
    struct error error = { 0 };
    struct fake fake;

    (void)state;
    fake_start(&fake, false, say_so_much, &len);
    assert_true(log_in(&fake, &connection, &error));
    assert_true(ask(&connection, &error));
    assert_true(pg_is_quiet(&connection));
    assert_true(ask(&connection, &error));
    assert_false(pg_is_quiet(&connection));
    pg_close(&connection);
    fake_stop(&fake);
}

/* ---- what a server says besides ---- */

static const struct str noisy_login = STR_INIT("R\0\0\0\10\0\0\0\0N\0\0\0\15M\33[2Jhi\0\0"
                                               "S\0\0\0\30server_version\00016.0\0" FAKE_READY);

static void say_once(struct fake *fake, const void *context)
{
    const struct str *bytes = context;

    (void)fake_say(fake, *bytes);
}

static void say_nothing(struct fake *fake, const void *context)
{
    (void)fake;
    (void)context;
}

/* Whatever goes to standard error from here on goes there. */
static int divert(const char *path)
{
    int kept = dup(STDERR_FILENO);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(kept >= 0 && file >= 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    (void)close(file);
    return kept;
}

static void restore(int kept)
{
    assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
    (void)close(kept);
}

/* libpq writes notices there as they are, where nobody else takes them. */
static void a_notice_at_login_is_written_nowhere(void **state)
{
    char path[] = "/tmp/stagepass-stderr-XXXXXX";
    char said[64] = "";
    struct pg_connection connection = { 0 };
    struct error error = { 0 };
    struct fake fake;
    int file = mkstemp(path);
    bool is_in = false;
    int kept;

    (void)state;
    assert_true(file >= 0);
    fake_start(&fake, false, say_once, &noisy_login);
    kept = divert(path);
    is_in = log_in(&fake, &connection, &error);
    restore(kept);
    pg_close(&connection);
    fake_stop(&fake);
    if (!is_in)
        fail_msg("%s", error.cause);
    assert_int_equal(read(file, said, sizeof(said)), 0);
    (void)close(file);
    (void)unlink(path);
}

/* ---- where nobody is ---- */

static bool connect_by(const char *url, struct error *error)
{
    OWNED(pg_dsn_release) struct pg_dsn dsn = { 0 };
    struct pg_place place = { 0 };
    struct pg_connection connection = { 0 };
    bool is_in = false;

    assert_true(pg_place_init(&place, url, NULL));
    assert_true(pg_dsn_init(&dsn, &place, error));
    is_in = pg_connect(&connection, &dsn, ANSWER_MAX, error);
    pg_close(&connection);
    pg_place_release(&place);
    return is_in;
}

static void why_there_is_no_connection_is_told(void **state)
{
    static const struct {
        const char *url;
        const char *words;
    } cases[] = {
        { "postgresql:///x?user=u&host=/nonexistent",
          "PostgreSQL: connection to server on socket \"/nonexistent/.s.PGSQL.5432\" failed: No "
          "such file or directory" },
        { "postgresql:///x?user=u&host=/nonexistent&port=70000",
          "PostgreSQL: invalid port number: \"70000\"" },
        { "postgresql:///x?user=u&host=/nonexistent&target_session_attrs=some",
          "PostgreSQL: invalid target_session_attrs value: \"some\"" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };

        assert_false(connect_by(cases[i].url, &error));
        assert_string_equal(error.cause, cases[i].words);
    }
}

/* The first host takes connections and never says a word. */
static void behind_a_host_that_says_nothing_the_next_is_asked(void **state)
{
    static const struct str welcome = STR_INIT(FAKE_WELCOME);
    char url[256];
    struct error error = { 0 };
    struct fake silent;
    struct fake fake;

    (void)state;
    fake_start(&silent, false, say_nothing, NULL);
    fake_start(&fake, false, say_once, &welcome);
    (void)snprintf(url, sizeof(url),
                   "postgresql:///x?user=u&host=%s,%s&target_session_attrs=any&connect_timeout=2",
                   silent.folder, fake.folder);
    if (!connect_by(url, &error))
        fail_msg("%s", error.cause);
    fake_stop(&silent);
    fake_stop(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_more_than_a_limit_is_taken_of_a_flood),
        cmocka_unit_test(behind_tls_no_more_is_taken_either),
        cmocka_unit_test(an_answer_as_long_as_may_be_is_taken_and_one_byte_more_is_not),
        cmocka_unit_test(a_session_that_said_much_is_not_used_again),
        cmocka_unit_test(a_notice_at_login_is_written_nowhere),
        cmocka_unit_test(why_there_is_no_connection_is_told),
        cmocka_unit_test(behind_a_host_that_says_nothing_the_next_is_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
