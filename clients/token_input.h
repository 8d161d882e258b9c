#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "base/arena.h"
#include "base/macros.h"
#include "clients/options.h"

struct error;
struct profile;

/**
 * Read the token that a `token` command is about: the file that its operand names, or standard
 * input
 * ("-" or no operand). White space around it is dropped.
 *
 * Errors: ERROR_IO, ERROR_LIMIT, ERROR_SYNTAX
 */
bool token_input_read(const struct operands *operands, struct arena *arena, struct str *token,
                      struct error *error) MUST_USE;

/** Options of commands that are about a job's claims. All-zero is none given. */
struct token_input_options {
    const char *claims; /* a file of claims, or "-" */
    const char *token;  /* a file with a token, or "-" */
};

/** Their rows, for OPTION_GROUP, whose offset is that of the struct. */
#define TOKEN_INPUT_OPTION_COUNT 2
extern const struct option_row token_input_option_rows[TOKEN_INPUT_OPTION_COUNT];

/**
 * Read the claims that the options name: exactly one of them. Nothing of them is verified.
 *
 * Errors: ERROR_USAGE (none or both), ERROR_IO, ERROR_LIMIT, ERROR_SYNTAX, ERROR_TOKEN
 * Owns:   `*claims` lives in `arena`
 */
bool token_input_claims(const struct token_input_options *options, struct arena *arena,
                        const json_t **claims, struct error *error) MUST_USE;

/** Read a JSON object from a file, or from standard input where it is "-". */
bool token_input_json(const char *path, struct arena *arena, const json_t **object,
                      struct error *error) MUST_USE;

/**
 * The profile of a name, or where `name` is NULL the one whose issuer `url` is, else the generic
 * one.
 *
 * Errors: ERROR_USAGE (no such profile; the cause has the nearest)
 */
bool token_input_profile(const char *name, struct str url, const struct profile **profile,
                         struct error *error) MUST_USE;
