/* A review as a document: what it says, once; how it is marked up, in Markdown and in HTML. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/time_text.h"
#include "clients/escape.h"
#include "clients/review.h"

#define NAMES_MAX 5 /* that a cell lists */
#define CELL_MAX ((size_t)4096)

/** One way to mark a document up. Texts are foreign unless they are literals of this file. */
struct form {
    void (*begin)(struct buf *out);
    void (*heading)(struct buf *out, unsigned level, struct str text);
    void (*line)(struct buf *out, struct str text);
    void (*table)(struct buf *out, const char *const *titles, size_t count);
    void (*row)(struct buf *out, const struct str *cells, size_t count);
    void (*table_end)(struct buf *out);
    void (*end)(struct buf *out);
};

/* ---- Markdown ---- */

static void markdown_nothing(struct buf *out)
{
    (void)out;
}

static void markdown_heading(struct buf *out, unsigned level, struct str text)
{
    buf_add_text(out, level == 1 ? "# " : "\n## ");
    escape_markdown(text, out);
    buf_add_text(out, "\n\n");
}

static void markdown_line(struct buf *out, struct str text)
{
    buf_add_text(out, "- ");
    escape_markdown(text, out);
    buf_add_byte(out, '\n');
}

static void markdown_row(struct buf *out, const struct str *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, i == 0 ? "| " : " | ");
        escape_markdown(cells[i], out);
    }
    buf_add_text(out, " |\n");
}

static void markdown_table(struct buf *out, const char *const *titles, size_t count)
{
    buf_add_byte(out, '\n');
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "%s%s", i == 0 ? "| " : " | ", titles[i]);
    buf_add_text(out, " |\n");
    for (size_t i = 0; i < count; i++)
        buf_add_text(out, i == 0 ? "| ---" : " | ---");
    buf_add_text(out, " |\n");
}

static const struct form markdown = { markdown_nothing, markdown_heading, markdown_line,
                                      markdown_table,   markdown_row,     markdown_nothing,
                                      markdown_nothing };

/* ---- HTML: one file, no script, nothing that is fetched ---- */

static void html_begin(struct buf *out)
{
    buf_add_text(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
        "'unsafe-inline'\">\n"
        "<title>Access review</title>\n<style>\n"
        "body { font: 15px/1.5 sans-serif; margin: 2em; color: #222; background: #fff }\n"
        "table { border-collapse: collapse; margin: 1em 0 }\n"
        "th, td { border: 1px solid #bbb; padding: .3em .6em; text-align: left; vertical-align: "
        "top }\n"
        "th { background: #eee }\n"
        "@media print { body { margin: 0 } }\n"
        "</style>\n</head>\n<body>\n");
}

static void html_heading(struct buf *out, unsigned level, struct str text)
{
    buf_printf(out, "<h%u>", level);
    escape_html(text, out);
    buf_printf(out, "</h%u>\n", level);
}

static void html_line(struct buf *out, struct str text)
{
    buf_add_text(out, "<p>");
    escape_html(text, out);
    buf_add_text(out, "</p>\n");
}

static void html_table(struct buf *out, const char *const *titles, size_t count)
{
    buf_add_text(out, "<table>\n<thead><tr>");
    for (size_t i = 0; i < count; i++)
        buf_printf(out, "<th scope=\"col\">%s</th>", titles[i]);
    buf_add_text(out, "</tr></thead>\n<tbody>\n");
}

static void html_row(struct buf *out, const struct str *cells, size_t count)
{
    buf_add_text(out, "<tr>");
    for (size_t i = 0; i < count; i++) {
        buf_add_text(out, "<td>");
        escape_html(cells[i], out);
        buf_add_text(out, "</td>");
    }
    buf_add_text(out, "</tr>\n");
}

static void html_table_end(struct buf *out)
{
    buf_add_text(out, "</tbody>\n</table>\n");
}

static void html_end(struct buf *out)
{
    buf_add_text(out, "</body>\n</html>\n");
}

static const struct form html = { html_begin, html_heading,   html_line, html_table,
                                  html_row,   html_table_end, html_end };

/* ---- pieces ---- */

static struct str member(const json_t *object, const char *name)
{
    return json_str(json_object_get(object, name));
}

/* A list's texts in a cell: the first few. */
static struct str join(const json_t *list, struct buf *cell)
{
    size_t count = json_array_size(list);

