#pragma once

struct ledger;
struct rules_table;

/**
 * What issuers' key sets have come to since the last time: each change is an entry, before which it
 * is not obeyed, and what could not be kept for the next start is logged.
 *
 * Threads: main's
 */
void issuers_tend(struct rules_table *table, struct ledger *ledger);
