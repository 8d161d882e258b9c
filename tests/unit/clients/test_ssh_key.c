#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "clients/ssh_key.h"
#include "keys/ssh.h"
#include "tests/assert_str.h"
#include "tests/test.h"

/* One thread here. NOLINTBEGIN(concurrency-mt-unsafe,cert-env33-c) */

#define CERTIFICATE_TYPE "ssh-ed25519-cert-v01@openssh.com"

static struct arena *arena;
static struct ssh_key key;

static int make_key(void **state)
{
    struct error error = { 0 };

    (void)state;
    arena = arena_new((size_t)4 * 1024 * 1024);
    return arena && ssh_key_init(&key, &error) ? 0 : -1;
}

static int free_key(void **state)
{
    (void)state;
    ssh_key_release(&key);
    arena_free(arena);
    return 0;
}

static struct str sign(const char *name_space, struct str message)
{
    struct error error = { 0 };
    struct str signature;

    assert_true(ssh_key_sign(&key, name_space, message, arena, &signature, &error));
    return signature;
}

static void the_broker_takes_our_signature(void **state)
{
    struct ssh_public_key public_key;
    struct error error = { 0 };
    struct str signature = sign("stagepass", STR("32 bytes of some token's SHA-256"));

    (void)state;
    assert_true(ssh_public_key_parse(ssh_key_line(&key, arena), arena, &public_key, &error));
    assert_true(sshsig_check(signature, STR("32 bytes of some token's SHA-256"), &public_key, arena,
                             &error));
}

static void a_signature_is_for_one_message_namespace_and_key(void **state)
{
    OWNED(ssh_key_release) struct ssh_key other = { 0 };
    struct ssh_public_key public_key;
    struct ssh_public_key other_key;
    struct error error = { 0 };
    struct error ignored = { 0 };

    (void)state;
    assert_true(ssh_key_init(&other, &error));
    assert_true(ssh_public_key_parse(ssh_key_line(&key, arena), arena, &public_key, &error));
    assert_true(ssh_public_key_parse(ssh_key_line(&other, arena), arena, &other_key, &error));
    assert_false(sshsig_check(sign("stagepass", STR("a")), STR("b"), &public_key, arena, &ignored));
    assert_false(sshsig_check(sign("file", STR("a")), STR("a"), &public_key, arena, &ignored));
    assert_false(sshsig_check(sign("stagepass", STR("a")), STR("a"), &other_key, arena, &ignored));
}

