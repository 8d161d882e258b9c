#pragma once

#include <jansson.h>

#include "base/arena.h"

/* Entries as texts, for what is made of them. */

#define MARK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER_MARK "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SHA "sha256:" MARK
#define ID "01JD4ZQ8Y2K3M4N5P6Q7R8S9T0"

/* The example of design.md 3.5, with its blanks filled in. */
#define ISSUED                                                                                     \
    "{\"type\":\"credential.issued\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\","      \
    "\"decision\":\"" ID "\",\"lease\":\"" ID "\",\"handle\":\"" SHA "\","                         \
    "\"lease_expires\":\"2026-11-22T10:15:00Z\","                                                  \
    "\"issuer\":\"github\",\"subject\":\"repo:acme/payments:environment:production\","             \
    "\"token\":{\"mark\":\"" MARK "\",\"exp\":1763805900,\"iat\":1763805600,\"kid\":\"k\"},"       \
    "\"ci\":{\"run\":\"1\",\"attempt\":\"1\"},\"claims\":{\"time\":\"x\"},\"facts\":{},"           \
    "\"request\":{\"scope\":[],\"ttl_s\":900,\"reason\":\"\"},"                                    \
    "\"pipeline\":\"acme/payments\",\"stage\":\"acme/payments:deploy-prod\",\"kind\":\"deploy\","  \
    "\"environment\":\"production\",\"tenant\":\"payments\",\"owner\":\"payments@acme.example\","  \
    "\"policy\":\"" SHA "\",\"rule\":\"" SHA "\","                                                 \
    "\"credentials\":[{\"grant\":\"site\",\"type\":\"aws\",\"target\":\"prod-aws\","               \
    "\"id\":\"ASIA\",\"session\":\"s\",\"expires_at\":\"2026-11-22T10:15:00Z\",\"ttl_s\":900}]}"

#define HEAD(type) "{\"type\":\"" type "\",\"time\":\"2026-11-22T10:00:00.123Z\",\"broker\":\"a\""

/** What the tests of a program take memory from; as cmocka's group set-up. */
extern struct arena *arena;

int arena_make(void **state);
int arena_clean(void **state);

json_t *parse(const char *text);
