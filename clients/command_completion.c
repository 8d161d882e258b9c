#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "clients/command.h"
#include "clients/completion.h"
#include "clients/report.h"

#define SCRIPT_MAX ((size_t)64 * 1024)

static int run(const void *given, const struct operands *operands)
{
    OWNED(buf_release) struct buf script = { 0 };
    struct error error = { 0 };

    (void)given;
    if (strcmp(operands->items[0], "bash") != 0) {
        (void)error_set(&error, ERROR_USAGE,
                        "there is a completion for bash only, which zsh takes "
                        "behind bashcompinit");
        return report_failure(&error);
    }
    buf_init(&script, SCRIPT_MAX);
    completion_write_bash(commands, COMMAND_COUNT, &script);
    if (!buf_is_ok(&script))
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    (void)fwrite(script.data, 1, script.len, stdout); /* report_finish() asks */
    return report_finish();
}

const struct command command_completion = {
    .name = "completion",
    .operands = "bash",
    .summary = "Print a script by which a shell completes commands and options",
    .description = "For a shell of one's own, in ~/.bashrc:\n"
                   "  source <(stagepass completion bash)\n"
                   "and for everybody: stagepass completion bash "
                   ">/etc/bash_completion.d/stagepass\n"
                   "In zsh: autoload -U +X bashcompinit && bashcompinit, and the same.",
    .values_size = 1,
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
