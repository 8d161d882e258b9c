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

/* What to do about a code, a `reason`, or a condition that is not one of the policy's own. */
static const struct {
    const char *word;
    const char *advice;
} advices[] = {
    { "after", "a stage before this one has not gone well yet: let its job end well, then run this "
               "one again" },
    { "limits", "the stage has as many leases as it may: run this job again once one has ended, or "
                "later" },
    { "stage", "the pipeline has no stage of the name that --stage says: its policy file lists "
               "them" },
    { "invalid_dpop_proof",
      "--broker must be the broker's own URL, as its `issuer` has it, and the "
      "clock here must be right" },
    { "token_used", "a token opens one lease: ask the CI system for another one, or run all that "
                    "needs it under one `stagepass exec`" },
    { "token_expired", "ask the CI system for another token, in the step that uses it: "
                       "`stagepass token show` prints the times of this one" },
    { "token_too_old", "ask the CI system for another token, in the step that uses it: "
                       "`stagepass token show` prints the times of this one" },
    { "wrong_audience", "ask the CI system for a token for the broker's audience, mostly its URL: "
                        "`stagepass token show` prints the `aud` of this one" },
};

static void report_advice_for(struct str word)
{
    for (size_t i = 0; i < COUNT(advices); i++)
        if (str_eq(word, str_from(advices[i].word)))
            report_part("what to do:", str_from(advices[i].advice));
}

/* Strangers are told nothing: no pipeline is theirs, or their token is of no issuer's. */
static const struct {
    enum error_code code;
    const char *advice;
} strangers[] = {
    { ERROR_NO_PIPELINE,
      "compare what `stagepass token show` prints with the `identity` of the pipeline's policy; "
      "the broker's operators see why by `stagepass policy explain --decision`" },
    { ERROR_TOKEN, "the token must be one of the broker's issuers, for the broker: `stagepass "
                   "token show` prints its `iss` and `aud`; the broker's log says why, by the "
                   "decision" },
};

static void report_stranger(const struct refusal *refusal)
{
    if (refusal->failed_count > 0 || refusal->reason.len > 0 || refusal->owner.len > 0)
        return;
    for (size_t i = 0; i < COUNT(strangers); i++)
        if (str_eq(refusal->description, str_from(error_kind(strangers[i].code)->sentence)))
            report_part("what to do:", str_from(strangers[i].advice));
}

static void report_advice(const struct refusal *refusal)
{
    report_advice_for(refusal->code);
    report_advice_for(refusal->reason);
    for (size_t i = 0; i < refusal->failed_count; i++)
        report_advice_for(refusal->failed[i]);
    report_stranger(refusal);
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
