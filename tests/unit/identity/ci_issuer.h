#pragma once

#include <stddef.h>

#include "tests/unit/upstream/peer.h"

/**
 * A CI issuer on loopback: discovery and key set, which the test changes while it runs.
 *
 * Threads: shared
 */
struct ci_issuer;

/** What an issuer answers with; NULL or 0 is the usual. */
struct ci_script {
    const char *issuer;    /* in discovery */
    const char *keys_url;  /* jwks_uri; "" leaves it out */
    const char *discovery; /* the whole document */
    const char *jwks;      /* the key set */
    const char *headers;   /* of the key set's answer */
    int discovery_status;
    int keys_status;
    size_t filler_bytes; /* white space behind the discovery document */
    bool is_hanging;     /* until ci_issuer_release() */
};

struct ci_issuer *ci_issuer_start(const char *jwks);
void ci_issuer_stop(struct ci_issuer *issuer);

/** "http://127.0.0.1:port" */
const char *ci_issuer_url(const struct ci_issuer *issuer);
/** The same port under another scheme and host, with a path. */
const char *ci_issuer_url_as(const struct ci_issuer *issuer, const char *scheme_and_host,
                             const char *path, char out[PEER_URL_MAX]);

/** Answer by this from now on; the texts must outlive it. */
void ci_issuer_play(struct ci_issuer *issuer, const struct ci_script *script);
void ci_issuer_release(struct ci_issuer *issuer);

unsigned ci_issuer_discoveries(struct ci_issuer *issuer);
unsigned ci_issuer_key_fetches(struct ci_issuer *issuer);
unsigned ci_issuer_connections(struct ci_issuer *issuer);
