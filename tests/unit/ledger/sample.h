#pragma once

#include <stdint.h>

#include "base/buf.h"

/**
 * Entries as a busy broker writes them, number by number: exchanges of some hundred pipelines with
 * one to three credentials, releases, refusals, and now and then a policy.
 *
 * `entry` and `private_part` are cleared and filled. The same number gives the same entry.
 */
void sample_entry(uint64_t number, struct buf *entry, struct buf *private_part);

/** Bytes that an entry has at most. */
#define SAMPLE_MAX ((size_t)8 * 1024)

/** Milliseconds between two entries. */
#define SAMPLE_STEP_MS 250
#define SAMPLE_START_MS INT64_C(1790000000000)

/* Values of entry `number`, where its type has such. */
void sample_id(const char *what, uint64_t number, char out[27]);
unsigned sample_pipeline(uint64_t number);
