#pragma once

#include "base/str.h"

/** A PKCS#11 token of SoftHSM's, in a folder of its own, that a file lets misbehave. */
struct token {
    char *folder;
    char uri[1024];
};

/** Make one with the PIN "1234" and set the environment for it; fails the test where it cannot. */
void token_start(struct token *token);
void token_stop(struct token *token);

/** Have it misbehave: words of tests/fakes/unsteady_pkcs11.c; "" for no more. */
void token_says(const struct token *token, const char *words);

/** Write the file with its PIN. */
void token_pin(const struct token *token, const char *pin);

/** How often it was shown a PIN. */
size_t token_logins(const struct token *token);

/** Run pkcs11-tool on it, logged in; `arguments` ending in NULL, at most 10. */
void token_tool(const struct token *token, const char *const *arguments);
