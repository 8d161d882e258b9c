#pragma once

#include "policy/policy.h"

/*
 * A small world for tests of the policy language: issuers `github`, `gitlab`, `old-ci` (claims of
 * every type), `cluster` (claims within an object, and by prefix) and `nameless` (without ids);
 * kinds `jwt`, `ssh`, `aws` that are like the real ones; targets in and out of environments and
 * tenants.
 */
extern const struct policy_world test_world;

/** What is dangerous at `github`: event_name issue_comment, and ci.fork. */
extern const struct claim_dangers test_dangers;

/** A policy of files, loaded; aborts where it does not load. The caller's to free. */
struct policy *world_load(const char *folder);

/** Write one policy file into a new folder below the system's temporary one, and load it. */
struct policy *world_load_text(const char *text);

/** Load a text that must be refused; true when `fragment` is in what is said about it. */
bool world_refuses(const char *text, const char *fragment);

/** A new folder below the temporary one; `out` is its path. */
void world_make_folder(char out[64]);

/** Write a file into a folder. */
void world_write(const char *folder, const char *name, const char *text);

/** Remove a folder that world_make_folder() made, with all in it. */
void world_remove(const char *folder);
