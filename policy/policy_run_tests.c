#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "policy/policy_internal.h"

/* What running a row works with. */
struct run {
    const struct policy *policy;
    const struct policy_pipeline *pipeline;
    const struct policy_test_row *row;
    const char *claims_folder;
    struct arena *arena;
    struct policy_test_result *result;
};

/* Say why a row did not pass. */
static void fail(struct run *run, struct str detail)
{
    run->result->has_passed = false;
    run->result->detail = detail;
}

/* ---- claims ---- */

/* The folder of the policy file. */
static const char *folder_of(struct arena *arena, struct str file)
{
    size_t len = file.len;

    while (len > 0 && file.data[len - 1] != '/')
        len--;
    return len == 0 ? "." : arena_copy(arena, str_slice(file, 0, len)).data;
}

static bool read_claims_file(struct run *run, const char *folder, const json_t **claims,
                             struct error *error)
{
    struct str text = { 0 };
    json_t *parsed = NULL;
    const char *path = NULL;

    if (folder != NULL)
        path = file_join(run->arena, folder, run->row->claims_file.data);
    if (path == NULL)
        return error_set(error, ERROR_IO, "no folder of claims");
    if (!file_read(run->arena, path, JSON_LIMITS_REQUEST.bytes, &text, error) ||
        !json_parse_object(text, JSON_LIMITS_REQUEST, &parsed, error) ||
        !json_keep(run->arena, parsed, error))
        return error_wrap(error, "%s", path);
    *claims = parsed;
    return true;
}

static bool find_claims(struct run *run, const json_t **claims)
{
    struct error beside = { 0 };
    struct error shared = { 0 };

    *claims = run->row->claims;
    if (run->row->claims_file.len == 0)
        return true;
    if (read_claims_file(run, folder_of(run->arena, run->pipeline->file), claims, &beside))
        return true;
    /* A file that is there and broken is not looked for elsewhere. */
    if (beside.code == ERROR_IO && run->claims_folder != NULL &&
        read_claims_file(run, run->claims_folder, claims, &shared))
        return true;
    fail(run, arena_printf(run->arena, "%s",
                           shared.code == ERROR_NONE || beside.code != ERROR_IO ? beside.cause
                                                                                : shared.cause));
    return false;
}

/* ---- comparing ---- */

static struct str join(struct arena *arena, const struct str *names, size_t count)
{
    struct str text = STR("");

    for (size_t i = 0; i < count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i > 0 ? ", " : "",
                            STR_ARG(names[i]));
    return count == 0 ? STR("nothing") : text;
}

static bool same_names(const struct str *a, size_t a_count, const struct str *b, size_t b_count)
{
    bool is_same = a_count == b_count;

    for (size_t i = 0; is_same && i < a_count; i++)
        is_same = str_eq(a[i], b[i]);
    return is_same;
}

/* The reasons of a denial as an author sees them: one without conditions has a name of its own. */
static void name_reasons(enum error_code code, struct policy_decision *decision)
{
    if (code != ERROR_NO_PIPELINE && code != ERROR_STAGE)
        return;
    decision->failed[0] = code == ERROR_NO_PIPELINE ? STR("identity") : STR("stage");
    decision->failed_count = 1;
}

static void compare_denial(struct run *run, const struct policy_decision *decision)
{
    const struct policy_test_row *row = run->row;

    if (row->is_allow) {
        fail(run,
             arena_printf(run->arena, "expected allow, got deny because of " STR_FMT,
                          STR_ARG(join(run->arena, decision->failed, decision->failed_count))));
        return;
    }
    if (!row->has_because ||
        same_names(row->because, row->because_count, decision->failed, decision->failed_count))
        return;
    fail(run, arena_printf(run->arena,
                           "expected deny because of " STR_FMT ", got deny because of " STR_FMT,
                           STR_ARG(join(run->arena, row->because, row->because_count)),
                           STR_ARG(join(run->arena, decision->failed, decision->failed_count))));
}