/* The exit code of a shell command. */
static int shell(const char *command)
{
    int status = system(command);

    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void openssh_takes_our_signature(void **state)
{
    char folder[] = "/tmp/stagepass-test-XXXXXX";
    struct error error = { 0 };
    struct str path;
    char command[256];

    (void)state;
    assert_non_null(mkdtemp(folder));
    path = arena_printf(arena, "%s/signature", folder);
    assert_true(file_replace(path.data, sign("stagepass", STR("message")), 0600, &error));
    (void)snprintf(command, sizeof(command),
                   "printf message | ssh-keygen -Y check-novalidate -n stagepass -s %s >/dev/null",
                   path.data);
    assert_int_equal(shell(command), 0);
    (void)snprintf(command, sizeof(command),
                   "printf massage | ssh-keygen -Y check-novalidate -n stagepass -s %s "
                   ">/dev/null 2>&1",
                   path.data);
    assert_int_not_equal(shell(command), 0);
    assert_int_equal(unlink(path.data), 0);
    assert_int_equal(rmdir(folder), 0);
}

/* A certificate's line as far as the client looks: type, nonce, key, and some bytes. */
static struct str certificate(const char *type, const uint8_t *public_key, size_t cut)
{
    struct buf blob;
    struct buf line;
    struct str text;

    buf_init(&blob, 1024);
    buf_init(&line, 2048);
    buf_add_sized(&blob, str_from(type));
    buf_add_sized(&blob, STR("nonce"));
    buf_add_sized(&blob, (struct str){ (const char *)public_key, SSH_KEY_LEN });
    buf_add_text(&line, CERTIFICATE_TYPE " ");
    buf_add_base64(&line, str_slice(buf_str(&blob), 0, blob.len - cut));
    text = arena_copy(arena, buf_str(&line));
    buf_release(&blob);
    buf_release(&line);
    return text;
}

static bool add(struct str line, struct buf *out, struct error *error)
{
    buf_init(out, (size_t)16 * 1024);
    return ssh_key_add_agent_message(&key, line, STR("fleet"), 600, out, error);
}

static void the_agents_message_is_laid_out_as_the_draft_says(void **state)
{
    struct error error = { 0 };
    struct buf message;
    const uint8_t *end;

    (void)state;
    assert_true(add(certificate(CERTIFICATE_TYPE, key.public_key, 0), &message, &error));
    assert_int_equal((uint8_t)message.data[0], 25);
    assert_memory_equal(message.data + 1, "\0\0\0\x20" CERTIFICATE_TYPE, 36);
    end = (const uint8_t *)message.data + message.len;
    /* string private (seed, public key), string comment, constraint 1, u32 lifetime */
    assert_memory_equal(end - 5, "\x01\0\0\x02\x58", 5);
    assert_memory_equal(end - 5 - 9,
                        "\0\0\0\x05"
                        "fleet",
                        9);
    assert_memory_equal(end - 5 - 9 - 32, key.public_key, 32);
    assert_memory_equal(end - 5 - 9 - 64, key.seed.data, 32);
    assert_memory_equal(end - 5 - 9 - 68, "\0\0\0\x40", 4);
    buf_release(&message);
}

static void certificates_that_are_not_ours_are_refused(void **state)
{
    uint8_t other[SSH_KEY_LEN] = { 0 };
    const struct {
        struct str line;
        enum error_code code;
    } cases[] = {
        { certificate(CERTIFICATE_TYPE, other, 0), ERROR_INVALID },
        { certificate("ssh-rsa-cert-v01@openssh.com", key.public_key, 0), ERROR_INVALID },
        { certificate(CERTIFICATE_TYPE, key.public_key, 1), ERROR_SYNTAX },
        { certificate(CERTIFICATE_TYPE, key.public_key, 40), ERROR_SYNTAX },
        { ssh_key_line(&key, arena), ERROR_INVALID },
        { STR(CERTIFICATE_TYPE), ERROR_SYNTAX },
        { STR(CERTIFICATE_TYPE " not-base64"), ERROR_SYNTAX },
        { STR(CERTIFICATE_TYPE " /////w=="), ERROR_SYNTAX },
        { STR(""), ERROR_INVALID },
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error = { 0 };
        struct buf message;

        assert_false(add(cases[i].line, &message, &error));
        assert_int_equal(error.code, cases[i].code);
        assert_int_equal(message.len, 0);
        buf_release(&message);
    }
}

static void a_certificates_line_is_at_most_8_kib(void **state)
{
    static char line[SSH_CERTIFICATE_MAX + 1];
    struct error error = { 0 };
    struct buf message;

    (void)state;
    memset(line, 'A', sizeof(line));
    memcpy(line, CERTIFICATE_TYPE " ", sizeof(CERTIFICATE_TYPE));
    assert_false(add((struct str){ line, sizeof(line) }, &message, &error));
    assert_int_equal(error.code, ERROR_LIMIT);
    buf_release(&message);
    error = (struct error){ 0 };
    assert_false(add((struct str){ line, sizeof(line) - 1 }, &message, &error));
    assert_int_not_equal(error.code, ERROR_LIMIT);
    buf_release(&message);
}

/* NOLINTEND(concurrency-mt-unsafe,cert-env33-c) */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_broker_takes_our_signature),
        cmocka_unit_test(a_signature_is_for_one_message_namespace_and_key),
        cmocka_unit_test(openssh_takes_our_signature),
        cmocka_unit_test(the_agents_message_is_laid_out_as_the_draft_says),
        cmocka_unit_test(certificates_that_are_not_ours_are_refused),
        cmocka_unit_test(a_certificates_line_is_at_most_8_kib),
    };

    return cmocka_run_group_tests(tests, make_key, free_key);
}
