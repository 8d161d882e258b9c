#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "fixture.h"
#include "keys/ssh.h"
#include "targets/ssh_certificate.h"
#include "tests/test.h"

#define USER_LINE                                                                                  \
    "ssh-ed25519 "                                                                                 \
    "AAAAC3NzaC1lZDI1NTE5AAAAIOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs test"

/* A certificate whose every byte but nonce, key, CA and signature is known. */
struct sample {
    struct fixture fixture;
    struct key *ca;
    struct ssh_public_key key;
    struct ssh_certificate certificate;
};

static const struct str principals[] = { { "deploy", 6 }, { "ops", 3 } };
static const struct str extensions[] = { { "permit-pty", 10 } };

static int set_up(void **state)
{
    static struct sample sample;
    struct fixture *fixture = &sample.fixture;

    fixture_init(fixture);
    assert_true(keys_named(fixture->keys, STR("ssh-ca"), KEY_ED25519, &sample.ca, &fixture->error));
    assert_true(ssh_public_key_parse(STR(USER_LINE), fixture->arena, &sample.key, &fixture->error));
    sample.certificate = (struct ssh_certificate){
        .key = &sample.key,
        .serial = 7,
        .key_id = STR("broker:run/9988"),
        .principals = { principals, 2 },
        .valid_after_s = 1767225600,
        .valid_before_s = 1767229200,
        .force_command = STR("/usr/bin/true"),
        .source_address = STR("192.0.2.0/24"),
        .extensions = { extensions, 1 },
    };
    *state = &sample;
    return 0;
}

static int tear_down(void **state)
{
    struct sample *sample = *state;

    fixture_release(&sample->fixture);
    return 0;
}

/* Sign it and give the blob. */
static struct str blob_of(struct sample *sample)
{
    struct fixture *fixture = &sample->fixture;
    struct str line;
    struct str type;
    struct str base64;
    struct str comment;
    uint8_t *bytes;
    size_t len = 0;

    if (!ssh_certificate_sign(&sample->certificate, sample->ca, STR("comment"), fixture->arena,
                              &line, &fixture->error))
        fail_msg("%s", fixture->error.cause);
    assert_true(str_cut(line, ' ', &type, &base64));
    assert_true(str_cut(base64, ' ', &base64, &comment));
    assert_true(str_eq(comment, STR("comment")));
    bytes = arena_alloc(fixture->arena, BASE64_DECODED_MAX(base64.len));
    assert_true(base64_decode(base64, bytes, &len));
    return (struct str){ (const char *)bytes, len };
}

static void assert_hex_at(struct str blob, size_t offset, const char *hex)
{
    uint8_t expected[512];
    size_t len = strlen(hex) / 2;

    assert_true(hex_decode(str_from(hex), expected));
    assert_true(offset + len <= blob.len);
    assert_memory_equal(blob.data + offset, expected, len);
}

static void every_field_stands_where_openssh_reads_it(void **state)
{
    struct sample *sample = *state;
    struct str blob = blob_of(sample);

    assert_int_equal(blob.len, 424);
    assert_memory_equal(blob.data, "\0\0\0\x20ssh-ed25519-cert-v01@openssh.com", 36);
    assert_hex_at(blob, 36, "00000020");         /* nonce */
    assert_hex_at(blob, 72, "00000020ea4a6c63"); /* the user's key */
    assert_hex_at(blob, 108, "0000000000000007");
    assert_hex_at(blob, 116, "00000001"); /* a user's, not a host's */
    assert_memory_equal(blob.data + 120,
                        "\0\0\0\x0f"
                        "broker:run/9988",
                        19);
    assert_memory_equal(blob.data + 139, "\0\0\0\x11\0\0\0\6deploy\0\0\0\3ops", 21);
    assert_hex_at(blob, 160, "000000006955b900");
    assert_hex_at(blob, 168, "000000006955c710");
    assert_memory_equal(blob.data + 176,
                        "\0\0\0\x4c\0\0\0\x0d"
                        "force-command\0\0\0\x11\0\0\0\x0d/usr/bin/true"
                        "\0\0\0\x0esource-address\0\0\0\x10\0\0\0\x0c"
                        "192.0.2.0/24",
                        80);
    assert_memory_equal(blob.data + 256, "\0\0\0\x12\0\0\0\x0apermit-pty\0\0\0\0", 22);
    assert_hex_at(blob, 278, "00000000"); /* reserved */
    assert_memory_equal(blob.data + 282, "\0\0\0\x33\0\0\0\x0bssh-ed25519\0\0\0\x20", 23);
    assert_memory_equal(blob.data + 337, "\0\0\0\x53\0\0\0\x0bssh-ed25519\0\0\0\x40", 23);
}

