#include "clients/explanation.h"

#include "base/utf8.h"
#include "clients/granted.h"
#include "clients/report.h"

/* Columns: a longer text pushes what is behind it to the right. */
#define NAME_WIDTH_MAX ((size_t)28)
#define EXPECTED_WIDTH_MAX ((size_t)44)
#define INDENT 4

struct printer {
    const struct paint *paint;
    int margin;
    FILE *file;
};

static void print(const struct printer *printer, struct str text)
{
    print_clean(printer->file, text);
}

static void print_styled(const struct printer *printer, enum paint_style style, struct str text)
{
    paint_start(printer->paint, style, printer->file);
    print(printer, text);
    paint_stop(printer->paint, printer->file);
}

static void start_line(const struct printer *printer, int depth, enum paint_style mark)
{
    (void)fprintf(printer->file, "%*s", printer->margin + depth * INDENT, "");
    paint_mark(printer->paint, mark, printer->file);
    (void)fputc(' ', printer->file);
}

static void end_line(const struct printer *printer)
{
    (void)fputc('\n', printer->file);
}

static void pad(const struct printer *printer, struct str text, size_t width)
{
    size_t count = utf8_count(text);

    (void)fprintf(printer->file, "%*s", (int)(count < width ? width - count : 0) + 2, "");
}

/* ---- a tree ---- */

struct widths {
    size_t name;
    size_t expected;
};

static void widen(size_t *width, struct str text, size_t max)
{
    size_t count = utf8_count(text);

    if (count > *width)
        *width = count < max ? count : max;
}

static struct widths widths_of(const struct explain_clause *clause)
{
    struct widths widths = { 0 };

    for (size_t i = 0; i < clause->count; i++)
        for (size_t k = 0; k < clause->maps[i].count; k++) {
            widen(&widths.name, clause->maps[i].leaves[k].name, NAME_WIDTH_MAX);
            widen(&widths.expected, clause->maps[i].leaves[k].expected, EXPECTED_WIDTH_MAX);
        }
    return widths;
}

/* One that holds in `unless` does no harm beside another that does not. */
static enum paint_style style_of(const struct explain_leaf *leaf, const struct explain_map *map,
                                 bool is_unless)
{
    if (leaf->outcome == EXPLAIN_UNKNOWN)
        return PAINT_UNSURE;
    if (leaf->is_good)
        return PAINT_GOOD;
    return is_unless && map->is_good ? PAINT_FAINT : PAINT_BAD;
}

/* A value that is just what was expected is not said again. */
static bool is_news(const struct explain_leaf *leaf, struct str text)
{
    return text.len > 0 && !(leaf->is_good && str_eq(text, leaf->expected));
}

static void print_got(const struct printer *printer, const struct explain_leaf *leaf,
                      enum paint_style style)
{
    bool has_got = is_news(leaf, leaf->got);

    if (has_got) {
        (void)fputs("got ", printer->file);
        print_styled(printer, style == PAINT_BAD ? PAINT_BAD : PAINT_PLAIN, leaf->got);
    }
    if (is_news(leaf, leaf->why)) {
        (void)fputs(has_got ? ": " : "", printer->file);
        print(printer, leaf->why);
    }
}

static void print_leaf(const struct printer *printer, const struct explain_leaf *leaf, int depth,
                       const struct widths *widths, enum paint_style style)
{
    start_line(printer, depth, style);
    print(printer, leaf->name);
    if (leaf->expected.len > 0) {
        pad(printer, leaf->name, widths->name);
        print(printer, leaf->expected);
    }
    if (is_news(leaf, leaf->got) || is_news(leaf, leaf->why)) {
        if (leaf->expected.len > 0)
            pad(printer, leaf->expected, widths->expected);
        else
            pad(printer, leaf->name, widths->name);
        print_got(printer, leaf, style);
    }
    end_line(printer);
}

static void print_map(const struct printer *printer, const struct explain_clause *clause,
                      const struct explain_map *map, int depth)
{
    struct widths widths = widths_of(clause);

    for (size_t i = 0; i < map->count; i++)
        print_leaf(printer, &map->leaves[i], depth, &widths,
                   style_of(&map->leaves[i], map, clause->is_unless));
}

static bool is_nearest(const struct explain_map *map)
{
    for (size_t i = 0; i < map->count; i++)
        if (map->leaves[i].is_named)
            return true;
    return false;
}

/* Of several maps one suffices in `when`: where one holds the others are of no interest. */
static bool is_of_interest(const struct explain_clause *clause, const struct explain_map *map)
{
    return clause->is_unless || !clause->is_good || map->is_good;
}

static void print_maps(const struct printer *printer, const struct explain_clause *clause)
{
    for (size_t i = 0; i < clause->count; i++) {
        const struct explain_map *map = &clause->maps[i];

        if (!is_of_interest(clause, map))
            continue;
        start_line(printer, 1, map->is_good ? PAINT_GOOD : PAINT_BAD);
        (void)fprintf(printer->file, "%zu of %zu%s\n", i + 1, clause->count,
                      !clause->is_unless && !clause->is_good && is_nearest(map) ? ", the nearest"
                                                                                : "");
        print_map(printer, clause, map, 2);
    }
}

