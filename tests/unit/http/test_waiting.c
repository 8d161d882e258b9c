#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/macros.h"
#include "http/http.h"
#include "peer.h"
#include "tests/test.h"

#define WAITERS_MAX 64

/* Where waiting requests lie until the test, as another thread, wakes them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t has_changed = PTHREAD_COND_INITIALIZER;
static struct http_request *waiting[WAITERS_MAX]; /* guarded by lock */
static size_t waiting_count;                      /* guarded by lock */
static size_t abandoned_count;                    /* guarded by lock */

static void count_up(size_t *counter)
{
    (void)pthread_mutex_lock(&lock);
    (*counter)++;
    (void)pthread_cond_signal(&has_changed);
    (void)pthread_mutex_unlock(&lock);
}

/* Wait until `*counter` is at least `count`. */
static void await(const size_t *counter, size_t count)
{
    struct timespec end;
    int result = 0;

    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 30;
    (void)pthread_mutex_lock(&lock);
    while (*counter < count && result == 0)
        result = pthread_cond_timedwait(&has_changed, &lock, &end);
    (void)pthread_mutex_unlock(&lock);
    assert_int_equal(result, 0);
}

static void wake_all(void)
{
    struct http_request *woken[WAITERS_MAX];
    size_t count;

    (void)pthread_mutex_lock(&lock);
    count = waiting_count;
    memcpy(woken, waiting, sizeof(woken));
    waiting_count = 0;
    (void)pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < count; i++) {
        struct waker waker = http_waker(woken[i]);

        waker.wake(waker.context);
    }
}

static void lie_down(struct http_request *request)
{
    (void)pthread_mutex_lock(&lock);
    waiting[waiting_count++ % WAITERS_MAX] = request;
    (void)pthread_cond_signal(&has_changed);
    (void)pthread_mutex_unlock(&lock);
}

/* Waits as often as its path has segments; on abandonment, until it is woken. */
static enum progress wait_for_test(struct http_request *request, void *context)
{
    size_t *left = request->state;

    (void)context;
    if (request->is_abandoned && !request->is_woken) { /* the desk still holds it */
        count_up(&abandoned_count);
        return PROGRESS_WAIT;
    }
    if (request->is_abandoned)
        return PROGRESS_DONE;
    if (left == NULL) {
        left = arena_alloc(request->arena, sizeof(*left));
        if (left == NULL)
            return PROGRESS_FAILED;
        request->state = left;
        *left = 1;
        for (size_t i = 0; i < request->rest.len; i++)
            *left += request->rest.data[i] == '/' ? 1 : 0;
    } else {
        (*left)--;
    }
    if (*left == 0)
        return http_answer_text(request, 200, "text/plain", request->rest);
    lie_down(request);
    return PROGRESS_WAIT;
}

/* Woken before it has returned, by its own thread. */
static enum progress wake_early(struct http_request *request, void *context)
{
    static char token;

    (void)context;
    if (request->state != NULL)
        return http_answer_text(request, 200, "text/plain", STR("early"));
    request->state = &token;
    http_resume(request);
    return PROGRESS_WAIT;
}

static void *resume_at_once(void *request)
{
    http_resume(request);
    return NULL;
}

/* Woken by another thread, before or after it has returned: whoever is faster. */
static enum progress race(struct http_request *request, void *context)
{
    pthread_t thread;
    static char token;

    (void)context;
    if (request->state != NULL)
        return http_answer_text(request, 200, "text/plain", STR("raced"));
    request->state = &token;
    if (pthread_create(&thread, NULL, resume_at_once, request) != 0)
        return PROGRESS_FAILED;
    (void)pthread_detach(thread);
    return PROGRESS_WAIT;
}

/* Nothing holds it when it is abandoned: nobody was asked. */
static enum progress wait_for_nobody(struct http_request *request, void *context)
{
    (void)context;
    if (!request->is_abandoned)
        return PROGRESS_WAIT;
    count_up(&abandoned_count);
    return PROGRESS_DONE;
}

/* Whoever was asked wakes it in the moment in which it is abandoned and gives up. */
static enum progress wake_too_late(struct http_request *request, void *context)
{
    (void)context;
    if (!request->is_abandoned)
        return PROGRESS_WAIT;
    http_resume(request);
    count_up(&abandoned_count);
    return PROGRESS_DONE;
}