static void the_signature_covers_all_that_stands_before_it(void **state)
{
    struct sample *sample = *state;
    struct fixture *fixture = &sample->fixture;
    struct str blob = blob_of(sample);
    uint8_t raw[65];
    size_t len = 0;
    uint8_t signature[KEY_SIGNATURE_MAX];

    assert_true(key_public_raw(sample->ca, raw, &len, &fixture->error));
    assert_memory_equal(blob.data + 305, raw, 32);
    assert_true(key_sign(sample->ca, str_slice(blob, 0, 337), signature, &len, &fixture->error));
    assert_memory_equal(blob.data + 360, signature, 64); /* Ed25519 has one signature a message */
}

static void two_certificates_have_two_nonces(void **state)
{
    struct sample *sample = *state;
    struct str first = blob_of(sample);
    struct str second = blob_of(sample);

    assert_memory_not_equal(first.data + 40, second.data + 40, 32);
}

static void without_options_both_lists_are_empty(void **state)
{
    struct sample *sample = *state;
    struct str blob;

    sample->certificate.force_command = STR("");
    sample->certificate.source_address = STR("");
    sample->certificate.extensions.count = 0;
    blob = blob_of(sample);
    assert_hex_at(blob, 176, "000000000000000000000000"); /* critical, extensions, reserved */
}

static void refused(struct sample *sample)
{
    struct fixture *fixture = &sample->fixture;
    struct str line = { 0 };

    assert_false(ssh_certificate_sign(&sample->certificate, sample->ca, STR("c"), fixture->arena,
                                      &line, &fixture->error));
    assert_int_equal(fixture->error.code, ERROR_MINT);
    assert_null(line.data);
    fixture->error = (struct error){ 0 };
}

static void nothing_is_signed_without_principals(void **state)
{
    struct sample *sample = *state;

    sample->certificate.principals.count = 0;
    refused(sample);
}

static void nothing_is_signed_without_a_bounded_life(void **state)
{
    struct sample *sample = *state;

    sample->certificate.valid_before_s = sample->certificate.valid_after_s;
    refused(sample);
    sample->certificate.valid_before_s = -1; /* 2^64 - 1: for ever */
    refused(sample);
    sample->certificate.valid_before_s = 1767229200;
    sample->certificate.valid_after_s = 0; /* always */
    refused(sample);
}

static void nothing_is_signed_for_a_key_without_certificates(void **state)
{
    struct sample *sample = *state;

    sample->key.type = STR("ssh-rsa");
    refused(sample);
}

static void nothing_is_signed_by_a_key_that_is_no_ed25519(void **state)
{
    struct sample *sample = *state;
    struct fixture *fixture = &sample->fixture;

    assert_true(
        keys_named(fixture->keys, STR("other-ca"), KEY_ES256, &sample->ca, &fixture->error));
    refused(sample);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_field_stands_where_openssh_reads_it),
        TEST(the_signature_covers_all_that_stands_before_it),
        TEST(two_certificates_have_two_nonces),
        TEST(without_options_both_lists_are_empty),
        TEST(nothing_is_signed_without_principals),
        TEST(nothing_is_signed_without_a_bounded_life),
        TEST(nothing_is_signed_for_a_key_without_certificates),
        TEST(nothing_is_signed_by_a_key_that_is_no_ed25519),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
