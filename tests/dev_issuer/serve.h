#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/macros.h"
#include "base/str.h"

struct error;
struct options;
struct issuer_server;

/**
 * Start to serve discovery, the key set and tokens:
 *
 * - `GET /.well-known/openid-configuration`, `GET /.well-known/jwks`;
 * - `GET /token?run=NAME&audience=URL` with any bearer token answers `{"value": "<token>"}` for the
 *   claims in `FOLDER/runs/NAME.json`. Who may ask is not checked: it is for loopback.
 *
 * Errors: as keys_open() and http_start()
 * Owns:   `*server`; borrows what `options` points at until serve_stop()
 * Source: reference of CI issuers 1.1, 1.2
 */
bool serve_start(const struct options *options, struct issuer_server **server, struct error *error)
    MUST_USE;
void serve_stop(struct issuer_server *server);

OWNED_POINTER(serve_stop, struct issuer_server)

/** The issuer's URL: the one that was asked for, else where it listens. */
struct str serve_url(const struct issuer_server *server);

/**
 * The command `serve`: write `event=issuer.ready url=URL` once it can be asked, and go on until
 * SIGINT or SIGTERM.
 */
bool serve_run(const struct options *options, FILE *out, struct error *error) MUST_USE;
