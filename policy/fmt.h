#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/diagnostic.h"
#include "base/macros.h"
#include "base/str.h"

/** How wide a line may become by being put into one. */
#define FMT_WIDTH 100

/**
 * Write a policy file in canonical form: two spaces a level, keys in the order of the language's
 * reference, short maps and lists in brackets, quotes as they are. Comments stay with what they are
 * of, single blank lines stay. What is written says the same as what was read.
 *
 * The document need not be a good policy; it must be YAML as policies are.
 *
 * False with at least one report, or (then without) where there was no memory.
 *
 * Threads: any; pure
 */
bool fmt_text(struct str file, struct str text, struct arena *arena,
              struct diagnostics *diagnostics, struct buf *out) MUST_USE;
