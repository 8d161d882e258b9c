#pragma once

#include "pg/server.h"
#include "store/conformance.h"

/* Stores in the database of a PostgreSQL server of this test's own. */

/** No store in the database. */
void server_make_place(struct place *place);
void server_remove_place(const struct place *place);
/** As if no entry had been folded yet. */
void server_forget_rows(const struct place *place);
