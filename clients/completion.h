#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "clients/command.h"

/** Append a script by which bash completes commands, options and the choices of their values. */
void completion_write_bash(const struct command *const *list, size_t count, struct buf *out);
