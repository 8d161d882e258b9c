#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/report.h"
#include "clients/token_input.h"
#include "identity/identity.h"
#include "identity/profile.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)
#define JWKS_MAX ((size_t)512 * 1024)

struct values {
    const char *jwks;
    const char *issuer;
    const char *audience;
    const char *profile;
    const char *typ;
    int64_t leeway_s;
    size_t output;
};

static const struct values defaults = { .leeway_s = 30 };

static const struct option_row rows[] = {
    { .name = "jwks",
      .kind = OPTION_TEXT,
      .value = "FILE",
      .help = "The issuer's key set (needed)",
      .offset = offsetof(struct values, jwks) },
    { .name = "issuer",
      .kind = OPTION_TEXT,
      .value = "URL",
      .help = "What `iss` must be; else the profile's own",
      .offset = offsetof(struct values, issuer) },
    { .name = "audience",
      .kind = OPTION_TEXT,
      .value = "TEXT",
      .help = "What `aud` must be (needed)",
      .offset = offsetof(struct values, audience) },
    { .name = "profile",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "The issuer's kind; else its URL tells",
      .offset = offsetof(struct values, profile) },
    { .name = "typ",
      .kind = OPTION_TEXT,
      .value = "TYPE",
      .help = "What the header's `typ` must be, such as at+jwt; else JWT or none",
      .offset = offsetof(struct values, typ) },
    { .name = "leeway",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .help = "How far clocks may be apart; else 30s",
      .offset = offsetof(struct values, leeway_s) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

static bool describe_issuer(const struct values *values, struct issuer_options *issuer,
                            struct error *error)
{
    const struct profile *profile;
    const char *url = values->issuer;

    if (!values->jwks || !values->audience)
        return error_set(error, ERROR_USAGE, "--jwks FILE and --audience TEXT are needed");
    if (!token_input_profile(values->profile, str_from(url), &profile, error))
        return false;
    if (!url)
        url = profile->default_url;
    if (!url)
        return error_set(error, ERROR_USAGE,
                         "--issuer URL is needed: profile '%s' has none of its "
                         "own",
                         profile->name);
    *issuer = (struct issuer_options){
        .name = STR("given"),
        .profile = profile,
        .url = str_from(url),
        .audience = str_from(values->audience),
        .claims = profile->claims,
        .typ = values->typ,
    };
    return true;
}

static bool verify(const struct values *values, const struct operands *operands,
                   struct arena *arena, struct verified_token *verified, struct error *error)
{
    struct issuer_options *issuer = arena_alloc(arena, sizeof(*issuer));
    struct identity_input input = { .now_s = clock_wall_s() };
    struct str jwks;

    if (!issuer)
        return error_set(error, ERROR_MEMORY, "no memory for the issuer");
    return describe_issuer(values, issuer, error) &&
           file_read(arena, values->jwks, JWKS_MAX, &jwks, error) &&
           token_input_read(operands, arena, &input.token, error) &&
           identity_verify_offline(issuer, jwks, &input, values->leeway_s, arena, verified, error);
}

static int print_text(const struct verified_token *verified)
{
    char text[TIME_TEXT_S_LEN + 1];

    time_text_s(verified->expires_s, text);
    (void)fputs("verified\nissuer  ", stdout);
    print_clean(stdout, json_str(json_object_get(verified->claims, "iss")));
    (void)fputs("\nsubject ", stdout);
    print_clean(stdout, verified->subject);
    (void)printf("\nkid     ");
    print_clean(stdout, verified->kid);
    (void)printf("\nexpires %s\n", text);
    return report_finish();
}

static int print_json(const struct verified_token *verified)
{
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "verified", json_true()) ||
        !json_put(json, "claims", json_incref(json_iterable(verified->claims))) ||
        !json_put(json, "ci", json_incref(json_iterable(verified->ci))) ||
        !json_put(json, "kid", json_from_str(verified->kid)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    struct verified_token verified = { 0 };
    const struct values *values = given;
    struct error error = { 0 };

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!verify(values, operands, arena, &verified, &error))
        return report_failure(&error);
    return values->output == OUTPUT_JSON ? print_json(&verified) : print_text(&verified);
}

const struct command command_token_verify = {
    .group = "token",
    .name = "verify",
    .operands = "[FILE|-]",
    .summary = "Verify an identity token against a key set, offline",
    .description =
        "The broker's own verification against the keys in FILE: signature, header, issuer, "
        "audience,\n"
        "times and the claims' types. Says the exact reason where it fails (exit code 3). Reads "
        "the\n"
        "token from FILE, else standard input. Whether it was used before only a broker knows.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .defaults = &defaults,
    .operands_max = 1,
    .run = run,
};
