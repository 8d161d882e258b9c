#include "base/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define IPV4_LEN 4
#define IPV6_LEN 16

/* ::ffff:0:0/96, the IPv6 form of an IPv4 address (RFC 4291 2.5.5.2) */
static const uint8_t mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* IPv4 that is not the public internet. */
static const struct network closed_ipv4[] = {
    { { { 0 }, IPV4_LEN }, 8 },                 /* "this network" */
    { { { 10 }, IPV4_LEN }, 8 },                /* private */
    { { { 100, 64 }, IPV4_LEN }, 10 },          /* shared by carriers; a cloud's metadata */
    { { { 127 }, IPV4_LEN }, 8 },               /* loopback */
    { { { 168, 63, 129, 16 }, IPV4_LEN }, 32 }, /* Azure's host agent: public by form only */
    { { { 169, 254 }, IPV4_LEN }, 16 },         /* link-local; clouds' metadata */
    { { { 172, 16 }, IPV4_LEN }, 12 },          /* private */
    { { { 192, 0, 0 }, IPV4_LEN }, 24 },        /* protocol assignments */
    { { { 192, 0, 2 }, IPV4_LEN }, 24 },        /* documentation */
    { { { 192, 88, 99 }, IPV4_LEN }, 24 },      /* 6to4 relays */
    { { { 192, 168 }, IPV4_LEN }, 16 },         /* private */
    { { { 198, 18 }, IPV4_LEN }, 15 },          /* benchmarking */
    { { { 198, 51, 100 }, IPV4_LEN }, 24 },     /* documentation */
    { { { 203, 0, 113 }, IPV4_LEN }, 24 },      /* documentation */
    { { { 224 }, IPV4_LEN }, 4 },               /* multicast */
    { { { 240 }, IPV4_LEN }, 4 },               /* reserved, broadcast */
};

/* All of IPv6's global unicast space so far; what is outside (NAT64, unique local ...) is closed.
 */
static const struct network global_ipv6 = { { { 0x20 }, IPV6_LEN }, 3 };

/* What is not the public internet inside it. */
static const struct network closed_ipv6[] = {
    { { { 0x20, 0x01 }, IPV6_LEN }, 23 },             /* protocol assignments, Teredo, ORCHID */
    { { { 0x20, 0x01, 0x0d, 0xb8 }, IPV6_LEN }, 32 }, /* documentation */
    { { { 0x20, 0x02 }, IPV6_LEN }, 16 },             /* 6to4 */
    { { { 0x3f, 0xff }, IPV6_LEN }, 20 },             /* documentation */
};

static const struct network loopback_ipv4 = { { { 127 }, IPV4_LEN }, 8 };
static const struct network loopback_ipv6 = { { { [15] = 1 }, IPV6_LEN }, 128 };

static void set_ipv4(struct address *address, const void *bytes)
{
    *address = (struct address){ .len = IPV4_LEN };
    memcpy(address->bytes, bytes, IPV4_LEN);
}

static void set_ipv6(struct address *address, const uint8_t bytes[IPV6_LEN])
{
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        set_ipv4(address, bytes + sizeof(mapped_prefix));
        return;
    }
    *address = (struct address){ .len = IPV6_LEN };
    memcpy(address->bytes, bytes, IPV6_LEN);
}

bool address_from_sockaddr(const struct sockaddr *sockaddr, struct address *address)
{
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;

    /* copied, since `sockaddr` need not be aligned for the larger types */
    if (sockaddr->sa_family == AF_INET) {
        memcpy(&ipv4, sockaddr, sizeof(ipv4));
        set_ipv4(address, &ipv4.sin_addr);
        return true;
    }
    if (sockaddr->sa_family == AF_INET6) {
        memcpy(&ipv6, sockaddr, sizeof(ipv6));
        set_ipv6(address, ipv6.sin6_addr.s6_addr);
        return true;
    }
    return false;
}

bool address_parse(struct str text, struct address *address)
{
    char copy[ADDRESS_TEXT_MAX] = { 0 };
    uint8_t bytes[IPV6_LEN];

    if (text.len == 0 || text.len >= sizeof(copy) || str_find(text, '\0') < text.len)
        return false;
    memcpy(copy, text.data, text.len);
    if (inet_pton(AF_INET, copy, bytes) == 1) {
        set_ipv4(address, bytes);
        return true;
    }
    if (inet_pton(AF_INET6, copy, bytes) == 1) {
        set_ipv6(address, bytes);
        return true;
    }
    return false;
}

void address_text(const struct address *address, char out[ADDRESS_TEXT_MAX])
{
    int family = address->len == IPV4_LEN ? AF_INET : AF_INET6;

    if (address->len == 0 || inet_ntop(family, address->bytes, out, ADDRESS_TEXT_MAX) == NULL)
        out[0] = '\0';
}

/* Whether all bits behind the first `bits` are zero. */
static bool has_no_host_bits(const struct address *address, size_t bits)
{
    for (size_t i = bits; i < (size_t)address->len * 8; i++) {
        if ((address->bytes[i / 8] & (0x80 >> (i % 8))) != 0)
            return false;
    }
    return true;
}

bool network_parse(struct str text, struct network *network)
{
    struct str address_part;
    struct str bits_part;
    bool has_bits = str_cut(text, '/', &address_part, &bits_part);
    struct address base;
    int64_t bits;

    if (!address_parse(address_part, &base))
        return false;
    /* the bits of an IPv4-mapped address would count from another start */
    if (base.len == IPV4_LEN && str_find(address_part, ':') < address_part.len)
        return false;
    bits = (int64_t)base.len * 8;
    if (has_bits && !str_to_int64(bits_part, &bits))
        return false;
    if (bits < 0 || bits > (int64_t)base.len * 8 || !has_no_host_bits(&base, (size_t)bits))
        return false;
    *network = (struct network){ base, (uint8_t)bits };
    return true;
}

bool network_contains(const struct network *network, const struct address *address)
{
    size_t whole = network->bits / 8;
    size_t rest = network->bits % 8;

    if (network->base.len == 0 || network->base.len != address->len)
        return false;
    if (memcmp(network->base.bytes, address->bytes, whole) != 0)
        return false;
    return rest == 0 || (network->base.bytes[whole] ^ address->bytes[whole]) >> (8 - rest) == 0;
}

static bool is_in_any(const struct network *networks, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++) {
        if (network_contains(&networks[i], address))
            return true;
    }
    return false;
}

bool address_is_loopback(const struct address *address)
{
    return network_contains(&loopback_ipv4, address) || network_contains(&loopback_ipv6, address);
}

bool host_is_loopback(struct str host)
{
    struct address address;

    return str_eq(host, STR("localhost")) ||
           (address_parse(host, &address) && address_is_loopback(&address));
}

bool address_is_public(const struct address *address)
{
    if (address->len == IPV4_LEN)
        return !is_in_any(closed_ipv4, COUNT(closed_ipv4), address);
    return network_contains(&global_ipv6, address) &&
           !is_in_any(closed_ipv6, COUNT(closed_ipv6), address);
}
