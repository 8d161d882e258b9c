#include "clients/upcoming.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "base/macros.h"
#include "base/time_text.h"
#include "clients/report.h"

#define DAY_S INT64_C(86400)
#define ITEMS_MAX 32
#define NAME_MAX_BYTES 80
#define DATE_LEN 10

/* What each word of an answer is about. */
static const struct {
    const char *what;
    const char *subject;
    const char *ahead;
    const char *past;
} rows[] = {
    { "review_by", "the review of its pipeline", "is due", "was due" },
    { "until", "the stage", "ends", "has ended" },
    { "grant_until", "its grant", "ends", "has ended" },
    { "exception", "its exception from guardrail", "ends", "has ended" },
    { "", "something of it", "ends", "has ended" },
};

static size_t row_of(struct str what)
{
    size_t i = 0;

    while (i + 1 < COUNT(rows) && !str_eq(what, str_from(rows[i].what)))
        i++;
    return i;
}

void upcoming_phrase(struct str what, int64_t at_s, int64_t now_s, char *out, size_t size)
{
    size_t row = row_of(what);
    char text[TIME_TEXT_S_LEN + 1];
    int64_t days = (at_s > now_s ? at_s - now_s : now_s - at_s) / DAY_S;

    time_text_s(at_s, text);
    (void)snprintf(out, size, "%s on %.*s, %s%" PRId64 " day%s%s",
                   at_s > now_s ? rows[row].ahead : rows[row].past, DATE_LEN, text,
                   at_s > now_s ? "in " : "", days, days == 1 ? "" : "s",
                   at_s > now_s ? "" : " ago");
}

static void report(const json_t *item, struct str stage, int64_t now_s)
{
    struct str what = json_str(json_object_get(item, "what"));
    struct str name = str_slice(json_str(json_object_get(item, "name")), 0, NAME_MAX_BYTES);
    int64_t at_ms = 0;
    char phrase[128];

    if (!time_text_parse(json_str(json_object_get(item, "at")), &at_ms))
        return;
    upcoming_phrase(what, at_ms / 1000, now_s, phrase, sizeof(phrase));
    report_line(STR_FMT ": %s%s" STR_FMT "%s %s", STR_ARG(stage), rows[row_of(what)].subject,
                name.len > 0 ? " '" : "", STR_ARG(name), name.len > 0 ? "'" : "", phrase);
}

void upcoming_report(const json_t *answer, struct str stage, int64_t now_s)
{
    const json_t *list = json_object_get(answer, "upcoming");

    for (size_t i = 0; i < json_array_size(list) && i < ITEMS_MAX; i++)
        report(json_array_get(list, i), stage, now_s);
}
