/* The conformance tests on the folder backend. */
#include <stdio.h>
#include <unistd.h>

#include "store/conformance.h"

static void make(struct place *place)
{
    struct folder folder;

    folder_make(&folder);
    (void)snprintf(place->location, sizeof(place->location), "%s", folder.path);
}

static void remove_folder(const struct place *place)
{
    char command[LOCATION_MAX + 16];

    (void)snprintf(command, sizeof(command), "rm -rf %s", place->location);
    run_shell(command);
}

static void forget_rows(const struct place *place)
{
    char path[LOCATION_MAX + 16];

    (void)snprintf(path, sizeof(path), "%s/snapshot", place->location);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct conformance folder = { make, remove_folder, forget_rows };

    return conformance_run(&folder);
}
