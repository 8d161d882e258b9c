#include "sign.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "claims.h"
#include "options.h"
#include "platform.h"

#define THREADS_MAX 64
/** Fewer tokens than this are not worth a thread. */
#define TOKENS_PER_THREAD_MIN 64
#define TOKEN_ARENA_MAX ((size_t)64 * 1024)
#define PATH_ARENA_MAX ((size_t)16 * 1024)
/** Keys of an issuer that lives for a test do not rotate. */
#define ROTATE_EVERY_S ((int64_t)3650 * 24 * 3600)

bool sign_open_keys(const struct options *options, int64_t now_s, struct keys **keys,
                    struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(PATH_ARENA_MAX);
    struct keys_options keys_options = {
        .directory = arena == NULL ? NULL : file_join(arena, options->folder, "keys"),
        .issuer_algorithm = options->algorithm,
        .rotate_every_s = ROTATE_EVERY_S,
    };

    if (keys_options.directory == NULL)
        return error_set(error, ERROR_MEMORY, "keys");
    return keys_open(&keys_options, now_s, keys, error);
}

/* What the threads share. */
struct batch {
    struct keys *keys;
    FILE *out;
    bool keeps_jti;
    _Atomic int64_t left; /* tokens that nobody has taken on yet */
};

struct signer {
    pthread_t thread;
    struct batch *batch;
    json_t *claims; /* its own copy */
    struct error error;
};

/* One write a line: stdio locks the stream for each. */
static bool write_line(FILE *out, struct str line, struct error *error)
{
    return fwrite(line.data, 1, line.len, out) == line.len ||
           error_set_errno(error, "write a token");
}

static bool sign_one(struct signer *signer)
{
    OWNED(arena_free) struct arena *arena = arena_new(TOKEN_ARENA_MAX);
    struct error *error = &signer->error;
    struct str token;

    if (arena == NULL)
        return error_set(error, ERROR_MEMORY, "a token");
    if (!signer->batch->keeps_jti && !claims_renew_jti(signer->claims, error))
        return false;
    if (!keys_sign_jwt(signer->batch->keys, SIGN_TYP, signer->claims, arena, &token, error))
        return false;
    token = arena_printf(arena, STR_FMT "\n", STR_ARG(token));
    if (token.data == NULL)
        return error_set(error, ERROR_MEMORY, "a token");
    return write_line(signer->batch->out, token, error);
}

static void *sign_share(void *context)
{
    struct signer *signer = context;

    while (atomic_fetch_sub(&signer->batch->left, 1) > 0)
        if (!sign_one(signer)) {
            atomic_store(&signer->batch->left, 0); /* the others stop as well */
            break;
        }
    return NULL;
}

static size_t thread_count(int64_t token_count)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t useful = token_count / TOKENS_PER_THREAD_MIN + 1;
    size_t count = cores < 1 ? 1 : (size_t)cores;

    if (count > THREADS_MAX)
        count = THREADS_MAX;
    return (int64_t)count < useful ? count : (size_t)useful;
}

/* How many could be started; at least the caller's own thread works. */
static size_t start(struct signer *signers, size_t count, struct batch *batch, const json_t *claims)
{
    size_t started = 0;

    for (; started < count; started++) {
        struct signer *signer = &signers[started];

        *signer = (struct signer){ .batch = batch, .claims = json_deep_copy(claims) };
        if (signer->claims == NULL ||
            pthread_create(&signer->thread, NULL, sign_share, signer) != 0) {
            json_decref(signer->claims);
            break;
        }
    }
    return started;
}

static bool sign_all(struct batch *batch, json_t *claims, struct error *error)
{
    struct signer signers[THREADS_MAX];
    struct signer own = { .batch = batch, .claims = claims };
    size_t count = start(signers, thread_count(batch->left) - 1, batch, claims);
    bool is_good;

    (void)sign_share(&own);
    is_good = own.error.code == ERROR_NONE;
    if (!is_good)
        (void)error_set(error, own.error.code, "%s", own.error.cause);
    for (size_t i = 0; i < count; i++) {
        (void)pthread_join(signers[i].thread, NULL); /* it was started */
        json_decref(signers[i].claims);
        if (is_good && signers[i].error.code != ERROR_NONE)
            is_good = error_set(error, signers[i].error.code, "%s", signers[i].error.cause);
    }
    return is_good;
}

bool sign_run(const struct options *options, int64_t now_s, FILE *out, struct error *error)
{
    OWNED(keys_close) struct keys *keys = NULL;
    JSON_OWNED json_t *claims = NULL;
    struct claims_recipe recipe = {
        .profile = options->profile,
        .file = options->claims_file,
        .issuer = options->url,
        .audience = options->audience,
        .changes = options->changes,
        .change_count = options->change_count,
        .lifetime_s = options->lifetime_s,
    };
    struct batch batch = {
        .out = out,
        .keeps_jti = claims_has_change(&recipe, "jti") || !platform_has_jti(options->profile),
        .left = options->count,
    };

    if (!claims_build(&recipe, now_s, &claims, error) ||
        !sign_open_keys(options, now_s, &keys, error))
        return false;
    batch.keys = keys;
    return sign_all(&batch, claims, error) &&
           (fflush(out) == 0 || error_set_errno(error, "write tokens"));
}