static enum progress hello(struct http_request *request, void *context)
{
    (void)context;
    return http_answer_text(request, 200, "text/plain", STR("hello"));
}

static const struct http_route routes[] = {
    { "GET", "/wait/*", 0, HTTP_BODY_NONE, 0, wait_for_test },
    { "GET", "/early", 0, HTTP_BODY_NONE, 0, wake_early },
    { "GET", "/race", 0, HTTP_BODY_NONE, 0, race },
    { "GET", "/nobody", 0, HTTP_BODY_NONE, 0, wait_for_nobody },
    { "GET", "/too-late", 0, HTTP_BODY_NONE, 0, wake_too_late },
    { "GET", "/hello", 0, HTTP_BODY_NONE, 0, hello },
};

static struct http_server *start(struct http_options options)
{
    waiting_count = 0;
    abandoned_count = 0;
    options.routes = routes;
    options.route_count = COUNT(routes);
    return peer_server(options);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void a_waiting_request_is_answered_after_its_wake(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    for (int i = 0; i < 3; i++) { /* the connection stays */
        peer_send_text(fd, GET("/wait/a"));
        await(&waiting_count, 1);
        assert_false(peer_is_closed(fd, 20));
        wake_all();
        assert_true(peer_read(fd, &answer));
        assert_int_equal(answer.status, 200);
        assert_true(str_eq(answer.body, STR("a")));
    }
    peer_close(fd);
    http_stop(server);
}

static void a_request_may_wait_several_times(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/wait/a/b/c"));
    for (int i = 0; i < 3; i++) {
        await(&waiting_count, 1);
        wake_all();
    }
    assert_true(peer_read(fd, &answer));
    assert_true(str_eq(answer.body, STR("a/b/c")));
    peer_close(fd);
    http_stop(server);
}

static void others_are_served_while_one_waits(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/wait/a"));
    await(&waiting_count, 1);
    peer_ask(http_port(server), GET("/hello"), &answer);
    assert_int_equal(answer.status, 200);
    wake_all();
    assert_true(peer_read(fd, &answer));
    peer_close(fd);
    http_stop(server);
}

static void a_wake_before_the_handler_has_returned_is_not_lost(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/early"));
    assert_true(peer_read(fd, &answer));
    assert_true(str_eq(answer.body, STR("early")));
    for (int i = 0; i < 300; i++) {
        peer_send_text(fd, GET("/race"));
        assert_true(peer_read(fd, &answer));
        assert_true(str_eq(answer.body, STR("raced")));
    }
    peer_close(fd);
    http_stop(server);
}

static void many_wait_and_are_woken_together(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    struct answer answer;
    int fds[WAITERS_MAX];

    (void)state;
    for (int round = 0; round < 5; round++) {
        for (size_t i = 0; i < COUNT(fds); i++) {
            if (round == 0)
                fds[i] = peer_connect(http_port(server));
            peer_send_text(fds[i], GET("/wait/a"));
        }
        await(&waiting_count, COUNT(fds));
        wake_all();
        for (size_t i = 0; i < COUNT(fds); i++) {
            assert_true(peer_read(fds[i], &answer));
            assert_int_equal(answer.status, 200);
        }
    }
    for (size_t i = 0; i < COUNT(fds); i++)
        peer_close(fds[i]);
    http_stop(server);
}

static void a_peer_that_leaves_abandons_its_request(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/wait/a"));
    await(&waiting_count, 1);
    peer_close(fd);
    await(&abandoned_count, 1);
    wake_all();

    fd = peer_connect(http_port(server));
    peer_send_text(fd, GET("/nobody"));
    assert_false(peer_is_closed(fd, 20));
    assert_int_equal(shutdown(fd, SHUT_WR), 0); /* half gone counts */
    await(&abandoned_count, 2);
    assert_true(peer_is_closed(fd, 30000));
    peer_close(fd);
    http_stop(server);
}

static void a_request_past_its_deadline_is_abandoned_with_a_503(void **state)
{
    struct http_server *server = start((struct http_options){ .request_timeout_ms = 200 });
    struct answer answer;
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/nobody"));
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 503);
    assert_true(answer_has(&answer, "Connection: close"));
    assert_true(answer_has(&answer, "Retry-After: 2"));
    assert_true(peer_is_closed(fd, 30000));
    peer_close(fd);

