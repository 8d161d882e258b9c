#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;

/**
 * A time zone of the IANA database, as the system has it.
 *
 * Threads: immutable; reference-counted
 * Source:  RFC 9636, which has versions 1 to 4 of the format of RFC 8536
 */
struct time_zone;

/** Where Debian keeps the compiled database. */
#define TIME_ZONE_FOLDER "/usr/share/zoneinfo"

/** The longest name, bytes. */
#define TIME_ZONE_NAME_MAX 64

/** The longest file: twenty times what the database has. */
#define TIME_ZONE_BYTES_MAX ((size_t)64 * 1024)

/**
 * Read a zone by its name, "Europe/Berlin", from `folder`. A name has no "..", no empty part, and
 * no byte outside [A-Za-z0-9_+/-]; "localtime" and the like, which are another zone on another
 * machine, are none. A zone that counts leap seconds is refused, since times here do not.
 *
 * Errors: ERROR_SYNTAX (no name), ERROR_IO (no such zone, or it cannot be read), ERROR_CONFIG (the
 *         file is no zone), ERROR_LIMIT (it is too large), ERROR_MEMORY
 */
bool time_zone_load(const char *folder, struct str name, struct time_zone **zone,
                    struct error *error) MUST_USE;

/** The same of a file's bytes. */
bool time_zone_read(struct str name, struct str bytes, struct time_zone **zone, struct error *error)
    MUST_USE;
struct time_zone *time_zone_ref(struct time_zone *zone);
void time_zone_unref(struct time_zone *zone);

OWNED_POINTER(time_zone_unref, struct time_zone)

struct str time_zone_name(const struct time_zone *zone);

/** Whether two zones have one name and were read from the same bytes. */
bool time_zone_is_same(const struct time_zone *a, const struct time_zone *b);

/**
 * Seconds east of UTC that clocks of the zone show at a time; for any time. Where the database does
 * not say how the years go on it stays as it is at the end.
 */
int32_t time_zone_offset_s(const struct time_zone *zone, int64_t time_s);

/** The earliest time after `time_s` at which the offset changes; INT64_MAX: it never does again. */
int64_t time_zone_next_change_s(const struct time_zone *zone, int64_t time_s);

/**
 * The zone that somebody may have meant: another case, the last part alone ("Berlin"), or a few
 * letters off; empty where there is none like it. False where the folder has no list of zones.
 *
 * Owns: `*nearest` lives in `arena`
 */
bool time_zone_nearest(const char *folder, struct str name, struct arena *arena,
                       struct str *nearest) MUST_USE;
