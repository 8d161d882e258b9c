#pragma once

#include <stddef.h>

#include "base/buf.h"

struct policy_diff;
struct simulation;

/** No more is written than this, and a line that says what was left out: a comment at GitHub holds
 * 65,536 characters. */
#define POLICY_MARKDOWN_MAX ((size_t)60 * 1024)

/**
 * Write a comparison of policies as GitHub's and GitLab's Markdown. What the policies say stands in
 * code or escaped, so that who proposes a policy does not write the comment.
 */
void policy_markdown_write(const struct policy_diff *diff, struct buf *out);

/** Write what a simulation found, in the same way and within the same bounds. */
void policy_markdown_simulation(const struct simulation *simulation, struct buf *out);