    fd = peer_connect(http_port(server));
    peer_send_text(fd, GET("/wait/a"));
    await(&abandoned_count, 2);
    assert_false(peer_is_closed(fd, 50)); /* the desk still holds it */
    wake_all();
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 503);
    peer_close(fd);
    http_stop(server);
}

static void a_wake_that_comes_too_late_is_forgotten(void **state)
{
    struct http_server *server = start((struct http_options){ .request_timeout_ms = 100 });
    struct answer answer;
    int fds[4];

    (void)state;
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = peer_connect(http_port(server));
        peer_send_text(fds[i], GET("/too-late"));
    }
    await(&abandoned_count, COUNT(fds));
    for (size_t i = 0; i < COUNT(fds); i++) {
        assert_true(peer_read(fds[i], &answer));
        assert_int_equal(answer.status, 503);
        peer_close(fds[i]);
    }
    peer_ask(http_port(server), GET("/hello"), &answer);
    assert_int_equal(answer.status, 200);
    http_stop(server);
}

static void *drain(void *server)
{
    http_drain(server, 4000);
    return NULL;
}

static void draining_lets_what_waits_finish(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    uint16_t port = http_port(server);
    struct answer answer;
    pthread_t thread;
    int fd = peer_connect(port);
    int idle = peer_connect(port);

    (void)state;
    peer_send_text(idle, GET("/hello"));
    assert_true(peer_read(idle, &answer));
    peer_send_text(fd, GET("/wait/a"));
    await(&waiting_count, 1);
    assert_int_equal(pthread_create(&thread, NULL, drain, server), 0);
    assert_true(peer_is_closed(idle, 2000));
    wake_all();
    assert_true(peer_read(fd, &answer));
    assert_int_equal(answer.status, 200);
    assert_true(answer_has(&answer, "Connection: close"));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(peer_connect(port), -1);
    peer_close(fd);
    peer_close(idle);
    http_stop(server);
}

static void draining_ends_at_its_time(void **state)
{
    struct http_server *server = start((struct http_options){ 0 });
    int fd = peer_connect(http_port(server));

    (void)state;
    peer_send_text(fd, GET("/nobody"));
    assert_false(peer_is_closed(fd, 20));
    http_drain(server, 50);
    assert_int_equal(abandoned_count, 0);
    http_stop(server);
    assert_int_equal(abandoned_count, 1);
    peer_close(fd);
}

static void *stop(void *server)
{
    http_stop(server);
    return NULL;
}

static void stopping_waits_for_what_somebody_holds(void **state)
{
    struct http_server *server = start((struct http_options){ .thread_count = 2 });
    pthread_t thread;
    int fds[8];

    (void)state;
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = peer_connect(http_port(server));
        peer_send_text(fds[i], GET("/wait/a"));
    }
    await(&waiting_count, COUNT(fds));
    assert_int_equal(pthread_create(&thread, NULL, stop, server), 0);
    await(&abandoned_count, COUNT(fds));
    wake_all();
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < COUNT(fds); i++) {
        assert_true(peer_is_closed(fds[i], 1000));
        peer_close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_waiting_request_is_answered_after_its_wake),
        cmocka_unit_test(a_request_may_wait_several_times),
        cmocka_unit_test(others_are_served_while_one_waits),
        cmocka_unit_test(a_wake_before_the_handler_has_returned_is_not_lost),
        cmocka_unit_test(many_wait_and_are_woken_together),
        cmocka_unit_test(a_peer_that_leaves_abandons_its_request),
        cmocka_unit_test(a_request_past_its_deadline_is_abandoned_with_a_503),
        cmocka_unit_test(a_wake_that_comes_too_late_is_forgotten),
        cmocka_unit_test(draining_lets_what_waits_finish),
        cmocka_unit_test(draining_ends_at_its_time),
        cmocka_unit_test(stopping_waits_for_what_somebody_holds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
