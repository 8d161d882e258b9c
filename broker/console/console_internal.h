#pragma once

#include <stddef.h>

/** A row of what CMakeLists.txt has made of `pages/`. */
struct console_row {
    const char *name;
    const char *content_type;
    const unsigned char *bytes;
    const size_t *len;
    const char *etag; /* with its quotes: SHA-256 of the bytes */
};

extern const struct console_row console_rows[];
extern const size_t console_row_count;
