#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/macros.h"

struct diagnostics;
struct error;

/**
 * How the last loads of policies went, for readiness, operators and metrics.
 *
 * Threads: shared
 */
struct policy_reports;

/** Which of the two folders. */
enum policy_folder {
    POLICY_FOLDER_ACTIVE,
    POLICY_FOLDER_SHADOW,
    POLICY_FOLDER_COUNT
};

#define POLICY_MISTAKES_MAX 20 /* that are kept of a load; the rest is counted */

/** One mistake, as it was told. Texts are cut where they do not fit. */
struct policy_mistake {
    char file[256]; /* relative to the folder */
    int64_t line;   /* 0: the whole file */
    int64_t column;
    char message[512];
};

struct policy_report {
    int64_t at_s; /* of the last load; 0: there was none */
    int64_t
        since_s; /* of the first that failed, and none was good after it; 0: the last was good */
    int64_t error_count;
    struct policy_mistake mistakes[POLICY_MISTAKES_MAX];
    size_t mistake_count;
};

struct policy_reports *policy_reports_new(void) MUST_USE;
void policy_reports_free(struct policy_reports *reports);

/** Note a good load; or, with `now_s` 0, that there is no such folder. */
void policy_report_good(struct policy_reports *reports, enum policy_folder folder, int64_t now_s);

/**
 * Note a load that failed. Its mistakes are the errors among `diagnostics`, with files relative to
 * `path`; where there is none `error` is the one.
 */
void policy_report_bad(struct policy_reports *reports, enum policy_folder folder, int64_t now_s,
                       const char *path, const struct diagnostics *diagnostics,
                       const struct error *error);

/** A copy of what was noted last. */
void policy_report_read(struct policy_reports *reports, enum policy_folder folder,
                        struct policy_report *report);
