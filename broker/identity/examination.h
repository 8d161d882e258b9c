#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"
#include "base/str.h"

struct arena;
struct error;
struct issuer_options;
struct upstream;

/** How far a step of an examination came. */
enum examination_state {
    EXAMINATION_NOT_REACHED,
    EXAMINATION_PASSED,
    EXAMINATION_FAILED,
};

/** The steps, in order: a failure leaves those behind it unreached. */
enum examination_step {
    EXAMINATION_CONFIGURATION, /* what broker.yaml says of the issuer */
    EXAMINATION_DISCOVERY,     /* the document came, by TLS and from an address that may be asked */
    EXAMINATION_ISSUER,        /* it names the issuer */
    EXAMINATION_KEYS_URL,      /* where it says the keys are may be asked */
    EXAMINATION_KEYS,          /* the key set came */
    EXAMINATION_KEY_SET,       /* it is one, and has a usable key */
    EXAMINATION_LIFETIME,      /* how long it is kept */
    EXAMINATION_STEP_COUNT
};

struct examined_step {
    const char *name;
    enum examination_state state;
    struct str detail; /* what was seen, or why it failed; empty where it was not reached */
};

/** A key of the set, as its issuer describes it: foreign text. */
struct examined_key {
    struct str kid; /* empty where there is none */
    bool has_kid;
    struct str kty;
    struct str crv;
    struct str alg;
    struct str why; /* it is not used; empty: it is */
    bool is_ambiguous;
};

struct examination {
    struct examined_step steps[EXAMINATION_STEP_COUNT];
    struct examined_key *keys;
    size_t key_count;
    bool is_unreachable; /* a peer gave no whole answer */
    bool is_good;        /* every step passed, no key is ambiguous */
};

/**
 * Look at an issuer as the broker does, with the same code and limits, and say what is seen at each
 * step: for people. With a `jwks_file` the steps of discovery are passed by.
 *
 * Blocks until the issuer has answered or its time is over. What it finds is no error of the call.
 *
 * Errors: ERROR_MEMORY, ERROR_BUSY
 * Owns:   `*examination` points into `arena`
 */
bool identity_examine(const struct issuer_options *issuer, struct upstream *upstream,
                      struct arena *arena, struct examination *examination, struct error *error)
    MUST_USE;