    buf_clear(cell);
    for (size_t i = 0; i < count && i < NAMES_MAX; i++) {
        buf_add_text(cell, i > 0 ? ", " : "");
        buf_add(cell, str_slice(json_str(json_array_get(list, i)), 0, CELL_MAX / (NAMES_MAX + 1)));
    }
    if (count > NAMES_MAX)
        buf_printf(cell, ", and %zu more", count - NAMES_MAX);
    return buf_str(cell);
}

static void add_line(const struct form *form, struct buf *out, const char *format, ...)
    PRINTF_LIKE(3, 4);
static void add_line(const struct form *form, struct buf *out, const char *format, ...)
{
    char text[1024];
    va_list values;

    va_start(values, format);
    if (vsnprintf(text, sizeof(text), format, values) > 0)
        form->line(out, str_from(text));
    va_end(values);
}

static struct str day(struct str time)
{
    return time.len > 0 ? str_slice(time, 0, 10) : STR("never");
}

/* ---- stages ---- */

static const char *const grant_titles[] = { "stage", "grant",     "target",   "gives", "ttl",
                                            "uses",  "last used", "proposal", "why" };

static void write_grant(const struct form *form, const json_t *stage, const json_t *grant,
                        struct buf *out)
{
    OWNED(buf_release) struct buf gives = { 0 };
    OWNED(buf_release) struct buf why = { 0 };
    char ttl[DURATION_TEXT_MAX];
    char uses[24];

    buf_init(&gives, CELL_MAX);
    buf_init(&why, CELL_MAX);
    duration_text(json_integer_value(json_object_get(grant, "ttl_s")), ttl);
    (void)snprintf(uses, sizeof(uses), "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(grant, "uses")));
    form->row(out,
              (const struct str[]){
                  member(stage, "stage"), member(grant, "grant"), member(grant, "target"),
                  json_is_true(json_object_get(grant, "is_certain"))
                      ? join(json_object_get(grant, "gives"), &gives)
                      : STR("everything: it cannot say"),
                  str_from(ttl), str_from(uses), day(member(grant, "last_used")),
                  member(grant, "proposal"), join(json_object_get(grant, "why"), &why) },
              COUNT(grant_titles));
}

/* Of the stage itself, then of each of its grants. */
static void write_stage(const struct form *form, const json_t *stage, struct buf *out)
{
    const json_t *grants = json_object_get(stage, "grants");
    OWNED(buf_release) struct buf why = { 0 };
    char uses[64];

    buf_init(&why, CELL_MAX);
    (void)snprintf(uses, sizeof(uses), "%" JSON_INTEGER_FORMAT " (%" JSON_INTEGER_FORMAT " denied)",
                   json_integer_value(json_object_get(stage, "uses")),
                   json_integer_value(json_object_get(stage, "denials")));
    form->row(out,
              (const struct str[]){ member(stage, "stage"), STR("(all)"), STR(""), STR(""), STR(""),
                                    str_from(uses), day(member(stage, "last_used")),
                                    member(stage, "proposal"),
                                    join(json_object_get(stage, "why"), &why) },
              COUNT(grant_titles));
    for (size_t i = 0; i < json_array_size(grants); i++)
        write_grant(form, stage, json_array_get(grants, i), out);
}

static void write_owners(const struct form *form, const json_t *review, struct buf *out)
{
    const json_t *owners = json_object_get(review, "owners");

    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        const json_t *stages = json_object_get(owner, "stages");

        form->heading(out, 2, member(owner, "owner"));
        form->table(out, grant_titles, COUNT(grant_titles));
        for (size_t k = 0; k < json_array_size(stages); k++)
            write_stage(form, json_array_get(stages, k), out);
        form->table_end(out);
    }
    if (json_array_size(owners) == 0)
        form->line(out, STR("No stage is of these environments and owners."));
}

/* ---- surroundings ---- */

static void write_exceptions(const struct form *form, const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "guardrail", "pipeline", "stage", "until", "why" };
    const json_t *list = json_object_get(review, "exceptions");

    form->heading(out, 2, STR("Exceptions of guardrails"));
    if (json_array_size(list) == 0) {
        form->line(out, STR("None."));
        return;
    }
    form->table(out, titles, COUNT(titles));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        OWNED(buf_release) struct buf until = { 0 };

        buf_init(&until, CELL_MAX);
        buf_add(&until, day(member(item, "until")));
        if (json_is_true(json_object_get(item, "is_over")))
            buf_add_text(&until, ": it is over, remove it");
        form->row(out,
                  (const struct str[]){ member(item, "from"), member(item, "pipeline"),
                                        member(item, "stage"), buf_str(&until),
                                        member(item, "why") },
                  COUNT(titles));
    }
    form->table_end(out);
}

