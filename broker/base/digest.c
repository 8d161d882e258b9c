/*
 * Fetching an algorithm takes a lock and allocating a context takes time, so each algorithm is
 * fetched once for the process and each thread keeps one context an algorithm.
 */
#include "base/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/macros.h"
#include "base/secret.h"

#define SHA256_BLOCK_LEN 64

enum algorithm {
    ALGORITHM_SHA256,
    ALGORITHM_SHA384,
    ALGORITHM_SHA512,
    ALGORITHM_COUNT
};

static const char *const algorithm_names[ALGORITHM_COUNT] = {
    [ALGORITHM_SHA256] = "SHA256",
    [ALGORITHM_SHA384] = "SHA384",
    [ALGORITHM_SHA512] = "SHA512",
};

static pthread_once_t digest_once = PTHREAD_ONCE_INIT;
static EVP_MD *algorithms[ALGORITHM_COUNT]; /* set under digest_once, immutable afterwards */
static pthread_key_t contexts_key;          /* a thread's contexts, freed when it ends */

/* A thread's contexts. */
struct contexts {
    EVP_MD_CTX *of[ALGORITHM_COUNT];
};

/* Without SHA-256 there is no broker, and nothing that a caller could do. */
static _Noreturn void give_up(const char *what)
{
    (void)fprintf(stderr, "level=error event=digest.failed cause=\"%s\"\n", what);
    abort();
}

static void contexts_free(void *object)
{
    struct contexts *contexts = object;

    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        EVP_MD_CTX_free(contexts->of[i]);
    free(contexts);
}

static void digest_start(void)
{
    for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
        algorithms[i] = EVP_MD_fetch(NULL, algorithm_names[i], NULL);
        if (algorithms[i] == NULL)
            give_up("libcrypto has no SHA-2");
    }
    if (pthread_key_create(&contexts_key, contexts_free) != 0)
        give_up("no thread key is left");
}

static struct contexts *contexts_new(void)
{
    struct contexts *contexts = calloc(1, sizeof(*contexts));

    if (contexts == NULL)
        give_up("no memory");
    for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
        contexts->of[i] = EVP_MD_CTX_new();
        if (contexts->of[i] == NULL)
            give_up("no memory");
    }
    if (pthread_setspecific(contexts_key, contexts) != 0)
        give_up("no memory");
    return contexts;
}

static EVP_MD_CTX *own_context(enum algorithm algorithm)
{
    struct contexts *contexts;

    if (pthread_once(&digest_once, digest_start) != 0)
        give_up("pthread_once");
    contexts = pthread_getspecific(contexts_key);
    if (contexts == NULL)
        contexts = contexts_new();
    return contexts->of[algorithm];
}

static void digest(enum algorithm algorithm, struct str first, struct str second, uint8_t *out)
{
    EVP_MD_CTX *context = own_context(algorithm);

    if (EVP_DigestInit_ex2(context, algorithms[algorithm], NULL) != 1 ||
        EVP_DigestUpdate(context, first.data, first.len) != 1 ||
        EVP_DigestUpdate(context, second.data, second.len) != 1 ||
        EVP_DigestFinal_ex(context, out, NULL) != 1)
        give_up("libcrypto failed");
}

void sha256(struct str bytes, uint8_t out[SHA256_LEN])
{
    digest(ALGORITHM_SHA256, bytes, STR(""), out);
}

void sha256_2(struct str first, struct str second, uint8_t out[SHA256_LEN])
{
    digest(ALGORITHM_SHA256, first, second, out);
}

/* A key that is longer than a block counts as its digest. */
void hmac_sha256(struct str key, struct str message, uint8_t out[SHA256_LEN])
{
    uint8_t inner[SHA256_BLOCK_LEN] = { 0 };
    uint8_t outer[SHA256_BLOCK_LEN];
    uint8_t between[SHA256_LEN];

    if (key.len > sizeof(inner))
        sha256(key, inner);
    else if (key.len > 0)
        memcpy(inner, key.data, key.len);
    for (size_t i = 0; i < sizeof(inner); i++) {
        outer[i] = inner[i] ^ 0x5c;
        inner[i] ^= 0x36;
    }
    sha256_2((struct str){ (const char *)inner, sizeof(inner) }, message, between);
    sha256_2((struct str){ (const char *)outer, sizeof(outer) },
             (struct str){ (const char *)between, sizeof(between) }, out);
    secret_wipe(inner, sizeof(inner));
    secret_wipe(outer, sizeof(outer));
}

void sha384(struct str bytes, uint8_t out[SHA384_LEN])
{
    digest(ALGORITHM_SHA384, bytes, STR(""), out);
}

void sha512(struct str bytes, uint8_t out[SHA512_LEN])
{
    digest(ALGORITHM_SHA512, bytes, STR(""), out);
}

/* CRC-32C: the polynomial, its bits reversed. */
#define CRC32C_POLYNOMIAL 0x82f63b78u

