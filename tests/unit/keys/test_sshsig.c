#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/error.h"
#include "help.h"
#include "keys/ssh.h"
#include "keys/ssh_internal.h"
#include "tests/test.h"

#define MESSAGE STR("the SHA-256 of a token")
#define ZEROS "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define BEGIN "-----BEGIN SSH SIGNATURE-----\n"
#define END "-----END SSH SIGNATURE-----\n"

/* A signature's fields, borrowed from the fixture's arena. */
struct fields {
    struct str magic;
    uint32_t version;
    struct str key;
    struct str namespace;
    struct str reserved;
    struct str hash;
    struct str signature;
    struct str tail;
};

/* What ssh-keygen signed with one of its keys and one hash. */
struct signed_message {
    const char *name;
    const char *type;
    const char *hash;
    struct ssh_public_key key;
    struct str armoured;
    struct fields fields;
};

struct fixture {
    char *folder;
    struct arena *arena;
    struct signed_message all[4];
};

static void make_key(struct fixture *fixture, const char *type)
{
    char path[256];
    const char *arguments[] = { "ssh-keygen", "-q", "-t", type, "-b", "256", "-N",
                                "",           "-C", "",   "-f", path, NULL };

    join_path(fixture->folder, type, path);
    run_program(arguments);
}

/* Have ssh-keygen sign the message. */
static struct str sign(struct fixture *fixture, const char *type, const char *namespace,
                       const char *hash)
{
    char key[256];
    char message[256];
    char option[32];
    char name[64];
    const char *arguments[] = { "ssh-keygen", "-Y", "sign", "-f",    key, "-n",
                                namespace,    "-O", option, message, NULL };

    (void)snprintf(option, sizeof(option), "hashalg=%s", hash);
    (void)snprintf(name, sizeof(name), "%s-%s-%s", type, namespace, hash);
    join_path(fixture->folder, type, key);
    join_path(fixture->folder, name, message);
    write_text(fixture->folder, name, MESSAGE);
    run_program(arguments);
    (void)snprintf(name, sizeof(name), "%s-%s-%s.sig", type, namespace, hash);
    return read_text(fixture->arena, fixture->folder, name);
}

static void read_fields(struct fixture *fixture, struct str armoured, struct fields *fields)
{
    uint8_t *bytes = arena_alloc(fixture->arena, SSHSIG_MAX);
    char *base64 = arena_alloc(fixture->arena, SSHSIG_MAX);
    size_t base64_len = 0;
    struct str rest;
    size_t len;

    assert_non_null(bytes);
    assert_non_null(base64);
    rest = str_slice(armoured, strlen(BEGIN), armoured.len - strlen(BEGIN) - strlen(END));
    for (size_t i = 0; i < rest.len; i++) {
        if (rest.data[i] != '\n')
            base64[base64_len++] = rest.data[i];
    }
    assert_true(base64_decode((struct str){ base64, base64_len }, bytes, &len));
    rest = (struct str){ (const char *)bytes, len };
    fields->magic = str_slice(rest, 0, 6);
    rest = str_slice(rest, 6, rest.len);
    assert_true(ssh_take_u32(&rest, &fields->version));
    assert_true(ssh_take_string(&rest, &fields->key));
    assert_true(ssh_take_string(&rest, &fields->namespace));
    assert_true(ssh_take_string(&rest, &fields->reserved));
    assert_true(ssh_take_string(&rest, &fields->hash));
    assert_true(ssh_take_string(&rest, &fields->signature));
    fields->tail = rest;
    assert_int_equal(rest.len, 0);
}

