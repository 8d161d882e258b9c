/*
 * Signatures a second by keys in a folder, and in a PKCS#11 token where its URI is given: one
 * thread, and as many as sign for the broker. What a token signs is verified, too, as the broker
 * does.
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "keys/keys.h"

#define THREADS_MAX 8
#define RUN_NS (INT64_C(2) * 1000000000)
#define MESSAGE "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhY21lL3BheW1lbnRzOmRlcGxveS1wcm9kIn0"

static const struct {
    const char *name;
    const char *key;
    enum key_algorithm algorithm;
} rows[] = {
    { "ES256", "bench-es256", KEY_ES256 },
    { "RS256", "bench-rs256", KEY_RS256 },
    { "Ed25519", "bench-ed25519", KEY_ED25519 },
};

struct runner {
    struct key *key;
    int64_t count;
    pthread_t thread;
};

static void fail(const struct error *error)
{
    (void)fprintf(stderr, "bench_keys: %s\n", error->cause);
    exit(EXIT_FAILURE);
}

static void *sign_for_a_while(void *argument)
{
    struct runner *runner = argument;
    int64_t until_ns = clock_monotonic_ns() + RUN_NS;
    uint8_t signature[KEY_SIGNATURE_MAX];
    struct error error = { 0 };
    size_t len;

    for (; clock_monotonic_ns() < until_ns; runner->count++)
        if (!key_sign(runner->key, STR(MESSAGE), signature, &len, &error))
            fail(&error);
    return NULL;
}

static int64_t rate(struct key *key, size_t thread_count)
{
    struct runner runners[THREADS_MAX] = { 0 };
    int64_t start_ns = clock_monotonic_ns();
    int64_t count = 0;

    for (size_t i = 0; i < thread_count; i++) {
        runners[i].key = key;
        if (pthread_create(&runners[i].thread, NULL, sign_for_a_while, &runners[i]) != 0)
            abort();
    }
    for (size_t i = 0; i < thread_count; i++) {
        (void)pthread_join(runners[i].thread, NULL);
        count += runners[i].count;
    }
    return count * 1000000000 / (clock_monotonic_ns() - start_ns);
}

static void measure(const char *where, struct keys *keys)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct error error = { 0 };
        struct key *key = NULL;

        if (!keys_named(keys, str_from(rows[i].key), rows[i].algorithm, &key, &error))
            fail(&error);
        printf("%-8s %-8s %8" PRId64 "/s with 1 thread, %8" PRId64 "/s with %d\n", where,
               rows[i].name, rate(key, 1), rate(key, THREADS_MAX), THREADS_MAX);
    }
}

static void measure_at(const char *where, const char *folder, const char *token)
{
    struct keys_options options = { .directory = folder,
                                    .issuer_algorithm = KEY_ES256,
                                    .rotate_every_s = 30 * KEYS_LEAD_S,
                                    .token = token };
    struct error error = { 0 };
    struct keys *keys = NULL;

    if (!keys_open(&options, clock_wall_s(), &keys, &error))
        fail(&error);
    measure(where, keys);
    keys_close(keys);
}

int main(int argument_count, char **arguments)
{
    if (argument_count < 2 || argument_count > 4) {
        (void)fprintf(stderr, "usage: bench_keys FOLDER [FOLDER PKCS11_URI]\n");
        return EXIT_FAILURE;
    }
    measure_at("folder", arguments[1], NULL);
    if (argument_count == 4)
        measure_at("token", arguments[2], arguments[3]);
    return EXIT_SUCCESS;
}