/* Each is to be followed up: who broke it is in the entry. */
static void write_glasses(const struct form *form, const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "entry", "day", "what", "stage", "approval or lease",
                                          "why" };
    const json_t *list = json_object_get(review, "break_glass");

    if (json_array_size(list) == 0)
        return;
    form->heading(out, 2, STR("Broken glass, to follow up"));
    form->table(out, titles, COUNT(titles));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        struct str lease = member(item, "lease");
        char index[24];

        (void)snprintf(index, sizeof(index), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(item, "index")));
        form->row(out,
                  (const struct str[]){ str_from(index), day(member(item, "time")),
                                        member(item, "type"), member(item, "stage"),
                                        lease.len > 0 ? lease : member(item, "approval"),
                                        member(item, "reason") },
                  COUNT(titles));
    }
    form->table_end(out);
}

static void write_people(const struct form *form, const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "role", "who", "for" };
    const json_t *list = json_object_get(review, "people");

    form->heading(out, 2, STR("Roles of people"));
    if (!list)
        form->line(out, STR("Not known: the configuration at hand names nobody."));
    if (!list || json_array_size(list) == 0)
        return;
    form->table(out, titles, COUNT(titles));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const json_t *tenants = json_object_get(item, "tenants");
        OWNED(buf_release) struct buf who = { 0 };
        OWNED(buf_release) struct buf names = { 0 };
        OWNED(buf_release) struct buf values = { 0 };
        const char *claim;
        json_t *list_of;

        buf_init(&who, CELL_MAX);
        buf_init(&names, CELL_MAX);
        buf_init(&values, CELL_MAX);
        json_object_foreach (json_object_get(item, "who"), claim, list_of) {
            buf_printf(&who, "%s%s: ", who.len > 0 ? "; " : "", claim);
            buf_add(&who, join(list_of, &values));
        }
        form->row(out,
                  (const struct str[]){ member(item, "role"), buf_str(&who),
                                        json_array_size(tenants) > 0 ? join(tenants, &names)
                                                                     : STR("all tenants") },
                  COUNT(titles));
    }
    form->table_end(out);
}

static void write_secrets(const struct form *form, const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "key", "written", "days" };
    const json_t *list = json_object_get(review, "secrets");
    struct str unknown = member(review, "secrets_unknown");

    form->heading(out, 2, STR("Keys that the broker keeps"));
    if (unknown.len > 0) {
        form->line(out, STR("Their age is not known:"));
        form->line(out, unknown);
        return;
    }
    form->table(out, titles, COUNT(titles));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char days[24];

        (void)snprintf(days, sizeof(days), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(item, "age_days")));
        form->row(out,
                  (const struct str[]){ member(item, "name"), day(member(item, "changed_at")),
                                        str_from(days) },
                  COUNT(titles));
    }
    form->table_end(out);
}

static void write_signed(const struct form *form, const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "time", "entry", "review", "note" };
    const json_t *list = json_object_get(review, "signed");

    form->heading(out, 2, STR("Reviews that were signed"));
    if (json_array_size(list) == 0) {
        form->line(out, STR("None."));
        return;
    }
    form->table(out, titles, COUNT(titles));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char index[24];

        (void)snprintf(index, sizeof(index), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(item, "index")));
        form->row(out,
                  (const struct str[]){ member(item, "time"), str_from(index),
                                        member(item, "review"), member(item, "detail") },
                  COUNT(titles));
    }
    form->table_end(out);
}

/* ---- all of it ---- */

static json_int_t count_of(const json_t *review, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(review, "counts"), name));
}

