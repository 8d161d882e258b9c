/*
 * Asking STS for a role: by web identity, which nobody signs, or as somebody who has keys.
 *
 * Source: STS service model 2011-06-15; IAM user guide, "Methods to assume a role"
 */
#include "targets/aws_sts.h"

#include <inttypes.h>

#include "base/error.h"
#include "targets/aws_credentials.h"
#include "targets/aws_sigv4.h"

#define STS "STS"
#define FORM_MAX ((size_t)64 * 1024)
#define ERROR_CODE_MAX 64
#define ERROR_MESSAGE_MAX 120
#define ACCEPT "Accept: text/xml"

#define WEB (1U << AWS_STS_WEB_IDENTITY)
#define KEYS (1U << AWS_STS_ROLE)

/* What a refusal means for whoever runs the broker. */
static const struct meaning {
    const char *code;
    unsigned actions;
    const char *text;
} meanings[] = {
    { "AccessDenied", KEYS,
      "the role must trust the keys: AssumeRole, TagSession, SetSourceIdentity; with its "
      "'external_id', if it demands one" },
    { "InvalidClientTokenId", KEYS, "the access key of 'credentials_file' is unknown or inactive" },
    { "UnrecognizedClientException", KEYS,
      "the access key of 'credentials_file' is unknown or inactive" },
    { "SignatureDoesNotMatch", KEYS,
      "another secret's key in 'credentials_file', or a wrong clock" },
    { "RequestExpired", KEYS, "the clock is wrong" },
    { "ExpiredToken", KEYS, "the session of 'credentials_file' is over" },
    { "AccessDenied", WEB,
      "the role must trust the issuer: AssumeRoleWithWebIdentity, TagSession, SetSourceIdentity" },
    { "InvalidIdentityToken", WEB, "issuer, audience or keys are not the identity provider's" },
    { "IDPCommunicationError", WEB, "AWS could not read the issuer's discovery or keys" },
    { "ExpiredTokenException", WEB, "the clock is wrong" },
    { "PackedPolicyTooLarge", WEB | KEYS, "'allow' and tags are too large together" },
    { "RegionDisabledException", WEB | KEYS, "STS of the region is off in the account" },
};

/* ---- asking ---- */

static void sign_headers(const char *const signed_headers[AWS_SIGNED_HEADERS],
                         struct remote_request *request)
{
    size_t count = 0;

    while (count < AWS_SIGNED_HEADERS && signed_headers[count]) {
        request->headers[count] = signed_headers[count];
        count++;
    }
    request->headers[count] = ACCEPT;
}

/* A role's own keys have other roles for an hour at most. */
static bool check_chain(const struct aws_question *question, const struct aws_keys *keys,
                        struct error *error)
{
    if (keys->session_token.len == 0 || question->request->ttl_s <= AWS_CHAINED_TTL_MAX_S)
        return true;
    return error_set(error, ERROR_MINT,
                     "a session's keys give credentials of at most %d s, not %" PRId64,
                     AWS_CHAINED_TTL_MAX_S, question->request->ttl_s);
}

static bool sign(const struct aws_question *question, struct remote_request *request,
                 struct error *error)
{
    const struct aws_settings *own = question->settings;
    struct aws_keys keys;
    struct aws_signing signing = {
        .keys = &keys,
        .region = own->region.data,
        .service = "sts",
        .endpoint = own->endpoint,
        .body = request->body,
        .now_s = question->request->now_s,
    };
    const char *headers[AWS_SIGNED_HEADERS];
    struct error inner = { 0 };

    if (!aws_credentials_read(own->credentials_file, question->arena, &keys, &inner))
        return error_set(error, ERROR_MINT, "no keys for " STS ": %s", inner.cause);
    if (!check_chain(question, &keys, error) ||
        !aws_sign(&signing, question->arena, headers, error))
        return false;
    sign_headers(headers, request);
    return true;
}

bool aws_sts_ask(const struct aws_question *question, struct buf *form,
                 struct remote_request *request, struct error *error)
{
    const struct aws_settings *own = question->settings;

    buf_init(form, FORM_MAX);
    aws_form_write(question->grant, question->request, question->token, form);
    if (!buf_is_ok(form))
        return error_set(error, ERROR_LIMIT, "the request to " STS " is too large");
    *request = (struct remote_request){
        .who = STS,
        .method = "POST",
        .url = own->endpoint.data,
        .body = buf_str(form),
        .headers = { "Content-Type: application/x-www-form-urlencoded; charset=utf-8", ACCEPT },
        .peer = &own->peer,
    };
    return question->request->action == AWS_STS_WEB_IDENTITY || sign(question, request, error);
}

/* ---- a refusal ---- */

static const char *meaning_of(struct str code, enum aws_sts_action action)
{
    for (size_t i = 0; i < COUNT(meanings); i++)
        if ((meanings[i].actions & (1U << action)) && str_eq(code, str_from(meanings[i].code)))
            return meanings[i].text;
    return NULL;
}

bool aws_sts_refused(const struct aws_answer *answer, enum aws_sts_action action, int status,
                     struct error *error)
{
    struct str code = str_slice(answer->error_code, 0, ERROR_CODE_MAX);
    struct str message = str_slice(answer->error_message, 0, ERROR_MESSAGE_MAX);
    const char *meaning = meaning_of(code, action);

    return error_set(error, ERROR_MINT,
                     STS " refused with %d \"" STR_FMT "\"%s%s%s: \"" STR_FMT "\"", status,
                     STR_ARG(code), meaning ? " (" : "", meaning ? meaning : "", meaning ? ")" : "",
                     STR_ARG(message));
}
