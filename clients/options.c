#include "clients/options.h"

#include <string.h>

#include "base/error.h"
#include "base/time_text.h"
#include "clients/variable.h"

#define ROWS_MAX 64
#define HELP_COLUMN 26

/* One reading of a command line. */
struct reading {
    const struct option_shape *shape;
    int argc;
    char **argv;
    int next;
    char *values;
    bool is_given[ROWS_MAX]; /* in the order of groups and rows */
};

/* A row with what is needed to use it. */
struct option {
    const struct option_row *row;
    size_t group_offset;
    size_t index; /* over all groups */
};

/* The `index`-th row over all groups; false past the last. */
static bool option_at(const struct option_shape *shape, size_t index, struct option *option)
{
    size_t first = 0;

    for (size_t i = 0; i < shape->group_count; i++) {
        const struct option_group *group = &shape->groups[i];

        if (index - first < group->row_count) {
            *option = (struct option){ &group->rows[index - first], group->offset, index };
            return index < ROWS_MAX;
        }
        first += group->row_count;
    }
    return false;
}

static bool option_by_name(const struct option_shape *shape, struct str name, struct option *option)
{
    for (size_t i = 0; option_at(shape, i, option); i++)
        if (str_eq(str_from(option->row->name), name))
            return true;
    return false;
}

static bool option_by_letter(const struct option_shape *shape, char letter, struct option *option)
{
    for (size_t i = 0; option_at(shape, i, option); i++)
        if (option->row->letter != '\0' && option->row->letter == letter)
            return true;
    return false;
}

static bool unknown(const struct option_shape *shape, struct str name, struct error *error)
{
    struct str names[ROWS_MAX];
    struct option option;
    struct str nearest;
    size_t count = 0;

    while (option_at(shape, count, &option)) {
        names[count] = str_from(option.row->name);
        count++;
    }
    nearest = str_nearest(name, names, count);
    if (nearest.len == 0)
        return error_set(error, ERROR_USAGE, "there is no option '--" STR_FMT "'", STR_ARG(name));
    return error_set(error, ERROR_USAGE,
                     "there is no option '--" STR_FMT "': did you mean '--" STR_FMT "'?",
                     STR_ARG(name), STR_ARG(nearest));
}

static bool read_choice(const struct option_row *row, struct str value, size_t *choice)
{
    struct str rest = str_from(row->value);
    struct str name;

    for (size_t i = 0; rest.len > 0; i++) {
        (void)str_cut(rest, '|', &name, &rest);
        if (str_eq(name, value)) {
            *choice = i;
            return true;
        }
    }
    return false;
}

static bool add_to_list(struct option_list *list, const char *value)
{
    if (list->count == OPTION_LIST_MAX)
        return false;
    list->items[list->count++] = value;
    return true;
}

static bool read_count(struct str text, int64_t *count)
{
    int64_t number;

    if (!str_to_int64(text, &number) || number < 0)
        return false;
    *count = number;
    return true;
}

/* Put a value where its kind wants it; false where it does not fit the kind. */
static bool put_value(const struct option *option, char *values, const char *text)
{
    void *at = values + option->group_offset + option->row->offset;

    switch (option->row->kind) {
    case OPTION_FLAG:
        *(bool *)at = true;
        return true;
    case OPTION_TEXT:
        *(const char **)at = text;
        return text[0] != '\0';
    case OPTION_LIST:
        return text[0] != '\0' && add_to_list(at, text);
    case OPTION_DURATION:
        return duration_parse(str_from(text), at);
    case OPTION_COUNT:
        return read_count(str_from(text), at);
    case OPTION_CHOICE:
        return read_choice(option->row, str_from(text), at);
    }
    return false;
}

static const char *expectation(const struct option_row *row)
{
    switch (row->kind) {
    case OPTION_DURATION:
        return "a duration such as 90s or 15m";
    case OPTION_COUNT:
        return "a number";
    case OPTION_CHOICE:
        return row->value;
    case OPTION_LIST:
        return "up to 16 names";
    case OPTION_FLAG:
    case OPTION_TEXT:
        break;
    }
    return "a value that is not empty";
}