static void write_head(const struct form *form, const json_t *review, struct buf *out)
{
    const json_t *environments = json_object_get(review, "environments");
    OWNED(buf_release) struct buf names = { 0 };
    struct str since = member(review, "since");
    struct str begins = member(review, "ledger_begins");

    buf_init(&names, CELL_MAX);
    form->heading(out, 1, STR("Access review"));
    add_line(form, out, "Environment: " STR_FMT,
             STR_ARG(json_array_size(environments) > 0 ? join(environments, &names) : STR("all")));
    add_line(form, out, "Uses from " STR_FMT " to " STR_FMT, STR_ARG(since),
             STR_ARG(member(review, "made_at")));
    add_line(form, out, "Policy " STR_FMT, STR_ARG(member(review, "policy")));
    if (json_object_get(review, "repository"))
        add_line(form, out, "From " STR_FMT " at " STR_FMT, STR_ARG(member(review, "repository")),
                 STR_ARG(member(review, "commit")));
    add_line(form, out,
             "Proposals for stages: keep %" JSON_INTEGER_FORMAT ", narrow %" JSON_INTEGER_FORMAT
             ", remove %" JSON_INTEGER_FORMAT,
             count_of(review, "keep"), count_of(review, "narrow"), count_of(review, "remove"));
    if (begins.len == 0 || str_compare(begins, since) > 0)
        add_line(form, out,
                 "The ledger begins later than that, at " STR_FMT
                 ": what is proposed to be removed may be used before",
                 STR_ARG(begins.len > 0 ? begins : STR("no time: it is empty")));
    if (!json_is_true(json_object_get(review, "knows_what_is_new")))
        form->line(out, STR("Which policy was in force at the beginning is not known here: what is "
                            "new since looks like what nobody uses"));
    add_line(form, out, "Proof: " STR_FMT, STR_ARG(member(review, "proof")));
}

static void write_document(const struct form *form, const json_t *review, struct buf *out)
{
    form->begin(out);
    write_head(form, review, out);
    write_owners(form, review, out);
    write_exceptions(form, review, out);
    write_glasses(form, review, out);
    write_people(form, review, out);
    write_secrets(form, review, out);
    write_signed(form, review, out);
    form->end(out);
}

void review_write_markdown(const json_t *review, struct buf *out)
{
    write_document(&markdown, review, out);
}

void review_write_html(const json_t *review, struct buf *out)
{
    write_document(&html, review, out);
}

/* ---- CSV: a line a grant, for those who decide in a table ---- */

static void write_csv_row(const json_t *stage, const json_t *grant, struct buf *out)
{
    OWNED(buf_release) struct buf gives = { 0 };
    OWNED(buf_release) struct buf why = { 0 };
    const json_t *judged = grant ? grant : stage;
    char uses[24];
    char ttl[24] = "";

    buf_init(&gives, CELL_MAX);
    buf_init(&why, CELL_MAX);
    (void)snprintf(uses, sizeof(uses), "%" JSON_INTEGER_FORMAT,
                   json_integer_value(json_object_get(judged, "uses")));
    if (grant)
        (void)snprintf(ttl, sizeof(ttl), "%" JSON_INTEGER_FORMAT,
                       json_integer_value(json_object_get(grant, "ttl_s")));
    {
        const struct str cells[] = { member(stage, "owner"),
                                     member(stage, "stage"),
                                     member(stage, "environment"),
                                     member(stage, "tenant"),
                                     grant ? member(grant, "grant") : STR("(all)"),
                                     member(grant, "type"),
                                     member(grant, "target"),
                                     join(json_object_get(grant, "gives"), &gives),
                                     str_from(ttl),
                                     str_from(uses),
                                     member(judged, "last_used"),
                                     member(stage, "review_by"),
                                     member(judged, "until"),
                                     member(judged, "proposal"),
                                     join(json_object_get(judged, "why"), &why) };

        for (size_t i = 0; i < COUNT(cells); i++) {
            buf_add_text(out, i > 0 ? "," : "");
            escape_csv_cell(cells[i], out);
        }
    }
    buf_add_text(out, "\r\n");
}

void review_write_csv(const json_t *review, struct buf *out)
{
    static const char *const titles[] = { "owner", "stage",    "environment", "tenant",
                                          "grant", "type",     "target",      "gives",
                                          "ttl_s", "uses",     "last_used",   "review_by",
                                          "until", "proposal", "why" };
    const json_t *owners = json_object_get(review, "owners");

    for (size_t i = 0; i < COUNT(titles); i++) {
        buf_add_text(out, i > 0 ? "," : "");
        escape_csv_cell(str_from(titles[i]), out);
    }
    buf_add_text(out, "\r\n");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *stages = json_object_get(json_array_get(owners, i), "stages");

        for (size_t k = 0; k < json_array_size(stages); k++) {
            const json_t *stage = json_array_get(stages, k);
            const json_t *grants = json_object_get(stage, "grants");

            write_csv_row(stage, NULL, out);
            for (size_t g = 0; g < json_array_size(grants); g++)
                write_csv_row(stage, json_array_get(grants, g), out);
        }
    }
}
