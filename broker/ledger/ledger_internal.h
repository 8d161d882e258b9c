#pragma once

struct block_book;
struct ledger;
struct store;

/* What other files of this room need of a ledger. */

struct store *ledger_store(const struct ledger *ledger);
struct block_book *ledger_block_book(const struct ledger *ledger);
