#include "clients/review_sign.h"

#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "clients/broker.h"
#include "clients/login_file.h"
#include "upstream/upstream.h"

#define FORM_MAX ((size_t)4096)
#define TIMEOUT_MS 30000

static const struct json_limits answer_limits = { (size_t)64 * 1024, 4, 64 };

/* Read whole: the very bytes are what is signed. */
static bool hash_file(const struct review_signing *signing, struct arena *arena,
                      struct review_signed *result, struct error *error)
{
    OWNED(arena_free) struct arena *file = arena_new(REVIEW_FILE_MAX + (size_t)64 * 1024);
    OWNED(buf_release) struct buf hex = { 0 };
    uint8_t digest[SHA256_LEN];
    struct str bytes;

    if (!file)
        return error_set(error, ERROR_MEMORY, "no memory for a review");
    if (!file_read(file, signing->file, REVIEW_FILE_MAX, &bytes, error))
        return false;
    sha256(bytes, digest);
    buf_init(&hex, 128);
    buf_add_hex(&hex, (struct str){ (const char *)digest, sizeof(digest) });
    result->sha256 = arena_copy(arena, buf_str(&hex));
    return result->sha256.data != NULL || error_set(error, ERROR_MEMORY, "no memory for a review");
}

static void add_field(struct buf *form, const char *name, const char *value)
{
    if (!value)
        return;
    buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", name);
    buf_add_percent(form, str_from(value));
}

static bool refuse(int status, struct error *error)
{
    switch (status) {
    case 401:
        return error_set(error, ERROR_REFUSED,
                         "the broker does not take the login (any more): 'stagepass login' makes a "
                         "new one");
    case 403:
        return error_set(
            error, ERROR_REFUSED,
            "auditors sign reviews: of all tenants, or of the one that --tenant names");
    case 404:
        return error_set(error, ERROR_INVALID, "this broker takes no reviews: it is too old");
    default:
        return error_set(error, status >= 429 ? ERROR_LATER : ERROR_INVALID,
                         "the broker answers %d", status);
    }
}

static bool read_answer(struct str body, struct arena *arena, struct review_signed *result,
                        struct error *error)
{
    json_t *json = NULL;
    const json_t *index;

    if (!json_parse_object(body, answer_limits, &json, error) || !json_keep(arena, json, error))
        return error_wrap(error, "the broker's answer");
    index = json_object_get(json, "index");
    result->leaf_hash = json_str(json_object_get(json, "leaf_hash"));
    if (!json_is_integer(index) || json_integer_value(index) < 0 || result->leaf_hash.len == 0)
        return error_set(error, ERROR_INVALID, "the broker does not say which entry it is");
    result->index = (uint64_t)json_integer_value(index);
    return true;
}

static bool send(const struct review_signing *signing, struct upstream *upstream,
                 struct arena *arena, struct review_signed *result, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct broker_post post = { .path = "/api/v1/reviews", .timeout_ms = TIMEOUT_MS };
    struct fetch_answer answer;
    struct broker broker;
    struct str token;

    if (!broker_init(&broker, signing->broker, signing->ca_file, upstream, arena, error) ||
        !login_file_read(broker.url, arena, &token, error))
        return false;
    buf_init(&form, FORM_MAX);
    add_field(&form, "sha256", result->sha256.data);
    add_field(&form, "note", signing->note);
    add_field(&form, "tenant", signing->tenant);
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "--note or --tenant is too long");
    post.form = buf_str(&form);
    post.header = arena_printf(arena, "Authorization: Bearer " STR_FMT, STR_ARG(token)).data;
    if (!post.header)
        return error_set(error, ERROR_MEMORY, "no memory for a token");
    if (!broker_send(&broker, &post, arena, &answer, error))
        return false;
    return answer.status == 200 ? read_answer(answer.body, arena, result, error)
                                : refuse(answer.status, error);
}

bool review_sign(const struct review_signing *signing, struct arena *arena,
                 struct review_signed *result, struct error *error)
{
    struct upstream *upstream = NULL;
    bool is_signed;

    if (signing->note && str_from(signing->note).len > REVIEW_NOTE_MAX)
        return error_set(error, ERROR_USAGE, "--note: expected at most %d bytes", REVIEW_NOTE_MAX);
    if (!hash_file(signing, arena, result, error) || !upstream_start(&upstream, error))
        return false;
    is_signed = send(signing, upstream, arena, result, error);
    upstream_stop(upstream);
    return is_signed;
}
