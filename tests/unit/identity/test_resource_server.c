#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "identity/resource_server.h"
#include "tests/test.h"

#define SECRET "0123456789012345678901"

static const struct resource_server *find(const struct resource_server *servers, size_t count,
                                          const char *scheme, struct str credentials)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, 4096);
    buf_add_text(&text, scheme);
    buf_add_base64(&text, credentials);
    return resource_server_find(servers, count, buf_str(&text));
}

static struct resource_server server_of(const char *name, const char *secret)
{
    struct resource_server server = { .name = str_from(name),
                                      .audience = STR("https://a.example") };

    sha256(str_from(secret), server.secret_sha256);
    return server;
}

static void a_server_is_known_by_its_name_and_secret(void **state)
{
    struct resource_server servers[] = { server_of("one", SECRET), server_of("two", SECRET "x") };

    (void)state;
    assert_ptr_equal(find(servers, 2, "Basic ", STR("one:" SECRET)), &servers[0]);
    assert_ptr_equal(find(servers, 2, "basic ", STR("two:" SECRET "x")), &servers[1]);
}

static void whoever_shows_something_else_is_nobody(void **state)
{
    struct resource_server servers[] = { server_of("one", SECRET), server_of("two", SECRET "x") };
    static const char *const credentials[] = {
        "",
        ":",
        "one",
        "one:",
        "one:" SECRET "x",
        "two:" SECRET,
        SECRET ":one",
        ":" SECRET,
        "One:" SECRET,
        "one:" SECRET ":",
        "one :" SECRET,
        "one: " SECRET,
    };

    (void)state;
    for (size_t i = 0; i < COUNT(credentials); i++)
        assert_null(find(servers, 2, "Basic ", str_from(credentials[i])));
    assert_null(find(servers, 2, "Bearer ", STR("one:" SECRET)));
    assert_null(find(servers, 2, "", STR("one:" SECRET)));
    assert_null(find(servers, 0, "Basic ", STR("one:" SECRET)));
    assert_null(find(NULL, 0, "Basic ", STR("one:" SECRET)));
}

static void what_is_no_header_of_basic_is_nobodys(void **state)
{
    struct resource_server servers[] = { server_of("one", SECRET) };
    char text[2048];

    (void)state;
    memset(text, 'A', sizeof(text));
    memcpy(text, "Basic ", 6);
    for (size_t len = 0; len <= sizeof(text); len++)
        assert_null(resource_server_find(servers, 1, (struct str){ text, len }));
    assert_null(resource_server_find(servers, 1, STR("Basic !!!!")));
    assert_null(resource_server_find(servers, 1, STR("Basic b25l")));
}

static void an_all_zero_digest_is_no_secret(void **state)
{
    struct resource_server server = { .name = STR("one") };

    (void)state;
    assert_null(resource_server_find(&server, 1, STR("Basic !")));
    assert_null(resource_server_find(&server, 1, STR("")));
}

/* Whether a file of this text and mode is taken as a secret. */
static bool start(const char *text, mode_t mode, struct resource_server *server,
                  struct error *error)
{
    char path[] = "/tmp/stagepass-test-secret-XXXXXX";
    int file = mkstemp(path);
    bool is_good;

    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(file, mode), 0);
    *server = (struct resource_server){ .name = STR("one"), .secret_file = path };
    is_good = resource_servers_start(server, 1, error);
    (void)close(file);
    (void)unlink(path);
    return is_good;
}

static void a_secret_file_is_private_and_of_good_length(void **state)
{
    char longest[RESOURCE_SECRET_MAX + 2];
    struct resource_server server;
    struct error error = { 0 };

    (void)state;
    memset(longest, 's', sizeof(longest));
    longest[RESOURCE_SECRET_MAX] = '\0';
    assert_true(start(SECRET "\n", 0600, &server, &error));
    assert_ptr_equal(find(&server, 1, "Basic ", STR("one:" SECRET)), &server);
    assert_true(start(longest, 0400, &server, &error));
    longest[RESOURCE_SECRET_MAX] = 's';
    longest[RESOURCE_SECRET_MAX + 1] = '\0';
    assert_false(start(longest, 0600, &server, &error));
    assert_false(start("012345678901234567890", 0600, &server, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_non_null(strstr(error.cause, "22 to 256"));
    assert_false(start("", 0600, &server, &error));
    assert_false(start(SECRET, 0644, &server, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_known_by_its_name_and_secret),
        cmocka_unit_test(whoever_shows_something_else_is_nobody),
        cmocka_unit_test(what_is_no_header_of_basic_is_nobodys),
        cmocka_unit_test(an_all_zero_digest_is_no_secret),
        cmocka_unit_test(a_secret_file_is_private_and_of_good_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
