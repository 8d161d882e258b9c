#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "help.h"
#include "keys/ssh.h"
#include "tests/test.h"

/* RFC 8032 7.1 test 1's point, and the base point of P-256. */
#define ED25519 "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define POINT                                                                                      \
    "\x04\x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\x77\x03\x7d\x81\x2d\xeb" \
    "\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c" \
    "\x0f\x9e\x16\x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5"

struct fixture {
    char *folder;
    struct arena *arena;
};

static int start(void **state)
{
    static struct fixture fixture;

    fixture.folder = temporary_folder();
    fixture.arena = arena_new(ARENA_REQUEST_MAX);
    assert_non_null(fixture.arena);
    *state = &fixture;
    return 0;
}

static int stop(void **state)
{
    struct fixture *fixture = *state;

    arena_free(fixture->arena);
    remove_folder(fixture->folder);
    return 0;
}

static enum error_code parse(struct fixture *fixture, struct str line)
{
    struct ssh_public_key key = { 0 };
    struct error error = { 0 };
    bool is_taken = ssh_public_key_parse(line, fixture->arena, &key, &error);

    assert_int_equal(is_taken, error.code == ERROR_NONE);
    assert_int_equal(is_taken, key.blob.data != NULL);
    return error.code;
}

/* Have ssh-keygen make a key, and give its public line. */
static struct str make_key(struct fixture *fixture, const char *name, const char *type,
                           const char *bits)
{
    char path[256];
    char public_name[64];
    const char *arguments[] = { "ssh-keygen", "-q", "-t", type, "-b", bits, "-N",
                                "",           "-C", name, "-f", path, NULL };

    join_path(fixture->folder, name, path);
    run_program(arguments);
    (void)snprintf(public_name, sizeof(public_name), "%s.pub", name);
    return read_text(fixture->arena, fixture->folder, public_name);
}

static void lines_of_ssh_keygen_are_taken(void **state)
{
    static const struct {
        const char *type;
        const char *bits;
        const char *name;
        size_t fields_len;
    } cases[] = {
        { "ed25519", "256", "ssh-ed25519", 4 + 32 },
        { "ecdsa", "256", "ecdsa-sha2-nistp256", 4 + 8 + 4 + 65 },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str line = make_key(fixture, cases[i].type, cases[i].type, cases[i].bits);
        struct ssh_public_key key = { 0 };
        struct error error = { 0 };

        assert_true(ssh_public_key_parse(line, fixture->arena, &key, &error));
        assert_true(str_eq(key.type, str_from(cases[i].name)));
        assert_int_equal(key.fields.len, cases[i].fields_len);
        assert_ptr_equal(key.fields.data + key.fields.len, key.blob.data + key.blob.len);
    }
}

static void other_kinds_of_keys_are_refused(void **state)
{
    static const struct {
        const char *type;
        const char *bits;
    } cases[] = { { "rsa", "2048" }, { "ecdsa", "384" }, { "ecdsa", "521" } };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str line = make_key(fixture, cases[i].bits, cases[i].type, cases[i].bits);

        assert_int_equal(parse(fixture, line), ERROR_INVALID);
    }
}

static void a_certificate_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char authority[256];
    char path[256];
    const char *arguments[] = { "ssh-keygen", "-q", "-s",     authority, "-I",
                                "id",         "-n", "deploy", path,      NULL };

    (void)make_key(fixture, "ca", "ed25519", "256");
    (void)make_key(fixture, "user", "ed25519", "256");
    join_path(fixture->folder, "ca", authority);
    join_path(fixture->folder, "user.pub", path);
    run_program(arguments);
    assert_int_equal(parse(fixture, read_text(fixture->arena, fixture->folder, "user-cert.pub")),
                     ERROR_INVALID);
}

static void the_fingerprint_is_the_one_that_openssh_prints(void **state)
{
    struct fixture *fixture = *state;
    struct ssh_public_key key = { 0 };
    struct error error = { 0 };
    struct str line = make_key(fixture, "key", "ed25519", "256");
    char script[1024];
    const char *arguments[] = { "sh", "-c", script, NULL };
    struct str printed;

    assert_true(ssh_public_key_parse(line, fixture->arena, &key, &error));
    (void)snprintf(script, sizeof(script), "ssh-keygen -lf %s/key.pub >%s/printed", fixture->folder,
                   fixture->folder);
    run_program(arguments);
    printed = read_text(fixture->arena, fixture->folder, "printed");
    (void)str_cut(printed, ' ', &(struct str){ 0 }, &printed);
    (void)str_cut(printed, ' ', &printed, &(struct str){ 0 });
    assert_true(str_eq(ssh_fingerprint(&key, fixture->arena), printed));
}

