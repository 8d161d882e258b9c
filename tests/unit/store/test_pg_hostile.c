/* What answers as a PostgreSQL server may be none: no answer ends or holds up who asked. */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "pg/fake.h"
#include "store/pg_internal.h"
#include "tests/test.h"

/* Longer than anything here takes on a busy machine: who still waits then waits for ever. */
#define WAIT_S 30

/* A greeting, and the answer to the first question. */
static void answer_once(struct fake *fake, const void *context)
{
    const struct str *answer = context;

    if (fake_say(fake, STR(FAKE_WELCOME)) && fake_listen(fake))
        (void)fake_say(fake, *answer);
}

static void expect_refusal(struct str answer, const char *words)
{
    struct pg_connection connection = { 0 };
    struct pg_place place = { 0 };
    struct error error = { 0 };
    struct fake fake;

    fake_start(&fake, false, answer_once, &answer);
    assert_true(pg_place_init(&place, fake.url, NULL));
    (void)alarm(WAIT_S);
    assert_false(pg_open(&connection, &place, PG_WRITER, &error));
    (void)alarm(0);
    fake_stop(&fake);
    if (strstr(error.cause, words) == NULL)
        fail_msg("expected '%s', got '%s'", words, error.cause);
    assert_false(pg_is_open(&connection));
    pg_place_release(&place);
}

static void an_answer_without_a_row_is_refused(void **state)
{
    static const struct str answers[] = {
        STR_INIT("C\0\0\0\15SELECT 0\0" FAKE_READY),
        STR_INIT("T\0\0\0\6\0\0C\0\0\0\15SELECT 0\0" FAKE_READY),
        STR_INIT("T\0\0\0\6\0\0D\0\0\0\6\0\0C\0\0\0\15SELECT 1\0" FAKE_READY),
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
