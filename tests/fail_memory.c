#include "tests/fail_memory.h"

#include <stdbool.h>
#include <stdlib.h>

/* The linker's --wrap gives the names; nothing else calls or declares these functions. */
/* NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static size_t left_until_failure;

void fail_memory_at(size_t nth)
{
    left_until_failure = nth;
}

static bool is_the_one(void)
{
    return left_until_failure > 0 && --left_until_failure == 0;
}

void *__wrap_malloc(size_t size)
{
    return is_the_one() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_the_one() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return is_the_one() ? NULL : __real_realloc(memory, size);
}
/* NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming) */
