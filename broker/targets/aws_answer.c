#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/time_text.h"
#include "targets/aws_internal.h"

#define ACCESS_KEY_MIN 16
#define ACCESS_KEY_MAX 128
#define SECRET_KEY_MAX 1024
#define FRACTION_MAX 9 /* digits of a second */
#define PRINTABLE LETTERS_AND_DIGITS "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"

/* What AWS makes keys of, and who speaks its protocol; nothing in it means anything to a shell. */
#define GIVEN_CHARSET LETTERS_AND_DIGITS "+/=-_.~:"

bool aws_is_access_key_id(struct str text)
{
    return text.len >= ACCESS_KEY_MIN && text.len <= ACCESS_KEY_MAX &&
           str_is_made_of(text, LETTERS_AND_DIGITS "_");
}

const char *aws_keys_fault(const struct aws_keys *keys)
{
    if (!aws_is_access_key_id(keys->access_key_id))
        return "access key id";
    if (keys->secret_access_key.len == 0 || keys->secret_access_key.len > SECRET_KEY_MAX ||
        !str_is_made_of(keys->secret_access_key, PRINTABLE))
        return "secret access key";
    return str_is_made_of(keys->session_token, PRINTABLE) ? NULL : "session token";
}

/* Credentials travel on as environment variables, JSON and command output: plain text only. */
static bool check_credentials(const struct aws_answer *answer, struct error *error)
{
    const struct aws_keys keys = { answer->access_key_id, answer->secret_access_key,
                                   answer->session_token };
    const char *fault = aws_keys_fault(&keys);

    if (!fault && !str_is_made_of(keys.secret_access_key, GIVEN_CHARSET))
        fault = "secret access key";
    if (!fault &&
        (keys.session_token.len == 0 || !str_is_made_of(keys.session_token, GIVEN_CHARSET)))
        fault = "session token";
    return !fault || error_set(error, ERROR_MINT, "the answer has no proper %s", fault);
}

/* Fractions of a second, which object stores write in any length, are passed over. */
static bool read_expiration(struct str text, int64_t *expires_s)
{
    char whole[TIME_TEXT_S_LEN + 1] = "";
    struct str rest = str_slice(text, TIME_TEXT_S_LEN - 1, text.len);
    struct str fraction = rest.len > 2 ? str_slice(rest, 1, rest.len - 2) : (struct str){ "", 0 };
    int64_t expires_ms;

    if (!str_ends_with(rest, STR("Z")))
        return false;
    if (rest.len > 1 && (rest.data[0] != '.' || fraction.len == 0 || fraction.len > FRACTION_MAX ||
                         !str_is_made_of(fraction, DIGITS)))
        return false;
    memcpy(whole, text.data, TIME_TEXT_S_LEN - 1);
    whole[TIME_TEXT_S_LEN - 1] = 'Z';
    if (!time_text_parse(str_from(whole), &expires_ms))
        return false;
    *expires_s = expires_ms / 1000;
    return true;
}

static bool check_life(const struct aws_answer *answer, const struct aws_request *request,
                       int64_t *expires_s, struct error *error)
{
    int64_t ends_s;
    int64_t life_s;

    if (!read_expiration(answer->expiration, &ends_s))
        return error_set(error, ERROR_MINT, "the answer has no proper expiration");
    life_s = ends_s - request->now_s;
    if (life_s <= 0)
        return error_set(error, ERROR_MINT, "the credentials expired before they came");
    if (life_s > request->ttl_s + AWS_EXPIRY_LEEWAY_S)
        return error_set(error, ERROR_MINT,
                         "the credentials live %" PRId64 " s, asked for were %" PRId64 " s", life_s,
                         request->ttl_s);
    *expires_s = ends_s;
    return true;
}

/* What may be missing, but is right where it is there. */
static bool check_optional(struct str found, struct str expected, const char *what,
                           struct error *error)
{
    if (!found.data || str_eq(found, expected))
        return true;
    return error_set(error, ERROR_MINT, "the answer is for another %s", what);
}

bool aws_answer_check(const struct aws_answer *answer, const struct aws_request *request,
                      int64_t *expires_s, struct error *error)
{
    if (!str_eq(answer->assumed_role, request->assumed_role))
        return error_set(error, ERROR_MINT, "the credentials are for another role or session");
    return check_optional(answer->audience, request->audience, "audience", error) &&
           check_optional(answer->subject, request->subject, "subject", error) &&
           check_optional(answer->source_identity, request->source_identity, "source identity",
                          error) &&
           check_credentials(answer, error) && check_life(answer, request, expires_s, error);
}
