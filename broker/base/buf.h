#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

/**
 * A buffer that grows up to a given limit.
 *
 * The appenders return nothing. The first that does not fit (limit or memory) marks the buffer as
 * failed and changes nothing else; later ones do nothing. So a writer appends in a row and asks
 * buf_is_ok() once, before it uses the content. buf_release() wipes.
 *
 * Threads: confined
 */
struct buf {
    char *data; /* `len` bytes, followed by a NUL that is not counted */
    size_t len;
    size_t capacity; /* private */
    size_t max;      /* private: `len` never passes it */
    bool is_failed;  /* private */
};

void buf_init(struct buf *buf, size_t max_bytes);
void buf_release(struct buf *buf);

OWNED_VALUE(buf_release, struct buf)

/** Nothing was lost: every append fitted. */
bool buf_is_ok(const struct buf *buf) MUST_USE;

/** The content; valid until the next append. */
struct str buf_str(const struct buf *buf);

/** Forget the content (wiped), keep the memory and the limit. */
void buf_clear(struct buf *buf);

/** Forget what is behind the first `len` bytes (wiped); a failure stays one. */
void buf_truncate(struct buf *buf, size_t len);

/** About `len` bytes will follow: memory is taken for them at once. It promises nothing. */
void buf_expect(struct buf *buf, size_t len);

/** Append `len` bytes for the caller to fill at once; NULL when they do not fit. */
char *buf_extend(struct buf *buf, size_t len) MUST_USE;

void buf_add(struct buf *buf, struct str bytes);
void buf_add_text(struct buf *buf, const char *text);
void buf_add_byte(struct buf *buf, uint8_t byte);
void buf_add_u32(struct buf *buf, uint32_t value);   /* big-endian */
void buf_add_u64(struct buf *buf, uint64_t value);   /* big-endian */
void buf_add_hex(struct buf *buf, struct str bytes); /* lower-case */

/** A big-endian u32 length and the bytes: the `string` of SSH's wire format (RFC 4251 5). */
void buf_add_sized(struct buf *buf, struct str bytes);

void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/** Append as application/x-www-form-urlencoded: unreserved bytes as they are, all others %XX. */
void buf_add_percent(struct buf *buf, struct str bytes);

/** Append as the inside of a JSON string, without the quotes. */
void buf_add_json_text(struct buf *buf, struct str utf8);
