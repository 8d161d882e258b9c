#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/macros.h"
#include "base/str.h"

struct answer;
struct error;
struct refusal;

/**
 * Credentials in the shapes that other tools read from a helper's standard output. Each takes the
 * one credential of its type from an answer; there must be exactly one.
 *
 * Errors: ERROR_USAGE (none, or several: --grant picks one), ERROR_MEMORY
 * Owns:   `*text` lives in the arena
 */

/** An aws grant for `credential_process` of AWS SDKs. */
bool tool_format_aws(const struct answer *answer, struct arena *arena, struct str *text,
                     struct error *error) MUST_USE;

/**
 * A jwt grant for `credential_source.executable` of Google's libraries, which exchange it
 * themselves. Source: google.aip.dev/auth/4117
 */
bool tool_format_gcp(const struct answer *answer, struct arena *arena, struct str *text,
                     struct error *error) MUST_USE;

/**
 * Why there is none, in the same shape: Google's libraries show `message` to people. `refusal` has
 * what the broker said, if it said something. `data` is NULL without memory.
 */
struct str tool_format_gcp_failure(const struct refusal *refusal, const struct error *why,
                                   struct arena *arena);

/**
 * A kubernetes grant as kubectl's exec plugins answer: in the version that `asked` (the text of
 * KUBERNETES_EXEC_INFO) says; v1 where it is NULL or empty.
 *
 * Errors: ERROR_SYNTAX, ERROR_USAGE (a version that is not known) besides
 */
bool tool_format_kubectl(const struct answer *answer, const char *asked, struct arena *arena,
                         struct str *text, struct error *error) MUST_USE;

/** An azure grant as `az account get-access-token` prints it. */
bool tool_format_az(const struct answer *answer, struct arena *arena, struct str *text,
                    struct error *error) MUST_USE;

/** Whether something in the answer is a registry's password. */
bool tool_format_has_registries(const struct answer *answer);

/** A registry grant, or a gitlab grant that is for GitLab's registry, as docker's credential
 * helpers answer `get`. */
bool tool_format_docker(const struct answer *answer, struct arena *arena, struct str *text,
                        struct error *error) MUST_USE;

/**
 * All such grants, of which there may be none, as the `config.json` that docker reads, and
 * skopeo as its REGISTRY_AUTH_FILE. Errors: ERROR_USAGE (two are for one host), ERROR_MEMORY
 */
bool tool_format_registries(const struct answer *answer, struct arena *arena, struct str *text,
                            struct error *error) MUST_USE;
