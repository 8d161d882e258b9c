#pragma once

#include <stddef.h>

/**
 * Let the `nth` allocation from now on fail, once (1 is the next one); 0: none.
 *
 * Works where the test links the target `fail_memory`, for malloc(), calloc() and realloc() called
 * by our own code; shared libraries are not touched.
 *
 * Threads: confined
 */
void fail_memory_at(size_t nth);
