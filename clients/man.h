#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/buf.h"
#include "clients/command.h"

/*
 * Manual pages, in mdoc(7), of the tables that --help and the schemas are made of.
 */

/** The name of a command's page: "stagepass-audit-tail". */
void man_name(const struct command *command, struct buf *out);

/** Append a command's page: stagepass-NAME(1). */
void man_write_command(const struct command *command, struct buf *out);

/** Append the page that leads to those of all commands: stagepass(1). */
void man_write_overview(const struct command *const *list, size_t count, struct buf *out);

/** Append the page of a JSON Schema's keys: stagepass-broker.yaml(5). */
void man_write_settings(const json_t *schema, struct buf *out);
