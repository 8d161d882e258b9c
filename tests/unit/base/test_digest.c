#include <pthread.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "tests/test.h"

static void assert_hex(const uint8_t *digest, size_t len, const char *expected)
{
    uint8_t bytes[SHA512_LEN];

    assert_int_equal(strlen(expected), len * 2);
    assert_true(hex_decode(str_from(expected), bytes));
    assert_memory_equal(digest, bytes, len);
}

/* FIPS 180-4's examples. */
static void sha256_gives_the_standards_values(void **state)
{
    uint8_t out[SHA256_LEN];

    (void)state;
    sha256(STR("abc"), out);
    assert_hex(out, sizeof(out),
               "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256((struct str){ 0 }, out);
    assert_hex(out, sizeof(out),
               "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void sha512_gives_the_standards_value(void **state)
{
    uint8_t out[SHA512_LEN];

    (void)state;
    sha512(STR("abc"), out);
    assert_hex(out, sizeof(out),
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void two_pieces_hash_like_one(void **state)
{
    uint8_t whole[SHA256_LEN];
    uint8_t pieces[SHA256_LEN];

    (void)state;
    sha256(STR("abc"), whole);
    sha256_2(STR("a"), STR("bc"), pieces);
    assert_memory_equal(pieces, whole, SHA256_LEN);
    sha256_2(STR(""), STR("abc"), pieces);
    assert_memory_equal(pieces, whole, SHA256_LEN);
    sha256_2(STR("ab"), STR("bc"), pieces);
    assert_memory_not_equal(pieces, whole, SHA256_LEN);
}

static void hmac_sha256_gives_the_rfcs_values(void **state)
{
    char key[131];
    uint8_t out[SHA256_LEN];

    (void)state;
    /* RFC 4231 4.3, 4.7: a short key, and one longer than a block */
    hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_hex(out, sizeof(out),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    hmac_sha256((struct str){ key, sizeof(key) },
                STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_hex(out, sizeof(out),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void *hash_many_times(void *object)
{
    uint8_t *out = object;

    sha256(STR("0"), out);
    for (size_t i = 0; i < 1000; i++)
        sha256((struct str){ (const char *)out, SHA256_LEN }, out);
    return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
    uint8_t expected[SHA256_LEN];
    uint8_t outs[4][SHA256_LEN];
    pthread_t threads[4];

    (void)state;
    (void)hash_many_times(expected);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_many_times, outs[i]), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_memory_equal(outs[i], expected, SHA256_LEN);
    }
}

/* RFC 3720 B.4 */
static void crc32c_gives_the_rfcs_values(void **state)
{
    char bytes[32] = { 0 };

    (void)state;
    assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, (struct str){ bytes, 32 }), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(crc32c(0, (struct str){ bytes, 32 }), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    assert_int_equal(crc32c(0, (struct str){ bytes, 32 }), 0x46dd794e);
    assert_int_equal(crc32c(0, (struct str){ 0 }), 0);
}

static void crc32c_is_the_same_with_and_without_the_instruction(void **state)
{
    uint8_t bytes[67];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 151 + 7);
    for (size_t from = 0; from < 9; from++) {
        for (size_t to = from; to <= sizeof(bytes); to++) {
            struct str part = { (const char *)bytes + from, to - from };

            assert_int_equal(crc32c(0, part), crc32c_portable(0, part));
            assert_int_equal(crc32c(0x12345678, part), crc32c_portable(0x12345678, part));
        }
    }
    assert_int_equal(crc32c_portable(0, STR("123456789")), 0xe3069283);
}

/* What is long is read in three pieces at once, of 1536 bytes together. */
static void crc32c_of_long_texts_is_the_same_too(void **state)
{
    static uint8_t bytes[8 + 3 * 1536 + 9];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * i >> 3 ^ i * 151);
    for (size_t from = 0; from < 8; from++) {
        for (size_t len = 1536 - 9; from + len <= sizeof(bytes);
             len += len % 1536 == 9 ? 1536 - 18 : 1) {
            struct str part = { (const char *)bytes + from, len };

            assert_int_equal(crc32c(0x12345678, part), crc32c_portable(0x12345678, part));
        }
    }
}

static void crc32c_goes_on_from_any_place(void **state)
{
    char bytes[40];
    struct str all = { bytes, sizeof(bytes) };

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t at = 0; at <= sizeof(bytes); at++) {
        uint32_t first = crc32c(0, str_slice(all, 0, at));

        assert_int_equal(crc32c(first, str_slice(all, at, all.len)), crc32c(0, all));
    }
}

static void crc32c_notices_every_flipped_bit(void **state)
{
    char bytes[20] = "a frame on the disk";
    struct str frame = { bytes, sizeof(bytes) };
    uint32_t good = crc32c(0, frame);

    (void)state;
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
        assert_int_not_equal(crc32c(0, frame), good);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_standards_values),
        cmocka_unit_test(sha512_gives_the_standards_value),
        cmocka_unit_test(hmac_sha256_gives_the_rfcs_values),
        cmocka_unit_test(two_pieces_hash_like_one),
        cmocka_unit_test(threads_do_not_disturb_each_other),
        cmocka_unit_test(crc32c_gives_the_rfcs_values),
        cmocka_unit_test(crc32c_is_the_same_with_and_without_the_instruction),
        cmocka_unit_test(crc32c_of_long_texts_is_the_same_too),
        cmocka_unit_test(crc32c_goes_on_from_any_place),
        cmocka_unit_test(crc32c_notices_every_flipped_bit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
