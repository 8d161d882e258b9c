#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/report.h"
#include "clients/token_input.h"
#include "identity/profile.h"
#include "identity/token.h"

#define ARENA_MAX ((size_t)4 * 1024 * 1024)

struct values {
    const char *profile;
    size_t output;
};

static const struct option_row rows[] = {
    { .name = "profile",
      .kind = OPTION_TEXT,
      .value = "NAME",
      .help = "Whose token it is; else its issuer tells",
      .offset = offsetof(struct values, profile) },
    OUTPUT_ROW(struct values, "How the token is shown"),
};

/* What is shown; nothing of it was verified. */
struct view {
    const json_t *header;
    const json_t *claims;
    json_t *ci;
    const struct profile *profile;
};

/* The header's own `typ`, where it is not an identity token's: whatever it is, it is shown. */
static const char *own_typ(struct str token, struct arena *arena)
{
    struct error ignored = { 0 };
    struct str segment;
    struct str rest;
    struct str typ;
    json_t *header;
    uint8_t *bytes;
    size_t len;

    (void)str_cut(token, '.', &segment, &rest);
    bytes = arena_alloc(arena, BASE64_DECODED_MAX(segment.len));
    if (!bytes || !base64url_decode(segment, bytes, &len) ||
        !json_parse_object((struct str){ (const char *)bytes, len }, JSON_LIMITS_REQUEST, &header,
                           &ignored) ||
        !json_keep(arena, header, &ignored) || !json_get_str(header, "typ", &typ) ||
        str_eq_ignore_case(typ, STR("JWT")))
        return NULL;
    return typ.data;
}

static bool look(const struct values *values, const struct operands *operands, struct arena *arena,
                 struct view *view, struct error *error)
{
    struct token_envelope envelope;
    struct str issuer;
    struct str token;

    if (!token_input_read(operands, arena, &token, error) ||
        !token_open(token, own_typ(token, arena), arena, &envelope, error) ||
        !token_peek(&envelope, arena, &view->claims, error))
        return false;
    view->header = envelope.header;
    issuer = json_str(json_object_get(view->claims, "iss"));
    if (!token_input_profile(values->profile, issuer, &view->profile, error))
        return false;
    view->ci = json_object();
    if (!view->ci || !json_keep(arena, view->ci, error) ||
        !view->profile->fill_ci(view->claims, view->ci))
        return error_set(error, ERROR_MEMORY, "no memory for the facts");
    return true;
}

static void print_members(const char *title, const char *prefix, const json_t *object)
{
    const char *name;
    json_t *value;

    if (title[0] != '\0')
        (void)printf("%s\n", title);
    json_object_foreach (json_iterable(object), name, value) {
        OWNED(buf_release) struct buf text = { 0 };

        buf_init(&text, (size_t)64 * 1024);
        if (json_is_object(value) || json_is_array(value)) {
            buf_add_json(&text, value);
        } else {
            char *scalar = json_dumps(value, JSON_ENCODE_ANY);

            buf_add_text(&text, scalar ? scalar : "?");
            free(scalar);
        }
        (void)printf("  %s", prefix);
        print_clean(stdout, str_from(name));
        (void)fputs(": ", stdout);
        print_clean(stdout, buf_str(&text));
        (void)putchar('\n');
    }
}

static void print_time(const json_t *claims, const char *name, int64_t now_s)
{
    char text[TIME_TEXT_S_LEN + 1];
    int64_t wall_s;

    if (!json_get_time(claims, name, &wall_s) || wall_s < 0 || wall_s > INT64_C(253402300799))
        return;
    time_text_s(wall_s, text);
    (void)printf("  %s is %s, %" PRId64 " s %s\n", name, text,
                 wall_s > now_s ? wall_s - now_s : now_s - wall_s,
                 wall_s > now_s ? "from now" : "ago");
}

static int print_text(const struct view *view)
{
    int64_t now_s = clock_wall_s();

    (void)puts("UNVERIFIED: anybody can have written this. `stagepass token verify` tells.");
    print_members("header", "", view->header);
    print_members("claims", "", view->claims);
    (void)puts("times");
    print_time(view->claims, "iat", now_s);
    print_time(view->claims, "nbf", now_s);
    print_time(view->claims, "exp", now_s);
    (void)printf("facts, by profile %s (null: the issuer cannot say)\n", view->profile->name);
    print_members("", "ci.", view->ci);
    return report_finish();
}

static int print_json(const struct view *view)
{
    JSON_OWNED json_t *json = json_object();

    if (!json_put(json, "verified", json_false()) ||
        !json_put(json, "header", json_incref(json_iterable(view->header))) ||
        !json_put(json, "claims", json_incref(json_iterable(view->claims))) ||
        !json_put(json, "profile", json_string(view->profile->name)) ||
        !json_put(json, "ci", json_incref(view->ci)))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    return report_json(json);
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    struct error error = { 0 };
    struct view view = { 0 };

    if (!arena)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!look(values, operands, arena, &view, &error))
        return report_failure(&error);
    return values->output == OUTPUT_JSON ? print_json(&view) : print_text(&view);
}

const struct command command_token_show = {
    .group = "token",
    .name = "show",
    .operands = "[FILE|-]",
    .summary = "Show what an identity token says, unverified",
    .description = "Header, claims, times, and the same facts under the names that every issuer "
                   "shares (ci.*), as\n"
                   "a policy sees them. Reads FILE, else standard input. Nothing is verified and "
                   "nothing sent.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = 1,
    .run = run,
};
