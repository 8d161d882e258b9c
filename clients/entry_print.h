#pragma once

#include "base/macros.h"

struct error;
struct ledger_item;

/**
 * Print an entry on standard output as a line for people: index, time, type, and what says most.
 * What it says is foreign: nothing of it steers a terminal.
 */
void entry_print_line(const struct ledger_item *item);

/**
 * As a line of JSON: `index`, `entry` with the bytes that were hashed, and `private` where there is
 * one, or that it was `erased`; of one that was pruned just `pruned`. A terminal gets the same JSON
 * without what it would act on.
 */
void entry_print_json(const struct ledger_item *item);
