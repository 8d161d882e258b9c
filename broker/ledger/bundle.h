#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/macros.h"
#include "base/str.h"
#include "ledger/tile.h"
#include "store/store.h"

/*
 * Entry bundles: up to TILE_WIDTH entries in a row, each behind its head, which is its length.
 *
 * Source: C2SP tlog-tiles, "Log Entries"
 */

/** Bytes of a head: the length, the high byte first. */
#define BUNDLE_HEAD_LEN 2
#define BUNDLE_MAX ((size_t)TILE_WIDTH * (BUNDLE_HEAD_LEN + STORE_ENTRY_MAX))

/** The head of an entry of at most STORE_ENTRY_MAX bytes. */
void bundle_head(struct str entry, char head[BUNDLE_HEAD_LEN]);

/** Append an entry and its head. */
void bundle_add(struct buf *bundle, struct str entry);

/**
 * Cut the first entry off `*bundle`, from which it borrows; false where there is none, or more than
 * an entry may have, or not all of it.
 */
bool bundle_cut(struct str *bundle, struct str *entry) MUST_USE;
