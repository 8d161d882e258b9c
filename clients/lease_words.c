#include "clients/lease_words.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/json.h"
#include "clients/ledger_filter.h"
#include "clients/operator.h"
#include "clients/report.h"

#define FORM_MAX ((size_t)32 * 1024)

#define ROW(word, option, shown, text)                                                             \
    [LEASE_WORD_##word] = { .name = (option),                                                      \
                            .kind = OPTION_TEXT,                                                   \
                            .value = (shown),                                                      \
                            .help = (text),                                                        \
                            .offset = offsetof(struct lease_words, values) +                       \
                                      LEASE_WORD_##word * sizeof(const char *) }

const struct option_row lease_word_rows[] = {
    ROW(LEASE, "lease", "ID", "One lease"),
    ROW(RUN, "run", "ID", "Of the CI system's run"),
    ROW(STAGE, "stage", "PIPELINE:STAGE", "Of a stage"),
    ROW(PIPELINE, "pipeline", "NAME", "Of a pipeline"),
    ROW(REPOSITORY, "repository", "NAME|ID", "Of a repository"),
    ROW(ISSUER, "issuer", "NAME", "Of an issuer"),
    ROW(KID, "kid", "KID", "Of tokens signed with that key"),
    ROW(PROOF_KEY, "proof-key", "THUMBPRINT", "Of who proved that key or certificate"),
    ROW(ACTOR, "actor", "NAME|ID", "Started by, or acted for by"),
    ROW(COMMIT, "commit", "HASH", "Of a commit"),
    ROW(ADDRESS, "address", "IP|NETWORK", "From an address or a range"),
    ROW(TARGET, "target", "NAME", "With a credential for a target"),
    ROW(ENVIRONMENT, "environment", "NAME", "Of stages of an environment"),
    ROW(TENANT, "tenant", "NAME", "Of a tenant"),
    ROW(OWNER, "owner", "NAME", "Of the pipelines of an owner"),
    ROW(SINCE, "since", "TIME", "Opened then or later: 2026-11-22T10:00:00Z, or 2h before now"),
    ROW(UNTIL, "until", "TIME", "Opened before that time"),
};
_Static_assert(COUNT(lease_word_rows) == LEASE_WORD_COUNT, "as many as LEASE_WORD_COUNT says");

bool lease_words_check(const struct lease_words *words, struct error *error)
{
    struct ledger_query query = { 0 };
    int64_t now_ms = clock_wall_ms();

    for (int i = 0; i < LEASE_WORD_COUNT; i++)
        if (words->values[i] &&
            !ledger_filter_add(&query, lease_word_rows[i].name, words->values[i], now_ms, error))
            return false;
    return true;
}

void lease_words_add(const struct lease_words *words, struct buf *form)
{
    for (int i = 0; i < LEASE_WORD_COUNT; i++) {
        if (!words->values[i])
            continue;
        buf_printf(form, "%s%s=", form->len > 0 ? "&" : "", lease_word_rows[i].name);
        buf_add_percent(form, str_from(words->values[i]));
    }
}

bool lease_words_are_open(const struct lease_words *words)
{
    for (int i = 0; i < LEASE_WORD_COUNT; i++)
        if (words->values[i])
            return false;
    return true;
}

void lease_print(const json_t *lease)
{
    json_int_t renewals = json_integer_value(json_object_get(lease, "renewals"));

    print_member(lease, "id", "");
    print_member(lease, "stage", "  ");
    print_member(lease, "state", "  ");
    print_member(lease, "opened_at", "\n    since ");
    print_member(lease, "expires_at", ", until ");
    if (renewals > 0)
        (void)printf(", renewed %" JSON_INTEGER_FORMAT " times", renewals);
    print_member(lease, "repository", "\n    ");
    print_member(lease, "run", " run ");
    print_member(lease, "commit", " of ");
    (void)puts("");
}

/* ---- revoking ---- */

static bool take(void *context, const json_t *page, struct error *error)
{
    struct lease_revocation *revocation = context;

    if (json_array_extend(revocation->leases, json_object_get(page, "leases")) != 0)
        return error_set(error, ERROR_INVALID, "the broker's answer has no leases");
    revocation->ended += (size_t)json_integer_value(json_object_get(page, "ended"));
    if (!revocation->is_dry && json_object_get(page, "next"))
        report_line("%zu %s ended", revocation->ended,
                    report_word(revocation->ended, "lease has", "leases have"));
    return true;
}

bool lease_revocation_run(struct lease_revocation *revocation, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct operator_pages pages = {
        .request = { .method = "POST", .path = "/api/v1/revocations", .what = "revoking" },
        .take = take,
        .context = revocation,
    };

    if (!lease_words_check(&revocation->words, error))
        return false;
    revocation->leases = json_array();
    if (!revocation->leases)
        return error_set(error, ERROR_MEMORY, "no memory");
    buf_init(&form, FORM_MAX);
    lease_words_add(&revocation->words, &form);
    buf_printf(&form, "&dry_run=%s", revocation->is_dry ? "true" : "false");
    if (revocation->reason) {
        buf_add_text(&form, "&reason=");
        buf_add_percent(&form, str_from(revocation->reason));
    }
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "what is asked is too long");
    pages.request.form = buf_str(&form);
    return operator_ask_pages(revocation->broker, &pages, error);
}
