#include "upstream/upstream.h"

/* Longer than any URL of an issuer or target; the limit of URLs in claims, too. */
#define URL_MAX_BYTES 2048

#define HTTPS STR("https://")
#define HTTP STR("http://")

#define HOST_CHARACTERS                                                                            \
    "abcdefghijklmnopqrstuvwxyz"                                                                   \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                                   \
    "0123456789.-"
#define IPV6_CHARACTERS "0123456789abcdefABCDEF:."

/* What is behind the scheme; empty for any other scheme. */
static struct str after_scheme(struct str url)
{
    if (str_starts_with(url, HTTPS))
        return str_slice(url, HTTPS.len, url.len);
    if (str_starts_with(url, HTTP))
        return str_slice(url, HTTP.len, url.len);
    return (struct str){ 0 };
}

struct str upstream_url_host(struct str url)
{
    struct str rest = after_scheme(url);
    size_t len = 0;

    while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
        len++;
    return str_slice(rest, 0, len);
}

/* Visible ASCII without what parsers disagree on. */
static bool is_plain(struct str url)
{
    for (size_t i = 0; i < url.len; i++)
        if (url.data[i] <= ' ' || url.data[i] > '~' || url.data[i] == '\\' || url.data[i] == '#')
            return false;
    return true;
}

static bool port_check(struct str port)
{
    int64_t number = 0;

    return str_to_int64(port, &number) && number >= 1 && number <= 65535;
}

/* "host", "host:port", "[address]" or "[address]:port". */
static bool authority_check(struct str authority)
{
    struct str host;
    struct str port;
    struct address address;

    if (authority.len == 0)
        return false;
    if (authority.data[0] != '[') {
        bool has_port = str_cut(authority, ':', &host, &port);

        return host.len > 0 && str_is_made_of(host, HOST_CHARACTERS) &&
               (!has_port || port_check(port));
    }
    if (!str_cut(str_slice(authority, 1, authority.len), ']', &host, &port))
        return false;
    if (!str_is_made_of(host, IPV6_CHARACTERS) || !address_parse(host, &address))
        return false;
    return port.len == 0 || (port.data[0] == ':' && port_check(str_slice(port, 1, port.len)));
}

bool upstream_url_is_loopback(struct str url)
{
    struct str authority = upstream_url_host(url);
    struct str host;
    struct str rest;

    if (str_starts_with(authority, STR("[")))
        (void)str_cut(str_slice(authority, 1, authority.len), ']', &host, &rest);
    else
        (void)str_cut(authority, ':', &host, &rest);
    return host_is_loopback(host);
}

bool upstream_url_check(struct str url, bool may_use_http, struct error *error)
{
    if (url.len > URL_MAX_BYTES)
        return error_set(error, ERROR_CONFIG, "the URL is longer than %d bytes", URL_MAX_BYTES);
    if (!str_starts_with(url, HTTPS) && !str_starts_with(url, HTTP))
        return error_set(error, ERROR_CONFIG, "expected a URL that begins with https://");
    if (!may_use_http && !str_starts_with(url, HTTPS))
        return error_set(error, ERROR_CONFIG, "plain http is not allowed here");
    if (!is_plain(url))
        return error_set(error, ERROR_CONFIG,
                         "the URL holds a fragment or a character that must be escaped");
    if (!authority_check(upstream_url_host(url)))
        return error_set(error, ERROR_CONFIG,
                         "the URL needs a host, perhaps a port, and no user name");
    return true;
}
