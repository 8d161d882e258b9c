#include <stdio.h>

#include "base/error.h"
#include "base/macros.h"
#include "http/http.h"
#include "peer.h"
#include "tests/test.h"

/* Routes with roles: who asks is found out first, and a handler sees only who may. */

#define ROLE_A 1
#define ROLE_B 2

static size_t handled_count; /* one worker thread; read once it has answered */
static char wake_state;
static char handler_state;

struct caller {
    const char *token;
    unsigned roles;
    bool must_wait;
    bool is_broken;
};

static struct caller callers[] = {
    { "a", ROLE_A, false, false },           { "b", ROLE_B, false, false },
    { "ab", ROLE_A | ROLE_B, false, false }, { "none", 0, false, false },
    { "slow", ROLE_A, true, false },         { "slow-b", ROLE_B, true, false },
    { "broken", ROLE_A, false, true },
};

static struct caller *find(struct str token)
{
    for (size_t i = 0; i < COUNT(callers); i++)
        if (str_eq(str_from(callers[i].token), token))
            return &callers[i];
    return NULL;
}

static enum progress refuse(struct http_request *request, enum error_code code)
{
    struct error error = { 0 };

    (void)error_set(&error, code, "refused");
    return http_answer_problem(request, &error);
}

static enum progress authorize(struct http_request *request, unsigned roles, void *context)
{
    struct str token;
    struct caller *caller = NULL;

    (void)context;
    if (http_header_get(request, "Authorization", &token) == 1)
        caller = find(token);
    if (!caller)
        return refuse(request, ERROR_UNAUTHORIZED);
    if (caller->is_broken)
        return PROGRESS_FAILED;
    if (caller->must_wait && !request->is_woken) {
        request->state = &wake_state;
        http_resume(request);
        return PROGRESS_WAIT;
    }
    if ((caller->roles & roles) == 0)
        return refuse(request, ERROR_ROLE);
    request->caller = caller;
    return PROGRESS_DONE;
}

/* It waits once, too: its state and its wakes are its own. */
static enum progress handle(struct http_request *request, void *context)
{
    const struct caller *caller = request->caller;

    (void)context;
    handled_count++;
    if (request->state == NULL) {
        if (request->is_woken)
            return http_answer_text(request, 200, "text/plain", STR("a wake that was another's"));
        request->state = &handler_state;
        http_resume(request);
        return PROGRESS_WAIT;
    }
    return http_answer_text(request, 200, "text/plain", str_from(caller ? caller->token : "any"));
}

static const struct http_route routes[] = {
    { "GET", "/public", 0, HTTP_BODY_NONE, 0, handle },
    { "GET", "/a", 0, HTTP_BODY_NONE, ROLE_A, handle },
    { "GET", "/both", 0, HTTP_BODY_NONE, ROLE_A | ROLE_B, handle },
    { "POST", "/form", 16, HTTP_BODY_FORM, ROLE_A, handle },
    { "GET", "/tree/leaves/*", 0, HTTP_BODY_NONE, ROLE_A, handle },
    { "GET", "/tree/*", 0, HTTP_BODY_NONE, 0, handle },
};

static struct http_server *server;

static int start(void **state)
{
    (void)state;
    server = peer_server((struct http_options){ .routes = routes,
                                                .route_count = COUNT(routes),
                                                .thread_count = 1,
                                                .authorize = authorize });
    return 0;
}

static int stop(void **state)
{
    (void)state;
    http_stop(server);
    return 0;
}

static void ask(const char *line, const char *token, struct answer *answer)
{
    char text[512];

    (void)snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n%s%s%s\r\n", line,
                   token ? "Authorization: " : "", token ? token : "", token ? "\r\n" : "");
    handled_count = 0;
    peer_ask(http_port(server), text, answer);
}

static void only_who_has_a_role_gets_to_the_handler(void **state)
{
    static const struct {
        const char *line;
        const char *token;
        int status;
        const char *body;
    } rows[] = {
        { "GET /public", NULL, 200, "any" },
        { "GET /public", "none", 200, "any" },
        { "GET /a", "a", 200, "a" },
        { "GET /a", "ab", 200, "ab" },
        { "GET /a", "b", 403, NULL },
        { "GET /a", "none", 403, NULL },
        { "GET /a", "stranger", 401, NULL },
        { "GET /a", NULL, 401, NULL },
        { "GET /both", "b", 200, "b" },
        { "GET /both", "none", 403, NULL },
        { "GET /a", "slow", 200, "slow" },
        { "GET /a", "slow-b", 403, NULL },
        { "GET /a", "broken", 503, NULL },
        { "GET /tree/leaves/1", "a", 200, "a" },
        { "GET /tree/leaves/1", NULL, 401, NULL },
        { "GET /tree/1", NULL, 200, "any" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct answer answer;

        ask(rows[i].line, rows[i].token, &answer);
        if (answer.status != rows[i].status ||
            (rows[i].body && !str_eq(answer.body, str_from(rows[i].body))) ||
            (!rows[i].body && handled_count > 0))
            fail_msg("%s as %s: %d %s", rows[i].line, rows[i].token ? rows[i].token : "nobody",
                     answer.status, answer.body.data);
    }
}

static void what_does_not_fit_its_route_is_refused_before_anybody_is_asked(void **state)
{
    struct answer answer;

    (void)state;
    ask("GET /nothing", NULL, &answer);
    assert_int_equal(answer.status, 404);
    ask("GET /a?x=1", NULL, &answer);
    assert_int_equal(answer.status, 400);
    ask("POST /a", "a", &answer);
    assert_int_equal(answer.status, 405);
    ask("POST /tree/leaves/1", "a", &answer);
    assert_int_equal(answer.status, 405);
    assert_true(answer_has(&answer, "Allow: GET, HEAD"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_who_has_a_role_gets_to_the_handler),
        cmocka_unit_test(what_does_not_fit_its_route_is_refused_before_anybody_is_asked),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