static int start(void **state)
{
    static const struct signed_message all[] = {
        { .name = "Ed25519, SHA-512", .type = "ed25519", .hash = "sha512" },
        { .name = "Ed25519, SHA-256", .type = "ed25519", .hash = "sha256" },
        { .name = "ECDSA, SHA-512", .type = "ecdsa", .hash = "sha512" },
        { .name = "ECDSA, SHA-256", .type = "ecdsa", .hash = "sha256" },
    };
    static struct fixture fixture;

    fixture.folder = temporary_folder();
    fixture.arena = arena_new(64 * ARENA_REQUEST_MAX);
    assert_non_null(fixture.arena);
    make_key(&fixture, "ed25519");
    make_key(&fixture, "ecdsa");
    for (size_t i = 0; i < COUNT(all); i++) {
        struct signed_message *message = &fixture.all[i];
        struct error error = { 0 };
        char name[64];

        *message = all[i];
        (void)snprintf(name, sizeof(name), "%s.pub", message->type);
        assert_true(ssh_public_key_parse(read_text(fixture.arena, fixture.folder, name),
                                         fixture.arena, &message->key, &error));
        message->armoured = sign(&fixture, message->type, "stagepass", message->hash);
        read_fields(&fixture, message->armoured, &message->fields);
    }
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

static enum error_code check(struct str signature, struct str message,
                             const struct ssh_public_key *key)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_REQUEST_MAX);
    struct error error = { 0 };
    bool is_good;

    assert_non_null(arena);
    is_good = sshsig_check(signature, message, key, arena, &error);
    assert_int_equal(is_good, error.code == ERROR_NONE);
    return error.code;
}

static struct str blob_of(struct fixture *fixture, const struct fields *fields)
{
    OWNED(buf_release) struct buf blob;

    buf_init(&blob, 2 * SSHSIG_MAX);
    buf_add(&blob, fields->magic);
    buf_add_u32(&blob, fields->version);
    buf_add_sized(&blob, fields->key);
    buf_add_sized(&blob, fields->namespace);
    buf_add_sized(&blob, fields->reserved);
    buf_add_sized(&blob, fields->hash);
    buf_add_sized(&blob, fields->signature);
    buf_add(&blob, fields->tail);
    assert_true(buf_is_ok(&blob));
    return arena_copy(fixture->arena, buf_str(&blob));
}

static struct str base64_of(struct fixture *fixture, struct str blob)
{
    OWNED(buf_release) struct buf text;

    buf_init(&text, 4 * SSHSIG_MAX);
    buf_add_base64(&text, blob);
    assert_true(buf_is_ok(&text));
    return arena_copy(fixture->arena, buf_str(&text));
}

static enum error_code check_blob(struct fixture *fixture, struct str blob,
                                  const struct signed_message *message)
{
    return check(base64_of(fixture, blob), MESSAGE, &message->key);
}

static void what_ssh_keygen_signed_is_taken_armoured_and_bare(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->all); i++) {
        const struct signed_message *message = &fixture->all[i];
        struct str armoured = message->armoured;

        if (check(armoured, MESSAGE, &message->key) != ERROR_NONE ||
            check(str_slice(armoured, 0, armoured.len - 1), MESSAGE, &message->key) != ERROR_NONE ||
            check_blob(fixture, blob_of(fixture, &message->fields), message) != ERROR_NONE)
            fail_msg("%s", message->name);
    }
}

static void another_message_is_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->all); i++) {
        const struct signed_message *message = &fixture->all[i];

        assert_int_equal(check(message->armoured, STR("another"), &message->key), ERROR_INVALID);
        assert_int_equal(check(message->armoured, (struct str){ 0 }, &message->key), ERROR_INVALID);
    }
}

static void another_key_is_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->all); i++) {
        const struct signed_message *message = &fixture->all[i];

        assert_int_equal(check(message->armoured, MESSAGE, &fixture->all[(i + 2) % 4].key),
                         ERROR_INVALID);
    }
}

static void another_key_of_the_same_kind_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct ssh_public_key other = { 0 };
    struct error error = { 0 };
    struct fields fields = fixture->all[0].fields;

    /* RFC 8032 7.1, test 1 */
    assert_true(ssh_public_key_parse(
        STR("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"),
        fixture->arena, &other, &error));
    assert_int_equal(check(fixture->all[0].armoured, MESSAGE, &other), ERROR_INVALID);
    fields.key = other.blob; /* says so, but did not sign */
    assert_int_equal(check(base64_of(fixture, blob_of(fixture, &fields)), MESSAGE, &other),
                     ERROR_INVALID);
}

