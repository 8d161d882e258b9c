#include "api/policy_report.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/diagnostic.h"
#include "base/error.h"
#include "base/str.h"

struct policy_reports {
    pthread_mutex_t lock;
    struct policy_report list[POLICY_FOLDER_COUNT]; /* guarded by lock */
};

struct policy_reports *policy_reports_new(void)
{
    struct policy_reports *reports = calloc(1, sizeof(*reports));

    if (reports && pthread_mutex_init(&reports->lock, NULL) != 0) {
        free(reports);
        return NULL;
    }
    return reports;
}

void policy_reports_free(struct policy_reports *reports)
{
    if (!reports)
        return;
    (void)pthread_mutex_destroy(&reports->lock); /* nobody holds it any more */
    free(reports);
}

void policy_report_good(struct policy_reports *reports, enum policy_folder folder, int64_t now_s)
{
    pthread_mutex_lock(&reports->lock);
    reports->list[folder] = (struct policy_report){ .at_s = now_s };
    pthread_mutex_unlock(&reports->lock);
}

/* As much of a text as fits, cut between two characters. */
static void copy(struct str text, char *out, size_t size)
{
    size_t len = text.len < size ? text.len : size - 1;

    while (len > 0 && !str_is_utf8(str_slice(text, 0, len)))
        len--;
    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
}

static struct str relative(struct str file, struct str path)
{
    if (str_starts_with(file, path) && file.len > path.len && file.data[path.len] == '/')
        return str_slice(file, path.len + 1, file.len);
    return file;
}

static void add(struct policy_report *report, const struct diagnostic *diagnostic, const char *path)
{
    struct policy_mistake *mistake = &report->mistakes[report->mistake_count++];

    copy(relative(diagnostic->at.file, str_from(path)), mistake->file, sizeof(mistake->file));
    mistake->line = (int64_t)diagnostic->at.line;
    mistake->column = (int64_t)diagnostic->at.column;
    copy(diagnostic->message, mistake->message, sizeof(mistake->message));
}

static void fill(struct policy_report *report, const char *path,
                 const struct diagnostics *diagnostics, const struct error *error)
{
    report->error_count = (int64_t)diagnostics->error_count;
    for (size_t i = 0; i < diagnostics->count && report->mistake_count < POLICY_MISTAKES_MAX; i++)
        if (diagnostics->list[i].severity == DIAGNOSTIC_ERROR)
            add(report, &diagnostics->list[i], path);
    if (report->error_count > 0)
        return;
    report->error_count = 1;
    report->mistake_count = 1;
    copy(str_from(error->cause), report->mistakes[0].message, sizeof(report->mistakes[0].message));
}

void policy_report_bad(struct policy_reports *reports, enum policy_folder folder, int64_t now_s,
                       const char *path, const struct diagnostics *diagnostics,
                       const struct error *error)
{
    struct policy_report report = { .at_s = now_s, .since_s = now_s };

    fill(&report, path, diagnostics, error);
    pthread_mutex_lock(&reports->lock);
    if (reports->list[folder].since_s != 0)
        report.since_s = reports->list[folder].since_s;
    reports->list[folder] = report;
    pthread_mutex_unlock(&reports->lock);
}

void policy_report_read(struct policy_reports *reports, enum policy_folder folder,
                        struct policy_report *report)
{
    pthread_mutex_lock(&reports->lock);
    *report = reports->list[folder];
    pthread_mutex_unlock(&reports->lock);
}
