#include "exchange/histories.h"
#include "ledger/help.h"
#include "tests/test.h"

static struct ledger *open_folder(unsigned number, void *context)
{
    assert_int_equal(number, 0);
    return place_open(context);
}

static void run(unsigned seed, unsigned operations)
{
    struct place place;
    struct history history = { .seed = seed,
                               .operations = operations,
                               .open = open_folder,
                               .ledger_count = 1,
                               .context = &place };

    place_make(&place);
    history_run(&history);
    place_remove(&place);
}

static void a_long_history_is_that_of_the_model(void **state)
{
    (void)state;
    run(1, 10000);
}

static void short_ones_are_too(void **state)
{
    (void)state;
    for (unsigned seed = 2; seed < 6; seed++)
        run(seed, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_long_history_is_that_of_the_model),
        cmocka_unit_test(short_ones_are_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