static void a_signature_for_another_namespace_is_refused(void **state)
{
    static const char *const names[] = { "git", "file", "Stagepass", "stagepass2", "stagepas" };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(names); i++) {
        struct str armoured = sign(fixture, "ed25519", names[i], "sha512");

        assert_int_equal(check(armoured, MESSAGE, &fixture->all[0].key), ERROR_INVALID);
    }
}

static void a_field_that_was_changed_is_refused(void **state)
{
    static const struct {
        const char *name;
        struct fields changed; /* with what is not empty here */
        enum error_code expected;
    } cases[] = {
        { "magic", { .magic = STR_INIT("SSHSIH") }, ERROR_SYNTAX },
        { "magic in small letters", { .magic = STR_INIT("sshsig") }, ERROR_SYNTAX },
        { "version 2", { .version = 2 }, ERROR_INVALID },
        { "the largest version", { .version = UINT32_MAX }, ERROR_INVALID },
        { "key", { .key = STR_INIT("ssh-ed25519") }, ERROR_INVALID },
        { "namespace", { .namespace = STR_INIT("file") }, ERROR_INVALID },
        { "reserved", { .reserved = STR_INIT("\0") }, ERROR_INVALID },
        { "sha1", { .hash = STR_INIT("sha1") }, ERROR_INVALID },
        { "sha384", { .hash = STR_INIT("sha384") }, ERROR_INVALID },
        { "hash in capitals", { .hash = STR_INIT("SHA512") }, ERROR_INVALID },
        { "hash with a NUL", { .hash = STR_INIT("sha512\0") }, ERROR_INVALID },
        { "signature", { .signature = STR_INIT("x") }, ERROR_SYNTAX },
        { "a byte behind", { .tail = STR_INIT("\0") }, ERROR_SYNTAX },
        { "a string behind", { .tail = STR_INIT("\0\0\0\0") }, ERROR_SYNTAX },
    };
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(cases) * COUNT(fixture->all); i++) {
        const struct signed_message *message = &fixture->all[i % COUNT(fixture->all)];
        const struct fields *changed = &cases[i / COUNT(fixture->all)].changed;
        struct fields fields = message->fields;

        fields.magic = changed->magic.len ? changed->magic : fields.magic;
        fields.version = changed->version ? changed->version : fields.version;
        fields.key = changed->key.len ? changed->key : fields.key;
        fields.namespace = changed->namespace.len ? changed->namespace : fields.namespace;
        fields.reserved = changed->reserved;
        fields.hash = changed->hash.len ? changed->hash : fields.hash;
        fields.signature = changed->signature.len ? changed->signature : fields.signature;
        fields.tail = changed->tail;
        if (check_blob(fixture, blob_of(fixture, &fields), message) !=
            cases[i / COUNT(fixture->all)].expected)
            fail_msg("%s: %s", message->name, cases[i / COUNT(fixture->all)].name);
    }
}

static void the_other_hash_of_the_two_is_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->all); i++) {
        struct fields fields = fixture->all[i].fields;

        fields.hash = str_eq(fields.hash, STR("sha256")) ? STR("sha512") : STR("sha256");
        assert_int_equal(check_blob(fixture, blob_of(fixture, &fields), &fixture->all[i]),
                         ERROR_INVALID);
    }
}

static void a_blob_cut_anywhere_or_with_a_changed_bit_is_refused(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT(fixture->all); i++) {
        struct str blob = blob_of(fixture, &fixture->all[i].fields);
        char bytes[SSHSIG_MAX];

        memcpy(bytes, blob.data, blob.len);
        for (size_t at = 0; at < blob.len; at++) {
            assert_int_not_equal(check_blob(fixture, str_slice(blob, 0, at), &fixture->all[i]),
                                 ERROR_NONE);
            bytes[at] ^= (char)(1 << (at % 7));
            assert_int_not_equal(
                check_blob(fixture, (struct str){ bytes, blob.len }, &fixture->all[i]), ERROR_NONE);
            bytes[at] = blob.data[at];
        }
        assert_int_equal(check_blob(fixture, (struct str){ bytes, blob.len }, &fixture->all[i]),
                         ERROR_NONE);
    }
}

