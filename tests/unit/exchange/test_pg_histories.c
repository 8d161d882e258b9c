#include "exchange/histories.h"
#include "ledger/help.h"
#include "pg/server.h"
#include "tests/test.h"

/* Two brokers, each with a folder for what it publishes, and one database. */

static struct ledger *open_shared(unsigned number, void *context)
{
    const struct place *places = context;
    struct ledger_options options = {
        .store = places[number].store,
        .database = server_url(),
        .origin = STR(ORIGIN),
        .broker = number == 0 ? STR("a") : STR("b"),
        .key = places[0].key,
    };
    struct ledger *ledger = NULL;
    struct error error = { 0 };

    if (!ledger_open(&options, &ledger, &error))
        fail_msg("ledger_open: %s", error.cause);
    return ledger;
}

static void two_brokers_of_a_database_decide_as_the_model_does(void **state)
{
    struct place places[HISTORY_LEDGERS];
    const struct history history = { .seed = 7,
                                     .operations = 3000,
                                     .open = open_shared,
                                     .ledger_count = HISTORY_LEDGERS,
                                     .context = places };

    (void)state;
    for (unsigned i = 0; i < HISTORY_LEDGERS; i++)
        place_make(&places[i]);
    history_run(&history);
    for (unsigned i = 0; i < HISTORY_LEDGERS; i++)
        place_remove(&places[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_brokers_of_a_database_decide_as_the_model_does),
    };

    return cmocka_run_group_tests(tests, server_start, server_stop);
}
