#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/error.h"
#include "base/secret.h"
#include "tests/assert_str.h"
#include "tests/test.h"

static char folder[] = "/tmp/test_secret.XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/key", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(path); /* a test may have left none */
    return rmdir(folder);
}

static void write_file(const char *content, mode_t mode)
{
    FILE *file;

    (void)unlink(path); /* an earlier one may be read-only */
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static struct str secret_str(const struct secret *secret)
{
    return (struct str){ (const char *)secret->data, secret->len };
}

static void a_secret_is_zeroed_and_holds_what_is_copied(void **state)
{
    OWNED(secret_release) struct secret empty = { 0 };
    OWNED(secret_release) struct secret copy = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(secret_init(&empty, 32, &error));
    assert_int_equal(empty.len, 32);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(empty.data[i], 0);
    assert_true(secret_init_copy(&copy, STR("hunter2"), &error));
    assert_str(secret_str(&copy), "hunter2");
}

static void an_empty_secret_is_one_too(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(secret_init_copy(&secret, (struct str){ 0 }, &error));
    assert_non_null(secret.data);
    assert_int_equal(secret.len, 0);
}

static void a_secret_has_a_limit(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_true(secret_init(&secret, SECRET_MAX, &error));
    secret_release(&secret);
    assert_false(secret_init(&secret, SECRET_MAX + 1, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_null(secret.data);
}

static void releasing_twice_or_nothing_is_safe(void **state)
{
    struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    secret_release(&secret);
    assert_true(secret_init(&secret, 1, &error));
    secret_release(&secret);
    assert_null(secret.data);
    secret_release(&secret);
}

static void secrets_are_equal_in_length_and_content(void **state)
{
    (void)state;
    assert_true(secret_eq(STR("abc"), STR("abc")));
    assert_true(secret_eq((struct str){ 0 }, STR("")));
    assert_false(secret_eq(STR("abc"), STR("abd")));
    assert_false(secret_eq(STR("abc"), STR("ab")));
    assert_false(secret_eq(STR("a\0b"), STR("a\0c")));
}

static void random_bytes_differ(void **state)
{
    struct error error = { 0 };
    uint8_t first[32];
    uint8_t second[32];

    (void)state;
    assert_true(secret_random(first, sizeof(first), &error));
    assert_true(secret_random(second, sizeof(second), &error));
    assert_memory_not_equal(first, second, sizeof(first));
    assert_false(secret_random(first, SECRET_MAX + 1, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
}

static void wiping_overwrites(void **state)
{
    char text[] = "secret";

    (void)state;
    secret_wipe(text, sizeof(text));
    assert_memory_equal(text, "\0\0\0\0\0\0\0", sizeof(text));
}

static void a_file_of_a_good_mode_is_read(void **state)
{
    static const mode_t modes[] = { 0400, 0600, 0440, 0640 };

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        OWNED(secret_release) struct secret secret = { 0 };
        struct error error = { 0 };

        write_file("key\n", modes[i]);
        assert_true(secret_read_file(&secret, path, 4, &error));
        assert_str(secret_str(&secret), "key\n");
    }
}

static void a_file_that_others_may_use_is_refused(void **state)
{
    static const mode_t modes[] = {
        0644, 0604, 0602, 0601, 0660, 0620, 0610, 0700, 0500, 0200, 0000, 0666, 04600, 02640, 01600,
    };

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        OWNED(secret_release) struct secret secret = { 0 };
        struct error error = { 0 };

        write_file("key", modes[i]);
        if (geteuid() != 0 && (modes[i] & 0400) == 0)
            continue; /* only root could open it at all */
        assert_false(secret_read_file(&secret, path, 100, &error));
        assert_int_equal(error.code, ERROR_CONFIG);
        assert_non_null(strstr(error.cause, "chmod 0600 /tmp/test_secret."));
        assert_null(secret.data);
    }
}

static void a_file_of_a_foreign_group_is_refused(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    if (geteuid() != 0)
        skip(); /* only root may give a file away */
    write_file("key", 0640);
    assert_int_equal(chown(path, (uid_t)-1, 4242), 0);
    assert_false(secret_read_file(&secret, path, 100, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_int_equal(chmod(path, 0600), 0);
    error = (struct error){ 0 };
    assert_true(secret_read_file(&secret, path, 100, &error));
}

static void a_file_past_its_limit_is_refused(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    write_file("12345", 0600);
    assert_false(secret_read_file(&secret, path, 4, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    assert_null(strstr(error.cause, "12345"));
    error = (struct error){ 0 };
    assert_true(secret_read_file(&secret, path, 5, &error));
}

static void an_empty_file_is_an_empty_secret(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    write_file("", 0600);
    assert_true(secret_read_file(&secret, path, 0, &error));
    assert_int_equal(secret.len, 0);
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };

    (void)state;
    assert_false(secret_read_file(&secret, folder, 100, &error));
    assert_int_equal(error.code, ERROR_IO);
    (void)unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    error = (struct error){ 0 };
    assert_false(secret_read_file(&secret, path, 100, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_int_equal(unlink(path), 0);
    error = (struct error){ 0 };
    assert_false(secret_read_file(&secret, path, 100, &error));
    assert_int_equal(error.code, ERROR_IO);
    assert_non_null(strstr(error.cause, "No such file"));
}

static void a_symlink_is_judged_by_what_it_leads_to(void **state)
{
    OWNED(secret_release) struct secret secret = { 0 };
    struct error error = { 0 };
    char link_path[80];

    (void)state;
    write_file("key", 0644);
    (void)snprintf(link_path, sizeof(link_path), "%s-link", path);
    assert_int_equal(symlink(path, link_path), 0);
    assert_false(secret_read_file(&secret, link_path, 100, &error));
    assert_int_equal(error.code, ERROR_CONFIG);
    assert_int_equal(chmod(path, 0600), 0);
    error = (struct error){ 0 };
    assert_true(secret_read_file(&secret, link_path, 100, &error));
    assert_int_equal(unlink(link_path), 0);
}

/* What a hardened process must be like; the exit code names what is not. */
static int look_at_hardened_process(void)
{
    struct error error = { 0 };
    struct rlimit limit;
    char *text;
    json_t *json;

    if (!secret_harden_process(&error))
        return 1;
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur != 0 || limit.rlim_max != 0)
        return 2;
    if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
        return 3;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 4;
    json = json_loads("{\"a\":[1,2,\"text\"]}", 0, NULL);
    text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    if (text == NULL || strcmp(text, "{\"a\":[1,2,\"text\"]}") != 0)
        return 5;
    free(text); /* as libraries do with what jansson gave them */
    json_decref(json);
    return 0;
}

static void a_hardened_process_cannot_be_dumped_and_jansson_works_on(void **state)
{
    int status = 0;
    pid_t child = fork();

    (void)state;
    assert_true(child >= 0);
    if (child == 0)
        _exit(look_at_hardened_process());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_is_zeroed_and_holds_what_is_copied),
        cmocka_unit_test(an_empty_secret_is_one_too),
        cmocka_unit_test(a_secret_has_a_limit),
        cmocka_unit_test(releasing_twice_or_nothing_is_safe),
        cmocka_unit_test(secrets_are_equal_in_length_and_content),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(wiping_overwrites),
        cmocka_unit_test(a_file_of_a_good_mode_is_read),
        cmocka_unit_test(a_file_that_others_may_use_is_refused),
        cmocka_unit_test(a_file_of_a_foreign_group_is_refused),
        cmocka_unit_test(a_file_past_its_limit_is_refused),
        cmocka_unit_test(an_empty_file_is_an_empty_secret),
        cmocka_unit_test(what_is_no_regular_file_is_refused_without_waiting),
        cmocka_unit_test(a_symlink_is_judged_by_what_it_leads_to),
        cmocka_unit_test(a_hardened_process_cannot_be_dumped_and_jansson_works_on),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