/* crc_table[k][b]: what byte `b` adds when k more bytes follow it in the same step of eight. */
static uint32_t crc_table[8][256]; /* set under crc_once, immutable afterwards */
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void crc_start(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (size_t bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ ((crc & 1) != 0 ? CRC32C_POLYNOMIAL : 0);
        crc_table[0][byte] = crc;
    }
    for (size_t k = 1; k < 8; k++) {
        for (size_t byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[k - 1][byte];

            crc_table[k][byte] = before >> 8 ^ crc_table[0][before & 0xff];
        }
    }
}

static uint32_t crc_eight(uint32_t crc, const uint8_t *bytes)
{
    uint8_t mixed[4];

    for (size_t i = 0; i < sizeof(mixed); i++)
        mixed[i] = (uint8_t)(bytes[i] ^ crc >> (8 * i));
    return crc_table[7][mixed[0]] ^ crc_table[6][mixed[1]] ^ crc_table[5][mixed[2]] ^
           crc_table[4][mixed[3]] ^ crc_table[3][bytes[4]] ^ crc_table[2][bytes[5]] ^
           crc_table[1][bytes[6]] ^ crc_table[0][bytes[7]];
}

#if defined(__x86_64__)

#define HAS_CRC_INSTRUCTION __builtin_cpu_supports("sse4.2")

/*
 * The instruction takes three cycles, but one can begin in each: three pieces of a text are read
 * beside each other, and put together by what the first one's checksum becomes when as many zeros
 * follow as the next one has bytes.
 */
#define LANE_LEN ((size_t)512)

/* lane_table[k][b]: what byte k of a checksum, being b, becomes so. */
static uint32_t lane_table[4][256]; /* set under lane_once, immutable afterwards */
static pthread_once_t lane_once = PTHREAD_ONCE_INIT;

__attribute__((target("sse4.2"))) static void lane_start(void)
{
    for (size_t k = 0; k < 4; k++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint64_t wide = byte << 8 * k;

            for (size_t i = 0; i < LANE_LEN / sizeof(wide); i++)
                wide = __builtin_ia32_crc32di(wide, 0);
            lane_table[k][byte] = (uint32_t)wide;
        }
    }
}

/* What a checksum becomes when as many zeros follow as a lane has bytes. */
static uint64_t behind_lane(uint64_t wide)
{
    uint32_t crc = (uint32_t)wide;

    return lane_table[0][crc & 0xff] ^ lane_table[1][crc >> 8 & 0xff] ^
           lane_table[2][crc >> 16 & 0xff] ^ lane_table[3][crc >> 24];
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

__attribute__((target("sse4.2"))) static uint64_t crc_three_lanes(uint64_t wide, const uint8_t *at)
{
    uint64_t second = 0;
    uint64_t third = 0;

    for (size_t i = 0; i < LANE_LEN; i += sizeof(wide)) {
        wide = __builtin_ia32_crc32di(wide, word_at(at + i));
        second = __builtin_ia32_crc32di(second, word_at(at + LANE_LEN + i));
        third = __builtin_ia32_crc32di(third, word_at(at + 2 * LANE_LEN + i));
    }
    return behind_lane(behind_lane(wide) ^ second) ^ third;
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc,
                                                                     const uint8_t *at, size_t left)
{
    uint64_t wide = crc;

    if (left >= 3 * LANE_LEN && pthread_once(&lane_once, lane_start) != 0)
        give_up("pthread_once");
    for (; left >= 3 * LANE_LEN; left -= 3 * LANE_LEN, at += 3 * LANE_LEN)
        wide = crc_three_lanes(wide, at);
    for (; left >= sizeof(wide); left -= sizeof(wide), at += sizeof(wide))
        wide = __builtin_ia32_crc32di(wide, word_at(at));
    crc = (uint32_t)wide;
    for (; left > 0; left--, at++)
        crc = __builtin_ia32_crc32qi(crc, *at);
    return crc;
}

#else

#define HAS_CRC_INSTRUCTION false

static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *at, size_t left)
{
    (void)at;
    (void)left;
    return crc;
}

#endif

uint32_t crc32c(uint32_t seed, struct str bytes)
{
    if (HAS_CRC_INSTRUCTION)
        return ~crc_by_instruction(~seed, (const uint8_t *)bytes.data, bytes.len);
    return crc32c_portable(seed, bytes);
}

uint32_t crc32c_portable(uint32_t seed, struct str bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.data;
    size_t left = bytes.len;
    uint32_t crc = ~seed;

    if (pthread_once(&crc_once, crc_start) != 0)
        give_up("pthread_once");
    for (; left >= 8; left -= 8, at += 8)
        crc = crc_eight(crc, at);
    for (; left > 0; left--, at++)
        crc = crc >> 8 ^ crc_table[0][(uint8_t)(crc ^ *at)];
    return ~crc;
}

struct str sha256_tag(struct str text, size_t len, struct arena *arena)
{
    OWNED(buf_release) struct buf hex = { 0 };
    uint8_t digest[SHA256_LEN];

    sha256(text, digest);
    buf_init(&hex, 2 * len);
    buf_add_hex(&hex, (struct str){ (const char *)digest, len });
    return buf_is_ok(&hex) ? arena_copy(arena, buf_str(&hex)) : (struct str){ 0 };
}