static void a_named_keys_public_half_is_a_line_that_we_take(void **state)
{
    static const enum key_algorithm algorithms[] = { KEY_ED25519, KEY_ES256 };
    struct fixture *fixture = *state;
    OWNED(keys_close) struct keys *keys = keys_of(fixture->folder, KEY_ES256, TEST_START_S);

    for (size_t i = 0; i < COUNT(algorithms); i++) {
        const char *name = i == 0 ? "one" : "two";
        char public_name[16];
        char path[256];
        const char *arguments[] = { "ssh-keygen", "-lf", path, NULL };
        struct error error = { 0 };
        struct key *key;

        assert_true(keys_named(keys, str_from(name), algorithms[i], &key, &error));
        (void)snprintf(public_name, sizeof(public_name), "%s.pub", name);
        assert_int_equal(parse(fixture, read_text(fixture->arena, fixture->folder, public_name)),
                         ERROR_NONE);
        join_path(fixture->folder, public_name, path);
        run_program(arguments); /* OpenSSH takes it too */
    }
}

static void a_line_is_taken_with_and_without_a_comment(void **state)
{
    static const char *const lines[] = {
        "ssh-ed25519 " ED25519,
        "ssh-ed25519 " ED25519 "\n",
        "ssh-ed25519 " ED25519 " ",
        "ssh-ed25519 " ED25519 " runner@host with  more words",
        "ssh-ed25519 " ED25519 " r\xc3\xbc"
        "diger\n",
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(lines); i++) {
        if (parse(fixture, str_from(lines[i])) != ERROR_NONE)
            fail_msg("%s", lines[i]);
    }
}

static void lines_in_any_other_shape_are_refused(void **state)
{
    static const struct {
        const char *line;
        enum error_code expected;
    } cases[] = {
        { "", ERROR_SYNTAX },
        { " ", ERROR_SYNTAX },
        { "ssh-ed25519", ERROR_SYNTAX },
        { "ssh-ed25519 ", ERROR_SYNTAX },
        { ED25519, ERROR_SYNTAX },
        { " ssh-ed25519 " ED25519, ERROR_SYNTAX },
        { "ssh-ed25519  " ED25519, ERROR_SYNTAX },
        { "ssh-ed25519\t" ED25519, ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 "\n\n", ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 "\r\n", ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 " a\nssh-ed25519 " ED25519, ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 " bell\a", ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 " \xff", ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 "=", ERROR_SYNTAX },
        { "ssh-ed25519 " ED25519 "AA==", ERROR_SYNTAX }, /* a byte behind the fields */
        { "ssh-ed25519 ===", ERROR_SYNTAX },
        { "ssh-ed25519 AAAA", ERROR_SYNTAX },
        { "command=\"x\" ssh-ed25519 " ED25519, ERROR_SYNTAX },
        { "SSH-ED25519 " ED25519, ERROR_INVALID },
        { "ecdsa-sha2-nistp256 " ED25519, ERROR_INVALID },
        { "ssh-rsa " ED25519, ERROR_INVALID },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        if (parse(fixture, str_from(cases[i].line)) != cases[i].expected)
            fail_msg("%s", cases[i].line);
    }
    assert_int_equal(parse(fixture, STR("ssh-ed25519 " ED25519 " nul\0")), ERROR_SYNTAX);
}

static void a_line_has_its_longest_length(void **state)
{
    struct fixture *fixture = *state;
    char line[SSH_LINE_MAX + 1];
    struct str prefix = STR("ssh-ed25519 " ED25519 " ");

    memset(line, 'c', sizeof(line));
    memcpy(line, prefix.data, prefix.len);
    assert_int_equal(parse(fixture, (struct str){ line, SSH_LINE_MAX }), ERROR_NONE);
    assert_int_equal(parse(fixture, (struct str){ line, SSH_LINE_MAX + 1 }), ERROR_LIMIT);
}