static void armour_cut_anywhere_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct signed_message *message = &fixture->all[0];

    for (size_t len = 0; len + 1 < message->armoured.len; len++)
        assert_int_not_equal(check(str_slice(message->armoured, 0, len), MESSAGE, &message->key),
                             ERROR_NONE);
}

static void armour_in_another_shape_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct signed_message *message = &fixture->all[0];
    struct str base64 = base64_of(fixture, blob_of(fixture, &message->fields));
    static const struct {
        const char *before;
        const char *after;
        enum error_code expected;
    } cases[] = {
        { BEGIN, "\n" END, ERROR_NONE },
        { "", "", ERROR_NONE },
        { BEGIN, END, ERROR_SYNTAX },
        { BEGIN "\n", "\n" END, ERROR_SYNTAX },
        { BEGIN, "\n\n" END, ERROR_SYNTAX },
        { BEGIN, "\n" END "\n", ERROR_SYNTAX },
        { BEGIN, "\n" END "more", ERROR_SYNTAX },
        { " " BEGIN, "\n" END, ERROR_SYNTAX },
        { BEGIN " ", "\n" END, ERROR_SYNTAX },
        { BEGIN, "\r\n" END, ERROR_SYNTAX },
        { BEGIN, "", ERROR_SYNTAX },
        { "", "\n" END, ERROR_SYNTAX },
        { "", "\n", ERROR_SYNTAX },
        { "", "=", ERROR_SYNTAX },
        { "", "AAAA", ERROR_SYNTAX },
        { "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----", ERROR_SYNTAX },
        { "-----BEGIN PGP SIGNATURE-----\n", "\n" END, ERROR_SYNTAX },
        { BEGIN BEGIN, "\n" END, ERROR_SYNTAX },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str text = arena_printf(fixture->arena, "%s" STR_FMT "%s", cases[i].before,
                                       STR_ARG(base64), cases[i].after);

        if (check(text, MESSAGE, &message->key) != cases[i].expected)
            fail_msg("'%s' and '%s'", cases[i].before, cases[i].after);
    }
    assert_int_equal(check(STR(BEGIN END), MESSAGE, &message->key), ERROR_SYNTAX);
}

static void a_signature_has_its_longest_length(void **state)
{
    struct fixture *fixture = *state;
    char text[SSHSIG_MAX + 1];

    memset(text, 'A', sizeof(text));
    assert_int_equal(check((struct str){ text, SSHSIG_MAX }, MESSAGE, &fixture->all[0].key),
                     ERROR_SYNTAX);
    assert_int_equal(check((struct str){ text, SSHSIG_MAX + 1 }, MESSAGE, &fixture->all[0].key),
                     ERROR_LIMIT);
}

/* A signature field: string type, string of `count` strings or, where `count` is 0, of `bytes`. */
static struct str signature_of(struct fixture *fixture, struct str type, const struct str *strings,
                               size_t count, struct str bytes)
{
    OWNED(buf_release) struct buf inner;
    OWNED(buf_release) struct buf outer;

    buf_init(&inner, SSHSIG_MAX);
    buf_init(&outer, SSHSIG_MAX);
    for (size_t i = 0; i < count; i++)
        buf_add_sized(&inner, strings[i]);
    buf_add(&inner, bytes);
    buf_add_sized(&outer, type);
    buf_add_sized(&outer, buf_str(&inner));
    assert_true(buf_is_ok(&inner) && buf_is_ok(&outer));
    return arena_copy(fixture->arena, buf_str(&outer));
}

/* The type and the two numbers of a signature field; gives what is behind them: nothing. */
static struct str split_ecdsa(struct str signature, struct str *type, struct str *r, struct str *s)
{
    struct str numbers;

