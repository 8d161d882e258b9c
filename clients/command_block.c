#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/command.h"
#include "clients/lease_words.h"
#include "clients/operator.h"
#include "clients/report.h"
#include "ledger/block.h"

#define ARENA_MAX ((size_t)8 * 1024 * 1024)
#define FORM_MAX ((size_t)16 * 1024)

struct values {
    struct broker_options broker;
    const char *what[BLOCK_KIND_COUNT];
    int64_t life_s;
    const char *reason;
    bool is_dry;
    bool revokes;
    size_t output;
};

/* An option a kind, by the kind's own name. */
#define WHAT(which, option, value_name, help_text)                                                 \
    {                                                                                              \
        .name = (option), .kind = OPTION_TEXT, .value = (value_name), .help = (help_text),         \
        .offset = offsetof(struct values, what) + (which) * sizeof(const char *)                   \
    }

static const struct option_row rows[] = {
    WHAT(BLOCK_ISSUER, "issuer", "NAME", "All tokens of an issuer, by its name or URL"),
    WHAT(BLOCK_KID, "kid", "KID", "All tokens signed by an issuer's key of this id"),
    WHAT(BLOCK_REPOSITORY_ID, "repository-id", "ID",
         "Runs of a repository (`ci.repository_id`: names can be taken over)"),
    WHAT(BLOCK_PIPELINE, "pipeline", "NAME", "All stages of a pipeline"),
    WHAT(BLOCK_STAGE, "stage", "PIPELINE:STAGE", "A stage"),
    WHAT(BLOCK_ACTOR, "actor", "WHO",
         "Runs that somebody started (`ci.actor_id` or `ci.actor`), or acts for"),
    WHAT(BLOCK_COMMIT, "commit", "HASH", "Runs of a commit (`ci.commit`)"),
    WHAT(BLOCK_WORKFLOW_COMMIT, "workflow-commit", "HASH",
         "Runs whose workflow is of a commit (`ci.workflow_commit`)"),
    WHAT(BLOCK_KEY, "proof-key", "THUMBPRINT",
         "Whoever proves this key: the SHA-256 thumbprint of a DPoP key or client certificate"),
    WHAT(BLOCK_ADDRESS, "address", "ADDRESS", "Requests from an address, or a range: 10.0.0.0/8"),
    WHAT(BLOCK_TARGET, "target", "NAME", "Credentials for a target"),
    { .name = "for",
      .kind = OPTION_DURATION,
      .value = "TIME",
      .help = "How long it holds, at most 90d; then it ends by itself",
      .offset = offsetof(struct values, life_s) },
    REASON_ROW(struct values),
    { .name = "dry-run",
      .kind = OPTION_FLAG,
      .help = "Block nothing: show which leases live, and who was issued something in 30 days",
      .offset = offsetof(struct values, is_dry) },
    { .name = "revoke",
      .kind = OPTION_FLAG,
      .help = "And end the leases that live: 'stagepass revoke' by itself does it without a block",
      .offset = offsetof(struct values, revokes) },
    OUTPUT_ROW(struct values, "How the result is printed"),
};

/* The one thing that is named. */
static bool find_what(const struct values *values, enum block_kind *kind, struct error *error)
{
    size_t count = 0;

    for (size_t i = 0; i < BLOCK_KIND_COUNT; i++) {
        if (!values->what[i])
            continue;
        *kind = (enum block_kind)i;
        count++;
    }
    if (count == 1)
        return true;
    return error_set(error, ERROR_USAGE,
                     count == 0 ? "what? Say --kid, --repository-id, --stage ...: --help has all"
                                : "a block is about one thing: block each by itself");
}

/* By what leases are found that a block is about. Without a word they are not. */
static const enum lease_word words[BLOCK_KIND_COUNT] = {
    [BLOCK_ISSUER] = LEASE_WORD_ISSUER,
    [BLOCK_KID] = LEASE_WORD_KID,
    [BLOCK_REPOSITORY_ID] = LEASE_WORD_REPOSITORY,
    [BLOCK_PIPELINE] = LEASE_WORD_PIPELINE,
    [BLOCK_STAGE] = LEASE_WORD_STAGE,
    [BLOCK_ACTOR] = LEASE_WORD_ACTOR,
    [BLOCK_COMMIT] = LEASE_WORD_COMMIT,
    [BLOCK_WORKFLOW_COMMIT] = LEASE_WORD_COUNT,
    [BLOCK_KEY] = LEASE_WORD_PROOF_KEY,
    [BLOCK_ADDRESS] = LEASE_WORD_ADDRESS,
    [BLOCK_TARGET] = LEASE_WORD_TARGET,
};

/* As a filter of the ledger calls it; `--key` is the ledger's there. */
static const char *option_of(enum block_kind kind)
{
    return kind == BLOCK_KEY ? lease_word_rows[LEASE_WORD_PROOF_KEY].name : block_kind_name(kind);
}

static bool check(const struct values *values, enum block_kind *kind, struct error *error)
{
    struct network ignored;
    struct error why = { 0 };

    if (!find_what(values, kind, error))
        return false;
    if (values->life_s == 0 || values->life_s > BLOCK_LIFE_MAX_S)
        return error_set(error, ERROR_USAGE, "--for how long? 90s, 15m, 4h, at most 90d");
    if (!values->is_dry && (!values->reason || values->reason[0] == '\0'))
        return error_set(error, ERROR_USAGE, "a block needs a --reason");
    if (values->revokes && words[*kind] == LEASE_WORD_COUNT)
        return error_set(error, ERROR_USAGE,
                         "leases are not found by --%s: block it, then 'stagepass revoke' by "
                         "--repository or --since",
                         block_kind_name(*kind));
    return block_check(*kind, str_from(values->what[*kind]), &ignored, &why) ||
           error_set(error, ERROR_USAGE, "--%s: %s", option_of(*kind), why.cause);
}

