#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/network.h"
#include "tests/test.h"

static struct address parsed(const char *text)
{
    struct address address = { 0 };

    if (!address_parse(str_from(text), &address))
        fail_msg("refused: %s", text);
    return address;
}

static struct network parsed_network(const char *text)
{
    struct network network = { 0 };

    if (!network_parse(str_from(text), &network))
        fail_msg("refused: %s", text);
    return network;
}

static void addresses_are_read_and_written_back(void **state)
{
    static const struct {
        const char *text;
        uint8_t len;
        const char *canonical;
    } cases[] = {
        { "10.1.2.3", 4, "10.1.2.3" },
        { "255.255.255.255", 4, "255.255.255.255" },
        { "2001:DB8:0:0:0:0:0:1", 16, "2001:db8::1" },
        { "::", 16, "::" },
        { "::ffff:10.1.2.3", 4, "10.1.2.3" },
        { "::ffff:a01:203", 4, "10.1.2.3" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", 16,
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    };
    char text[ADDRESS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = parsed(cases[i].text);

        assert_int_equal(address.len, cases[i].len);
        address_text(&address, text);
        assert_string_equal(text, cases[i].canonical);
    }
}

static void what_is_no_address_is_refused(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("10"),
        STR_INIT("10.1.2"),
        STR_INIT("10.1.2.3.4"),
        STR_INIT("10.1.2.256"),
        STR_INIT("010.1.2.3"),
        STR_INIT("0x0a.1.2.3"),
        STR_INIT(" 10.1.2.3"),
        STR_INIT("10.1.2.3 "),
        STR_INIT("10.1.2.3\0"),
        STR_INIT("10.1.2.3\0.evil"),
        STR_INIT("[::1]"),
        STR_INIT("fe80::1%eth0"),
        STR_INIT(":::"),
        STR_INIT("1::2::3"),
        STR_INIT("localhost"),
        STR_INIT("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.2555"),
    };
    struct address address;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (address_parse(cases[i], &address))
            fail_msg("accepted: " STR_FMT, STR_ARG(cases[i]));
    }
}

static void no_address_is_written_as_nothing(void **state)
{
    const struct address none = { 0 };
    char text[ADDRESS_TEXT_MAX] = "x";

    (void)state;
    address_text(&none, text);
    assert_string_equal(text, "");
}

static void socket_addresses_are_read(void **state)
{
    struct sockaddr_in ipv4 = { .sin_family = AF_INET };
    struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6 };
    struct address address;

    (void)state;
    assert_int_equal(inet_pton(AF_INET, "10.1.2.3", &ipv4.sin_addr), 1);
    assert_true(address_from_sockaddr((const struct sockaddr *)&ipv4, &address));
    assert_int_equal(address.len, 4);
    assert_memory_equal(address.bytes, "\x0a\1\2\3", 4);

    assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &ipv6.sin6_addr), 1);
    assert_true(address_from_sockaddr((const struct sockaddr *)&ipv6, &address));
    assert_int_equal(address.len, 16);

    assert_int_equal(inet_pton(AF_INET6, "::ffff:127.0.0.1", &ipv6.sin6_addr), 1);
    assert_true(address_from_sockaddr((const struct sockaddr *)&ipv6, &address));
    assert_int_equal(address.len, 4);
    assert_true(address_is_loopback(&address));
}

static void a_socket_without_an_address_is_refused(void **state)
{
    const struct sockaddr_un local = { .sun_family = AF_UNIX };
    struct address address;

    (void)state;
    assert_false(address_from_sockaddr((const struct sockaddr *)&local, &address));
}

static void networks_contain_their_addresses_and_no_others(void **state)
{
    static const struct {
        const char *network;
        const char *inside;
        const char *outside;
    } cases[] = {
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
        { "172.16.0.0/12", "172.31.255.255", "172.32.0.0" },
        { "192.168.1.0/25", "192.168.1.127", "192.168.1.128" },
        { "192.168.1.7", "192.168.1.7", "192.168.1.6" },
        { "192.168.1.6/31", "192.168.1.7", "192.168.1.8" },
        { "0.0.0.0/0", "255.1.2.3", "::1" },
        { "::/0", "2001:db8::1", "10.0.0.1" },
        { "2001:db8::/32", "2001:db8:ffff::", "2001:db9::" },
        { "fc00::/7", "fdff::1", "fe00::" },
        { "::1", "::1", "::2" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct network network = parsed_network(cases[i].network);
        struct address inside = parsed(cases[i].inside);
        struct address outside = parsed(cases[i].outside);

        assert_true(network_contains(&network, &network.base));
        assert_true(network_contains(&network, &inside));
        assert_false(network_contains(&network, &outside));
    }
}

static void an_ipv4_mapped_address_is_in_the_ipv4_network(void **state)
{
    struct network network = parsed_network("10.0.0.0/8");
    struct address mapped = parsed("::ffff:10.1.2.3");
    const struct address none = { 0 };
    const struct network nowhere = { 0 };

    (void)state;
    assert_true(network_contains(&network, &mapped));
    assert_false(network_contains(&network, &none));
    assert_false(network_contains(&nowhere, &none));
}

static void what_is_no_network_is_refused(void **state)
{
    static const struct str cases[] = {
        STR_INIT(""),
        STR_INIT("/8"),
        STR_INIT("10.0.0.0/"),
        STR_INIT("10.0.0.0/33"),
        STR_INIT("10.0.0.0/-1"),
        STR_INIT("10.0.0.0/08"),
        STR_INIT("10.0.0.0/8/8"),
        STR_INIT("10.0.0.0/255.0.0.0"),
        STR_INIT("10.0.0.0/ 8"),
        STR_INIT("10.0.0.1/8"),
        STR_INIT("10.0.0.1/31"),
        STR_INIT("10/8"),
        STR_INIT("2001:db8::/129"),
        STR_INIT("2001:db8::1/64"),
        STR_INIT("::ffff:10.0.0.0/104"),
        STR_INIT("::ffff:10.0.0.0/8"),
        STR_INIT("::ffff:10.0.0.1"),
    };
    struct network network;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (network_parse(cases[i], &network))
            fail_msg("accepted: " STR_FMT, STR_ARG(cases[i]));
    }
}

