#include "targets/oauth_answer.h"

#include <inttypes.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/json.h"
#include "targets/targets_internal.h"

#define CODE_MAX 64
#define LIFE_MAX_S INT32_MAX /* beyond what anybody asks for; so that sums hold */
#define WORDS_MAX 80

static const struct json_limits limits = { (size_t)64 * 1024, 8, 200 };

static void read_life(const json_t *json, struct oauth_answer *answer)
{
    const json_t *life = json_object_get(json, "expires_in");

    int64_t life_s = json_integer_value(life); /* 0 where it is none */

    answer->has_life = json_is_integer(life);
    answer->expires_in_s = life_s > LIFE_MAX_S ? LIFE_MAX_S : life_s;
}

static bool read_answer(struct str body, struct arena *arena, struct oauth_answer *answer,
                        struct error *error)
{
    json_t *json = NULL;

    *answer = (struct oauth_answer){ 0 };
    if (!json_parse_object(body, limits, &json, error) || !json_keep(arena, json, error))
        return false;
    answer->access_token = json_str(json_object_get(json, "access_token"));
    answer->token_type = json_str(json_object_get(json, "token_type"));
    answer->issued_token_type = json_str(json_object_get(json, "issued_token_type"));
    answer->scope = json_str(json_object_get(json, "scope"));
    answer->has_error = json_object_get(json, "error") != NULL;
    answer->error = json_str(json_object_get(json, "error"));
    answer->description = json_str(json_object_get(json, "error_description"));
    answer->error_code =
        json_integer_value(json_array_get(json_object_get(json, "error_codes"), 0));
    read_life(json, answer);
    return true;
}

static bool refused(const struct remote_call *call, const char *who, const char *advice,
                    const struct oauth_answer *answer, struct error *error)
{
    struct str code = str_slice(answer->error, 0, CODE_MAX);
    struct str words = str_slice(answer->description, 0, WORDS_MAX);

    return error_set(error, ERROR_MINT, "%s refused with %d \"" STR_FMT "\"%s%s: \"" STR_FMT "\"",
                     who, call->status, STR_ARG(code), advice ? ": " : "", advice ? advice : "",
                     STR_ARG(words));
}

static bool check_token(const struct oauth_answer *answer, const char *who, struct error *error)
{
    if (!str_eq_ignore_case(answer->token_type, STR("Bearer")))
        return error_set(error, ERROR_MINT, "%s gave a token of another type than Bearer", who);
    if (!text_is_bearer(answer->access_token, OAUTH_TOKEN_MAX))
        return error_set(error, ERROR_MINT, "%s gave no proper token", who);
    return true;
}

bool oauth_answer_take(const struct remote_call *call, const struct oauth_peer *peer,
                       struct arena *arena, struct oauth_answer *answer, bool *may_exist,
                       struct error *error)
{
    struct error inner = { 0 };

    *may_exist = call->outcome != UPSTREAM_UNSENT;
    if (!remote_call_is_answered(call, peer->who, error))
        return false;
    if (!read_answer(buf_str(&call->body), arena, answer, &inner))
        return error_set(error, ERROR_MINT_UNKNOWN, "%s answered %d; %s", peer->who, call->status,
                         inner.cause);
    if (answer->has_error) {
        *may_exist = call->status == 200 || answer->access_token.len > 0; /* the error wins */
        return refused(call, peer->who, peer->explain(answer), answer, error);
    }
    if (call->status != 200)
        return error_set(error, ERROR_MINT_UNKNOWN, "%s answered %d without an error", peer->who,
                         call->status);
    return check_token(answer, peer->who, error);
}

bool oauth_life_check(int64_t life_s, int64_t ttl_s, const char *who, struct error *error)
{
    if (life_s <= 0)
        return error_set(error, ERROR_MINT, "%s gave a token that has expired", who);
    if (life_s > ttl_s + OAUTH_LIFE_LEEWAY_S)
        return error_set(error, ERROR_MINT,
                         "%s gave a token that lives %" PRId64 " s, asked for were %" PRId64 " s",
                         who, life_s, ttl_s);
    return true;
}

bool text_is_token(struct str text, size_t max)
{
    if (text.len == 0 || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] > '~')
            return false;
    return true;
}

bool text_is_bearer(struct str text, size_t max)
{
    size_t len = text.len;

    while (len > 0 && text.data[len - 1] == '=')
        len--;
    return text.len <= max && len > 0 &&
           str_is_made_of(str_slice(text, 0, len), LETTERS_AND_DIGITS "-._~+/");
}

struct str token_id(struct arena *arena, struct str token)
{
    OWNED(buf_release) struct buf text = { 0 };
    uint8_t digest[SHA256_LEN];

    sha256(token, digest);
    buf_init(&text, sizeof("sha256:") + (size_t)2 * SHA256_LEN);
    buf_add_text(&text, "sha256:");
    buf_add_hex(&text, (struct str){ (const char *)digest, SHA256_LEN });
    return buf_is_ok(&text) ? arena_copy(arena, buf_str(&text)) : (struct str){ 0 };
}
