#include "base/log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
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
    line->len = 0;
    line->is_cut = false;
    line->is_off = (int)level > atomic_load_explicit(&current_level, memory_order_relaxed);
    log_text(line, "level", level_names[level]);
    log_text(line, "event", event);
}

/* False where it does not fit; then nothing is written. */
static bool put(struct log_line *line, struct str bytes)
{
    if (bytes.len > VALUES_MAX - line->len)
        return false;
    if (bytes.len > 0)
        memcpy(line->text + line->len, bytes.data, bytes.len);
    line->len += bytes.len;
    return true;
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

static bool put_escaped(struct log_line *line, char character)
{
    static const char hex_digits[] = "0123456789abcdef";
    const char code[4] = { '\\', 'x', hex_digits[(uint8_t)character >> 4],
                           hex_digits[(uint8_t)character & 15] };

    if (character == '"')
        return put(line, STR("\\\""));
    if (character == '\\')
        return put(line, STR("\\\\"));
    if (character == '\n')
        return put(line, STR("\\n"));
    if (is_plain(character) || character == ' ' || character == '=')
        return put(line, (struct str){ &character, 1 });
    return put(line, (struct str){ code, sizeof(code) });
}

static bool put_value(struct log_line *line, struct str value)
{
    if (!needs_quotes(value))
        return put(line, value);
    if (!put(line, STR("\"")))
        return false;
    for (size_t i = 0; i < value.len; i++) {
        if (!put_escaped(line, value.data[i]))
            return false;
    }
    return put(line, STR("\""));
}

void log_str(struct log_line *line, const char *key, struct str value)
{
    size_t before = line->len;

    if (line->is_off)
        return;
    if (put(line, before == 0 ? STR("") : STR(" ")) && put(line, str_from(key)) &&
        put(line, STR("=")) && put_value(line, value))
        return;
    line->len = before;
    line->is_cut = true;
}

void log_text(struct log_line *line, const char *key, const char *value)
{
    log_str(line, key, str_from(value));
}

void log_int(struct log_line *line, const char *key, int64_t value)
{
    char digits[24];

    (void)snprintf(digits, sizeof(digits), "%" PRId64, value); /* 20 characters at most */
    log_text(line, key, digits);
}

void log_error(struct log_line *line, const struct error *error)
{
    log_text(line, "code", error_kind(error->code)->name);
    log_text(line, "cause", error->cause);
}

void log_end(struct log_line *line)
{
    struct str end = line->is_cut ? STR(CUT_MARK "\n") : STR("\n");
    ssize_t written;

    if (line->is_off)
        return;
    memcpy(line->text + line->len, end.data, end.len); /* VALUES_MAX leaves room for it */
    written = write(STDERR_FILENO, line->text, line->len + end.len);
    (void)written; /* nothing can be done about a log that cannot be written */
}