static int compare_texts(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static void compare_grants(struct run *run, const struct policy_decision *decision)
{
    const struct policy_test_row *row = run->row;
    struct str names[POLICY_STAGE_GRANTS_MAX];

    for (size_t i = 0; i < decision->grant_count; i++)
        names[i] = decision->grants[i].grant->name;
    if (decision->grant_count > 0)
        qsort(names, decision->grant_count, sizeof(names[0]), compare_texts);
    if (!same_names(row->grants, row->grant_count, names, decision->grant_count))
        fail(run, arena_printf(run->arena, "expected the grants " STR_FMT ", got " STR_FMT,
                               STR_ARG(join(run->arena, row->grants, row->grant_count)),
                               STR_ARG(join(run->arena, names, decision->grant_count))));
}

static void compare_allow(struct run *run, const struct policy_decision *decision)
{
    const struct policy_test_row *row = run->row;

    if (!row->is_allow) {
        fail(run, arena_printf(run->arena, "expected deny, got allow of " STR_FMT,
                               STR_ARG(decision->stage->id)));
        return;
    }
    if (!str_eq(decision->stage->pipeline, run->pipeline->name)) {
        fail(run, arena_printf(run->arena, "allowed by another pipeline's stage " STR_FMT,
                               STR_ARG(decision->stage->id)));
        return;
    }
    if (row->has_grants)
        compare_grants(run, decision);
    for (size_t i = 0; row->ttl_s > 0 && i < decision->grant_count; i++)
        if (decision->grants[i].ttl_s != row->ttl_s)
            fail(run,
                 arena_printf(run->arena,
                              "expected a ttl of %" PRId64 " s, got %" PRId64 " s for " STR_FMT,
                              row->ttl_s, decision->grants[i].ttl_s,
                              STR_ARG(decision->grants[i].grant->name)));
}

/* ---- running ---- */

/* The facts of a row's claims; NULL where the issuer has none to give. */
static bool fill_facts(const struct run *run, const json_t *claims, const json_t **ci,
                       struct error *error)
{
    json_t *facts;

    *ci = NULL;
    if (run->row->issuer->fill_ci == NULL)
        return true;
    facts = json_object();
    *ci = facts;
    if (facts == NULL || !json_keep(run->arena, facts, error) ||
        !run->row->issuer->fill_ci(claims, facts))
        return error_set(error, ERROR_MEMORY, "testing a policy");
    return true;
}

static bool find_dangers(const struct run *run, struct policy_facts *facts, struct error *error)
{
    const struct claim_dangers *dangers = run->row->issuer->dangers;
    const struct claim_danger **found;

    if (dangers == NULL)
        return true;
    found = arena_alloc_array(run->arena, dangers->count, sizeof(const struct claim_danger *));
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    facts->danger_count = claim_dangers_find(dangers, facts->claims, facts->ci, found);
    facts->dangers = found;
    return true;
}

static bool run_row(struct run *run, struct error *error)
{
    struct policy_request request = { .stage = run->row->stage };
    struct policy_facts facts = { .issuer = run->row->issuer->name,
                                  .address = run->row->address,
                                  .proofs = run->row->proofs,
                                  .actor = run->row->actor };
    struct policy_decision *decision = arena_alloc(run->arena, sizeof(*decision));
    struct error denial = { 0 };

    run->result->name = run->row->name;
    run->result->at = run->row->at;
    run->result->has_passed = true;
    if (!find_claims(run, &facts.claims))
        return true;
    if (!fill_facts(run, facts.claims, &facts.ci, error) || !find_dangers(run, &facts, error))
        return false;
    if (decision == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    if (policy_decide(run->policy, &facts, &request, run->row->at_s, run->arena, decision,
                      &denial)) {
        compare_allow(run, decision);
        return true;
    }
    if (denial.code == ERROR_MEMORY)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    name_reasons(denial.code, decision);
    compare_denial(run, decision);
    return true;
}

bool policy_run_tests(const struct policy *policy, const char *claims_folder, struct arena *arena,
                      struct policy_test_result **results, size_t *count, struct error *error)
{
    struct policy_test_result *list;
    size_t total = 0;
    size_t done = 0;

    for (size_t i = 0; i < policy->pipeline_count; i++)
        total += policy->pipelines[i].pipeline->test_count;
    list = arena_alloc_array(arena, total + 1, sizeof(*list));
    if (list == NULL)
        return error_set(error, ERROR_MEMORY, "testing a policy");
    for (size_t i = 0; i < policy->pipeline_count; i++) {
        const struct policy_pipeline *pipeline = policy->pipelines[i].pipeline;

        for (size_t k = 0; k < pipeline->test_count; k++, done++) {
            struct run run = { policy,        pipeline, &pipeline->tests[k],
                               claims_folder, arena,    &list[done] };

            if (!run_row(&run, error))
                return false;
        }
    }
    *results = list;
    *count = total;
    return true;
}