/* A line whose blob is these strings, then `tail` as it stands. */
static struct str line_of(struct arena *arena, struct str type, const struct str *strings,
                          size_t count, struct str tail)
{
    OWNED(buf_release) struct buf blob;
    OWNED(buf_release) struct buf line;

    buf_init(&blob, SSH_LINE_MAX);
    buf_init(&line, SSH_LINE_MAX);
    for (size_t i = 0; i < count; i++)
        buf_add_sized(&blob, strings[i]);
    buf_add(&blob, tail);
    buf_add(&line, type);
    buf_add_byte(&line, ' ');
    buf_add_base64(&line, buf_str(&blob));
    assert_true(buf_is_ok(&line));
    return arena_copy(arena, buf_str(&line));
}

static void blobs_that_are_not_exactly_a_key_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct str ecdsa = STR("ecdsa-sha2-nistp256");
    const struct str ed25519 = STR("ssh-ed25519");
    const struct str curve = STR("nistp256");
    const struct str point = STR(POINT);
    const struct str empty = { 0 };
    const struct {
        const char *name;
        struct str type;
        struct str strings[4];
        size_t count;
        struct str tail;
        enum error_code expected;
    } cases[] = {
        { "a good one", ecdsa, { ecdsa, curve, point }, 3, empty, ERROR_NONE },
        { "a byte behind", ecdsa, { ecdsa, curve, point }, 3, STR("\0"), ERROR_SYNTAX },
        { "a string behind", ecdsa, { ecdsa, curve, point, empty }, 4, empty, ERROR_SYNTAX },
        { "no point", ecdsa, { ecdsa, curve }, 2, empty, ERROR_SYNTAX },
        { "no curve", ecdsa, { ecdsa }, 1, empty, ERROR_SYNTAX },
        { "an endless point",
          ecdsa,
          { ecdsa, curve },
          2,
          STR("\xff\xff\xff\xff\x04"),
          ERROR_SYNTAX },
        { "another curve", ecdsa, { ecdsa, STR("nistp384"), point }, 3, empty, ERROR_INVALID },
        { "the curve's other name",
          ecdsa,
          { ecdsa, STR("P-256"), point },
          3,
          empty,
          ERROR_INVALID },
        { "an empty point", ecdsa, { ecdsa, curve, empty }, 3, empty, ERROR_INVALID },
        { "infinity", ecdsa, { ecdsa, curve, STR("\0") }, 3, empty, ERROR_INVALID },
        { "half a point",
          ecdsa,
          { ecdsa, curve, str_slice(point, 0, 33) },
          3,
          empty,
          ERROR_INVALID },
        { "one byte less",
          ecdsa,
          { ecdsa, curve, str_slice(point, 0, 64) },
          3,
          empty,
          ERROR_INVALID },
        { "off the curve", ecdsa, { ecdsa, curve, STR("\x04" POINT) }, 3, empty, ERROR_INVALID },
        { "the type of another", ed25519, { ed25519, curve, point }, 3, empty, ERROR_SYNTAX },
        { "31 bytes", ed25519, { ed25519, str_slice(point, 1, 31) }, 2, empty, ERROR_INVALID },
        { "33 bytes", ed25519, { ed25519, str_slice(point, 1, 33) }, 2, empty, ERROR_INVALID },
        { "low order",
          ed25519,
          { ed25519, STR("\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
          2,
          empty,
          ERROR_INVALID },
        { "types differ", ed25519, { ecdsa, curve, point }, 3, empty, ERROR_INVALID },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str line =
            line_of(fixture->arena, cases[i].type, cases[i].strings, cases[i].count, cases[i].tail);

        if (parse(fixture, line) != cases[i].expected)
            fail_msg("%s", cases[i].name);
    }
}

static void a_blob_cut_anywhere_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct str line = STR("ssh-ed25519 " ED25519);

    for (size_t len = 0; len < line.len; len++)
        assert_int_not_equal(parse(fixture, str_slice(line, 0, len)), ERROR_NONE);
    assert_int_equal(parse(fixture, line), ERROR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_of_ssh_keygen_are_taken, start, stop),
        cmocka_unit_test_setup_teardown(other_kinds_of_keys_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_certificate_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(the_fingerprint_is_the_one_that_openssh_prints, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_named_keys_public_half_is_a_line_that_we_take, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_line_is_taken_with_and_without_a_comment, start, stop),
        cmocka_unit_test_setup_teardown(lines_in_any_other_shape_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_line_has_its_longest_length, start, stop),
        cmocka_unit_test_setup_teardown(blobs_that_are_not_exactly_a_key_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(a_blob_cut_anywhere_is_refused, start, stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
