#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "identity/dpop_internal.h"
#include "upstream/upstream.h"

#define TARGET_MAX ((size_t)2048) /* as long as a URL may be: normalising makes none longer */
#define UNRESERVED                                                                                 \
    "abcdefghijklmnopqrstuvwxyz"                                                                   \
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"                                                                   \
    "0123456789-._~"

struct target {
    bool is_https;
    struct str host; /* without a default port; its case is not normalised */
    struct str path;
};

/* A scheme in lower case, as our own reader of URLs wants it. */
static struct str with_plain_scheme(struct str url, struct arena *arena)
{
    static const struct str schemes[] = { { "https://", 8 }, { "http://", 7 } };

    for (size_t i = 0; i < COUNT(schemes); i++) {
        struct str rest = str_slice(url, schemes[i].len, url.len);

        if (url.len >= schemes[i].len &&
            str_eq_ignore_case(str_slice(url, 0, schemes[i].len), schemes[i]))
            return arena_printf(arena, STR_FMT STR_FMT, STR_ARG(schemes[i]), STR_ARG(rest));
    }
    return (struct str){ 0 };
}

/* Host and port, without a port that the scheme implies or that is empty. */
static struct str without_default_port(struct str authority, bool is_https)
{
    struct str port = is_https ? STR(":443") : STR(":80");

    if (str_ends_with(authority, port))
        return str_slice(authority, 0, authority.len - port.len);
    return authority;
}

/* An escape: the character itself where it needs none, else with its digits in capitals. */
static bool add_escape(struct buf *out, struct str digits)
{
    static const char upper[] = "0123456789ABCDEF";
    uint8_t byte;

    if (digits.len != 2 || !hex_decode(digits, &byte))
        return false;
    if (byte != 0 && strchr(UNRESERVED, byte) != NULL) {
        buf_add_byte(out, byte);
        return true;
    }
    buf_add_byte(out, '%');
    buf_add_byte(out, (uint8_t)upper[byte >> 4]);
    buf_add_byte(out, (uint8_t)upper[byte & 15]);
    return true;
}

static bool unescape(struct str path, struct buf *out)
{
    for (size_t i = 0; i < path.len; i++) {
        if (path.data[i] != '%') {
            buf_add_byte(out, (uint8_t)path.data[i]);
            continue;
        }
        if (!add_escape(out, str_slice(path, i + 1, 2)))
            return false;
        i += 2;
    }
    return true;
}

/* The length without the last segment and the '/' before it. */
static size_t drop_segment(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len > 0 ? len - 1 : 0;
}

/* Resolve "." and ".." in place (RFC 3986 5.2.4); the path begins with '/'. */
static struct str remove_dots(char *path, size_t len)
{
    size_t kept = 0;
    size_t at = 0;

    while (at < len) {
        struct str rest = { path + at, len - at };
        struct str segment =
            str_slice(rest, 0, 1 + str_find(str_slice(rest, 1, rest.len), '/')); /* with its '/' */
        bool is_last = segment.len == rest.len;
        bool is_up = str_eq(segment, STR("/.."));

        at += segment.len;
        if (is_up)
            kept = drop_segment(path, kept);
        if (is_up || str_eq(segment, STR("/."))) {
            if (is_last)
                path[kept++] = '/';
            continue;
        }
        memmove(path + kept, segment.data, segment.len);
        kept += segment.len;
    }
    return (struct str){ path, kept };
}

static bool normalise_path(struct str path, struct arena *arena, struct str *out)
{
    OWNED(buf_release) struct buf text = { 0 };
    char *copy;

    buf_init(&text, TARGET_MAX + 1);
    if (path.len == 0)
        buf_add_byte(&text, '/');
    if (!unescape(path, &text) || !buf_is_ok(&text))
        return false;
    copy = arena_alloc(arena, text.len);
    if (copy == NULL)
        return false;
    memcpy(copy, text.data, text.len);
    *out = remove_dots(copy, text.len);
    return true;
}

static bool target_parse(struct str url, struct arena *arena, struct target *target)
{
    struct str whole = with_plain_scheme(str_slice(url, 0, str_find(url, '#')), arena);
    struct error ignored = { 0 };
    struct str authority;
    struct str path;

    whole = str_slice(whole, 0, str_find(whole, '?'));
    if (whole.len == 0 || !upstream_url_check(whole, true, &ignored))
        return false;
    target->is_https = str_starts_with(whole, STR("https"));
    authority = upstream_url_host(whole);
    path = str_slice(whole, (target->is_https ? 8 : 7) + authority.len, whole.len);
    target->host = without_default_port(authority, target->is_https);
    return normalise_path(path, arena, &target->path);
}

bool dpop_targets_are_equal(struct str a, struct str b, struct arena *arena)
{
    struct target left = { 0 };
    struct target right = { 0 };

    return target_parse(a, arena, &left) && target_parse(b, arena, &right) &&
           left.is_https == right.is_https && str_eq_ignore_case(left.host, right.host) &&
           str_eq(left.path, right.path);
}
