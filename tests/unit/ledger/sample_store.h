#pragma once

#include <stdint.h>

#include "store/store.h"

/** A store of samples, without marks and leases. */
struct store *sample_store_open(const char *path);

/** Append samples `from` to below `to`, and wait for them. */
void sample_store_append(struct store *store, uint64_t from, uint64_t to);
