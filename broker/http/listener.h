#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct error;

/**
 * Open `count` sockets that listen on one address and port and share what comes (SO_REUSEPORT).
 *
 * `*port` 0 takes a free one, which is put there. Since any process of our user could share the
 * port too, a second broker say, it is made sure first that nobody has it.
 *
 * Errors: ERROR_IO, ERROR_CONFIG (not an address)
 * Owns:   the sockets are the caller's; on failure there are none
 */
bool listener_open(struct str address, uint16_t *port, int *sockets, size_t count,
                   struct error *error) MUST_USE;