    assert_true(ssh_take_string(&signature, type) && ssh_take_string(&signature, &numbers));
    assert_true(ssh_take_string(&numbers, r) && ssh_take_string(&numbers, s));
    return numbers;
}

static void ecdsa_numbers_in_any_other_form_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct signed_message *message = &fixture->all[3];
    const struct str empty = { 0 };
    const struct str longer = { "\1" ZEROS ZEROS, 33 };
    struct str type = { 0 };
    struct str r = { 0 };
    struct str s = { 0 };
    struct str rest = split_ecdsa(message->fields.signature, &type, &r, &s);
    const struct {
        const char *name;
        struct str type;
        struct str numbers[3];
        size_t count;
        struct str bytes;
        enum error_code expected;
    } cases[] = {
        { "as it was", type, { r, s }, 2, rest, ERROR_NONE },
        { "swapped", type, { s, r }, 2, empty, ERROR_INVALID },
        { "r = 0, empty", type, { empty, s }, 2, empty, ERROR_SYNTAX },
        { "s = 0, empty", type, { r, empty }, 2, empty, ERROR_SYNTAX },
        { "r = 0, a byte", type, { STR("\0"), s }, 2, empty, ERROR_SYNTAX },
        { "s = 1", type, { r, STR("\1") }, 2, empty, ERROR_INVALID },
        { "negative", type, { STR("\xff"), s }, 2, empty, ERROR_SYNTAX },
        { "needless zero", type, { STR("\0\1"), s }, 2, empty, ERROR_SYNTAX },
        { "33 digits", type, { longer, s }, 2, empty, ERROR_SYNTAX },
        { "a third number", type, { r, s, s }, 3, empty, ERROR_SYNTAX },
        { "one number", type, { r }, 1, empty, ERROR_SYNTAX },
        { "a byte behind", type, { r, s }, 2, STR("\0"), ERROR_SYNTAX },
        { "another type", STR("ssh-ed25519"), { r, s }, 2, empty, ERROR_INVALID },
        { "no type", empty, { r, s }, 2, empty, ERROR_INVALID },
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fields fields = message->fields;

        fields.signature =
            signature_of(fixture, cases[i].type, cases[i].numbers, cases[i].count, cases[i].bytes);
        if (check_blob(fixture, blob_of(fixture, &fields), message) != cases[i].expected)
            fail_msg("%s", cases[i].name);
    }
}

static void ed25519_signatures_of_another_length_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const struct signed_message *message = &fixture->all[0];
    struct str rest = message->fields.signature;
    struct str type = { 0 };
    struct str bytes = { 0 };

    assert_true(ssh_take_string(&rest, &type) && ssh_take_string(&rest, &bytes));
    for (size_t len = 0; len <= 65; len++) {
        char longer[65] = { 0 };
        struct fields fields = message->fields;

        for (size_t i = 0; i < bytes.len; i++)
            longer[i] = bytes.data[i];
        fields.signature = signature_of(fixture, type, NULL, 0, (struct str){ longer, len });
        assert_int_equal(check_blob(fixture, blob_of(fixture, &fields), message),
                         len == 64 ? ERROR_NONE : ERROR_SYNTAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ssh_keygen_signed_is_taken_armoured_and_bare),
        cmocka_unit_test(another_message_is_refused),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(another_key_of_the_same_kind_is_refused),
        cmocka_unit_test(a_signature_for_another_namespace_is_refused),
        cmocka_unit_test(a_field_that_was_changed_is_refused),
        cmocka_unit_test(the_other_hash_of_the_two_is_refused),
        cmocka_unit_test(a_blob_cut_anywhere_or_with_a_changed_bit_is_refused),
        cmocka_unit_test(armour_cut_anywhere_is_refused),
        cmocka_unit_test(armour_in_another_shape_is_refused),
        cmocka_unit_test(a_signature_has_its_longest_length),
        cmocka_unit_test(ecdsa_numbers_in_any_other_form_are_refused),
        cmocka_unit_test(ed25519_signatures_of_another_length_are_refused),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
