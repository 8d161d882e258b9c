#include "base/arena.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "base/slab.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PIECE_IS_CHUNK
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define PIECE_IS_CHUNK
#endif

#ifdef PIECE_IS_CHUNK
/* Every piece is a chunk of its own, of its exact size. */
#define CHUNK_USUAL 0
#define CHUNK_FRUGAL 0
#define HAS_SLABS false
#else
/* Thousands of requests may wait, each with a chunk half empty: no larger ones. */
#define CHUNK_USUAL ((size_t)4 * 1024)
#define CHUNK_FRUGAL ((size_t)1000) /* 1 KiB with its head and malloc's */
#define HAS_SLABS true
#endif

#define LARGE_PIECE (2 * SLAB_PAGE) /* has large pages of its own */

#define ALIGNMENT _Alignof(max_align_t)

struct chunk {
    struct chunk *next; /* the older one */
    size_t capacity;
    size_t used;
    struct slab_block *block; /* that it is in; NULL: it is malloc's */
    _Alignas(max_align_t) uint8_t data[];
};

struct deferred {
    struct deferred *next; /* the older one */
    void (*function)(void *object);
    void *object;
};

struct arena {
    struct chunk *newest;
    struct deferred *deferred;
    size_t chunk_bytes; /* what a chunk has at least */
    size_t left_bytes;  /* of the limit */
    struct slab *slab;  /* borrowed, where it is made; NULL: none, or it is settled */
    struct chunk *open; /* of the slab; NULL: none */
};

struct arena *arena_new(size_t max_bytes)
{
    struct arena *arena = malloc(sizeof(*arena));

    if (arena != NULL)
        *arena = (struct arena){ .chunk_bytes = CHUNK_USUAL, .left_bytes = max_bytes };
    return arena;
}

struct arena *arena_new_frugal(size_t max_bytes)
{
    struct arena *arena = arena_new(max_bytes);

    if (arena != NULL)
        arena->chunk_bytes = CHUNK_FRUGAL;
    return arena;
}

struct arena *arena_new_in(struct slab *slab, size_t max_bytes)
{
    struct arena *arena = arena_new_frugal(max_bytes);

    if (arena != NULL && HAS_SLABS)
        arena->slab = slab;
    return arena;
}

/* Give the rest of its room back to the slab. */
static void close_chunk(struct arena *arena)
{
    struct chunk *chunk = arena->open;

    arena->open = NULL;
    if (chunk == NULL)
        return;
    chunk->capacity = chunk->used;
    slab_close(arena->slab, sizeof(*chunk) + chunk->used);
}

void arena_settle(struct arena *arena)
{
    close_chunk(arena);
    arena->slab = NULL;
}

bool arena_is_sparse(const struct arena *arena)
{
    for (const struct chunk *chunk = arena->newest; chunk != NULL; chunk = chunk->next)
        if (chunk->block != NULL && slab_block_is_sparse(chunk->block))
            return true;
    return false;
}

static void run_deferred(struct arena *arena)
{
    while (arena->deferred != NULL) {
        struct deferred *deferred = arena->deferred;

        arena->deferred = deferred->next;
        deferred->function(deferred->object);
    }
}

static void free_chunk(struct chunk *chunk)
{
    if (chunk->block != NULL)
        slab_block_unref(chunk->block);
    else
        free(chunk);
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    run_deferred(arena);
    arena_settle(arena);
    while (arena->newest != NULL) {
        struct chunk *chunk = arena->newest;

        arena->newest = chunk->next;
        secret_wipe(chunk->data, chunk->used);
        free_chunk(chunk);
    }
    free(arena);
}

static size_t round_up(size_t size, size_t alignment)
{
    return (size + alignment - 1) & ~(alignment - 1);
}

/* Zeroed memory of a chunk; what is large has large pages. */
static struct chunk *allocate_chunk(size_t capacity)
{
    struct slab_block *block;
    void *data;

