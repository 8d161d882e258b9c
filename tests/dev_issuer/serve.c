#include "serve.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "claims.h"
#include "http/form.h"
#include "http/http.h"
#include "identity/profile.h"
#include "keys/keys.h"
#include "options.h"
#include "sign.h"

#define CONNECTIONS_MAX 256
#define RUN_NAME_MAX ((size_t)64)
#define URL_ARENA_MAX ((size_t)16 * 1024)
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

struct issuer_server {
    const struct options *options;
    struct keys *keys;
    struct http_server *http;
    struct arena *arena; /* of the URL */
    struct str url;
    _Atomic bool is_ready; /* the URL is known: its port may be chosen by the system */
};

static enum progress answer_error(struct http_request *request, enum error_code code)
{
    struct error error = { 0 };

    (void)error_set(&error, code, "refused");
    return http_answer_problem(request, &error);
}

/* Not a pointer into one, and no prefix of many. */
static bool is_member(const struct claim *row)
{
    return row->name[0] != '/' && (row->flags & CLAIM_PREFIX) == 0;
}

static json_t *claim_names(const struct profile *profile)
{
    json_t *names = json_array();

    for (size_t i = 0; i < profile->claims.count && names != NULL; i++)
        if (is_member(&profile->claims.rows[i]) &&
            json_array_append_new(names, json_string(profile->claims.rows[i].name)) != 0) {
            json_decref(names);
            names = NULL;
        }
    return names;
}

static enum progress discovery_get(struct http_request *request, void *context)
{
    const struct issuer_server *server = context;
    const char *algorithm = server->options->algorithm == KEY_ES256 ? "ES256" : "RS256";
    struct str keys_url;

    if (!server->is_ready)
        return answer_error(request, ERROR_LATER);
    keys_url = arena_printf(request->arena, STR_FMT "/.well-known/jwks", STR_ARG(server->url));
    return http_answer_json(request, 200,
                            json_pack("{s:o, s:o, s:[ss], s:[s], s:o, s:[s], s:[s]}",            //
                                      "issuer", json_from_str(server->url),                      //
                                      "jwks_uri", json_from_str(keys_url),                       //
                                      "subject_types_supported", "public", "pairwise",           //
                                      "response_types_supported", "id_token",                    //
                                      "claims_supported", claim_names(server->options->profile), //
                                      "id_token_signing_alg_values_supported", algorithm,        //
                                      "scopes_supported", "openid"));
}

/* Other processes sign with keys in the same folder: look for new ones. */
static enum progress jwks_get(struct http_request *request, void *context)
{
    const struct issuer_server *server = context;
    struct error error = { 0 };
    bool has_rotated;
    struct str json;

    if (!keys_rotate(server->keys, clock_wall_s(), &has_rotated, &error) ||
        !keys_jwks(server->keys, request->arena, &json, &error))
        return http_answer_problem(request, &error);
    return http_answer_text(request, 200, "application/json", json);
}

static bool has_bearer(const struct http_request *request)
{
    struct str scheme;
    struct str token;

    return http_header_get(request, "Authorization", &token) == 1 &&
           str_cut(token, ' ', &scheme, &token) && str_eq_ignore_case(scheme, STR("Bearer")) &&
           token.len > 0;
}

static bool read_query(const struct http_request *request, struct str *run, struct str *audience,
                       struct error *error)
{
    static const char *const known[] = { "run", "audience", NULL };
    struct form *form = arena_alloc(request->arena, sizeof(*form));

    if (form == NULL)
        return error_set(error, ERROR_MEMORY, "query");
    if (!form_parse(request->query, known, request->arena, form, error))
        return false;
    *audience = STR("");
    if (form_count(form, "audience") > 1 || !form_get(form, "run", run))
        return error_set(error, ERROR_REQUEST, "expected one run, and one audience at most");
    (void)form_get(form, "audience", audience);
    if (run->len > RUN_NAME_MAX || !str_is_made_of(*run, NAME_CHARACTERS))
        return error_set(error, ERROR_NOT_FOUND, "a run's name is [A-Za-z0-9_-]{1,64}");
    return true;
}

static bool make_token(const struct issuer_server *server, struct arena *arena, struct str run,
                       struct str audience, struct str *token, struct error *error)
{
    JSON_OWNED json_t *claims = NULL;
    struct claims_recipe recipe = {
        .profile = server->options->profile,
        .file =
            arena_printf(arena, "%s/runs/" STR_FMT ".json", server->options->folder, STR_ARG(run))
                .data,
        .issuer = server->url,
        .audience = audience,
        .lifetime_s = server->options->lifetime_s,
    };

