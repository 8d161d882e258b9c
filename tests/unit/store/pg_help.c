#include "store/pg_help.h"

#include <stdio.h>

#include "pg/server.h"

void server_make_place(struct place *place)
{
    (void)snprintf(place->location, sizeof(place->location), "%s", server_url());
}

void server_remove_place(const struct place *place)
{
    (void)place;
    server_sql("stagepass",
               "SET client_min_messages = warning; DROP SCHEMA IF EXISTS stagepass CASCADE");
}

void server_forget_rows(const struct place *place)
{
    (void)place;
    server_sql("stagepass", "DELETE FROM stagepass.marks; DELETE FROM stagepass.leases;"
                            "DELETE FROM stagepass.approvals;"
                            "UPDATE stagepass.head SET folded = 0");
}
