#include "clients/report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/diagnostic.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "clients/variable.h"

#define LINE_MAX_BYTES ((size_t)2048)
#define DIAGNOSTICS_MAX_BYTES ((size_t)1024 * 1024)

static void add_clean(struct buf *out, struct str text)
{
    while (text.len > 0) {
        struct str character = utf8_take_plain(&text);
        struct str rest = character;
        uint32_t number = 0;

        buf_add(out, utf8_take(&rest, &number) && utf8_is_seen(number) ? character : STR("?"));
    }
}

void print_clean(FILE *file, struct str text)
{
    OWNED(buf_release) struct buf clean = { 0 };

    buf_init(&clean, text.len + 1);
    add_clean(&clean, text);
    if (clean.len > 0)
        (void)fwrite(clean.data, 1, clean.len, file); /* report_finish() asks once for all */
}

void print_member(const json_t *object, const char *name, const char *before)
{
    struct str text = json_str(json_object_get(object, name));

    if (text.len == 0)
        return;
    (void)fputs(before, stdout);
    print_clean(stdout, text);
}

void report_line(const char *format, ...)
{
    OWNED(buf_release) struct buf line = { 0 };
    char text[LINE_MAX_BYTES];
    va_list values;

    va_start(values, format);
    if (vsnprintf(text, sizeof(text), format, values) < 0)
        text[0] = '\0';
    va_end(values);
    buf_init(&line, sizeof(text) + 16);
    buf_add_text(&line, "stagepass: ");
    add_clean(&line, str_from(text));
    buf_add_byte(&line, '\n');
    if (line.len > 0 && write(STDERR_FILENO, line.data, line.len) < 0)
        return; /* nobody reads: nothing better to do */
}

const char *report_word(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

int report_failure(const struct error *error)
{
    const struct error_kind *kind = error_kind(error->code);

    report_line("%s", error->cause[0] != '\0' ? error->cause : kind->sentence);
    return kind->exit_code;
}

int report_finish(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return 0;
    report_line("cannot write to standard output");
    return 1;
}

/* jansson gives whole characters. It escapes C0 only, and its line ends are its own. */
static int write_plain(const char *data, size_t len, void *file)
{
    struct str rest = { data, len };

    while (rest.len > 0) {
        struct str text = rest;
        uint32_t character = 0;

        if (!utf8_take(&rest, &character))
            return -1;
        if (utf8_is_plain(character) || character == '\n')
            (void)fwrite(text.data, 1, text.len - rest.len, file);
        else
            (void)fprintf(file, "\\u%04" PRIX32, character);
    }
    return ferror(file) ? -1 : 0;
}

bool print_clean_json_text(FILE *file, struct str json)
{
    return write_plain(json.data, json.len, file) == 0;
}

bool print_clean_json(FILE *file, const json_t *json)
{
    return json_dump_callback(json, write_plain, file, JSON_INDENT(2) | JSON_SORT_KEYS) == 0 &&
           fputc('\n', file) != EOF;
}

int report_json(const json_t *json)
{
    if (!print_clean_json(stdout, json))
        report_line("cannot write JSON");
    return report_finish();
}

void report_mask(struct str secret)
{
    const char *actions = variable_get("GITHUB_ACTIONS");
    OWNED(buf_release) struct buf line = { 0 };

    if (!actions || strcmp(actions, "true") != 0 || secret.len == 0)
        return;
    buf_init(&line, 3 * secret.len + 32);
    buf_add_text(&line, "::add-mask::");
    for (size_t i = 0; i < secret.len; i++) {
        char c = secret.data[i];

        if (c == '%' || c == '\r' || c == '\n')
            buf_printf(&line, "%%%02X", (unsigned)c);
        else
            buf_add_byte(&line, (uint8_t)c);
    }
    buf_add_byte(&line, '\n');
    if (buf_is_ok(&line) && write(STDERR_FILENO, line.data, line.len) < 0)
        return; /* no log, nothing to mask */
}

void report_diagnostics(const struct diagnostics *diagnostics)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, DIAGNOSTICS_MAX_BYTES);
    diagnostics_write(diagnostics, &text);
    if (text.len > 0)
        (void)fwrite(text.data, 1, text.len, stderr); /* nowhere else to say it */
}
