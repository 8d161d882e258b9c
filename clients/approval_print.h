#pragma once

#include <jansson.h>

#include "base/macros.h"

/** Print an approval as the broker shows it, with all that an approver has to know, for people. */
void approval_print(const json_t *approval);
