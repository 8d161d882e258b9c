#include <stdio.h>

#include "base/error.h"
#include "clients/report.h"
#include "clients/session.h"

static void report_part(const char *title, struct str text)
{
    if (text.len == 0)
        return;
    (void)fprintf(stderr, "  %-11s ", title);
    print_clean(stderr, text);
    (void)fputc('\n', stderr);
}

static void report_failed(const struct refusal *refusal)
{
    if (refusal->failed_count == 0)
        return;
    (void)fprintf(stderr, "  %-11s ", "not met:");
    for (size_t i = 0; i < refusal->failed_count; i++) {
        (void)fputs(i > 0 ? ", " : "", stderr);
        print_clean(stderr, refusal->failed[i]);
    }
    (void)fputc('\n', stderr);
}

/* What to do about conditions that other leases of the pipeline decide, not this job's claims. */
static const struct {
    const char *failed;
    const char *advice;
} advices[] = {
    { "after", "a stage before this one has not gone well yet: let its job end well, then run this "
               "one again" },
    { "limits", "the stage has as many leases as it may: run this job again once one has ended, or "
                "later" },
};

static void report_advice(const struct refusal *refusal)
{
    for (size_t i = 0; i < refusal->failed_count; i++)
        for (size_t k = 0; k < COUNT(advices); k++)
            if (str_eq(refusal->failed[i], str_from(advices[k].failed)))
                report_part("what to do:", str_from(advices[k].advice));
}

int session_report(const struct session *session, const struct error *error)
{
    const struct refusal *refusal = &session->refusal;

    if (error->code != ERROR_REFUSED || refusal->status == 0)
        return report_failure(error);
    report_line("refused: " STR_FMT, STR_ARG(refusal->code));
    report_part("why:", refusal->description);
    report_part("reason:", refusal->reason);
    report_failed(refusal);
    report_advice(refusal);
    report_part("owner:", refusal->owner);
    report_part("help:", refusal->help);
    report_part("decision:", refusal->decision);
    if (refusal->grants_needing_keys_count > 0 || refusal->grants_needing_csrs_count > 0)
        (void)fputs("  ssh and x509 grants need a key of the job's own: `stagepass exec` makes "
                    "one\n",
                    stderr);
    return error_kind(ERROR_REFUSED)->exit_code;
}