    if (!HAS_SLABS || capacity < LARGE_PIECE)
        return calloc(1, sizeof(struct chunk) + capacity);
    block = slab_block_new(sizeof(struct chunk) + capacity, &data);
    if (block == NULL)
        return NULL;
    *(struct chunk *)data = (struct chunk){ .block = block };
    return data;
}

/* All the room that the slab has left is the chunk's until it is closed. */
static struct chunk *open_chunk(struct arena *arena, size_t size)
{
    struct slab_block *block = NULL;
    struct chunk *chunk;
    size_t room = 0;

    close_chunk(arena);
    chunk = slab_open(arena->slab, sizeof(*chunk) + size, &room, &block);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){ arena->newest, room - sizeof(*chunk), 0, block };
    arena->newest = chunk;
    arena->open = chunk;
    return chunk;
}

/*
 * Zeroed memory: a piece is zeroed because its chunk was, and no piece is ever reused. A chunk for
 * one large piece goes behind the newest, which still has room.
 */
static struct chunk *arena_add_chunk(struct arena *arena, size_t size)
{
    bool is_own = size > arena->chunk_bytes && arena->newest != NULL;
    size_t capacity = size > arena->chunk_bytes ? size : arena->chunk_bytes;
    struct chunk **at = is_own ? &arena->newest->next : &arena->newest;
    struct chunk *chunk;

    if (arena->slab != NULL && size < SLAB_PIECE_MAX / 2)
        return open_chunk(arena, size);
    chunk = allocate_chunk(capacity);
    if (chunk == NULL)
        return NULL;
    chunk->capacity = capacity;
    chunk->next = *at;
    *at = chunk;
    return chunk;
}

static bool chunk_has_room(const struct chunk *chunk, size_t size, size_t alignment)
{
    size_t start = round_up(chunk->used, alignment);

    return start <= chunk->capacity && size <= chunk->capacity - start;
}

static void *take(struct arena *arena, size_t size, size_t alignment)
{
    size_t exact = size == 0 ? 1 : size;
    size_t counted = exact > SIZE_MAX - ALIGNMENT ? SIZE_MAX : round_up(exact, ALIGNMENT);
    struct chunk *chunk = arena->newest;
    void *piece;

    if (counted > arena->left_bytes)
        return NULL;
    if (chunk == NULL || !chunk_has_room(chunk, exact, alignment))
        chunk = arena_add_chunk(arena, exact);
    if (chunk == NULL)
        return NULL;
    piece = chunk->data + round_up(chunk->used, alignment);
    chunk->used = round_up(chunk->used, alignment) + exact;
    arena->left_bytes -= counted;
    return piece;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    return take(arena, size, ALIGNMENT);
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? NULL : arena_alloc(arena, bytes);
}

struct str arena_copy(struct arena *arena, struct str string)
{
    char *copy = string.len == SIZE_MAX ? NULL : take(arena, string.len + 1, 1);

    if (copy == NULL)
        return (struct str){ 0 };
    if (string.len > 0)
        memcpy(copy, string.data, string.len);
    return (struct str){ copy, string.len };
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list values;
    char *text;
    int len;

    va_start(values, format);
    len = vsnprintf(NULL, 0, format, values);
    va_end(values);
    text = len < 0 ? NULL : take(arena, (size_t)len + 1, 1);
    if (text == NULL)
        return (struct str){ 0 };
    va_start(values, format);
    (void)vsnprintf(text, (size_t)len + 1, format, values); /* measured above */
    va_end(values);
    return (struct str){ text, (size_t)len };
}

bool arena_defer(struct arena *arena, void (*function)(void *object), void *object)
{
    struct deferred *deferred = arena_alloc(arena, sizeof(*deferred));

    if (deferred == NULL) {
        function(object);
        return false;
    }
    *deferred = (struct deferred){ arena->deferred, function, object };
    arena->deferred = deferred;
    return true;
}
