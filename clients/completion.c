/*
 * A script of what the tables have: for each command its options, those of them that take a value,
 * and the choices where a value is one. Names are of our tables, so nothing is quoted.
 */
#include "clients/completion.h"

#include <string.h>

static const char head[] =
    "# What bash completes of stagepass: written by 'stagepass completion bash'.\n"
    "_stagepass() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local first=${COMP_WORDS[1]} words= options= takes= choices= choice i\n"
    "    COMPREPLY=()\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        [ \"${COMP_WORDS[i]}\" != -- ] || return 0\n"
    "    done\n";

static const char tail[] =
    "    if [ \"$COMP_CWORD\" -gt 1 ]; then\n"
    "        for choice in $choices; do\n"
    "            [ \"$before\" != \"${choice%%=*}\" ] || words=${choice#*=}\n"
    "        done\n"
    "        case \" $takes \" in *\" $before \"*) [ -n \"$words\" ] || return 0 ;; esac\n"
    "        [[ $current != -* ]] || words=$options\n"
    "    fi\n"
    "    COMPREPLY=($(compgen -W \"${words//|/ }\" -- \"$current\")) || true\n"
    "}\n"
    "complete -o default -F _stagepass stagepass\n";

static const char *first_word(const struct command *command)
{
    return command->group ? command->group : command->name;
}

/* Whether no other before it has that word; a group stands before a command of its name. */
static bool is_first(const struct command *const *list, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(first_word(list[i]), first_word(list[index])) == 0)
            return false;
    return true;
}

static void add_first_words(const struct command *const *list, size_t count, struct buf *out)
{
    buf_add_text(out, "    [ \"$COMP_CWORD\" -ne 1 ] || words='help --help --version");
    for (size_t i = 0; i < count; i++)
        if (is_first(list, i))
            buf_printf(out, " %s", first_word(list[i]));
    buf_add_text(out, "'\n");
}

static void add_groups(const struct command *const *list, size_t count, struct buf *out)
{
    buf_add_text(out, "    case \"$COMP_CWORD $first\" in\n");
    for (size_t i = 0; i < count; i++) {
        if (!list[i]->group || !is_first(list, i))
            continue;
        buf_printf(out, "    '2 %s') words='", list[i]->group);
        for (size_t k = 0; k < count; k++)
            if (list[k]->group && strcmp(list[k]->group, list[i]->group) == 0)
                buf_printf(out, "%s ", list[k]->name);
        buf_add_text(out, "--help' ;;\n");
    }
    buf_add_text(out, "    esac\n");
}

/* The three lists that the script has of a command. */
enum part {
    PART_OPTIONS,
    PART_TAKES,
    PART_CHOICES
};

static void add_option(const struct option_row *row, enum part part, struct buf *out)
{
    const char *equals = part == PART_CHOICES ? "=" : "";
    const char *choices = part == PART_CHOICES ? row->value : "";

    if (part != PART_OPTIONS && row->kind == OPTION_FLAG)
        return;
    if (part == PART_CHOICES && row->kind != OPTION_CHOICE)
        return;
    buf_printf(out, " --%s%s%s", row->name, equals, choices);
    if (row->letter != '\0' && part != PART_OPTIONS)
        buf_printf(out, " -%c%s%s", row->letter, equals, choices);
}

static void add_part(const struct command *command, const char *name, enum part part,
                     struct buf *out)
{
    buf_printf(out, " %s='", name);
    for (size_t i = 0; i < COMMAND_GROUPS_MAX; i++)
        for (size_t k = 0; k < command->groups[i].row_count; k++)
            add_option(&command->groups[i].rows[k], part, out);
    buf_printf(out, "%s'", part == PART_OPTIONS ? " --help" : "");
}

static void add_command(const struct command *command, struct buf *out)
{
    if (command->group)
        buf_printf(out, "    '%s %s')", command->group, command->name);
    else
        buf_printf(out, "    '%s '*)", command->name);
    add_part(command, "options", PART_OPTIONS, out);
    add_part(command, "takes", PART_TAKES, out);
    add_part(command, "choices", PART_CHOICES, out);
    buf_add_text(out, " ;;\n");
}

void completion_write_bash(const struct command *const *list, size_t count, struct buf *out)
{
    buf_add_text(out, head);
    add_first_words(list, count, out);
    add_groups(list, count, out);
    buf_add_text(out, "    case \"$first ${COMP_WORDS[2]-}\" in\n");
    for (size_t i = 0; i < count; i++)
        add_command(list[i], out);
    buf_add_text(out, "    esac\n");
    buf_add_text(out, tail);
}