    if (recipe.file == NULL)
        return error_set(error, ERROR_MEMORY, "run");
    return claims_build(&recipe, clock_wall_s(), &claims, error) &&
           keys_sign_jwt(server->keys, SIGN_TYP, claims, arena, token, error);
}

static void log_token(struct str run, const struct error *error)
{
    struct log_line line;

    log_begin(&line, LOG_LEVEL_INFO, "issuer.token");
    log_str(&line, "run", run);
    if (error->code != ERROR_NONE)
        log_error(&line, error);
    log_end(&line);
}

static enum progress token_get(struct http_request *request, void *context)
{
    const struct issuer_server *server = context;
    struct error error = { 0 };
    struct str audience;
    struct str token;
    struct str run = { 0 };
    bool is_good;

    if (!server->is_ready)
        return answer_error(request, ERROR_LATER);
    if (!has_bearer(request))
        return answer_error(request, ERROR_UNAUTHORIZED);
    is_good = read_query(request, &run, &audience, &error) &&
              make_token(server, request->arena, run, audience, &token, &error);
    log_token(run, &error);
    if (is_good)
        return http_answer_json(request, 200, json_pack("{s:o}", "value", json_from_str(token)));
    return error.code == ERROR_IO ? answer_error(request, ERROR_NOT_FOUND)
                                  : http_answer_problem(request, &error);
}

static const struct http_route routes[] = {
    { "GET", "/.well-known/openid-configuration", 0, HTTP_BODY_NONE, 0, discovery_get },
    { "GET", "/.well-known/jwks", 0, HTTP_BODY_NONE, 0, jwks_get },
    { "GET", "/token", 0, HTTP_BODY_QUERY, 0, token_get },
};

static struct str own_url(const struct issuer_server *server)
{
    const struct options *options = server->options;
    bool is_v6 = str_find(options->address, ':') < options->address.len;

    if (options->url.len > 0)
        return arena_copy(server->arena, options->url);
    return arena_printf(server->arena, "%s://%s" STR_FMT "%s:%u",
                        options->certificate_file ? "https" : "http", is_v6 ? "[" : "",
                        STR_ARG(options->address), is_v6 ? "]" : "",
                        (unsigned)http_port(server->http));
}

bool serve_start(const struct options *options, struct issuer_server **server, struct error *error)
{
    OWNED(serve_stop) struct issuer_server *starting = calloc(1, sizeof(*starting));
    struct http_options http_options = {
        .address = options->address,
        .port = options->port,
        .thread_count = 1, /* keys_rotate() wants one caller */
        .routes = routes,
        .route_count = COUNT(routes),
        .context = starting,
        .certificate_file = options->certificate_file,
        .key_file = options->key_file,
        .connections_max = CONNECTIONS_MAX,
    };

    if (starting == NULL)
        return error_set(error, ERROR_MEMORY, "issuer");
    starting->options = options;
    starting->arena = arena_new(URL_ARENA_MAX);
    if (starting->arena == NULL)
        return error_set(error, ERROR_MEMORY, "issuer");
    if (!sign_open_keys(options, clock_wall_s(), &starting->keys, error) ||
        !http_start(&http_options, &starting->http, error))
        return false;
    starting->url = own_url(starting);
    if (starting->url.data == NULL)
        return error_set(error, ERROR_MEMORY, "issuer");
    starting->is_ready = true;
    *server = TAKE(starting);
    return true;
}

void serve_stop(struct issuer_server *server)
{
    if (server == NULL)
        return;
    http_stop(server->http);
    keys_close(server->keys);
    arena_free(server->arena);
    free(server);
}

struct str serve_url(const struct issuer_server *server)
{
    return server->url;
}

bool serve_run(const struct options *options, FILE *out, struct error *error)
{
    OWNED(serve_stop) struct issuer_server *server = NULL;
    sigset_t ends;
    int number;

    (void)sigemptyset(&ends); /* neither can fail with these */
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &ends, NULL); /* the server's threads inherit it */
    if (!serve_start(options, &server, error))
        return false;
    if (fprintf(out, "event=issuer.ready url=" STR_FMT "\n", STR_ARG(serve_url(server))) < 0 ||
        fflush(out) != 0)
        return error_set_errno(error, "write to standard output");
    return sigwait(&ends, &number) == 0 || error_set(error, ERROR_IO, "wait for a signal");
}
