#pragma once

#include "base/str.h"
#include "tests/test.h"

/** The text must be exactly `expected`, a literal. A macro as cmocka's are: it tells the line. */
#define assert_str(actual, expected) /* NOLINT(readability-identifier-naming) */                   \
    do {                                                                                           \
        struct str actual_ = (actual);                                                             \
        assert_int_equal(actual_.len, sizeof(expected) - 1);                                       \
        if (actual_.len > 0)                                                                       \
            assert_memory_equal(actual_.data, expected, sizeof(expected) - 1);                     \
    } while (0)
