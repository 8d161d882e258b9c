#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct sockaddr;

/** An IPv4 or IPv6 address; IPv4-mapped IPv6 is stored as IPv4. */
struct address {
    uint8_t bytes[16];
    uint8_t len; /* 4 or 16; 0 is none */
};

/** An address range. */
struct network {
    struct address base;
    uint8_t bits;
};

#define ADDRESS_TEXT_MAX 46 /* with NUL */

bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *address) MUST_USE;
bool address_parse(struct str text, struct address *address) MUST_USE;
void address_text(const struct address *address, char out[ADDRESS_TEXT_MAX]);

/** Read "10.0.0.0/8" or "2001:db8::/32"; a bare address is one host; host bits must be zero. */
bool network_parse(struct str text, struct network *network) MUST_USE;
bool network_contains(const struct network *network, const struct address *address);

bool address_is_loopback(const struct address *address);

/** Whether a host, without port and brackets, is this machine: localhost, or a loopback address. */
bool host_is_loopback(struct str host);

/**
 * Whether it is an address of the public internet: not loopback, private, link-local (cloud
 * metadata among them), shared, multicast, documentation, benchmarking, reserved, nor an IPv6 form
 * that embeds IPv4 (NAT64, 6to4, Teredo).
 *
 * Source: IANA special-purpose address registries (RFC 6890)
 */
bool address_is_public(const struct address *address);