static void loopback_is_seen_in_both_families(void **state)
{
    static const char *const loopback[] = { "127.0.0.1", "127.255.255.254", "::1",
                                            "::ffff:127.0.0.1" };
    static const char *const other[] = { "126.255.255.255", "128.0.0.1", "::", "::2", "10.0.0.1" };
    const struct address none = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(loopback); i++) {
        struct address address = parsed(loopback[i]);

        assert_true(address_is_loopback(&address));
    }
    for (size_t i = 0; i < COUNT(other); i++) {
        struct address address = parsed(other[i]);

        assert_false(address_is_loopback(&address));
    }
    assert_false(address_is_loopback(&none));
}

static void public_addresses_are_public(void **state)
{
    static const char *const cases[] = {
        "1.1.1.1",         "9.255.255.255",  "11.0.0.0",        "100.63.255.255", "100.128.0.0",
        "126.1.1.1",       "128.0.0.1",      "140.82.112.3",    "168.63.129.15",  "168.63.129.17",
        "169.253.255.255", "169.255.0.0",    "172.15.255.255",  "172.32.0.0",     "192.0.1.1",
        "192.167.0.1",     "198.17.255.255", "198.20.0.0",      "203.0.112.255",  "203.0.114.0",
        "223.255.255.255", "2001:200::1",    "2606:4700::1111", "2a00:1450::1",   "3ffe::1",
        "2001:db7::1",     "2003::1",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = parsed(cases[i]);

        if (!address_is_public(&address))
            fail_msg("not public: %s", cases[i]);
    }
}

static void all_other_addresses_are_not(void **state)
{
    static const struct {
        const char *what;
        const char *address;
    } cases[] = {
        { "this network", "0.0.0.0" },
        { "this network's end", "0.255.255.255" },
        { "private", "10.0.0.1" },
        { "shared", "100.64.0.1" },
        { "Alibaba's metadata", "100.100.100.200" },
        { "shared's end", "100.127.255.255" },
        { "loopback", "127.0.0.1" },
        { "Azure's host agent", "168.63.129.16" },
        { "metadata", "169.254.169.254" },
        { "ECS's credentials", "169.254.170.2" },
        { "private", "172.16.0.1" },
        { "private's end", "172.31.255.255" },
        { "protocol assignments", "192.0.0.192" },
        { "documentation", "192.0.2.1" },
        { "6to4 relay", "192.88.99.1" },
        { "private", "192.168.0.1" },
        { "benchmarking", "198.18.0.1" },
        { "benchmarking's end", "198.19.255.255" },
        { "documentation", "198.51.100.1" },
        { "documentation", "203.0.113.1" },
        { "multicast", "224.0.0.1" },
        { "reserved", "240.0.0.1" },
        { "broadcast", "255.255.255.255" },
        { "unspecified", "::" },
        { "loopback", "::1" },
        { "IPv4-compatible", "::10.0.0.1" },
        { "IPv4-mapped", "::ffff:169.254.169.254" },
        { "IPv4-translated", "::ffff:0:169.254.169.254" },
        { "NAT64", "64:ff9b::169.254.169.254" },
        { "local NAT64", "64:ff9b:1::1" },
        { "discard", "100::1" },
        { "Teredo", "2001::1" },
        { "benchmarking", "2001:2::1" },
        { "ORCHID", "2001:20::1" },
        { "documentation", "2001:db8::1" },
        { "6to4 of metadata", "2002:a9fe:a9fe::1" },
        { "documentation", "3fff::1" },
        { "outside of global unicast", "4000::1" },
        { "segment routing", "5f00::1" },
        { "unique local", "fc00::1" },
        { "AWS metadata", "fd00:ec2::254" },
        { "link-local", "fe80::1" },
        { "site-local", "fec0::1" },
        { "multicast", "ff02::1" },
    };
    const struct address none = { 0 };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address = parsed(cases[i].address);

        if (address_is_public(&address))
            fail_msg("public: %s, %s", cases[i].address, cases[i].what);
    }
    assert_false(address_is_public(&none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_and_written_back),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(no_address_is_written_as_nothing),
        cmocka_unit_test(socket_addresses_are_read),
        cmocka_unit_test(a_socket_without_an_address_is_refused),
        cmocka_unit_test(networks_contain_their_addresses_and_no_others),
        cmocka_unit_test(an_ipv4_mapped_address_is_in_the_ipv4_network),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(loopback_is_seen_in_both_families),
        cmocka_unit_test(public_addresses_are_public),
        cmocka_unit_test(all_other_addresses_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
