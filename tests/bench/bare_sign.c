#include "bare_sign.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/clock.h"
#include "base/macros.h"

#define THREADS_MAX 64
#define ROUND_MAX 8
#define SPAN_NS (INT64_C(500) * 1000 * 1000)
#define SIGNATURE_MAX 512

/* A key on one thread. */
struct signer {
    EVP_PKEY *key;
    EVP_PKEY_CTX *context; /* of digests; NULL: Ed25519, which signs the message itself */
    EVP_MD_CTX *message;
};

struct worker {
    pthread_t thread;
    struct str algorithms;
    bool is_good;
    size_t rounds;
    int64_t cpu_ns;
};

static bool open_digest(struct signer *signer, bool is_rsa)
{
    signer->key = is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    signer->context = signer->key ? EVP_PKEY_CTX_new(signer->key, NULL) : NULL;
    return signer->context && EVP_PKEY_sign_init(signer->context) == 1 &&
           (!is_rsa || EVP_PKEY_CTX_set_rsa_padding(signer->context, RSA_PKCS1_PADDING) == 1) &&
           EVP_PKEY_CTX_set_signature_md(signer->context, EVP_sha256()) == 1;
}

static bool open_signer(struct signer *signer, struct str algorithm)
{
    if (str_eq(algorithm, STR("ES256")) || str_eq(algorithm, STR("RS256")))
        return open_digest(signer, str_eq(algorithm, STR("RS256")));
    signer->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    signer->message = EVP_MD_CTX_new();
    return str_eq(algorithm, STR("Ed25519")) && signer->key && signer->message;
}

static void close_signer(struct signer *signer)
{
    EVP_MD_CTX_free(signer->message);
    EVP_PKEY_CTX_free(signer->context);
    EVP_PKEY_free(signer->key);
}

static bool sign(const struct signer *signer)
{
    static const uint8_t digest[32] = { 1 };
    static const uint8_t message[500] = { 1 };
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof(signature);

    if (signer->context)
        return EVP_PKEY_sign(signer->context, signature, &len, digest, sizeof(digest)) == 1;
    return EVP_DigestSignInit(signer->message, NULL, NULL, NULL, signer->key) == 1 &&
           EVP_DigestSign(signer->message, signature, &len, message, sizeof(message)) == 1;
}

static int64_t cpu_ns(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool sign_rounds(struct worker *worker, const struct signer *signers, size_t count)
{
    int64_t end_ns = clock_monotonic_ns() + SPAN_NS;
    int64_t started_ns = cpu_ns();

    while (clock_monotonic_ns() < end_ns) {
        for (size_t i = 0; i < count; i++)
            if (!sign(&signers[i]))
                return false;
        worker->rounds++;
    }
    worker->cpu_ns = cpu_ns() - started_ns;
    return true;
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    struct signer signers[ROUND_MAX] = { 0 };
    struct str rest = worker->algorithms;
    size_t count = 0;
    bool is_good = true;

    while (is_good && rest.len > 0 && count < ROUND_MAX) {
        struct str algorithm;

        (void)str_cut(rest, ' ', &algorithm, &rest);
        is_good = open_signer(&signers[count++], algorithm);
    }
    worker->is_good = is_good && sign_rounds(worker, signers, count);
    for (size_t i = 0; i < count; i++)
        close_signer(&signers[i]);
    return NULL;
}

bool bare_sign_measure(struct str algorithms, struct bare_sign *measured)
{
    struct worker workers[THREADS_MAX] = { 0 };
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores > 0 && cores <= THREADS_MAX ? (size_t)cores : 1;
    size_t started = 0;
    size_t rounds = 0;
    int64_t spent_ns = 0;
    bool is_good = true;

    for (; started < count; started++) {
        workers[started].algorithms = algorithms;
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(workers[i].thread, NULL);
        is_good = is_good && workers[i].is_good;
        rounds += workers[i].rounds;
        spent_ns += workers[i].cpu_ns;
    }
    if (!is_good || started < count || rounds == 0)
        return false;
    measured->rate_per_s = (double)rounds * 1e9 / (double)SPAN_NS;
    measured->cpu_us = (double)spent_ns / 1e3 / (double)rounds;
    return true;
}
