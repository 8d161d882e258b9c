#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and SSL */
struct ssl_st;

/*
 * What answers as a PostgreSQL server may be none: a socket that says whatever a test has it say.
 */

#define FAKE_WELCOME "R\0\0\0\10\0\0\0\0S\0\0\0\30server_version\00016.0\0Z\0\0\0\5I"
#define FAKE_READY "Z\0\0\0\5I"

struct fake;

/** What it says to one connection, and when; it is closed behind that. */
typedef void fake_talk(struct fake *fake, const void *context);

struct fake {
    char folder[32];
    char url[160];
    int listener;
    int client;
    struct ssl_ctx_st *tls; /* NULL: a socket in a folder */
    struct ssl_st *session;
    fake_talk *talk;
    const void *context;
    size_t sent; /* by talk */
    pthread_t thread;
};

/** Have one client welcome, at `url`; behind TLS where asked. */
void fake_start(struct fake *fake, bool is_tls, fake_talk *talk, const void *context);

/** Wait until its client has gone. */
void fake_stop(struct fake *fake);

/* For who talks: false where the client has gone. */

/** Wait for what the client says. */
bool fake_listen(struct fake *fake);
bool fake_say(struct fake *fake, struct str bytes);
/** The same thing until nobody hears it any more. */
void fake_say_for_ever(struct fake *fake, struct str bytes);
