#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "clients/command.h"
#include "clients/process.h"
#include "clients/report.h"

#define HELP_MAX_BYTES ((size_t)64 * 1024)
#define EXIT_USAGE 2

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void add_title(const struct command *command, struct buf *out)
{
    buf_printf(out, "%s%s%s", command->group ? command->group : "", command->group ? " " : "",
               command->name);
}

/* All commands, or those of one group. */
static void add_list(const char *group, struct buf *out)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        size_t start = out->len;

        if (group && !is_same(commands[i]->group, group))
            continue;
        buf_add_text(out, "  ");
        add_title(commands[i], out);
        buf_printf(out, "%*s%s\n", (int)(24 - (out->len - start)), "", commands[i]->summary);
    }
}

static int print(FILE *file, const struct buf *text)
{
    if (buf_is_ok(text))
        (void)fwrite(text->data, 1, text->len, file); /* asked for below */
    return file == stdout ? report_finish() : EXIT_USAGE;
}

static int print_overview(FILE *file, const char *group)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, HELP_MAX_BYTES);
    buf_printf(&text, "usage: stagepass %s%sCOMMAND [OPTION]...\n\n", group ? group : "",
               group ? " " : "");
    add_list(group, &text);
    if (!group)
        buf_printf(
            &text,
            "\n'stagepass COMMAND --help' says more of each; --version which one this is.\n\n"
            "Exit codes: %s\n",
            command_exit_codes);
    return print(file, &text);
}

static int print_help(const struct command *command, const struct option_shape *shape)
{
    OWNED(buf_release) struct buf text = { 0 };

    buf_init(&text, HELP_MAX_BYTES);
    buf_add_text(&text, "usage: stagepass ");
    add_title(command, &text);
    buf_printf(&text, " [OPTION]...%s%s\n\n%s\n\n", command->operands[0] ? " " : "",
               command->operands, command->description);
    options_describe(shape, &text);
    buf_printf(&text, "  --help%*sThis text\n", 18, "");
    return print(stdout, &text);
}

static int usage_failure(const struct command *command, const struct error *error)
{
    (void)report_failure(error);
    report_line("'stagepass %s%s%s --help' shows what there is",
                command->group ? command->group : "", command->group ? " " : "", command->name);
    return EXIT_USAGE;
}

static bool check_operands(const struct command *command, const struct operands *operands,
                           struct error *error)
{
    if (operands->count < command->operands_min)
        return error_set(error, ERROR_USAGE, "expected %s", command->operands);
    if (operands->count > command->operands_max)
        return error_set(error, ERROR_USAGE, "one argument too many: '%s'",
                         operands->items[command->operands_max]);
    return true;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct option_shape shape = { command->groups, COMMAND_GROUPS_MAX, command->stops_at_operand };
    struct error error = { 0 };
    struct operands operands;
    int exit_code;
    void *values;

    values = calloc(1, command->values_size);
    if (values && command->defaults)
        memcpy(values, command->defaults, command->values_size);
    if (!values)
        return report_failure(&(struct error){ .code = ERROR_MEMORY });
    if (!options_read(&shape, argc, argv, values, &operands, &error) ||
        (!operands.asks_help && !check_operands(command, &operands, &error)))
        exit_code = usage_failure(command, &error);
    else if (operands.asks_help)
        exit_code = print_help(command, &shape);
    else
        exit_code = command->run(values, &operands);
    free(values);
    return exit_code;
}

/* The row that the words name; `*word_count` is how many they are. */
static const struct command *find(int argc, char **argv, int *word_count)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = commands[i];

        *word_count = command->group ? 2 : 1;
        if (!command->group && is_same(command->name, argv[1]))
            return command;
        if (argc > 2 && is_same(command->group, argv[1]) && is_same(command->name, argv[2]))
            return command;
    }
    return NULL;
}

/* The first words of all commands, or the second ones of a group. */
static size_t list_words(const char *group, struct str words[COMMAND_COUNT])
{
    size_t count = 0;

    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = commands[i];

        if (group && is_same(command->group, group))
            words[count++] = str_from(command->name);
        if (!group)
            words[count++] = str_from(command->group ? command->group : command->name);
    }
    return count;
}

static int unknown_command(const char *group, const char *word)
{
    struct str words[COMMAND_COUNT];
    struct str nearest = str_nearest(str_from(word), words, list_words(group, words));

    if (nearest.len > 0)
        report_line("there is no command '%s': did you mean '" STR_FMT "'?", word,
                    STR_ARG(nearest));
    else
        report_line("there is no command '%s': 'stagepass%s%s --help' lists them", word,
                    group ? " " : "", group ? group : "");
    return EXIT_USAGE;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (commands[i]->group && is_same(commands[i]->group, word))
            return true;
    return false;
}

static bool is_help(const char *word)
{
    return is_same(word, "--help") || is_same(word, "-h") || is_same(word, "help");
}

static int dispatch_group(int argc, char **argv)
{
    if (argc < 3)
        return print_overview(stderr, argv[1]);
    return is_help(argv[2]) ? print_overview(stdout, argv[1]) : unknown_command(argv[1], argv[2]);
}

/* "help exec", "help audit", "help audit tail" */
static int dispatch_help(int argc, char **argv)
{
    char asking[] = "--help";
    char *arguments[] = { asking, NULL };
    int word_count = 0;
    const struct command *command = argc > 2 ? find(argc - 1, argv + 1, &word_count) : NULL;

    if (command)
        return run(command, 1, arguments);
    if (argc < 3)
        return print_overview(stdout, NULL);
    return is_group(argv[2]) ? print_overview(stdout, argv[2]) : unknown_command(NULL, argv[2]);
}

int main(int argc, char **argv)
{
    struct error error = { 0 };
    const struct command *command;
    int word_count = 0;

    if (!process_harden(&error))
        return report_failure(&error);
    if (argc < 2)
        return print_overview(stderr, NULL);
    command = find(argc, argv, &word_count);
    if (command)
        return run(command, argc - 1 - word_count, argv + 1 + word_count);
    if (is_group(argv[1]))
        return dispatch_group(argc, argv);
    if (is_help(argv[1]))
        return dispatch_help(argc, argv);
    if (is_same(argv[1], "--version")) {
        (void)puts("stagepass " STAGEPASS_VERSION);
        return report_finish();
    }
    return unknown_command(NULL, argv[1]);
}
