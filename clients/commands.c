#include "base/macros.h"
#include "clients/command.h"

/* As they are listed: runners, people and operators, platform teams, auditors, tools. */
/* clang-format off */
const struct command *const commands[] = {
    &command_exec,
    &command_credentials,
    &command_release,
    &command_login,
    &command_whoami,
    &command_approvals,
    &command_approve,
    &command_deny,
    &command_block,
    &command_unblock,
    &command_leases,
    &command_revoke,
    &command_blocks,
    &command_policy_init,
    &command_policy_check,
    &command_policy_test,
    &command_policy_fmt,
    &command_policy_explain,
    &command_policy_who_can,
    &command_policy_diff,
    &command_policy_simulate,
    &command_policy_schema,
    &command_audit_tail,
    &command_audit_search,
    &command_audit_show,
    &command_audit_inventory,
    &command_audit_review,
    &command_audit_blast_radius,
    &command_audit_history,
    &command_audit_replay,
    &command_audit_sample,
    &command_audit_verify,
    &command_audit_mirror,
    &command_audit_export,
    &command_audit_import,
    &command_audit_erase,
    &command_token_show,
    &command_token_verify,
    &command_doctor_issuer, /* before the one whose name is its group */
    &command_doctor,
    &command_keys_publish,
    &command_completion,
};
/* clang-format on */

const char command_exit_codes[] =
    "0 ok, 1 failure, 2 usage, 3 refused, 4 not approved yet, 5 broker\n"
    "unreachable, 6 found something, 7 try later; `exec` passes its command's through.";

_Static_assert(COUNT(commands) == COMMAND_COUNT, "as many as COMMAND_COUNT says");
