#include "clients/kept_policy.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "clients/ledger_source.h"
#include "clients/policy_source.h"
#include "clients/work_folder.h"
#include "config/config.h"
#include "config/jobs.h"
#include "ledger/archive.h"
#include "policy/explain.h"
#include "policy/policy.h"

/* ---- loading ---- */

static bool read_hash(struct str text, uint8_t sha256[SHA256_LEN])
{
    struct str prefix = STR(KEPT_POLICY_PREFIX);
    struct str hex;

    if (!str_starts_with(text, prefix))
        return false;
    hex = str_slice(text, prefix.len, text.len);
    return hex.len == (size_t)2 * SHA256_LEN && str_is_made_of(hex, "0123456789abcdef") &&
           hex_decode(hex, sha256);
}

/* The policy was good when it decided: what is wrong is today's world. */
static bool tell_mistake(const struct diagnostics *diagnostics, const struct error *why,
                         struct error *error)
{
    for (size_t i = 0; i < diagnostics->count; i++)
        if (diagnostics->list[i].severity == DIAGNOSTIC_ERROR)
            return error_set(error, ERROR_CONFIG,
                             "it does not load with the issuers and targets of now: " STR_FMT,
                             STR_ARG(diagnostics->list[i].message));
    return error_set(error, why->code, "%s", why->cause);
}

static bool load(struct policy_source *source, const char *folder, struct error *error)
{
    struct diagnostics diagnostics;
    struct error why = { 0 };
    const struct policy_load_options options = {
        .folder = folder,
        .world = &source->config->world,
        .diagnostics = &diagnostics,
        .run_jobs = jobs_run,
    };

    diagnostics_init(&diagnostics, source->arena);
    source->folder = folder;
    return policy_load(&options, &source->policy, &why) || tell_mistake(&diagnostics, &why, error);
}

bool kept_policy_load(struct policy_source *source, const char *kept, struct str hash,
                      struct error *error)
{
    struct work_folder folder = { 0 };
    struct error why = { 0 };
    uint8_t sha256[SHA256_LEN];
    bool is_loaded;

    if (!read_hash(hash, sha256))
        return error_set(error, ERROR_USAGE,
                         "'" STR_FMT "' is no policy's hash, " KEPT_POLICY_PREFIX " and 64 digits",
                         STR_ARG(hash));
    if (!kept)
        return error_set(
            error, ERROR_NOT_FOUND,
            "policies are kept beside a store: this ledger has none (--policies names a "
            "copy of them)");
    if (!work_folder_make(&folder, source->arena, error))
        return false;
    is_loaded =
        archive_extract(kept, sha256, folder.path, error) && load(source, folder.path, error);
    if (!file_remove_folder(folder.path, &why) && is_loaded)
        return error_set(error, why.code, "%s", why.cause);
    return is_loaded || error_wrap(error, "policy " STR_FMT, STR_ARG(hash));
}

bool kept_policy_is_named(const struct operands *operands)
{
    return operands->count > 0 &&
           str_starts_with(str_from(operands->items[0]), STR(KEPT_POLICY_PREFIX));
}

bool kept_policy_load_operand(struct policy_source *source, const struct ledger_source *ledger,
                              const struct operands *operands, struct error *error)
{
    if (kept_policy_is_named(operands))
        return kept_policy_load(source, ledger_source_facts(ledger)->policies,
                                str_from(operands->items[0]), error);
    source->folder = operands->count > 0 ? operands->items[0] : source->config->policy_directory;
    return policy_source_load_folder(source, source->folder, &source->policy, error);
}

/* ---- places ---- */

static void cut(struct position *at, struct str folder)
{
    if (str_starts_with(at->file, folder) && at->file.len > folder.len)
        at->file = str_slice(at->file, folder.len + 1, at->file.len);
}

static void cut_clause(const struct explain_clause *clause, struct str folder)
{
    for (size_t i = 0; i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++)
            cut(&clause->maps[i].leaves[k].at, folder);
}

void kept_policy_cut_paths(const struct policy_source *source, struct explanation *explanation)
{
    struct str folder = str_from(source->folder);

    for (size_t i = 0; i < explanation->subject_count; i++) {
        struct explain_subject *subject = &explanation->subjects[i];

        cut(&subject->at, folder);
        for (size_t k = 0; k < subject->clause_count; k++)
            cut_clause(&subject->clauses[k], folder);
    }
}
