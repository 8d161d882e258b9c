#pragma once

/** The result must be looked at. */
#define MUST_USE __attribute__((warn_unused_result))

/** A printf-like function: the format is argument `text`, the first value argument `first`. */
#define PRINTF_LIKE(text, first) __attribute__((__format__(__printf__, text, first)))

/**
 * Release a variable when its scope ends: `OWNED(policy_free) struct policy *policy = NULL;`.
 *
 * The release function's own header makes it usable here with OWNED_POINTER or OWNED_VALUE.
 */
#define OWNED(release) __attribute__((cleanup(release##_owned)))

/** Let `release(struct x *)` (heap objects, NULL accepted) be used with OWNED. */
#define OWNED_POINTER(release, type)                                                               \
    static inline void release##_owned(type **object)                                              \
    {                                                                                              \
        release(*object);                                                                          \
    }

/** Let `release(struct x *)` (the caller's storage) be used with OWNED. */
#define OWNED_VALUE(release, type)                                                                 \
    static inline void release##_owned(type *object)                                               \
    {                                                                                              \
        release(object);                                                                           \
    }

/** Take the object out of an OWNED pointer, which is NULL afterwards. */
#define TAKE(pointer)                                                                              \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

/** The first multiple of `unit` that is no smaller than `size`. */
#define ROUND_UP(size, unit) (((size) + (unit)-1) / (unit) * (unit))

/** A byte in each of the eight places of a word. */
#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (uint64_t)(byte))

/** How many elements a fixed array has. */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
