#include "base/log.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define CUT_MARK " cut=true"

/* What values may fill: the mark and the newline always fit behind them. */
#define VALUES_MAX (LOG_LINE_MAX - (sizeof(CUT_MARK) - 1) - 1)

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static _Atomic int current_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

void log_begin(struct log_line *line, enum log_level level, const char *event)
{
    *line = (struct log_line){ 0 };
    line->is_off = (int)level > atomic_load_explicit(&current_level, memory_order_relaxed);
    if (line->is_off)
        return;
    buf_init(&line->text, LOG_LINE_MAX);
    log_text(line, "level", level_names[level]);
    log_text(line, "event", event);
}

static bool is_plain(char character)
{
    return character > ' ' && character < 0x7f && character != '"' && character != '=' &&
           character != '\\';
}

static bool needs_quotes(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (!is_plain(value.data[i]))
            return true;
    }
    return value.len == 0;
}

static void add_escaped(struct buf *out, char character)
{
    if (is_plain(character) || character == ' ' || character == '=')
        buf_add_byte(out, (uint8_t)character);
    else if (character == '"' || character == '\\')
        buf_printf(out, "\\%c", character);
    else if (character == '\n')
        buf_add_text(out, "\\n");
    else
        buf_printf(out, "\\x%02x", (unsigned)(uint8_t)character);
}

static void add_quoted(struct buf *out, struct str value)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < value.len && buf_is_ok(out); i++)
        add_escaped(out, value.data[i]);
    buf_add_byte(out, '"');
}

void log_str(struct log_line *line, const char *key, struct str value)
{
    OWNED(buf_release) struct buf pair = { 0 };

    if (line->is_off)
        return;
    buf_init(&pair, VALUES_MAX - line->text.len);
    if (line->text.len > 0)
        buf_add_byte(&pair, ' ');
    buf_add_text(&pair, key);
    buf_add_byte(&pair, '=');
    if (needs_quotes(value))
        add_quoted(&pair, value);
    else
        buf_add(&pair, value);
    if (buf_is_ok(&pair))
        buf_add(&line->text, buf_str(&pair));
    else
        line->is_cut = true;
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_str(line, key, str_from(value));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
    OWNED(buf_release) struct buf digits = { 0 };

    if (line->is_off)
        return;
    buf_init(&digits, 20);
    buf_printf(&digits, "%lld", (long long)value);
    log_str(line, key, buf_str(&digits));
}

void log_error(struct log_line *line, const struct error *error)
{
    log_text(line, "code", error_kind(error->code)->name);
    log_text(line, "cause", error->cause);
}

/* Nothing can be done about a log that cannot be written: the result is dropped on purpose. */
static void write_line(struct str line)
{
    ssize_t written = write(STDERR_FILENO, line.data, line.len);

    (void)written;
}

void log_end(struct log_line *line)
{
    if (line->is_off)
        return;
    if (line->is_cut)
        buf_add_text(&line->text, CUT_MARK);
    buf_add_byte(&line->text, '\n');
    if (buf_is_ok(&line->text))
        write_line(buf_str(&line->text));
    else
        write_line(STR("level=error event=log.no_memory\n"));
    buf_release(&line->text);
}