static bool ask(const struct values *values, enum block_kind kind, struct arena *arena,
                const json_t **answer, struct error *error)
{
    OWNED(buf_release) struct buf form = { 0 };
    struct operator_request request = { .method = "POST",
                                        .path = "/api/v1/blocks",
                                        .what = "blocking" };

    buf_init(&form, FORM_MAX);
    buf_printf(&form, "kind=%s&for=%" PRId64 "s&dry_run=%s&value=", block_kind_name(kind),
               values->life_s, values->is_dry ? "true" : "false");
    buf_add_percent(&form, str_from(values->what[kind]));
    buf_add_text(&form, "&reason=");
    buf_add_percent(&form, str_from(values->reason ? values->reason : ""));
    if (!buf_is_ok(&form))
        return error_set(error, ERROR_LIMIT, "what is asked is too long");
    request.form = buf_str(&form);
    return operator_ask(&values->broker, &request, arena, answer, error);
}

/* Once the block is in force: whoever asks meanwhile is refused. */
static bool end_leases(const struct values *values, enum block_kind kind, size_t *ended,
                       struct error *error)
{
    struct lease_revocation revocation = { .broker = &values->broker, .reason = values->reason };
    bool is_done;

    revocation.words.values[words[kind]] = values->what[kind];
    is_done = lease_revocation_run(&revocation, error);
    *ended = revocation.ended;
    json_decref(revocation.leases);
    return is_done || error_wrap(error, "the block is in force, but not all leases have ended");
}

/* ---- printing ---- */

static void print_leases(const json_t *leases)
{
    const json_t *lease = NULL;
    size_t count = json_array_size(leases);
    size_t i = 0;

    (void)printf("%zu %s now", count, report_word(count, "lease lives", "leases live"));
    (void)puts(count > 0 ? ": what lives goes on, unless --revoke ends it" : "");
    json_array_foreach (leases, i, lease) {
        print_member(lease, "id", "  ");
        print_member(lease, "stage", "  ");
        print_member(lease, "expires_at", "  until ");
        (void)puts("");
    }
}

static void print_users(const json_t *users)
{
    const json_t *user = NULL;
    size_t i = 0;

    (void)printf("%zu were issued something in the last 30 days\n", json_array_size(users));
    json_array_foreach (users, i, user) {
        print_member(user, "stage", "  ");
        print_member(user, "name", "  ");
        (void)printf("  %" JSON_INTEGER_FORMAT " times",
                     json_integer_value(json_object_get(user, "count")));
        print_member(user, "last_at", ", last ");
        (void)puts("");
    }
}

static void print_preview(const json_t *answer)
{
    if (json_is_true(json_object_get(answer, "is_unknown"))) {
        (void)puts("the ledger's index cannot tell whom that meets");
    } else {
        print_leases(json_object_get(answer, "leases"));
        print_users(json_object_get(answer, "users"));
        if (!json_is_true(json_object_get(answer, "is_complete")))
            (void)puts("there are more: this is what was found first, the newest");
    }
    (void)puts("nothing was blocked: without --dry-run it is");
}

static void print_placed(const json_t *answer)
{
    print_member(answer, "kind", "nothing is issued to ");
    print_member(answer, "value", " ");
    print_member(answer, "until", " until ");
    print_member(answer, "id", "\nblock ");
    (void)printf(", entry %" JSON_INTEGER_FORMAT "\n",
                 json_integer_value(json_object_get(answer, "entry")));
    print_member(answer, "id", "'stagepass unblock ");
    (void)puts(" --reason TEXT' ends it before");
}

static int run(const void *given, const struct operands *operands)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    const struct values *values = given;
    enum block_kind kind = BLOCK_ISSUER;
    const json_t *answer = NULL;
    struct error error = { 0 };
    size_t ended = 0;

    (void)operands;
    if (!arena)
        (void)error_set(&error, ERROR_MEMORY, "no memory");
    if (!arena || !check(values, &kind, &error) || !ask(values, kind, arena, &answer, &error))
        return report_failure(&error);
    if (values->revokes && !values->is_dry && !end_leases(values, kind, &ended, &error))
        return report_failure(&error);
    if (values->output == OUTPUT_JSON)
        return report_json(answer);
    if (values->is_dry)
        print_preview(answer);
    else
        print_placed(answer);
    if (!values->is_dry && values->revokes)
        (void)printf("%zu %s ended\n", ended, report_word(ended, "lease has", "leases have"));
    else if (!values->is_dry)
        (void)puts("leases that live go on until they expire or are released");
    return report_finish();
}

const struct command command_block = {
    .name = "block",
    .operands = "",
    .summary = "Have nothing issued to something, for a while",
    .description =
        "Takes one of the options that name something, --for and --reason. From the moment it\n"
        "answers no broker of the ledger issues anything to what is blocked, not even to who has\n"
        "waited since before. It is an entry, `admin.blocked`, survives restarts, and ends by\n"
        "itself. Who is refused is not told what is blocked; the entry `exchange.denied` names\n"
        "the block. Takes the role operator, of all tenants.\n"
        "\n"
        "Leases that live go on until they end; with --revoke they are ended too, each by an "
        "entry\n"
        "of its own, once the block is in force. --dry-run lists them.",
    .groups = { OPTION_GROUP(broker_option_rows, offsetof(struct values, broker)),
                OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .run = run,
};