static bool take(struct reading *reading, const struct option *option, const char *text,
                 struct error *error)
{
    if (reading->is_given[option->index] && option->row->kind != OPTION_LIST)
        return error_set(error, ERROR_USAGE, "'--%s' is given twice", option->row->name);
    reading->is_given[option->index] = true;
    if (!put_value(option, reading->values, text))
        return error_set(error, ERROR_USAGE, "'--%s' expects %s", option->row->name,
                         expectation(option->row));
    return true;
}

/* The value of an option that does not carry it itself: the next argument. */
static bool take_next(struct reading *reading, const struct option *option, struct error *error)
{
    if (option->row->kind == OPTION_FLAG)
        return take(reading, option, "", error);
    if (reading->next == reading->argc)
        return error_set(error, ERROR_USAGE, "'--%s' lacks its value: %s", option->row->name,
                         expectation(option->row));
    return take(reading, option, reading->argv[reading->next++], error);
}

static bool read_long(struct reading *reading, const char *text, struct error *error)
{
    struct option option;
    struct str name;
    struct str value;
    bool has_value = str_cut(str_from(text), '=', &name, &value);

    if (!option_by_name(reading->shape, name, &option))
        return unknown(reading->shape, name, error);
    if (!has_value)
        return take_next(reading, &option, error);
    if (option.row->kind == OPTION_FLAG)
        return error_set(error, ERROR_USAGE, "'--%s' takes no value", option.row->name);
    return take(reading, &option, value.data, error);
}

static bool read_short(struct reading *reading, const char *text, struct error *error)
{
    struct option option;

    if (!option_by_letter(reading->shape, text[0], &option))
        return error_set(error, ERROR_USAGE, "there is no option '-%c'", text[0]);
    if (text[1] == '\0')
        return take_next(reading, &option, error);
    if (option.row->kind == OPTION_FLAG)
        return error_set(error, ERROR_USAGE, "'-%c' takes no value", text[0]);
    return take(reading, &option, text + 1, error);
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != '\0';
}

static bool is_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static bool read_arguments(struct reading *reading, struct operands *operands, struct error *error)
{
    *operands = (struct operands){ .items = reading->argv };
    while (reading->next < reading->argc) {
        char *text = reading->argv[reading->next++];
        bool is_end = strcmp(text, "--") == 0;

        if (!is_end && !is_option(text))
            operands->items[operands->count++] = text;
        if (is_end || (reading->shape->stops_at_operand && operands->count > 0))
            break;
        operands->asks_help = is_help(text);
        if (operands->asks_help)
            return true;
        if (is_option(text) && !(text[1] == '-' ? read_long(reading, text + 2, error)
                                                : read_short(reading, text + 1, error)))
            return false;
    }
    while (reading->next < reading->argc)
        operands->items[operands->count++] = reading->argv[reading->next++];
    operands->items[operands->count] = NULL; /* at most where argv's own NULL is */
    return true;
}

static bool read_environment(struct reading *reading, struct error *error)
{
    struct option option;

    for (size_t i = 0; option_at(reading->shape, i, &option); i++) {
        const char *name = option.row->environment;
        const char *text = name ? variable_get(name) : NULL;

        if (reading->is_given[i] || !text)
            continue;
        if (!put_value(&option, reading->values, text))
            return error_set(error, ERROR_USAGE, "%s in the environment: expected %s", name,
                             expectation(option.row));
    }
    return true;
}

bool options_read(const struct option_shape *shape, int argc, char **argv, void *values,
                  struct operands *operands, struct error *error)
{
    struct reading reading = { .shape = shape, .argc = argc, .argv = argv, .values = values };

    return read_arguments(&reading, operands, error) &&
           (operands->asks_help || read_environment(&reading, error));
}

void options_describe(const struct option_shape *shape, struct buf *out)
{
    struct option option;

    for (size_t i = 0; option_at(shape, i, &option); i++) {
        const struct option_row *row = option.row;
        size_t start = out->len;

        buf_add_text(out, "  ");
        if (row->letter != '\0')
            buf_printf(out, "-%c, ", row->letter);
        buf_printf(out, "--%s%s%s", row->name, row->value ? " " : "", row->value ? row->value : "");
        if (out->len - start + 2 > HELP_COLUMN)
            buf_printf(out, "\n%*s", HELP_COLUMN, "");
        else
            buf_printf(out, "%*s", (int)(HELP_COLUMN - (out->len - start)), "");
        buf_add_text(out, row->help);
        if (row->environment)
            buf_printf(out, " [%s]", row->environment);
        buf_add_text(out, "\n");
    }
}
