#include "tests/unit/identity/ci_issuer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct ci_issuer {
    struct peer *peer;
    char url[PEER_URL_MAX];
    char keys_url[PEER_URL_MAX];
    const char *jwks;

    pthread_mutex_t lock;
    struct ci_script script; /* guarded by lock, like all below */
    unsigned discoveries;
    unsigned key_fetches;
};

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void answer_discovery(const struct ci_issuer *issuer, const struct ci_script *script, int fd)
{
    const char *keys_url = script->keys_url != NULL ? script->keys_url : issuer->keys_url;
    size_t size = 4096 + script->filler_bytes;
    char *text = malloc(size);
    size_t len;

    must(text != NULL);
    if (script->discovery != NULL)
        (void)snprintf(text, size, "%s", script->discovery);
    else if (keys_url[0] == '\0')
        (void)snprintf(text, size, "{\"issuer\":\"%s\"}", issuer->url);
    else
        (void)snprintf(text, size, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s\"}",
                       script->issuer != NULL ? script->issuer : issuer->url, keys_url);
    len = strlen(text);
    memset(text + len, ' ', script->filler_bytes);
    text[len + script->filler_bytes] = '\0';
    peer_answer(fd, script->discovery_status != 0 ? script->discovery_status : 200,
                "Location: /jwks\r\n", text);
    free(text);
}

static bool answer(struct peer *peer, int fd, const char *request, void *context)
{
    struct ci_issuer *issuer = context;
    bool is_discovery =
        str_starts_with(str_from(request), STR("GET /.well-known/openid-configuration HTTP/1.1\r"));
    bool is_keys = str_starts_with(str_from(request), STR("GET /jwks HTTP/1.1\r"));
    struct ci_script script;

    pthread_mutex_lock(&issuer->lock);
    script = issuer->script;
    issuer->discoveries += is_discovery ? 1 : 0;
    issuer->key_fetches += is_keys ? 1 : 0;
    pthread_mutex_unlock(&issuer->lock);
    if (script.is_hanging)
        peer_hang(peer);
    if (is_discovery)
        answer_discovery(issuer, &script, fd);
    else if (is_keys)
        peer_answer(fd, script.keys_status != 0 ? script.keys_status : 200,
                    script.headers != NULL ? script.headers : "",
                    script.jwks != NULL ? script.jwks : issuer->jwks);
    else
        peer_answer(fd, 404, "", "");
    return true;
}

struct ci_issuer *ci_issuer_start(const char *jwks)
{
    struct ci_issuer *issuer = calloc(1, sizeof(*issuer));

    must(issuer != NULL);
    issuer->jwks = jwks;
    pthread_mutex_init(&issuer->lock, NULL);
    issuer->peer = peer_start(answer, issuer);
    peer_url(issuer->peer, "http://127.0.0.1", "", issuer->url);
    peer_url(issuer->peer, "http://127.0.0.1", "/jwks", issuer->keys_url);
    return issuer;
}

void ci_issuer_stop(struct ci_issuer *issuer)
{
    if (issuer == NULL)
        return;
    peer_stop(issuer->peer);
    pthread_mutex_destroy(&issuer->lock);
    free(issuer);
}

const char *ci_issuer_url(const struct ci_issuer *issuer)
{
    return issuer->url;
}

const char *ci_issuer_url_as(const struct ci_issuer *issuer, const char *scheme_and_host,
                             const char *path, char out[PEER_URL_MAX])
{
    return peer_url(issuer->peer, scheme_and_host, path, out);
}

void ci_issuer_play(struct ci_issuer *issuer, const struct ci_script *script)
{
    pthread_mutex_lock(&issuer->lock);
    issuer->script = *script;
    pthread_mutex_unlock(&issuer->lock);
}

void ci_issuer_release(struct ci_issuer *issuer)
{
    peer_release(issuer->peer);
}

unsigned ci_issuer_discoveries(struct ci_issuer *issuer)
{
    unsigned count;

    pthread_mutex_lock(&issuer->lock);
    count = issuer->discoveries;
    pthread_mutex_unlock(&issuer->lock);
    return count;
}

unsigned ci_issuer_key_fetches(struct ci_issuer *issuer)
{
    unsigned count;

    pthread_mutex_lock(&issuer->lock);
    count = issuer->key_fetches;
    pthread_mutex_unlock(&issuer->lock);
    return count;
}

unsigned ci_issuer_connections(struct ci_issuer *issuer)
{
    return peer_connection_count(issuer->peer);
}
