#include "targets/aws_sigv4.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/macros.h"
#include "base/secret.h"
#include "base/time_text.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define CONTENT_TYPE "application/x-www-form-urlencoded; charset=utf-8"
#define TEXT_MAX ((size_t)32 * 1024) /* a session token may be long */
#define STAMP_LEN 16                 /* "20260101T000000Z" */
#define DAY_LEN 8

/* What all parts of a signature are made of. */
struct parts {
    const struct aws_signing *signing;
    char stamp[STAMP_LEN + 1];
    struct str day;
    struct str host;
    bool has_token;
};

static struct str bytes(const uint8_t digest[SHA256_LEN])
{
    return (struct str){ (const char *)digest, SHA256_LEN };
}

static void write_stamp(int64_t now_s, char stamp[STAMP_LEN + 1])
{
    char text[TIME_TEXT_S_LEN + 1];
    size_t len = 0;

    time_text_s(now_s, text);
    for (size_t i = 0; i < TIME_TEXT_S_LEN && len < STAMP_LEN; i++)
        if (text[i] != '-' && text[i] != ':')
            stamp[len++] = text[i];
    stamp[len] = '\0';
}

static struct str without(struct str text, struct str end)
{
    return str_ends_with(text, end) ? str_slice(text, 0, text.len - end.len) : text;
}

/* As it is sent: without the port that goes without saying. */
static struct str host_of(struct str endpoint)
{
    bool is_plain = str_starts_with(endpoint, STR("http://"));
    size_t start = strlen(is_plain ? "http://" : "https://");
    struct str host;
    struct str rest;

    (void)str_cut(str_slice(endpoint, start, endpoint.len), '/', &host, &rest);
    return without(host, is_plain ? STR(":80") : STR(":443"));
}

static void add_digest(struct buf *text, struct str message)
{
    uint8_t digest[SHA256_LEN];

    sha256(message, digest);
    buf_add_hex(text, bytes(digest));
}

static const char *names_of(const struct parts *parts)
{
    return parts->has_token ? "content-type;host;x-amz-date;x-amz-security-token"
                            : "content-type;host;x-amz-date";
}

static void write_canonical(const struct parts *parts, struct buf *text)
{
    buf_printf(text, "POST\n/\n\ncontent-type:" CONTENT_TYPE "\nhost:" STR_FMT "\nx-amz-date:%s\n",
               STR_ARG(parts->host), parts->stamp);
    if (parts->has_token)
        buf_printf(text, "x-amz-security-token:" STR_FMT "\n",
                   STR_ARG(parts->signing->keys->session_token));
    buf_printf(text, "\n%s\n", names_of(parts));
    add_digest(text, parts->signing->body);
}

static void write_scope(const struct parts *parts, struct buf *text)
{
    buf_printf(text, STR_FMT "/%s/%s/aws4_request", STR_ARG(parts->day), parts->signing->region,
               parts->signing->service);
}

/* The key of the next level of the scope. */
static void derive(uint8_t key[SHA256_LEN], struct str message)
{
    uint8_t next[SHA256_LEN];

    hmac_sha256(bytes(key), message, next);
    memcpy(key, next, sizeof(next));
    secret_wipe(next, sizeof(next));
}

static bool sign(const struct parts *parts, struct str to_sign, uint8_t signature[SHA256_LEN])
{
    OWNED(buf_release) struct buf secret = { 0 };

    buf_init(&secret, TEXT_MAX);
    buf_add_text(&secret, "AWS4");
    buf_add(&secret, parts->signing->keys->secret_access_key);
    if (!buf_is_ok(&secret))
        return false;
    hmac_sha256(buf_str(&secret), parts->day, signature);
    derive(signature, str_from(parts->signing->region));
    derive(signature, str_from(parts->signing->service));
    derive(signature, STR("aws4_request"));
    derive(signature, to_sign);
    return true;
}

static bool write_authorization(const struct parts *parts, struct buf *line)
{
    OWNED(buf_release) struct buf canonical = { 0 };
    OWNED(buf_release) struct buf to_sign = { 0 };
    uint8_t signature[SHA256_LEN];

    buf_init(&canonical, TEXT_MAX);
    buf_init(&to_sign, TEXT_MAX);
    write_canonical(parts, &canonical);
    buf_printf(&to_sign, ALGORITHM "\n%s\n", parts->stamp);
    write_scope(parts, &to_sign);
    buf_add_byte(&to_sign, '\n');
    add_digest(&to_sign, buf_str(&canonical));
    if (!buf_is_ok(&canonical) || !buf_is_ok(&to_sign) ||
        !sign(parts, buf_str(&to_sign), signature))
        return false;
    buf_printf(line, "Authorization: " ALGORITHM " Credential=" STR_FMT "/",
               STR_ARG(parts->signing->keys->access_key_id));
    write_scope(parts, line);
    buf_printf(line, ", SignedHeaders=%s, Signature=", names_of(parts));
    buf_add_hex(line, bytes(signature));
    return buf_is_ok(line);
}

bool aws_sign(const struct aws_signing *signing, struct arena *arena,
              const char *headers[AWS_SIGNED_HEADERS], struct error *error)
{
    OWNED(buf_release) struct buf line = { 0 };
    struct parts parts = {
        .signing = signing,
        .host = host_of(signing->endpoint),
        .has_token = signing->keys->session_token.len > 0,
    };

    write_stamp(signing->now_s, parts.stamp);
    parts.day = str_slice(str_from(parts.stamp), 0, DAY_LEN);
    buf_init(&line, TEXT_MAX);
    if (!write_authorization(&parts, &line))
        return error_set(error, ERROR_MEMORY, "no memory for a signature");
    headers[0] = "Content-Type: " CONTENT_TYPE;
    headers[1] = arena_printf(arena, "X-Amz-Date: %s", parts.stamp).data;
    headers[2] = arena_printf(arena, STR_FMT, STR_ARG(buf_str(&line))).data;
    headers[3] = NULL;
    if (parts.has_token)
        headers[3] = arena_printf(arena, "X-Amz-Security-Token: " STR_FMT,
                                  STR_ARG(signing->keys->session_token))
                         .data;
    return (headers[1] && headers[2] && (headers[3] || !parts.has_token)) ||
           error_set(error, ERROR_MEMORY, "no memory for a signature");
}
