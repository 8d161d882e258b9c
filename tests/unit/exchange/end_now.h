#pragma once

#include <stdbool.h>

#include "base/macros.h"
#include "exchange/lease_end.h"

struct error;

/** Walk to the lease's end on this thread, which sleeps while the ledger has it. */
bool lease_end_now(struct lease_end *end, struct error *error) MUST_USE;
