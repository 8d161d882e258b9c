/* The conformance tests on PostgreSQL. */
#include "store/pg_help.h"

int main(void)
{
    const struct conformance database = { server_make_place, server_remove_place,
                                          server_forget_rows };
    int failed = 0;

    (void)server_start(NULL);
    failed = conformance_run(&database);
    (void)server_stop(NULL);
    return failed;
}
