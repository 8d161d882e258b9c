#pragma once

#include <stdbool.h>

#include "base/buf.h"
#include "policy/policy.h"

/*
 * Analysing texts: in test_world, whose `github` and `cluster` have lints here: "x-environment"
 * (`environment` without `ref`), "x-tag" (a `ref` of tags without `sha`), "x-actor" (in
 * production), "x-pod" (/kubernetes.io/pod/...).
 */
const struct policy_world *analysing_world(void);

/** Load a folder in that world; aborts where it does not load. The caller's to free. */
struct policy *analysing_load(const char *folder);

/** Load one file's text in that world; what is said of a load that fails aborts. */
struct policy *analysing_load_text(const char *text);

/** The rules that are found in a text, in order, with blanks between them. */
void analysing_rules(const char *text, struct buf *rules);

/** Analyse a text, and write what is said. Whether it is good. */
bool analysing_says(const char *text, struct buf *said);

/** Analyse a folder, and write what is said. Whether it is good. */
bool analysing_folder_says(const char *folder, struct buf *said);