static void print_clause(const struct printer *printer, const struct explain_clause *clause,
                         bool is_short)
{
    enum paint_style bad = clause->is_warning ? PAINT_UNSURE : PAINT_BAD;

    start_line(printer, 0, clause->is_good ? PAINT_GOOD : bad);
    print_styled(printer, PAINT_STRONG, str_from(clause->title));
    if (clause->name.len > 0) {
        (void)fputc(' ', printer->file);
        print_styled(printer, PAINT_STRONG, clause->name);
    }
    if (clause->is_warning)
        (void)fputs(" (only warns)", printer->file);
    if (clause->is_unless)
        (void)fputs(clause->count > 1 ? " (none of these may hold)" : " (must not hold)",
                    printer->file);
    else if (clause->count > 1)
        (void)fputs(" (one of these must hold)", printer->file);
    end_line(printer);
    if (is_short && clause->is_good)
        return;
    if (clause->count > 1)
        print_maps(printer, clause);
    else if (clause->count == 1)
        print_map(printer, clause, &clause->maps[0], 1);
}

static void print_subject(const struct printer *printer, const struct explain_subject *subject,
                          bool is_short)
{
    (void)fprintf(printer->file, "%*s", printer->margin, "");
    print_styled(printer, PAINT_STRONG, subject->stage ? subject->stage->id : subject->pipeline);
    if (subject->at.line > 0) {
        (void)fputs("  ", printer->file);
        paint_start(printer->paint, PAINT_FAINT, printer->file);
        print(printer, subject->at.file);
        (void)fprintf(printer->file, ":%zu", subject->at.line);
        paint_stop(printer->paint, printer->file);
    }
    end_line(printer);
    for (size_t i = 0; i < subject->clause_count; i++)
        print_clause(&(struct printer){ printer->paint, printer->margin + 2, printer->file },
                     &subject->clauses[i], is_short);
}

void explanation_print_subject(const struct explain_subject *subject, bool is_short,
                               const struct paint *paint, int margin, FILE *file)
{
    print_subject(&(struct printer){ paint, margin, file }, subject, is_short);
}

/* ---- the verdict ---- */

static void print_names(const struct printer *printer, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)fputs(i > 0 ? ", " : "", printer->file);
        print(printer, names[i]);
    }
}

/* Why there is no stage, as a sentence that the trees below go on from. */
static const char *sentence(const struct explanation *explanation)
{
    bool is_open = explanation->subject_count > 0 && explanation->subjects[0].is_open;
    bool fits = explanation->subject_count > 0 && explanation->subjects[0].clauses[0].is_good;

    if (explanation->code == ERROR_NO_PIPELINE)
        return fits ? "there is no such pipeline; the stages of those that fit:"
                    : "it fits no pipeline's identity; the nearest:";
    if (explanation->code == ERROR_STAGE)
        return is_open ? "several stages are open, and none was named:"
                       : "several pipelines have a stage of this name: say PIPELINE:STAGE";
    if (explanation->code == ERROR_SCOPE)
        return "the stage does not have the grant that was asked for";
    if (explanation->code == ERROR_TARGET)
        return "not exactly one grant of the stage has the audience";
    if (explanation->is_missing)
        return "no stage of this name is in the pipelines that fit; theirs:";
    return "no stage is open; the nearest:";
}

static bool is_decided(const struct explanation *explanation)
{
    return explanation->subject_count == 1 && explanation->decision->stage != NULL &&
           explanation->subjects[0].stage == explanation->decision->stage;
}

static void print_verdict(const struct printer *printer, const struct explanation *explanation)
{
    const struct policy_decision *decision = explanation->decision;

    print_styled(printer, explanation->is_allowed ? PAINT_GOOD : PAINT_BAD,
                 explanation->is_allowed ? STR("allowed") : STR("denied"));
    (void)fputs(": ", printer->file);
    if (explanation->is_allowed) {
        print(printer, decision->stage->id);
    } else if (explanation->code == ERROR_CONDITION && is_decided(explanation)) {
        print(printer, decision->stage->id);
        (void)fputs(" fails ", printer->file);
        print_names(printer, decision->failed, decision->failed_count);
    } else {
        (void)fputs(sentence(explanation), printer->file);
    }
    end_line(printer);
    if (decision->warned_count > 0) {
        (void)fputs("warned by: ", printer->file);
        print_names(printer, decision->warned, decision->warned_count);
        end_line(printer);
    }
}

void explanation_print(const struct explanation *explanation, const struct paint *paint, FILE *file)
{
    struct printer printer = { paint, 0, file };

    print_verdict(&printer, explanation);
    for (size_t i = 0; i < explanation->subject_count; i++) {
        end_line(&printer);
        print_subject(&printer, &explanation->subjects[i], explanation->subject_count > 1);
    }
    if (explanation->is_allowed) {
        end_line(&printer);
        granted_print(explanation->decision, paint, file);
    } else if (explanation->subject_count > 0 && explanation->subjects[0].clauses[0].is_good) {
        (void)fputs("\nowner  ", file);
        print(&printer, explanation->subjects[0].owner);
        end_line(&printer);
    }
}
