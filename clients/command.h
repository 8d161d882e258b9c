#pragma once

#include <stddef.h>

#include "clients/options.h"

#define COMMAND_GROUPS_MAX 4

/** One thing that `stagepass` does: a file with this row and the options' table. */
struct command {
    const char *group; /* "audit" of "audit tail"; NULL for a command of one word */
    const char *name;
    const char *operands; /* as the usage line shows them, or "" */
    const char *summary;  /* a line for the list of commands */
    const char *description;
    struct option_group groups[COMMAND_GROUPS_MAX]; /* those without rows do not count */
    size_t values_size;                             /* of the struct that `run` gets */
    const void *defaults;                           /* what it starts as; NULL: all-zero */
    size_t operands_min;
    size_t operands_max;
    bool stops_at_operand; /* the operands are a command of their own */
    /** Do it, report what goes wrong, and give the exit code of design.md 3.1. */
    int (*run)(const void *values, const struct operands *operands);
};

#define COMMAND_OPERANDS_ANY ((size_t)-1)

/** A group of options from an array of rows. */
#define OPTION_GROUP(array, group_offset)                                                          \
    {                                                                                              \
        .rows = (array), .row_count = COUNT(array), .offset = (group_offset)                       \
    }

/** All of them, as they are listed. Constant. */
#define COMMAND_COUNT 42
extern const struct command *const commands[COMMAND_COUNT];

/** What exit codes mean, of all commands. */
extern const char command_exit_codes[];

extern const struct command command_exec;
extern const struct command command_credentials;
extern const struct command command_release;
extern const struct command command_revoke;
extern const struct command command_leases;
extern const struct command command_login;
extern const struct command command_whoami;
extern const struct command command_approvals;
extern const struct command command_approve;
extern const struct command command_deny;
extern const struct command command_block;
extern const struct command command_blocks;
extern const struct command command_unblock;
extern const struct command command_audit_erase;
extern const struct command command_audit_export;
extern const struct command command_audit_inventory;
extern const struct command command_audit_import;
extern const struct command command_audit_search;
extern const struct command command_audit_show;
extern const struct command command_audit_sample;
extern const struct command command_audit_replay;
extern const struct command command_audit_history;
extern const struct command command_audit_blast_radius;
extern const struct command command_audit_review;
extern const struct command command_audit_tail;
extern const struct command command_audit_mirror;
extern const struct command command_audit_verify;
extern const struct command command_completion;
extern const struct command command_doctor;
extern const struct command command_doctor_issuer;
extern const struct command command_keys_publish;
extern const struct command command_policy_check;
extern const struct command command_policy_diff;
extern const struct command command_policy_explain;
extern const struct command command_policy_fmt;
extern const struct command command_policy_init;
extern const struct command command_policy_simulate;
extern const struct command command_policy_schema;
extern const struct command command_policy_test;
extern const struct command command_policy_who_can;
extern const struct command command_token_show;
extern const struct command command_token_verify;
