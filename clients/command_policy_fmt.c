#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/yaml.h"
#include "clients/command.h"
#include "clients/input.h"
#include "clients/report.h"
#include "policy/fmt.h"

#define EXIT_FOUND 6
#define ARENA_MAX ((size_t)512 * 1024 * 1024) /* a file of 1 MiB whose every byte is an entry */

struct values {
    bool is_check;
    bool to_stdout;
};

static const struct option_row rows[] = {
    { .name = "check",
      .kind = OPTION_FLAG,
      .help = "Change nothing: list the files that would change, and exit with 6 where there are",
      .offset = offsetof(struct values, is_check) },
    { .name = "stdout",
      .kind = OPTION_FLAG,
      .help = "Print what one file would become, and leave the file as it is",
      .offset = offsetof(struct values, to_stdout) },
};

/* A run over files. */
struct run {
    const struct values *values;
    size_t seen;
    size_t changed;
    size_t failed;
};

/* ---- one file ---- */

static bool put(const struct run *run, const char *path, struct str text, struct error *error)
{
    struct stat status;

    if (run->values->is_check) {
        print_clean(stdout, str_from(path));
        (void)putchar('\n');
        return true;
    }
    if (stat(path, &status) != 0)
        return error_set_errno(error, "%s", path);
    return file_replace(path, text, status.st_mode & 07777, error);
}

static bool format(struct run *run, const char *path, struct error *error)
{
    OWNED(arena_free) struct arena *arena = arena_new(ARENA_MAX);
    OWNED(buf_release) struct buf out = { 0 };
    struct diagnostics diagnostics;
    struct str text = { 0 };

    if (!arena)
        return error_set(error, ERROR_MEMORY, "no memory");
    diagnostics_init(&diagnostics, arena);
    buf_init(&out, 4 * YAML_BYTES_MAX);
    if (!input_read(path, YAML_BYTES_MAX, arena, &text, error))
        return false;
    if (!fmt_text(str_from(path), text, arena, &diagnostics, &out)) {
        report_diagnostics(&diagnostics);
        return error_set(error, diagnostics.error_count > 0 ? ERROR_CONFIG : ERROR_MEMORY,
                         "%s stays as it is", path);
    }
    run->seen++;
    if (run->values->to_stdout || strcmp(path, "-") == 0) {
        (void)fwrite(out.data, 1, out.len, stdout); /* report_finish() sees a failure */
        return true;
    }
    if (str_eq(text, buf_str(&out)))
        return true;
    run->changed++;
    return put(run, path, buf_str(&out), error);
}

static int format_file(struct run *run, const char *path)
{
    struct error error = { 0 };

    if (format(run, path, &error))
        return 0;
    run->failed++;
    return report_failure(&error);
}

/* ---- folders ---- */

/* Links are not followed: what they lead to is formatted where it stands. */
static bool is_policy_file(const FTSENT *entry)
{
    return entry->fts_info == FTS_F && entry->fts_name[0] != '.' &&
           str_ends_with(str_from(entry->fts_name), STR(".yaml"));
}

static int format_entry(struct run *run, FTS *tree, FTSENT *entry)
{
    if (entry->fts_level > 0 && entry->fts_info == FTS_D && entry->fts_name[0] == '.')
        (void)fts_set(tree, entry, FTS_SKIP); /* cannot fail with this entry */
    if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS) {
        struct error error = { 0 };

        errno = entry->fts_errno;
        (void)error_set_errno(&error, "%s", entry->fts_path);
        run->failed++;
        return report_failure(&error);
    }
    if (entry->fts_info == FTS_D || entry->fts_info == FTS_DP)
        return 0;
    if (entry->fts_level == 0 || is_policy_file(entry))
        return format_file(run, entry->fts_path); /* one that was named has any name */
    return 0;
}

static int compare_entries(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int format_tree(struct run *run, char *path)
{
    char *const roots[] = { path, NULL };
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, compare_entries);
    int worst = 0;
    FTSENT *entry;

    if (!tree)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    while ((entry = fts_read(tree)) != NULL) {
        int code = format_entry(run, tree, entry);

        worst = worst == 0 ? code : worst;
    }
    (void)fts_close(tree); /* read only */
    return worst;
}

/* ---- the command ---- */

static int finish(const struct run *run)
{
    const char *verb = run->values->is_check ? "would change" : "changed";
    int failure = report_finish();

    if (!run->values->to_stdout && run->seen > 0)
        (void)fprintf(stderr, "%zu of %zu file%s %s\n", run->changed, run->seen,
                      run->seen == 1 ? "" : "s", verb);
    if (failure != 0)
        return failure;
    return run->values->is_check && run->changed > 0 ? EXIT_FOUND : 0;
}

static int run_fmt(const void *given, const struct operands *operands)
{
    struct run run = { .values = given };
    char here[] = ".";
    int worst = 0;

    if (run.values->to_stdout && operands->count != 1) {
        return report_failure(
            &(struct error){ .code = ERROR_USAGE, .cause = "--stdout takes one file" });
    }
    if (operands->count == 0)
        worst = format_tree(&run, here);
    for (size_t i = 0; i < operands->count; i++) {
        bool is_input = strcmp(operands->items[i], "-") == 0;
        int code = is_input ? format_file(&run, "-") : format_tree(&run, operands->items[i]);

        worst = worst == 0 ? code : worst;
    }
    if (worst == 0 && run.seen == 0)
        return report_failure(
            &(struct error){ .code = ERROR_IO, .cause = "there is no *.yaml to format" });
    return worst != 0 ? worst : finish(&run);
}

const struct command command_policy_fmt = {
    .group = "policy",
    .name = "fmt",
    .operands = "[FILE|FOLDER]...",
    .summary = "Write policy files in canonical form",
    .description =
        "Rewrites each FILE, and each *.yaml of a FOLDER and its sub-folders (default: where you\n"
        "are): indents, order of keys, brackets where they are short. Comments stay, and what a "
        "file\n"
        "says stays the same. A file with a YAML mistake is reported and left alone. '-' is "
        "standard\n"
        "input, written to standard output. Needs no broker.yaml and no catalog.",
    .groups = { OPTION_GROUP(rows, 0) },
    .values_size = sizeof(struct values),
    .operands_max = COMMAND_OPERANDS_ANY,
    .run = run_fmt,
};
