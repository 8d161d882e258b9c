#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * Memory of one request: a region with a byte limit, wiped and freed as a whole.
 *
 * Builds with AddressSanitizer use one malloc() a piece, so that overruns are seen.
 *
 * Threads: confined
 */
struct arena;

/** The usual limit of a request's arena, bytes: token, claims, answer and their copies. */
#define ARENA_REQUEST_MAX ((size_t)2 * 1024 * 1024)

/** A new arena that never holds more than `max_bytes`; NULL when there is no memory. */
struct arena *arena_new(size_t max_bytes) MUST_USE;

/** The same for what lives long and many: chunks stay small, so that little of them is unused. */
struct arena *arena_new_frugal(size_t max_bytes) MUST_USE;

struct slab;

/**
 * The same for what is read at random, too: it lies beside others in a slab's large pages. Until it
 * is settled or freed, no other one may be made in the slab, and the slab has to stay.
 */
struct arena *arena_new_in(struct slab *slab, size_t max_bytes) MUST_USE;

/** Leave the slab to the next arena; what is allocated from here on lies elsewhere. */
void arena_settle(struct arena *arena);

/**
 * Whether a page of a slab that it keeps was mostly used by arenas that are freed: to make it anew
 * elsewhere saves memory.
 */
bool arena_is_sparse(const struct arena *arena);

/** Run what was deferred (last first), wipe, free. */
void arena_free(struct arena *arena);

OWNED_POINTER(arena_free, struct arena)

/** Zeroed memory, aligned for any type; NULL when the limit or the machine's memory is reached. */
void *arena_alloc(struct arena *arena, size_t size) MUST_USE;

/** `count` zeroed elements of `size` bytes, the product checked. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size) MUST_USE;

/** A copy, followed by a NUL that is not counted, at any address. On failure `data` is NULL. */
struct str arena_copy(struct arena *arena, struct str string);

/** Formatted text, NUL-terminated besides. On failure `data` is NULL. */
struct str arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/**
 * Have `function(object)` called when the arena is freed: for foreign objects.
 *
 * Where it cannot be remembered (no memory) the object is released at once and the result is false.
 */
bool arena_defer(struct arena *arena, void (*function)(void *object), void *object) MUST_USE;
