#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "ledger/merkle.h"

/** A decimal number without sign or leading zeros. */
bool note_parse_u64(struct str text, uint64_t *value);

/** A hash in base64. */
bool note_parse_hash(struct str text, struct merkle_hash *hash);
